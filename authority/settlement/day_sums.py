"""A member's energy and trades by day of the site's calendar: what its pages show of a month or a year.

Energy is netted as settlement nets it, between boundaries at which all of the member's meters stand that were heard in
the days asked for, and never across an interval. Where a meter joins or leaves, its member's other meters are netted
without it before or after. A day holds the boundaries from its midnight to the next, both
included, so the days of a range make exactly what its readings make together: days in which a meter of the range was
not heard have no such boundary, and what lies between the boundaries of two days is netted when they are put together.

`keep` sums the days that are over, once, in the settlement process; `energy_days` and `trade_days` read these sums, and
make from readings and books what is not kept: today, and days for which something came later. Nothing here is evidence.
"""

from __future__ import annotations

import bisect
import functools
import itertools
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Select, bindparam, delete, func, select, union
from sqlalchemy.orm import Session

from authority.billing.bill import Trade, trades_of
from authority.billing.calendar import days_between, first_epoch_at, local, midnight
from authority.billing.evidence import StoreEvidence
from authority.chain.accounts import SpanKind
from authority.settlement import market_sums
from authority.settlement.member_meters import Roles, edges_of, inside, settling
from authority.settlement.surplus import MeterSpan, SurplusError, settle_span
from authority.store import Store
from authority.store.day_sums import EnergyDay, EnergyDaysKept, MarketDay, TradeDay, TradeDaysKept
from authority.store.metering import (
    PASSED,
    Frame,
    Meter,
    MeterTenure,
)
from authority.store.settlement import SettlementEpoch
from edge_agent.wire.reading import RECORD_SIZE, Record
from edge_agent.wire.rules import BASIS_POINTS

DAYS_AT_ONCE = 31
"""How many days' readings are in memory at a time."""
BOUNDARIES_AT_ONCE = DAYS_AT_ONCE * 100
"""Up to so many, boundaries are looked up one by one, which touches no other member's readings."""
MEMBER_DAYS_A_TURN = 512
TRADE_DAYS_A_TURN = 4
"""How much `keep` does when it is called: what is left waits for the next epoch."""


class Flows(NamedTuple):
    """Energy (Wh): made + from the battery + drawn from the campus = used + into the battery + given to the campus."""

    made_wh: int
    from_battery_wh: int
    drawn_wh: int
    used_wh: int
    into_battery_wh: int
    given_wh: int


class Piece(NamedTuple):
    """Flows between two boundaries (Unix seconds); measured_seconds is for how long between them they are known."""

    start: int
    end: int
    measured_seconds: int
    flows: Flows


class Day(NamedTuple):
    """A day of a member: meters heard (Meter.id), first and last common boundary, and what moved between these two."""

    start: int
    heard: frozenset[int]
    first: int | None
    last: int | None
    measured_seconds: int
    flows: Flows | None


class Traded(NamedTuple):
    """What was traded in a day: Wh, and micro-credits paid with wheeling and received after the fee."""

    day: int
    bought_wh: int = 0
    paid_micro_credits: int = 0
    sold_wh: int = 0
    received_micro_credits: int = 0


Readings = Mapping[int, Mapping[int, Record]]
"""A meter's records by their boundary, by Meter.id; meters without one are left out."""


def add(one: Flows | None, other: Flows | None) -> Flows | None:
    """Both together; None is nothing known."""
    if one is None or other is None:
        return one if other is None else other
    return Flows(*map(int.__add__, one, other))


# From readings


