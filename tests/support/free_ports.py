"""Ports for servers that are started later, in processes of their own, on a machine where other tests run too.

A port that the kernel gives for 0 may be given to somebody else, or be a connection's own end, before the server takes
it. These lie below what the kernel gives, each test process has a range of its own, and none comes twice in a while.
They are even: the next port is its owner's too, who may be a validator, whose subscriptions are served there.
"""

from __future__ import annotations

import itertools
import os
import re
import socket

FIRST, SIZE, RANGES = 10_000, 1_000, 10


def _range() -> range:
    worker = re.search(r"\d+$", os.environ.get("PYTEST_XDIST_WORKER", ""))
    first = FIRST + SIZE * ((int(worker.group()) if worker else os.getpid()) % RANGES)
    return range(first, first + SIZE, 2)


_ports = itertools.cycle(_range())
for _ in range(os.getpid() % (SIZE // 2)):  # another run may have begun with the same range
    next(_ports)


def free_port() -> int:
    """A port of 127.0.0.1 on which nothing listens."""
    for port in itertools.islice(_ports, SIZE // 2):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError(f"all ports of {_range()} are taken")
