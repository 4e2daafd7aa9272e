"""Nothing that is done for each reading, page or round costs more because the store is older."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import insert, update
from statements import Statements, executed

from authority.api.campus_source import ChainFigures, StoreCampusSource
from authority.app import App
from authority.chain.client import ChainClient
from authority.collector import held
from authority.collector.frames import Sent
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.collector.receipts import head
from authority.log import log
from authority.settlement.journal import Journal
from authority.status import facts
from authority.store.base import table_of
from authority.store.metering import CHAIN_CONFIRMED, Frame, Meter
from authority.store.people import User
from authority.store.settlement import SettledSpan, SettlementEpoch

AddMeter = Callable[..., Any]


class NoChain:
    def figures(self, epoch: int) -> ChainFigures:
        return ChainFigures(None, None, None, None, None)


def live_through(app: App, meters: list[Any], intervals: int) -> None:
    """Readings that reached the chain, their spans and their epochs."""
    collector = Collector(app)
    for start in range(0, intervals, 256):
        count = min(256, intervals - start)
        collector.ingest_all(
            [Sent(b"".join(meter.next() for _ in range(count)), meter.gateway, None, "mqtt") for meter in meters]
        )
    with app.store.write() as session:
        session.execute(update(table_of(Frame)).values(chain_status=CHAIN_CONFIRMED))
        wallet = session.get_one(User, 1).wallet
        session.get_one(User, 1).public = True
        first = meters[0].interval_end - intervals * 900
        spans = [
            {
                "wallet": wallet, "boundary": first + n * 900, "minted_wh": 1, "withdrawal_wh": 0,
                "lifetime_minted_wh": n + 1, "lifetime_withdrawal_wh": 0,
            }
            for n in range(intervals)
        ]  # fmt: skip
        session.execute(insert(table_of(SettledSpan)), spans)
        epochs = [
            {
                "epoch": span["boundary"] // 900 - 1, "state": "checkpointed", "first_seen_ms": 1, "checkpointed_ms": 1,
                "closed_ms": 1, "readings_on_chain": 1, "bids": 0, "asks": 0, "traded_wh": 0, "log_root": bytes(32),
                "log_size": 1,
            }
            for span in spans
        ]  # fmt: skip
        session.execute(insert(table_of(SettlementEpoch)), epochs)


def a_day_at_work(app: App, meters: list[Any]) -> None:
    """New frames, the same again, a fork, a gap, one held and released; heads, live power, the page, the queue."""
    collector, (one, two) = Collector(app), meters
    fork, first, second, third = one.frame(consumption=5), one.next(), one.next(), one.next()
    collector.ingest_all([Sent(first, one.gateway, None, "mqtt"), Sent(two.next(), two.gateway, None, "mqtt")])
    collector.ingest_all([Sent(first + fork, one.gateway, None, "mqtt"), Sent(third, one.gateway, None, "mqtt")])
    collector.ingest(second, gateway=one.gateway, meter=one.name, over="mqtt")
    odd = collector.ingest(two.next(clock_deviation=500), gateway=two.gateway, meter=None, over="https").receipts[0]
    with app.store.write() as session:
        (waiting,) = held.held(session)
        held.release(session, waiting.log_index, actor="operator", reason="checked", now=app.clock())
    assert odd[4] == 2
    collector.ingest(two.next(), gateway=two.gateway, meter=None, over="https")
    with app.store.read() as session:
        assert head(session, session.get_one(Meter, one.pk)) is not None
        assert log.root(session)
    live = Live(app)
    live.power(one.gateway, {one.name: {"power_w": 5, "time": 100}})
    live.status(one.gateway, {"online": True})
    live.flush()
    StoreCampusSource(app, NoChain()).now(96)
    status = facts.gather(app, ChainClient("http://127.0.0.1:9", attempts=1, timeout=1))
    assert [meter.waiting for meter in status.meters] == [3, 3]
    assert sum(map(len, Journal(app.store, lambda: 0).waiting().values())) == 6


@pytest.fixture
def meters(add_meter: AddMeter) -> list[Any]:
    return [add_meter("pv"), add_meter("pv", gateway="gw-2")]


def test_no_statement_reads_the_history(app: App, meters: list[Any]) -> None:
    live_through(app, meters, 40)
    with executed(app.store.engine) as statements:
        a_day_at_work(app, meters)
    assert len(statements.plans(app.store.engine)) > 20
    assert statements.growing(app.store.engine) == []


def test_a_statement_that_reads_the_history_would_be_found(app: App, meters: list[Any]) -> None:
    bad = [
        "SELECT count(verdict) FROM frames",
        "SELECT frame FROM frames WHERE meter_pk = 1 ORDER BY sequence DESC LIMIT 1",
        "SELECT wallet, max(lifetime_minted_wh) FROM settled_spans WHERE lifetime_withdrawal_wh > 0 GROUP BY wallet",
    ]
    statements = Statements()
    statements.executed = [(statement, ()) for statement in bad]
    assert len(statements.growing(app.store.engine)) == len(bad)


@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
def test_the_work_is_the_same_in_an_old_store(app: App, meters: list[Any], clock: Any) -> None:
    """SQLite's own count of what its machine did: steps, not time."""
    costs, statements = [], []
    for history in (520, 700):  # the page shows the last 96 epochs, the status compares the last 500
        clock.now += history * 900
        live_through(app, meters, history)
        StoreCampusSource(app, NoChain()).now(5)
        connection = sqlite3.connect(":memory:")
        steps = 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        with app.store.engine.connect() as pooled:
            connection = pooled.connection.driver_connection  # type: ignore[assignment]
            connection.set_progress_handler(step, 1)
        with executed(app.store.engine) as told:
            a_day_at_work(app, meters)
        connection.set_progress_handler(None, 1)
        costs.append(steps)
        statements.append(len(told.executed))
        with app.store.write() as session:
            session.execute(update(table_of(Frame)).values(chain_status=CHAIN_CONFIRMED))
    assert statements[0] <= statements[1] <= statements[0] + 4  # the tree is a level of tiles higher
    assert costs[0] > 1_000
    assert costs[1] < 1.3 * costs[0]
