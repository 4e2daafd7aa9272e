"""How often somebody tried something lately, counted in memory that the processes of one service share.

A count is one number, the moment at which all tries are there again (the virtual scheduling algorithm of ITU-T I.371).
They lie in a table of fixed size: of more names than it holds, those are forgotten that have most of their tries again.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import secrets
import struct
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

SLOTS = 32_768
PROBES = 16
"""Slots in which a name may lie."""
_DIGEST = 16
_SLOT = struct.Struct(f"<{_DIGEST}sd")


class Tries:
    """The table. `shared` is for processes that fork from the one that makes it; for any thread of each.

    A process that dies while it counts holds up nobody: its lock ends with it.
    """

    def __init__(self, *, shared: bool = False, slots: int = SLOTS) -> None:
        self._slots = slots
        self._memory = mmap.mmap(-1, slots * _SLOT.size)
        self._key = secrets.token_bytes(32)
        self._threads = threading.Lock()
        self._processes = tempfile.TemporaryFile() if shared else None  # noqa: SIM115 (locked, as long as it is open)

    def take(self, name: str, seconds: float, most: float, now: float) -> float:
        """Count a try that is there again after so many seconds, `most` seconds of them at once, at a moment.

        0, or the seconds until there is one again: then it is not counted.
        """
        digest = self._digest(name)
        with self._alone():
            place, full = self._find(digest, now)
            full = max(now, full) + seconds
            beyond = full - now - most
            if beyond <= 0:
                self._put(place, digest, full)
            return max(0.0, beyond)

    def give_back(self, name: str, seconds: float) -> None:
        """Count tries no more that were counted, worth so many seconds."""
        digest = self._digest(name)
        with self._alone():
            for place in self._places(digest):
                known, full = self._at(place)
                if known == digest:
                    self._put(place, digest, full - seconds)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._threads:
            if self._processes is None:
                yield
                return
            fcntl.lockf(self._processes, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.lockf(self._processes, fcntl.LOCK_UN)

    def _digest(self, name: str) -> bytes:
        return hashlib.blake2b(name.encode(), digest_size=_DIGEST, key=self._key).digest()

    def _places(self, digest: bytes) -> Iterator[int]:
        first = int.from_bytes(digest[:8], "little")
        return ((first + n) % self._slots for n in range(PROBES))

    def _at(self, place: int) -> tuple[bytes, float]:
        return _SLOT.unpack_from(self._memory, place * _SLOT.size)

    def _put(self, place: int, digest: bytes, full: float) -> None:
        _SLOT.pack_into(self._memory, place * _SLOT.size, digest, full)

    def _find(self, digest: bytes, now: float) -> tuple[int, float]:
        """Where a name lies and until when it counts; else where it can, now."""
        best, least = 0, float("inf")
        for place in self._places(digest):
            known, full = self._at(place)
            if known == digest:
                return place, full
            if full < least:
                best, least = place, full
        return best, now
