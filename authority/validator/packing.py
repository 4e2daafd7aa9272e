"""How the ledger packs its transactions' metas: deflate, with a dictionary that the ledger learnt from its own.

One meta is like another (the same addresses, log lines and keys of JSON), and each is too short to say so by itself.
A packed value begins with 0 and the number of its dictionary (0 none, 1 the ledger's); what an earlier release
wrote begins with neither: JSON is text, and a transaction begins with the number of its signatures.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

DICTIONARY_SIZE = 1 << 15
"""As far back as deflate can point."""
_PACKED_BITS, _PACKED_MEMORY = -14, 6
"""What is packed points half as far back, and the packer's state is a third of zlib's usual one: it is copied for each
value, which took as long as the packing. A value takes two thirds of the time so, and 3 bytes in 100 more."""
_MARK = b"\0"
_PLAIN, _LEARNT = b"\0\0", b"\0\1"
_RAW = -15
_LEVEL = 6


class Packer:
    """Packs with a dictionary, or without (empty); unpacks both."""

    def __init__(self, dictionary: bytes = b"") -> None:
        self._dictionary = dictionary
        self._begun = _packer(dictionary) if dictionary else None
        """Has read the dictionary: to copy it takes a quarter of the time of reading that again."""

    @property
    def has_learnt(self) -> bool:
        """Whether there is a dictionary."""
        return bool(self._dictionary)

    def pack(self, data: bytes) -> bytes:
        """The bytes, packed."""
        if self._begun is None:
            return _PLAIN + _packed(_packer(), data)
        return _LEARNT + _packed(self._begun, data)

    def unpack(self, data: bytes | str) -> bytes:
        """The bytes as they were; zlib.error where they cannot be had again."""
        if isinstance(data, str):
            return data.encode()
        if data[:1] != _MARK:
            return data
        reader = zlib.decompressobj(_RAW, zdict=self._dictionary if data[:2] == _LEARNT else b"")
        found = reader.decompress(data[2:])
        if not reader.eof:
            raise zlib.error("it is cut short")
        return found


def _packer(dictionary: bytes = b"") -> zlib._Compress:
    known = dictionary[-(1 << -_PACKED_BITS) :]
    return zlib.compressobj(_LEVEL, zlib.DEFLATED, _PACKED_BITS, _PACKED_MEMORY, zdict=known)


def learnt(samples: Sequence[bytes]) -> bytes:
    """A dictionary of some of these samples: each is the one that is packed worst with those that were taken before.

    The first one taken is the last in it, for what is near is pointed at in fewer bits.
    """
    left, dictionary = list(samples), b""
    while left and len(dictionary) < 1 << -_PACKED_BITS:
        packer = _packer(dictionary)
        worst = max(range(len(left)), key=lambda place: len(_packed(packer, left[place])))
        dictionary = left.pop(worst) + dictionary
    return dictionary[-DICTIONARY_SIZE:]


def _packed(packer: zlib._Compress, data: bytes) -> bytes:
    copy = packer.copy()
    return copy.compress(data) + copy.flush()
