"""What a meter showed, as a proposal for its map: which registers, how often, in which clock, and in which unit.

Nothing here reads a meter or asks a person. `edge-agent setup` does both, and writes what comes out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from itertools import pairwise
from typing import Any, NamedTuple

from edge_agent.errors import EdgeError
from edge_agent.meters.registers import Shown, register_wh
from edge_agent.wire.meter_map import MeterMap, unit_in_wh

MEASURES: Mapping[str, Mapping[str, str]] = {
    "consumption": {"consumption": "1"},
    "generation": {"generation": "2"},
    "both": {"consumption": "1", "generation": "2"},
    "storage": {"charge": "1", "discharge": "2"},
}
"""What a meter may stand for, as its signed registers and the OBIS group C that feeds each: 1 is import, 2 export."""

UNITS = ("Wh", "10 Wh", "100 Wh", "kWh", "10 kWh", "100 kWh", "MWh")
"""In what a register without a unit may count."""

_CODE = re.compile(r"\d+-\d+:(\d+)\.(8|29|30)\.(\d+)\.255")
_TARIFFS = range(1, 5)


class ProposalError(EdgeError):
    """No map can be proposed; the message says what the meter lacks."""


class RegisterNotShownError(ProposalError):
    """The meter shows no register for what it should measure."""

    code = "register_not_shown"


class FigureError(ProposalError):
    """A figure that a person typed is no energy."""

    code = "figure_invalid"


class Figure(NamedTuple):
    """What a display shows: the energy in Wh, and one step of its last digit, in Wh."""

    wh: Fraction
    step: Fraction

    @classmethod
    def parse(cls, text: str) -> Figure:
        """Read `13925.5`, `13925,5 kWh` or `8582328 Wh`; without a unit it is kWh. FigureError."""
        match = re.fullmatch(r"\s*([\d ']*\d)(?:[.,](\d+))?\s*(Wh|kWh|MWh)?\s*", text)
        if match is None:
            raise FigureError(f"{text!r} is no figure of a display, such as 13925.5 (kWh) or 8582328 Wh")
        digits, decimals, unit = match[1].replace(" ", "").replace("'", ""), match[2] or "", match[3] or "kWh"
        factor = unit_in_wh(unit)
        return cls(Fraction(f"{digits}.{decimals or 0}") * factor, factor / 10 ** len(decimals))

    def shows(self, wh: Fraction) -> bool:
        """Whether so much energy may stand on this display: within two steps of its last digit, for time passes."""
        return abs(wh - self.wh) <= 2 * self.step


class Comparison(NamedTuple):
    """A register held against the display.

    fits: they agree, in `unit` where the meter states none. times: how many times more the display shows, where they
    do not agree. ambiguous: several units would do.
    """

    fits: bool
    unit: str | None = None
    times: Fraction | None = None
    ambiguous: bool = False


def compare(value: str, unit: str | None, figure: Figure) -> Comparison:
    """Hold a register's value, as the meter sent it, against what its display shows."""
    number = _number(value)
    if unit is not None:
        wh = number * unit_in_wh(unit)
        return Comparison(figure.shows(wh), times=figure.wh / wh if wh else None)
    fitting = [each for each in UNITS if figure.shows(number * unit_in_wh(each))]
    if len(fitting) == 1:
        return Comparison(True, fitting[0])
    return Comparison(False, times=figure.wh / number if number else None, ambiguous=bool(fitting))


def _number(value: str) -> Fraction:
    try:
        return Fraction(Decimal(value.strip()))
    except (InvalidOperation, ValueError) as error:
        raise FigureError(f"the meter shows {value!r}, which is no number") from error


def shown(found: Mapping[str, Any]) -> dict[str, tuple[str | None, str | None]]:
    """The registers of a read-out as value and unit, by OBIS code."""
    registers: Mapping[str, Mapping[str, str | None]] = found["registers"]
    return {code: (register.get("value"), register.get("unit")) for code, register in registers.items()}


