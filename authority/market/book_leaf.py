"""The leaf of a final book (type 3): made when an epoch is checkpointed, read by whoever bills or audits."""

from __future__ import annotations

import struct
import zlib

from authority.errors import AuthorityError
from authority.log import log

_BOOK = struct.Struct("<BI")
MAX_BOOK_BYTES = 1 << 20


class BookLeafError(AuthorityError):
    """Bytes that are not the leaf of a final book."""

    code = "book_leaf_malformed"


def book_leaf(data: bytes) -> bytes:
    """The leaf of a final book: type 3, length of the book's data u32 LE, the data by zlib (RFC 1950).

    The data (the account's head, then its bids and its asks) is what the checkpoint's book hash is the SHA-256 of.
    """
    return _BOOK.pack(log.LEAF_BOOK, len(data)) + zlib.compress(data, 9)


def book_of_leaf(leaf: bytes) -> bytes:
    """The book's data in its leaf; BookLeafError `book_leaf_malformed`."""
    malformed = BookLeafError("these bytes are not the leaf of a final book")
    if len(leaf) <= _BOOK.size or leaf[0] != log.LEAF_BOOK:
        raise malformed
    _, size = _BOOK.unpack(leaf[: _BOOK.size])
    if size > MAX_BOOK_BYTES:
        raise malformed
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(leaf[_BOOK.size :], size + 1)
    except zlib.error as error:
        raise malformed from error
    if len(data) != size or not stream.eof or stream.unused_data:
        raise malformed
    return data
