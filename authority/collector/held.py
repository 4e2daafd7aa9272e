"""Held readings: what an operator sees, and the two things to do about one. Both are acts, logged as leaves.

A released reading goes to the chain like an accepted one, and later steps are measured from it. A void one never does;
registers are cumulative, so the next accepted reading carries its energy, as far as policy lets it.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, joinedload

from authority.errors import AuthorityError
from authority.log import log
from authority.store import metering
from authority.store.metering import Frame, MeterKey
from edge_agent.wire.reading import RECORD_SIZE


class HeldError(AuthorityError):
    """not_found, not_held (decided already, or never held) or superseded (a later reading went to the chain first)."""


@dataclass(frozen=True)
class HeldReading:
    """A held reading as an operator sees it; times in Unix seconds, registers in Wh."""

    log_index: int
    gateway: str
    meter: str
    serial: str
    sequence: int
    interval_end: int
    code: str
    registers: tuple[int, int, int, int]
    received_at: int


def held(session: Session) -> list[HeldReading]:
    """All readings that wait for a decision, oldest first."""
    rows = session.scalars(
        select(Frame).where(metering.held_back(Frame)).options(joinedload(Frame.meter)).order_by(Frame.log_index)
    )
    return [
        HeldReading(
            row.log_index,
            row.meter.gateway_name,
            row.meter.name,
            row.meter.serial,
            row.sequence,
            row.interval_end,
            row.code,
            row.record.registers,
            row.received_at,
        )
        for row in rows
    ]


def _held_frame(session: Session, log_index: int) -> Frame:
    log.lock(session)  # orders this decision with ingesting, which reads dispositions
    frame = session.get(Frame, log_index, populate_existing=True)
    if frame is None:
        raise HeldError("not_found", f"the log's leaf {log_index} is not a reading")
    if frame.disposition != metering.DISPOSITION_HELD:
        raise HeldError("not_held", f"reading {log_index} is {frame.disposition}: only held readings are decided")
    return frame


def _decide(session: Session, frame: Frame, kind: str, disposition: str, actor: str, words: str, now: int) -> int:
    data = {
        "code": frame.code,
        "log_index": frame.log_index,
        "reason": words,
        "record": frame.record_hash.hex(),
    }
    index = log.record_act(session, kind, actor, now, data)
    frame.disposition = disposition
    frame.resolved_at, frame.resolved_by, frame.resolution = now, actor, words
    frame.resolution_log_index = index
    return index


def release(session: Session, log_index: int, *, actor: str, reason: str, now: int) -> int:
    """Let a held reading go on to the chain; the act's log index.

    HeldError `superseded` where a later reading of the meter is on its way to the chain, which takes them in order
    only: void this one instead, for the later reading carries its energy.
    """
    frame = _held_frame(session, log_index)
    key = session.get_one(MeterKey, frame.public_key, populate_existing=True)
    if key.retired_at is not None:
        raise HeldError("superseded", "the meter's key was replaced since; void this one, a later reading carries it")
    later = session.scalar(
        select(Frame.log_index)
        .where(
            Frame.meter_pk == frame.meter_pk,
            Frame.log_index > frame.log_index,
            Frame.chain_status.in_((metering.CHAIN_SUBMITTED, metering.CHAIN_CONFIRMED)),
        )
        .limit(1)
    )
    if later is not None:
        raise HeldError(
            "superseded",
            f"a later reading ({later}) of this meter is on the chain and carries this one's energy; void this one",
        )
    if key.passed_log_index is None or key.passed_log_index < frame.log_index:
        key.passed_log_index, key.passed_record = frame.log_index, frame.frame[:RECORD_SIZE]
    return _decide(session, frame, "reading_released", metering.DISPOSITION_RELEASED, actor, reason, now)


def void(session: Session, log_index: int, *, actor: str, reason: str, now: int) -> int:
    """Keep a held reading from the chain for good; the act's log index."""
    frame = _held_frame(session, log_index)
    return _decide(session, frame, "reading_voided", metering.DISPOSITION_VOID, actor, reason, now)
