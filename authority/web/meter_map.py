"""The heat map of meters by days: from counts to cells that differ by a sign and a pattern, beside their colour."""

from __future__ import annotations

from dataclasses import dataclass

from authority.api.meter_days import MeterDay, MeterMap
from authority.language.reading import gettext, marked, ngettext

LEVELS = {
    "all": marked("all came"),
    "most": marked("most came"),
    "some": marked("half or less came"),
    "none": marked("none came"),
    "nothing": marked("none was due"),
}
"""What a cell's level means; the style sheet has its colour, its outline and its sign."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One meter's day: its level (of LEVELS), and how many came of those that were due, in words."""

    level: str
    words: str
    gaps: bool


def level(day: MeterDay) -> str:
    """How complete a day is, in five steps."""
    if not day.due:
        return "nothing"
    if day.came >= day.due:
        return "all"
    if not day.came:
        return "none"
    return "most" if 2 * day.came > day.due else "some"


def cell(day: MeterDay) -> Cell:
    """A day as it is drawn."""
    its = level(day)
    words = gettext("%(came)s of %(due)s", came=day.came, due=day.due) if day.due else gettext(LEVELS[its])
    return Cell(its, words, its not in ("all", "nothing"))


def sentence(shown: MeterMap) -> str:
    """The map in words."""
    days = [day for row in shown.meters for day in row.days]
    due, came = sum(day.due for day in days), sum(min(day.came, day.due) for day in days)
    if not due:
        return gettext("No reading was due in these days.")
    short = sum(1 for row in shown.meters if any(cell(day).gaps for day in row.days))
    text = gettext("Of %(due)s readings that were due, %(came)s came.", due=due, came=came)
    if not short:
        return text
    lack = ngettext("%(count)s meter lacks some.", "%(count)s meters lack some.", short)
    return f"{text} {lack}"
