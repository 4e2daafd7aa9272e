"""Wired M-Bus as the link of DLMS telegrams (EN 13757-2 long frames; EN 62056-7-3 for CI, segments and SAPs)."""

from __future__ import annotations

from edge_agent.dlms.errors import DecodeError, EncodeError

START = 0x68
STOP = 0x16
FINAL = 0x10
SEQUENCE = 0x0F
MAX_PAYLOAD = 250


class MbusFrame:
    """A long frame: control, address, CI, and what follows the CI byte."""

    __slots__ = ("address", "ci", "control", "payload")

    def __init__(self, control: int, address: int, ci: int, payload: bytes) -> None:
        self.control = control
        self.address = address
        self.ci = ci
        self.payload = payload

    @property
    def carries_dlms(self) -> bool:
        """CI 00 to 1F: a segment of a DLMS APDU, after two bytes of source and destination SAP."""
        return self.ci < 0x20

    @property
    def final(self) -> bool:
        """Whether this is the last segment."""
        return self.ci & FINAL != 0

    @property
    def sequence(self) -> int:
        """The segment's number, from 0, modulo 16."""
        return self.ci & SEQUENCE

    @property
    def segment(self) -> bytes:
        """The APDU's part in it."""
        return self.payload[2:]

    def to_bytes(self) -> bytes:
        """From 68 to 16; EncodeError `too_long`."""
        body = bytes((self.control, self.address, self.ci)) + self.payload
        if len(body) > 255:
            raise EncodeError("too_long", f"an M-Bus frame has at most 255 bytes, this one {len(body)}")
        return bytes((START, len(body), len(body), START)) + body + bytes((sum(body) & 0xFF, STOP))

    @classmethod
    def from_bytes(cls, data: bytes) -> MbusFrame:
        """Exactly one frame; DecodeError."""
        frame, end = read_frame(data, 0)
        if frame is None:
            raise DecodeError("truncated_frame", "the M-Bus frame is cut short", len(data))
        if end != len(data):
            raise DecodeError("trailing_bytes", f"{len(data) - end} bytes follow the frame", end)
        return frame

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MbusFrame) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())


def read_frame(data: bytes, position: int) -> tuple[MbusFrame | None, int]:
    """The frame at `position` and the position after it; None where more bytes are needed.

    DecodeError: `no_frame` where none starts here, `bad_checksum`, `bad_format` for a wrong stop byte.

    A length of 0 to 2 stands for 256 more, which the byte cannot say: Sagemcom's T210-D sends 257 bytes as 1.
    """
    head = data[position : position + 4]
    if head[:1] != b"\x68" or (len(head) > 2 and head[1] != head[2]) or (len(head) > 3 and head[3] != START):
        raise DecodeError("no_frame", "no M-Bus long frame starts here", position)
    if len(head) < 4:
        return None, position
    length = head[1] if head[1] >= 3 else head[1] + 0x100
    start = position + 4
    end = start + length + 2
    if len(data) < end:
        return None, position
    body = data[start : end - 2]
    if sum(body) & 0xFF != data[end - 2]:
        raise DecodeError("bad_checksum", "the M-Bus frame's checksum is wrong", end - 2)
    if data[end - 1] != STOP:
        raise DecodeError("bad_format", "an M-Bus frame ends with 0x16", end - 1)
    return MbusFrame(body[0], body[1], body[2], body[3:]), end


def split_apdu(apdu: bytes, source: int = 1, destination: int = 0x67, size: int = MAX_PAYLOAD) -> list[MbusFrame]:
    """The frames that carry an APDU, `size` bytes of it in each."""
    starts = list(range(0, len(apdu), size)) or [0]
    frames = []
    for number, at in enumerate(starts):
        ci = number & SEQUENCE | (FINAL if at == starts[-1] else 0)
        frames.append(MbusFrame(0x53, 0xFF, ci, bytes((source, destination)) + apdu[at : at + size]))
    return frames
