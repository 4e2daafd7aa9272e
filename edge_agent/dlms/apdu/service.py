"""What GET, SET and ACTION share (Green Book 9.3): kind and invoke-id after the tag, lists, blocks of an encoding."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import INVOKE_NORMAL_CONFIRMED, Apdu, bad_choice
from edge_agent.dlms.axdr import Reader, encode, write_length
from edge_agent.dlms.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from edge_agent.dlms.axdr import Data

    T = TypeVar("T")


class Service(Apdu):
    """A request or response of a service; `from_bytes` gives one of its kinds."""

    NAME = ""
    KIND = 0
    invoke = 0

    def head(self) -> bytes:
        """Tag, kind, invoke-id and priority."""
        return bytes((self.TAG, self.KIND, self.invoke))

    @classmethod
    def read(cls, kind: int, reader: Reader, invoke: int) -> Service | None:
        """What follows the head of a kind; None where the service has no such kind. DecodeError."""
        raise NotImplementedError

    @classmethod
    def from_bytes(cls, data: bytes) -> Service:
        """Read an APDU with its tag; DecodeError."""
        reader = Reader(data)
        reader.expect(cls.TAG, cls.NAME)
        kind = reader.u8()
        found = cls.read(kind, reader, reader.u8())
        if found is None:
            raise bad_choice(cls.NAME.split(" ")[1], kind, 1)
        reader.end()
        return found


class BlockNumber(Service):
    """A block has arrived, and the next may come."""

    FIELDS = ("block_number", "invoke")

    def __init__(self, block_number: int, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.block_number = block_number
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """The head and 32 bits."""
        return self.head() + self.block_number.to_bytes(4, "big")


class DataBlock(Service):
    """Part of an encoding."""

    FIELDS: tuple[str, ...] = ("last", "block_number", "raw", "invoke")

    def __init__(self, last: bool, block_number: int, raw: bytes, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.last = last
        self.block_number = block_number
        self.raw = raw
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """The head and the block."""
        return self.head() + write_block(self.last, self.block_number, self.raw)


class Results(Service):
    """The results of several attributes or methods, in the order of the request."""

    FIELDS = ("results", "invoke")

    def __init__(self, results: list[Any], invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.results = results
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """The head and each result."""
        return self.head() + write_list([result.to_bytes() for result in self.results])


def read_block(reader: Reader) -> tuple[bool, int, bytes]:
    """Whether it is the last, its number, and its bytes."""
    last = reader.u8() != 0
    number = reader.u32()
    return last, number, reader.octets()


def write_block(last: bool, number: int, raw: bytes) -> bytes:
    """As `read_block` has it."""
    return bytes((1 if last else 0,)) + number.to_bytes(4, "big") + write_length(len(raw)) + raw


def read_list(reader: Reader, what: str, least: int, read: Callable[[Reader], T]) -> list[T]:
    """A counted list of items that take `least` bytes each; DecodeError `cut_short` before any more is read."""
    count = reader.length()
    if count * least > reader.left():
        raise DecodeError("cut_short", f"a list of {count} {what} is cut short", reader.position)
    return [read(reader) for _ in range(count)]


def write_list(items: list[bytes]) -> bytes:
    """The number of the items, and each."""
    return write_length(len(items)) + b"".join(items)


def read_values(reader: Reader, count: int, what: str) -> list[Data]:
    """The values that belong to a list of `count`; DecodeError `bad_length` for more or fewer."""
    at = reader.position
    if reader.length() != count:
        raise DecodeError("bad_length", f"as many {what} must be given", at)
    return [reader.value() for _ in range(count)]


def write_values(values: list[Data]) -> bytes:
    """As `read_values` has it."""
    return write_list([encode(value) for value in values])
