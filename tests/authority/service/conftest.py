"""`authority validator` as a process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import pytest

REPOSITORY = Path(__file__).parents[3]


@dataclass
class Validator:
    """`authority validator` as a process of its own."""

    process: subprocess.Popen[str]
    url: str

    def kill(self) -> None:
        """SIGKILL: no chance to tidy up."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """SIGTERM, and the exit status."""
        self.process.terminate()
        return self.process.wait(timeout=60)


@pytest.fixture
def validator_process() -> Iterator[Callable[..., Validator]]:
    """Starts validators on a home; whatever still runs at the end is killed."""
    running: list[Validator] = []

    def start(home: Path, *more: str, preexec_fn: Callable[[], None] | None = None) -> Validator:
        arguments = [sys.executable, "-m", "authority.cli", "validator", "--home", str(home), "--rpc-port", "0", *more]
        process = subprocess.Popen(
            arguments,
            cwd=REPOSITORY,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            preexec_fn=preexec_fn,  # noqa: PLW1509 (no thread of the tests runs when it is given)
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line.startswith("validator ready: "):
            process.wait(timeout=60)
            error: IO[str] | None = process.stderr
            raise AssertionError(f"the validator did not start: {line}{error.read() if error else ''}")
        made = Validator(process, line.split()[2].rstrip(","))
        running.append(made)
        return made

    yield start
    for one in running:
        if one.process.poll() is None:
            one.kill()
        for stream in (one.process.stdout, one.process.stderr):
            if stream is not None:
                stream.close()
