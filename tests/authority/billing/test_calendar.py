"""Billing periods by the calendar: months of 28 to 31 days, clock changes, odd zones, and how they begin."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authority.billing import calendar
from authority.billing.calendar import (
    LEAST_EPOCHS,
    Parameters,
    Staging,
    first_epoch_at,
    length_from,
    midnight,
    month_start,
)
from authority.billing.errors import BillingError

BERLIN = ZoneInfo("Europe/Berlin")
QUARTER = 900
ZONES = (
    "UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns",
    "Pacific/Chatham", "America/Sao_Paulo", "Asia/Beirut", "Africa/Cairo", "Pacific/Apia", "Asia/Kolkata",
)  # fmt: skip


def quarters(year: int, month: int, zone: ZoneInfo) -> int:
    return length_from(first_epoch_at(month_start(year, month, zone), QUARTER), QUARTER, zone)


@pytest.mark.parametrize(
    ("year", "month", "expected"),
    [
        (2026, 1, 31 * 96),
        (2026, 2, 28 * 96),
        (2028, 2, 29 * 96),  # a leap year
        (2100, 2, 28 * 96),  # not one
        (2026, 3, 30 * 96 + 92),  # the day that lacks an hour
        (2026, 4, 30 * 96),
        (2026, 10, 30 * 96 + 100),  # the day that has one more
        (2026, 12, 31 * 96),
    ],
)
def test_a_months_length_in_quarters(year, month, expected):
    assert quarters(year, month, BERLIN) == expected


def test_half_an_hour_of_summer_time():
    assert quarters(2026, 4, ZoneInfo("Australia/Lord_Howe")) == 30 * 96 + 2
    assert quarters(2026, 10, ZoneInfo("Australia/Lord_Howe")) == 31 * 96 - 2


def test_midnight_that_does_not_exist_is_the_first_moment_that_does():
    # In 1973 Beirut's clocks went from midnight to one o'clock with the first of May.
    zone = ZoneInfo("Asia/Beirut")
    start = month_start(1973, 5, zone)
    assert datetime.fromtimestamp(start, zone).hour == 1
    assert datetime.fromtimestamp(start - 1, zone).day == 30


def test_midnight_that_comes_twice_is_the_first_one():
    zone = ZoneInfo("America/Havana")  # on 1 November 2015 one o'clock became midnight again
    start = month_start(2015, 11, zone)
    assert datetime.fromtimestamp(start + 3600, zone).hour == 0
    assert datetime.fromtimestamp(start - 1, zone).month == 10


@given(
    st.sampled_from(ZONES),
    st.integers(1990, 2090),
    st.integers(1, 12),
    st.sampled_from([600, 900, 1200, 1800, 3600, 7_000]),
)
def test_months_follow_one_another_without_a_gap(name, year, month, seconds):
    zone = ZoneInfo(name)
    first = first_epoch_at(month_start(year, month, zone), seconds)
    turn = first + length_from(first, seconds, zone)
    assert turn == first_epoch_at(month_start(year, month + 1, zone), seconds)
    local = datetime.fromtimestamp(turn * seconds, UTC).astimezone(zone)
    assert (local.month, local.day) == (month % 12 + 1, 1)
    before = datetime.fromtimestamp(turn * seconds - seconds, UTC).astimezone(zone)
    assert before.month == month or before.day == 1  # the epoch that lies across midnight belongs to the old month
    assert timedelta(days=27) < timedelta(seconds=(turn - first) * seconds) < timedelta(days=32)


@given(st.sampled_from(ZONES), st.integers(1_500_000, 2_500_000))
def test_from_anywhere_in_a_month_the_next_turn_is_its_end_or_the_next_ones(name, first):
    """Where an operator goes over from fixed lengths to the calendar."""
    zone = ZoneInfo(name)
    length = length_from(first, QUARTER, zone)
    assert LEAST_EPOCHS <= length < 31 * 96 + 4 + LEAST_EPOCHS
    turn = datetime.fromtimestamp((first + length) * QUARTER, UTC).astimezone(zone)
    assert turn.day == 1
    assert (turn - timedelta(minutes=15)).astimezone(zone).day != 1 or turn.utcoffset() != timedelta(0)
    assert length_from(first + length, QUARTER, zone) >= 28 * 96 - 4


def test_epochs_too_short_for_months_are_refused():
    with pytest.raises(BillingError, match="fixed") as refused:
        length_from(0, 60, BERLIN)
    assert refused.value.code == "epoch_too_short"


# What is staged, and when

MARCH = first_epoch_at(month_start(2026, 3, BERLIN), QUARTER)
FEBRUARY = first_epoch_at(month_start(2026, 2, BERLIN), QUARTER)
IN_MARCH = 30 * 96 + 92


def chain(epoch: int, **more: int) -> Parameters:
    return Parameters(**{"epoch": epoch, "period_end": MARCH, "length": 28 * 96, **more})


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (chain(FEBRUARY), Staging("current", IN_MARCH, FEBRUARY + 2)),
        (chain(MARCH - 2), Staging("current", IN_MARCH, MARCH)),
        (chain(MARCH - 1), None),  # too late for it
        (chain(MARCH), None),  # the turn is due: nothing may be staged
        (chain(FEBRUARY, length=IN_MARCH), None),  # it is right
        (chain(FEBRUARY, staged_length=IN_MARCH, staged_from=FEBRUARY + 2), None),  # it will be
        # what the operator has staged comes first, where there is time
        (chain(FEBRUARY, staged_length=28 * 96, staged_from=FEBRUARY + 9), None),
        (chain(FEBRUARY, staged_length=28 * 96, staged_from=MARCH - 2), None),
        # where there is not, it takes the length along
        (chain(FEBRUARY, staged_length=28 * 96, staged_from=MARCH - 1), Staging("staged", IN_MARCH, MARCH - 1)),
        (chain(FEBRUARY, staged_length=28 * 96, staged_from=MARCH), Staging("staged", IN_MARCH, MARCH)),
        (chain(MARCH - 2, staged_length=28 * 96, staged_from=MARCH - 1), None),  # due: it cannot be replaced
        # and what holds only after the turn is in nobody's way but the calendar's
        (chain(FEBRUARY, staged_length=28 * 96, staged_from=MARCH + 1), None),
    ],
)
def test_what_is_staged(state, expected):
    assert calendar.staging(state, QUARTER, BERLIN) == expected


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (chain(FEBRUARY), None),
        (chain(MARCH - 1), IN_MARCH),
        (chain(MARCH - 1, length=IN_MARCH), None),
        (chain(FEBRUARY, staged_length=28 * 96, staged_from=FEBRUARY + 9), None),
        (chain(FEBRUARY, staged_length=28 * 96, staged_from=MARCH + 1), IN_MARCH),
        (chain(FEBRUARY, length=IN_MARCH, staged_length=28 * 96, staged_from=MARCH + 1), None),
        (chain(MARCH - 2, staged_length=28 * 96, staged_from=MARCH - 1), IN_MARCH),
    ],
)
def test_a_turn_that_will_come_with_the_wrong_length_is_told(state, expected):
    assert calendar.cannot(state, QUARTER, BERLIN) == expected


@given(st.data())
def test_whatever_the_operator_stages_the_turn_is_right_or_it_was_told(data):
    """A month, epoch by epoch: staging acts as governance does it, and the operator stages what it likes."""
    state = chain(MARCH - 60)
    told = False
    while state.epoch < MARCH:
        if state.staged_from is not None and state.epoch >= state.staged_from:
            state = Parameters(state.epoch, MARCH, state.staged_length or 0)
        act = calendar.staging(state, QUARTER, BERLIN)
        if act is not None:
            assert act.from_epoch >= state.epoch + 2
            assert state.staged_from != state.epoch + 1
            state = Parameters(state.epoch, MARCH, state.length, act.length, act.from_epoch)
        elif data.draw(st.booleans()) and state.staged_from != state.epoch + 1:
            # the operator's command takes over the length in force
            at = state.epoch + data.draw(st.integers(2, 80))
            state = Parameters(state.epoch, MARCH, state.length, state.length, at)
        told = calendar.cannot(state, QUARTER, BERLIN) is not None
        state = Parameters(state.epoch + 1, MARCH, state.length, state.staged_length, state.staged_from)
    at_turn = state.staged_length if state.staged_from is not None and state.staged_from <= MARCH else state.length
    assert at_turn == IN_MARCH or told


@pytest.mark.parametrize("zone", ["Asia/Bangkok", "America/New_York"])
def test_the_calendars_first_and_last_day_begin_too(zone):
    """Whatever date a form or an address names has a beginning, which can be refused in words."""
    assert midnight(date.min, ZoneInfo(zone)) < midnight(date(1970, 1, 1), ZoneInfo(zone))
    assert midnight(date.max, ZoneInfo(zone)) > midnight(date(2999, 12, 31), ZoneInfo(zone))
