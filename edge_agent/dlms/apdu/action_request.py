"""ACTION-Request (Green Book 9.3): normal, next block, with list, with block."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import INVOKE_NORMAL_CONFIRMED, Apdu, CosemAttribute, bad_choice, read_present
from edge_agent.dlms.axdr import Reader, encode, write_length
from edge_agent.dlms.errors import DecodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.axdr import Data


class ActionRequest(Apdu):
    """The service; `from_bytes` gives one of its kinds."""

    TAG = 0xC3
    FIELDS: tuple[str, ...] = ()

    @classmethod
    def from_bytes(cls, data: bytes) -> ActionRequest:
        """Read an APDU with its tag; DecodeError."""
        reader = Reader(data)
        reader.expect(cls.TAG, "an ACTION-Request")
        kind = reader.u8()
        invoke = reader.u8()
        request: ActionRequest
        if kind == 1:
            method = CosemAttribute.read(reader)
            request = ActionRequestNormal(method, reader.value() if read_present(reader) else None, invoke)
        elif kind == 2:
            request = ActionRequestNext(reader.u32(), invoke)
        elif kind == 3:
            request = _read_list(reader, invoke)
        elif kind in (4, 6):
            first = CosemAttribute.read(reader) if kind == 4 else None
            if kind == 4 and read_present(reader):
                raise bad_choice("ACTION-Request with a selection", 1, reader.position - 1)
            last = reader.u8() != 0
            number = reader.u32()
            request = ActionRequestBlock(first, last, number, reader.octets(), invoke)
        else:
            raise bad_choice("ACTION-Request", kind, 1)
        reader.end()
        return request


def _read_list(reader: Reader, invoke: int) -> ActionRequestWithList:
    count = reader.length()
    if count * 9 > reader.left():
        raise DecodeError("cut_short", f"a list of {count} methods is cut short", reader.position)
    methods = [CosemAttribute.read(reader) for _ in range(count)]
    at = reader.position
    if reader.length() != count:
        raise DecodeError("bad_length", "as many parameters as methods must be given", at)
    return ActionRequestWithList([(method, reader.value()) for method in methods], invoke)


class ActionRequestNormal(ActionRequest):
    """One method and its parameters, or None."""

    FIELDS = ("method", "parameters", "invoke")

    def __init__(
        self, method: CosemAttribute, parameters: Data | None = None, invoke: int = INVOKE_NORMAL_CONFIRMED
    ) -> None:
        self.method = method
        self.parameters = parameters
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C3 01."""
        head = bytes((self.TAG, 1, self.invoke)) + self.method.to_bytes()
        return head + (b"\x00" if self.parameters is None else b"\x01" + encode(self.parameters))


class ActionRequestNext(ActionRequest):
    """The block after `block_number`, which has arrived."""

    FIELDS = ("block_number", "invoke")

    def __init__(self, block_number: int, invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.block_number = block_number
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C3 02."""
        return bytes((self.TAG, 2, self.invoke)) + self.block_number.to_bytes(4, "big")


class ActionRequestWithList(ActionRequest):
    """Several methods, each with its parameters."""

    FIELDS = ("items", "invoke")

    def __init__(self, items: list[tuple[CosemAttribute, Data]], invoke: int = INVOKE_NORMAL_CONFIRMED) -> None:
        self.items = items
        self.invoke = invoke

    def to_bytes(self) -> bytes:
        """C3 03."""
        out = bytes((self.TAG, 3, self.invoke)) + write_length(len(self.items))
        for method, _ in self.items:
            out += method.to_bytes()
        out += write_length(len(self.items))
        for _, parameters in self.items:
            out += encode(parameters)
        return out


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
        head += bytes((1 if self.last else 0,)) + self.block_number.to_bytes(4, "big")
        return head + write_length(len(self.raw)) + self.raw
