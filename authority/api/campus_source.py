"""The campus view in service: buildings and epochs out of the store, open book and conservation out of the chain."""

from __future__ import annotations

import dataclasses
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session, contains_eager, defer

from authority.api.campus import (
    EPOCH_STATES,
    ROLES,
    SOURCES,
    BuildingNow,
    Campus,
    CampusUnavailableError,
    EnergyTokens,
    EpochNow,
    EpochPast,
    MeterNow,
    Service,
)
from authority.app import App
from authority.chain.accounts import EpochBook, Order
from authority.log import log
from authority.market.book_leaf import book_of_leaf
from authority.market.disclosure import LEAST_MEMBERS, may_tell
from authority.market.open_book import OpenBook
from authority.settlement.market_sums import public_members
from authority.settlement.snapshot import OrderView
from authority.store.metering import METER_ACTIVE, Frame, LivePower, Meter
from authority.store.people import User
from authority.store.settlement import SettledSpan, SettlementEpoch
from edge_agent.wire.reading import RECORD_SIZE, Record

LIVE_STALE_SECONDS = 45
"""Live power comes every ten seconds; older than this, a building's live figures are not shown as such."""
SECONDS_AN_HOUR = 3600
QUARTER_SECONDS = 900
LATE_SECONDS = 900
"""Of a dwelling whose member shows its figures only whole quarters of an hour are told, and so late."""
UNSETTLED = ("collecting", "submitted")
METERS_AT_ONCE = 5_000
"""Meters in one statement: databases take no more than some 32,000 values in one."""


@dataclass(frozen=True, slots=True)
class Book:
    """The open book of an epoch: how many orders each side has, and the orders."""

    epoch: int
    bids: int
    asks: int
    orders: tuple[OrderView, ...]


@dataclass(frozen=True, slots=True)
class ChainFigures:
    """What the chain said last. validator is None where it does not answer now; the rest is then of read_at."""

    validator: str | None
    slot: int | None
    read_at: int | None
    energy: EnergyTokens | None
    book: Book | None


Groups = tuple[bool, bool]
"""Of a member: whether it is public, and whether it is a dwelling."""
Ordered = dict[int, tuple[frozenset[int], frozenset[int]]]
"""Who bid and who asked in a final book, by its leaf."""


class ChainReader(Protocol):
    """Who reads the chain for the page."""

    def figures(self, epoch: int) -> ChainFigures:
        """The chain's figures, with the book of that epoch; it never raises for a validator that is away."""
        ...


@dataclass(frozen=True, slots=True)
class IntervalPowers:
    """Mean powers over a meter's last signed interval, W, by register."""

    end: int
    generation: int
    consumption: int
    charge: int
    discharge: int


