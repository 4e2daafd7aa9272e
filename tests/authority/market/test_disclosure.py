"""No public sum is of one or two members who keep to themselves, and nothing of a book is lost where it is told."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from authority.market.disclosure import LEAST_MEMBERS, depth, may_tell

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
