"""Standing orders are kept as given, and what cannot be meant is refused."""

from __future__ import annotations

import pytest

from authority.market.policies import MarketError, remove_standing_order, set_standing_order, standing_orders
from authority.market.prices import MarketPrices
from authority.market.standing_orders import StandingOrder
from authority.store import Store
from authority.store.people import User


@pytest.fixture
def store(tmp_path):
    store = Store.open(f"sqlite:///{tmp_path / 'store.db'}")
    with store.write() as session:
        for name in ("North Hall", "South Hall"):
            session.add(User(name=name, building=name, wallet=name))
    yield store
    store.close()


def test_set_replace_and_remove(store):
    with store.write() as session:
        set_standing_order(session, "North Hall", StandingOrder(120_000, None, 500), by="operator", now=1)
        set_standing_order(session, "South Hall", StandingOrder(None, 250_000), by="operator", now=1)
        set_standing_order(session, "North Hall", StandingOrder(130_000, 90_000), by="operator", now=2)
    with store.read() as session:
        assert [(user.name, order) for user, order in standing_orders(session)] == [
            ("North Hall", StandingOrder(130_000, 90_000, 0)),
            ("South Hall", StandingOrder(None, 250_000, 0)),
        ]
    with store.write() as session:
        remove_standing_order(session, "North Hall")
    with store.write() as session, pytest.raises(MarketError) as refused:
        remove_standing_order(session, "North Hall")
    assert refused.value.code == "standing_order_missing"


@pytest.mark.parametrize(
    ("order", "user", "code"),
    [
        (StandingOrder(1, None), "Nobody", "user_unknown"),
        (StandingOrder(), "North Hall", "standing_order_invalid"),
        (StandingOrder(0, None), "North Hall", "standing_order_invalid"),
        (StandingOrder(None, 2**32), "North Hall", "standing_order_invalid"),
        (StandingOrder(1, None, -1), "North Hall", "standing_order_invalid"),
    ],
)
def test_refusals(store, order, user, code):
    with store.write() as session, pytest.raises(MarketError) as refused:
        set_standing_order(session, user, order, by="operator", now=1)
    assert refused.value.code == code
    with store.read() as session:
        assert standing_orders(session) == []


PRICES = MarketPrices(80_000, 300_000, 280_000, 20_000, 100, 100)


@pytest.mark.finding("authority-11")
@pytest.mark.parametrize("order", [StandingOrder(sell_at=9_000_000), StandingOrder(buy_at=10)])
def test_an_order_without_effect_is_refused_with_the_bounds(store, order):
    with store.write() as session, pytest.raises(MarketError, match="80000 to 300000") as refused:
        set_standing_order(session, "North Hall", order, by="operator", now=1, prices=PRICES)
    assert refused.value.code == "standing_order_without_effect"


@pytest.mark.parametrize(
    "order", [StandingOrder(sell_at=300_000), StandingOrder(buy_at=80_000), StandingOrder(1, 2**31)]
)
def test_an_order_that_can_trade_is_taken(store, order):
    with store.write() as session:
        set_standing_order(session, "North Hall", order, by="operator", now=1, prices=PRICES)
    with store.read() as session:
        assert [order for _, order in standing_orders(session)] == [order]


def test_feeding_in_alone_is_an_order(store):
    order = StandingOrder(feed_in_above_wh=500)
    with store.write() as session:
        set_standing_order(session, "North Hall", order, by="operator", now=1, prices=PRICES)
    with store.read() as session:
        assert [order for _, order in standing_orders(session)] == [order]
