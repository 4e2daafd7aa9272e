"""Held readings: what an operator sees, and the two things to do about one. Both are acts, logged as leaves.

A released reading goes to the chain like an accepted one, and later steps are measured from it: that is not taken back.
A void one does not; registers are cumulative, so the next accepted reading carries its energy, as far as policy lets
it. Until that is on the chain a void one can be released after all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, exists, func, or_, select
from sqlalchemy.orm import Session, aliased, joinedload

from authority.language.reading import marked, spoken
from authority.log import log
from authority.refusals import NotFoundError, RefusalError
from authority.store import Store, metering
from authority.store.day_sums import energy_changed
from authority.store.metering import Frame, Meter, MeterKey
from edge_agent.wire.reading import RECORD_SIZE

NOT_ON_CHAIN = "not_on_chain"
"""Held until the chain has the meter; then released by itself."""
DECIDED_AT_ONCE = 256


class NotHeldError(RefusalError):
    """The reading was decided already, or was never held."""

    code = "not_held"


class SupersededError(RefusalError):
    """A later reading of the meter is on its way to the chain, which takes them in order."""

    code = "superseded"


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


@dataclass(frozen=True)
class Chosen:
    """Which held readings are meant; each word that is given narrows it down.

    meter is "gateway/meter"; since is the least interval end, Unix seconds; code is the cause for which it is held;
    after is a place in the log: those up to it are left out.
    """

    meter: str | None = None
    since: int | None = None
    code: str | None = None
    after: int | None = None


def held(session: Session, chosen: Chosen = Chosen(), most: int | None = None) -> list[HeldReading]:
    """The readings that wait for a decision, oldest first, at most so many; NotFoundError for a meter there is not."""
    query = select(Frame).where(*_wanted(session, chosen))
    rows = session.scalars(query.options(joinedload(Frame.meter)).order_by(Frame.log_index).limit(most))
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


def count(session: Session, chosen: Chosen = Chosen()) -> tuple[int, int | None]:
    """How many readings wait for a decision, and the last one's place in the log; NotFoundError as `held`."""
    query = select(func.count(), func.max(Frame.log_index)).where(*_wanted(session, chosen))
    found, last = session.execute(query).one()
    return int(found), last


def _wanted(session: Session, chosen: Chosen) -> list[ColumnElement[bool]]:
    """What is asked of the readings that are meant."""
    wanted: list[ColumnElement[bool]] = [metering.held_back(Frame)]
    if chosen.meter is not None:
        gateway, _, name = chosen.meter.partition("/")
        meter = session.scalar(select(Meter.id).where(Meter.gateway_name == gateway, Meter.name == name))
        if meter is None:
            raise NotFoundError(f"there is no meter {chosen.meter}; name it as GATEWAY/METER")
        wanted.append(Frame.meter_pk == meter)
    if chosen.since is not None:
        wanted.append(Frame.interval_end >= chosen.since)
    if chosen.code is not None:
        wanted.append(Frame.code == chosen.code)
    if chosen.after is not None:
        wanted.append(Frame.log_index > chosen.after)
    return wanted


def _frame(session: Session, log_index: int) -> Frame:
    log.lock(session)  # orders this decision with ingesting, which reads dispositions
    frame = session.get(Frame, log_index, populate_existing=True)
    if frame is None:
        raise NotFoundError(f"the log's leaf {log_index} is not a reading")
    return frame


def _held_frame(session: Session, log_index: int) -> Frame:
    frame = _frame(session, log_index)
    if frame.disposition != metering.DISPOSITION_HELD:
        raise NotHeldError(f"reading {log_index} is {frame.disposition}: only held readings are decided")
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


def superseded(session: Session, frame: Frame) -> str | None:
    """Why a held or void reading can go to the chain no more; None where it can."""
    if session.get_one(MeterKey, frame.public_key, populate_existing=True).retired_at is not None:
        return marked("the meter's key was replaced since, and a later reading carries this one's energy")
    later = session.scalar(
        select(Frame.log_index)
        .where(
            Frame.meter_pk == frame.meter_pk,
            Frame.log_index > frame.log_index,
            Frame.chain_status.in_((metering.CHAIN_SUBMITTED, metering.CHAIN_CONFIRMED)),
        )
        .limit(1)
    )
    return None if later is None else spoken(f"a later reading ({later}) is on the chain and carries this one's energy")


