"""A member's energy as a table of its own, CSV and XLSX: a row for each step of what the page and the API show.

CSV has whole watt-hours and micro-credits, as the API: a spreadsheet that takes a point for a thousands mark changes
none of them. XLSX has kWh and credits, which every spreadsheet reads alike. What is not known is an empty cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import IO
from zoneinfo import ZoneInfo

from authority.api import days, tags, workbook
from authority.api.member import Energy, EnergyStep, Flows, Trades
from authority.billing import spreadsheet

CSV_TYPE = "text/csv; charset=utf-8"
FLOWS, TRADES = tuple(Flows.__dataclass_fields__), tuple(Trades.__dataclass_fields__)
COLUMNS = ("starts", "ends", *FLOWS, *TRADES, "measured_seconds", "meters", "meters_heard")
"""Times are ISO 8601 on the site's clock, with the offset; the others as the API calls them."""


def rows(steps: Iterable[EnergyStep], zone: ZoneInfo) -> Iterator[list[object]]:
    """The cells of each step, by COLUMNS; None for what is not known."""
    for step in steps:
        flows = [None] * len(FLOWS) if step.flows is None else list(asdict(step.flows).values())
        yield [
            step.starts, days.stamp(step.ends_at, zone), *flows, *asdict(step.trades).values(),
            step.measured_seconds, step.meters, step.meters_heard,
        ]  # fmt: skip


def csv_lines(steps: Iterable[EnergyStep], zone: ZoneInfo) -> Iterator[str]:
    """The steps as CSV, line by line."""
    return spreadsheet.lines(COLUMNS, rows(steps, zone))


def file_name(energy: Energy, kind: str) -> str:
    """What a browser calls the file: its days, and its step."""
    first, last = energy.steps[0].starts[:10], energy.steps[-1].starts[:10]
    return f"energy-{first}-{last}-{energy.step}.{kind}"


def xlsx(energy: Energy, account: str, zone: ZoneInfo) -> IO[bytes]:
    """The steps and, on a second sheet, their total, as an open file that is gone when it is closed."""
    (total,) = rows([energy.total], zone)
    about = (("account", account), ("zone", energy.zone), ("step", energy.step))
    return workbook.written("energy", COLUMNS, rows(energy.steps, zone), total, about)


def digest(energy: Energy, account: str, zone: ZoneInfo, kind: str) -> str:
    """What tells this table from every other one: a tag of it, whenever it is written."""
    return tags.of_lines((kind, account, *csv_lines([*energy.steps, energy.total], zone)))
