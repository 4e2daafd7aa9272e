"""Figures as the pages show them: those of authority.figures, and ages and lengths of time."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from authority.figures import (
    GROUP,
    MINUS,
    UNKNOWN,
    credits,
    credits_in_column,
    credits_per_kwh,
    grouped,
    kilowatt_hours,
    kilowatt_hours_in_column,
    kilowatts,
)
from authority.language.reading import gettext, ngettext
from authority.web import ranges

__all__ = [
    "GROUP",
    "MINUS",
    "UNKNOWN",
    "ago",
    "amount_of_time",
    "clock",
    "credits",
    "credits_in_column",
    "credits_per_kwh",
    "days_left",
    "grouped",
    "kilowatt_hours",
    "kilowatt_hours_in_column",
    "kilowatts",
    "length",
    "since",
]

AGE_SECONDS = 30 * 86_400
"""Up to when an age says more than a date."""
MOST_DAYS = 3_650
"""Ten years."""


def ago(seconds: int) -> str:
    """An age in words."""
    if seconds < 2:
        return gettext("now")
    if seconds < 120:
        return gettext("%(count)s s ago", count=seconds)
    if seconds < 7200:
        return gettext("%(count)s min ago", count=seconds // 60)
    if seconds < 172_800:
        return gettext("%(count)s h ago", count=seconds // 3600)
    return gettext("%(count)s days ago", count=seconds // 86_400)


def since(at: int, now: int, zone: ZoneInfo) -> str:
    """When something was: its age, or the day at the site where that is longer ago than AGE_SECONDS."""
    return ago(now - at) if now - at < AGE_SECONDS else ranges.on_day(datetime.fromtimestamp(at, zone))


def length(seconds: int) -> str:
    """An epoch's length in words: 20 seconds, 15 minutes, 1 hour."""
    if seconds % 3600 == 0:
        return ngettext("%(count)s hour", "%(count)s hours", seconds // 3600)
    if seconds % 60 == 0:
        return ngettext("%(count)s minute", "%(count)s minutes", seconds // 60)
    return ngettext("%(count)s second", "%(count)s seconds", seconds)


def amount_of_time(seconds: int) -> str:
    """How much time was measured: less than a minute, 12 minutes, 3.5 hours."""
    if seconds < 60:
        return gettext("less than a minute")
    if seconds < 3600:
        return ngettext("%(count)s minute", "%(count)s minutes", seconds // 60)
    return gettext("%(hours)s hours", hours=f"{seconds / 3600:.1f}")


def days_left(days: float) -> str:
    """For how long something lasts: 12 days; beyond MOST_DAYS it is no matter for how long."""
    if days > MOST_DAYS:
        return gettext("more than ten years")
    return gettext("%(days)s days", days=grouped(round(days)))


def clock(seconds: int) -> str:
    """What is left of an epoch: 0:07, 14:59."""
    seconds = max(0, seconds)
    return f"{seconds // 60}:{seconds % 60:02d}"
