"""Processes that serve one port together: they fork from one, and the first of them does what only one may.

Each answers whatever it accepts. What one process keeps in its memory for all its readers (bills in the making, an
audit that runs) is asked of the first: a sibling that accepted such a request gives it the connection itself, with what
was read of it, so nothing is copied through and a long answer goes straight to its reader. Who is first holds a lock
that the kernel ends with its holder; the next one to look is first then, and finds what was given meanwhile.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
import tempfile

from authority.tries import Tries
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)
MOST_BYTES = 160 * 1024
"""What may have been read of a connection that is given: more than the largest head and body of a page's request."""


class Siblings:
    """What they share; made before they fork. For any thread of each."""

    def __init__(self) -> None:
        self.tries = Tries(shared=True)
        self._lock = tempfile.TemporaryFile()  # noqa: SIM115 (locked, as long as it is open)
        self.inbox, self._outbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._outbox.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MOST_BYTES)
        for end in (self.inbox, self._outbox):
            end.setblocking(False)
        self._first = False

    def is_first(self) -> bool:
        """Whether this process is the first; where there is none, it is from now on."""
        if not self._first:
            with contextlib.suppress(BlockingIOError):
                fcntl.lockf(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._first = True
        return self._first

    def give(self, client: socket.socket, read: bytes) -> bool:
        """Give a connection to the first, with what was read of it; False where it takes nothing more."""
        try:
            socket.send_fds(self._outbox, [read], [client.fileno()])
        except OSError:  # its inbox is full
            return False
        return True

    def take(self) -> tuple[socket.socket, bytes] | None:
        """A connection that was given, and what was read of it; None where there is none."""
        try:
            read, (handle,), flags, _ = socket.recv_fds(self.inbox, MOST_BYTES, 1)
        except (BlockingIOError, ValueError):
            return None
        if flags & (socket.MSG_TRUNC | socket.MSG_CTRUNC):  # more than MOST_BYTES, or out of handles
            os.close(handle)
            LOG.error("a connection that was handed over did not come whole, and is closed")
            return None
        return socket.socket(fileno=handle), read
