"""A member's energy as a table of its own, CSV and XLSX: a row for each step of what the page and the API show.

CSV has whole watt-hours and micro-credits, as the API: a spreadsheet that takes a point for a thousands mark changes
none of them. XLSX has kWh and credits, which every spreadsheet reads alike. What is not known is an empty cell.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import IO, Any
from zoneinfo import ZoneInfo

import xlsxwriter

from authority.api import days
from authority.api.member import Energy, EnergyStep, Flows, Trades
from authority.billing import spreadsheet

CSV_TYPE = "text/csv; charset=utf-8"
XLSX_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
FLOWS, TRADES = tuple(Flows.__dataclass_fields__), tuple(Trades.__dataclass_fields__)
COLUMNS = ("starts", "ends", *FLOWS, *TRADES, "measured_seconds", "meters", "meters_heard")
"""Times are ISO 8601 on the site's clock, with the offset; the others as the API calls them."""
UNITS = {"_wh": ("_kwh", 1_000, "0.000"), "_micro_credits": ("_credits", 1_000_000, "0.000000")}
"""How the ends of names, the figures and their formats change in XLSX."""


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
    """The steps and, on a second sheet, their total, as an open file that is gone when it is closed.

    Rows go to the disk as they come; no cell is a formula or a link.
    """
    file = tempfile.TemporaryFile()  # noqa: SIM115 - whoever sends it closes it
    options = {
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(file, options) as book:
        head = book.add_format({"bold": True})
        formats = {end: book.add_format({"num_format": form}) for end, (_, _, form) in UNITS.items()}
        sheet = book.add_worksheet("energy")
        sheet.freeze_panes(1, 1)
        sheet.set_column(0, 1, 26)
        sheet.set_column(2, len(COLUMNS) - 1, 18)
        names = [_named(column) for column in COLUMNS]
        for place, name in enumerate(names):
            sheet.write_string(0, place, name, head)
        for line, row in enumerate(rows(energy.steps, zone), 1):
            _write(sheet, line, row, formats)
        total = book.add_worksheet("total")
        total.set_column(0, 1, 26)
        about = (("account", account), ("zone", energy.zone), ("step", energy.step))
        for line, (name, text) in enumerate(about):
            total.write_string(line, 0, name, head)
            total.write_string(line, 1, text)
        (whole,) = rows([energy.total], zone)
        for place, (column, name, value) in enumerate(zip(COLUMNS, names, whole, strict=True), len(about)):
            total.write_string(place, 0, name, head)
            _cell(total, place, 1, column, value, formats)
    file.seek(0)
    return file


def _write(sheet: Any, line: int, row: Sequence[object], formats: dict[str, Any]) -> None:
    for place, (column, value) in enumerate(zip(COLUMNS, row, strict=True)):
        _cell(sheet, line, place, column, value, formats)


def _cell(sheet: Any, line: int, place: int, column: str, value: object, formats: dict[str, Any]) -> None:
    if value is None:
        return
    if not isinstance(value, int):
        sheet.write_string(line, place, str(value))
        return
    end = _unit(column)
    sheet.write_number(line, place, value / UNITS[end][1] if end else value, formats.get(end))


def _unit(column: str) -> str:
    return next((end for end in UNITS if column.endswith(end)), "")


def _named(column: str) -> str:
    end = _unit(column)
    return column.removesuffix(end) + UNITS[end][0] if end else column
