"""Load profiles of increments: rows that hold the energy of their own interval become cumulative registers.

A signed record counts on, so the meter's cumulative register, read over the line, is the anchor: the newest row gets
its value, and the rows around follow by adding and subtracting increments. What a boundary was given once is kept and
never worked out differently. From then on differences are those of the increments, to the watt-hour; the few seconds
between a boundary and the reading shift the anchor once, for all rows alike, and a difference does not feel it.

Where a row is missing, invalid or ambiguous (captured off a boundary, one time twice) nobody knows what the interval
held: it gets no row, and the first row after it takes its value from the cumulative register again, flagged estimated
and doubtful. So no energy is lost, and none is made: a value is never less than what the increments alone prove.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

from edge_agent.meters.errors import IncrementsFileError
from edge_agent.wire.reading import FLAG_DATA_DOUBTFUL, FLAG_ESTIMATED

KEPT = 1024
"""Boundaries whose values are kept; a meter that is asked for older ones is asked for nothing that was not signed."""

Values = dict[str, Fraction]
"""Wh by register's name, before they are rounded down to whole ones."""


class Increments:
    """The cumulative values of one meter's boundaries, kept in a file (None: in memory).

    period is in seconds; rollover is the modulus of the cumulative register in Wh, or None; most is the largest energy
    in Wh that the reading of the register may trail behind the increments before it counts as reset.
    """

    def __init__(self, path: Path | None, period: int, rollover: int | None, most: int) -> None:
        self.path = path
        self.period = period
        self.rollover = rollover
        self.most = most
        self._known: dict[int, tuple[Values, int]] = _load(path) if path is not None else {}

    @property
    def newest(self) -> int | None:
        """The last boundary that has a value."""
        return max(self._known, default=None)

    def settle(self, increments: Mapping[int, Values], register: Callable[[], Values]) -> dict[int, tuple[Values, int]]:
        """Values and flags by boundary, for those that can be known.

        increments holds the Wh of the interval before each boundary whose row is good; register reads the cumulative
        registers, after the rows were fetched, and is only asked where they are needed. MeterError `increments_file`.
        """
        known = dict(self._known)
        self._forward(known, increments)
        newest = max(increments, default=None)
        if newest is not None and newest not in known and newest > max(known, default=-1):
            known[newest] = self._anchor(known, increments, newest, register())
        for end in sorted(increments, reverse=True):
            before = end - self.period
            if end in known and before in increments and before not in known:
                values, flags = known[end]
                less = {name: values[name] - wh for name, wh in increments[end].items()}
                if self.rollover is not None or min(less.values()) >= 0:
                    known[before] = less, flags
                    known[end] = values, 0
        if known != self._known:
            known = dict(sorted(known.items())[-KEPT:])
            self._save(known)
            self._known = known
        return known

    def _forward(self, known: dict[int, tuple[Values, int]], increments: Mapping[int, Values]) -> None:
        for end in sorted(increments):
            if end not in known and end - self.period in known:
                values = known[end - self.period][0]
                known[end] = {name: values[name] + wh for name, wh in increments[end].items()}, 0

    def _anchor(
        self,
        known: Mapping[int, tuple[Values, int]],
        increments: Mapping[int, Values],
        newest: int,
        register: Values,
    ) -> tuple[Values, int]:
        """The newest row's value: the register's, but no less than the last value and the increments since."""
        last = max(known, default=None)
        if last is None:
            return dict(register), 0
        values: Values = {}
        for name, reading in register.items():
            shown = reading
            proven = known[last][0][name] + sum(wh[name] for end, wh in increments.items() if last < end <= newest)
            if self.rollover is not None:
                shown += max(0, round((proven - shown) / self.rollover)) * self.rollover
            # The register trails by what it moved between boundary and reading at the last anchor; a reset is more.
            values[name] = max(shown, proven) if proven - shown <= self.most else shown
        return values, FLAG_ESTIMATED | FLAG_DATA_DOUBTFUL

    def _save(self, known: Mapping[int, tuple[Values, int]]) -> None:
        if self.path is None:
            return
        data = {
            str(end): [{name: str(wh) for name, wh in values.items()}, flags] for end, (values, flags) in known.items()
        }
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            temporary = self.path.with_suffix(".new")
            with temporary.open("w", encoding="ascii") as file:
                json.dump(data, file)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.path)
        except OSError as error:
            raise IncrementsFileError(f"the meter's increments cannot be kept in {self.path}: {error}") from error


def _load(path: Path) -> dict[int, tuple[Values, int]]:
    try:
        data: Any = json.loads(path.read_text(encoding="ascii"))
        return {
            int(end): ({str(name): Fraction(wh) for name, wh in values.items()}, int(flags))
            for end, (values, flags) in data.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError, ZeroDivisionError) as error:
        message = f"{path} is damaged ({error}): remove it, and the meter's rows are anchored on its register once more"
        raise IncrementsFileError(message) from error
