"""The campus's indicators as a table of its own, CSV and XLSX: a row for each step of what the page and the API show.

CSV has whole watt-hours and micro-credits per kWh, as the API; XLSX has kWh and credits. Shares are parts of one. What
is not known is an empty cell.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import IO
from zoneinfo import ZoneInfo

from authority.api import days, tags, workbook
from authority.api.indicators import Indicators, IndicatorStep
from authority.billing import spreadsheet

TIMES = ("starts_at", "ends_at", "starts")
FIGURES = tuple(name for name in IndicatorStep.__dataclass_fields__ if name not in TIMES)
COLUMNS = ("starts", "ends", *FIGURES)
"""Times are ISO 8601 on the site's clock, with the offset; the others as the API calls them."""


def rows(steps: Iterable[IndicatorStep], zone: ZoneInfo) -> Iterator[list[object]]:
    """The cells of each step, by COLUMNS; None for what is not known."""
    for step in steps:
        told = asdict(step)
        yield [step.starts, days.stamp(step.ends_at, zone), *(told[name] for name in FIGURES)]


def csv_lines(steps: Iterable[IndicatorStep], zone: ZoneInfo) -> Iterator[str]:
    """The steps as CSV, line by line."""
    return spreadsheet.lines(COLUMNS, rows(steps, zone))


def xlsx(found: Indicators, zone: ZoneInfo) -> IO[bytes]:
    """The steps and, on a second sheet, all of it together, as an open file that is gone when it is closed."""
    (total,) = rows([found.total], zone)
    about = (("zone", found.zone), ("step", found.step), ("co2_source", "; ".join(found.co2_sources)))
    return workbook.written("indicators", COLUMNS, rows(found.steps, zone), total, about)


def digest(found: Indicators, zone: ZoneInfo, kind: str) -> str:
    """What tells this table from every other one: a tag of it, whenever it is written."""
    return tags.of_lines((kind, *found.co2_sources, *csv_lines([*found.steps, found.total], zone)))


def file_name(found: Indicators, kind: str) -> str:
    """What a browser calls the file: its days, and its step."""
    first, last = found.steps[0].starts[:10], found.steps[-1].starts[:10]
    return f"campus-{first}-{last}-{found.step}.{kind}"
