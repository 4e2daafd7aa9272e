"""Processes: whether one still runs (its number alone does not say, numbers are used again), and ending with one.

    python -m edge_agent.wire.processes PARENT COMMAND ...

becomes COMMAND, which ends when PARENT does, and leaves SIGHUP to that one.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1


def started(pid: int) -> str:
    """When a process started, in clock ticks since boot (proc(5), field 22); empty where no such process runs."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] != "Z" else ""


def end_with_parent(parent: int) -> bool:
    """Have the kernel send this process SIGTERM when its parent ends, even where that was killed and could tell nobody.

    False where the parent ended before this was asked. Linux only; elsewhere a child outlives a killed parent.
    """
    if sys.platform.startswith("linux"):
        import ctypes  # noqa: PLC0415 - agents ask for `started` alone

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    return os.getppid() == parent


def main(words: Sequence[str]) -> None:
    """Become a command that ends with its parent; exits with status 1 where that has ended already."""
    if not end_with_parent(int(words[0])):
        sys.exit("the process that wanted this one has ended already")
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        os.execvp(words[1], list(words[1:]))  # noqa: S606 - the command of whoever starts this
    except OSError as error:
        sys.exit(f"{words[1]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main(sys.argv[1:])
