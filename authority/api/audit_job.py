"""An audit (`authority audit verify`, `bill`, `compare`) as a job: a process of its own that ends with this one.

There is one job of each for pages and API together, and each does one audit at a time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from edge_agent.wire import processes

MOST_MESSAGE = 2_000
"""Characters that are kept of what an audit complained of before it ended without a result."""


@dataclass(frozen=True, slots=True)
class JobState:
    """Where the last audit stands. taken of `of` are done (leaves, epochs); result is what its --json printed.

    subject is what was to be audited, such as a bill's number.

    idle: none was started since the service was. failed: it ended without a result, for the reason in message.
    """

    state: Literal["idle", "running", "done", "failed"] = "idle"
    started_at: int = 0
    ended_at: int = 0
    taken: int = 0
    of: int = 0
    result: dict[str, Any] | None = None
    message: str = ""
    subject: str = ""


class AuditJob:
    """Starts an audit of a home, and knows how far it is. For any thread."""

    def __init__(self, clock: Callable[[], int], command: Sequence[str]) -> None:
        self._clock, self._command = clock, tuple(command)
        self._lock = threading.Lock()
        self._state = JobState()
        self._thread: threading.Thread | None = None

    @property
    def state(self) -> JobState:
        """Where it stands."""
        with self._lock:
            return self._state

    def start(self, subject: str = "") -> bool:
        """Start an audit, of a subject where the command takes one; False where one runs."""
        with self._lock:
            if self._state.state == "running":
                return False
            self._state = JobState("running", started_at=self._clock(), subject=subject)
            self._thread = threading.Thread(target=self._run, name="audit", daemon=True)
        self._thread.start()
        return True

    def wait(self) -> JobState:
        """Where it stands once it has ended."""
        if self._thread is not None:
            self._thread.join()
        return self.state

    def _run(self) -> None:
        """The thread lives as long as the process: the kernel ends a child with the thread that started it."""
        complaints: list[str] = []
        try:
            child = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    processes.__name__,
                    str(os.getpid()),
                    *self._command,
                    *([self._state.subject] if self._state.subject else []),
                ],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            )
            output: list[str] = []
            assert child.stdout is not None  # noqa: S101
            assert child.stderr is not None  # noqa: S101
            reader = threading.Thread(target=lambda stream: output.append(stream.read()), args=(child.stdout,))
            reader.start()
            for line in child.stderr:
                if not self._take(line):
                    complaints = [*complaints[-20:], line.strip()]
            child.wait()
            reader.join()
            self._end(_result("".join(output)), complaints)
        except OSError as error:
            self._end(None, [str(error)])

    def _take(self, line: str) -> bool:
        """Take a line of progress; False where it is none."""
        try:
            told = json.loads(line)
            taken, of = int(told["taken"]), int(told["of"])
        except (ValueError, TypeError, KeyError):
            return False
        with self._lock:
            self._state = replace(self._state, taken=taken, of=of)
        return True

    def _end(self, result: dict[str, Any] | None, complaints: Sequence[str]) -> None:
        message = "" if result is not None else "\n".join(complaints)[-MOST_MESSAGE:] or "it ended without a word"
        with self._lock:
            self._state = replace(
                self._state,
                state="failed" if result is None else "done",
                ended_at=self._clock(),
                result=result,
                message=message,
            )


@dataclass(frozen=True)
class AuditJobs:
    """The jobs of a home: everything verified, one bill computed again, books and chain compared."""

    verify: AuditJob
    bill: AuditJob
    compare: AuditJob

    @classmethod
    def of(cls, home: Path, clock: Callable[[], int]) -> AuditJobs:
        """Those of the home at a path."""

        def job(action: str, *more: str) -> AuditJob:
            words = ("audit", action, "--home", str(home), "--json", "--progress", *more)
            return AuditJob(clock, (sys.executable, "-m", "authority.cli", *words))

        return cls(job("verify", "--jobs", "1"), job("bill"), job("compare"))


def _result(text: str) -> dict[str, Any] | None:
    try:
        found = json.loads(text)
    except ValueError:
        return None
    return found if isinstance(found, dict) and "problems" in found else None
