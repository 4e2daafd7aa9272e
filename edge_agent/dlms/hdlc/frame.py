"""One HDLC frame of format type 3 (Green Book 8.4): flag, format, addresses, control, HCS, information, FCS, flag."""

from __future__ import annotations

from edge_agent.dlms.errors import DecodeError, EncodeError
from edge_agent.dlms.hdlc.checksum import checksum, checksum_bytes

FLAG = 0x7E
MAX_LENGTH = 0x7FF
"""The eleven length bits: a frame without its flags has at most 2047 bytes."""

FINAL = 0x10
RR = 0x01
RNR = 0x05
REJ = 0x09
SNRM = 0x83
DISC = 0x43
UA = 0x63
DM = 0x0F
FRMR = 0x87
UI = 0x03

INFORMATION = "I"
NAMES = {RR: "RR", RNR: "RNR", REJ: "REJ", SNRM: "SNRM", DISC: "DISC", UA: "UA", DM: "DM", FRMR: "FRMR", UI: "UI"}


class HdlcFrame:
    """A frame: addresses as they stand on the wire, the control byte, the information field, the segmentation bit."""

    __slots__ = ("control", "destination", "information", "segmented", "source")

    def __init__(
        self, destination: bytes, source: bytes, control: int, information: bytes = b"", segmented: bool = False
    ) -> None:
        self.destination = destination
        self.source = source
        self.control = control
        self.information = information
        self.segmented = segmented

    @property
    def kind(self) -> str:
        """`I`, `RR`, `RNR`, `REJ`, `SNRM`, `DISC`, `UA`, `DM`, `FRMR`, `UI`, or the control byte in hex."""
        if not self.control & 1:
            return INFORMATION
        supervisory = self.control & 0x0F
        if supervisory in (RR, RNR, REJ):
            return NAMES[supervisory]
        return NAMES.get(self.control & ~FINAL, f"0x{self.control:02x}")

    @property
    def final(self) -> bool:
        """The poll/final bit."""
        return self.control & FINAL != 0

    @property
    def send_number(self) -> int:
        """N(S) of an I frame."""
        return self.control >> 1 & 7

    @property
    def receive_number(self) -> int:
        """N(R) of an I, RR, RNR or REJ frame."""
        return self.control >> 5

    def to_bytes(self) -> bytes:
        """With both flags; EncodeError `too_long` above 2047 bytes."""
        head = self.destination + self.source + bytes((self.control,))
        length = 2 + len(head) + 2 + (len(self.information) + 2 if self.information else 0)
        if length > MAX_LENGTH:
            raise EncodeError("too_long", f"a frame has at most {MAX_LENGTH} bytes, this one {length}")
        body = bytes((0xA0 | (8 if self.segmented else 0) | length >> 8, length & 0xFF)) + head
        if self.information:
            body += checksum_bytes(body)
            body += self.information
        return b"\x7e" + body + checksum_bytes(body) + b"\x7e"

    @classmethod
    def from_bytes(cls, data: bytes) -> HdlcFrame:
        """Exactly one frame with both flags; DecodeError with its cause and offset."""
        frame, end = read_frame(data, 0)
        if frame is None:
            raise DecodeError("truncated_frame", "the frame is cut short", len(data))
        if end != len(data):
            raise DecodeError("trailing_bytes", f"{len(data) - end} bytes follow the frame", end)
        return frame

    def __eq__(self, other: object) -> bool:
        return isinstance(other, HdlcFrame) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __repr__(self) -> str:
        return (
            f"HdlcFrame({self.kind}, to {self.destination.hex()}, from {self.source.hex()}, "
            f"control=0x{self.control:02x}, {len(self.information)} bytes{', segmented' if self.segmented else ''})"
        )


def _address_end(data: bytes, position: int, limit: int) -> int:
    """The position after an address; 0 where more bytes are needed, -1 where it is none."""
    end = position
    while True:
        if end - position >= 4:
            return -1
        if end >= limit:
            return 0
        end += 1
        if data[end - 1] & 1:
            return -1 if end - position == 3 else end


def read_frame(data: bytes, position: int) -> tuple[HdlcFrame | None, int]:
    """The frame whose opening flag is at `position`, and the position after its closing flag.

    (None, position) where more bytes are needed. The header's own check is looked at as soon as it is there, so a
    flag byte inside other bytes does not make the reader wait for a frame that does not exist. DecodeError: `no_flag`,
    `bad_format`, `bad_address`, `bad_hcs`, `bad_fcs`.
    """
    size = len(data)
    if position >= size:
        return None, position
    if data[position] != FLAG:
        raise DecodeError("no_flag", f"a frame starts with 0x7e, found 0x{data[position]:02x}", position)
    start = position + 1
    if size - start < 2:
        if size - start == 1 and data[start] & 0xF0 != 0xA0:
            raise DecodeError("bad_format", "this is not a frame of format type 3", start)
        return None, position
    if data[start] & 0xF0 != 0xA0:
        raise DecodeError("bad_format", "this is not a frame of format type 3", start)
    length = (data[start] & 7) << 8 | data[start + 1]
    end = start + length
    if length < 7:
        raise DecodeError("bad_format", f"a frame has at least 7 bytes, this one says {length}", start)
    # Addresses end within ten bytes, so it shows before the frame's length has arrived when there is no header.
    destination = start + 2
    source = _address_end(data, destination, size)
    if source == 0:
        return None, position
    control = _address_end(data, source, size) if source > 0 else -1
    if control == 0:
        return None, position
    if control < 0 or control + 3 > end:
        raise DecodeError("bad_address", "the addresses are not of 1, 2 or 4 bytes", destination)
    if size < control + 3:
        return None, position
    information = control + 1
    if end > control + 3:
        found = data[information] | data[information + 1] << 8
        if checksum(data[start:information]) != found:
            raise DecodeError("bad_hcs", "the header's check (HCS) is wrong", information)
        information += 2
        if information + 2 > end:
            raise DecodeError("bad_format", "the length leaves no room for the frame's check", start)
    if size <= end:
        return None, position
    found = data[end - 2] | data[end - 1] << 8
    if checksum(data[start : end - 2]) != found:
        raise DecodeError("bad_fcs", "the frame's check (FCS) is wrong", end - 2)
    if data[end] != FLAG:
        raise DecodeError("no_flag", f"a frame ends with 0x7e, found 0x{data[end]:02x}", end)
    frame = HdlcFrame(
        data[destination:source],
        data[source:control],
        data[control],
        data[information : end - 2] if information != control + 1 else b"",
        data[start] & 8 != 0,
    )
    return frame, end + 1