def close_superseded(session: Session, *, now: int, actor: str = "collector") -> list[int]:
    """Void every held reading that can go to the chain no more; their log indexes. Each is an act, logged."""
    closed = []
    log.lock(session)
    later = aliased(Frame)
    overtaken = exists().where(
        later.meter_pk == Frame.meter_pk,
        later.log_index > Frame.log_index,
        later.chain_status.in_((metering.CHAIN_SUBMITTED, metering.CHAIN_CONFIRMED)),
    )
    replaced = exists().where(MeterKey.public_key == Frame.public_key, MeterKey.retired_at.is_not(None))
    # The question is asked once for all: after a clock was off for a day thousands may be held.
    settled = select(Frame).where(metering.held_back(Frame), or_(overtaken, replaced)).order_by(Frame.log_index)
    for frame in session.scalars(settled).all():
        why = superseded(session, frame)
        if why is not None:
            _decide(session, frame, "reading_voided", metering.DISPOSITION_VOID, actor, why, now)
            closed.append(frame.log_index)
    return closed


def in_groups(
    store: Store, decide: Callable[..., int], indexes: Sequence[int], *, actor: str, reason: str, now: int
) -> Iterator[tuple[int, int]]:
    """Decide (`release` or `void`) on many, each with an act of its own: (log index, the act's) as they are done.

    After a clock was off for a week thousands are held, so they are committed in groups. A group in which one is
    refused is done one by one up to that one, whose RefusalError ends it.
    """

    def of(group: Sequence[int]) -> list[tuple[int, int]]:
        with store.write() as session:
            return [(at, decide(session, at, actor=actor, reason=reason, now=now)) for at in group]

    for start in range(0, len(indexes), DECIDED_AT_ONCE):
        group = indexes[start : start + DECIDED_AT_ONCE]
        try:
            yield from of(group)
        except RefusalError:
            for at in group:
                yield from of([at])


def tidy(store: Store, now: int) -> None:
    """Close what is superseded and let in what the chain has by now, before a person looks or decides."""
    with store.read() as session:
        if not held(session):
            return
    with store.write() as session:
        close_superseded(session, now=now)
        let_in(session, now=now)


def let_in(session: Session, *, now: int, actor: str = "collector") -> list[int]:
    """Release what was held only because the chain had not got the meter yet, and has it now; their log indexes."""
    waiting = (
        select(Frame)
        .join(Meter, Meter.id == Frame.meter_pk)
        .where(metering.held_back(Frame), Frame.code == NOT_ON_CHAIN, Meter.state == metering.METER_ACTIVE)
    )
    log.lock(session)
    indexes = [frame.log_index for frame in session.scalars(waiting.order_by(Frame.log_index))]
    for log_index in indexes:
        release(session, log_index, actor=actor, reason="the meter is on the chain now", now=now)
    return indexes


def release(session: Session, log_index: int, *, actor: str, reason: str, now: int) -> int:
    """Let a held reading go on to the chain; the act's log index.

    SupersededError where a later reading of the meter is on its way to the chain, which takes them in order
    only, and carries this one's energy.
    """
    frame = _held_frame(session, log_index)
    why = superseded(session, frame)
    if why is not None:
        raise SupersededError(f"{why}; it is void when the list is next looked at")
    return _release(session, frame, actor, reason, now)


def release_after_all(session: Session, log_index: int, *, actor: str, reason: str, now: int) -> int:
    """Let a void reading go on to the chain after all; the act's log index.

    SupersededError where a later reading of the meter carries its energy; NotHeldError for one that is not void.
    """
    frame = _frame(session, log_index)
    if frame.disposition != metering.DISPOSITION_VOID:
        raise NotHeldError(f"reading {log_index} is {frame.disposition}: only a void one is released after all")
    why = superseded(session, frame)
    if why is not None:
        raise SupersededError(f"{why}; so it stays void")
    return _release(session, frame, actor, reason, now)


def _release(session: Session, frame: Frame, actor: str, reason: str, now: int) -> int:
    key = session.get_one(MeterKey, frame.public_key)
    if key.passed_log_index is None or key.passed_log_index < frame.log_index:
        key.passed_log_index, key.passed_record = frame.log_index, frame.frame[:RECORD_SIZE]
    energy_changed(session, frame.meter_pk, frame.interval_end)
    return _decide(session, frame, "reading_released", metering.DISPOSITION_RELEASED, actor, reason, now)


def void(session: Session, log_index: int, *, actor: str, reason: str, now: int) -> int:
    """Keep a held reading from the chain; the act's log index."""
    frame = _held_frame(session, log_index)
    return _decide(session, frame, "reading_voided", metering.DISPOSITION_VOID, actor, reason, now)
