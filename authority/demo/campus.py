"""The demo's campus on one machine: its plan, the profile behind each meter, the files of gateways and emulators."""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import Any

from authority.language.reading import spoken

PLAN = Path(__file__).parent / "campus.toml"
PROFILES = Path(__file__).parent / "data" / "campus.csv"
FIRST_COUNTED_ROW = "2016-07-21T11:00"
EPOCH_SECONDS = 20
LIVE_SECONDS = 4


@dataclass(frozen=True, slots=True)
class StandingOrder:
    """A member's wish: the least it takes and the most it gives, micro-credits per kWh."""

    sell_at: int | None
    buy_at: int | None


STANDING_ORDERS: Mapping[str, StandingOrder] = {
    "Dormitory A": StandingOrder(120_000, 260_000),
    "Dormitory B": StandingOrder(100_000, 270_000),
    "Faculty Housing": StandingOrder(140_000, 280_000),
    "Research Labs": StandingOrder(None, 240_000),
    "Faculty Housing flat 1": StandingOrder(None, 250_000),
    "Faculty Housing flat 2": StandingOrder(None, 255_000),
    "Faculty Housing flat 3": StandingOrder(None, 265_000),
    "Faculty Housing flat 4": StandingOrder(None, 275_000),
}
FLATS = tuple(name for name in STANDING_ORDERS if "flat" in name)
"""The members who live in a flat."""
CREDITS_EACH = 500_000_000
"""Micro-credits that every member gets at the start: 500 credits."""


@dataclass(frozen=True, slots=True)
class DemoMeter:
    """A meter of the plan, and where its registers' power comes from: register name to column of campus.csv."""

    name: str
    gateway: str
    serial: str
    role: str
    columns: Mapping[str, str]


COLUMNS: Mapping[tuple[str, str], Mapping[str, str]] = {
    ("dormitory_a", "solar"): {"generation": "dormitory_a_solar_w"},
    ("dormitory_a", "battery"): {"charge": "dormitory_a_charge_w", "discharge": "dormitory_a_discharge_w"},
    ("dormitory_a", "load"): {"consumption": "dormitory_a_load_w"},
    ("dormitory_b", "wind"): {"generation": "dormitory_b_wind_w"},
    ("dormitory_b", "grid"): {"generation": "dormitory_b_export_w", "consumption": "dormitory_b_import_w"},
    ("faculty_housing", "building"): {
        "generation": "faculty_housing_solar_w",
        "consumption": "faculty_housing_load_w",
    },
    **{
        ("faculty_housing", f"flat_{number}"): {"consumption": f"faculty_housing_flat_{number}_w"}
        for number in range(1, len(FLATS) + 1)
    },
    ("research_labs", "load"): {"consumption": "research_labs_load_w"},
    ("research_labs", "hpc"): {"consumption": "research_labs_hpc_w"},
    ("research_labs", "equipment"): {"consumption": "research_labs_equipment_w"},
}


def meters(plan: Path = PLAN) -> list[DemoMeter]:
    """The plan's meters in its order, each with its profile."""
    document = tomllib.loads(plan.read_text(encoding="utf-8"))
    return [
        DemoMeter(m["name"], m["gateway"], m["serial"], m["role"], COLUMNS[m["gateway"], m["name"]])
        for m in document["meter"]
    ]


@cache
def row_times(profiles: Path = PROFILES) -> tuple[str, ...]:
    """When each row begins, in the source's own time, such as 2016-07-21T11:00."""
    with profiles.open(newline="", encoding="ascii") as file:
        return tuple(row["time"] for row in csv.DictReader(file))


def first_counted_row() -> int:
    """The index of the row that the first counted epoch holds where no day is asked for."""
    return row_times().index(FIRST_COUNTED_ROW)


def midnight_row(day: date) -> int:
    """The index of a day's first row. ValueError where the profiles lack the day."""
    return row_times().index(f"{day.isoformat()}T00:00")


def days() -> list[date]:
    """The days of the profiles, in order."""
    return [date.fromisoformat(day) for day in dict.fromkeys(time[:10] for time in row_times())]


def notice(first_row: int, epoch_seconds: int) -> str:
    """What every page says of the demonstration."""
    start = datetime.fromisoformat(row_times()[first_row])
    return spoken(
        f"A demonstration: the meters are emulated and their power follows summer days of SimBench (from "
        f"{start.day} {start:%B, %H:%M}). A quarter of an hour passes in {epoch_seconds} seconds; everything else is "
        "what would run in service."
    )


