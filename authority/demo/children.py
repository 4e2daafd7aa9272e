"""The demo's child processes: each with a log of its own, none outliving the demo, the first to fail named."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from authority.errors import AuthorityError
from authority.service import processes

TAIL_LINES = 25


class DemoError(AuthorityError):
    """The demo cannot go on; the message says what failed, and holds the end of its log where there is one."""


class ChildDiedError(DemoError):
    """A process of the demo ended while it should run."""

    code = "child_died"


class HomeBusyError(DemoError):
    """Another demo runs in this home."""

    code = "home_busy"


class HomeForeignError(DemoError):
    """The directory was not made by a demo, so the demo does not clear it."""

    code = "home_foreign"


class NoAgaveError(DemoError):
    """The validator's binary is not where it was said to be."""

    code = "no_agave"


class NoPortsError(DemoError):
    """Not enough free ports."""

    code = "no_ports"


class NoProgressError(DemoError):
    """No epoch was settled for a long time."""

    code = "no_progress"


class NotConservedError(DemoError):
    """Tokens or money do not add up at the end of the demo."""

    code = "not_conserved"


class NotReadyError(DemoError):
    """A part of the demo did not come up in time."""

    code = "not_ready"


class StepFailedError(DemoError):
    """A step of the demo failed or took too long."""

    code = "step_failed"


class StopRequestedError(AuthorityError):
    """Somebody asked the demo to end."""

    code = "stop_requested"


def tail(path: Path, lines: int = TAIL_LINES) -> str:
    """The last lines of a log, indented; empty where it cannot be read."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(f"    {line}" for line in text.splitlines()[-lines:])


@dataclass(eq=False)
class Child(processes.Child):
    """A process of the demo, with its log."""

    log: Path = Path()
    may_end: bool = False

    def died(self) -> DemoError | None:
        """An error that says how it ended, if it did."""
        how = self.ended()
        if how is None:
            return None
        return ChildDiedError(f"{self.name} ended ({how}); the end of {self.log}:\n{tail(self.log)}")


class Children:
    """Starts and stops processes. A context manager: whatever happens inside, nothing is left running after it.

    Whoever waits here, or looks whether all is well, obeys `stopping()`.
    """

    def __init__(
        self, logs: Path, environment: Mapping[str, str] | None = None, stopping: Callable[[], bool] = lambda: False
    ) -> None:
        logs.mkdir(parents=True, exist_ok=True)
        self.logs, self._stopping = logs, stopping
        self._environment = environment
        self._running: list[Child] = []

    def __enter__(self) -> Children:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str, command: Sequence[str | Path], *, rank: int = 0) -> Child:
        """Start a process that is to run until the demo ends; its output goes to logs/NAME.log."""
        log = self.logs / f"{name}.log"
        with log.open("ab") as output:
            started = processes.start(name, command, output=output, rank=rank, environment=self._environment)
        child = Child(name, started.process, rank, log)
        self._running.append(child)
        return child

    def run(self, name: str, command: Sequence[str | Path], timeout: float) -> None:
        """Run a process to its end; DemoError `step_failed` where it fails or takes longer than `timeout` seconds."""
        child = self.start(name, command)
        child.may_end = True
        self.finish(child, timeout)

    def finish(self, child: Child, timeout: float) -> None:
        """Wait for a started process to end well; DemoError `step_failed` otherwise."""
        end = time.monotonic() + timeout
        while (status := child.process.poll()) is None and time.monotonic() < end:
            self._heed()
            time.sleep(0.02)
        if child in self._running:
            self._running.remove(child)
        if status == 0:
            return
        child.kill()
        how = f"took longer than {timeout:g} s" if status is None else f"failed with status {status}"
        raise StepFailedError(f"{child.name} {how}; the end of {child.log}:\n{tail(child.log)}")

    def expect_end(self, children: Sequence[Child]) -> None:
        """These may end by themselves from now on; `finish` looks at how."""
        for child in children:
            child.may_end = True

    def end(self, child: Child, patience: float = 5.0) -> None:
        """Stop one process alone."""
        self._running.remove(child)
        processes.stop([child], patience)

    def check(self) -> None:
        """DemoError `child_died` where one that should run has ended; StopRequestedError where that is wanted."""
        self._heed()
        for child in self._running:
            error = None if child.may_end else child.died()
            if error is not None:
                raise error

    def _heed(self) -> None:
        if self._stopping():
            raise StopRequestedError("somebody asked the demo to end")

    def wait_until(self, what: str, condition: Callable[[], bool], timeout: float, pause: float = 0.05) -> None:
        """Wait for a condition while all children live; DemoError `not_ready` after `timeout` seconds."""
        end = time.monotonic() + timeout
        while not condition():
            self.check()
            if time.monotonic() > end:
                raise NotReadyError(f"{what}: not within {timeout:g} s; see {self.logs}")
            time.sleep(pause)

    def stop(self, patience: float = 8.0) -> None:
        """End all, in descending rank."""
        running, self._running = self._running, []
        processes.stop(running, patience)
