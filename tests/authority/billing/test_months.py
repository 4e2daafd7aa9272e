"""Whole billing periods of steady use."""

from __future__ import annotations

import pytest
from billing_campus import (
    GRACE_EPOCHS,
    assert_bills_are_the_references,
    end_of_period,
    issued,
    run_epochs,
    sums,
)

from authority.store.settlement import SettlementEpoch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]


def traded(campus, first, end):
    """What was traded in each epoch of [first, end), Wh."""
    with campus.app.store.read() as session:
        rows = session.query(SettlementEpoch).filter(SettlementEpoch.epoch >= first, SettlementEpoch.epoch < end)
        return [row.traded_wh for row in rows.order_by(SettlementEpoch.epoch)]


@pytest.mark.finding("authority-02")
def test_two_periods_of_steady_use_trade_the_same_and_a_consumer_holds_nothing_at_the_turn(campus, billing):
    worker = campus.worker()
    campus.start_market()
    turns = [end_of_period(campus)]
    for _ in range(3):
        run_epochs(campus, worker, turns[-1])
        worker.settle_down()
        assert campus.held("C") == campus.held("D") == 0
        turns.append(end_of_period(campus))
    first, second = (traded(campus, turns[n], turns[n + 1]) for n in (0, 1))
    assert len(first) == len(second) == 16
    assert set(first) == set(second) == {2_900}  # what C and D draw in an epoch
    run_epochs(campus, worker, turns[2] + GRACE_EPOCHS)
    for period in (0, 1, 2):
        billing("close", period)
        billing("issue", period)
    for name, each in (("C", 300), ("D", 2_600)):
        bills = [issued(campus, period)[name] for period in (1, 2)]
        assert [sums(bill, "wh")["bought"] for bill in bills] == [16 * each] * 2
        assert [sums(bill, "wh")["withdrawn"] for bill in bills] == [16 * each] * 2
        assert [bill["due"] for bill in bills] == [0, 0]
    assert_bills_are_the_references(campus, 0, 1, 2)