class StoreCampusSource:
    """The view, read again each time; CampusFeed sees to it that this is not often."""

    def __init__(self, app: App, chain: ChainReader) -> None:
        self._app, self._chain = app, chain
        self._running = OpenBook(app.store)
        self._ordered: Ordered = {}

    def now(self, history: int) -> Campus:
        """The campus now; CampusUnavailableError before there is a plan. Members that are not public are not shown."""
        now, settings = self._app.clock(), self._app.home.settings
        seconds = settings.epoch.seconds
        number = now // seconds
        with self._app.store.read() as session:
            meters = session.scalars(
                select(Meter)
                .join(Meter.user)
                .options(contains_eager(Meter.user), defer(Meter.map))
                .where(User.public)
                .order_by(Meter.user_id, Meter.id)
            ).all()
            if not meters and session.scalar(select(Meter.id).limit(1)) is None:
                raise CampusUnavailableError("No campus plan is loaded yet; load one with: authority enrol campus FILE")
            live = {row.meter_pk: row for row in session.scalars(select(LivePower))}
            buildings: dict[str, list[Meter]] = {}
            for meter in meters:
                buildings.setdefault(meter.user.building, []).append(meter)
            homes = {name for name, its in buildings.items() if any(meter.user.dwelling for meter in its)}
            until = told_until(now)
            intervals = last_intervals(session, [meter.id for meter in meters if meter.user.building not in homes])
            intervals |= last_intervals(session, [meter.id for name in homes for meter in buildings[name]], until)
            minted, minted_late = lifetime_minted(session), lifetime_minted(session, until)
            public = public_members(session)
            past = past_epochs(session, number, history, seconds, public, self._ordered)
            may_tell_tokens = enough_minted(session)
            checkpoint = session.scalars(
                select(SettlementEpoch)
                .where(
                    SettlementEpoch.epoch <= number,
                    SettlementEpoch.log_root.is_not(None),
                    SettlementEpoch.checkpointed_ms.is_not(None),
                )
                .order_by(SettlementEpoch.epoch.desc())
                .limit(1)
            ).first()
            newest = select(func.max(Frame.log_index)).scalar_subquery()
            transport = session.scalar(select(Frame.over).where(Frame.log_index == newest))
            heard = select(Frame.meter_pk).where(Frame.interval_end == number * seconds).distinct().subquery()
            readings = session.scalar(select(func.count()).select_from(heard))
            expected = session.scalar(select(func.count()).where(Meter.state == METER_ACTIVE))
            stale = 2 * seconds + settings.parameters.grace_seconds
            shown = tuple(
                building_now(name, its, {}, intervals, minted_late, now, stale, LATE_SECONDS)
                if name in homes
                else building_now(name, its, live, intervals, minted, now, stale)
                for name, its in buildings.items()
            )
        chain = self._chain.figures(number)
        book = chain.book if chain.book and chain.book.epoch == number else None
        told = None if book is None else self._running.shown(number, book.orders, public, now)
        return Campus(
            time=now,
            campus=settings.network.organisation,
            notice=settings.web.notice or None,
            network_id=settings.network.id,
            epoch_seconds=seconds,
            epoch=EpochNow(
                number=number,
                starts_at=number * seconds,
                ends_at=(number + 1) * seconds,
                readings=readings or 0,
                readings_expected=expected or 0,
                bids=None if told is None else sum(order.is_bid for order in told[1]),
                asks=None if told is None else sum(not order.is_bid for order in told[1]),
                bid_wh=None if told is None else sum(order.quantity for order in told[1] if order.is_bid),
                ask_wh=None if told is None else sum(order.quantity for order in told[1] if not order.is_bid),
            ),
            buildings=shown,
            energy=chain.energy if chain.energy is None or may_tell_tokens else untold(chain.energy),
            history=past,
            service=Service(
                transport=cast(Literal["mqtt", "https"] | None, transport),
                validator=chain.validator,
                slot=chain.slot,
                chain_read_at=chain.read_at,
                log_size=checkpoint.log_size if checkpoint else None,
                log_root=checkpoint.log_root.hex() if checkpoint and checkpoint.log_root else None,
                checkpoint_epoch=checkpoint.epoch if checkpoint else None,
            ),
        )


def told_until(now: int) -> int:
    """The end of the last quarter of an hour of which a dwelling's figures may be told."""
    return (now - LATE_SECONDS) // QUARTER_SECONDS * QUARTER_SECONDS


def last_intervals(
    session: Session, meters: Sequence[int], until: int | None = None
) -> dict[int, IntervalPowers | None]:
    """Mean powers between each meter's last two frames; None before there are two that follow on each other.

    Where until is given, of those alone that end a quarter of an hour, and by then: so no shorter time is told of.
    Two statements, and two rows a meter, whatever their number and their history.
    """
    its = select(Frame.log_index).where(Frame.meter_pk == Meter.id).order_by(Frame.log_index.desc()).limit(1)
    if until is not None:
        its = its.where(Frame.interval_end <= until, Frame.interval_end % QUARTER_SECONDS == 0)
    found: dict[int, IntervalPowers | None] = {}
    for start in range(0, len(meters), METERS_AT_ONCE):
        pair = select(Meter.id, its.scalar_subquery(), its.offset(1).scalar_subquery()).where(
            Meter.id.in_(meters[start : start + METERS_AT_ONCE])
        )
        pairs = {pk: (newer, older) for pk, newer, older in session.execute(pair)}
        indexes = [index for indexes in pairs.values() for index in indexes if index is not None]
        rows = session.execute(select(Frame.log_index, Frame.frame).where(Frame.log_index.in_(indexes)))
        frames = {index: frame for index, frame in rows}  # noqa: C416 - a result is no mapping
        for pk, (newer, older) in pairs.items():
            found[pk] = None if older is None else interval_powers(frames[newer], frames[older])
    return found


def interval_powers(newer_frame: bytes, older_frame: bytes) -> IntervalPowers | None:
    """Mean powers between two frames; None where the newer one does not continue the older one's registers."""
    newer, older = (Record.from_bytes(frame[:RECORD_SIZE]) for frame in (newer_frame, older_frame))
    elapsed = newer.interval_end - older.interval_end
    if elapsed <= 0 or newer.register_epoch != older.register_epoch:
        return None

    def mean(register: str) -> int:
        moved: int = getattr(newer, register) - getattr(older, register)
        return max(0, moved) * SECONDS_AN_HOUR // elapsed

    return IntervalPowers(
        newer.interval_end, mean("generation"), mean("consumption"), mean("charge"), mean("discharge")
    )


