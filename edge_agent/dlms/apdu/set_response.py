"""SET-Response (Green Book 9.3): normal, data block acknowledged, last data block, with list."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import INVOKE_NORMAL_CONFIRMED
from edge_agent.dlms.apdu.service import BlockNumber, Service
from edge_agent.dlms.axdr import write_length

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Reader


class SetResponse(Service):
    """The service; `from_bytes` gives one of its kinds."""

    TAG = 0xC5
    NAME = "a SET-Response"

    @classmethod
    def read(cls, kind: int, reader: Reader, invoke: int) -> Service | None:
        """As `Service.read`."""
        if kind == 1:
            return SetResponseNormal(reader.u8(), invoke)
        if kind == 2:
            return SetResponseBlock(reader.u32(), invoke)
        if kind == 3:
            result = reader.u8()
            return SetResponseLastBlock(result, reader.u32(), invoke)
        if kind == 5:
            return SetResponseWithList(list(reader.octets()), invoke)
        return None


class SetResponseNormal(SetResponse):
    """A data-access-result."""

    KIND = 1
    FIELDS = ("result", "invoke")

    def __init__(self, result: int, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.result = result
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C5 01."""
        return self.head() + bytes((self.result,))


class SetResponseBlock(BlockNumber):
    """C5 02: the block has arrived: send the next."""

    TAG = SetResponse.TAG
    KIND = 2


class SetResponseLastBlock(SetResponse):
    """The last block has arrived; the result of the whole."""

    KIND = 3
    FIELDS = ("result", "block_number", "invoke")

    def __init__(self, result: int, block_number: int, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.result = result
        self.block_number = block_number
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C5 03."""
        return self.head() + bytes((self.result,)) + self.block_number.to_bytes(4, "big")


class SetResponseWithList(SetResponse):
    """A data-access-result for each attribute."""

    KIND = 5
    FIELDS = ("results", "invoke")

    def __init__(self, results: list[int], invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.results = results
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C5 05."""
        return self.head() + write_length(len(self.results)) + bytes(self.results)
