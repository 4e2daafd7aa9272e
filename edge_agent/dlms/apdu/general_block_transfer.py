"""General-block-transfer (Green Book 9.4.6.13): any APDU in numbered blocks, several in a window."""

from __future__ import annotations

from edge_agent.dlms.apdu.base import Apdu
from edge_agent.dlms.axdr import Reader, write_length
from edge_agent.dlms.errors import ProtocolError

LAST_BLOCK = 0x80
STREAMING = 0x40
WINDOW = 0x3F

MAX_APDU = 1 << 20


class GeneralBlockTransfer(Apdu):
    """One block; `acknowledged` is the last block number that its sender has of the other side."""

    TAG = 0xE0
    FIELDS = ("last", "streaming", "window", "block_number", "acknowledged", "raw")

    def __init__(
        self, last: bool, block_number: int, acknowledged: int, raw: bytes, streaming: bool = False, window: int = 1
    ) -> None:
        self.last = last
        self.streaming = streaming
        self.window = window
        self.block_number = block_number
        self.acknowledged = acknowledged
        self.raw = raw

    def to_bytes(self) -> bytes:
        """E0."""
        control = (LAST_BLOCK if self.last else 0) | (STREAMING if self.streaming else 0) | self.window & WINDOW
        head = bytes((self.TAG, control)) + self.block_number.to_bytes(2, "big") + self.acknowledged.to_bytes(2, "big")
        return head + write_length(len(self.raw)) + self.raw

    @classmethod
    def read(cls, reader: Reader) -> GeneralBlockTransfer:
        """From where the reader stands; what follows is left."""
        reader.expect(cls.TAG, "a general-block-transfer")
        control = reader.u8()
        number = reader.u16()
        acknowledged = reader.u16()
        raw = reader.octets()
        return cls(control & LAST_BLOCK != 0, number, acknowledged, raw, control & STREAMING != 0, control & WINDOW)

    @classmethod
    def from_bytes(cls, data: bytes) -> GeneralBlockTransfer:
        """Read an APDU with its tag; DecodeError."""
        reader = Reader(data)
        found = cls.read(reader)
        reader.end()
        return found


class BlockAssembly:
    """Puts an APDU together from its blocks, which must come in order and without a gap."""

    __slots__ = ("_parts", "_size", "due")

    def __init__(self) -> None:
        self.due = 1
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, block: GeneralBlockTransfer) -> bytes | None:
        """The APDU once its last block has come; ProtocolError `missing_segment`, `too_long`."""
        if block.block_number != self.due:
            raise ProtocolError("missing_segment", f"block {self.due} is due, {block.block_number} came")
        self._size += len(block.raw)
        if self._size > MAX_APDU:
            raise ProtocolError("too_long", f"an APDU of more than {MAX_APDU} bytes is refused")
        self._parts.append(block.raw)
        self.due += 1
        return b"".join(self._parts) if block.last else None