def lifetime_minted(session: Session, until: int | None = None) -> Mapping[str, int]:
    """Energy ever minted (Wh) for each public member, by wallet: what the newest span says, for totals never fall.

    Where until is given, of the spans alone that end a quarter of an hour, and by then.
    """
    newest = select(SettledSpan.lifetime_minted_wh).where(SettledSpan.wallet == User.wallet)
    if until is not None:
        newest = newest.where(SettledSpan.boundary <= until, SettledSpan.boundary % QUARTER_SECONDS == 0)
    last = newest.order_by(SettledSpan.boundary.desc()).limit(1).scalar_subquery()
    rows = session.execute(select(User.wallet, last).where(User.public))
    return {wallet: int(wh) for wallet, wh in rows if wh is not None}


def enough(members: Iterable[Groups]) -> bool:
    """Whether a sum over these members may be told, beside what public accounts show of themselves.

    A public dwelling shows its part as well, but later: it counts with those who keep to themselves, and not for them.
    """
    its = list(members)
    private = sum(not public for public, _ in its)
    late = sum(public and dwelling for public, dwelling in its)
    return all(each == 0 or each >= LEAST_MEMBERS for each in (private, private + late))


def enough_minted(session: Session) -> bool:
    """Whether what was ever minted is of enough members: no look at all of them takes more than a few rows each."""
    newest = (
        select(SettledSpan.lifetime_minted_wh)
        .where(SettledSpan.wallet == User.wallet)
        .order_by(SettledSpan.boundary.desc())
        .limit(1)
        .scalar_subquery()
    )
    its = select(User.public, User.dwelling).where(newest > 0)
    found = [
        *session.execute(its.where(~User.public).limit(LEAST_MEMBERS)),
        *session.execute(its.where(User.public, User.dwelling).limit(LEAST_MEMBERS)),
    ]
    return enough((public, dwelling) for public, dwelling in found)


def untold(energy: EnergyTokens) -> EnergyTokens:
    """The verdict without the amounts."""
    return dataclasses.replace(energy, minted_wh=None, held_wh=None, escrow_wh=None, retired_wh=None)


def _who_ordered(session: Session, row: SettlementEpoch, kept: Ordered) -> tuple[frozenset[int], frozenset[int]] | None:
    """Who bid and who asked in a final book; None before it is final."""
    index = row.book_log_index
    if index is None:
        return None
    if index not in kept:
        data = book_of_leaf(log.leaf(session, index))
        head = EpochBook.from_account(data)
        orders = Order.array(data, EpochBook.size(), head.bid_count + head.ask_count)
        members = [order.member for order in orders]
        kept[index] = frozenset(members[: head.bid_count]), frozenset(members[head.bid_count :])
    return kept[index]


def past_epochs(
    session: Session, current: int, count: int, seconds: int, public: Collection[int], ordered: Ordered
) -> tuple[EpochPast, ...]:
    """The newest `count` epochs before the current one that settlement knows, oldest first.

    ordered keeps who ordered in final books, by their leaves; those of earlier epochs are dropped.
    """
    rows = session.scalars(
        select(SettlementEpoch)
        .where(SettlementEpoch.epoch < current)
        .order_by(SettlementEpoch.epoch.desc())
        .limit(count)
    ).all()
    boundaries = [(row.epoch + 1) * seconds for row in rows]
    minted = {
        boundary: int(wh)
        for boundary, wh in session.execute(
            select(SettledSpan.boundary, func.sum(SettledSpan.minted_wh))
            .where(SettledSpan.boundary.in_(boundaries))
            .group_by(SettledSpan.boundary)
        )
    }
    its: dict[int, list[Groups]] = defaultdict(list)
    parts = (
        select(SettledSpan.boundary, User.public, User.dwelling)
        .join(User, User.wallet == SettledSpan.wallet)
        .where(SettledSpan.boundary.in_(boundaries), SettledSpan.minted_wh > 0)
    )
    for boundary, is_public, dwelling in session.execute(parts):
        its[boundary].append((is_public, dwelling))
    who = {row.epoch: _who_ordered(session, row, ordered) for row in rows}
    for index in ordered.keys() - {row.book_log_index for row in rows}:
        del ordered[index]

    def orders(row: SettlementEpoch) -> int | None:
        sides = who[row.epoch]
        told = not row.bids + row.asks if sides is None else all(may_tell(side, public) for side in sides)
        return row.bids + row.asks if told else None

    return tuple(
        EpochPast(
            number=row.epoch,
            ends_at=boundary,
            state=cast(EPOCH_STATES, row.state),
            readings_on_chain=row.readings_on_chain,
            minted_wh=minted.get(boundary, 0) if row.state not in UNSETTLED and enough(its[boundary]) else None,
            orders=orders(row),
            traded_wh=row.traded_wh if row.publishable or not row.traded_wh else None,
            clearing_price_micro_credits_per_kwh=row.clearing_price if row.publishable else None,
        )
        for row, boundary in sorted(zip(rows, boundaries, strict=True), key=lambda item: item[1])
    )


