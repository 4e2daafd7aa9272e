"""A campus's indicators over a time, read from its home: signed readings, settled spans, final books, and bills.

Everything comes from what the log holds and the chain did. Members are named as in the store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.app import App
from authority.billing import issuing
from authority.billing.bill import trades_of
from authority.billing.evidence import StoreEvidence
from authority.chain import accounts
from authority.chain.accounts import EpochBook
from authority.chain.client import ChainClient
from authority.market.clearing import WH_PER_KWH, Order
from authority.market.policies import ORDER_ACTS, ORDER_PAUSED, ORDER_REMOVED, ORDER_SET
from authority.market.standing_orders import StandingOrder
from authority.measures.indicators import (
    Balance,
    Flow,
    Prices,
    Rounding,
    gini,
    peak_w,
    rounding_of_ask,
    rounding_of_bid,
    share,
    without_market,
)
from authority.measures.markets import Epoch, Limits, OwnRule, RuleFigures, Terms, compare
from authority.measures.welfare import Welfare, possible, reached
from authority.settlement.surplus import MeterSpan, settle_span
from authority.store.log import Act
from authority.store.metering import PASSED, Frame, Meter
from authority.store.people import User
from authority.store.settlement import SettledSpan
from edge_agent.wire.reading import RECORD_SIZE, Record

NOT_THE_MARKETS = ("top_up", "pay_out")
"""Lines of a bill that move a member's own money in and out."""


@dataclass(frozen=True, slots=True)
class MemberFigures:
    """A member over the time: energy in Wh, money in micro-credits (negative: it got more than it paid)."""

    name: str
    generation_wh: int
    consumption_wh: int
    used_locally_wh: int
    minted_wh: int
    withdrawn_wh: int
    bought_wh: int
    sold_wh: int
    fed_in_wh: int
    held_wh: int
    paid: int
    paid_without_market: int

    @property
    def gain(self) -> int:
        """What the market was worth to the member, micro-credits."""
        return self.paid_without_market - self.paid


@dataclass(frozen=True, slots=True)
class EpochFigures:
    """All members together in one epoch: energy in Wh, prices in micro-credits per kWh.

    price is None where nothing traded; terms are those of the last epoch that closed, where its own is still open.
    """

    epoch: int
    generation_wh: int
    consumption_wh: int
    imported_wh: int
    exported_wh: int
    minted_wh: int
    withdrawn_wh: int
    traded_wh: int
    price: int | None
    terms: Terms


@dataclass(frozen=True, slots=True)
class MeterStep:
    """By how many Wh a meter's registers moved in the interval that ends at boundary (Unix seconds)."""

    meter: str
    member: str
    role: str
    boundary: int
    generation_wh: int
    consumption_wh: int
    charge_wh: int
    discharge_wh: int


@dataclass(frozen=True)
class CampusFigures:
    """A campus over the time."""

    epoch_seconds: int
    intervals: int
    members: tuple[MemberFigures, ...]
    epochs: tuple[EpochFigures, ...]
    alone: Balance
    """The members, each by itself."""
    together: Balance
    """All members behind one grid point."""
    peak_import_w: int
    peak_export_w: int
    minted_wh: int
    withdrawn_wh: int
    traded_wh: int
    prices: Prices
    rounding: Rounding
    welfare: Welfare
    """Of the orders in the books."""

    @property
    def gains(self) -> list[int]:
        """Of each member."""
        return [member.gain for member in self.members]

    def as_json(self) -> dict[str, Any]:
        """For reports: every indicator by its name (authority.measures.indicators)."""
        gains = self.gains
        return {
            "intervals": self.intervals,
            "energy": {
                "generation_wh": self.together.generation,
                "consumption_wh": self.together.consumption,
                "minted_wh": self.minted_wh,
                "withdrawn_wh": self.withdrawn_wh,
                "traded_wh": self.traded_wh,
                "grid_import_wh": self.together.imported,
                "grid_export_wh": self.together.exported,
                "peak_import_w": self.peak_import_w,
                "peak_export_w": self.peak_export_w,
            },
            "self_sufficiency": {"alone": self.alone.self_sufficiency, "together": self.together.self_sufficiency},
            "self_consumption": {"alone": self.alone.self_consumption, "together": self.together.self_consumption},
            "traded_share_of_withdrawn": share(self.traded_wh, self.withdrawn_wh),
            "traded_share_of_minted": share(self.traded_wh, self.minted_wh),
            "prices": asdict(self.prices),
            "money": {
                "paid": sum(member.paid for member in self.members),
                "paid_without_market": sum(member.paid_without_market for member in self.members),
                "gain": sum(gains),
                "gini_of_gains": gini(gains),
                "members_worse_off": sum(gain < 0 for gain in gains),
            },
            "welfare": self.welfare.as_json(),
            "rounding_thousandths": asdict(self.rounding),
            "members": [{**asdict(member), "gain": member.gain} for member in self.members],
        }


