"""What speaks for and against a held reading, for the person who decides on it. Energies are Wh, times Unix seconds."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from authority.collector.held import superseded
from authority.language.reading import marked
from authority.refusals import NotFoundError
from authority.store.metering import (
    DISPOSITION_ACCEPTED,
    DISPOSITION_HELD,
    DISPOSITION_VOID,
    PASSED,
    Frame,
    Meter,
)
from edge_agent.wire.reading import CLOCK_DEVIATION_UNKNOWN, FLAG_REGISTER_RESET, RECORD_SIZE, SOURCES, Record
from edge_agent.wire.rules import REGISTERS, ROLE_REGISTERS, greatest_step_wh

CAUSES = {
    "meter_inactive": marked("the meter is suspended"),
    "interval_not_aligned": marked("the interval is not one epoch, from boundary to boundary, after the one before"),
    "interval_in_future": marked("the interval ends in the future: a clock at the gateway or here is wrong"),
    "source_mismatch": marked("the source is not the one in the campus plan"),
    "register_decreased": marked("a register is lower than before, or the meter says that its registers were reset"),
    "register_not_permitted": marked("a register moved that must not move in this meter's role"),
    "exceeds_nameplate": marked("a register rose by more than the installation can make in that time"),
    "exceeds_storage": marked("more was discharged than the storage can hold, or more was charged than fits into it"),
    "implausible_for_sun_or_wind": marked("solar energy at night"),
    "clock_unsynchronised": marked("the meter's clock is too far off its gateway's"),
    "not_on_chain": marked("the chain has not got the meter yet; it is released by itself once it has"),
}
"""Why a reading is held, by its code, for a person."""


@dataclass(frozen=True)
class RegisterStep:
    """One register: what it was in the reading before, what it is now, and whether the meter's role may move it."""

    name: str
    before: int | None
    now: int
    may_move: bool

    @property
    def step(self) -> int | None:
        """How far it moved, Wh; None where there is no reading before."""
        return None if self.before is None else self.now - self.before


@dataclass(frozen=True)
class Evidence:
    """A reading that is or was held, and what it is judged by.

    since is when the reading before it ended (the last accepted or released one), None where there is none: then no
    step bounds it. most is the most that the installation can make in between. superseded says why it can go to the
    chain no more. clock_deviation is gateway minus meter in seconds. held_after counts the meter's later readings that
    wait too: each is measured from the last that passed.
    """

    log_index: int
    meter: str
    serial: str
    role: str
    source: str
    planned_source: str
    nameplate_w: int
    storage_wh: int
    code: str
    sequence: int
    interval_end: int
    interval_seconds: int
    received_at: int
    over: str
    reset: bool
    clock_deviation: int | None
    record_hash: str
    since: int | None
    most: int | None
    steps: tuple[RegisterStep, ...]
    held_after: int
    superseded: str | None
    disposition: str
    resolved_at: int | None
    resolved_by: str | None
    resolution: str | None
    resolution_log_index: int | None

    @property
    def waits(self) -> bool:
        """Whether nobody has decided yet."""
        return self.disposition == DISPOSITION_HELD

    @property
    def cause(self) -> str:
        """Why it was held, for a person."""
        return CAUSES.get(self.code, self.code)


def of_reading(session: Session, log_index: int, tolerance_bps: int) -> Evidence:
    """The evidence for one reading that is, or once was, held; NotFoundError for any other leaf."""
    query = select(Frame).where(Frame.log_index == log_index)
    frame = session.scalar(query.options(joinedload(Frame.meter).joinedload(Meter.installation)))
    if frame is None or frame.verdict == DISPOSITION_ACCEPTED:
        raise NotFoundError(f"the log's leaf {log_index} is not a reading that was held")
    before = session.scalar(
        select(Frame)
        .where(
            Frame.meter_pk == frame.meter_pk,
            Frame.log_index < log_index,
            Frame.disposition.in_(PASSED),
        )
        .order_by(Frame.log_index.desc())
        .limit(1)
    )
    later = session.scalars(
        select(Frame.log_index).where(
            Frame.meter_pk == frame.meter_pk, Frame.log_index > log_index, Frame.disposition == DISPOSITION_HELD
        )
    ).all()
    record, last = frame.record, None if before is None else Record.from_bytes(before.frame[:RECORD_SIZE])
    seconds = None if last is None else max(0, record.interval_end - last.interval_end)
    plant = frame.meter.installation
    unknown = record.clock_deviation == CLOCK_DEVIATION_UNKNOWN
    was = [None] * len(REGISTERS) if last is None else last.registers
    return Evidence(
        log_index=log_index,
        meter=f"{frame.meter.gateway_name}/{frame.meter.name}",
        serial=frame.meter.serial,
        role=frame.meter.role,
        source=SOURCES[record.source],
        planned_source=frame.meter.source,
        nameplate_w=plant.nameplate_w,
        storage_wh=plant.storage_wh,
        code=frame.code,
        sequence=record.sequence,
        interval_end=record.interval_end,
        interval_seconds=record.interval_seconds,
        received_at=frame.received_at,
        over=frame.over,
        reset=bool(record.flags & FLAG_REGISTER_RESET),
        clock_deviation=None if unknown else record.clock_deviation,
        record_hash=frame.record_hash.hex(),
        since=None if last is None else last.interval_end,
        most=None if seconds is None else greatest_step_wh(plant.nameplate_w, seconds, tolerance_bps),
        steps=tuple(
            RegisterStep(name, one, now, name in ROLE_REGISTERS[frame.meter.role])
            for name, one, now in zip(REGISTERS, was, record.registers, strict=True)
        ),
        held_after=len(later),
        superseded=superseded(session, frame) if frame.disposition in (DISPOSITION_HELD, DISPOSITION_VOID) else None,
        disposition=frame.disposition,
        resolved_at=frame.resolved_at,
        resolved_by=frame.resolved_by,
        resolution=frame.resolution,
        resolution_log_index=frame.resolution_log_index,
    )
