"""The times of a bill's line by quarters of an hour and by days: nothing is lost, and no day has more than the line."""

from __future__ import annotations

from datetime import date
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from authority.api.bill_parts import FEW_DAYS, rows_of
from authority.billing.bill import Part
from authority.billing.calendar import local, midnight

BERLIN = ZoneInfo("Europe/Berlin")
FIRST = midnight(date(2026, 10, 24), BERLIN) // 900 + 40
"""Ten in the morning, a day before the clocks change."""


def test_a_period_that_begins_inside_a_day_has_of_that_day_what_is_its_own() -> None:
    parts = [Part(FIRST + n, FIRST + n, 1_000, 250_000) for n in range(4 * 96)]
    rows = rows_of(parts, 900, BERLIN)
    assert [(row.day, row.wh) for row in rows] == [
        (date(2026, 10, 24), 56_000), (date(2026, 10, 25), 100_000), (date(2026, 10, 26), 96_000),
        (date(2026, 10, 27), 96_000), (date(2026, 10, 28), 36_000),
    ]  # fmt: skip
    assert rows[0].starts_at == FIRST * 900
    of_a_day = rows_of(parts, 900, BERLIN, date(2026, 10, 24))
    assert (len(of_a_day), of_a_day[0].day) == (56, None)
    assert rows_of(parts, 900, BERLIN, date(2026, 10, 29)) == ()


def test_few_days_are_shown_by_their_spans_and_those_of_one_span_together() -> None:
    rows = rows_of(
        [Part(FIRST, FIRST, 100, None), Part(FIRST, FIRST, 20, None), Part(FIRST + 1, FIRST + 9, 7, None)], 900, BERLIN
    )
    assert [(row.ends_at - row.starts_at, row.wh, row.amount, row.day) for row in rows] == [
        (900, 120, None, None),
        (8_100, 7, None, None),
    ]


@given(st.lists(st.tuples(st.integers(0, 600), st.integers(0, 40), st.integers(-9, 9), st.integers(-9, 9)), min_size=1))
def test_days_and_the_spans_of_each_add_up_to_all(found: list[tuple[int, int, int, int]]) -> None:
    parts = [Part(FIRST + at, FIRST + at + long, wh, amount) for at, long, wh, amount in found]
    rows = rows_of(parts, 900, BERLIN)
    assert sum(row.wh for row in rows) == sum(part.wh for part in parts)
    assert sum(row.amount or 0 for row in rows) == sum(part.amount or 0 for part in parts)
    days = {local(part.first * 900, BERLIN).date() for part in parts}
    assert [row.day for row in rows if row.day] == (sorted(days) if len(days) > FEW_DAYS else [])
    for row in rows:
        if row.day:
            assert sum(each.wh for each in rows_of(parts, 900, BERLIN, row.day)) == row.wh
