"""ACTION-Response (Green Book 9.3): normal, with block, with list, next block."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import INVOKE_NORMAL_CONFIRMED, Apdu, bad_choice, read_present
from edge_agent.dlms.apdu.get_response import GetResult
from edge_agent.dlms.axdr import Reader, write_length
from edge_agent.dlms.errors import DecodeError


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


class ActionResponse(Apdu):
    """The service; `from_bytes` gives one of its kinds."""

    TAG = 0xC7
    FIELDS: tuple[str, ...] = ()

    @classmethod
    def from_bytes(cls, data: bytes) -> ActionResponse:
        """Read an APDU with its tag; DecodeError."""
        reader = Reader(data)
        reader.expect(cls.TAG, "an ACTION-Response")
        kind = reader.u8()
        invoke = reader.u8()
        response: ActionResponse
        if kind == 1:
            response = ActionResponseNormal(ActionResult.read(reader), invoke)
        elif kind == 2:
            last = reader.u8() != 0
            number = reader.u32()
            response = ActionResponseBlock(last, number, reader.octets(), invoke)
        elif kind == 3:
            count = reader.length()
            if count > reader.left():
                raise DecodeError("cut_short", f"a list of {count} results is cut short", reader.position)
            response = ActionResponseWithList([ActionResult.read(reader) for _ in range(count)], invoke)
        elif kind == 4:
            response = ActionResponseNext(reader.u32(), invoke)
        else:
            raise bad_choice("ACTION-Response", kind, 1)
        reader.end()
        return response


class ActionResponseNormal(ActionResponse):
    """The result of one method."""

    FIELDS = ("result", "invoke")

    def __init__(self, result: ActionResult, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.result = result
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C7 01."""
        return bytes((self.TAG, 1, self.invoke)) + self.result.to_bytes()


class ActionResponseBlock(ActionResponse):
    """Part of the encoding of an ActionResult."""

    FIELDS = ("last", "block_number", "raw", "invoke")

    def __init__(self, last: bool, block_number: int, raw: bytes, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.last = last
        self.block_number = block_number
        self.raw = raw
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C7 02."""
        head = bytes((self.TAG, 2, self.invoke, 1 if self.last else 0)) + self.block_number.to_bytes(4, "big")
        return head + write_length(len(self.raw)) + self.raw


class ActionResponseWithList(ActionResponse):
    """The results of several methods, in the order of the request."""

    FIELDS = ("results", "invoke")

    def __init__(self, results: list[ActionResult], invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.results = results
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C7 03."""
        out = bytes((self.TAG, 3, self.invoke)) + write_length(len(self.results))
        for result in self.results:
            out += result.to_bytes()
        return out


class ActionResponseNext(ActionResponse):
    """The block has arrived: send the next."""

    FIELDS = ("block_number", "invoke")

    def __init__(self, block_number: int, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.block_number = block_number
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C7 04."""
        return bytes((self.TAG, 4, self.invoke)) + self.block_number.to_bytes(4, "big")
