"""The rule of a bill alone: what covers what, at which price, and what rounding leaves."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packed_accounts import paid_book

from authority.billing.bill import (
    CLOSED,
    CORRECTED,
    CORRECTION_WITHDRAWN,
    KINDS,
    LoggedAct,
    Window,
    bills_of,
    bills_so_far,
    ranges,
    trades_of,
)
from authority.billing.errors import BillingError
from authority.billing.facts import CreditMoved, Facts, Retirement, Withdrawal
from authority.chain.idl import Event

SECONDS = 900
TURN = 100
"""The epoch with which period 1 begins; period 0 began with epoch 10."""


class Leaves:
    """Evidence without books: each reading is a leaf, numbered by its boundary."""

    def __init__(self, acts=()):
        self._acts = list(acts)

    def books(self, first_epoch, end_epoch):
        return ()

    def acts(self):
        return self._acts

    def sent(self, wanted):
        return {}

    def readings(self, wanted, before):
        return {pair: [pair[1] // SECONDS] for pair in wanted}


def facts_of(withdrawals, retired=(), prices=((0, 300_000),)):
    """Facts of one member, m: (epoch of the span, Wh) each, and Wh retired."""
    facts = Facts()
    governance = {"epoch_seconds": SECONDS, "first_epoch": 10, "parameters": {"retail_price": prices[0][1]}}
    facts.apply(0, b"", [Event("Initialized", governance)])
    for first, price in prices[1:]:
        staged = {"from_epoch": first, "parameters": {"retail_price": price}}
        facts.apply(first * SECONDS - 1, b"", [Event("ParametersStaged", staged)])
    for period, first in ((1, TURN), (2, 2 * TURN)):
        facts.apply(0, b"", [Event("BillingPeriodOpened", {"period": period, "first_epoch": first})])
    facts.members[0] = "m"
    for epoch, wh in withdrawals:
        end = (epoch + 1) * SECONDS
        facts.withdrawals.append(Withdrawal("m", 1, end - SECONDS, end, wh, (b"meter",)))
    for wh in retired:
        facts.retirements.append(Retirement("m", 1, wh, 0, False, TURN + 5, bytes(64)))
    return facts


def by_member(period, facts, evidence):
    return {bill.member: bill for bill in bills_of(period, facts, evidence)}


def lines_of(facts, acts=()):
    return by_member(1, facts, Leaves(acts))["m"].lines


def test_what_is_retired_covers_what_was_booked_first_and_the_rest_has_the_price_of_its_day():
    drawn = [(TURN, 1_000), (TURN + 1, 1_000), (TURN + 2, 1_000)]
    facts = facts_of(drawn, [1_500], prices=((0, 300_000), (TURN + 2, 400_000)))
    rest = [(line.wh, line.price, line.amount, line.epochs) for line in lines_of(facts) if line.kind == "remainder"]
    assert rest == [
        (500, 300_000, 150_000, [[TURN + 1, TURN + 1]]),
        (1_000, 400_000, 400_000, [[TURN + 2, TURN + 2]]),
    ]


def test_a_late_span_is_a_line_of_its_own_at_the_price_of_its_day():
    facts = facts_of([(TURN + 3, 100), (TURN - 4, 70)], prices=((0, 300_000), (TURN, 400_000)))
    found = {(line.kind, line.of_period): (line.wh, line.amount) for line in lines_of(facts)}
    assert found == {
        ("withdrawn", None): (100, 0),
        ("late_withdrawal", 0): (70, 0),
        ("remainder", None): (100, 40_000),
        ("remainder", 0): (70, 21_000),
    }


def test_more_retired_than_withdrawn_is_no_bill():
    with pytest.raises(BillingError) as refused:
        lines_of(facts_of([(TURN, 10)], [11]))
    assert refused.value.code == "retired_too_much"


def test_a_period_that_runs_is_no_period_to_bill():
    with pytest.raises(BillingError) as refused:
        bills_of(2, facts_of([]), Leaves())
    assert refused.value.code == "period_open"
    with pytest.raises(BillingError) as refused:
        bills_of(3, facts_of([]), Leaves())
    assert refused.value.code == "period_unknown"


@given(
    st.lists(st.tuples(st.integers(TURN - 20, 2 * TURN - 1), st.integers(1, 2**40)), max_size=30),
    st.lists(st.integers(1, 999_999_999), min_size=1, max_size=4),
    st.floats(0, 1),
)
def test_nothing_is_lost_and_rounding_is_bounded(drawn, prices, share):
    total = sum(wh for _, wh in drawn)
    covered = int(total * share)
    staged = [(0, prices[0]), *((TURN + 7 * n, price) for n, price in enumerate(prices[1:], 1))]
    facts = facts_of(drawn, [covered] if covered else [], staged)
    bills = by_member(1, facts, Leaves())
    if not drawn:
        assert bills == {}
        return
    bill = bills["m"]
    wh = {kind: sum(line.wh for line in bill.lines if line.kind == kind) for kind in ("retired", "remainder")}
    assert wh["retired"] == covered
    assert wh["remainder"] == total - covered
    priced = [line for line in bill.lines if line.price is not None]
    exact = sum(Fraction(line.wh * line.price, 1000) for line in priced)
    assert bill.due == exact - Fraction(bill.rounded_off, 1000)
    assert 0 <= bill.rounded_off < 1000 * max(1, len(priced))
    assert {line.price for line in priced} <= set(prices)


@given(st.lists(st.integers(0, 60), max_size=40))
def test_ranges_name_each_number_once(numbers):
    found = ranges(numbers)
    assert [n for first, last in found for n in range(first, last + 1)] == sorted(set(numbers))
    assert all(before[1] + 1 < after[0] for before, after in pairwise(found))


@given(st.data())
def test_each_correction_is_on_exactly_one_bill(data):
    """Acts and closings in any order: every correction is in the window of one period that was closed after it."""
    kinds = data.draw(st.lists(st.sampled_from([CORRECTED, CLOSED]), max_size=20))
    acts, period = [], 0
    for index, kind in enumerate(kinds):
        acts.append(LoggedAct(index, kind, {"period": period} if kind == CLOSED else {}))
        period += kind == CLOSED
    windows = [Window.of(acts, each) for each in range(period + 1)]  # the last is not closed yet
    for act in acts:
        if act.kind == CORRECTED:
            assert sum(window.holds(act) for window in windows) == 1


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(1, 10**6)), max_size=40), st.integers(0, 300))
def test_one_members_trades_are_those_of_the_book(orders, member):
    """They are found without taking the others' orders apart, and no other number is taken for a member's index."""
    half = len(orders) // 2
    book = paid_book(7, member, orders[:half], orders[half:])
    assert list(trades_of(book, member=member)) == [trade for trade in trades_of(book) if trade.member == member]


def test_what_is_entered_is_on_the_bill_so_far_of_the_earliest_open_period_alone():
    """A member is not told of one correction on two bills."""
    facts = facts_of([(TURN + 1, 5_000)])
    facts.members[0] = "m"
    closed = LoggedAct(1, CLOSED, {"period": 0})
    correction = LoggedAct(2, CORRECTED, {"wallet": "m", "amount": -50, "bill": 1, "line": 1, "reason": "x"})

    def corrected(period, *acts):
        bills = {bill.member: bill for bill in bills_so_far(period, facts, Leaves(acts), "m")}
        return [line.amount for line in bills["m"].lines if line.kind == "correction"] if bills else []

    assert (corrected(1, closed, correction), corrected(2, closed, correction)) == ([-50], [])
    later = LoggedAct(3, CLOSED, {"period": 1})
    after = LoggedAct(4, CORRECTED, {"wallet": "m", "amount": -7, "bill": 1, "line": 1, "reason": "x"})
    assert corrected(2, closed, correction, later, after) == [-7]
    withdrawn = LoggedAct(3, CORRECTION_WITHDRAWN, {"correction": 2, "wallet": "m"})
    assert corrected(1, closed, correction, withdrawn) == []
    anothers = LoggedAct(3, CORRECTION_WITHDRAWN, {"correction": 2, "wallet": "n"})
    assert corrected(1, closed, correction, anothers) == [-50], "an entry of another member takes nothing back"
    late = LoggedAct(5, CORRECTION_WITHDRAWN, {"correction": 2, "wallet": "m"})
    assert corrected(2, closed, correction, later, after, late) == [-7], "a bill had it before, and so it stays"
    everybodys = [bill.member for bill in bills_so_far(1, facts, Leaves([closed]))]
    assert everybodys == [bill.member for bill in bills_so_far(1, facts, Leaves([closed]), "m")] == ["m"]
    assert [*bills_so_far(1, facts, Leaves([closed]), "nobody")] == []


class WithBooks(Leaves):
    """The same with final books: what member 0, which is m, bought and sold."""

    def books(self, first_epoch, end_epoch):
        for epoch in (TURN, TURN + 30):
            yield epoch, paid_book(epoch, 200_000, [(0, 333), (0, 1), (1, 5)], [(1, 300), (0, 39)])


def test_every_kind_of_line_is_the_sum_of_its_parts_and_has_no_others_times():
    estimated = {"wallet": "m", "first_epoch": TURN + 8, "end_epoch": TURN + 20, "wh": 2_500, "reason": "dead"}
    acts = [
        LoggedAct(2, CLOSED, {"period": 0}),
        LoggedAct(3, "consumption_estimated", estimated),
        LoggedAct(4, "estimate_withdrawn", {"wallet": "m", "estimate": 3, "reason": "read after all"}),
    ]
    drawn = [(TURN, 700), (TURN - 4, 70), *((TURN + n, 100 + n) for n in range(2, 40))]
    facts = facts_of(drawn, [900, 350], prices=((0, 300_000), (TURN + 20, 400_000)))
    facts.members[1] = "n"
    facts.retirements.append(Retirement("m", 1, 60, 4_800, True, TURN + 6, bytes(64)))
    facts.credits += [CreditMoved("m", 1, amount, TURN + 7, bytes(64)) for amount in (5_000, -2_000, 9)]
    (bill,) = bills_so_far(1, facts, WithBooks(acts), "m", parts=True)
    assert {line.kind for line in bill.lines} == {*KINDS} - {"correction"}
    for line in bill.lines:
        assert sum(part.wh for part in line.parts) == line.wh, line
        if all(part.amount is not None for part in line.parts):
            assert sum(part.amount for part in line.parts) == line.amount, line
        else:
            assert line.kind in ("withdrawn", "late_withdrawal", "remainder")
        epochs = [epoch for part in line.parts for epoch in range(part.first, part.last + 1)]
        assert ranges(epochs) == line.epochs, line
    (plain,) = bills_so_far(1, facts, WithBooks(acts), "m")
    assert plain.document(1, bytes(8)) == bill.document(1, bytes(8))
    assert not any(line.parts for line in plain.lines)