IMPORT, EXPORT, PRODUCED = "1-0:1.8.0.255", "1-0:2.8.0.255", "1-1:2.8.0.255"
IMPORT_POWER, EXPORT_POWER = "1-0:1.7.0.255", "1-0:2.7.0.255"
CLIENT, FIRST_ADDRESS = 32, 17
DEVIATION_MINUTES = -120  # the profiles' own time, Central European Summer Time


def obis_codes(meter: DemoMeter) -> dict[str, str]:
    """Which of the meter's registers holds which of the signed ones, by OBIS code.

    What flows to the meter's building is import; a whole building's panels have a channel of their own.
    """
    codes = {"consumption": IMPORT, "charge": IMPORT, "generation": EXPORT, "discharge": EXPORT}
    if meter.role == "building":
        codes["generation"] = PRODUCED
    return {register: codes[register] for register in meter.columns}


def net_power(plus: list[str], minus: list[str]) -> str:
    """The emulator's expression for what flows one way, net of what flows the other."""
    return f"max(0, {' - '.join([' + '.join(plus) or '0', *minus])})"


def emulator_file(
    line: Path,
    meters: list[DemoMeter],
    passwords: Mapping[str, str],
    start_epoch: int,
    *,
    start_row: int | None = None,
    epoch_seconds: int = EPOCH_SECONDS,
    standstill: Path | None = None,
) -> str:
    """The file of one building's emulator: its meters on one line.

    start_row (default: `first_counted_row`) is lived in start_epoch; standstill is the file that pauses the meters.
    """
    out = [
        f"epoch_seconds = {epoch_seconds}",
        f"start_epoch = {start_epoch}",
        "",
        "[line]",
        f"link = {toml(str(line))}",
        "",
        "[source]",
        f"csv = {toml(str(PROFILES))}",
        f"start_row = {first_counted_row() if start_row is None else start_row}",
        *([] if standstill is None else [f"standstill = {toml(str(standstill))}"]),
    ]
    for number, meter in enumerate(meters):
        out += [
            "",
            "[[meter]]",
            f"logical_device_name = {toml(meter.serial)}",
            f"serial = {toml(meter.serial)}",
            f"physical = {FIRST_ADDRESS + number}",
            f"deviation = {DEVIATION_MINUTES}",
            "  [[meter.client]]",
            f"  address = {CLIENT}",
            '  auth = "lls"',
            f"  password = {toml(passwords[meter.serial])}",
        ]
        taken = [meter.columns[r] for r in ("consumption", "charge") if r in meter.columns]
        given = [meter.columns[r] for r in ("generation", "discharge") if r in meter.columns]
        registers = [
            *((code, meter.columns[r], "Wh", 100_000 + 7_919 * number) for r, code in obis_codes(meter).items()),
            (IMPORT_POWER, net_power(taken, given), "W", 0),
            (EXPORT_POWER, net_power(given, taken), "W", 0),
        ]
        for code, power, unit, initial in registers:
            out += [
                "  [[meter.register]]",
                f"  obis = {toml(code)}",
                f"  power = {toml(power)}",
                f"  unit = {toml(unit)}",
                f"  initial = {initial}",
            ]
    return "\n".join([*out, ""])


def gateway_file(
    gateway: str,
    state: Path,
    authority: str,
    line: Path,
    meters: list[DemoMeter],
    passwords: Mapping[str, str],
    *,
    epoch_seconds: int = EPOCH_SECONDS,
) -> str:
    """A building's gateway.toml."""
    out = [
        "[gateway]",
        f"name = {toml(gateway)}",
        f"state = {toml(str(state))}",
        f"authority = {toml(authority)}",
        f"live_seconds = {LIVE_SECONDS}",
    ]
    for number, meter in enumerate(meters):
        registers = {register: [code, 1] for register, code in obis_codes(meter).items()}
        out += [
            "",
            "[[meter]]",
            f"name = {toml(meter.name)}",
            f"serial = {toml(meter.serial)}",
            f"port = {toml(str(line))}",
            f"physical = {FIRST_ADDRESS + number}",
            f"client = {CLIENT}",
            'auth = "lls"',
            f"password = {toml(passwords[meter.serial])}",
            "  [meter.map]",
            f"  logical_device_name = {toml(meter.serial)}",
            f"  capture_period = {epoch_seconds}",
            f"  registers = {toml(registers)}",
        ]
    return "\n".join([*out, ""])


def toml(value: Any) -> str:
    """A value as TOML: text, whole numbers, truth, lists and inline tables."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(toml(item) for item in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(item)}" for key, item in value.items()) + "}"
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
