"""No public sum is of one or two members who keep to themselves, and nothing of a book is lost where it is told."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from authority.market.disclosure import LEAST_MEMBERS, OpenBook, depth, may_tell

PUBLIC = frozenset({8, 9})
ORDERS = st.lists(st.tuples(st.integers(1, 6), st.integers(1, 100), st.integers(0, 9)), max_size=12)


def test_two_members_are_too_few_and_public_ones_do_not_count() -> None:
    assert LEAST_MEMBERS == 3
    assert may_tell([], PUBLIC)
    assert may_tell([8, 9], PUBLIC)
    assert not may_tell([0], PUBLIC)
    assert not may_tell([0, 1, 8, 9], PUBLIC)
    assert not may_tell([0, 1, 1, 0], PUBLIC)
    assert may_tell([0, 1, 2], PUBLIC)


@given(ORDERS)
def test_a_side_is_told_in_sums_of_enough_members_or_not_at_all(orders: list[tuple[int, int, int]]) -> None:
    orders.sort(key=lambda order: order[0])
    told = depth(orders, PUBLIC)
    if not may_tell((member for _, _, member in orders), PUBLIC):
        assert told is None
        return
    assert told is not None
    assert sum(step.quantity_wh for step in told) == sum(wh for _, wh, _ in orders)
    for before, after in itertools.pairwise(told):
        assert before.highest_price < after.lowest_price, "one price is in one sum"
    for step in told:
        its = [order for order in orders if step.lowest_price <= order[0] <= step.highest_price]
        assert step.quantity_wh == sum(wh for _, wh, _ in its)
        assert may_tell((member for _, _, member in its), PUBLIC)


def test_prices_stay_apart_where_each_has_enough_members() -> None:
    crowd = [(price, 10, member) for price in (1, 2) for member in (0, 1, 2)]
    told = depth(crowd, PUBLIC)
    assert told is not None
    assert [(step.lowest_price, step.highest_price, step.quantity_wh) for step in told] == [(1, 1, 30), (2, 2, 30)]


def test_what_is_left_at_the_end_joins_the_sum_before() -> None:
    told = depth([(1, 10, 0), (1, 10, 1), (1, 10, 2), (2, 5, 9), (3, 7, 0)], PUBLIC)
    assert told is not None
    assert [(step.lowest_price, step.highest_price, step.quantity_wh) for step in told] == [(1, 3, 42)]


@dataclass(frozen=True)
class Placed:
    is_bid: bool
    price: int
    quantity: int
    member: int


BOOKS = st.lists(
    st.lists(st.builds(Placed, st.booleans(), st.integers(1, 2), st.integers(1, 2), st.integers(0, 9)), max_size=9),
    max_size=8,
)


@given(BOOKS)
def test_no_two_looks_at_an_open_book_differ_by_one_or_two_members(books: list[list[Placed]]) -> None:
    shown, before = OpenBook[Placed](), None
    for now, orders in enumerate(books):
        told = shown.shown(1, orders, PUBLIC, now)
        if told is None:
            assert before is None
            continue
        for is_bid in (True, False):
            its = parts(told[1], is_bid)
            assert may_tell(its, PUBLIC)
            old = parts(before, is_bid) if before is not None else {}
            assert may_tell((each for each in old.keys() | its.keys() if old.get(each) != its.get(each)), PUBLIC)
        before = told[1]
    assert shown.shown(2, [Placed(True, 1, 1, 0)], PUBLIC, 9) is None, (
        "another epoch's book is not shown for this one's"
    )


def parts(orders: Sequence[Placed], is_bid: bool) -> dict[int, list[Placed]]:
    found: dict[int, list[Placed]] = {}
    for order in orders:
        if order.is_bid == is_bid:
            found.setdefault(order.member, []).append(order)
    return found
