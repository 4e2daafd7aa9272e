"""Standing orders: what they sell and buy, what they leave alone, and that they never place a thing twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authority.market.clearing import escrow_of_bid
from authority.market.standing_orders import (
    ASK,
    BID,
    Holding,
    Limits,
    ProposedOrder,
    ProposedRetirement,
    StandingOrder,
    propose,
    retirements,
)

LIMITS = Limits(
    feed_in_price=1_000_000,
    retail_price=4_000_000,
    wheeling=200_000,
    min_order_wh=10,
    max_order_wh=1_000,
    max_orders_per_member=3,
)
RICH = 10**12


def test_sells_what_is_above_the_reserve():
    policy = StandingOrder(sell_at=2_000_000, reserve_wh=300)
    assert propose(policy, Holding(800, 0), LIMITS) == [ProposedOrder(ASK, 2_000_000, 500)]
    assert propose(policy, Holding(300, 0), LIMITS) == []
    assert propose(policy, Holding(309, 0), LIMITS) == []  # under the smallest order


def test_buys_what_the_open_period_lacks():
    policy = StandingOrder(buy_at=3_000_000)
    holding = Holding(held_wh=100, credit=RICH, withdrawal_wh=900, retired_wh=200, bid_for_wh=50)
    assert propose(policy, holding, LIMITS) == [ProposedOrder(BID, 3_000_000, 550)]
    assert propose(policy, replace(holding, bid_for_wh=600), LIMITS) == []


def test_a_buyer_keeps_what_it_must_retire():
    policy = StandingOrder(sell_at=1_000_000, buy_at=3_000_000)
    assert propose(policy, Holding(held_wh=500, credit=RICH, withdrawal_wh=500), LIMITS) == []
    assert propose(policy, Holding(held_wh=600, credit=RICH, withdrawal_wh=500), LIMITS) == [
        ProposedOrder(ASK, 1_000_000, 100)
    ]


def test_large_quantities_are_cut_and_the_members_orders_are_bounded():
    policy = StandingOrder(sell_at=2_000_000)
    assert [order.quantity for order in propose(policy, Holding(2_500, 0), LIMITS)] == [1_000, 1_000, 500]
    assert [order.quantity for order in propose(policy, Holding(2_500, 0, orders=2), LIMITS)] == [1_000]
    assert propose(policy, Holding(2_500, 0, orders=3), LIMITS) == []


def test_limits_outside_the_market():
    holding = Holding(held_wh=100, credit=RICH)
    assert propose(StandingOrder(sell_at=1), holding, LIMITS)[0].price == LIMITS.feed_in_price
    assert propose(StandingOrder(sell_at=LIMITS.retail_price + 1), holding, LIMITS) == []
    needy = Holding(held_wh=0, credit=RICH, withdrawal_wh=100)
    assert propose(StandingOrder(buy_at=9_000_000), needy, LIMITS)[0].price == LIMITS.retail_price
    assert propose(StandingOrder(buy_at=1), needy, LIMITS) == []


def test_a_bid_never_costs_more_than_the_member_has():
    policy = StandingOrder(buy_at=3_000_000)
    for credit in (0, 31_999, 32_000, 100_001):
        for order in propose(policy, Holding(0, credit, withdrawal_wh=10_000), LIMITS):
            assert escrow_of_bid(order.quantity, order.price, LIMITS.wheeling) <= credit


@pytest.mark.finding("authority-02")
def test_what_was_bought_for_a_period_that_has_ended_covers_no_other():
    """5,000 Wh were bought for 5,000 Wh withdrawn in the period before, and are not yet retired for it."""
    limits = Limits(80_000, 300_000, 20_000, 1, 1_000_000, 8)
    policy = StandingOrder(buy_at=250_000)
    holding = Holding(held_wh=5_000, credit=50_000_000, withdrawal_wh=500, previous_withdrawal_wh=5_000)
    assert propose(policy, holding, limits) == [ProposedOrder(BID, 250_000, 500)]
    assert retirements(policy, holding, limits.feed_in_price) == ProposedRetirement(previous_wh=5_000)
    retired = replace(holding, held_wh=0, previous_retired_wh=5_000)
    assert propose(policy, retired, limits) == [ProposedOrder(BID, 250_000, 500)]
    both = StandingOrder(sell_at=90_000, buy_at=250_000)
    turned = Holding(held_wh=5_000, credit=50_000_000, previous_withdrawal_wh=5_000)
    assert propose(both, turned, limits) == []
    assert retirements(both, turned, limits.feed_in_price).previous_wh == 5_000


def test_what_is_held_is_retired_for_the_older_period_first():
    policy = StandingOrder(buy_at=250_000)
    holding = Holding(held_wh=700, credit=0, withdrawal_wh=900, retired_wh=100, previous_withdrawal_wh=500)
    assert retirements(policy, holding, 80_000) == ProposedRetirement(500, 200)
    assert retirements(StandingOrder(sell_at=90_000), holding, 80_000) == ProposedRetirement()


def test_feed_in_takes_the_members_own_surplus_beyond_the_bound():
    policy = StandingOrder(sell_at=90_000, feed_in_above_wh=1_000)
    holding = Holding(held_wh=1_500, credit=0, own_surplus_wh=400)
    assert retirements(policy, holding, 80_000) == ProposedRetirement(feed_in_wh=400)
    assert retirements(policy, replace(holding, own_surplus_wh=9_000), 80_000).feed_in_wh == 500
    assert retirements(replace(policy, reserve_wh=1_400), holding, 80_000).feed_in_wh == 100
    assert retirements(policy, replace(holding, own_surplus_wh=12), 80).feed_in_wh == 0  # worth no micro-credit
    assert retirements(policy, replace(holding, held_wh=1_000), 80_000).feed_in_wh == 0


def test_no_policy_no_order():
    assert propose(StandingOrder(), Holding(10_000, RICH, withdrawal_wh=99_999), LIMITS) == []


amounts = st.integers(0, 10_000)


@given(
    st.builds(StandingOrder, st.none() | amounts, st.none() | amounts, amounts),
    st.builds(Holding, amounts, st.integers(0, 10**9), amounts, amounts, amounts, st.integers(0, 3)),
)
def test_placing_again_after_the_orders_stand_places_nothing_that_was_not_cut_off(policy, holding):
    limits = replace(LIMITS, feed_in_price=100, retail_price=9_000, max_orders_per_member=100)
    orders = propose(policy, holding, limits)
    sold = sum(order.quantity for order in orders if order.side == ASK)
    bought = sum(order.quantity for order in orders if order.side == BID)
    spent = sum(escrow_of_bid(order.quantity, order.price, limits.wheeling) for order in orders if order.side == BID)
    assert holding.held_wh - sold >= min(holding.held_wh, policy.reserve_wh)
    assert spent <= holding.credit
    assert not (sold and bought)
    after = replace(
        holding,
        held_wh=holding.held_wh - sold,
        credit=holding.credit - spent,
        bid_for_wh=holding.bid_for_wh + bought,
        orders=holding.orders + len(orders),
    )
    assert all(order.quantity < limits.max_order_wh for order in propose(policy, after, limits))
    if spent < holding.credit // 2:
        assert propose(policy, after, limits) == []
