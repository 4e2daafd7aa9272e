"""SET-Request (Green Book 9.3): normal, with first data block, with data block, with list."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import (
    INVOKE_NORMAL_CONFIRMED,
    Apdu,
    CosemAttribute,
    Selection,
    bad_choice,
    read_selection,
    write_selection,
)
from edge_agent.dlms.axdr import Reader, encode, write_length
from edge_agent.dlms.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Data


class SetRequest(Apdu):
    """The service; `from_bytes` gives one of its kinds."""

    TAG = 0xC1
    FIELDS: tuple[str, ...] = ()

    @classmethod
    def from_bytes(cls, data: bytes) -> SetRequest:
        """Read an APDU with its tag; DecodeError."""
        reader = Reader(data)
        reader.expect(cls.TAG, "a SET-Request")
        kind = reader.u8()
        invoke = reader.u8()
        request: SetRequest
        if kind == 1:
            attribute = CosemAttribute.read(reader)
            selection = read_selection(reader)
            request = SetRequestNormal(attribute, reader.value(), selection, invoke)
        elif kind == 2:
            attribute = CosemAttribute.read(reader)
            selection = read_selection(reader)
            request = SetRequestFirstBlock(attribute, selection, *_read_block(reader), invoke)
        elif kind == 3:
            request = SetRequestBlock(*_read_block(reader), invoke)
        elif kind == 4:
            request = _read_list(reader, invoke)
        else:
            raise bad_choice("SET-Request", kind, 1)
        reader.end()
        return request


def _read_block(reader: Reader) -> tuple[bool, int, bytes]:
    last = reader.u8() != 0
    number = reader.u32()
    return last, number, reader.octets()


def _write_block(last: bool, number: int, raw: bytes) -> bytes:
    return bytes((1 if last else 0,)) + number.to_bytes(4, "big") + write_length(len(raw)) + raw


def _read_list(reader: Reader, invoke: int) -> SetRequestWithList:
    count = reader.length()
    if count * 10 > reader.left():
        raise DecodeError("cut_short", f"a list of {count} attributes is cut short", reader.position)
    attributes = []
    for _ in range(count):
        attribute = CosemAttribute.read(reader)
        attributes.append((attribute, read_selection(reader)))
    at = reader.position
    if reader.length() != count:
        raise DecodeError("bad_length", "as many values as attributes must be set", at)
    return SetRequestWithList([(a, s, reader.value()) for a, s in attributes], invoke)


class SetRequestNormal(SetRequest):
    """One attribute and its new value."""

    FIELDS = ("attribute", "value", "selection", "invoke")

    def __init__(
        self,
        attribute: CosemAttribute,
        value: Data,
        selection: Selection | None = None,
        invoke: int = INVOKE_NORMAL_CONFIRMED,
    ) -> None:
        self.attribute = attribute
        self.value = value
        self.selection = selection
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C1 01."""
        head = bytes((self.TAG, 1, self.invoke)) + self.attribute.to_bytes()
        return head + write_selection(self.selection) + encode(self.value)


class SetRequestFirstBlock(SetRequest):
    """One attribute and the first part of its new value's encoding."""

    FIELDS = ("attribute", "selection", "last", "block_number", "raw", "invoke")

    def __init__(
        self,
        attribute: CosemAttribute,
        selection: Selection | None,
        last: bool,
        block_number: int,
        raw: bytes,
        invoke: int = INVOKE_NORMAL_CONFIRMED,
    ) -> None:
        self.attribute = attribute
        self.selection = selection
        self.last = last
        self.block_number = block_number
        self.raw = raw
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C1 02."""
        head = bytes((self.TAG, 2, self.invoke)) + self.attribute.to_bytes() + write_selection(self.selection)
        return head + _write_block(self.last, self.block_number, self.raw)


class SetRequestBlock(SetRequest):
    """A further part of the value's encoding."""

    FIELDS = ("last", "block_number", "raw", "invoke")

    def __init__(self, last: bool, block_number: int, raw: bytes, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.last = last
        self.block_number = block_number
        self.raw = raw
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C1 03."""
        return bytes((self.TAG, 3, self.invoke)) + _write_block(self.last, self.block_number, self.raw)


class SetRequestWithList(SetRequest):
    """Several attributes, each with selection and new value."""

    FIELDS = ("items", "invoke")

    def __init__(
        self, items: list[tuple[CosemAttribute, Selection | None, Data]], invoke: int = INVOKE_NORMAL_CONFIRMED
    ) -> None:
        self.items = items
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C1 04."""
        out = bytes((self.TAG, 4, self.invoke)) + write_length(len(self.items))
        for attribute, selection, _ in self.items:
            out += attribute.to_bytes() + write_selection(selection)
        out += write_length(len(self.items))
        for _, _, value in self.items:
            out += encode(value)
        return out
