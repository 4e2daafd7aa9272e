"""The calendar of the site's time zone: its days, and billing periods that follow its months, in epochs.

Pure. A period begins with an epoch and ends with one; a month's first epoch is the first that begins at or after its
first local midnight, so a month is 28 to 31 days, less or more the hour that a clock change takes or gives. Where
midnight does not exist that day, it is the first moment that does; where it comes twice, the first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from authority.billing.errors import EpochTooShortError

LEAST_EPOCHS = 16
MOST_EPOCHS = 366 * 96
"""Bounds of a billing period's length (governance, Parameters)."""
NEAREST_EPOCHS = 2
"""How far ahead parameters must be staged (governance, stage_parameters)."""


def local(seconds: int, zone: ZoneInfo) -> datetime:
    """A moment on the site's clock."""
    return datetime.fromtimestamp(seconds, UTC).astimezone(zone)


def midnight(day: date, zone: ZoneInfo) -> int:
    """When a day begins; where midnight is left out by a change of the clock, the first moment after it."""
    wall = datetime.combine(day, time(), zone)
    moment = int(wall.timestamp())
    if day in (date.min, date.max):
        return moment  # it may be in no year of the calendar by UTC
    return moment if local(moment, zone).date() == day else int(wall.replace(fold=1).timestamp())


def days_between(begin: int, end: int, zone: ZoneInfo) -> Iterator[tuple[int, int]]:
    """The days from the one in which `begin` lies to those that begin before `end`, each [start, the next's start)."""
    day = local(begin, zone).date()
    start = midnight(day, zone)
    while start < end:
        day += timedelta(days=1)
        following = midnight(day, zone)
        if following > start:  # a date may be left out altogether, as Samoa's 30 December 2011 was
            yield start, following
        start = following


def month_start(year: int, month: int, zone: ZoneInfo) -> int:
    """The first moment of a month in the zone, Unix seconds. month 13 is the next year's first."""
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    return int(datetime(year, month, 1, tzinfo=zone).timestamp())


def first_epoch_at(seconds: int, epoch_seconds: int) -> int:
    """The first epoch that begins then or later."""
    return -(-seconds // epoch_seconds)


def next_turn(first_epoch: int, epoch_seconds: int, zone: ZoneInfo, least: int = LEAST_EPOCHS) -> int:
    """The epoch with which the month ends in which a period begins that begins with first_epoch.

    The turn is at least `least` epochs later, so a period that begins just before a month's end lasts through the next.
    """
    first = local(first_epoch * epoch_seconds, zone)
    month = first.month
    while True:
        month += 1
        turn = first_epoch_at(month_start(first.year, month, zone), epoch_seconds)
        if turn - first_epoch >= least:
            return turn


def length_from(first_epoch: int, epoch_seconds: int, zone: ZoneInfo) -> int:
    """How many epochs a period is to have that begins with first_epoch; BillingError `epoch_too_short`."""
    length = next_turn(first_epoch, epoch_seconds, zone) - first_epoch
    if length > MOST_EPOCHS:
        raise EpochTooShortError(
            f"a month of epochs of {epoch_seconds} s has {length} of them, and a billing period at most {MOST_EPOCHS}: "
            'leave [billing] calendar = "fixed"',
        )
    return length


@dataclass(frozen=True)
class Parameters:
    """What the chain says about lengths: of the set in force, and of the one staged from an epoch on (None: none)."""

    epoch: int
    """The epoch in which the chain is."""
    period_end: int
    """The epoch with which the open period ends and the next begins."""
    length: int
    staged_length: int | None = None
    staged_from: int | None = None


@dataclass(frozen=True)
class Staging:
    """Parameters to stage: the set named, with this billing period's length, from that epoch on."""

    base: str
    """`current` or `staged`: the set that all other values are taken from."""
    length: int
    from_epoch: int


def staging(chain: Parameters, epoch_seconds: int, zone: ZoneInfo) -> Staging | None:
    """What is to be staged now, so that the next period is a month of the calendar; None where nothing is, or can be.

    A length acts when a period begins, so it is staged as soon as the period before is open, for the nearest epoch
    that may be; that leaves the one place for staged parameters free for the operator almost all the time. What the
    operator has staged is not lost: it is left alone until it holds where there is time, and else staged again, for the
    same epoch, with the length in it. What is staged for after the turn cannot be joined, and the turn comes with the
    length in force; see `cannot`.
    """
    wanted = length_from(chain.period_end, epoch_seconds, zone)
    nearest = chain.epoch + NEAREST_EPOCHS
    if chain.staged_from is None or chain.staged_length is None:
        if chain.length == wanted or nearest > chain.period_end:
            return None
        return Staging("current", wanted, nearest)
    at_turn = chain.staged_length if chain.staged_from <= chain.period_end else chain.length
    if at_turn == wanted or chain.staged_from > chain.period_end:
        return None
    if chain.staged_from < nearest:
        return None  # it holds in a moment; then there is a place again
    if chain.staged_from + NEAREST_EPOCHS <= chain.period_end:
        return None  # there is time after it holds
    return Staging("staged", wanted, chain.staged_from)


def cannot(chain: Parameters, epoch_seconds: int, zone: ZoneInfo) -> int | None:
    """The length that the next period should have and will not, by what is in force and staged now; None where it will.

    It can still come right while `staging` finds something, or what is staged holds in time.
    """
    wanted = length_from(chain.period_end, epoch_seconds, zone)
    if staging(chain, epoch_seconds, zone) is not None:
        return None
    if chain.staged_from is None or chain.staged_length is None or chain.staged_from > chain.period_end:
        return None if chain.length == wanted else wanted
    if chain.staged_length == wanted or chain.staged_from + NEAREST_EPOCHS <= chain.period_end:
        return None
    return wanted
