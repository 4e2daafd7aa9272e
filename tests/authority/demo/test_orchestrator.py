"""What the demo tells of its epochs, where it can be told without running one."""

from __future__ import annotations

import json
from io import StringIO

import pytest

from authority.audit.conservation import Conservation, TokenTotals
from authority.demo import campus, orchestrator
from authority.demo.orchestrator import Demo
from authority.demo.progress import Progress
from authority.settlement.journal import Journal, MemberTotals

NOTHING = TokenTotals(minted=0, supply=0, held=0, escrow=0)
FIRST = 1_000
METERS = len(campus.meters())


@pytest.fixture
def demo(app, tmp_path, monkeypatch):
    """A demo whose two first epochs, of 900 s, are over and checkpointed."""
    monkeypatch.setattr(orchestrator, "conservation", lambda _: Conservation(NOTHING, NOTHING, 0))
    made = Demo(None, None, Progress(StringIO(), False), report=tmp_path / "report.json", epochs=2)
    made.app, made.client, made.first_epoch = app, None, FIRST
    journal = Journal(app.store, lambda: 1)
    for epoch in (FIRST, FIRST + 1):
        journal.mark(epoch, "submitted", "minted", "cleared", "settled", "checkpointed", readings_on_chain=METERS - 1)
    return made


def test_an_epoch_joins_the_finished_ones_once(demo):
    assert [row.epoch for row in demo.newest()] == [FIRST, FIRST + 1]
    assert demo.newest() == []
    assert [row.epoch for row in demo.finished] == [FIRST, FIRST + 1]


def test_an_epoch_that_lacks_a_reading_is_told_an_epoch_later(demo):
    demo.app.clock.now = (FIRST + 2) * 900 + 60
    assert [row.epoch for row in demo.newest()] == [FIRST, FIRST + 1]
    assert [row.epoch for row in demo.finished] == [FIRST]
    Journal(demo.app.store, lambda: 2).mark(FIRST + 1, readings_on_chain=METERS)
    demo.newest()
    assert [(row.epoch, row.readings_on_chain) for row in demo.finished] == [(FIRST, METERS - 1), (FIRST + 1, METERS)]


def test_a_reading_that_never_comes_is_waited_for_no_longer(demo):
    demo.app.clock.now = (FIRST + 3) * 900
    demo.newest()
    lacking = METERS - 1
    assert [(row.epoch, row.readings_on_chain) for row in demo.finished] == [(FIRST, lacking), (FIRST + 1, lacking)]


def test_the_report_holds_what_came_after_an_epoch_was_finished(demo):
    """A late meter's reading reaches the chain, and its surplus is minted, after the epoch's checkpoint."""
    demo.newest()
    journal = Journal(demo.app.store, lambda: 2)
    journal.mark(FIRST, readings_on_chain=METERS)
    journal.record_spans([MemberTotals("wallet", (FIRST + 1) * 900, 243, 0)])
    demo.write_report()
    first, second = json.loads(demo.report_path.read_text())["epochs"]
    assert (first["readings_on_chain"], first["minted_wh"]) == (METERS, 243)
    assert (second["readings_on_chain"], second["minted_wh"]) == (METERS - 1, 0)
