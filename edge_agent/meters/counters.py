"""Invocation counters that survive: of one key, no number is used twice, whatever happens to the process.

A file for each key holds the first number that was not yet handed out. It is made durable before a number leaves, a
block of numbers at a time, so a crash skips some and repeats none. Two processes with one directory take blocks in turn
under a lock; a block is given up once another has begun a later one, for a meter wants numbers that rise.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

from edge_agent.meters.errors import CounterExhaustedError, CounterFileError, CounterTooFarError
from edge_agent.wire.files import sync_directory

BLOCK = 32
LIMIT = 1 << 32

COUNTER_STEP = 1 << 20
"""How far a meter may ask for a higher invocation counter at once: what an answer made up on the line can waste."""


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
        if self._next >= self._end or self._kept() != self._end:
            self._reserve(0)
        number = self._next
        self._next += 1
        return number

    def raise_to(self, least: int) -> None:
        """Go on from `least` at the lowest: what a meter that has seen higher numbers asks for."""
        if least > self._next:
            self._reserve(least)

    def follow(self, least: int, most: int | None = None) -> bool:
        """Go on from what a meter asks for, where that is a step up of at most COUNTER_STEP; whether it was.

        Such an answer is not authenticated: one made up on the line could use up all numbers at once. most: where a
        person is at hand, the highest counter to go to, whatever the step.
        """
        step = least - self()
        if step <= 0 or (step > COUNTER_STEP if most is None else least > most):
            return False
        self.raise_to(least)
        return True

    def _kept(self) -> int:
        """What the file says now; 0 where there is none."""
        try:
            return _number(self.path.read_bytes())
        except FileNotFoundError:
            return 0
        except (OSError, ValueError) as error:
            raise self._unkept(error) from error

    def _unkept(self, error: Exception) -> CounterFileError:
        return CounterFileError(f"the invocation counter {self.path} cannot be kept: {error}")

    def _reserve(self, least: int) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                text = os.pread(descriptor, 32, 0)
                # Numbers of our own count too: someone may have taken the file away.
                start = max(_number(text), self._next, least)
                if start + BLOCK > LIMIT:
                    raise CounterExhaustedError("the key's invocation counter has run out: give the meter a new key")
                os.pwrite(descriptor, b"%-20d\n" % (start + BLOCK), 0)
                os.fsync(descriptor)
                if not text:
                    sync_directory(self.path.parent)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            raise self._unkept(error) from error
        self._next, self._end = start, start + BLOCK


def counter_too_far(counter: InvocationCounter, least: int) -> CounterTooFarError:
    """What to tell a person where a meter asks for a counter that `follow` does not go to."""
    return CounterTooFarError(
        f"the meter wants invocation counters from {least} on, too far from ours to follow on its word alone; if its "
        "key has been used elsewhere, or the counters here were lost, give it once to "
        f"`edge-agent read --counters {counter.path.parent} --counter-from {least}`",
    )


def _number(text: bytes) -> int:
    """The number in a file's first bytes, 1 in a file that was just made; ValueError."""
    number = int(text[:32]) if text.strip() else 1
    if not 0 < number <= LIMIT:
        raise ValueError(f"{number} is not an invocation counter")
    return number
