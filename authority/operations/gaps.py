"""Where a meter's readings are missing: the spans between two readings that no interval covers, and the one since.

All of it counts from the first boundary at which a meter could be read (`due_since`), so the map by days, a day's page,
and the list of a meter's gaps say the same.

No energy is lost by a gap: registers are cumulative, so the next reading carries what was measured meanwhile.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority.language.reading import marked
from authority.settlement import member_meters
from authority.store.metering import (
    DISPOSITION_HELD,
    DISPOSITION_VOID,
    PASSED,
    Frame,
    Gateway,
    Incident,
    Meter,
    MeterKey,
    ParkedFrame,
)
from edge_agent.wire.reading import FLAG_CLOCK_ADJUSTED, RECORD_SIZE, Record

MOST_BOUNDARIES = 20_000
"""How many boundaries a meter's gaps are looked for at: where epochs are short, of fewer days."""


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
    due = due_since(session, [meter], epoch_seconds).get(meter.id)
    if due is None:
        return []
    boundaries = range(max(-(-since // epoch_seconds) * epoch_seconds, due), now + 1, epoch_seconds)[-MOST_BOUNDARIES:]
    if not boundaries:
        return []
    found_at = select(Frame.interval_end, Frame.log_index, Frame.disposition).where(
        Frame.meter_pk == meter.id, Frame.interval_end.in_(boundaries)
    )
    rows = sorted((end, index, disposition) for end, index, disposition in session.execute(found_at))
    failed = (DISPOSITION_HELD, DISPOSITION_VOID)
    held = [(end, index) for end, index, disposition in rows if disposition in failed]
    passed = sorted({end for end, _, disposition in rows if disposition not in failed})
    ends, until = [boundaries[0] - epoch_seconds, *passed], now - late

    def gap(start: int, end: int, *, open_: bool) -> Gap:
        inside = tuple(index for at, index in held if start < at <= end)
        missing = (until - start) // epoch_seconds if open_ else (end - start) // epoch_seconds - 1
        return Gap(start, end, missing, open_, inside)

    found = [gap(a, b, open_=False) for a, b in itertools.pairwise(ends) if b - a >= 2 * epoch_seconds]
    if until - ends[-1] >= epoch_seconds:
        found.append(gap(ends[-1], now, open_=True))
    return found[::-1]


# By days

HELD, VOID, REFUSED, PARKED = "held", "void", "refused", "parked"
CLOCK, AWAY, SILENT = "clock", "away", "silent"
CAUSE_WORDS = {
    HELD: marked("it came, and waits for an operator's decision"),
    VOID: marked("it came, and was voided"),
    REFUSED: marked("it came, and was refused: its key had signed another reading with that number"),
    PARKED: marked("it came, and waits for the readings before it"),
    CLOCK: marked("a clock: the meter's or its gateway's was wrong, or was set"),
    AWAY: marked("its gateway was away: none of its meters was read then"),
    SILENT: marked("the meter was silent: its gateway was there"),
}
CLOCK_CODES = ("clock_unsynchronised", "interval_in_future")


@dataclass(frozen=True)
class DayCount:
    """Of one meter's day: boundaries at which a reading was due, at which one came and passed, or came and did not."""

    due: int
    came: int
    stopped: int


@dataclass(frozen=True)
class Hole:
    """Boundaries of a day without a reading that passed, one after the other: the first and the last, Unix seconds.

    readings are log entries of those that came and did not pass.
    """

    first: int
    last: int
    missing: int
    cause: str
    readings: tuple[int, ...]


@dataclass(frozen=True)
class DayOfMeter:
    """One meter's day: its count, its holes in order, and what came and the chain refuses: entry, boundary, code."""

    count: DayCount
    holes: tuple[Hole, ...]
    refused_by_chain: tuple[tuple[int, int, str], ...]


def _boundaries(start: int, end: int, epoch_seconds: int, until: int) -> range:
    """The ends of the intervals that end in [start, end) shifted by one: after start, up to end, and up to `until`."""
    return range((start // epoch_seconds + 1) * epoch_seconds, min(end, until) + 1, epoch_seconds)


def due_since(session: Session, meters: Sequence[Meter], epoch_seconds: int) -> dict[int, int]:
    """The first boundary at which each meter's reading was due, by Meter.id; none of a meter that has no key.

    That is the boundary of its first reading that passed, or of the first that came after the approval: until then its
    gateway had not begun. Of a meter of which nothing came yet it is the end of the first whole interval after that.
    """
    its = MeterKey.meter_pk.in_([meter.id for meter in meters])
    approved = select(MeterKey.meter_pk, func.min(MeterKey.approved_at)).where(its).group_by(MeterKey.meter_pk)
    when = dict(session.execute(approved).tuples().all())
    first = select(Frame.interval_end).where(Frame.meter_pk == Meter.id).order_by(Frame.log_index).limit(1)
    heard = select(Meter.id, first.scalar_subquery()).where(Meter.id.in_(when))
    came: dict[int, int | None] = {pk: end for pk, end in session.execute(heard)}  # noqa: C416 (typed)
    passed = member_meters.begun(session, when)
    found: dict[int, int] = {}
    for pk, at in when.items():
        earliest = (at // epoch_seconds + 1) * epoch_seconds
        begun = [passed[pk]] if pk in passed else []
        if (at_first := came[pk]) is not None and at_first >= earliest:  # an earlier one may be of a wrong clock
            begun.append(at_first)
        found[pk] = min(begun, default=earliest + epoch_seconds)
    return found


def by_days(
    session: Session, meters: Sequence[Meter], days: Sequence[tuple[int, int]], epoch_seconds: int, until: int
) -> dict[int, list[DayCount]]:
    """Each meter's days [start, end) in order, by Meter.id; nothing is due yet after `until`.

    Readings are looked up boundary by boundary, so it takes as long in ten years as today.
    """
    since, pks = due_since(session, meters, epoch_seconds), [meter.id for meter in meters]
    found: dict[int, list[DayCount]] = {pk: [] for pk in pks}
    for start, end in days:
        boundaries = _boundaries(start, end, epoch_seconds, until)
        came: dict[int, set[int]] = {pk: set() for pk in pks}
        stopped: dict[int, set[int]] = {pk: set() for pk in pks}
        if boundaries and pks:
            for pk, at, disposition in session.execute(
                select(Frame.meter_pk, Frame.interval_end, Frame.disposition).where(
                    Frame.interval_end.in_(boundaries), Frame.meter_pk.in_(pks)
                )
            ):
                (came if disposition in PASSED else stopped)[pk].add(at)
        for pk in pks:
            due = {at for at in boundaries if pk in since and at >= since[pk]}
            found[pk].append(DayCount(len(due), len(came[pk] & due), len((stopped[pk] - came[pk]) & due)))
    return found


def of_day(session: Session, meter: Meter, start: int, end: int, epoch_seconds: int, until: int) -> DayOfMeter:
    """One meter's day [start, end): where readings are missing, and why as far as it can be told."""
    since = due_since(session, [meter], epoch_seconds).get(meter.id, until + 1)
    boundaries = [at for at in _boundaries(start, end, epoch_seconds, until) if at >= since]
    siblings = session.scalars(
        select(Meter.id).where(Meter.gateway_name == meter.gateway_name, Meter.public_key.is_not(None))
    ).all()
    rows = session.execute(
        select(Frame).where(Frame.interval_end.in_(boundaries), Frame.meter_pk.in_([meter.id, *siblings]))
    ).scalars()
    own: dict[int, list[Frame]] = {}
    heard: set[int] = set()
    for frame in rows:
        if frame.meter_pk == meter.id:
            own.setdefault(frame.interval_end, []).append(frame)
        heard.add(frame.interval_end)
    passed = {at for at, frames in own.items() if any(each.disposition in PASSED for each in frames)}
    set_right = {at for at in passed if any(each.record.flags & FLAG_CLOCK_ADJUSTED for each in own[at])}
    apart = _kept_apart(session, meter)
    alone, away = not set(siblings) - {meter.id}, _is_away(session, meter, until)
    causes: list[tuple[int, str, tuple[int, ...]]] = []
    for at in boundaries:
        if at in passed:
            continue
        frames = own.get(at, [])
        if frames:
            held = [each for each in frames if each.disposition == DISPOSITION_HELD]
            cause = HELD if held else VOID
            cause = CLOCK if any(each.code in CLOCK_CODES for each in held) else cause
        elif at in apart:
            cause = apart[at]
        elif next((after in set_right for after in boundaries if after > at and after in passed), False):
            cause = CLOCK
        else:
            cause = AWAY if (away if alone else at not in heard) else SILENT
        causes.append((at, cause, tuple(each.log_index for each in frames)))
    refused = [each for frames in own.values() for each in frames if each.chain_error is not None]
    count = DayCount(len(boundaries), len(passed), len(own.keys() - passed))
    told = sorted((each.log_index, each.interval_end, str(each.chain_error)) for each in refused)
    return DayOfMeter(count, tuple(_holes(causes, epoch_seconds)), tuple(told))


def _holes(causes: Sequence[tuple[int, str, tuple[int, ...]]], epoch_seconds: int) -> Iterator[Hole]:
    """Neighbouring boundaries of one cause, put together."""

    def run(place_and_cause: tuple[int, tuple[int, str, tuple[int, ...]]]) -> tuple[int, str]:
        place, (at, cause, _) = place_and_cause
        return at - place * epoch_seconds, cause

    for (_, cause), group in itertools.groupby(enumerate(causes), run):
        its = [each for _, each in group]
        readings = tuple(index for _, _, indexes in its for index in indexes)
        yield Hole(its[0][0], its[-1][0], len(its), cause, readings)


def _kept_apart(session: Session, meter: Meter) -> dict[int, str]:
    """What came of a meter and is in no log: refused, or parked until those before it come; by its boundary."""
    keys = session.scalars(select(MeterKey.public_key).where(MeterKey.meter_pk == meter.id)).all()
    found: dict[int, str] = {}
    for frame in session.scalars(select(ParkedFrame.frame).where(ParkedFrame.public_key.in_(keys))):
        found[Record.from_bytes(frame[:RECORD_SIZE]).interval_end] = PARKED
    for frame in session.scalars(select(Incident.frame).where(Incident.public_key.in_(keys))):
        found[Record.from_bytes(frame[:RECORD_SIZE]).interval_end] = REFUSED
    return found


def _is_away(session: Session, meter: Meter, until: int) -> bool:
    """Of a gateway with one meter: whether it has not been heard since then."""
    seen = session.get_one(Gateway, meter.gateway_name).seen_at
    return seen is None or seen < until
