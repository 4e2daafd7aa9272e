"""What the public is told of the campus's days: energy behind one grid point, the market's prices, and CO2.

The definitions are those of authority.measures.indicators, over the campus's intervals of one epoch each: all members
that were heard together, never netted across an interval, and an interval counts where every one of them was read at
both of its ends. A member of which a meter was silent all day is left out, and counted as such.

A day is summed once, when it is over and complete, or LATE_DAYS after its end with what is there; it stays as it is
then, so no two states of it differ by one member's late reading. No sum is of too few members who keep to themselves
(authority.market.disclosure): it is left out then.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from functools import partial
from itertools import pairwise
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority.app import App
from authority.billing.bill import trades_of
from authority.billing.calendar import days_between, first_epoch_at
from authority.billing.evidence import StoreEvidence
from authority.chain.accounts import EpochBook
from authority.chain.client import ChainClient
from authority.market.clearing import WH_PER_KWH
from authority.market.disclosure import may_tell
from authority.measures.indicators import Balance, Flow
from authority.rounds import rounds
from authority.settlement import day_sums
from authority.settlement.day_sums import Readings
from authority.settlement.member_meters import Roles, settling
from authority.store.day_sums import MarketDay, PublicDay
from authority.store.metering import Meter, MeterTenure
from authority.store.people import User
from authority.store.settlement import SettledSpan, SettlementEpoch
from edge_agent.wire.log import StructuredLog

LATE_DAYS = 3
"""For how many days after its end an incomplete day waits for late readings."""
DAYS_A_ROUND = 4
PAUSE_SECONDS = 300.0

LOG = StructuredLog(__name__)


@dataclass(frozen=True, slots=True)
class Metered:
    """The campus, or a part of it, over a time: how many members had meters, and how many of these were measured.

    known are the intervals in which all that were measured were read at both ends: the end (Unix seconds), and the
    flow of each member that had a meter then, by User.id. intervals is how many there are.
    """

    members: int
    measured: int
    intervals: int
    known: tuple[tuple[int, Mapping[int, Flow]], ...]

    @property
    def complete(self) -> bool:
        """Whether nothing of it is missing."""
        return self.measured == self.members and len(self.known) == self.intervals > 0

    def balance(self, public: Collection[int]) -> Balance | None:
        """All members behind one grid point; None where nothing is known, or a register is of too few members."""
        if not self.known or not all(self._may_tell(public)):
            return None
        return Balance.of(sum(its.values(), Flow()) for _, its in self.known)

    def _may_tell(self, public: Collection[int]) -> Iterator[bool]:
        """Of each register, whether its sum over the time may be told."""
        for register in fields(Flow):
            yield may_tell(
                {user for _, its in self.known for user, flow in its.items() if getattr(flow, register.name)}, public
            )


class Values(NamedTuple):
    """Energy (Wh) that the day's told books traded, and its value at four prices (micro-credits, rounded down)."""

    wh: int = 0
    price: int = 0
    retail: int = 0
    feed_in: int = 0
    wheeling: int = 0


