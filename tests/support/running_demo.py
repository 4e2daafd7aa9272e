"""The demo as a person runs it: a subprocess in a directory of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from free_ports import free_port

ROOT = Path(__file__).parents[2]
START_SECONDS = 240


class RunningDemo:
    """`authority demo` with words; everything it started ends with it. `prefix` is a command that starts it."""

    def __init__(
        self, directory: Path, *words: str, prefix: Sequence[str] = (), stdin: int = subprocess.DEVNULL
    ) -> None:
        self.directory = directory
        self.output = directory / "output.txt"
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        environment.pop("AUTHORITY_HOME", None)
        port = free_port()  # tests run side by side: the usual 8000 would be one too few
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "authority.cli", "demo", "--port", str(port), *words],
                cwd=directory,
                env=environment,
                stdin=stdin,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def text(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def wait_for(self, pattern: str, seconds: float = START_SECONDS) -> re.Match[str]:
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.text)
            if found:
                return found
            if self.process.poll() is not None:
                raise AssertionError(f"the demo ended with {self.process.returncode}:\n{self.text}\n{self.logs()}")
            if time.monotonic() > end:
                raise AssertionError(f"{pattern!r} never appeared:\n{self.text}\n{self.logs()}")
            time.sleep(0.2)

    @property
    def address(self) -> str:
        return self.wait_for(r"http://127\.0\.0\.1:\d+/").group(0)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.address.rstrip("/") + path, timeout=20) as answer:  # noqa: S310
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def campus(self) -> dict:
        return json.loads(self.get("/api/v1/campus")[1])

    def report(self) -> dict:
        return json.loads((self.directory / "demo-report.json").read_text())

    def logs(self) -> str:
        parts = []
        for log in sorted((self.directory / ".demo" / "logs").glob("*.log")):
            parts.append(f"--- {log.name}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-15:]))
        return "\n".join(parts)

    def wait(self, seconds: float) -> int:
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the demo does not end:\n{self.text}\n{self.logs()}") from None

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def leftovers(self) -> list[str]:
        """Processes that still name this demo's directory."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            if str(self.directory) in words and state != "Z":
                found.append(words)
        return found
