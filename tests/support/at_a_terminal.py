"""A command at a terminal of its own, and a person in front of it: reads a question, types an answer."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from emulator_process import ENVIRONMENT


class AtATerminal:
    """A running command; `text` is all that it has shown so far, as the terminal shows it."""

    def __init__(self, command: Sequence[str], cwd: Path) -> None:
        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            command,
            cwd=cwd,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env={**ENVIRONMENT, "TERM": "dumb"},
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""
        self._answered = 0

    def waits(self, question: str, seconds: float = 120.0) -> str:
        """Read on until the question (a pattern) stands behind what was answered last; what was shown since."""
        end = time.monotonic() + seconds
        while not (found := re.search(question, self.text[self._answered :])):
            if not self._read(end):
                raise AssertionError(f"{question!r} was never asked:\n{self.text}")
        since = self.text[self._answered : self._answered + found.end()]
        self._answered += found.end()
        return since

    def answers(self, question: str, answer: str) -> str:
        """Wait for the question and type the answer; what was shown before it."""
        since = self.waits(question)
        os.write(self._master, answer.encode() + b"\n")
        return since

    def ends(self, seconds: float = 120.0) -> int:
        """Read to the end; the exit status."""
        end = time.monotonic() + seconds
        while self._read(end):
            pass
        os.close(self._master)
        return self.process.wait(60)

    def stop(self) -> None:
        """End it, where it still runs."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def _read(self, end: float) -> bool:
        ready, _, _ = select.select([self._master], [], [], max(0.0, end - time.monotonic()))
        if not ready:
            return False
        try:
            data = os.read(self._master, 65_536)
        except OSError:  # the last process has closed its end
            return False
        self.text += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)


def edge_agent(*words: str) -> list[str]:
    """`edge-agent` of this source tree."""
    return [sys.executable, "-m", "edge_agent.cli", *words]
