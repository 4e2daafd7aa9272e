"""Welfare by hand, and its optimum against the linear program: by every allocation of small books, and by its dual."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authority.market.clearing import Order, clear
from authority.measures.welfare import Welfare, possible, reached

BIDS = [Order(260, 1_500), Order(180, 1_500)]
ASKS = [Order(120, 1_000), Order(200, 1_000)]


def test_by_hand() -> None:
    # 1,000 Wh from 120 to 260 and 500 Wh from 200 to 260; 180 does not reach 200
    assert possible(BIDS, ASKS) == 1_000 * 140 + 500 * 60
    assert reached([(260, 1_500)], [(120, 1_000), (200, 500)]) == 1_000 * 140 + 500 * 60
    assert possible([], ASKS) == possible(BIDS, []) == possible(BIDS[1:], ASKS[1:]) == 0
    half = Welfare(85_000, 170_000) + Welfare(-500, 0)
    assert half.as_json() == {"reached": 84, "possible": 170, "efficiency": 0.497059}
    assert Welfare().efficiency is None


def sides(quantity: int, most: int) -> st.SearchStrategy[tuple[list[Order], list[Order]]]:
    """Books: bids dearest first, asks cheapest first, with many equal prices."""
    orders = st.lists(st.builds(Order, st.integers(1, 8), st.integers(1, quantity)), max_size=most)
    return st.tuples(
        orders.map(lambda found: sorted(found, key=lambda each: -each.price)),
        orders.map(lambda found: sorted(found, key=lambda each: each.price)),
    )


@given(sides(2, 3))
def test_no_allocation_of_a_small_book_is_better(book: tuple[list[Order], list[Order]]) -> None:
    """Whole quantities suffice: the program's matrix is totally unimodular, so its vertices are whole."""
    bids, asks = book
    best: dict[int, int] = {}
    for fills in product(*(range(ask.quantity + 1) for ask in asks)):
        cost = sum(ask.price * wh for ask, wh in zip(asks, fills, strict=True))
        best[sum(fills)] = min(cost, best.get(sum(fills), cost))
    found = max(
        sum(bid.price * wh for bid, wh in zip(bids, fills, strict=True)) - best[sum(fills)]
        for fills in product(*(range(bid.quantity + 1) for bid in bids))
        if sum(fills) in best
    )
    assert possible(bids, asks) == found


def dual(bids: list[Order], asks: list[Order], price: int) -> int:
    """What the dual program says at a price: no allocation is worth more."""
    buyers = sum(bid.quantity * max(0, bid.price - price) for bid in bids)
    return buyers + sum(ask.quantity * max(0, price - ask.price) for ask in asks)


@given(sides(1_000, 40), st.integers(1, 8))
def test_the_dual_has_the_same_value_at_the_clearing_price_and_no_less_at_any(
    book: tuple[list[Order], list[Order]], price: int
) -> None:
    bids, asks = book
    outcome = clear(bids, asks, price)
    assert dual(bids, asks, price) >= possible(bids, asks)
    if outcome.volume:
        assert dual(bids, asks, outcome.price) == possible(bids, asks)
    filled = [
        [(order.price, wh) for order, wh in zip(orders, fills, strict=True)]
        for orders, fills in ((bids, outcome.bid_fills), (asks, outcome.ask_fills))
    ]
    assert reached(*filled) == possible(bids, asks)  # the call auction is efficient


@pytest.mark.parametrize("gap", [1, 100])
def test_where_no_bid_reaches_an_ask_the_dual_is_zero_too(gap: int) -> None:
    bids, asks = [Order(100, 5)], [Order(100 + gap, 5)]
    assert possible(bids, asks) == dual(bids, asks, 100) == 0
