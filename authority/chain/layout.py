"""What the generated classes of authority.chain.accounts have in common: fields in C layout, read by struct.

Anchor takes only types without padding for these accounts, so fields simply follow one another, little-endian.
"""

from __future__ import annotations

import struct
from typing import Any, ClassVar, Self

from authority.chain.errors import ChainError

DISCRIMINATOR_SIZE = 8


class LayoutError(ChainError):
    """Bytes are not the account that they are read as: another discriminator, or cut short."""

    code = "account_layout"


class Fields:
    """Some fields in a row. FORMAT says how they lie; `of` puts what it unpacks into them."""

    __slots__ = ()
    FORMAT: ClassVar[struct.Struct]

    @classmethod
    def of(cls, v: tuple[Any, ...]) -> Self:
        """The fields, of the values that FORMAT unpacks."""
        raise NotImplementedError

    @classmethod
    def array(cls, data: bytes, offset: int, count: int) -> list[Self]:
        """So many elements that lie one behind the other; LayoutError where the data ends before."""
        end = offset + cls.FORMAT.size * count
        if end > len(data):
            raise LayoutError(
                f"{count} x {cls.__name__} at offset {offset} end at {end}, and there are {len(data)} bytes"
            )
        return [cls.of(values) for values in cls.FORMAT.iter_unpack(memoryview(data)[offset:end])]


class ProgramAccount(Fields):
    """An account of a program: its discriminator, then the fields. Bytes after them are passed over."""

    __slots__ = ()
    PROGRAM: ClassVar[str]
    DISCRIMINATOR: ClassVar[bytes]

    @classmethod
    def size(cls) -> int:
        """Bytes of the account with its discriminator; an array behind it comes on top."""
        return DISCRIMINATOR_SIZE + cls.FORMAT.size

    @classmethod
    def is_in(cls, data: bytes) -> bool:
        """Whether the data begins with this account's discriminator."""
        return data.startswith(cls.DISCRIMINATOR)

    @classmethod
    def from_account(cls, data: bytes) -> Self:
        """Read an account's data; LayoutError."""
        if not cls.is_in(data):
            raise LayoutError(
                f"these bytes are not a {cls.__name__} of {cls.PROGRAM}: they start with {data[:8].hex() or 'nothing'}"
            )
        if len(data) < cls.size():
            raise LayoutError(f"a {cls.__name__} of {cls.PROGRAM} has {cls.size()} bytes, these are {len(data)}")
        return cls.of(cls.FORMAT.unpack_from(data, DISCRIMINATOR_SIZE))
