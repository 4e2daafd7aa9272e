"""GET-Response (Green Book 9.3): normal, with data block, with list."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import INVOKE_NORMAL_CONFIRMED, bad_choice
from edge_agent.dlms.apdu.service import Results, Service, read_list
from edge_agent.dlms.axdr import Reader, encode, write_length

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Data


class GetResult:
    """What came of one attribute: `data`, or a data-access-result other than 0 in `error`."""

    __slots__ = ("data", "error")

    def __init__(self, data: Data | None, error: int = 0) -> None:
        self.data = data
        self.error = error

    def to_bytes(self) -> bytes:
        """00 and the Data, or 01 and the result."""
        return bytes((1, self.error)) if self.data is None else b"\x00" + encode(self.data)

    @classmethod
    def read(cls, reader: Reader) -> GetResult:
        """From where the reader stands."""
        at = reader.position
        choice = reader.u8()
        if choice == 0:
            return cls(reader.value())
        if choice == 1:
            return cls(None, reader.u8())
        raise bad_choice("GET result", choice, at)

    def __repr__(self) -> str:
        return f"GetResult({self.data!r}, {self.error})"


class GetResponse(Service):
    """The service; `from_bytes` gives one of its three kinds."""

    TAG = 0xC4
    NAME = "a GET-Response"

    @classmethod
    def read(cls, kind: int, reader: Reader, invoke: int) -> Service | None:
        """As `Service.read`."""
        if kind == 1:
            return GetResponseNormal(GetResult.read(reader), invoke)
        if kind == 2:
            last = reader.u8() != 0
            number = reader.u32()
            at = reader.position
            choice = reader.u8()
            if choice == 0:
                return GetResponseBlock(last, number, reader.octets(), 0, invoke)
            if choice == 1:
                return GetResponseBlock(last, number, None, reader.u8(), invoke)
            raise bad_choice("data block", choice, at)
        if kind == 3:
            return GetResponseWithList(read_list(reader, "results", 1, GetResult.read), invoke)
        return None


class GetResponseNormal(GetResponse):
    """The result of one attribute."""

    KIND = 1
    FIELDS = ("result", "invoke")

    def __init__(self, result: GetResult, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.result = result
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C4 01."""
        return self.head() + self.result.to_bytes()


class GetResponseBlock(GetResponse):
    """Part of an encoded Data (or of a list of results): `raw`, or None and a data-access-result in `error`."""

    KIND = 2
    FIELDS = ("last", "block_number", "raw", "error", "invoke")

    def __init__(
        self,
        last: bool,
        block_number: int,
        raw: bytes | None,
        error: int = 0,
        invoke: int = INVOKE_NORMAL_CONFIRMED,
    ) -> None:
        self.last = last
        self.block_number = block_number
        self.raw = raw
        self.error = error
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C4 02."""
        head = self.head() + bytes((1 if self.last else 0,)) + self.block_number.to_bytes(4, "big")
        if self.raw is None:
            return head + bytes((1, self.error))
        return head + b"\x00" + write_length(len(self.raw)) + self.raw


class GetResponseWithList(Results):
    """C4 03: a GetResult for each attribute."""

    TAG = GetResponse.TAG
    KIND = 3
    results: list[GetResult]
