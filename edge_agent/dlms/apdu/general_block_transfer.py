"""General-block-transfer (Green Book 9.4.6.13): any APDU, ciphered or not, in numbered blocks.

Each side numbers its blocks from 1 through one exchange, empty ones included. The receiver's window says how many
blocks may come in a row (a stream); the last of a row has the streaming bit off and hands the turn over. The receiver
then acknowledges the last block before a gap, and asks in its window for as many as are missing.
"""

from __future__ import annotations

from edge_agent.dlms.apdu.base import Apdu
from edge_agent.dlms.axdr import Reader, write_length
from edge_agent.dlms.errors import EncodeError, ProtocolError
from edge_agent.dlms.pieces import Pieces

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LAST_BLOCK = 0x80
STREAMING = 0x40
WINDOW = 0x3F

MAX_APDU = 1 << 20
MAX_BLOCKS = 0xFFFF
HEADER = 10
"""Bytes that a block needs around its data, at most."""


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

    __slots__ = ("_pieces", "due")

    def __init__(self, first: int = 1) -> None:
        self.due = first
        self._pieces = Pieces(MAX_APDU)

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self._pieces.size

    def add(self, block: GeneralBlockTransfer) -> bytes | None:
        """The APDU once its last block has come; ProtocolError `missing_segment`, `too_long`."""
        if block.block_number != self.due:
            raise ProtocolError("missing_segment", f"block {self.due} is due, {block.block_number} came")
        self._pieces.add(block.raw)
        self.due += 1
        return self._pieces.whole() if block.last else None


class BlockReceiver:
    """The blocks of one APDU as they come: doubled ones are passed over, those after a gap wait until it is filled.

    window: how many blocks this side takes in a row. first: the number of the first block, after those that only
    acknowledged. noted is called with the code of what was repaired: `doubled_block`, `block_out_of_order`,
    `missing_block`.
    """

    __slots__ = ("_asked", "_assembly", "_held", "_held_size", "_noted", "window")

    def __init__(self, window: int = 1, first: int = 1, noted: Callable[[str], None] | None = None) -> None:
        self.window = window
        self._noted = noted
        self._asked = False  # whether the gap was asked for again
        self._assembly = BlockAssembly(first)
        self._held: dict[int, GeneralBlockTransfer] = {}
        self._held_size = 0

    @property
    def due(self) -> int:
        """The number of the block that is missing next; all before it have come."""
        return self._assembly.due

    def wanted(self) -> int:
        """How many blocks from `due` on are asked for: the window, or as many as a gap has."""
        return min([self.window] + [number - self.due for number in self._held])

    def ask_again(self, silent: bool) -> None:
        """The turn is this side's: where blocks are still missing, they are asked for once more."""
        if silent or self._held:
            self._asked = True
            self._note("missing_block")

    def _note(self, code: str) -> None:
        if self._noted is not None:
            self._noted(code)

    def add(self, block: GeneralBlockTransfer) -> bytes | None:
        """The APDU once it is whole; ProtocolError `too_long`, `transfer_aborted`."""
        number = block.block_number
        if number != self.due:
            if number < self.due or number in self._held:
                self._note("doubled_block")
            # What lies beyond any window belongs to another transfer.
            elif number <= self.due + WINDOW:
                self._held_size += len(block.raw)
                if self._assembly.size + self._held_size > MAX_APDU:
                    raise ProtocolError("too_long", f"an APDU of more than {MAX_APDU} bytes is refused")
                self._held[number] = block
            return None
        following: GeneralBlockTransfer | None = block
        while following is not None:
            whole = self._take(following)
            if whole is not None:
                return whole
            following = self._held.pop(self.due, None) if self._held else None
            if following is not None:
                self._held_size -= len(following.raw)
                if following.block_number == number + 1 and not self._asked:
                    self._note("block_out_of_order")
        if not self._held:
            self._asked = False
        return None

    def _take(self, block: GeneralBlockTransfer) -> bytes | None:
        if block.last and not block.raw:
            if self._assembly.size:
                raise ProtocolError(
                    "transfer_aborted", "the peer broke the block transfer off: its last block is empty"
                )
            self._assembly.due += 1  # it only acknowledges
            return None
        return self._assembly.add(block)


class BlockSender:
    """The blocks of one APDU of this side's, as many at a time as the peer's window allows, and again from where it
    says. window: how many blocks this side takes in a row."""

    __slots__ = ("_apdu", "_size", "count", "first", "window")

    def __init__(self, apdu: bytes, size: int, window: int = 1, first: int = 1) -> None:
        self._apdu = apdu
        self._size = size
        self.window = window
        self.first = first
        self.count = -(-len(apdu) // size)
        if self.final > MAX_BLOCKS:
            raise EncodeError("too_long", f"{len(apdu)} bytes do not go into {MAX_BLOCKS} blocks of {size}")

    @property
    def final(self) -> int:
        """The number of the last block."""
        return self.first + self.count - 1

    def stream(self, acknowledged: int, window: int, received: int) -> list[bytes]:
        """The blocks after `acknowledged`, `window` of them at most, none once all are acknowledged; `received` is the
        last block number that this side has. ProtocolError `missing_block` for one that was never sent."""
        if not self.first - 1 <= acknowledged <= self.final:
            raise ProtocolError("missing_block", f"block {acknowledged} was acknowledged but never sent")
        end = min(acknowledged + max(window, 1), self.final)
        out = []
        for number in range(acknowledged + 1, end + 1):
            at = (number - self.first) * self._size
            raw = self._apdu[at : at + self._size]
            block = GeneralBlockTransfer(number == self.final, number, received, raw, number < end, self.window)
            out.append(block.to_bytes())
        return out
