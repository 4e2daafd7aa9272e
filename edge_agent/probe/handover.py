"""The second line of a probe: a gateway asks for frames, and brings the authority's receipts for them.

A message is kind (1), number (1), length u16 little-endian (2), content, CRC-16/X-25 of all before it (2). The gateway
speaks, the probe answers under the same number; a gateway that gets no answer asks again under it, and passes over
answers of other numbers, which are late. `Q` (no content) is answered with `F`, up to MOST frames of 192 bytes, oldest
first; `R` (receipts one after another) with `K`, one byte: how many freed a frame. What is no message is not answered.
"""

from __future__ import annotations

from edge_agent.dlms.hdlc.checksum import checksum_bytes
from edge_agent.probe import ed25519
from edge_agent.wire.reading import (
    VERDICT_ACCEPTED,
    VERDICT_HELD,
    ReadingError,
    split_receipts,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.probe.journal import ProbeJournal
    from edge_agent.wire.reading import Receipt

ASK, FRAMES, RECEIPTS, TAKEN = b"Q", b"F", b"R", b"K"
HEADER_SIZE = 4
MOST = 16
"""Frames in one answer."""
MAX_CONTENT = 8192


def message(kind: bytes, number: int, content: bytes = b"") -> bytes:
    """A message as it goes onto the line."""
    whole = kind + bytes((number,)) + len(content).to_bytes(2, "little") + content
    return whole + checksum_bytes(whole)


class Messages:
    """Takes messages out of what comes over a line; what is none is passed over byte by byte."""

    def __init__(self) -> None:
        self._buffer = b""

    def receive(self, data: bytes) -> list[tuple[bytes, int, bytes]]:
        """The messages that these bytes complete: kind, number and content."""
        self._buffer += data
        found = []
        while len(self._buffer) >= HEADER_SIZE:
            size = int.from_bytes(self._buffer[2:HEADER_SIZE], "little")
            end = HEADER_SIZE + size
            if self._buffer[:1] in (ASK, FRAMES, RECEIPTS, TAKEN) and size <= MAX_CONTENT:
                if len(self._buffer) < end + 2:
                    break
                if self._buffer[end : end + 2] == checksum_bytes(self._buffer[:end]):
                    found.append((self._buffer[:1], self._buffer[1], self._buffer[HEADER_SIZE:end]))
                    self._buffer = self._buffer[end + 2 :]
                    continue
            self._buffer = self._buffer[1:]
        return found

    def quiet(self) -> None:
        """The line has been silent: what was half a message is forgotten."""
        self._buffer = b""


class Handover:
    """The probe's side. A frame is freed by a receipt of its network that the pinned receipt key signed, alone."""

    def __init__(self, journal: ProbeJournal, network_id: bytes, receipt_key: bytes) -> None:
        self._journal = journal
        self._network_id = network_id
        self._receipt_key = receipt_key
        self._messages = Messages()

    def receive(self, data: bytes) -> bytes:
        """What to write in answer to these bytes; none: the line has been silent."""
        if not data:
            self._messages.quiet()
        out = b""
        for kind, number, content in self._messages.receive(data):
            if kind == ASK:
                out += message(FRAMES, number, b"".join([frame.to_bytes() for frame in self._journal.waiting[:MOST]]))
            elif kind == RECEIPTS:
                out += message(TAKEN, number, bytes((self._take(content),)))
        return out

    def _take(self, data: bytes) -> int:
        try:
            receipts = split_receipts(data)
        except ReadingError:
            return 0
        return sum([self._free(receipt) for receipt in receipts])

    def _free(self, receipt: Receipt) -> int:
        frame = self._journal.find(receipt.record_hash)
        if frame is None or receipt.network_id != self._network_id:
            return 0
        if receipt.verdict not in (VERDICT_ACCEPTED, VERDICT_HELD):
            return 0
        try:
            signed = receipt.signed_message(frame)
        except ReadingError:
            return 0
        if not ed25519.verify(self._receipt_key, signed, receipt.signature):
            return 0
        self._journal.free(frame)
        return 1