def sources(values: Shown, measures: str) -> dict[str, list[str]]:
    """The OBIS codes that feed each signed register: the total, else the tariffs. RegisterNotShownError."""
    by_quantity: dict[tuple[str, int], str] = {}
    for code in values:
        match = _CODE.fullmatch(code)
        if match is not None and match[2] == "8":
            by_quantity.setdefault((match[1], int(match[3])), code)
    fed: dict[str, list[str]] = {}
    for register, quantity in MEASURES[measures].items():
        total = by_quantity.get((quantity, 0))
        tariffs = [by_quantity[quantity, each] for each in _TARIFFS if (quantity, each) in by_quantity]
        if total is None and not tariffs:
            seen = ", ".join(values) or "none at all"
            raise RegisterNotShownError(
                f"the meter shows no register {quantity}.8.0 for {register}; it shows {seen}. Say with --measures what "
                "it measures, or read it as another client"
            )
        fed[register] = tariffs if total is None else [total]
    return fed


def profile_kind(found: Mapping[str, Any]) -> str:
    """`increments` where the load profile has each interval's energy and no cumulative register."""
    rows: Sequence[Mapping[str, Any]] = found["profile"]
    integrals = {match[2] for row in rows for match in map(_CODE.fullmatch, row["values"]) if match}
    return "increments" if integrals and "8" not in integrals else "cumulative"


def capture_period(found: Mapping[str, Any]) -> int | None:
    """Seconds between two rows of the load profile, as most rows have it; None where there are not two."""
    times = [datetime.fromisoformat(row["time"]) for row in found["profile"] if row["time"]]
    steps = Counter(
        int((after - before).total_seconds())
        for before, after in pairwise(times)
        if (before.tzinfo is None) == (after.tzinfo is None) and after > before
    )
    return steps.most_common(1)[0][0] if steps else None


_QUARTER, _MOST_OFF, _CLOSE = 900, 14 * 3600, 120
"""Seconds: offsets from UTC are multiples of the first, less than the second; so near a clock should be to one."""


def needs_zone(found: Mapping[str, Any], now: float) -> bool:
    """Whether a person has to say in which zone the meter's times are: they have no offset, or state UTC while
    its clock shows the hour of the wall, off by some quarters of an hour. now: Unix seconds."""
    told = [row["time"] for row in found["profile"] if row["time"]] or [found.get("clock")]
    try:
        if any(text is not None and datetime.fromisoformat(text).tzinfo is None for text in told):
            return True
        clock = None if found.get("clock") is None else datetime.fromisoformat(found["clock"])
    except ValueError:
        return False
    if clock is None or clock.utcoffset():
        return False
    off = abs(clock.timestamp() - now)
    return _QUARTER / 2 < off < _MOST_OFF and min(off % _QUARTER, -off % _QUARTER) < _CLOSE


def propose(
    found: Mapping[str, Any],
    measures: str,
    *,
    name: str,
    period: int,
    clock: str | None = None,
    ratio: tuple[int, int] = (1, 1),
    units: Mapping[str, str] | None = None,
) -> MeterMap:
    """A map for what was read; units are those of codes whose unit the meter does not state. RegisterNotShownError."""
    stated = units or {}

    def term(code: str) -> list[object]:
        return [code, 1, stated[code]] if code in stated else [code, 1]

    fed = sources(shown(found), measures)
    data: dict[str, Any] = {
        "logical_device_name": name,
        "capture_period": period,
        "registers": {
            register: term(codes[0]) if len(codes) == 1 else [term(code) for code in codes]
            for register, codes in fed.items()
        },
    }
    if clock is not None:
        data["clock"] = clock
    if ratio != (1, 1):
        data["ratio"] = list(ratio)
    if (kind := profile_kind(found)) != "cumulative":
        data["profile_kind"] = kind
    return MeterMap.from_dict(data)


def meaning(meter_map: MeterMap, found: Mapping[str, Any]) -> dict[str, int]:
    """What each register of the map would be signed as now, in Wh; MapMismatchError where a unit is missing."""
    values = shown(found)
    return {name: register_wh(name, source, meter_map.ratio, values) for name, source in meter_map.registers.items()}
