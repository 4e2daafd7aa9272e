"""Agave under the watchdog, killed again and again: slots come back each time, and at the end the audit holds.

They run where AGAVE_KILLS says how often: 20 for the proof. Minutes pass on a busy machine, so they are not in every
suite.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from agave_validator import AgaveUnavailableError, agave_binary
from recovery_campus import RecoveryCampus, audited, command
from watched_agave import WatchedAgave
from whole_campus import RealWall

from authority.chain.client import ChainClient
from authority.chain.errors import ChainError

KILLS = int(os.environ.get("AGAVE_KILLS", "0"))
ASKED_FOR = pytest.mark.skipif(KILLS == 0, reason="AGAVE_KILLS is not set: some minutes of kills and starts")


@pytest.fixture
def campus(tmp_path: Path) -> Iterator[RecoveryCampus]:
    try:
        made = RecoveryCampus(tmp_path, WatchedAgave, RealWall(), 20)
    except AgaveUnavailableError as reason:
        pytest.skip(f"not run on Agave: {reason}")
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


def read_until_now(campus: RecoveryCampus, last: int) -> int:
    """Every meter reads each boundary after the last one, as gateways do from the load profile; the newest one.

    All that flowed is in the newest. One reading alone after a long outage would span more epochs than
    `netting_epochs`, and mint nothing.
    """
    now = campus.next_epoch()
    for boundary in range(last + campus.epoch_seconds, now, campus.epoch_seconds):
        campus.read_all(boundary, moving=False)
    campus.read_all(now)
    return now


@ASKED_FOR
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
        boundary = read_until_now(campus, boundary)
        patiently(worker.round)
        before = validator.slot
        validator.kill()
        took.append(validator.rises_from(before))
        patiently(worker.settle_down, 300)
    read_until_now(campus, boundary)
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


@ASKED_FOR
@pytest.mark.agave
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_another_binary_goes_on_with_the_ledger(
    campus: RecoveryCampus, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The unit is stopped, the binary exchanged, the unit started: accounts, history and the audit go on."""
    validator = campus.validator
    campus.start_market()
    worker = campus.worker()
    last = campus.next_epoch()
    campus.read_all(last, moving=False)
    patiently(worker.settle_down)
    last = read_until_now(campus, last)
    patiently(worker.settle_down)
    before = validator.slot
    validator.stop()
    newer = tmp_path / "newer/solana-test-validator"
    newer.parent.mkdir()
    shutil.copy(agave_binary(), newer)
    validator.program = newer
    validator.start()
    validator.rises_from(before)
    campus.save_validator()
    campus.client = ChainClient(validator.url, attempts=4)
    worker = campus.worker()
    read_until_now(campus, last)
    patiently(worker.settle_down, 300)
    assert sum(campus.energy(name).minted for name in "AB") == 2 * 3_500
    audited(campus, capsys)
    assert command(campus, capsys, "recover", "show")[0] == 0
