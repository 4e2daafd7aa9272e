"""What the terminal shows: a line for each step of the start, then a table that grows with the epochs.

On a terminal the rows of running epochs change in place and a status line counts down; elsewhere (a pipe, CI) an epoch
is one line.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from authority.market.report import EpochReport
from authority.web.figures import UNKNOWN, credits_per_kwh

STATE_WORDS = {
    "collecting": "waiting",
    "submitted": "checked",
    "minted": "minted",
    "clearing": "clearing",
    "settled": "settled",
    "checkpointed": "settled",
}
COLUMNS = (
    ("epoch", 8),
    ("profile", 7),
    ("signed", 6),
    ("minted kWh", 10),
    ("orders", 6),
    ("traded kWh", 10),
    ("credits/kWh", 11),
    ("state", 8),
)
_UP, _CLEAR, _DIM, _BOLD, _GREEN, _RED, _PLAIN = (
    "\x1b[1A",
    "\r\x1b[2K",
    "\x1b[2m",
    "\x1b[1m",
    "\x1b[32m",
    "\x1b[31m",
    "\x1b[0m",
)


def kwh(watt_hours: int) -> str:
    """Wh as kWh with three decimals, without the unit."""
    return f"{watt_hours // 1000}.{watt_hours % 1000:03d}"


def cells(epoch: EpochReport, power_of: str) -> tuple[str, ...]:
    """An epoch as a row of the table; power_of is the profile's time of day whose power it holds."""
    price = epoch.clearing_price
    return (
        str(epoch.epoch),
        power_of,
        str(epoch.readings_on_chain),
        kwh(epoch.minted_wh),
        str(epoch.orders),
        kwh(epoch.traded_wh),
        UNKNOWN if price is None else credits_per_kwh(price),
        STATE_WORDS[epoch.state],
    )


def line(values: Sequence[str]) -> str:
    """A row of the table: numbers to the right, the state to the left."""
    *numbers, state = values
    padded = [value.rjust(width) for value, (_, width) in zip(numbers, COLUMNS, strict=False)]
    return "  ".join([*padded, state])


@dataclass
class Progress:
    """The demo's voice. `power_of` gives the profile's time of day for an epoch; `monotonic` seconds for the steps."""

    output: TextIO
    interactive: bool
    monotonic: Callable[[], float] = time.monotonic
    power_of: Callable[[int], str] = lambda _epoch: UNKNOWN

    def __post_init__(self) -> None:
        self._began = self.monotonic()
        self._drawn = 0
        self._rows: list[tuple[str, ...]] = []
        self._printed: set[str] = set()

    def _style(self, text: str, code: str) -> str:
        return f"{code}{text}{_PLAIN}" if self.interactive else text

    def _write(self, text: str) -> None:
        self.output.write(text)
        self.output.flush()

    def step(self, text: str) -> None:
        """A step of the start is done."""
        elapsed = self.monotonic() - self._began
        self._write(f"{self._style(f'{elapsed:6.1f} s', _DIM)}  {text}\n")

    def say(self, text: str = "") -> None:
        """A line of its own."""
        self._erase()
        self._write(text + "\n")

    def headline(self, text: str) -> None:
        """A line that stands out."""
        self.say(self._style(text, _BOLD))

    def good(self, text: str) -> None:
        """How it ended, well."""
        self.say(self._style(text, _GREEN))

    def bad(self, text: str) -> None:
        """How it ended, otherwise."""
        self.say(self._style(text, _RED))

    def header(self) -> None:
        """The table's head."""
        self.say(self._style(line([name for name, _ in COLUMNS]), _BOLD))

    def _erase(self) -> None:
        if self._drawn:
            self._write(_CLEAR + (_UP + _CLEAR) * (self._drawn - 1))
            self._drawn = 0

    def table(self, epochs: Sequence[EpochReport], done: Callable[[EpochReport], bool], status: str) -> None:
        """Show the epochs: those that are done once and for all, the others for as long as they run."""
        finished = [epoch for epoch in epochs if done(epoch) and str(epoch.epoch) not in self._printed]
        if finished:
            self._erase()
        for epoch in finished:
            self._printed.add(str(epoch.epoch))
            self._write(line(cells(epoch, self.power_of(epoch.epoch))) + "\n")
        if not self.interactive:
            return
        width = shutil.get_terminal_size().columns
        running = [line(cells(epoch, self.power_of(epoch.epoch))) for epoch in epochs if not done(epoch)]
        drawn = [text[:width] for text in (*running, status)]
        self._erase()
        self._write("\n".join(self._style(text, _DIM) for text in drawn))
        self._drawn = len(drawn)
