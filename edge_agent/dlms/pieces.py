"""Bytes that come in pieces: however small they are, keeping them costs little more than their bytes."""

from __future__ import annotations

from edge_agent.dlms.errors import ProtocolError

GATHERED = 4096
"""Bytes to which small pieces are put together at once."""


class Pieces:
    """What has come of a whole of at most `most` bytes, where a piece counts for `least` at least."""

    __slots__ = ("_gathered", "_least", "_most", "_parts", "_size")

    def __init__(self, most: int, least: int = 0) -> None:
        self._most = most
        self._least = least
        self._size = 0
        self._parts: list[bytes] = []
        self._gathered = bytearray()

    @property
    def size(self) -> int:
        """What has come so far, as it counts."""
        return self._size

    def add(self, raw: bytes) -> None:
        """One more piece; ProtocolError `too_long`."""
        self._size += max(len(raw), self._least)
        if self._size > self._most:
            raise ProtocolError("too_long", f"more than {self._most} bytes in one transfer are refused")
        self._gathered.extend(raw)
        if len(self._gathered) >= GATHERED:
            self._parts.append(bytes(self._gathered))
            self._gathered = bytearray()

    def whole(self) -> bytes:
        """All that has come."""
        self._parts.append(bytes(self._gathered))
        self._gathered = bytearray()
        return b"".join(self._parts)
