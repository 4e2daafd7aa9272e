"""What SNRM proposes and UA settles (Green Book 8.4.5.3.2): information-field lengths and windows, each direction."""

from __future__ import annotations

from edge_agent.dlms.errors import DecodeError

FORMAT = 0x81
GROUP = 0x80
_MAX_TRANSMIT = 5
_MAX_RECEIVE = 6
_WINDOW_TRANSMIT = 7
_WINDOW_RECEIVE = 8


class LinkParameters:
    """Lengths of the information field in bytes and windows in frames, as the sender of SNRM or UA sees them."""

    __slots__ = ("max_receive", "max_transmit", "window_receive", "window_transmit")

    def __init__(
        self, max_transmit: int = 128, max_receive: int = 128, window_transmit: int = 1, window_receive: int = 1
    ) -> None:
        self.max_transmit = max_transmit
        self.max_receive = max_receive
        self.window_transmit = window_transmit
        self.window_receive = window_receive

    def to_bytes(self) -> bytes:
        """The information field of SNRM or UA."""
        group = b""
        for identifier, value in ((_MAX_TRANSMIT, self.max_transmit), (_MAX_RECEIVE, self.max_receive)):
            size = 1 if value < 0x100 else 2
            group += bytes((identifier, size)) + value.to_bytes(size, "big")
        for identifier, value in ((_WINDOW_TRANSMIT, self.window_transmit), (_WINDOW_RECEIVE, self.window_receive)):
            group += bytes((identifier, 4)) + value.to_bytes(4, "big")
        return bytes((FORMAT, GROUP, len(group))) + group

    @classmethod
    def from_bytes(cls, data: bytes) -> LinkParameters:
        """Read the field; what is absent keeps its default (128 bytes, window 1). DecodeError `bad_parameters`."""
        found = cls()
        if not data:
            return found
        if data[0] != FORMAT:
            raise DecodeError("bad_parameters", "link parameters start with 0x81", 0)
        position = 1
        while position < len(data):
            if position + 2 > len(data):
                raise DecodeError("bad_parameters", "the link parameters are cut short", position)
            group, length = data[position], data[position + 1]
            end = position + 2 + length
            if end > len(data):
                raise DecodeError("bad_parameters", "the link parameters are cut short", position)
            if group == GROUP:
                found._read_group(data, position + 2, end)
            position = end
        return found

    def _read_group(self, data: bytes, position: int, end: int) -> None:
        while position < end:
            if position + 2 > end or position + 2 + data[position + 1] > end:
                raise DecodeError("bad_parameters", "a link parameter is cut short", position)
            identifier, size = data[position], data[position + 1]
            value = int.from_bytes(data[position + 2 : position + 2 + size], "big")
            if identifier in (_MAX_TRANSMIT, _MAX_RECEIVE):
                if not 8 <= value <= 2030:
                    raise DecodeError(
                        "bad_parameters", f"an information field of {value} bytes is not possible", position
                    )
                if identifier == _MAX_TRANSMIT:
                    self.max_transmit = value
                else:
                    self.max_receive = value
            elif identifier in (_WINDOW_TRANSMIT, _WINDOW_RECEIVE):
                if not 1 <= value <= 7:
                    raise DecodeError("bad_parameters", f"a window of {value} frames is not possible", position)
                if identifier == _WINDOW_TRANSMIT:
                    self.window_transmit = value
                else:
                    self.window_receive = value
            position += 2 + size

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LinkParameters) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __repr__(self) -> str:
        return (
            f"LinkParameters(max_transmit={self.max_transmit}, max_receive={self.max_receive}, "
            f"window_transmit={self.window_transmit}, window_receive={self.window_receive})"
        )
