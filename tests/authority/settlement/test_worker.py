"""Whole epochs on real programs: readings in, tokens minted, orders placed, a book cleared, paid and checkpointed."""

from __future__ import annotations

import hashlib

from authority.audit import log
from authority.market.standing_orders import StandingOrder
from authority.settlement.journal import book_of_leaf
from authority.settlement.report import epoch_reports

SELLER = StandingOrder(sell_at=120_000)
BUYER = StandingOrder(buy_at=250_000)


def start_market(campus):
    for name in "AB":
        campus.standing_order(name, SELLER)
    for name in "CD":
        campus.standing_order(name, BUYER)
        campus.issue_credit(name, 10**9)


def run_epoch(campus, worker, **reading):
    """One epoch's end: everybody reads, and the worker does all that there is to do."""
    boundary = campus.next_epoch()
    campus.read_all(boundary, **reading)
    worker.settle_down()
    return boundary // 60 - 1


def test_whole_epochs(campus):
    start_market(campus)
    worker = campus.worker()
    worker.settle_down()
    first = campus.epoch
    baseline = run_epoch(campus, worker)
    assert baseline == first
    assert campus.energy("A")["minted"] == 0
    metered = run_epoch(campus, worker)
    assert {name: campus.energy(name)["minted"] for name in "ABCD"} == {"A": 2_500, "B": 1_000, "C": 0, "D": 0}
    assert {name: campus.energy(name)["withdrawals_open"] for name in "CD"} == {"C": 300, "D": 2_600}
    book = campus.book(campus.epoch)
    assert (book["bid_count"], book["ask_count"]) == (2, 2)
    run_epoch(campus, worker)
    assert campus.book(metered + 1) is None
    assert campus.checkpoint(metered + 1) is not None
    with campus.app.store.read() as session:
        reports = epoch_reports(session, 60)
        settlement = {report.epoch: report for report in reports}
    traded = settlement[metered + 1]
    assert (traded.orders, traded.traded_wh) == (4, 2_900)
    assert 120_000 <= traded.clearing_price <= 250_000
    assert settlement[metered].minted_wh == 3_500
    assert settlement[metered].readings_on_chain == 8
    assert all(settlement[epoch].settled for epoch in range(first, metered + 2))
    row = worker.journal.epoch(metered + 1)
    with campus.app.store.read() as session:
        data = book_of_leaf(log.leaf(session, row.book_log_index))
        assert log.root(session, row.log_size) == row.log_root
    assert hashlib.sha256(data).digest() == campus.checkpoint(metered + 1)["book_hash"]
