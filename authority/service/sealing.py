"""Sealed files: encrypted and authenticated in chunks, so that one of any size is written and read as a stream.

    magic (16) | kind u8 | salt (16) | prefix (7) | chunks

kind says what the key comes from: 1 a passphrase by scrypt (RFC 7914; N 2^17, r 8, p 1), 2 a key file by HKDF-SHA256
(RFC 5869). Each chunk is AES-256-GCM of up to 1 MiB and its 16-byte tag; its nonce is prefix | number u32 BE | last u8,
so that none can be left out, doubled, moved or cut off (the STREAM construction). The 40 bytes before them are
authenticated with each.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from authority.errors import AuthorityError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

MAGIC = b"CAMPUS-BACKUP-1\n"
CHUNK = 1 << 20
TAG = 16
BY_PASSPHRASE, BY_KEY = 1, 2
KEY_BYTES = 32
_HEADER = struct.Struct("<16sB16s7s")
_SCRYPT_N = 1 << 17


class SealError(AuthorityError):
    """A sealed file that cannot be opened."""


class NotSealedError(SealError):
    """The file is not a sealed one."""

    code = "not_sealed"


class WrongSecretError(SealError):
    """The passphrase or key does not open the file, or the file was changed."""

    code = "wrong_secret"


class TruncatedError(SealError):
    """The file is damaged or was cut off."""

    code = "truncated"


class Secret:
    """What a file is sealed with: a passphrase, or the 32 bytes of a key file."""

    def __init__(self, kind: int, value: bytes) -> None:
        self.kind = kind
        self._value = value

    @classmethod
    def passphrase(cls, words: str) -> Secret:
        """Words that a person remembers, or that lie in a safe."""
        return cls(BY_PASSPHRASE, words.encode())

    @classmethod
    def key(cls, value: bytes) -> Secret:
        """32 random bytes."""
        return cls(BY_KEY, value)

    def derive(self, salt: bytes) -> bytes:
        """The file's key."""
        if self.kind == BY_PASSPHRASE:
            return Scrypt(salt=salt, length=32, n=_SCRYPT_N, r=8, p=1).derive(self._value)
        return HKDF(hashes.SHA256(), 32, salt, b"campus backup").derive(self._value)


def _nonce(prefix: bytes, number: int, last: bool) -> bytes:
    return prefix + struct.pack(">IB", number, last)


class SealedWriter(io.RawIOBase):
    """A file object that seals what is written. `close` writes the last chunk, without which nothing can be read."""

    def __init__(self, file: BinaryIO, secret: Secret, *, random: Callable[[int], bytes] = os.urandom) -> None:
        self._file = file
        salt, self._prefix = random(16), random(7)
        self._header = _HEADER.pack(MAGIC, secret.kind, salt, self._prefix)
        self._cipher = AESGCM(secret.derive(salt))
        self._number = 0
        self._buffer = bytearray()
        file.write(self._header)

    def writable(self) -> bool:
        """It is for writing."""
        return True

    def write(self, data: ReadableBuffer) -> int:
        """Take bytes; a full chunk is written once more is known to follow."""
        piece = bytes(data)
        self._buffer += piece
        while len(self._buffer) > CHUNK:
            self._seal(bytes(self._buffer[:CHUNK]), last=False)
            del self._buffer[:CHUNK]
        return len(piece)

    def _seal(self, piece: bytes, *, last: bool) -> None:
        self._file.write(self._cipher.encrypt(_nonce(self._prefix, self._number, last), piece, self._header))
        self._number += 1

    def close(self) -> None:
        """Write what is left as the last chunk."""
        if not self.closed:
            self._seal(bytes(self._buffer), last=True)
            self._buffer.clear()
        super().close()


class SealedReader(io.RawIOBase):
    """A file object over a sealed file; SealError where it is none, the secret is another, or a byte was changed."""

    def __init__(self, file: BinaryIO, secret: Callable[[int], Secret]) -> None:
        """`secret` is asked with the kind that the file says."""
        self._file = file
        self._header = file.read(_HEADER.size)
        if len(self._header) != _HEADER.size or not self._header.startswith(MAGIC):
            raise NotSealedError("this is not a backup that `authority backup` wrote")
        _, kind, salt, self._prefix = _HEADER.unpack(self._header)
        if kind not in (BY_PASSPHRASE, BY_KEY):
            raise NotSealedError("this backup is of a later release: upgrade first")
        self._cipher = AESGCM(secret(kind).derive(salt))
        self._number = 0
        self._buffer = bytearray()
        self._ended = False
        self._ahead = file.read(CHUNK + TAG)

    def readable(self) -> bool:
        """It is for reading."""
        return True

    def readinto(self, target: WriteableBuffer) -> int:
        """Fill a buffer as far as one chunk goes."""
        view = memoryview(target).cast("B")
        while not self._buffer and not self._ended:
            self._open()
        piece = self._buffer[: len(view)]
        view[: len(piece)] = piece
        del self._buffer[: len(piece)]
        return len(piece)

    def _open(self) -> None:
        piece, self._ahead = self._ahead, self._file.read(CHUNK + TAG)
        last = not self._ahead
        try:
            self._buffer += self._cipher.decrypt(_nonce(self._prefix, self._number, last), piece, self._header)
        except (InvalidTag, ValueError) as error:
            if self._number == 0:
                raise WrongSecretError(
                    "this passphrase or key file does not open the backup, or the backup was changed"
                ) from error
            raise TruncatedError("the backup is damaged or was cut off: take another copy of it") from error
        self._number += 1
        self._ended = last
