"""ACTION-Request (Green Book 9.3): normal, next block, with list, with block."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import INVOKE_NORMAL_CONFIRMED, CosemAttribute, bad_choice, read_present
from edge_agent.dlms.apdu.service import (
    BlockNumber,
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


class ActionRequest(Service):
    """The service; `from_bytes` gives one of its kinds."""

    TAG = 0xC3
    NAME = "an ACTION-Request"

    @classmethod
    def read(cls, kind: int, reader: Reader, invoke: int) -> Service | None:
        """As `Service.read`."""
        if kind == 1:
            method = CosemAttribute.read(reader)
            return ActionRequestNormal(method, reader.value() if read_present(reader) else None, invoke)
        if kind == 2:
            return ActionRequestNext(reader.u32(), invoke)
        if kind == 3:
            methods = read_list(reader, "methods", 9, CosemAttribute.read)
            parameters = read_values(reader, len(methods), "parameters as methods")
            return ActionRequestWithList([(methods[at], value) for at, value in enumerate(parameters)], invoke)
        if kind == 4:
            method = CosemAttribute.read(reader)
            if read_present(reader):
                raise bad_choice("ACTION-Request with a selection", 1, reader.position - 1)
            return ActionRequestBlock(method, *read_block(reader), invoke)
        if kind == 6:
            return ActionRequestBlock(None, *read_block(reader), invoke)
        return None


class ActionRequestNormal(ActionRequest):
    """One method and its parameters, or None."""

    KIND = 1
    FIELDS = ("method", "parameters", "invoke")

    def __init__(
        self, method: CosemAttribute, parameters: Data | None = None, invoke: int = INVOKE_NORMAL_CONFIRMED
    ) -> None:
        self.method = method
        self.parameters = parameters
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C3 01."""
        head = self.head() + self.method.to_bytes()
        return head + (b"\x00" if self.parameters is None else b"\x01" + encode(self.parameters))


class ActionRequestNext(BlockNumber):
    """C3 02: the block after `block_number`, which has arrived."""

    TAG = ActionRequest.TAG
    KIND = 2


class ActionRequestWithList(ActionRequest):
    """Several methods, each with its parameters."""

    KIND = 3
    FIELDS = ("items", "invoke")

    def __init__(self, items: list[tuple[CosemAttribute, Data]], invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.items = items
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C3 03."""
        methods = write_list([method.to_bytes() for method, _ in self.items])
        return self.head() + methods + write_values([parameters for _, parameters in self.items])


class ActionRequestBlock(ActionRequest):
    """Part of the parameters' encoding; the first part names the method, further parts have None."""

    FIELDS = ("method", "last", "block_number", "raw", "invoke")

    def __init__(
        self,
        method: CosemAttribute | None,
        last: bool,
        block_number: int,
        raw: bytes,
        invoke: int = INVOKE_NORMAL_CONFIRMED,
    ) -> None:
        self.method = method
        self.last = last
        self.block_number = block_number
        self.raw = raw
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C3 04 for the first block, C3 06 for the others."""
        head = bytes((self.TAG, 6 if self.method is None else 4, self.invoke))
        if self.method is not None:
            head += self.method.to_bytes() + b"\x00"
        return head + write_block(self.last, self.block_number, self.raw)
