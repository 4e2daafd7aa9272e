"""Epoch reports: minted for the epoch in which energy was metered, traded for its book, stages from its end."""

from __future__ import annotations

from authority.market.report import active_meters, epoch_reports
from authority.settlement.journal import Journal, MemberTotals
from authority.store import Store


def test_reports_join_spans_and_books(tmp_path):
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}")
    now = {"ms": 11_500 * 100}
    journal = Journal(store, lambda: now["ms"])
    journal.ensure_epochs(114)
    journal.ensure_epochs(115)
    journal.mark(114, "submitted", "minted", "cleared", "settled", bids=2, asks=1, traded_wh=300, clearing_price=5)
    journal.record_spans([MemberTotals("v", 1150, 700, 0), MemberTotals("w", 1150, 50, 0)])
    journal.record_spans([MemberTotals("w", 1160, 50, 20)])
    with store.read() as session:
        first, second = epoch_reports(session, 10)
        assert first.as_json() == {
            "epoch": 114,
            "readings_on_chain": 0,
            "minted_wh": 750,
            "orders": 3,
            "traded_wh": 300,
            "clearing_price": 5,
            "settled": True,
        }
        assert first.stage_ms == dict.fromkeys(("submitted", "minted", "cleared", "settled"), 0)
        assert (second.minted_wh, second.settled, second.clearing_price) == (0, False, None)
        assert [each.epoch for each in epoch_reports(session, 10, first=115, last=115)] == [115]
        assert epoch_reports(session, 10, first=116) == []
        assert active_meters(session) == 0
    store.close()
