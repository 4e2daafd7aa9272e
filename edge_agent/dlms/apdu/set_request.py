"""SET-Request (Green Book 9.3): normal, with first data block, with data block, with list."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import INVOKE_NORMAL_CONFIRMED, CosemAttribute, Selection
from edge_agent.dlms.apdu.get_request import read_selected, write_selected
from edge_agent.dlms.apdu.service import (
    DataBlock,
    Service,
    read_block,
    read_list,
    read_values,
    write_block,
    write_list,
    write_values,
)
from edge_agent.dlms.axdr import encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Data, Reader


class SetRequest(Service):
    """The service; `from_bytes` gives one of its kinds."""

    TAG = 0xC1
    NAME = "a SET-Request"

    @classmethod
    def read(cls, kind: int, reader: Reader, invoke: int) -> Service | None:
        """As `Service.read`."""
        if kind == 1:
            attribute, selection = read_selected(reader)
            return SetRequestNormal(attribute, reader.value(), selection, invoke)
        if kind == 2:
            attribute, selection = read_selected(reader)
            return SetRequestFirstBlock(attribute, selection, *read_block(reader), invoke)
        if kind == 3:
            return SetRequestBlock(*read_block(reader), invoke)
        if kind == 4:
            attributes = read_list(reader, "attributes", 10, read_selected)
            values = read_values(reader, len(attributes), "values as attributes")
            return SetRequestWithList(
                [(attributes[at][0], attributes[at][1], value) for at, value in enumerate(values)], invoke
            )
        return None


class SetRequestNormal(SetRequest):
    """One attribute and its new value."""

    KIND = 1
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
        return self.head() + write_selected(self.attribute, self.selection) + encode(self.value)


class SetRequestFirstBlock(SetRequest):
    """One attribute and the first part of its new value's encoding."""

    KIND = 2
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
        head = self.head() + write_selected(self.attribute, self.selection)
        return head + write_block(self.last, self.block_number, self.raw)


class SetRequestBlock(DataBlock):
    """C1 03: a further part of the value's encoding."""

    TAG = SetRequest.TAG
    KIND = 3


class SetRequestWithList(SetRequest):
    """Several attributes, each with selection and new value."""

    KIND = 4
    FIELDS = ("items", "invoke")

    def __init__(
        self, items: list[tuple[CosemAttribute, Selection | None, Data]], invoke: int = INVOKE_NORMAL_CONFIRMED
    ) -> None:
        self.items = items
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C1 04."""
        attributes = write_list([write_selected(attribute, selection) for attribute, selection, _ in self.items])
        return self.head() + attributes + write_values([value for _, _, value in self.items])
