"""Keeps processes running: starts them in order, starts again what ends, and stops all of them in reverse order.

A process that ends is started again after a pause that doubles up to a minute, and shrinks back once it has run for a
minute. What it prints appears line by line under its name.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import IO

from authority.service import processes
from authority.service.processes import Child
from edge_agent.wire.log import StructuredLog

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
STOP_SECONDS = 30.0
MAX_LINE = 16_384

LOG = StructuredLog(__name__)

Relay = Callable[[str, str], None]
"""Takes a process's name and one line that it printed."""


@dataclass(frozen=True)
class Program:
    """A command to keep running.

    ready: asked until true, once at its first start, before the next one starts. answers: asked until true, once all
    have started, before that is told.
    """

    name: str
    command: Sequence[str]
    ready: Callable[[], bool] | None = None
    answers: Callable[[], bool] | None = None


@dataclass
class _Running:
    program: Program
    rank: int
    child: Child | None = None
    started: float = 0.0
    pause: float = FIRST_PAUSE
    due: float = 0.0
    readers: list[threading.Thread] = field(default_factory=list)


class Supervisor:
    """Runs programs until `stop` is set."""

    def __init__(
        self,
        programs: Sequence[Program],
        relay: Relay,
        *,
        may_restart: Callable[[], bool] = lambda: True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._running = [_Running(program, rank) for rank, program in enumerate(programs)]
        self._relay = relay
        self._may_restart = may_restart
        self._monotonic = monotonic
        self.stop = threading.Event()
        self.restart = threading.Event()
        """Set by whoever wants every process stopped and started again; `may_restart` has the last word."""

    def run(self, *, ready_seconds: float = 120.0) -> None:
        """Start all, keep them running, and stop them when `stop` is set; call it from the main thread.

        The kernel ends the children with the thread that started them.
        """
        try:
            self._start_all(ready_seconds)
            while not self.stop.wait(0.2):
                if self.restart.is_set():
                    self.restart.clear()
                    if self._may_restart():
                        self._stop_all()
                        self._start_all(ready_seconds)
                self._look_after()
        finally:
            self._stop_all()
            LOG.info("everything is stopped")

    def _start_all(self, ready_seconds: float) -> None:
        for running in self._running:
            if self.stop.is_set():
                return
            running.due, running.pause = 0.0, FIRST_PAUSE
            self._start(running)
            self._wait_until(running, running.program.ready, ready_seconds)
        silent = [
            running.program.name
            for running in self._running
            if not self._wait_until(running, running.program.answers, ready_seconds)
        ]
        if not self.stop.is_set() and not silent:
            LOG.info("everything is started")

    def processes(self) -> dict[str, int]:
        """Process numbers by name, of those that run now."""
        return {
            item.program.name: item.child.process.pid
            for item in self._running
            if item.child is not None and item.child.ended() is None
        }

    def _start(self, running: _Running) -> None:
        running.started = self._monotonic()
        program = running.program
        running.child = processes.start(program.name, program.command, output=subprocess.PIPE, rank=running.rank)
        stream = running.child.process.stdout
        assert stream is not None  # noqa: S101
        reader = threading.Thread(target=self._read, args=(program.name, stream), daemon=True)
        reader.start()
        running.readers.append(reader)

    def _read(self, name: str, stream: IO[bytes]) -> None:
        with stream:
            while line := stream.readline(MAX_LINE):
                self._relay(name, line.decode("utf-8", "replace").rstrip())

    def _wait_until(self, running: _Running, true: Callable[[], bool] | None, seconds: float) -> bool:
        """Wait for a process; False, and told, where it takes too long or all is to stop."""
        end = self._monotonic() + seconds
        while true is not None and not true():
            if self._monotonic() > end:
                LOG.warning("a process does not answer yet; going on without it", process=running.program.name)
                return False
            if self.stop.wait(0.1):
                return False
            self._look_after()
        return True

    def _look_after(self) -> None:
        now = self._monotonic()
        for running in self._running:
            if running.child is None:
                if running.due and now >= running.due:
                    running.due = 0.0
                    self._start(running)
                continue
            how = running.child.ended()
            if how is None:
                if now - running.started > LONGEST_PAUSE:
                    running.pause = FIRST_PAUSE
                continue
            LOG.warning(
                "a process ended and is started again", process=running.program.name, how=how, after_s=running.pause
            )
            running.child.kill()  # what it started, and left behind
            running.child = None
            running.readers = [reader for reader in running.readers if reader.is_alive()]
            running.due = now + running.pause
            running.pause = min(2 * running.pause, LONGEST_PAUSE)

    def _stop_all(self) -> None:
        """Last started, first stopped: who depends on the validator ends before it."""
        processes.stop(
            [running.child for running in self._running if running.child is not None],
            STOP_SECONDS,
            lambda child: LOG.warning("a process does not stop and is killed", process=child.name),
        )
        for running in self._running:
            for reader in running.readers:
                reader.join(1.0)
            running.child = None


def authority_command(*words: str) -> list[str]:
    """The command line of an authority subcommand."""
    return [sys.executable, "-m", "authority.cli", *words]
