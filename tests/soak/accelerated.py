"""Runs a gateway, an emulator or the authority in a process whose wall clock goes faster; all else is as it is.

    accelerated.py BASE FACTOR JUMP agent|emulator|authority WORD ...

The wall clock shows BASE + FACTOR x (now - BASE), plus the seconds (a double) in the file JUMP, where that is not `-`:
a gateway's clock that somebody set wrong. Timeouts of lines and sockets are real seconds, and certificates are looked
at with the real clock; the agent's own waits (resending, the next try) go with the wall clock.
"""

import mmap
import struct
import sys
import time
from pathlib import Path

_real_time, _real_monotonic = time.time, time.monotonic


def _clock(base, factor, jump):
    """The fast clock; the jump is looked at anew each time, without a system call."""
    if jump == "-":
        return lambda: base + factor * (_real_time() - base)
    with Path(jump).open("rb") as file:
        shared = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    return lambda: base + factor * (_real_time() - base) + struct.unpack("<d", shared)[0]


def _agent(words, clock, factor):
    import edge_agent.agent.run as running
    from edge_agent.agent import telling
    from edge_agent.agent.gateway import EventQueue
    from edge_agent.config import load_config
    from edge_agent.wire import log

    class FastClock:
        def time(self):
            return clock()

        def monotonic(self):
            return factor * _real_monotonic()

    class FastQueue(EventQueue):
        def get(self, timeout):
            return super().get(max(0.002, timeout / factor) if timeout else 0)

    running.SystemClock, running.EventQueue = FastClock, FastQueue
    telling.STATUS_FILE_SECONDS = (factor, 30 * factor)
    log.set_up("info", "json")
    running.run(load_config(Path(words[0])))
    return 0


def main():
    base, factor, jump, kind, *words = sys.argv[1:]
    time.time = clock = _clock(float(base), float(factor), jump)
    if kind == "agent":
        return _agent(words, clock, float(factor))
    if kind == "emulator":
        from edge_agent.emulator.cli import main as emulate

        return emulate(words)
    from authority.cli import main as serve

    return serve(words)


if __name__ == "__main__":
    sys.exit(main())
