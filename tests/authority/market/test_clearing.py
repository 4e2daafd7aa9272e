"""The auction's reference against brute force, and the rules that every outcome keeps.

CLEARING_BOOKS sets how many large books there are, of up to 4,096 orders a side; CLEARING_SEED makes them others.
"""

from __future__ import annotations

import os
import random
from bisect import bisect_left, bisect_right
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authority.market.clearing import (
    Order,
    allocate,
    buyer_pays,
    clear,
    equilibrium,
    escrow_of_bid,
    seller_gets,
    seller_gross,
)

orders = st.lists(st.builds(Order, st.integers(1, 12), st.integers(1, 30)), max_size=9)


def book(bids, asks):
    return sorted(bids, key=lambda o: -o.price), sorted(asks, key=lambda o: o.price)


def executable(bids, asks, price):
    return min(sum(o.quantity for o in bids if o.price >= price), sum(o.quantity for o in asks if o.price <= price))


def test_a_small_book():
    bids = [Order(9, 10), Order(7, 10), Order(5, 10)]
    asks = [Order(4, 10), Order(6, 5), Order(8, 10)]
    assert equilibrium(bids, asks) == (15, 7, 7)  # the rest of the bid at 7 counts as next
    outcome = clear(bids, asks, reference=100)
    assert outcome.price == 7
    assert outcome.bid_fills == (10, 5, 0)
    assert outcome.ask_fills == (10, 5, 0)


def test_an_empty_or_uncrossed_book_does_not_trade():
    for bids, asks in (([], []), ([Order(5, 1)], []), ([], [Order(5, 1)]), ([Order(4, 1)], [Order(5, 1)])):
        outcome = clear(bids, asks, 5)
        assert (outcome.price, outcome.volume) == (0, 0)


def test_the_long_side_shares_by_largest_remainders_in_book_order():
    assert allocate([1, 1, 1], 2) == [1, 1, 0]
    assert allocate([5, 3, 2], 5) == [3, 1, 1]  # 2.5, 1.5, 1.0: equal remainders go to the earlier order
    assert allocate([5, 3], 20) == [5, 3]


def test_payments_round_for_the_fee_account():
    assert (buyer_pays(1, 1), seller_gross(1, 1)) == (1, 0)
    assert buyer_pays(1_500, 2_000_001, 10) == 3_000_017
    assert seller_gets(1_000, 1_000_000, 50) == 995_000
    assert escrow_of_bid(1_000, 5, 3) == 8
    assert buyer_pays(0, 5) == 0


@given(orders, orders, st.integers(0, 14))
def test_against_brute_force(bids, asks, reference):
    bids, asks = book(bids, asks)
    outcome = clear(bids, asks, reference)
    best = max((executable(bids, asks, price) for price in range(14)), default=0)
    assert outcome.volume == best
    if best == 0:
        return
    # nothing strictly better than the price stays unfilled, on either side: the equilibrium prices
    candidates = [
        price
        for price in range(14)
        if executable(bids, asks, price) == best
        and sum(o.quantity for o in bids if o.price > price) <= best
        and sum(o.quantity for o in asks if o.price < price) <= best
    ]
    assert outcome.price in candidates
    assert abs(outcome.price - reference) == min(abs(price - reference) for price in candidates)


@given(orders, orders, st.integers(0, 14))
def test_every_outcome_is_balanced_and_rational(bids, asks, reference):
    bids, asks = book(bids, asks)
    outcome = clear(bids, asks, reference)
    assert sum(outcome.bid_fills) == sum(outcome.ask_fills) == outcome.volume
    for side, fills, better in ((bids, outcome.bid_fills, 1), (asks, outcome.ask_fills, -1)):
        for order, fill in zip(side, fills, strict=True):
            assert 0 <= fill <= order.quantity
            if fill:
                assert (order.price - outcome.price) * better >= 0
            if outcome.volume and (order.price - outcome.price) * better > 0:
                assert fill == order.quantity


@given(orders, orders, st.integers(1, 12), st.integers(0, 10_000), st.integers(0, 3_000))
def test_money_balances(bids, asks, reference, fee_bps, wheeling):
    bids, asks = book(bids, asks)
    outcome = clear(bids, asks, reference)
    paid = sum(buyer_pays(fill, outcome.price, wheeling) for fill in outcome.bid_fills)
    earned = sum(seller_gets(fill, outcome.price, fee_bps) for fill in outcome.ask_fills)
    assert paid >= earned
    for order, fill in zip(bids, outcome.bid_fills, strict=True):
        assert buyer_pays(fill, outcome.price, wheeling) <= escrow_of_bid(order.quantity, order.price, wheeling)


LARGE_BOOKS = int(os.environ.get("CLEARING_BOOKS", "24"))
SEED = int(os.environ.get("CLEARING_SEED", "0"))


def a_large_book(number):
    """Up to 4,096 orders a side: few prices or many, small quantities or large, one side fuller than the other."""
    source = random.Random(f"{SEED} {number}")  # noqa: S311 - test data
    prices = source.choice((1, 3, 40, 1_000, 300_000))
    quantities = source.choice((1, 8, 1_000_000))

    def side():
        many = source.choice((source.randint(1, 60), source.randint(1, 4_096), 4_096))
        return [Order(source.randint(1, prices), source.randint(1, quantities), n % 9) for n in range(many)]

    return *book(side(), side()), source.randint(1, prices + 3)


class Total:
    """Quantities of a side up to a price, or from it on."""

    def __init__(self, orders):
        ascending = sorted(orders, key=lambda order: order.price)
        self.prices = [order.price for order in ascending]
        self.sums = [0, *accumulate(order.quantity for order in ascending)]

    def at_most(self, price):
        return self.sums[bisect_right(self.prices, price)]

    def at_least(self, price):
        return self.sums[-1] - self.sums[bisect_left(self.prices, price)]


@pytest.mark.parametrize("number", range(LARGE_BOOKS))
def test_large_books_against_brute_force(number):
    """By the definition alone: every price that an order names is tried, and the reference."""
    bids, asks, reference = a_large_book(number)
    outcome = clear(bids, asks, reference)
    wanted, offered = Total(bids), Total(asks)
    tried = {order.price for order in [*bids, *asks]} | {reference}
    assert outcome.volume == max(min(wanted.at_least(price), offered.at_most(price)) for price in tried)
    if outcome.volume == 0:
        assert not bids or not asks or bids[0].price < asks[0].price
        return
    clearing = [
        price
        for price in tried
        if min(wanted.at_least(price), offered.at_most(price)) == outcome.volume
        and wanted.at_least(price + 1) <= outcome.volume
        and offered.at_most(price - 1) <= outcome.volume
    ]
    assert outcome.price in clearing
    assert abs(outcome.price - reference) == min(abs(price - reference) for price in clearing)
    assert sum(outcome.bid_fills) == sum(outcome.ask_fills) == outcome.volume
    for side, fills, sign in ((bids, outcome.bid_fills, 1), (asks, outcome.ask_fills, -1)):
        at_the_price = [order.quantity for order in side if order.price == outcome.price]
        better = sum(order.quantity for order in side if sign * (order.price - outcome.price) > 0)
        shares = iter(allocate(at_the_price, outcome.volume - better))
        assert fills == tuple(
            order.quantity
            if sign * (order.price - outcome.price) > 0
            else next(shares)
            if order.price == outcome.price
            else 0
            for order in side
        )
