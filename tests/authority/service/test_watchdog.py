"""The watchdog beside a process that stands for a validator: what it does where slots do not come, in which order."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from authority.service import watchdog
from authority.service.watchdog import RESTART, SNAPSHOT, TOWER, Watchdog
from authority.status.facts import WATCHDOG_NOTE

COMMAND = [sys.executable, "-c", "import time; time.sleep(3600)"]
Watched = Callable[[Iterator[tuple[float, int | None]]], dict[str, Any]]


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Watched:
    """Runs the watchdog over looks, each seconds since the one before and the slot that is seen; what it told last."""
    monkeypatch.setattr(watchdog, "LOOK_SECONDS", 0.01)
    (tmp_path / "ledger").mkdir()

    def run(looks: Iterator[tuple[float, int | None]]) -> dict[str, Any]:
        now = [0.0]

        def slot() -> int | None:
            for seconds, seen in looks:
                now[0] += seconds
                return seen
            watching.stop.set()
            return None

        watching = Watchdog(COMMAND, tmp_path / "ledger", tmp_path, slot, monotonic=lambda: now[0])
        watching.run()
        told: dict[str, Any] = json.loads((tmp_path / WATCHDOG_NOTE).read_text())
        return told

    return run


def remedies(told: dict[str, Any]) -> list[str]:
    return [each["how"] for each in told["remedies"]]


def test_a_validator_whose_slots_come_is_left_alone(watched: Watched) -> None:
    told = watched((15.0, slot) for slot in range(1, 50))
    assert (told["starts"], remedies(told), told["slot"]) == (1, [], 49)


def test_one_that_never_makes_a_slot_gets_one_remedy_after_the_other(watched: Watched, tmp_path: Path) -> None:
    ledger = tmp_path / "ledger"
    for name in ("tower-1_9-x.bin", "snapshot-100-x.tar.zst"):
        (ledger / name).touch()
    (ledger / "rocksdb").mkdir()
    told = watched((25.0, 7) for _ in range(20))
    assert remedies(told)[:3] == [RESTART, TOWER, SNAPSHOT]
    assert not list(ledger.glob("tower-*"))
    assert (ledger / "rocksdb.aside").is_dir()


def test_a_slow_one_is_given_longer_each_time(watched: Watched) -> None:
    """Its slots come half a minute apart: it is started again once, and its ledger is left alone."""
    told = watched((30.0, slot) for slot in range(1, 30))
    assert remedies(told) == [RESTART]
    assert told["slot"] == 29


def test_an_end_of_its_own_costs_no_remedy_of_the_ledgers(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "COMMAND", [sys.executable, "-c", "import time; time.sleep(1)"])
    told = watched((0.02, slot) for slot in range(1, 400))
    assert set(remedies(told)) == {RESTART}
    assert told["starts"] > 1
