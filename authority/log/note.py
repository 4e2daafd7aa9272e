"""Checkpoints that any log monitor reads: C2SP tlog-checkpoint, in the form of a signed note (C2SP signed-note).

A note is UTF-8 text that ends with a newline, an empty line, and one line for each signature:

    energy.campus.example/log/0123456789abcdef
    1203
    <root, base64>

    — NAME <base64 of key hash (4 bytes) | Ed25519 signature (64 bytes)>

A verifier key is `NAME+KEYHASH+KEY`: the hash's four bytes in hex, and base64 of 0x01 | the 32 bytes of the key. The
key hash is the first four bytes of SHA-256(NAME | newline | 0x01 | key).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature

from authority.errors import AuthorityError
from authority.log.merkle import HASH_SIZE
from edge_agent.wire.checkpoint import note_text

ED25519 = b"\x01"
KEY_HASH_SIZE = 4
MAX_NOTE = 1 << 16
_SIGNATURE_LINE = re.compile(r"— ([^\s+]+) ([A-Za-z0-9+/]+={0,2})")
_SIZE = re.compile(r"0|[1-9][0-9]{0,19}")


class NoteError(AuthorityError):
    """A signed note (C2SP) that cannot be read or believed."""


class BadSignatureError(NoteError):
    """A signature does not verify."""

    code = "bad_signature"


class VerifierKeyMalformedError(NoteError):
    """Text that is not a verifier key of a signed note."""

    code = "key_malformed"


class NotSignedError(NoteError):
    """The note has no signature by the key that was asked for."""

    code = "not_signed"


class NoteMalformedError(NoteError):
    """Text that is not a signed note."""

    code = "note_malformed"


@dataclass(frozen=True)
class VerifierKey:
    """Who signs a note: a name without spaces and plus signs, and an Ed25519 key (32 bytes)."""

    name: str
    public_key: bytes

    @property
    def key_hash(self) -> bytes:
        """The four bytes that stand before a signature."""
        return hashlib.sha256(self.name.encode() + b"\n" + ED25519 + self.public_key).digest()[:KEY_HASH_SIZE]

    def __str__(self) -> str:
        key = base64.b64encode(ED25519 + self.public_key).decode()
        return f"{self.name}+{self.key_hash.hex()}+{key}"

    @classmethod
    def parse(cls, text: str) -> VerifierKey:
        """Read `NAME+KEYHASH+KEY`; NoteError `key_malformed`."""
        parts = text.strip().split("+", 2)
        try:
            name, key_hash, encoded = parts
            raw = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error) as error:
            raise VerifierKeyMalformedError("a verifier key is NAME+KEYHASH+KEY") from error
        key = cls(name, raw[1:])
        if not name or re.search(r"\s", name) or raw[:1] != ED25519 or len(key.public_key) != 32:
            raise VerifierKeyMalformedError(f"{text.strip()!r} is not the verifier key of an Ed25519 signature")
        if key.key_hash.hex() != key_hash:
            raise VerifierKeyMalformedError(f"the key hash of {name} is {key.key_hash.hex()}, not {key_hash}")
        return key


@dataclass(frozen=True)
class LogCheckpoint:
    """What a log's checkpoint says: its origin (the log's name), how many leaves, and their RFC 6962 root."""

    origin: str
    size: int
    root: bytes

    def text(self) -> str:
        """The three lines that are signed; each ends with a newline."""
        return note_text(self.origin, self.size, self.root).decode()


def sign(checkpoint: LogCheckpoint, name: str, key: Keypair) -> str:
    """The checkpoint as a note with one signature."""
    verifier = VerifierKey(name, bytes(key.pubkey()))
    signature = bytes(key.sign_message(checkpoint.text().encode()))
    return f"{checkpoint.text()}\n{signature_line(verifier, signature)}"


def signature_line(verifier: VerifierKey, signature: bytes) -> str:
    """One signature (64 bytes) as it stands below a note's text; ends with a newline."""
    return f"— {verifier.name} {base64.b64encode(verifier.key_hash + signature).decode()}\n"


def open_note(note: bytes, verifier: VerifierKey) -> LogCheckpoint:
    """The checkpoint in a note that `verifier` signed, whoever else did.

    NoteError `note_malformed`, `not_signed`, `bad_signature`. Lines after the root (extensions) are signed and ignored.
    """
    try:
        text = note.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NoteMalformedError("a note is UTF-8 text") from error
    body, separator, signatures = text.rpartition("\n\n")
    if (
        len(note) > MAX_NOTE
        or not separator
        or not signatures.endswith("\n")
        or re.search(r"[\x00-\x09\x0b-\x1f]", text)
    ):
        raise NoteMalformedError("a note is text, an empty line, and signature lines, each ended by a newline")
    body += "\n"
    checkpoint = _checkpoint(body)
    found = False
    for line in signatures[:-1].split("\n"):
        match = _SIGNATURE_LINE.fullmatch(line)
        if match is None:
            raise NoteMalformedError(f"{line!r} is not a signature line")
        raw = _base64(match[2])
        if len(raw) <= KEY_HASH_SIZE:
            raise NoteMalformedError(f"the signature of {match[1]} is too short")
        if (match[1], raw[:KEY_HASH_SIZE]) != (verifier.name, verifier.key_hash):
            continue
        if len(raw) != KEY_HASH_SIZE + 64 or not Signature(raw[KEY_HASH_SIZE:]).verify(
            Pubkey(verifier.public_key), body.encode()
        ):
            raise BadSignatureError(f"the signature of {verifier.name} does not verify")
        found = True
    if not found:
        raise NotSignedError(f"{verifier.name} ({verifier.key_hash.hex()}) did not sign this note")
    return checkpoint


def _checkpoint(body: str) -> LogCheckpoint:
    lines = body[:-1].split("\n")
    if len(lines) < 3 or not lines[0] or _SIZE.fullmatch(lines[1]) is None or "" in lines:
        raise NoteMalformedError("a checkpoint is three lines: the log's origin, its size, its root")
    root = _base64(lines[2])
    if len(root) != HASH_SIZE:
        raise NoteMalformedError(f"a root is {HASH_SIZE} bytes")
    return LogCheckpoint(lines[0], int(lines[1]), root)


def _base64(text: str) -> bytes:
    try:
        raw = base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error) as error:
        raise NoteMalformedError(f"{text!r} is not base64") from error
    if base64.b64encode(raw).decode() != text:
        raise NoteMalformedError(f"{text!r} is not canonical base64")
    return raw
