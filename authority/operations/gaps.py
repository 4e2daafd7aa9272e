"""Where a meter's readings are missing: the spans between two readings that no interval covers, and the one since.

No energy is lost by a gap: registers are cumulative, so the next reading carries what was measured meanwhile.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.store.metering import DISPOSITION_HELD, DISPOSITION_VOID, Frame, Meter


@dataclass(frozen=True)
class Gap:
    """A span without readings, Unix seconds. missing counts the epochs in it; open: nothing has come since its start.

    not_passed are the log indexes of readings in it that came and are held or void.
    """

    start: int
    end: int
    missing: int
    open: bool
    not_passed: tuple[int, ...]


def of_meter(session: Session, meter: Meter, since: int, now: int, epoch_seconds: int, late: int) -> list[Gap]:
    """A meter's gaps between two moments, newest first; `late` is after how many seconds a reading is missed."""
    rows = session.execute(
        select(Frame.interval_end, Frame.log_index, Frame.disposition)
        .where(Frame.meter_pk == meter.id, Frame.interval_end >= since)
        .order_by(Frame.interval_end, Frame.log_index)
    ).all()
    before = session.scalar(
        select(Frame.interval_end)
        .where(Frame.meter_pk == meter.id, Frame.interval_end < since)
        .order_by(Frame.interval_end.desc())
        .limit(1)
    )
    failed = (DISPOSITION_HELD, DISPOSITION_VOID)
    held = [(end, index) for end, index, disposition in rows if disposition in failed]
    ends = sorted({end for end, _, disposition in rows if disposition not in failed and end <= now})
    if before is not None:
        ends.insert(0, max(before, since - epoch_seconds))
    if not ends:
        return []

    def gap(start: int, end: int, *, open_: bool) -> Gap:
        inside = tuple(index for at, index in held if start < at <= end)
        return Gap(start, end, (end - start) // epoch_seconds - (0 if open_ else 1), open_, inside)

    found = [gap(a, b, open_=False) for a, b in itertools.pairwise(ends) if b - a >= 2 * epoch_seconds]
    if now - ends[-1] > late:
        found.append(gap(ends[-1], now, open_=True))
    return found[::-1]