def building_now(
    name: str,
    meters: Sequence[Meter],
    live: Mapping[int, LivePower],
    intervals: Mapping[int, IntervalPowers | None],
    minted: Mapping[str, int],
    now: int,
    interval_stale_seconds: int,
    late_seconds: int = 0,
) -> BuildingNow:
    """One building out of its meters: live where every settling meter is, else by the last signed interval.

    late_seconds is how late the intervals are told that are handed in.
    """
    if late_seconds:
        interval_stale_seconds += late_seconds + QUARTER_SECONDS
    settling = [meter for meter in meters if meter.role != "submeter"]
    powers = _live_powers(settling, live, now) or _interval_powers(settling, intervals)
    wallets = {meter.user.wallet for meter in meters}
    has_storage = any(meter.role == "storage" for meter in meters)
    return BuildingNow(
        name=name,
        generation_w=powers.generation if powers else None,
        consumption_w=powers.consumption if powers else None,
        storage_w=powers.storage if powers and has_storage else None,
        basis=powers.basis if powers else "none",
        measured_at=powers.at if powers else None,
        stale_after_seconds=LIVE_STALE_SECONDS if powers and powers.basis == "live" else interval_stale_seconds,
        late_seconds=late_seconds,
        minted_wh=sum(minted[wallet] for wallet in wallets) if wallets <= minted.keys() else None,
        meters=tuple(_meter_now(meter, live.get(meter.id), intervals[meter.id]) for meter in meters),
    )


def _meter_now(meter: Meter, live: LivePower | None, interval: IntervalPowers | None) -> MeterNow:
    return MeterNow(
        name=meter.name,
        role=cast(ROLES, meter.role),
        source=cast(SOURCES, meter.source),
        power_w=live.power_w if live else None,
        power_at=live.time if live else None,
        interval_end_at=interval.end if interval else None,
        generation_w=interval.generation if interval else None,
        consumption_w=interval.consumption if interval else None,
    )


@dataclass(frozen=True, slots=True)
class _Powers:
    basis: Literal["live", "interval"]
    at: int
    generation: int
    consumption: int
    storage: int


def _live_powers(meters: Iterable[Meter], live: Mapping[int, LivePower], now: int) -> _Powers | None:
    """None where a meter is not heard lately, or where its one power cannot be told apart (a whole building's net)."""
    generation = load = storage = grid = 0
    times, has_grid = [], False
    for meter in meters:
        row = live.get(meter.id)
        if row is None or meter.role == "building" or now - row.time > LIVE_STALE_SECONDS:
            return None
        times.append(row.time)
        match meter.role:
            case "generation":
                generation += max(0, -row.power_w)
            case "storage":
                storage += row.power_w
            case "load":
                load += row.power_w
            case "grid":
                grid, has_grid = grid + row.power_w, True
    if not times:
        return None
    consumption = grid + generation - storage if has_grid else load
    return _Powers("live", min(times), generation, max(0, consumption), storage)


def _interval_powers(meters: Iterable[Meter], intervals: Mapping[int, IntervalPowers | None]) -> _Powers | None:
    generation = load = storage = grid = 0
    ends, has_grid = [], False
    for meter in meters:
        powers = intervals[meter.id]
        if powers is None:
            return None
        ends.append(powers.end)
        match meter.role:
            case "grid":
                grid, has_grid = grid + powers.consumption - powers.generation, True
            case _:
                generation += powers.generation
                load += powers.consumption
                storage += powers.charge - powers.discharge
    if not ends:
        return None
    consumption = grid + generation - storage if has_grid else load
    return _Powers("interval", min(ends), generation, max(0, consumption), storage)


def without_chain(figures: ChainFigures) -> ChainFigures:
    """The figures of a validator that no longer answers: old ones keep their time, the open book is unknown."""
    return dataclasses.replace(figures, validator=None, slot=None, book=None)
