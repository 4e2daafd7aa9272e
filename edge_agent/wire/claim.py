"""The claim code with which a gateway first comes to its authority: NAME-SECRET-FINGERPRINT (docs/PROTOCOL.md).

The secret is 80 bits, good once; the fingerprint is the first 80 bits of the SHA-256 of the CA certificate (DER).
Both are base32 (RFC 4648) without padding, 16 characters each.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

from edge_agent.wire.errors import WireError

SECRET_BYTES = 10
FINGERPRINT_BYTES = 10


class ClaimError(WireError):
    """Text that is not a claim code, or a code for another gateway. The message never repeats the secret."""

    code = "claim_invalid"


class Claim:
    """A claim code, taken apart. Its representation leaves the secret out."""

    __slots__ = ("fingerprint", "gateway", "secret")

    def __init__(self, gateway: str, secret: bytes, fingerprint: bytes) -> None:
        if not gateway or (len(secret), len(fingerprint)) != (SECRET_BYTES, FINGERPRINT_BYTES):
            raise ClaimError(f"a claim has a gateway's name, {SECRET_BYTES} secret bytes and {FINGERPRINT_BYTES} more")
        self.gateway = gateway
        self.secret = secret
        self.fingerprint = fingerprint

    @classmethod
    def parse(cls, text: str) -> Claim:
        """Read a code, in capitals or small letters, white space around it; ClaimError says which part is wrong."""
        parts = text.strip().rsplit("-", 2)
        if len(parts) != 3 or not parts[0]:
            raise ClaimError("a claim code is NAME-SECRET-FINGERPRINT; copy it whole")
        return cls(
            parts[0],
            _base32(parts[1], SECRET_BYTES, "secret"),
            _base32(parts[2], FINGERPRINT_BYTES, "fingerprint"),
        )

    @property
    def code(self) -> str:
        """The code as it is handed to a person."""
        return "-".join((self.gateway, _text(self.secret), _text(self.fingerprint)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Claim) and self.code == other.code

    def __hash__(self) -> int:
        return hash(self.code)

    def __repr__(self) -> str:
        return f"Claim(gateway={self.gateway!r}, fingerprint={_text(self.fingerprint)})"


def fingerprint_of(der: bytes) -> bytes:
    """The 10 bytes by which a claim code names the CA certificate of that DER encoding."""
    return hashlib.sha256(der).digest()[:FINGERPRINT_BYTES]


def fingerprint_text(digest: bytes) -> str:
    """A fingerprint as a claim code writes it: 16 characters of base32."""
    return _text(digest)


def _text(data: bytes) -> str:
    return base64.b32encode(data).decode()


def _base32(text: str, size: int, part: str) -> bytes:
    try:
        data = base64.b32decode(text.upper())
    except (binascii.Error, ValueError):
        data = b""
    if len(data) != size:
        raise ClaimError(
            f"the claim code's {part} is not {size * 8 // 5} letters and digits of base32 (A-Z, 2-7); copy it whole"
        )
    return data
