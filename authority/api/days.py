"""The site's calendar: days, months and quarters of an hour in the site's time zone, as moments in Unix seconds.

A day has 92 quarters where summer time begins and 100 where it ends.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from authority.billing.calendar import local, midnight
from authority.errors import AuthorityError

QUARTER_SECONDS = 900
INTERVAL, QUARTER, DAY, MONTH = STEPS = ("interval", "quarter", "day", "month")
LONGEST_DAYS = {INTERVAL: 2, QUARTER: 31, DAY: 92, MONTH: 366}
"""How many days may be asked for at once, by step."""
EARLIEST, LATEST = date(1970, 1, 2), date(2999, 12, 31)
"""Days that may be asked for: a calendar's own first and last have no midnight in every zone."""


class DaysInvalidError(AuthorityError):
    """A range of days that ends before it begins, is longer than its step allows, or lies beyond the calendar's."""

    code = "days_invalid"


def stamp(seconds: int, zone: ZoneInfo) -> str:
    """A moment as ISO 8601 on the site's clock, with its offset."""
    return local(seconds, zone).isoformat(timespec="seconds")


def clamped(day: date) -> date:
    """The day, or the first or last that may be asked for."""
    return min(max(day, EARLIEST), LATEST)


def span(first: date, last: date, step: str, zone: ZoneInfo) -> tuple[int, int]:
    """The moments between which the days first to last lie, both included; DaysInvalidError."""
    days = (last - first).days + 1
    if days < 1:
        raise DaysInvalidError(f"the last day, {last}, lies before the first, {first}")
    if first < EARLIEST or last > LATEST:
        raise DaysInvalidError(f"days lie between {EARLIEST} and {LATEST}")
    if days > LONGEST_DAYS[step]:
        raise DaysInvalidError(f"{days} days by {step} are too many: ask for {LONGEST_DAYS[step]} at once, or less")
    return midnight(first, zone), midnight(last + timedelta(days=1), zone)


def buckets(first: date, last: date, step: str, zone: ZoneInfo, interval_seconds: int) -> Iterator[tuple[int, int]]:
    """The steps of the days first to last as [start, end), without a gap; DaysInvalidError."""
    start, end = span(first, last, step, zone)
    if step in (INTERVAL, QUARTER):
        seconds = QUARTER_SECONDS if step == QUARTER else interval_seconds
        at = start
        while at < end:
            after = min(end, at - at % seconds + seconds)
            yield at, after
            at = after
        return
    day = first
    while day <= last:
        following = day + timedelta(days=1)
        if step == MONTH:
            following = min((day.replace(day=1) + timedelta(days=32)).replace(day=1), last + timedelta(days=1))
        yield midnight(day, zone), midnight(following, zone)
        day = following
