"""GET-Request (Green Book 9.3): normal, next data block, with list."""

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
from edge_agent.dlms.axdr import Reader, write_length
from edge_agent.dlms.errors import DecodeError


class GetRequest(Apdu):
    """The service; `from_bytes` gives one of its three kinds."""

    TAG = 0xC0
    FIELDS: tuple[str, ...] = ()

    @classmethod
    def from_bytes(cls, data: bytes) -> GetRequest:
        """Read an APDU with its tag; DecodeError."""
        reader = Reader(data)
        reader.expect(cls.TAG, "a GET-Request")
        kind = reader.u8()
        invoke = reader.u8()
        request: GetRequest
        if kind == 1:
            attribute = CosemAttribute.read(reader)
            request = GetRequestNormal(attribute, read_selection(reader), invoke)
        elif kind == 2:
            request = GetRequestNext(reader.u32(), invoke)
        elif kind == 3:
            count = reader.length()
            if count * 10 > reader.left():
                raise DecodeError("cut_short", f"a list of {count} attributes is cut short", reader.position)
            items = []
            for _ in range(count):
                attribute = CosemAttribute.read(reader)
                items.append((attribute, read_selection(reader)))
            request = GetRequestWithList(items, invoke)
        else:
            raise bad_choice("GET-Request", kind, 1)
        reader.end()
        return request


class GetRequestNormal(GetRequest):
    """One attribute, whole or selected."""

    FIELDS = ("attribute", "selection", "invoke")

    def __init__(
        self, attribute: CosemAttribute, selection: Selection | None = None, invoke: int = INVOKE_NORMAL_CONFIRMED
    ) -> None:
        self.attribute = attribute
        self.selection = selection
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C0 01."""
        return bytes((self.TAG, 1, self.invoke)) + self.attribute.to_bytes() + write_selection(self.selection)


class GetRequestNext(GetRequest):
    """The block after `block_number`, which has arrived."""

    FIELDS = ("block_number", "invoke")

    def __init__(self, block_number: int, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.block_number = block_number
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C0 02."""
        return bytes((self.TAG, 2, self.invoke)) + self.block_number.to_bytes(4, "big")


class GetRequestWithList(GetRequest):
    """Several attributes, each with its selection or None."""

    FIELDS = ("items", "invoke")

    def __init__(
        self, items: list[tuple[CosemAttribute, Selection | None]], invoke: int = INVOKE_NORMAL_CONFIRMED
    ) -> None:
        self.items = items
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C0 03."""
        out = bytes((self.TAG, 3, self.invoke)) + write_length(len(self.items))
        for attribute, selection in self.items:
            out += attribute.to_bytes() + write_selection(selection)
        return out
