"""GET-Request (Green Book 9.3): normal, next data block, with list."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import (
    INVOKE_NORMAL_CONFIRMED,
    CosemAttribute,
    Selection,
    read_selection,
    write_selection,
)
from edge_agent.dlms.apdu.service import BlockNumber, Service, read_list, write_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Reader


class GetRequest(Service):
    """The service; `from_bytes` gives one of its three kinds."""

    TAG = 0xC0
    NAME = "a GET-Request"

    @classmethod
    def read(cls, kind: int, reader: Reader, invoke: int) -> Service | None:
        """As `Service.read`."""
        if kind == 1:
            return GetRequestNormal(*read_selected(reader), invoke)
        if kind == 2:
            return GetRequestNext(reader.u32(), invoke)
        if kind == 3:
            return GetRequestWithList(read_list(reader, "attributes", 10, read_selected), invoke)
        return None


def read_selected(reader: Reader) -> tuple[CosemAttribute, Selection | None]:
    """An attribute and its selection, or None."""
    attribute = CosemAttribute.read(reader)
    return attribute, read_selection(reader)


def write_selected(attribute: CosemAttribute, selection: Selection | None) -> bytes:
    """As `read_selected` has it."""
    return attribute.to_bytes() + write_selection(selection)


class GetRequestNormal(GetRequest):
    """One attribute, whole or selected."""

    KIND = 1
    FIELDS = ("attribute", "selection", "invoke")

    def __init__(
        self, attribute: CosemAttribute, selection: Selection | None = None, invoke: int = INVOKE_NORMAL_CONFIRMED
    ) -> None:
        self.attribute = attribute
        self.selection = selection
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C0 01."""
        return self.head() + write_selected(self.attribute, self.selection)


class GetRequestNext(BlockNumber):
    """C0 02: the block after `block_number`, which has arrived."""

    TAG = GetRequest.TAG
    KIND = 2


class GetRequestWithList(GetRequest):
    """Several attributes, each with its selection or None."""

    KIND = 3
    FIELDS = ("items", "invoke")

    def __init__(
        self, items: list[tuple[CosemAttribute, Selection | None]], invoke: int = INVOKE_NORMAL_CONFIRMED
    ) -> None:
        self.items = items
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C0 03."""
        return self.head() + write_list([write_selected(*item) for item in self.items])