def readings(session: Session, roles: Roles, begin: int, end: int, step: int) -> Readings:
    """What the member's readings that passed say of the boundaries from begin to end, both included."""
    boundaries = range(-(-begin // step) * step, end + 1, step)
    if len(boundaries) <= BOUNDARIES_AT_ONCE:
        return _readings(session, roles, _AT, {"ends": list(boundaries)})
    return _readings(session, roles, _BETWEEN, {"begin": begin, "end": end})


def _of_readings(at: ColumnElement[bool]) -> Select[int, int, bytes]:
    return select(Frame.log_index, Frame.meter_pk, Frame.frame).where(
        at, Frame.meter_pk.in_(bindparam("pks", expanding=True)), Frame.disposition.in_(PASSED)
    )


_AT = _of_readings(Frame.interval_end.in_(bindparam("ends", expanding=True)))
_BETWEEN = _of_readings(Frame.interval_end.between(bindparam("begin"), bindparam("end")))


def _readings(session: Session, roles: Roles, which: Select[int, int, bytes], when: Mapping[str, object]) -> Readings:
    rows = session.execute(which, {"pks": list(roles), **when})
    found: dict[int, dict[int, Record]] = defaultdict(dict)
    for _, pk, frame in sorted(rows, key=lambda row: int(row[0])):  # a later one counts in an earlier one's place
        record = Record.from_bytes(frame[:RECORD_SIZE])
        if roles[pk].covers(record.interval_end):
            found[pk][record.interval_end] = record
    return found


def spans(roles: Roles, its: Readings) -> Iterator[Piece]:
    """The spans between boundaries at which all meters that were heard, and are the member's then, have a reading."""
    for part in _parts(roles, its):
        yield from common_spans(roles, part)


def common_spans(roles: Roles, its: Readings) -> Iterator[Piece]:
    """The spans between boundaries at which all of these meters have a reading."""
    for start, end in itertools.pairwise(common_boundaries(its)):
        flows = netted([(roles[pk].role, records[start], records[end]) for pk, records in its.items()])
        if flows is not None:
            yield Piece(start, end, end - start, flows)


def _parts(roles: Roles, its: Readings) -> Iterator[Readings]:
    """The readings, parted where a meter joins or leaves: each part has the meters that measure throughout it."""
    begin = min((at for records in its.values() for at in records), default=0)
    end = max((at for records in its.values() for at in records), default=0)
    parted = inside(edges_of(roles, its), begin, end)
    for start, stop in itertools.pairwise([begin, *parted, end]):
        present = [pk for pk in its if roles[pk].throughout(start, stop)]
        if not parted:
            yield {pk: its[pk] for pk in present}
        else:
            yield {pk: {at: each for at, each in its[pk].items() if start <= at <= stop} for pk in present}


def heard_in(roles: Roles, its: Readings, begin: int, end: int) -> frozenset[int]:
    """The meters that measured for the member between begin and end, and have a reading there."""
    return frozenset(pk for pk, records in its.items() if records and roles[pk].lives(begin, end))


def common_boundaries(its: Readings) -> list[int]:
    """The boundaries at which all meters that were heard have a reading, in order."""
    return sorted(set.intersection(*(set(records) for records in its.values()))) if its else []


def netted(pairs: Sequence[tuple[str, Record, Record]]) -> Flows | None:
    """A span's flows, netted as settlement nets them; None where a register was reset or the meters fit no rule.

    Each pair is a meter's role, and its records where the span begins and ends.
    """
    if any(before.register_epoch != after.register_epoch for _, before, after in pairs):
        return None
    meters = [
        MeterSpan(
            role=role,
            generation=after.generation - before.generation,
            consumption=after.consumption - before.consumption,
            charge=after.charge - before.charge,
            discharge=after.discharge - before.discharge,
        )
        for role, before, after in pairs
    ]
    try:
        span = settle_span(meters, 0, BASIS_POINTS, SpanKind.NETTED)
    except SurplusError:
        return None
    # a grid meter that gave more than was made leaves no consumption; what is over comes from nowhere that is known
    return Flows(
        made_wh=span.generation,
        from_battery_wh=span.discharge,
        drawn_wh=max(0, -span.net),
        used_wh=span.consumption,
        into_battery_wh=span.charge,
        given_wh=max(0, span.net),
    )


def _day(start: int, end: int, roles: Roles, its: Readings) -> Day | None:
    """The day [start, end) of these readings; None where no meter was heard."""
    of_day = {pk: {at: record for at, record in records.items() if start <= at <= end} for pk, records in its.items()}
    heard = heard_in(roles, of_day, start, end)
    if not heard:
        return None
    first, last, found = _joined(roles, {pk: of_day[pk] for pk in heard})
    flows = functools.reduce(add, (piece.flows for piece in found), None)
    return Day(start, heard, first, last, sum(piece.measured_seconds for piece in found), flows)


def _joined(roles: Roles, its: Readings) -> tuple[int | None, int | None, list[Piece]]:
    """The first and the last common boundary, and the spans."""
    common: list[int] = []
    found: list[Piece] = []
    for part in _parts(roles, its):
        common += common_boundaries(part)
        found += common_spans(roles, part)
    return (min(common), max(common), found) if common else (None, None, found)


def _made(session: Session, roles: Roles, days: Iterable[tuple[int, int]], step: int) -> Iterator[Day]:
    """Days made from readings."""
    run: list[tuple[int, int]] = []
    for day in itertools.chain(days, [None]):
        if run and (day is None or day[0] != run[-1][1] or len(run) == DAYS_AT_ONCE):
            its = readings(session, roles, run[0][0], run[-1][1], step)
            for start, end in run:
                if (made := _day(start, end, roles, its)) is not None:
                    yield made
            run = []
        if day is not None:
            run.append(day)


# What is kept


def energy_days(
    session: Session, user_id: int, roles: Roles, begin: int, end: int, zone: ZoneInfo, step: int
) -> list[Day]:
    """The days from begin to end (midnights) in which a meter of the member was heard; step is an epoch's seconds."""
    kept = session.get(EnergyDaysKept, user_id)
    if kept is None or kept.basis != _basis(roles, zone):
        return list(_made(session, roles, days_between(begin, end, zone), step))
    late = _late(session, roles, kept)
    stale = [day for day in days_between(begin, end, zone) if day[1] > kept.until or _touches(late, *day)]
    found = {day.start: day for day in _made(session, roles, stale, step)}
    asked = select(EnergyDay).where(EnergyDay.user_id == user_id, EnergyDay.day >= begin, EnergyDay.day < end)
    again = {start for start, _ in stale}
    found |= {row.day: _read(row) for row in session.scalars(asked) if row.day not in again}
    return [found[start] for start in sorted(found)]


def pieces(
    session: Session, roles: Roles, days: Sequence[Day], zone: ZoneInfo, step: int
) -> tuple[int, list[Piece]]:  # fmt: skip
    """How many meters were heard in these days, and what their readings make together; step is an epoch's seconds."""
    heard = frozenset[int]().union(*(day.heard for day in days))
    those = {pk: roles[pk] for pk in heard}
    edges = edges_of(roles, heard)
    found: list[Piece] = []
    ends: list[tuple[int, int]] = []
    for day in days:
        end = midnight(local(day.start, zone).date() + timedelta(days=1), zone)
        first, last = day.first, day.last
        if inside(edges, day.start, end):  # its sums are of the meters heard in it, and not of those in the range
            its = readings(session, those, day.start, end, step)
            first, last, parts = _joined(those, {pk: its.get(pk, {}) for pk in heard})
            found += parts
        elif day.heard != frozenset(pk for pk in heard if roles[pk].lives(day.start, end)):
            continue
        elif first is not None and last is not None and day.flows is not None:
            found.append(Piece(first, last, day.measured_seconds, day.flows))
        if first is not None and last is not None:
            ends.append((first, last))
    gaps = [
        (before[1], after[0])
        for before, after in itertools.pairwise(ends)
        if before[1] != after[0] and not inside(edges, before[1], after[0])
    ]
    if gaps:
        its = _readings(session, those, _AT, {"ends": sorted({at for gap in gaps for at in gap})})
        for start, end in gaps:
            of = {pk: its.get(pk, {}) for pk in heard if roles[pk].throughout(start, end)}
            if of and all(start in records and end in records for records in of.values()):
                flows = netted([(roles[pk].role, records[start], records[end]) for pk, records in of.items()])
                if flows is not None:
                    found.append(Piece(start, end, end - start, flows))
    return len(heard), sorted(found)


def _basis(roles: Roles, zone: ZoneInfo) -> str:
    """What days are summed of: the meters, and between which boundaries each is the member's."""
    meters = []
    for pk, counted in roles.items():
        mine = ";".join(f"{since or ''}-{until or ''}" for since, until in counted.tenures)
        meters.append(f"{pk}@{mine}@{counted.begun or ''}-{counted.ended or ''}")
    return f"{zone} {','.join(meters)}"


def _late(session: Session, roles: Roles, kept: EnergyDaysKept) -> list[int]:
    """Boundaries, in order, of days that are kept, for which a reading came after they were."""
    rows = session.scalars(
        select(Frame.interval_end).where(
            Frame.meter_pk.in_(roles),
            Frame.log_index > kept.log_index,
            Frame.interval_end <= kept.until,
            Frame.disposition.in_(PASSED),
        )
    )
    return sorted(rows)


def _touches(late: Sequence[int], start: int, end: int) -> bool:
    return bisect.bisect_left(late, start) < bisect.bisect_right(late, end)


_HEARD = struct.Struct("<I")


def _read(row: EnergyDay) -> Day:
    flows = Flows(
        row.made_wh, row.from_battery_wh, row.drawn_wh, row.used_wh, row.into_battery_wh, row.given_wh
    )  # fmt: skip
    return Day(
        start=row.day,
        heard=frozenset(pk for (pk,) in _HEARD.iter_unpack(row.heard)),
        first=row.first_boundary,
        last=row.last_boundary,
        measured_seconds=row.measured_seconds,
        flows=flows if row.spans else None,
    )


def trade_days(session: Session, member_index: int, begin: int, end: int, zone: ZoneInfo, step: int) -> list[Traded]:
    """What the member traded in the days from begin to end (midnights); step is an epoch's seconds."""
    split = max(begin, min(end, trades_kept_until(session, zone, step) or begin))
    rows = session.scalars(
        select(TradeDay)
        .where(TradeDay.member_index == member_index, TradeDay.day >= begin, TradeDay.day < split)
        .order_by(TradeDay.day)
    )
    found = [
        Traded(row.day, row.bought_wh, row.paid_micro_credits, row.sold_wh, row.received_micro_credits) for row in rows
    ]
    for day, after in days_between(split, end, zone):
        books = StoreEvidence(session).books(first_epoch_at(day, step), first_epoch_at(after, step))
        its = itertools.chain.from_iterable(trades_of(book, member=member_index) for _, book in books)
        found += _traded(day, its).values()
    return found


def trades_kept_until(session: Session, zone: ZoneInfo, step: int) -> int | None:
    """The midnight before which the days' trades and the market's days are kept; None where none are."""
    kept = session.get(TradeDaysKept, 1)
    if kept is None or kept.zone != str(zone):
        return None
    return midnight(local(kept.until_epoch * step, zone).date(), zone)


def _traded(day: int, trades: Iterable[Trade]) -> dict[int, Traded]:
    """What a day's trades moved, by member."""
    found: dict[int, Traded] = {}
    for trade in trades:
        found[trade.member] = traded(found.get(trade.member, Traded(day)), trade)
    return found


def traded(before: Traded, trade: Trade) -> Traded:
    """With that trade."""
    moved = trade.amount + trade.charge
    if trade.is_bid:
        return before._replace(
            bought_wh=before.bought_wh + trade.wh, paid_micro_credits=before.paid_micro_credits + moved
        )
    return before._replace(
        sold_wh=before.sold_wh + trade.wh, received_micro_credits=before.received_micro_credits - moved
    )


# Keeping


def keep(store: Store, zone: ZoneInfo, step: int, now: int) -> int:
    """Sum days that are over and not kept yet, and those for which something came later; how many were summed.

    Called once an epoch (step seconds). A member is one commit, so it may be killed at any point.
    """
    today = midnight(local(now, zone).date(), zone)
    with store.read() as session:
        had = union(select(Meter.user_id), select(MeterTenure.user_id))
        members = sorted(session.scalars(had))
        done = set(session.scalars(select(EnergyDaysKept.user_id).where(EnergyDaysKept.until >= today)))
    made = 0
    for user_id in members:
        if user_id not in done:
            made += _keep_energy(store, user_id, zone, step, today, MEMBER_DAYS_A_TURN - made)
        if made >= MEMBER_DAYS_A_TURN:
            break
    for _ in range(TRADE_DAYS_A_TURN):
        if not _keep_trades(store, zone, step):
            break
    return made


def _keep_energy(store: Store, user_id: int, zone: ZoneInfo, step: int, today: int, most: int) -> int:
    made = 0
    while made < most:
        with store.write() as session:
            roles = settling(session, user_id)
            kept = session.get(EnergyDaysKept, user_id, with_for_update=True)
            newest = session.scalar(select(func.max(Frame.log_index)))
            newest = -1 if newest is None else newest
            if kept is None or kept.basis != _basis(roles, zone):
                kept = _begin(session, user_id, roles, zone, today, newest)
            again = [
                day
                for start in {local(at - back, zone).date() for at in _late(session, roles, kept) for back in (0, 1)}
                for day in [(midnight(start, zone), midnight(start + timedelta(days=1), zone))]
                if day[1] <= kept.until
            ]
            new = list(itertools.islice(days_between(kept.until, today, zone), min(DAYS_AT_ONCE, most - made)))
            _keep_days(session, user_id, roles, [*sorted(again), *new], step)
            kept.until, kept.log_index = new[-1][1] if new else today, newest
            made += len(again) + len(new)
            if kept.until >= today:
                return made
    return made


def _begin(session: Session, user_id: int, roles: Roles, zone: ZoneInfo, today: int, newest: int) -> EnergyDaysKept:
    """Nothing is kept; the first day is that of the first reading."""
    session.execute(delete(EnergyDay).where(EnergyDay.user_id == user_id))
    its = select(Frame.interval_end).where(Frame.meter_pk == Meter.id).order_by(Frame.log_index).limit(1)
    firsts = session.execute(select(Meter.id, its.scalar_subquery()).where(Meter.id.in_(roles)))
    begun = [max(end, roles[pk].tenures[0][0] or end) for pk, end in firsts if end is not None]
    first = min(begun, default=today)
    kept = EnergyDaysKept(
        user_id=user_id,
        basis=_basis(roles, zone),
        until=min(today, midnight(local(first - 1, zone).date(), zone)),
        log_index=newest,
    )
    return session.merge(kept)


def _keep_days(session: Session, user_id: int, roles: Roles, days: Sequence[tuple[int, int]], step: int) -> None:
    starts = [start for start, _ in days]
    session.execute(delete(EnergyDay).where(EnergyDay.user_id == user_id, EnergyDay.day.in_(starts)))
    for day in _made(session, roles, days, step):
        flows = day.flows or Flows(0, 0, 0, 0, 0, 0)
        session.add(
            EnergyDay(
                user_id=user_id,
                day=day.start,
                heard=b"".join(map(_HEARD.pack, sorted(day.heard))),
                first_boundary=day.first,
                last_boundary=day.last,
                measured_seconds=day.measured_seconds,
                spans=int(day.flows is not None),
                **flows._asdict(),
            )
        )


def _keep_trades(store: Store, zone: ZoneInfo, step: int) -> bool:
    """Sum the next day whose epochs are all done with; whether there was one."""
    with store.write() as session:
        kept = session.get(TradeDaysKept, 1, with_for_update=True)
        if kept is None or kept.zone != str(zone):
            first = session.scalar(select(func.min(SettlementEpoch.epoch)))
            if first is None:
                return False
            session.execute(delete(TradeDay))
            session.execute(delete(MarketDay))
            kept = session.merge(TradeDaysKept(id=1, zone=str(zone), until_epoch=first))
        day, end = next(days_between(kept.until_epoch * step, kept.until_epoch * step + 1, zone))
        until = first_epoch_at(end, step)
        last = session.get(SettlementEpoch, until - 1)
        open_ = select(SettlementEpoch.epoch).where(
            SettlementEpoch.epoch >= first_epoch_at(day, step),
            SettlementEpoch.epoch < until,
            SettlementEpoch.checkpointed_ms.is_(None),
        )
        if last is None or session.scalar(open_.limit(1)) is not None:
            return False
        session.execute(delete(TradeDay).where(TradeDay.day == day))
        books: list[market_sums.Cleared] = []

        def trades() -> Iterator[Trade]:
            for _, book in StoreEvidence(session).books(first_epoch_at(day, step), until):
                its = list(trades_of(book))
                books.append(market_sums.cleared(book, its))
                yield from its

        session.add_all(
            TradeDay(member_index=member, **sums._asdict()) for member, sums in _traded(day, trades()).items()
        )
        done = select(func.count()).where(
            SettlementEpoch.epoch >= first_epoch_at(day, step), SettlementEpoch.epoch < until
        )
        market_sums.keep_day(session, day, session.scalar(done) or 0, books)
        kept.until_epoch = until
        return True
