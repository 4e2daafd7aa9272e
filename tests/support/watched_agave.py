"""Agave as docs/OPERATIONS.md has it run: under `authority watchdog`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from agave_validator import INSIDE, RPC_PORT, agave_binary, namespace_command, released
from whole_campus import Wall

from authority.chain.client import ChainClient
from authority.home.home import Home
from authority.service.watchdog import confirmed_slot
from authority.status.facts import WATCHDOG_NOTE

BACK_SECONDS = 240
REPOSITORY = Path(__file__).resolve().parents[2]


class WatchedAgave:
    """`authority watchdog` with Agave under it, in a network namespace of their own."""

    def __init__(self, home: Home, _: Wall) -> None:
        self.home = home
        self.ledger = home.path / "agave"
        self.program = agave_binary()
        self.start()

    def start(self) -> None:
        """As its unit does, also over the ledger that it left; slots have come then."""
        home, listener = self.home, socket.create_server(("127.0.0.1", 0))
        binary = [str(self.program), "--ledger", str(self.ledger), "--quiet", "--rpc-port", str(RPC_PORT)]
        binary += ["--bind-address", "127.0.0.1", "--mint", str(home.operator.pubkey())]
        binary += ["--limit-ledger-size", "10000000"]
        for program, (elf, upgraded_by) in released(str(home.authority.pubkey())).items():
            binary += ["--upgradeable-program", program, str(elf), upgraded_by]
        watchdog = [sys.executable, "-m", "authority.cli", "watchdog", "--home", str(home.path)]
        watchdog += ["--ledger", str(self.ledger), "--url", f"http://127.0.0.1:{RPC_PORT}", "--", *binary]
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        self._client = ChainClient(self.url, attempts=1, timeout=3)
        with (home.path / "watchdog.log").open("wb") as log:
            self.process = subprocess.Popen(
                [*namespace_command(), sys.executable, str(INSIDE), f"{listener.fileno()}:{RPC_PORT}", *watchdog],
                cwd=home.path,
                stderr=log,
                pass_fds=[listener.fileno()],
                env={**os.environ, "RUST_LOG": "warn", "PYTHONPATH": str(REPOSITORY)},
            )
        listener.close()
        self.rises_from(0)

    @property
    def slot(self) -> int:
        """The last confirmed slot; 0 where the validator does not answer."""
        return confirmed_slot(self._client) or 0

    def rises_from(self, slot: int, seconds: float = BACK_SECONDS) -> float:
        """Wait until the confirmed slot is beyond one; how long it took."""
        began = time.monotonic()
        while self.slot <= slot:
            assert self.process.poll() is None, (self.home.path / "watchdog.log").read_text()[-3_000:]
            assert time.monotonic() - began < seconds, (self.home.path / "watchdog.log").read_text()[-3_000:]
            time.sleep(0.5)
        return time.monotonic() - began

    def kill(self) -> None:
        """kill -9 to the validator itself."""
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                words = (directory / "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if words[0] == str(self.program).encode() and str(self.ledger).encode() in words:
                os.kill(int(directory.name), signal.SIGKILL)
                return
        raise AssertionError("no validator runs")

    def told(self) -> dict[str, Any]:
        found = json.loads((self.home.path / WATCHDOG_NOTE).read_text())
        assert isinstance(found, dict)
        return found

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(60)
