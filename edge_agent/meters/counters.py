"""Invocation counters that survive: of one key, no number is used twice, whatever happens to the process.

A file for each key holds the first number that was not yet handed out. It is made durable before a number leaves, a
block of numbers at a time, so a crash skips some and repeats none.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

from edge_agent.meters.errors import MeterError

BLOCK = 32
LIMIT = 1 << 32


class CounterStore:
    """The counters of one directory; the files' names do not tell the keys."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def counter(self, key: bytes, system_title: bytes) -> InvocationCounter:
        """The counter of a key as this system title uses it; MeterError `counter_file` where it cannot be kept."""
        name = hashlib.sha256(b"invocation counter" + key + system_title).hexdigest()[:32]
        return InvocationCounter(self.directory / name)


class InvocationCounter:
    """Gives the next number each time it is called."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._next = 0
        self._end = 0

    def __call__(self) -> int:
        """The next number, already durable; MeterError `counter_file`, `counter_exhausted`."""
        if self._next >= self._end:
            self._reserve(0)
        number = self._next
        self._next += 1
        return number

    def raise_to(self, least: int) -> None:
        """Go on from `least` at the lowest: what a meter that has seen higher numbers asks for."""
        if least > self._next:
            self._reserve(least)

    def _reserve(self, least: int) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                text = os.pread(descriptor, 32, 0)
                start = max(int(text) if text.strip() else 1, least)
                if start + BLOCK > LIMIT:
                    raise MeterError(
                        "the key's invocation counter has run out: give the meter a new key", "counter_exhausted"
                    )
                os.pwrite(descriptor, b"%-20d\n" % (start + BLOCK), 0)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            raise MeterError(f"the invocation counter {self.path} cannot be kept: {error}", "counter_file") from error
        self._next, self._end = start, start + BLOCK
