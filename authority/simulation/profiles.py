"""A profile of one's own: what a member used and made, interval by interval, from a CSV file.

    start,consumption_wh,generation_wh
    2026-06-01T00:00:00Z,412,0
    2026-06-01T00:15:00Z,398.5,0

start is when the interval began, in ISO 8601 with its offset from UTC (Z, +02:00). Energy is that of the interval, in
Wh or, with consumption_kwh and generation_kwh, in kWh; decimals have a point. One of the two columns may be left out:
the simulation's own model stands in for it. All intervals are of one length, which divides the epoch, and none is
missing. With the offsets that held, a change to or from daylight-saving time is neither a gap nor a repetition.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from authority.collector.sun import is_night
from authority.simulation.errors import ProfileInvalidError
from authority.simulation.weather import Site

START = "start"
CONSUMPTION, GENERATION = "consumption", "generation"
UNITS = {"wh": 1_000, "kwh": 1_000_000}
"""mWh in each."""
_NUMBER = re.compile(r"-?\d{1,12}(\.\d{1,12})?", re.ASCII)
MOST_MWH = 10**12
"""A GWh in an interval: more than any campus."""
NIGHT_MWH = 1_000
"""What rounding to whole Wh may make of dusk."""
HOUR = 3_600


@dataclass(frozen=True)
class Profile:
    """Energy of each epoch in mWh from a start on (Unix seconds); None for what the file does not say."""

    name: str
    start: int
    seconds: int
    consumption: tuple[int, ...] | None
    generation: tuple[int, ...] | None

    @property
    def end(self) -> int:
        """When its last epoch ends, Unix seconds."""
        return self.start + len(self.consumption or self.generation or ()) * self.seconds

    def require(self, start: int, end: int) -> None:
        """ProfileInvalidError where it does not cover a time."""
        if start < self.start or end > self.end:
            raise ProfileInvalidError(
                f"{self.name}: covers {_told(self.start)} to {_told(self.end)} in whole epochs, and the simulation "
                f"lasts from {_told(start)} to {_told(end)}: change --start or --days, or add what is missing"
            )

    def require_sun(self, site: Site, start: int, end: int) -> None:
        """ProfileInvalidError where a solar plant is said to generate by night: the intake holds such readings."""
        for moment in range(start, end, self.seconds):
            made, _ = self.at(moment)
            if made and made > NIGHT_MWH and is_night(moment, moment + self.seconds, site.latitude, site.longitude):
                raise ProfileInvalidError(
                    f"{self.name}: generation of {made / 1_000:,.1f} Wh in the epoch from {_told(moment)}, when it is "
                    f"night at latitude {site.latitude:g}, longitude {site.longitude:g}: look at the offset of its "
                    "times, and at [site] in the scenario"
                )

    def at(self, start: int) -> tuple[int | None, int | None]:
        """Generation and consumption of the epoch that starts then."""
        number = (start - self.start) // self.seconds
        return (
            None if self.generation is None else self.generation[number],
            None if self.consumption is None else self.consumption[number],
        )

    @property
    def greatest_load_w(self) -> int | None:
        """The greatest mean power of an epoch that was used, W, rounded up."""
        return _greatest_w(self.consumption, self.seconds)

    @property
    def greatest_plant_w(self) -> int | None:
        """The greatest mean power of an epoch that was made, W, rounded up."""
        return _greatest_w(self.generation, self.seconds)


def _greatest_w(mwh: Sequence[int] | None, seconds: int) -> int | None:
    return None if mwh is None else -(-max(mwh, default=0) * HOUR // (seconds * 1_000))


def read(path: Path, epoch_seconds: int) -> Profile:
    """A profile from a file, in epochs of so many seconds. ProfileInvalidError names the line that is wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ProfileInvalidError(f"cannot read {path}: {error}") from error
    return parse(text, path.name, epoch_seconds)


