"""What a process and its descendants take of the machine, for benchmarks."""

from __future__ import annotations

import contextlib
import os
import resource
from collections.abc import Iterator
from pathlib import Path


def cpu_seconds(pid: int) -> float:
    """User and system seconds of a process and its descendants, the ended ones it waited for included."""
    total = 0.0
    for one in _tree(pid):
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(int(fields[at]) for at in (11, 12, 13, 14)) / os.sysconf("SC_CLK_TCK")
    return total


def rss_mib(pid: int, *, alone: bool = False) -> float:
    """Resident memory of a process now, and of its descendants unless it alone is asked for."""
    pages = 0
    for one in [pid] if alone else _tree(pid):
        with contextlib.suppress(OSError):
            pages += int(Path(f"/proc/{one}/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 2**20, 1)


def _tree(pid: int) -> Iterator[int]:
    todo = [pid]
    while todo:
        one = todo.pop()
        yield one
        for task in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                todo += [int(word) for word in task.read_text().split()]
