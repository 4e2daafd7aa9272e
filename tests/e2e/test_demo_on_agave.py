"""The whole path on a real Agave validator: the demo, all of it in a network namespace, for three epochs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_report import check_report
from running_demo import ROOT, RunningDemo

pytestmark = [pytest.mark.agave, pytest.mark.slow, pytest.mark.timeout(900)]

EPOCHS = 3
"""A surplus is minted in the epoch after it was metered, and sells there: the first trades nothing."""


@pytest.fixture(scope="module")
def finished(
    tmp_path_factory: pytest.TempPathFactory, agave_in_namespace: tuple[Path, list[str]]
) -> Iterator[RunningDemo]:
    binary, namespace = agave_in_namespace
    prefix = [*namespace, sys.executable, str(ROOT / "tests" / "support" / "with_loopback.py")]
    words = ["--epochs", str(EPOCHS), "--agave", str(binary)]
    demo = RunningDemo(tmp_path_factory.mktemp("demo-on-agave"), *words, prefix=prefix)
    try:
        demo.status = demo.wait(700)
        yield demo
    finally:
        demo.stop()


def test_it_ends_by_itself_and_well(finished: RunningDemo) -> None:
    assert finished.status == 0, finished.text + finished.logs()
    assert finished.leftovers() == []


def test_the_report_has_its_shape_and_its_sums_meet(finished: RunningDemo) -> None:
    report = finished.report()
    check_report(report, EPOCHS)
    assert report["validator"] == "agave"
    assert any(row["traded_wh"] > 0 for row in report["epochs"])


def test_no_transaction_was_refused(finished: RunningDemo) -> None:
    """But an order that was on its way when its epoch ended, where the machine is slow."""
    log = finished.directory / ".demo" / "logs" / "settlement.log"
    warnings = [line for line in log.read_text().splitlines() if "WARNING" in line or "ERROR" in line]
    assert [line for line in warnings if "(EpochOver, " not in line] == []
