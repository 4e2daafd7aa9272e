"""How far a simulation is: a bar on a terminal, a line a day elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

WIDTH = 30
REDRAW_SECONDS = 0.2


class Progress:
    """Told of intervals done, of how many. quiet says nothing."""

    def __init__(
        self, output: TextIO, per_day: int, *, quiet: bool, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._output, self._per_day, self._quiet, self._monotonic = output, per_day, quiet, monotonic
        self._bar = output.isatty()
        self._began = monotonic()
        self._first: int | None = None
        self._drawn = -REDRAW_SECONDS

    def __call__(self, done: int, of: int) -> None:
        """So many intervals are lived through."""
        if self._quiet:
            return
        if self._first is None:
            self._first = done
        passed = self._monotonic() - self._began
        lived = done - self._first
        left = f"{(of - done) * passed / lived:,.0f} s left" if lived else ""
        days = f"day {done // self._per_day} of {of // self._per_day}"
        if not self._bar:
            if done % self._per_day == 0 and done:
                self._output.write(f"{days}, {passed:.0f} s\n")
                self._output.flush()
            return
        if passed - self._drawn >= REDRAW_SECONDS or done == of:
            self._drawn = passed
            full = WIDTH * done // of
            self._output.write(f"\r[{'#' * full}{'.' * (WIDTH - full)}] {days}, {left:<14}")
            self._output.write("\n" if done == of else "")
            self._output.flush()

    def say(self, text: str) -> None:
        """A line of its own."""
        if not self._quiet:
            self._output.write(f"{text}\n")
            self._output.flush()
