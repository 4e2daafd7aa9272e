"""Which quarter of an hour of the profiles an epoch holds, how fast they pass, and when they wait.

Epochs are the wall clock's, on the chain and in every part, so a pause cannot stop them. What it stops is the meters:
they live the running quarter to its end, then nothing flows, epochs pass empty, and the next quarter waits for the
boundary after somebody goes on. So every quarter is lived whole, in one epoch.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from datetime import date
from decimal import Decimal, InvalidOperation

from authority.demo import campus
from edge_agent.wire.standstill import Standstill

QUARTER_SECONDS = 900
QUARTERS_A_DAY = 96
SHORTEST_EPOCH = 10
"""Seconds: governance takes no shorter epoch. Reading, signing, logging, minting and clearing come after an epoch's end
and must be done before the next one's, however long it is."""
FASTEST = QUARTER_SECONDS // SHORTEST_EPOCH
BEFOREHAND = 1.5
"""Seconds before a boundary within which it is too late to stop or start the meters at it."""
PAUSED = "paused"


def epoch_seconds(text: str) -> int:
    """An epoch's length for `--speed`: how many times faster than real time a quarter passes, to a whole second."""
    try:
        speed = Decimal(text)
    except InvalidOperation:
        speed = Decimal(0)
    if not speed.is_finite() or not 1 <= speed <= FASTEST:
        raise argparse.ArgumentTypeError(
            f"{text!r} should be a number from 1 (real time) to {FASTEST}, a quarter of an hour in {SHORTEST_EPOCH} s: "
            "governance takes no shorter epoch, since each has to be settled before the next one ends"
        )
    return round(QUARTER_SECONDS / speed)


def day(text: str) -> date:
    """A day of the profiles for `--day`, YYYY-MM-DD."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:
        raise argparse.ArgumentTypeError(f"{text!r} should be a day as YYYY-MM-DD, such as {campus.days()[0]}")
    if found not in campus.days():
        raise argparse.ArgumentTypeError(
            f"the profiles have no {text}; they hold {campus.days()[0]} to {campus.days()[-1]}"
        )
    return found


def in_words(seconds: int) -> str:
    """How fast a day passes, for people."""
    times = Decimal(QUARTER_SECONDS) / seconds
    minutes = round(Decimal(QUARTERS_A_DAY * seconds) / 60)
    whole = f"{times:f}" if times == times.to_integral_value() else f"{times:.1f}"
    return f"An epoch lasts {seconds} s ({whole} times real time, a day in {minutes} min)."


class Playback:
    """The profiles from a row on, in epochs of so many seconds. `first_epoch`, where it begins, is set later."""

    def __init__(self, first_row: int, seconds: int, standstill: Standstill | None = None) -> None:
        self.first_row, self.seconds = first_row, seconds
        self.standstill = standstill or Standstill()
        self.first_epoch = 0
        self._times = campus.row_times()

    def quarter(self, epoch: int) -> str | None:
        """The quarter's beginning, such as 2016-07-21T11:00; None in a pause."""
        if self.standstill.holds(epoch):
            return None
        row = self.first_row + self.standstill.lived(self.first_epoch, epoch)
        return self._times[row % len(self._times)]

    def time_of_day(self, epoch: int) -> str:
        """The same as the table has it."""
        quarter = self.quarter(epoch)
        return PAUSED if quarter is None else quarter[11:]

    def lived(self, epochs: Iterable[int]) -> int:
        """How many of these epochs hold a quarter."""
        return sum(not self.standstill.holds(epoch) for epoch in epochs)

    def last_of(self, count: int) -> int | None:
        """The epoch of the `count`th quarter, from 1; None while it waits for a pause to end."""
        return self.standstill.epoch_of(self.first_epoch, count - 1)

    def pause(self, now: float) -> int:
        """Have the meters stand still; the first epoch in which they do."""
        self.standstill.stand(max(self.first_epoch, self._next(now)))
        return self.standstill.spans[-1].begin

    def go_on(self, now: float) -> int:
        """Have the meters go on; the first epoch in which they do."""
        epoch = max(self.standstill.spans[-1].begin, self._next(now))
        self.standstill.go_on(epoch)
        return epoch

    def _next(self, now: float) -> int:
        return int((now + BEFOREHAND) // self.seconds) + 1
