"""Child processes: how `authority serve` and the demo start them, say how one ended, and stop them.

Each leads a process group of its own, so a Ctrl-C reaches only who started it, and stopping one stops what it started.
None outlives who started it, even where that was killed and could tell nobody.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from edge_agent.wire import processes

Output = IO[bytes] | int
"""Where a child's stdout and stderr go: an open file, or subprocess.PIPE."""


@dataclass(eq=False)
class Child:
    """One process, the leader of its group. Higher ranks are stopped first."""

    name: str
    process: subprocess.Popen[bytes]
    rank: int = 0

    def ended(self) -> str | None:
        """How it ended, `status 3` or `SIGKILL`; None while it runs."""
        status = self.process.poll()
        if status is None:
            return None
        return f"status {status}" if status >= 0 else signal.Signals(-status).name

    def ask_to_end(self) -> None:
        """SIGTERM to it and what it started."""
        self._signal(signal.SIGTERM)

    def waited(self, patience: float) -> bool:
        """Whether it ended within so many seconds."""
        try:
            self.process.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL to it and what it started, where it has ended itself too."""
        self._signal(signal.SIGKILL)
        self.process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)


def start(
    name: str,
    command: Sequence[str | Path],
    *,
    output: Output,
    rank: int = 0,
    environment: Mapping[str, str] | None = None,
) -> Child:
    """Start a process that ends with this one; `environment` is added to this process's.

    Call it from a thread that lives as long as the child should: the kernel ends the children with the thread that
    started them.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", processes.__name__, str(os.getpid()), *(str(word) for word in command)],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        start_new_session=True,
    )
    return Child(name, process, rank)


def stop(children: Iterable[Child], patience: float, too_slow: Callable[[Child], None] = lambda _: None) -> None:
    """Ask all to end, rank by rank from the highest, and kill what is left of a rank after `patience` seconds.

    `too_slow` is told of each that has to be killed. Signals wait until it is done: nothing stops the stopping.
    """
    remaining = list(children)
    with _uninterrupted():
        for rank in sorted({child.rank for child in remaining}, reverse=True):
            group = [child for child in remaining if child.rank == rank]
            for child in group:
                child.ask_to_end()
            for child in group:
                if not child.waited(patience):
                    too_slow(child)
                child.kill()


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP wait until it is done."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
