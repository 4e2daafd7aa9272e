"""ACTION-Response (Green Book 9.3): normal, with block, with list, next block."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import INVOKE_NORMAL_CONFIRMED, read_present
from edge_agent.dlms.apdu.get_response import GetResult
from edge_agent.dlms.apdu.service import BlockNumber, DataBlock, Results, Service, read_block, read_list

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Reader


class ActionResult:
    """An action-result (0 is success), and what the method returned, or None."""

    __slots__ = ("result", "returned")

    def __init__(self, result: int, returned: GetResult | None = None) -> None:
        self.result = result
        self.returned = returned

    def to_bytes(self) -> bytes:
        """The result, a presence byte, the returned value or its error."""
        return bytes((self.result,)) + (b"\x00" if self.returned is None else b"\x01" + self.returned.to_bytes())

    @classmethod
    def read(cls, reader: Reader) -> ActionResult:
        """From where the reader stands."""
        result = reader.u8()
        return cls(result, GetResult.read(reader) if read_present(reader) else None)

    def __repr__(self) -> str:
        return f"ActionResult({self.result}, {self.returned!r})"


class ActionResponse(Service):
    """The service; `from_bytes` gives one of its kinds."""

    TAG = 0xC7
    NAME = "an ACTION-Response"

    @classmethod
    def read(cls, kind: int, reader: Reader, invoke: int) -> Service | None:
        """As `Service.read`."""
        if kind == 1:
            return ActionResponseNormal(ActionResult.read(reader), invoke)
        if kind == 2:
            return ActionResponseBlock(*read_block(reader), invoke)
        if kind == 3:
            return ActionResponseWithList(read_list(reader, "results", 1, ActionResult.read), invoke)
        if kind == 4:
            return ActionResponseNext(reader.u32(), invoke)
        return None


class ActionResponseNormal(ActionResponse):
    """The result of one method."""

    KIND = 1
    FIELDS = ("result", "invoke")

    def __init__(self, result: ActionResult, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.result = result
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C7 01."""
        return self.head() + self.result.to_bytes()


class ActionResponseBlock(DataBlock):
    """C7 02: part of the encoding of an ActionResult."""

    TAG = ActionResponse.TAG
    KIND = 2


class ActionResponseWithList(Results):
    """C7 03: an ActionResult for each method."""

    TAG = ActionResponse.TAG
    KIND = 3
    results: list[ActionResult]


class ActionResponseNext(BlockNumber):
    """C7 04: the block has arrived: send the next."""

    TAG = ActionResponse.TAG
    KIND = 4
