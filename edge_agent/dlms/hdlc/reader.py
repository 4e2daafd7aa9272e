"""Frames out of a stream of bytes. After noise it finds its place again by the length field, not by the next flag."""

from __future__ import annotations

from edge_agent.dlms.errors import DecodeError
from edge_agent.dlms.hdlc.frame import FLAG, MAX_LENGTH, read_frame

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.dlms.hdlc.frame import HdlcFrame


class FrameReader:
    """Give it bytes as they come; it returns frames, and a DecodeError for each stretch that is not one.

    The offset of an error counts from the first byte ever given. At most one frame's bytes are held.
    """

    __slots__ = ("_buffer", "_noise_at", "consumed")

    def __init__(self) -> None:
        self._buffer = b""
        self.consumed = 0
        self._noise_at = -1

    @property
    def pending(self) -> bool:
        """Whether the start of what may be a frame is held."""
        return len(self._buffer) > 1

    def receive(self, data: bytes) -> list[HdlcFrame | DecodeError]:
        """The frames and errors that these bytes complete, in order."""
        buffer = self._buffer + data
        found: list[HdlcFrame | DecodeError] = []
        position = 0
        size = len(buffer)
        while position < size:
            if buffer[position] != FLAG:
                if self._noise_at < 0:
                    self._noise_at = self.consumed + position
                flag = buffer.find(b"\x7e", position)
                position = size if flag < 0 else flag
                continue
            try:
                frame, end = read_frame(buffer, position)
            except DecodeError as error:
                # A flag followed by a flag, or the closing flag of the frame before: no error of its own.
                quiet = error.code == "bad_format" and error.offset == position + 1
                if not quiet:
                    self._noise_at = -1
                    found.append(DecodeError(error.code, error.message, self.consumed + (error.offset or 0)))
                elif buffer[position + 1] != FLAG and self._noise_at < 0:
                    self._noise_at = self.consumed + position
                position += 1
                continue
            if frame is None:
                break
            self._report_noise(found, self.consumed + position)
            found.append(frame)
            position = end - 1  # the closing flag may open the next frame
            if position + 1 == size:
                break
        if size - position > MAX_LENGTH + 2:
            position = size - MAX_LENGTH - 2
        self.consumed += position
        self._buffer = buffer[position:]
        return found

    def _report_noise(self, found: list[HdlcFrame | DecodeError], until: int) -> None:
        if 0 <= self._noise_at < until:
            message = f"{until - self._noise_at} bytes that are not a frame"
            found.append(DecodeError("noise", message, self._noise_at))
        self._noise_at = -1

    def flush(self) -> list[HdlcFrame | DecodeError]:
        """The line has gone quiet: what is held can be no frame any more, but a frame may start further on in it."""
        found: list[HdlcFrame | DecodeError] = []
        while self._buffer:
            held = self._buffer
            if len(held) > 2:
                found.append(DecodeError("truncated_frame", "a frame is cut short", self.consumed))
            self.consumed += 1
            self._noise_at = -1
            self._buffer = b""
            found.extend(self.receive(held[1:]))
        self._noise_at = -1
        kept: list[HdlcFrame | DecodeError] = []
        for item in found:
            if isinstance(item, DecodeError) and item.code == "truncated_frame" and kept:
                continue
            kept.append(item)
        return kept

    def clear(self) -> None:
        """Forget what is held, as before a new connection."""
        self.consumed += len(self._buffer)
        self._buffer = b""
        self._noise_at = -1
