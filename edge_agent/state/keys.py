"""The keys of a gateway: one Ed25519 key per meter, and one key for TLS. Made here, and they never leave.

A key file is PKCS#8 in PEM, mode 0600, in a directory of mode 0700, written whole or not at all: to a new file, synced,
renamed, and the directory synced. A key that exists is never written over; a rotated one is replaced by a rename, once
the authority has approved the next.

Making keys and asking for certificates imports much of `cryptography` (3 MiB), each where it is done: a running agent
loads keys of the one form that is written here, signs and verifies.
"""

from __future__ import annotations

import binascii
import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge_agent.errors import EdgeError
from edge_agent.wire.files import make_private_directory, sync_directory, write_atomically

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

_BEGIN, _END = b"-----BEGIN PRIVATE KEY-----", b"-----END PRIVATE KEY-----"
_PKCS8_ED25519 = bytes.fromhex("302e020100300506032b657004220420")
"""What stands before the 32 bytes of an Ed25519 key in PKCS#8 (RFC 8410, 7)."""


class KeyFileError(EdgeError):
    """A meter's key file cannot be used."""


class KeyExposedError(KeyFileError):
    """A key file can be read by other users."""

    code = "key_exposed"


class KeyInvalidError(KeyFileError):
    """A key file does not hold an Ed25519 key."""

    code = "key_invalid"


class KeyMissingError(KeyFileError):
    """A key file is missing."""

    code = "key_missing"


class KeyUnreadableError(KeyFileError):
    """A key file cannot be read."""

    code = "key_unreadable"


class MeterKey:
    """One meter's Ed25519 key."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self._private = private
        self.public_key = private.public_key().public_bytes_raw()
        """The 32 bytes that enrolment registers."""

    def sign(self, message: bytes) -> bytes:
        """Ed25519 signature (RFC 8032), 64 bytes."""
        return self._private.sign(message)


def verify(public_key: bytes, signature: bytes, message: bytes) -> bool:
    """Whether an Ed25519 signature holds; False for keys and signatures that are malformed."""
    try:
        _parsed(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


@functools.lru_cache(maxsize=64)
def _parsed(public_key: bytes) -> Ed25519PublicKey:
    """A key ready for use: the receipt key is the same for every receipt, and parsing it costs as much as a check."""
    return Ed25519PublicKey.from_public_bytes(public_key)


class KeyStore:
    """The keys under a state directory: `keys/METER.pem`, `tls/key.pem`, and `keys/next/METER.pem` while it rotates."""

    def __init__(self, state: Path) -> None:
        self.keys = state / "keys"
        self.tls_key = state / "tls" / "key.pem"

    def meter_key_path(self, meter: str) -> Path:
        """Where that meter's key lies."""
        return self.keys / f"{meter}.pem"

    def load(self, meter: str) -> MeterKey:
        """A meter's key; KeyMissingError, `key_unreadable`, `key_exposed` or `key_invalid`."""
        private = _load_private(self.meter_key_path(meter), f"the key of meter {meter!r}")
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyInvalidError(
                f"{self.meter_key_path(meter)} does not hold an Ed25519 key; restore it, or enrol again"
            )
        return MeterKey(private)

    def load_or_make(
        self, meter: str, generate: Callable[[], Ed25519PrivateKey] = Ed25519PrivateKey.generate
    ) -> MeterKey:
        """A meter's key, made if there is none yet (enrolment only)."""
        path = self.meter_key_path(meter)
        if not path.exists():
            make_private_directory(self.keys)
            write_atomically(path, _pem(generate()))
        return self.load(meter)

    def load_or_make_next(self, meter: str) -> MeterKey:
        """The key that shall follow a meter's present one, made if there is none yet."""
        path = self._next_path(meter)
        if not path.exists():
            make_private_directory(path.parent)
            write_atomically(path, _pem(Ed25519PrivateKey.generate()))
        private = _load_private(path, f"the next key of meter {meter!r}")
        if not isinstance(private, Ed25519PrivateKey):
            raise KeyInvalidError(f"{path} does not hold an Ed25519 key; remove it, and rotate the key again")
        return MeterKey(private)

    def take_next(self, meter: str) -> None:
        """Put the next key in the present one's place, which is gone then; nothing where there is no next one."""
        path = self._next_path(meter)
        if path.exists():
            path.replace(self.meter_key_path(meter))
            sync_directory(self.keys)

    def _next_path(self, meter: str) -> Path:
        return self.keys / "next" / f"{meter}.pem"

    def load_or_make_tls(self) -> ec.EllipticCurvePrivateKey:
        """The key of the gateway's client certificate, on P-256, made if there is none yet."""
        from cryptography.hazmat.primitives.asymmetric import ec  # noqa: PLC0415 - no running agent needs it

        if not self.tls_key.exists():
            make_private_directory(self.tls_key.parent)
            write_atomically(self.tls_key, _pem(ec.generate_private_key(ec.SECP256R1())))
        private = _load_private(self.tls_key, "the TLS key")
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            raise KeyInvalidError(f"{self.tls_key} does not hold a P-256 key; remove it and enrol again")
        return private

    def certificate_request(self, gateway: str) -> str:
        """A certificate signing request in PEM, with the gateway's name as common name."""
        from cryptography import x509  # noqa: PLC0415 - for one request in a year, as the next two
        from cryptography.hazmat.primitives import hashes, serialization  # noqa: PLC0415
        from cryptography.x509.oid import NameOID  # noqa: PLC0415

        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway)])
        request = (
            x509.CertificateSigningRequestBuilder().subject_name(name).sign(self.load_or_make_tls(), hashes.SHA256())
        )
        return request.public_bytes(serialization.Encoding.PEM).decode()


def _pem(private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - no running agent writes a key

    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _load_private(path: Path, what: str) -> object:
    try:
        mode = path.stat().st_mode
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise KeyMissingError(
            f"{what} is not at {path}; run `edge-agent enrol`, or restore the state directory"
        ) from error
    except OSError as error:
        raise KeyUnreadableError(f"{what} at {path} cannot be read: {error}") from error
    if mode & 0o077:
        raise KeyExposedError(f"{path} can be read by others (mode {mode & 0o777:04o}); run `chmod 600 {path}`")
    return _ed25519(data) or _of_any_kind(data, path)


def _ed25519(data: bytes) -> Ed25519PrivateKey | None:
    """The Ed25519 key of a PEM file as `_pem` writes it; None where it is anything else."""
    try:
        der = binascii.a2b_base64(data.partition(_BEGIN)[2].partition(_END)[0])
    except binascii.Error:
        return None
    if not data.startswith(_BEGIN) or not data.rstrip().endswith(_END) or der[:-32] != _PKCS8_ED25519:
        return None
    return Ed25519PrivateKey.from_private_bytes(der[-32:])


def _of_any_kind(data: bytes, path: Path) -> object:
    """The key of a PEM file as the library reads it, which also says what is wrong; KeyInvalidError."""
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 - no running agent has such a file

    try:
        return serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyInvalidError(
            f"{path} does not hold a key: {error}; restore it from a backup, or enrol again"
        ) from error
