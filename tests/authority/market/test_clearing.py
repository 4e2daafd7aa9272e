"""The auction's reference against brute force, and the rules that every outcome keeps."""

from __future__ import annotations

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
