"""A table as XLSX: rows on one sheet, their total on another, in kWh and credits; no cell is a formula or a link."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from typing import IO, Any

import xlsxwriter

CONTENT_TYPE = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
UNITS = {
    "_wh": ("_kwh", 1_000, "0.000"),
    "_micro_credits": ("_credits", 1_000_000, "0.000000"),
    "_micro_credits_per_kwh": ("_credits_per_kwh", 1_000_000, "0.000000"),
}
"""How the ends of names, the figures and their formats change in XLSX, which every spreadsheet reads alike."""
TEXT_COLUMNS = 2
"""The first columns, which say from when until when a row is."""


def written(
    name: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    total: Sequence[object],
    about: Iterable[tuple[str, str]],
) -> IO[bytes]:
    """The rows by columns, None for what is not known, and a sheet with what it is about and the total.

    It is an open file that is gone when it is closed. Rows go to the disk as they come.
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
        sheet = book.add_worksheet(name)
        sheet.freeze_panes(1, 1)
        sheet.set_column(0, TEXT_COLUMNS - 1, 26)
        sheet.set_column(TEXT_COLUMNS, len(columns) - 1, 18)
        names = [_named(column) for column in columns]
        for place, each in enumerate(names):
            sheet.write_string(0, place, each, head)
        for line, row in enumerate(rows, 1):
            for place, (column, value) in enumerate(zip(columns, row, strict=True)):
                _cell(sheet, line, place, column, value, formats)
        other = book.add_worksheet("total")
        other.set_column(0, 1, 26)
        line = 0
        for line, (each, text) in enumerate(about, 1):
            other.write_string(line - 1, 0, each, head)
            other.write_string(line - 1, 1, text)
        for place, (column, each, value) in enumerate(zip(columns, names, total, strict=True), line):
            other.write_string(place, 0, each, head)
            _cell(other, place, 1, column, value, formats)
    file.seek(0)
    return file


def _cell(sheet: Any, line: int, place: int, column: str, value: object, formats: dict[str, Any]) -> None:
    if value is None:
        return
    if not isinstance(value, int | float):
        sheet.write_string(line, place, str(value))
        return
    end = _unit(column)
    sheet.write_number(line, place, value / UNITS[end][1] if end else value, formats.get(end))


def _unit(column: str) -> str:
    return max((end for end in UNITS if column.endswith(end)), key=len, default="")


def _named(column: str) -> str:
    end = _unit(column)
    return column.removesuffix(end) + UNITS[end][0] if end else column