def metered(session: Session, begin: int, end: int, step: int, users: Iterable[int] | None = None) -> Metered:
    """These members (User.id; all where none are named) from begin to end, in intervals of step seconds."""
    edges = range(-(-begin // step) * step, end + 1, step)
    if users is None:
        users = session.scalars(select(Meter.user_id).union(select(MeterTenure.user_id)))
    members = measured = 0
    its: list[tuple[int, Roles, Readings]] = []
    for user in sorted(users):
        roles = {pk: each for pk, each in settling(session, user).items() if each.awaited(begin, end)}
        if not roles:
            continue
        members += 1
        found = day_sums.readings(session, roles, begin, end, step)
        if found.keys() == roles.keys():
            measured += 1
            its.append((user, roles, found))
    known: list[tuple[int, Mapping[int, Flow]]] = []
    for start, stop in pairwise(edges):
        one = _flows(its, start, stop)
        if one:
            known.append((stop, one))
    return Metered(members, measured, max(0, len(edges) - 1), tuple(known))


def _flows(its: Iterable[tuple[int, Roles, Readings]], start: int, stop: int) -> dict[int, Flow] | None:
    """Flows between two boundaries by member, of those that have a meter then; None where one is not known.

    It is not where a meter was not read at an end of the interval, or was reset in it.
    """
    flows: dict[int, Flow] = {}
    for user, roles, found in its:
        there = [pk for pk, counted in roles.items() if counted.awaited(start, stop)]
        if not there:
            continue
        if any(start not in found[pk] or stop not in found[pk] for pk in there):
            return None
        netted = day_sums.netted([(roles[pk].role, found[pk][start], found[pk][stop]) for pk in there])
        if netted is None:
            return None
        flows[user] = Flow(netted.made_wh, netted.used_wh, netted.into_battery_wh, netted.from_battery_wh)
    return flows


def _settled(session: Session, begin: int, end: int, public: frozenset[str]) -> tuple[int | None, int | None]:
    """What was withdrawn and minted in the spans that ended in (begin, end]; None where it is of too few members."""
    drawn: dict[str, int] = defaultdict(int)
    minted: dict[str, int] = defaultdict(int)
    rows = session.execute(
        select(SettledSpan.wallet, SettledSpan.withdrawal_wh, SettledSpan.minted_wh).where(
            SettledSpan.boundary > begin, SettledSpan.boundary <= end
        )
    )
    for wallet, withdrawal_wh, minted_wh in rows:
        drawn[wallet] += withdrawal_wh
        minted[wallet] += minted_wh
    return _told(drawn, public), _told(minted, public)


def _told(sums: Mapping[str, int], public: frozenset[str]) -> int | None:
    places = {wallet: place for place, wallet in enumerate(sorted(sums.keys() | public))}
    moved = [places[wallet] for wallet, wh in sums.items() if wh]
    return sum(sums.values()) if may_tell(moved, {places[wallet] for wallet in public}) else None


def _traded(session: Session, begin: int, end: int, step: int, *, all_told: bool) -> Values:
    """What the day's books traded: all of them, or where too few traded in some, the others."""
    first, after = first_epoch_at(begin, step), first_epoch_at(end, step)
    told = set(
        session.scalars(
            select(SettlementEpoch.epoch).where(
                SettlementEpoch.epoch >= first, SettlementEpoch.epoch < after, SettlementEpoch.publishable.is_(True)
            )
        )
    )
    found = Values()
    for _, data in StoreEvidence(session).books(first, after):
        head = EpochBook.from_account(data)
        if all_told or head.epoch in told:
            wh = sum(trade.wh for trade in trades_of(data) if not trade.is_bid)
            prices = (head.price, head.retail_price, head.feed_in_price, head.wheeling)
            at = Values(wh, *(wh * price // WH_PER_KWH for price in prices))
            found = Values(*map(int.__add__, found, at))
    return found


def keep(app: App) -> int:
    """Sum the next days that are due, each a commit of its own; how many were summed. Days before are as they are."""
    for made in range(DAYS_A_ROUND):
        if not _keep_next(app):
            return made
    return DAYS_A_ROUND


def _keep_next(app: App) -> bool:
    """Sum the next day, where one is due. Writers wait for the row alone: one process settles, and so does this."""
    row = _next(app)
    if row is not None:
        with app.store.write() as session:
            session.add(row)
    return row is not None


def _next(app: App) -> PublicDay | None:
    site, step, now = app.home.settings.site, app.home.settings.epoch.seconds, app.clock()
    zone = ZoneInfo(site.zone)
    with app.store.read() as session:
        until = day_sums.trades_kept_until(session, zone, step)
        ended = session.scalar(select(func.max(PublicDay.ended))) or 0
        after = select(MarketDay).where(MarketDay.day >= ended).order_by(MarketDay.day).limit(1)
        market = session.scalar(after)
        if market is None or until is None:
            return None
        begin, end = market.day, _end_of(market.day, zone)
        if end > until:
            return None
        campus = metered(session, begin, end, step)
        if not campus.complete and now < end + LATE_DAYS * 86_400:
            return None
        users = session.execute(select(User.id, User.wallet).where(User.public)).all()
        balance = campus.balance(frozenset(id for id, _ in users))
        withdrawn, minted = _settled(session, begin, end, frozenset(wallet for _, wallet in users))
        values = _traded(session, begin, end, step, all_told=not market.withheld)
    return PublicDay(
        day=begin,
        ended=end,
        members=campus.members,
        members_measured=campus.measured,
        intervals=campus.intervals,
        intervals_measured=len(campus.known),
        generation_wh=None if balance is None else balance.generation,
        consumption_wh=None if balance is None else balance.consumption,
        used_locally_wh=None if balance is None else balance.used_locally,
        imported_wh=None if balance is None else balance.imported,
        exported_wh=None if balance is None else balance.exported,
        withdrawn_wh=withdrawn,
        minted_wh=minted,
        books_withheld=market.withheld,
        traded_wh=values.wh,
        price_value=values.price,
        retail_value=values.retail,
        feed_in_value=values.feed_in,
        wheeling_value=values.wheeling,
        co2_g_per_kwh=site.grid_co2_g_per_kwh or None,
        co2_source=site.grid_co2_source or None,
    )


def _end_of(day: int, zone: ZoneInfo) -> int:
    """When the day that begins then ends."""
    ((_, end),) = days_between(day, day + 1, zone)
    return end


def run(app: App, _: Callable[[], ChainClient], stop: threading.Event) -> None:
    """Keep the days until `stop` is set."""
    rounds(partial(keep, app), stop, PAUSE_SECONDS, LOG, "the campus's days for the public are not summed")
