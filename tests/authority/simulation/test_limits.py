"""Members answer to prices: their limits move with feed-in, retail and wheeling, at the start and at each change."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from authority.app import App
from authority.market.policies import ORDER_SET, standing_orders
from authority.market.standing_orders import StandingOrder
from authority.measures import tables
from authority.simulation import report
from authority.simulation.campus_home import start_of
from authority.simulation.limits import NEVER_BIDS, USUAL, order_at
from authority.simulation.scenario import Scenario
from authority.simulation.simulation import Out, Request, Simulation
from authority.store.log import Act

HOURLY = "epoch_seconds = 3600\n"
DRAWN = StandingOrder(sell_at=100_000, buy_at=240_000, feed_in_above_wh=60_000)
MOST = 2**32 - 1
prices_ = st.integers(1, MOST)


def test_limits_lie_as_far_between_the_prices_as_they_were_drawn() -> None:
    assert (USUAL.lowest, USUAL.worth_up_to) == (80_000, 280_000)
    assert order_at(DRAWN, 80_000, 280_000) == DRAWN
    assert order_at(DRAWN, 80_000, 380_000) == StandingOrder(110_000, 320_000, feed_in_above_wh=60_000)
    assert order_at(DRAWN, 1, 200_001) == StandingOrder(20_001, 160_001, feed_in_above_wh=60_000)
    assert order_at(StandingOrder(buy_at=200_001), 80_000, 180_000) == StandingOrder(buy_at=140_000)  # rounded down


@given(st.integers(80_000, 280_000), st.integers(80_000, 280_000), prices_, prices_)
def test_nobody_sells_for_less_than_the_feed_in_or_buys_for_more_than_it_is_worth(
    sell: int, buy: int, feed_in: int, worth: int
) -> None:
    order = order_at(StandingOrder(sell, buy), feed_in, worth)
    if worth <= feed_in:
        assert order == StandingOrder(buy_at=NEVER_BIDS)
        return
    assert order.sell_at is not None
    assert order.buy_at is not None
    for limit in (order.sell_at, order.buy_at):
        assert feed_in <= limit <= worth
    if sell <= buy:
        assert order.sell_at <= order.buy_at


def test_where_the_prices_leave_no_room_a_member_covers_its_needs_and_feeds_in() -> None:
    assert order_at(DRAWN, 80_000, 80_000) == StandingOrder(buy_at=NEVER_BIDS, feed_in_above_wh=60_000)
    assert order_at(DRAWN, 80_000, -20_000) == order_at(DRAWN, 80_000, 80_000)
    assert order_at(StandingOrder(buy_at=240_000), 80_000, 70_000) == StandingOrder(buy_at=NEVER_BIDS)


CHANGES = """
[[event]]
kind = "parameters"
from_hour = 9
retail_price = 400_000

[[event]]
kind = "parameters"
from_hour = 14
feed_in_price = 380_000
"""


def test_the_parameters_of_a_time() -> None:
    scenario = Scenario.parse(HOURLY + CHANGES)
    prices = [
        (found.feed_in_price, found.retail_price)
        for hour in (0, 8, 9, 13, 14, 40)
        if (found := scenario.parameters_at(3_600 * hour))
    ]
    assert prices == [(80_000, 300_000)] * 2 + [(80_000, 400_000)] * 2 + [(380_000, 400_000)] * 2


def live(path: Path, text: str) -> dict[str, Any]:
    request = Request(1, 4, 4, 1, start_of("2026-06-01"), Scenario.parse(HOURLY + text))
    with Out(path, request) as out:
        simulation = Simulation(request, out, lambda *_: None)
        simulation.run()
        return report.make(path, request, simulation.spent, compare=True)


def prices_by_hour(path: Path, table: tables.Table, **wanted: str) -> list[int | None]:
    with (path / table.file).open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if all(row[name] == each for name, each in wanted.items())]
    return [int(row["price"]) if row["price"] else None for row in rows]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_dearer_retail_price_moves_the_price_from_when_it_holds(tmp_path: Path) -> None:
    usual, dearer = tmp_path / "usual", tmp_path / "dearer"
    before, after = live(usual, ""), live(dearer, "[parameters]\nretail_price = 400_000\n")
    changed = live(tmp_path / "changed", CHANGES)
    for found in (before, after, changed):
        assert (found["audit"]["ok"], found["audit"]["problems"]) == (True, [])
    # the same energy is traded by the same people, at a price as much further from the feed-in
    assert before["measures"]["energy"]["traded_wh"] == after["measures"]["energy"]["traded_wh"] > 0
    mean, dear = (found["measures"]["prices"]["mean"] for found in (before, after))
    assert dear - 80_000 == pytest.approx((mean - 80_000) * 300 / 200, abs=2)

    # for the time being as without the change, then at the dearer price, at last without a market
    hours = {name: prices_by_hour(tmp_path / name, tables.EPOCHS) for name in ("usual", "dearer", "changed")}
    assert hours["changed"][:9] == hours["usual"][:9]
    assert hours["changed"][9:14] == hours["dearer"][9:14] != hours["usual"][9:14]
    assert {*hours["changed"][14:]} == {None} != {*hours["usual"][14:]}

    # other market rules have the limits of the time too
    rules = {
        name: prices_by_hour(tmp_path / name, tables.MARKET_EPOCHS, rule="pay_as_bid")
        for name in ("usual", "dearer", "changed")
    }
    assert rules["changed"][:9] == rules["usual"][:9]
    assert rules["changed"][9:14] == rules["dearer"][9:14] != rules["usual"][9:14]
    assert {*rules["changed"][14:]} == {None}

    # each member's order is set by a logged act as by hand: at the beginning, and at each change
    app = App.open(tmp_path / "changed")
    with app.store.read() as session:
        times = session.scalars(select(Act.time).where(Act.kind == ORDER_SET)).all()
        at_the_end = [order for _, order in standing_orders(session)]
    app.store.close()
    start = start_of("2026-06-01")
    assert sorted({time // 3_600 - start // 3_600 for time in times}) == [-1, 9, 14]
    assert len(times) == 3 * 4
    assert {(order.sell_at, order.buy_at) for order in at_the_end} == {(None, NEVER_BIDS)}


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("prices", ["wheeling = 220_000", "feed_in_price = 1\nretail_price = 20_001"])
def test_without_room_between_the_prices_nobody_trades(prices: str, tmp_path: Path) -> None:
    found = live(tmp_path / "out", f"[parameters]\n{prices}\n")
    assert (found["audit"]["ok"], found["audit"]["problems"]) == (True, [])
    measures = found["measures"]
    assert (measures["energy"]["traded_wh"], measures["prices"]["epochs"]) == (0, 0)
    assert measures["energy"]["minted_wh"] > 0
    assert measures["money"]["members_worse_off"] == 0
