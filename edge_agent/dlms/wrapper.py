"""The wrapper of DLMS over TCP and UDP (IEC 62056-47): version 1, source and destination port, length, APDU."""

from __future__ import annotations

from edge_agent.dlms.errors import DecodeError, EncodeError

HEADER_SIZE = 8
VERSION = 1


class WrapperUnit:
    """One APDU between two wrapper ports (client SAP and logical device)."""

    __slots__ = ("apdu", "destination", "source")

    def __init__(self, source: int, destination: int, apdu: bytes) -> None:
        self.source = source
        self.destination = destination
        self.apdu = apdu

    def to_bytes(self) -> bytes:
        """Header and APDU; EncodeError `out_of_range`."""
        if len(self.apdu) > 0xFFFF or not (0 <= self.source <= 0xFFFF and 0 <= self.destination <= 0xFFFF):
            raise EncodeError("out_of_range", "a wrapper port and the APDU's length have 16 bits")
        header = b"\x00\x01" + self.source.to_bytes(2, "big") + self.destination.to_bytes(2, "big")
        return header + len(self.apdu).to_bytes(2, "big") + self.apdu

    @classmethod
    def from_bytes(cls, data: bytes) -> WrapperUnit:
        """Exactly one unit; DecodeError `bad_wrapper`, `cut_short`, `trailing_bytes`."""
        unit, end = read_unit(data, 0)
        if unit is None:
            raise DecodeError("cut_short", "the wrapper's unit is cut short", len(data))
        if end != len(data):
            raise DecodeError("trailing_bytes", f"{len(data) - end} bytes follow the unit", end)
        return unit

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WrapperUnit) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())


def read_unit(data: bytes, position: int) -> tuple[WrapperUnit | None, int]:
    """The unit at `position` and the position after it; None where more bytes are needed. DecodeError `bad_wrapper`."""
    head = data[position : position + 2]
    if head != b"\x00\x01"[: len(head)]:
        raise DecodeError("bad_wrapper", f"a wrapper header starts with 0001, found {head.hex()}", position)
    if len(data) - position < HEADER_SIZE:
        return None, position
    length = int.from_bytes(data[position + 6 : position + 8], "big")
    end = position + HEADER_SIZE + length
    if len(data) < end:
        return None, position
    source = int.from_bytes(data[position + 2 : position + 4], "big")
    destination = int.from_bytes(data[position + 4 : position + 6], "big")
    return WrapperUnit(source, destination, data[position + HEADER_SIZE : end]), end
