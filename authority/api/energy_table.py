"""A member's energy as a table of its own, CSV and XLSX: a row for each step of what the page and the API show.

CSV has whole watt-hours and micro-credits, as the API: a spreadsheet that takes a point for a thousands mark changes
none of them. XLSX has kWh and credits, which every spreadsheet reads alike. What is not known is an empty cell: also
what was traded in a step whose books are still to come.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import IO
from zoneinfo import ZoneInfo

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from authority.api import days, tags, workbook
from authority.api.member import Energy, EnergyStep, Flows, Trades
from authority.billing import spreadsheet
from authority.store.settlement import SettlementEpoch

CSV_TYPE = "text/csv; charset=utf-8"
FLOWS, TRADES = tuple(Flows.__dataclass_fields__), tuple(Trades.__dataclass_fields__)
COLUMNS = ("starts", "ends", *FLOWS, *TRADES, "measured_seconds", "meters", "meters_heard")
"""Times are ISO 8601 on the site's clock, with the offset; the others as the API calls them."""


def traded_until(session: Session, epoch_seconds: int, now: int) -> int:
    """The end of the last epoch of which is known what was traded in it, Unix seconds; 0 before the first."""
    over = or_(SettlementEpoch.book_log_index.is_not(None), SettlementEpoch.checkpointed_ms.is_not(None))
    begun = SettlementEpoch.epoch <= now // epoch_seconds
    newest = select(SettlementEpoch.epoch).where(begun, over).order_by(SettlementEpoch.epoch.desc())
    last = session.scalar(newest.limit(1))
    return 0 if last is None else (last + 1) * epoch_seconds


def tells_trades(step: EnergyStep, until: int) -> bool:
    """Whether what was traded in the step is known, as far as it is over: `until` is of `traded_until`."""
    return step.starts_at < until or step.trades.is_any


def rows(steps: Iterable[EnergyStep], zone: ZoneInfo, until: int) -> Iterator[list[object]]:
    """The cells of each step, by COLUMNS; None for what is not known, as trades after `until` (`traded_until`)."""
    for step in steps:
        flows = [None] * len(FLOWS) if step.flows is None else list(asdict(step.flows).values())
        trades = asdict(step.trades).values() if tells_trades(step, until) else [None] * len(TRADES)
        yield [
            step.starts, days.stamp(step.ends_at, zone), *flows, *trades,
            step.measured_seconds, step.meters, step.meters_heard,
        ]  # fmt: skip


def csv_lines(steps: Iterable[EnergyStep], zone: ZoneInfo, until: int) -> Iterator[str]:
    """The steps as CSV, line by line."""
    return spreadsheet.lines(COLUMNS, rows(steps, zone, until))


def file_name(energy: Energy, kind: str) -> str:
    """What a browser calls the file: its days, and its step."""
    first, last = energy.steps[0].starts[:10], energy.steps[-1].starts[:10]
    return f"energy-{first}-{last}-{energy.step}.{kind}"


def xlsx(energy: Energy, account: str, zone: ZoneInfo, until: int) -> IO[bytes]:
    """The steps and, on a second sheet, their total, as an open file that is gone when it is closed."""
    (total,) = rows([energy.total], zone, until)
    about = (("account", account), ("zone", energy.zone), ("step", energy.step))
    return workbook.written("energy", COLUMNS, rows(energy.steps, zone, until), total, about)


def digest(energy: Energy, account: str, zone: ZoneInfo, until: int, kind: str) -> str:
    """What tells this table from every other one: a tag of it, whenever it is written."""
    return tags.of_lines((kind, account, *csv_lines([*energy.steps, energy.total], zone, until)))
