"""Runs a gateway, an emulator or the authority in a process whose wall clock goes faster; all else is as it is.

    accelerated.py CLOCK JUMP agent|emulator|authority WORD ...

The wall clock is that of the file CLOCK (tests/soak/fast_clock.py), plus the seconds (a double) in the file JUMP, where
that is not `-`: a gateway's clock that somebody set wrong. Timeouts of lines and sockets are real seconds, and
certificates are looked at with the real clock. The agent's own waits (the next try) are WAITS times shorter than real
ones, however fast the wall clock goes, and a frame goes again after RESEND_SECONDS real ones: otherwise all would go
again before an answer can be there, and the collector would have nothing but doubles to read.
"""

import mmap
import struct
import sys
import time
from pathlib import Path

from fast_clock import FastClock

WAITS, RESEND_SECONDS = 30.0, 20.0
_real_monotonic = time.monotonic


def _clock(shared, jump):
    """The fast clock; the jump is looked at anew each time, without a system call."""
    if jump == "-":
        return shared.time
    with Path(jump).open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 8, access=mmap.ACCESS_READ)
    return lambda: shared.time() + struct.unpack("<d", mapped)[0]


def _agent(words, shared, clock):
    import edge_agent.agent.run as running
    from edge_agent.agent import loop, telling
    from edge_agent.agent.gateway import EventQueue, Gateway
    from edge_agent.config import load_config
    from edge_agent.wire import log

    class AgentClock:
        def time(self):
            return clock()

        def monotonic(self):
            return WAITS * _real_monotonic()

    class AgentQueue(EventQueue):
        """Waits as short as the clock says, and never past the next boundary."""

        def get(self, timeout):
            return super().get(max(0.002, min(timeout / WAITS, shared.until_boundary())) if timeout else 0)

    class FastGateway(Gateway):
        """Sends again later, and the authority's time goes on with the fast clock, which no jump meets."""

        def __init__(self, *words, **named):
            super().__init__(*words, **named)
            self.resend = WAITS * RESEND_SECONDS

        def clock_off(self):
            if self.authority_time is None:
                return 0
            if self.authority_time is not self._asked:
                self._asked, self._asked_at = self.authority_time, shared.time()
            return round(self.authority_time[0] + shared.time() - self._asked_at - self.clock.time())

        _asked, _asked_at = None, 0.0

    running.SystemClock, running.EventQueue, loop.Gateway = AgentClock, AgentQueue, FastGateway
    telling.STATUS_FILE_SECONDS = (WAITS, 30 * WAITS)
    log.set_up("info", "json")
    running.run(load_config(Path(words[0])))
    return 0


def main():
    path, jump, kind, *words = sys.argv[1:]
    shared = FastClock(Path(path))
    time.time = clock = _clock(shared, jump)
    if kind == "agent":
        return _agent(words, shared, clock)
    if kind == "emulator":
        from edge_agent.emulator.cli import main as emulate

        return emulate(words)
    from authority.cli import main as serve

    return serve(words)


if __name__ == "__main__":
    sys.exit(main())
