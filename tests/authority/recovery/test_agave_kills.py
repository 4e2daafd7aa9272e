"""Agave under the watchdog, killed again and again: slots come back each time, and at the end the audit holds.

It runs where AGAVE_KILLS says how often: 20 for the proof. Minutes pass on a busy machine, so it is not in every suite.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agave_validator import INSIDE, RPC_PORT, agave_binary, namespace_command, released
from recovery_campus import RecoveryCampus, audited, command
from whole_campus import RealWall, Wall

from authority.chain.errors import ChainError
from authority.home.home import Home
from authority.service.watchdog import confirmed_slot
from authority.status.facts import WATCHDOG_NOTE

KILLS = int(os.environ.get("AGAVE_KILLS", "0"))
BACK_SECONDS = 240
REPOSITORY = Path(__file__).resolve().parents[3]


class WatchedAgave:
    """`authority watchdog` with Agave under it, in a network namespace of their own."""

    def __init__(self, home: Home, _: Wall) -> None:
        self.home = home
        self.ledger = home.path / "agave"
        binary = [str(agave_binary()), "--ledger", str(self.ledger), "--quiet", "--rpc-port", str(RPC_PORT)]
        binary += ["--bind-address", "127.0.0.1", "--mint", str(home.operator.pubkey())]
        binary += ["--limit-ledger-size", "10000000"]
        for program, (elf, upgraded_by) in released(str(home.authority.pubkey())).items():
            binary += ["--upgradeable-program", program, str(elf), upgraded_by]
        watchdog = [sys.executable, "-m", "authority.cli", "watchdog", "--home", str(home.path)]
        watchdog += ["--ledger", str(self.ledger), "--url", f"http://127.0.0.1:{RPC_PORT}", "--", *binary]
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
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

    def rises_from(self, slot: int, seconds: float = BACK_SECONDS) -> float:
        """Wait until the confirmed slot is beyond one; how long it took."""
        began = time.monotonic()
        while (confirmed_slot(self.url) or 0) <= slot:
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
            if words[0] == str(agave_binary()).encode() and str(self.ledger).encode() in words:
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


@pytest.fixture
def campus(tmp_path: Path) -> Iterator[RecoveryCampus]:
    made = RecoveryCampus(tmp_path, WatchedAgave, RealWall(), 20)
    yield made
    made.close()


def patiently(act: Callable[[], Any], seconds: float = 120) -> None:
    """Settlement's own loop tries again where the validator is away; here too."""
    end = time.monotonic() + seconds
    while True:
        try:
            act()
            return
        except ChainError:
            assert time.monotonic() < end
            time.sleep(1)


@pytest.mark.skipif(KILLS == 0, reason="AGAVE_KILLS is not set: some minutes of kills and starts")
@pytest.mark.agave
@pytest.mark.slow
@pytest.mark.finding("ops-7")
@pytest.mark.timeout(300 + 180 * KILLS)
def test_agave_is_killed_and_the_campus_loses_nothing(
    campus: RecoveryCampus, capsys: pytest.CaptureFixture[str]
) -> None:
    validator = campus.validator
    campus.start_market()
    worker = campus.worker()
    boundary = campus.next_epoch()
    campus.read_all(boundary, moving=False)
    patiently(worker.settle_down)
    took = []
    for _ in range(KILLS):
        boundary = campus.next_epoch()
        campus.read_all(boundary)
        patiently(worker.round)
        before = confirmed_slot(validator.url) or 0
        validator.kill()
        took.append(validator.rises_from(before))
        patiently(worker.settle_down, 300)
    boundary = campus.next_epoch()
    campus.read_all(boundary)
    patiently(worker.settle_down, 300)
    told = validator.told()
    with capsys.disabled():
        remedies = [each["how"] for each in told["remedies"]]
        print(f"\n{KILLS} kills, back after {[round(each) for each in took]} s, remedies {remedies}")
    assert told["state"] == "runs"
    patiently(lambda: command(campus, capsys, "recover", "run"))
    patiently(worker.settle_down, 300)
    minted = sum(campus.energy(name).minted for name in "AB")
    assert minted == 3_500 * (KILLS + 1)
    audited(campus, capsys)
