"""What each epoch came to, for the demo's report and for people: figures of the store, taken from the chain."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority.store.metering import METER_ACTIVE, Meter
from authority.store.settlement import SettledSpan, SettlementEpoch

STAGES = ("submitted", "minted", "orders_placed", "cleared", "settled", "checkpointed")
"""Stages whose wall times are reported. orders_placed is of the epoch that runs, the others count from its end."""


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One epoch. readings_on_chain and minted_wh are for the energy metered in it; orders, traded_wh and clearing_price

    (micro-credit per kWh, None where nothing traded) are of its book. settled: its surplus is minted and its book paid
    out. stage_ms: milliseconds from the epoch's end to when a stage was seen complete; orders_placed from its start.
    """

    epoch: int
    state: str
    readings_on_chain: int
    minted_wh: int
    orders: int
    traded_wh: int
    clearing_price: int | None
    settled: bool
    stage_ms: dict[str, int]

    def as_json(self) -> dict[str, object]:
        """The keys of the demo's report."""
        return {
            "epoch": self.epoch,
            "readings_on_chain": self.readings_on_chain,
            "minted_wh": self.minted_wh,
            "orders": self.orders,
            "traded_wh": self.traded_wh,
            "clearing_price": self.clearing_price,
            "settled": self.settled,
        }


def epoch_reports(
    session: Session, epoch_seconds: int, *, first: int = 0, last: int | None = None
) -> list[EpochReport]:
    """The epochs from first to last (inclusive), oldest first."""
    query = select(SettlementEpoch).where(SettlementEpoch.epoch >= first).order_by(SettlementEpoch.epoch)
    if last is not None:
        query = query.where(SettlementEpoch.epoch <= last)
    rows = session.scalars(query).all()
    if not rows:
        return []
    sums = session.execute(
        select(SettledSpan.boundary, func.sum(SettledSpan.minted_wh))
        .where(SettledSpan.boundary > rows[0].epoch * epoch_seconds)
        .group_by(SettledSpan.boundary)
    )
    minted = {boundary: int(total) for boundary, total in sums}
    return [_report(row, epoch_seconds, minted.get((row.epoch + 1) * epoch_seconds, 0)) for row in rows]


def _report(row: SettlementEpoch, epoch_seconds: int, minted_wh: int) -> EpochReport:
    start_ms = row.epoch * epoch_seconds * 1000
    end_ms = start_ms + epoch_seconds * 1000
    stage_ms = {}
    for stage in STAGES:
        moment: int | None = getattr(row, f"{stage}_ms")
        if moment is not None:
            stage_ms[stage] = moment - (start_ms if stage == "orders_placed" else end_ms)
    return EpochReport(
        epoch=row.epoch,
        state=row.state,
        readings_on_chain=row.readings_on_chain,
        minted_wh=minted_wh,
        orders=row.bids + row.asks,
        traded_wh=row.traded_wh,
        clearing_price=row.clearing_price,
        settled=row.minted_ms is not None and row.settled_ms is not None,
        stage_ms=stage_ms,
    )


def active_meters(session: Session) -> int:
    """How many meters take part, submeters included."""
    return session.scalar(select(func.count()).select_from(Meter).where(Meter.state == METER_ACTIVE)) or 0