def parse(text: str, name: str, epoch_seconds: int) -> Profile:
    """The same from text; name is the file's, for messages."""
    reader = csv.reader(text.splitlines())
    columns = _columns(name, next(reader, []))
    starts: list[int] = []
    values: dict[str, list[int]] = {what: [] for _, what, _ in columns if what != START}
    step = 0
    for row in reader:
        if not row:
            continue
        where = f"{name}, line {reader.line_num}"
        if len(row) != len(columns):
            raise ProfileInvalidError(
                f"{where}: has {len(row)} fields, and the first line names {len(columns)}; fields are separated by "
                "commas, and decimals have a point"
            )
        for (column, what, unit), field in zip(columns, row, strict=True):
            if what == START:
                start = _moment(where, field)
            else:
                values[what].append(_energy(where, column, unit, field))
        if len(starts) == 1:
            step = start - starts[0]
            if step <= 0 or epoch_seconds % step:
                raise ProfileInvalidError(
                    f"{where}: {step} s after the line before; the step should divide the epoch of {epoch_seconds} s, "
                    "such as 900 s or 3600 s: give epoch_seconds in the scenario, or sum up the profile"
                )
        elif starts and start - starts[-1] != step:
            raise ProfileInvalidError(f"{where}: {_broken(start - starts[-1], step)}")
        starts.append(start)
    if len(starts) < 2:
        raise ProfileInvalidError(
            f"{name}: has {len(starts)} intervals; at least two are needed to tell how long one is"
        )
    if starts[0] % epoch_seconds:
        raise ProfileInvalidError(
            f"{name}, line 2: {_told(starts[0])} is not the start of an epoch of {epoch_seconds} s, counted from "
            "midnight UTC: begin where one starts"
        )
    each = epoch_seconds // step
    summed = {what: tuple(_sums(of, each)) for what, of in values.items()}
    return Profile(name, starts[0], epoch_seconds, summed.get(CONSUMPTION), summed.get(GENERATION))


def _columns(name: str, head: Sequence[str]) -> list[tuple[str, str, int]]:
    """Each column: its name, what it is, and how many mWh its unit has."""
    known = {START: (START, 0)} | {
        f"{what}_{unit}": (what, mwh) for what in (CONSUMPTION, GENERATION) for unit, mwh in UNITS.items()
    }
    wanted = f"start and one or both of consumption and generation: {', '.join(known)}"
    found: list[tuple[str, str, int]] = []
    for column in (each.strip() for each in head):
        if column not in known:
            hint = ", separated by commas" if ";" in column or "\t" in column else ""
            raise ProfileInvalidError(f"{name}, line 1: {column!r} is not a column of a profile: name {wanted}{hint}")
        what, mwh = known[column]
        if what in (each for _, each, _ in found):
            raise ProfileInvalidError(f"{name}, line 1: {what} is there twice")
        found.append((column, what, mwh))
    if START not in (what for _, what, _ in found) or len(found) < 2:
        raise ProfileInvalidError(f"{name}, line 1: should name {wanted}")
    return found


def _moment(where: str, field: str) -> int:
    try:
        moment = datetime.fromisoformat(field.strip())
    except ValueError as error:
        raise ProfileInvalidError(f"{where}: start: {field!r} should be a time such as 2026-06-01T00:15:00Z") from error
    if moment.tzinfo is None:
        raise ProfileInvalidError(
            f"{where}: start: {field!r} has no offset from UTC, and when daylight-saving time ends an hour comes "
            "twice: write 2026-06-01T00:15:00Z or 2026-06-01T02:15:00+02:00"
        )
    if moment.microsecond:
        raise ProfileInvalidError(f"{where}: start: {field!r} should be a whole second")
    return int(moment.timestamp())


def _energy(where: str, column: str, unit: int, field: str) -> int:
    """mWh, rounded to the nearest, half to even."""
    text = field.strip()
    if not text:
        raise ProfileInvalidError(f"{where}: {column} is missing: write what was measured, or 0 if it was nothing")
    if not _NUMBER.fullmatch(text):
        raise ProfileInvalidError(f"{where}: {column}: {text!r} should be a number such as 412 or 398.5")
    mwh = int((Decimal(text) * unit).to_integral_value())
    if text.startswith("-"):
        raise ProfileInvalidError(
            f"{where}: {column}: {text} is negative: energy made is generation, and energy used is consumption"
        )
    if mwh > MOST_MWH:
        raise ProfileInvalidError(f"{where}: {column}: {text} is more than a GWh in one interval: look at its unit")
    return mwh


def _broken(passed: int, step: int) -> str:
    """What is wrong with a step."""
    if passed == 0:
        return "is the same time as the line before"
    if passed < 0:
        hint = _saving(-passed + step, step)
        return f"goes back by {-passed} s: lines come in the order of time{hint}"
    if passed % step:
        return f"is {passed} s after the line before, and steps are of {step} s"
    count = passed // step - 1
    gap = "an interval is" if count == 1 else f"{count} intervals are"
    return f"{gap} missing before it{_saving(passed - step, step)}"


def _saving(jump: int, step: int) -> str:
    if jump != HOUR or step > HOUR:
        return ""
    return "; this looks like a change of daylight-saving time: give each start the UTC offset that held then"


def _sums(values: Sequence[int], each: int) -> Iterator[int]:
    """Sums of so many at a time; what is left at the end is no whole epoch."""
    for number in range(len(values) // each):
        yield sum(values[number * each : (number + 1) * each])


def _told(moment: int) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M UTC")
