"""How far a simulation is, or several together: a bar on a terminal, a line a day of one elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TextIO

WIDTH = 30
REDRAW_SECONDS = 0.2


class Progress:
    """Told of intervals (or anything else that a day has so many of) done, of how many. quiet says nothing.

    lines: whether a day has a line where there is no terminal.
    """

    def __init__(
        self,
        output: TextIO,
        per_day: int,
        *,
        quiet: bool,
        lines: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._output, self._per_day, self._quiet, self._monotonic = output, per_day, quiet, monotonic
        self._lines, self._shown = lines, ""
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
            if self._lines and done % self._per_day == 0 and done:
                self._output.write(f"{days}, {passed:.0f} s\n")
                self._output.flush()
            return
        if passed - self._drawn >= REDRAW_SECONDS or done == of:
            self._drawn = passed
            full = WIDTH * done // of
            before, self._shown = self._shown, f"[{'#' * full}{'.' * (WIDTH - full)}] {days}, {left:<14}"
            self._output.write(f"\r{self._shown:<{len(before)}}")
            if done == of:
                self._output.write("\n")
                self._shown = ""
            self._output.flush()

    def say(self, text: str) -> None:
        """A line of its own, in the place of a bar that is not at its end."""
        if not self._quiet:
            covered = f"\r{text:<{len(self._shown)}}" if self._shown else text
            self._output.write(f"{covered}\n")
            self._shown, self._drawn = "", -REDRAW_SECONDS
            self._output.flush()
