"""The day, month or year that a page shows: what an address asks for, and what it is called."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from authority.api import days
from authority.billing.calendar import local
from authority.language.reading import current, gettext

VIEWS = {"day": days.QUARTER, "month": days.DAY, "year": days.MONTH}
"""In what steps each range is shown."""


def view_of(text: str) -> str:
    """The range that an address asks for; a day where it asks for none that there is."""
    return text if text in VIEWS else "day"


def as_day(text: str) -> date:
    """The day that a text names; DaysInvalidError."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise days.DaysInvalidError("a day is written as 2026-06-21") from None


def day_of(text: str, today: date) -> date:
    """The day that an address names; today where it names none. DaysInvalidError for what is none, or has not come."""
    if not text.strip():
        return today
    found = as_day(text)
    if found > today:
        raise days.DaysInvalidError("this day has not come yet: the last day that there is is today")
    return max(found, date(2000, 1, 1))


def around(view: str, day: date) -> tuple[date, date]:
    """The whole day, month or year around a day: its first and its last day."""
    if view == "day":
        return day, day
    if view == "month":
        first = day.replace(day=1)
        return first, (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    return day.replace(month=1, day=1), day.replace(month=12, day=31)


def a_year_earlier(view: str, first: date) -> tuple[date, date] | None:
    """The same day or month of the year before; None of a year, which has that year beside it, and of 29 February."""
    if view == "year" or (first.month, first.day) == (2, 29) or first.year <= date.min.year:
        return None
    return around(view, first.replace(year=first.year - 1))


def between(first: str, last: str, today: date) -> tuple[str, date, date] | None:
    """The days that an address names by its `from` and `to`, a year at most, and how they are shown; None for none."""
    try:
        begin, end = date.fromisoformat(first), date.fromisoformat(last)
    except ValueError:
        return None
    begin = min(max(begin, date(2000, 1, 1)), today)
    end = min(max(begin, min(end, today)), begin + timedelta(days=days.LONGEST_DAYS[days.MONTH] - 1))
    if begin == end:
        return "day", begin, end
    return ("month" if (end - begin).days < days.LONGEST_DAYS[days.DAY] else "year"), begin, end


def title_of_days(first: date, last: date) -> str:
    """The name of a range that is no whole day, month or year."""
    form = "%-d %b %Y"
    return gettext("%(first)s to %(last)s", first=written(first, form), last=written(last, form))


def file_step(first: date, last: date) -> str:
    """The finest step in which a file may have these days."""
    count = (last - first).days + 1
    return next(step for step in (days.QUARTER, days.DAY, days.MONTH) if count <= days.LONGEST_DAYS[step])


def title(view: str, first: date) -> str:
    """The range's name."""
    return written(first, {"day": "%A, %-d %B %Y", "month": "%B %Y", "year": "%Y"}[view])


def label(start: int, view: str, zone: ZoneInfo) -> str:
    """A step's name within its range."""
    return written(local(start, zone), {"day": "%H:%M", "month": "%-d %b", "year": "%B"}[view])


def marks(labels: Sequence[str], view: str) -> list[str]:
    """The steps' names that stand below a chart, evenly spread from its first step to its last."""
    parts = 2 if view == "year" else 4
    places = [len(labels) * part // parts for part in range(parts)]
    return [labels[place] for place in (*places, len(labels) - 1)] if labels else []


def on_day(day: date | str) -> str:
    """A day as every page writes it; a text is one of ISO 8601."""
    return written(date.fromisoformat(day) if isinstance(day, str) else day, "%-d %b %Y")


def written(when: date, form: str) -> str:
    """A date or a moment by a format of strftime's, in the language in which is read."""
    return current().dates.written(when, form)
