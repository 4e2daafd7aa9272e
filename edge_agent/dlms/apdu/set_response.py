"""SET-Response (Green Book 9.3): normal, data block acknowledged, last data block, with list."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import INVOKE_NORMAL_CONFIRMED, Apdu, bad_choice
from edge_agent.dlms.axdr import Reader, write_length


class SetResponse(Apdu):
    """The service; `from_bytes` gives one of its kinds."""

    TAG = 0xC5
    FIELDS: tuple[str, ...] = ()

    @classmethod
    def from_bytes(cls, data: bytes) -> SetResponse:
        """Read an APDU with its tag; DecodeError."""
        reader = Reader(data)
        reader.expect(cls.TAG, "a SET-Response")
        kind = reader.u8()
        invoke = reader.u8()
        response: SetResponse
        if kind == 1:
            response = SetResponseNormal(reader.u8(), invoke)
        elif kind == 2:
            response = SetResponseBlock(reader.u32(), invoke)
        elif kind == 3:
            result = reader.u8()
            response = SetResponseLastBlock(result, reader.u32(), invoke)
        elif kind == 5:
            response = SetResponseWithList(list(reader.octets()), invoke)
        else:
            raise bad_choice("SET-Response", kind, 1)
        reader.end()
        return response


class SetResponseNormal(SetResponse):
    """A data-access-result."""

    FIELDS = ("result", "invoke")

    def __init__(self, result: int, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.result = result
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C5 01."""
        return bytes((self.TAG, 1, self.invoke, self.result))


class SetResponseBlock(SetResponse):
    """The block has arrived: send the next."""

    FIELDS = ("block_number", "invoke")

    def __init__(self, block_number: int, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.block_number = block_number
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C5 02."""
        return bytes((self.TAG, 2, self.invoke)) + self.block_number.to_bytes(4, "big")


class SetResponseLastBlock(SetResponse):
    """The last block has arrived; the result of the whole."""

    FIELDS = ("result", "block_number", "invoke")

    def __init__(self, result: int, block_number: int, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.result = result
        self.block_number = block_number
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C5 03."""
        return bytes((self.TAG, 3, self.invoke, self.result)) + self.block_number.to_bytes(4, "big")


class SetResponseWithList(SetResponse):
    """A data-access-result for each attribute."""

    FIELDS = ("results", "invoke")

    def __init__(self, results: list[int], invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.results = results
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C5 05."""
        return bytes((self.TAG, 5, self.invoke)) + write_length(len(self.results)) + bytes(self.results)
