"""Collector and settlement are down for longer than the worker looks back at once, and everybody's readings come late.

Gateways go on reading and signing meanwhile, as they do. DOWN_EPOCHS=120 is a longer outage; the default is a few more
epochs than the worker deals with at a time.
"""

from __future__ import annotations

import os

import pytest

from authority.settlement.journal import OPEN_EPOCHS

EPOCHS = int(os.environ.get("DOWN_EPOCHS", str(OPEN_EPOCHS + 4)))
MINTED = {"A": 2_500, "B": 1_000}
WITHDRAWN = {"C": 300, "D": 2_600}


@pytest.mark.slow
def test_a_service_that_was_down_catches_up_with_every_epoch_and_trades_again(campus):
    campus.start_market()
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    last_before = campus.run_epoch(worker)
    before = {name: campus.energy(name) for name in "ABCD"}
    assert campus.book(last_before).volume > 0

    kept: list[tuple[str, bytes]] = []
    for _ in range(EPOCHS):
        boundary = campus.next_epoch()
        kept += [(name, meter.read(boundary, *campus.STEPS[name])) for name, meter in campus.meters.items()]
    for name, frame in kept:
        campus.receive(name, frame)
    again = campus.worker()  # another process than before
    again.settle_down(rounds=20 * EPOCHS)

    after = {name: campus.energy(name) for name in "ABCD"}
    assert {each.boundary for each in after.values()} == {boundary}
    for name, wh in MINTED.items():
        assert after[name].minted - before[name].minted == EPOCHS * wh
    for name, wh in WITHDRAWN.items():
        assert after[name].withdrawn - before[name].withdrawn == EPOCHS * wh
    ended = campus.epoch - 1
    missing = [epoch for epoch in range(last_before + 1, ended + 1) if campus.checkpoint(epoch) is None]
    assert not missing, "an epoch without its checkpoint"
    assert campus.audit() == 0

    # The next book takes what was minted meanwhile, and what was withdrawn is bought.
    traded = campus.run_epoch(again)
    assert campus.book(traded).volume > 0
    assert campus.audit() == 0
