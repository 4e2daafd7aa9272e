"""The site's calendar: days of 92, 96 and 100 quarters, months without a gap, in every zone and year."""

from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authority.api import days
from authority.api.days import DAY, INTERVAL, LONGEST_DAYS, MONTH, QUARTER, STEPS, DaysInvalidError
from authority.billing.calendar import local

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Bangkok",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Asia/Beirut",
]


@pytest.mark.parametrize(("day", "quarters"), [("2026-03-29", 92), ("2026-03-30", 96), ("2026-10-25", 100)])
def test_a_day_has_as_many_quarters_as_the_clock_gives_it(day, quarters):
    day = date.fromisoformat(day)
    steps = list(days.buckets(day, day, QUARTER, ZoneInfo("Europe/Berlin"), 900))
    assert len(steps) == quarters
    assert days.stamp(steps[0][0], ZoneInfo("Europe/Berlin")).startswith(f"{day}T00:00:00+0")


@given(
    st.sampled_from(ZONES),
    st.dates(date(1990, 1, 1), date(2060, 12, 31)),
    st.integers(0, 366),
    st.sampled_from(STEPS),
    st.sampled_from([20, 60, 300, 900]),
)
def test_steps_cover_the_days_without_a_gap(name, first, more, step, interval):
    zone, more = ZoneInfo(name), more % LONGEST_DAYS[step]
    last = first + timedelta(days=more)
    steps = list(days.buckets(first, last, step, zone, interval))
    begin, end = days.span(first, last, step, zone)
    assert (steps[0][0], steps[-1][1]) == (begin, end)
    assert all(start < stop for start, stop in steps)
    assert [stop for _, stop in steps[:-1]] == [start for start, _ in steps[1:]]
    assert local(begin, zone).date() == first
    assert local(begin - 1, zone).date() < first
    assert local(end - 1, zone).date() == last
    assert local(end, zone).date() > last
    if step == DAY:
        assert len(steps) == more + 1
    if step == MONTH:
        assert [local(start, zone).day for start, _ in steps[1:]] == [1] * (len(steps) - 1)


@pytest.mark.parametrize("step", [INTERVAL, QUARTER, DAY, MONTH])
def test_a_range_that_is_none_or_too_long_is_refused(step):
    first, zone = date(2026, 1, 1), ZoneInfo("UTC")
    for last in (first - timedelta(days=1), first + timedelta(days=LONGEST_DAYS[step])):
        with pytest.raises(DaysInvalidError):
            days.span(first, last, step, zone)