@dataclass(frozen=True, slots=True)
class _Market:
    """What the books of the time say. terms: the prices by epoch."""

    terms: dict[int, Terms]
    cleared: dict[int, tuple[int, int]]
    """Price and Wh of each epoch that traded."""
    rounding: Rounding
    welfare: Welfare

    @property
    def traded_wh(self) -> int:
        """In all."""
        return sum(wh for _, wh in self.cleared.values())

    def of(self, epoch: int) -> Terms:
        """An epoch's terms; those of the last final book for an epoch whose book is still open."""
        return self.terms.get(epoch) or self.terms[max(self.terms)]


def figures_of(app: App, client: ChainClient, first: int, end: int) -> CampusFigures:
    """The figures of the epochs from first up to and without end. Bills count whole: name the time that they cover.

    BillingErrors of authority.billing.history, ChainErrors.
    """
    seconds = app.home.settings.epoch.seconds
    book = issuing.open_book(app, client)
    lines: dict[str, dict[str, list[int]]] = {}
    for period in book.facts.first_epochs:
        for bill in issuing.preview(app, book, period):
            kinds = lines.setdefault(bill.member, {})
            for line in bill.lines:
                sums = kinds.setdefault(line.kind, [0, 0])
                sums[0] += line.wh
                sums[1] += line.amount
    with app.store.read() as session:
        users = session.scalars(select(User).where(User.registered_at.is_not(None)).order_by(User.id)).all()
        flows = _flows(session, seconds, first * seconds, end * seconds)
        market = _market(session, first, end)
        spans = _spans(session, first * seconds, end * seconds)
    members = []
    for user in users:
        own = Balance.of(flows.get(user.id, {}).values())
        settled = spans.get(user.wallet, [])
        kinds = lines.get(user.wallet, {})
        minted = sum(span.minted_wh for span in settled)
        wh = {kind: sums[0] for kind, sums in kinds.items()}
        bought, sold, fed_in = wh.get("bought", 0), wh.get("sold", 0), wh.get("fed_in", 0)
        held = minted + bought - sold - fed_in - wh.get("retired", 0)
        priced = [(span, market.of(span.boundary // seconds - 1)) for span in settled]
        worth = held * priced[-1][1].feed_in // WH_PER_KWH if priced else 0
        members.append(
            MemberFigures(
                name=user.name,
                generation_wh=own.generation,
                consumption_wh=own.consumption,
                used_locally_wh=own.used_locally,
                minted_wh=minted,
                withdrawn_wh=sum(span.withdrawal_wh for span in settled),
                bought_wh=bought,
                sold_wh=sold,
                fed_in_wh=fed_in,
                held_wh=held,
                paid=sum(sums[1] for kind, sums in kinds.items() if kind not in NOT_THE_MARKETS) - worth,
                paid_without_market=without_market(
                    (span.withdrawal_wh, span.minted_wh, terms.retail, terms.feed_in) for span, terms in priced
                ),
            )
        )
    together: dict[int, Flow] = {}
    for one in flows.values():
        for boundary, flow in one.items():
            together[boundary] = together.get(boundary, Flow()) + flow
    return CampusFigures(
        epoch_seconds=seconds,
        intervals=end - first,
        members=tuple(members),
        epochs=tuple(_epochs(first, end, seconds, together, spans, market)),
        alone=Balance.of(flow for one in flows.values() for flow in one.values()),
        together=Balance.of(together.values()),
        peak_import_w=peak_w(together.values(), seconds, imported=True),
        peak_export_w=peak_w(together.values(), seconds, imported=False),
        minted_wh=sum(member.minted_wh for member in members),
        withdrawn_wh=sum(member.withdrawn_wh for member in members),
        traded_wh=market.traded_wh,
        prices=Prices.of(list(market.cleared.values())),
        rounding=market.rounding,
        welfare=market.welfare,
    )


def _epochs(
    first: int,
    end: int,
    seconds: int,
    together: Mapping[int, Flow],
    spans: Mapping[str, Sequence[SettledSpan]],
    market: _Market,
) -> Iterator[EpochFigures]:
    minted: dict[int, int] = {}
    withdrawn: dict[int, int] = {}
    for span in (span for settled in spans.values() for span in settled):
        epoch = span.boundary // seconds - 1
        minted[epoch] = minted.get(epoch, 0) + span.minted_wh
        withdrawn[epoch] = withdrawn.get(epoch, 0) + span.withdrawal_wh
    for epoch in range(first, end):
        flow = together.get((epoch + 1) * seconds, Flow())
        price, wh = market.cleared.get(epoch, (None, 0))
        yield EpochFigures(
            epoch=epoch,
            generation_wh=flow.generation,
            consumption_wh=flow.consumption,
            imported_wh=max(0, -flow.net),
            exported_wh=max(0, flow.net),
            minted_wh=minted.get(epoch, 0),
            withdrawn_wh=withdrawn.get(epoch, 0),
            traded_wh=wh,
            price=price,
            terms=market.of(epoch),
        )


def meter_steps(app: App, first: int, end: int) -> Iterator[MeterStep]:
    """What every meter counted, submeters too, in the epochs from first up to and without end; meter after meter.

    Where a meter was not read at a boundary, what it counted is in the interval of its next reading. Where its
    registers fell, they were reset, and nothing is told of that interval.
    """
    seconds = app.home.settings.epoch.seconds
    with app.store.read() as session:
        names = {user.id: user.name for user in session.scalars(select(User))}
        for meter, readings in _readings(session, first * seconds, end * seconds):
            for boundary, steps in _steps(readings):
                yield MeterStep(
                    f"{meter.gateway_name}/{meter.name}", names[meter.user_id], meter.role, boundary, *steps
                )


def comparison_of(
    app: App,
    first: int,
    end: int,
    stand_ins: Mapping[str, Callable[[Terms], StandingOrder]] | None = None,
    own: Mapping[str, OwnRule] | None = None,
) -> tuple[list[RuleFigures], dict[int, str]]:
    """Every market rule (authority.measures.markets) over the epochs from first up to and without end.

    What members gave and drew are their settled spans; their limits are the standing orders of each epoch, as the log
    tells, or by their names stand_ins (of an epoch's terms) where they trade otherwise. own are further rules, by their
    names: RuleInfeasibleError. Members go by their number in the store; their names come with it.
    """
    seconds = app.home.settings.epoch.seconds
    with app.store.read() as session:
        users = session.scalars(select(User).where(User.registered_at.is_not(None)).order_by(User.id)).all()
        orders = list(_orders_of_epochs(session, first, end, seconds))
        market = _market(session, first, end)
        spans = _spans(session, first * seconds, end * seconds)
    given: dict[int, dict[int, int]] = {epoch: {} for epoch in range(first, end)}
    drawn: dict[int, dict[int, int]] = {epoch: {} for epoch in range(first, end)}
    for user in users:
        for span in spans.get(user.wallet, []):
            epoch = span.boundary // seconds - 1
            given[epoch][user.id], drawn[epoch][user.id] = span.minted_wh, span.withdrawal_wh
    epochs = [Epoch(given[epoch], drawn[epoch], market.of(epoch)) for epoch in range(first, end)]
    limits: list[dict[int, Limits]] = []
    others = stand_ins or {}
    for each, standing in zip(epochs, orders, strict=True):
        stood_in = {user.id: others[user.name](each.terms) for user in users if user.name in others}
        kept = {user.id: standing[user.wallet] for user in users if user.wallet in standing} | stood_in
        limits.append({user: Limits(order.sell_at, order.buy_at) for user, order in kept.items()})
    found = compare(epochs, limits, [user.id for user in users], own, edges=True)
    return found, {user.id: user.name for user in users}


def _orders_of_epochs(session: Session, first: int, end: int, seconds: int) -> Iterator[Mapping[str, StandingOrder]]:
    """By wallet the standing orders of each epoch from first up to and without end, out of the log's acts.

    An act counts from the epoch on in which it was done; of one epoch's the last.
    """
    query = select(Act.kind, Act.time, Act.data).where(Act.kind.in_(ORDER_ACTS)).order_by(Act.log_index)
    acts: deque[tuple[str, int, dict[str, Any]]] = deque(
        (kind, time, data) for kind, time, data in session.execute(query)
    )
    known: dict[str, StandingOrder] = {}
    resting: set[str] = set()
    for epoch in range(first, end):
        while acts and acts[0][1] < (epoch + 1) * seconds:
            kind, _, data = acts.popleft()
            wallet = data["wallet"]
            if kind == ORDER_PAUSED:
                resting.add(wallet)
                continue
            resting.discard(wallet)
            if kind == ORDER_SET:
                known[wallet] = StandingOrder(**{name: each for name, each in data.items() if name != "wallet"})
            elif kind == ORDER_REMOVED:
                known.pop(wallet, None)
        yield {wallet: order for wallet, order in known.items() if wallet not in resting}


def _market(session: Session, first: int, end: int) -> _Market:
    terms: dict[int, Terms] = {}
    cleared: dict[int, tuple[int, int]] = {}
    rounding, welfare = Rounding(), Welfare()
    for _, data in StoreEvidence(session).books(first, end):
        head = EpochBook.from_account(data)
        terms[head.epoch] = Terms(head.retail_price, head.feed_in_price, head.wheeling, head.fee_bps)
        bought = 0
        for trade in trades_of(data):
            if trade.is_bid:
                bought += trade.wh
                rounding += rounding_of_bid(trade.wh, head.price, head.wheeling, trade.amount + trade.charge)
            else:
                rounding += rounding_of_ask(trade.wh, head.price, head.fee_bps, -trade.amount, trade.charge)
        if bought:
            cleared[head.epoch] = head.price, bought
        welfare += _welfare(head, data)
    return _Market(terms, cleared, rounding, welfare)


def _welfare(head: EpochBook, data: bytes) -> Welfare:
    """Of a book, as its leaf holds it: bids dearest first, then asks cheapest first."""
    orders = accounts.Order.array(data, EpochBook.size(), head.bid_count + head.ask_count)
    sides = orders[: head.bid_count], orders[head.bid_count :]
    bids, asks = ([Order(each.price, each.quantity) for each in side] for side in sides)
    filled = ([(each.price, each.filled) for each in side] for side in sides)
    return Welfare(reached(*filled), possible(bids, asks))


def _spans(session: Session, start: int, end: int) -> dict[str, list[SettledSpan]]:
    """The settled spans that end in (start, end], by wallet, in order."""
    found: dict[str, list[SettledSpan]] = {}
    query = select(SettledSpan).where(SettledSpan.boundary > start, SettledSpan.boundary <= end)
    for span in session.scalars(query.order_by(SettledSpan.boundary)):
        found.setdefault(span.wallet, []).append(span)
    return found


def _flows(session: Session, seconds: int, start: int, end: int) -> dict[int, dict[int, Flow]]:
    """Each member's flow in each interval, by user and interval end: what its settling meters' registers moved by.

    Where a meter was not read at a boundary, what it counted is in the interval of its next reading.
    """
    spans: dict[int, dict[int, list[MeterSpan]]] = {}
    for meter, readings in _readings(session, start, end):
        if meter.role != "submeter":
            for boundary, steps in _steps(readings):
                own = spans.setdefault(meter.user_id, {})
                own.setdefault(boundary, []).append(MeterSpan(meter.role, 0, 0, *steps))
    flows: dict[int, dict[int, Flow]] = {}
    for user, by_boundary in spans.items():
        flows[user] = {}
        for boundary, meters in by_boundary.items():
            span = settle_span(meters, 0, 0)
            flows[user][boundary] = Flow(span.generation, span.consumption, span.charge, span.discharge)
    return flows


Registers = tuple[int, int, int, int]


def _steps(readings: Sequence[tuple[int, Registers]]) -> Iterator[tuple[int, Registers]]:
    """From each reading to the next: its boundary, and by how much each register rose; none where one fell."""
    for (_, before), (boundary, after) in pairwise(readings):
        steps = (after[0] - before[0], after[1] - before[1], after[2] - before[2], after[3] - before[3])
        if min(steps) >= 0:  # else its registers were reset
            yield boundary, steps


def _readings(session: Session, start: int, end: int) -> Iterator[tuple[Meter, Sequence[tuple[int, Registers]]]]:
    """Each meter, and its registers at the boundaries of [start, end], in order."""
    for meter in session.scalars(select(Meter).order_by(Meter.id)).all():
        rows = session.execute(
            select(Frame.interval_end, Frame.frame)
            .where(
                Frame.meter_pk == meter.id,
                Frame.disposition.in_(PASSED),
                Frame.interval_end >= start,
                Frame.interval_end <= end,
            )
            .order_by(Frame.interval_end)
        )
        yield meter, [(boundary, Record.from_bytes(frame[:RECORD_SIZE]).registers) for boundary, frame in rows]
