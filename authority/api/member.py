"""One member's figures, for its pages and its programs alike: energy, balances, orders, standing order, bills.

Energy is what the signed readings say, netted as settlement nets it, never across an interval; money is what the books
and the bills say. Energies are Wh, amounts micro-credits, prices micro-credits per kWh, times Unix seconds. What is not
known is null, and every total says how much of its time, and how many of the meters, it is made of.
"""

# ruff: noqa: RUF009  (`described` is dataclasses.field with a sentence: it makes no shared default)

from __future__ import annotations

import bisect
import functools
import itertools
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from typing import Any, Literal, TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.api import days
from authority.api.campus import described
from authority.app import App
from authority.billing.bill import trades_of
from authority.billing.evidence import StoreEvidence
from authority.chain.accounts import EpochBook, SpanKind
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.errors import AuthorityError
from authority.market import policies
from authority.market.prices import market_prices
from authority.market.standing_orders import StandingOrder
from authority.operations.chain_state import MemberOnChain, member_on_chain
from authority.people.roles import MemberAccount, Principal
from authority.refusals import NotFoundError
from authority.settlement.surplus import MeterSpan, SurplusError, settle_span
from authority.store.billing import IssuedBill
from authority.store.market import StandingOrderPolicy
from authority.store.metering import DISPOSITION_ACCEPTED, DISPOSITION_RELEASED, METER_RETIRED, Frame, Meter
from authority.store.people import User
from authority.store.settlement import SettlementEpoch
from edge_agent.wire.reading import RECORD_SIZE, Record
from edge_agent.wire.rules import BASIS_POINTS

FILLS_EPOCHS = 96
"""How many past epochs' fills are shown with the orders."""
PREVIEW_SECONDS = 7 * 86_400


class ChainAwayError(AuthorityError):
    """The validator does not answer, so nothing can be said of tokens and orders: try again."""

    code = "chain_away"


@dataclass(frozen=True, slots=True, kw_only=True)
class Flows:
    """Energy in a span. made + from_battery + drawn = used + into_battery + given, to the watt-hour."""

    made_wh: int = described("Generated.")
    from_battery_wh: int = described("Out of the battery.")
    drawn_wh: int = described("Drawn from the campus grid.")
    used_wh: int = described("Used in the building.")
    into_battery_wh: int = described("Into the battery.")
    given_wh: int = described("Given to the campus grid.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trades:
    """What the market moved in a span; paid with wheeling, received after the fee."""

    bought_wh: int = described("Energy bought.")
    paid_micro_credits: int = described("Paid for it, wheeling included.")
    sold_wh: int = described("Energy sold.")
    received_micro_credits: int = described("Received for it, after the fee.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyStep:
    """One step of the range. flows is null where no reading tells of it."""

    starts_at: int = described("Its beginning, Unix seconds.")
    ends_at: int = described("Its end, Unix seconds.")
    starts: str = described("Its beginning on the site's clock, with the offset.")
    flows: Flows | None = described("What the meters measured; null where nothing is known.")
    trades: Trades = described("What was bought and sold in it.")
    measured_seconds: int = described("For how much of it there are readings of all meters.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """A member's energy over a range of days, in steps, and together."""

    zone: str = described("The site's time zone, whose days these are.")
    step: Literal["interval", "quarter", "day", "month"] = described("interval: as the meters sign.")
    meters: int = described("Meters of the member that count.")
    meters_heard: int = described("How many of them have readings in the range.")
    steps: tuple[EnergyStep, ...] = described("The steps, in order, without a gap.")
    total: EnergyStep = described("All of it together.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Balances:
    """Where the member's tokens and credits are, as the chain says."""

    energy_wallet_wh: int | None = described("Energy tokens in the wallet; null where its account cannot be used.")
    energy_market_wh: int = described("Energy tokens in the market, free.")
    energy_orders_wh: int = described("Energy tokens that orders have locked.")
    energy_wh: int = described("All energy tokens.")
    credit_wallet_micro_credits: int | None = described("Credits in the wallet; null where it cannot be used.")
    credit_market_micro_credits: int = described("Credits in the market, free.")
    credit_orders_micro_credits: int = described("Credits that orders have locked.")
    credit_micro_credits: int = described("All credits.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenOrder:
    """An order in a book that is not paid yet."""

    epoch: int = described("The book's epoch.")
    ends_at: int = described("When the book closes.")
    side: Literal["bid", "ask"] = described("bid: buys; ask: sells.")
    price_micro_credits_per_kwh: int = described("The limit.")
    quantity_wh: int = described("How much.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """What an order came to in a final book."""

    epoch: int = described("The book's epoch.")
    ended_at: int = described("When the book closed.")
    side: Literal["bid", "ask"] = described("bid: bought; ask: sold.")
    filled_wh: int = described("How much changed hands.")
    price_micro_credits_per_kwh: int = described("The clearing price, the same for all.")
    amount_micro_credits: int = described("Paid (bid, with wheeling) or received (ask, after the fee).")
    book_leaf: int = described("The book's leaf in the log, which proves it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Orders:
    """Open orders, and the fills of the last day, newest first."""

    open: tuple[OpenOrder, ...] = described("Orders that are not paid yet.")
    fills: tuple[Fill, ...] = described("What orders of the last 96 epochs came to.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The standing order: what is sold and bought for the member in every epoch; null prices: never on that side."""

    exists: bool = described("Whether there is one.")
    paused: bool = described("Whether it rests.")
    sell_at: int | None = described("Least price at which it sells, micro-credits per kWh.")
    buy_at: int | None = described("Greatest price at which it buys, micro-credits per kWh.")
    reserve_wh: int = described("What is kept from every sale, Wh.")
    feed_in_above_wh: int | None = described("What is held beyond this is fed in, Wh; null: never.")
    lowest_price: int = described("The market's lowest price: what feed-in pays, micro-credits per kWh.")
    highest_price: int = described("The market's highest price: what the grid costs, micro-credits per kWh.")
    changed_at: int | None = described("When it was last changed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What the last seven days' prices say of a standing order. It promises nothing: an order moves prices too."""

    epochs: int = described("Epochs in which the market had a price.")
    would_sell: int = described("In how many of them the price was at or above the selling limit.")
    would_buy: int = described("In how many of them the price was at or below the buying limit.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillHead:
    """One issued bill."""

    number: int = described("Its number.")
    period: int = described("The billing period's number.")
    starts_at: int = described("The period's beginning.")
    ends_at: int = described("The period's end.")
    due_micro_credits: int = described("What is to be paid; negative where the member is paid.")
    issued_at: int = described("When it was issued.")
    sha256: str = described("SHA-256 of its document, which is in the log.")
    log_leaf: int = described("The leaf of the log that has it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bills:
    """Issued bills, the newest first."""

    bills: tuple[BillHead, ...] = described("The bills.")


Sums = TypeVar("Sums", Flows, Trades)
NO_TRADES = Trades(bought_wh=0, paid_micro_credits=0, sold_wh=0, received_micro_credits=0)


class Members:
    """The query layer over an opened authority; `client` makes a chain client for one question."""

    def __init__(self, app: App, client: Callable[[], ChainClient]) -> None:
        self._app, self._client = app, client
        self.zone = ZoneInfo(app.home.settings.site.zone)

    @property
    def epoch_seconds(self) -> int:
        """The length of an epoch, and of a signed interval."""
        return self._app.home.settings.epoch.seconds

    def today(self) -> date:
        """Today at the site."""
        return days.local(self._app.clock(), self.zone).date()

    # Energy

    def energy(self, member: MemberAccount, first: date, last: date, step: str) -> Energy:
        """Energy and trades of the days first to last, both included; DaysInvalidError."""
        edges = list(days.buckets(first, last, step, self.zone, self.epoch_seconds))
        starts = [start for start, _ in edges]
        begin, end = edges[0][0], edges[-1][1]
        flows: dict[int, Flows] = {}
        measured: dict[int, int] = defaultdict(int)
        trades: dict[int, Trades] = {}
        with self._app.store.read() as session:
            meters = settling_meters(session, member.id)
            frames = passed_frames(session, meters, begin, end)
            heard, spans = len(frames), net_spans(meters, frames)
            for span_start, span_end, moved in spans:
                place = bisect.bisect_right(starts, span_end - 1) - 1
                flows[place] = added(flows[place], moved) if place in flows else moved
                measured[place] += span_end - max(span_start, starts[place])
            for trade in self._trades(session, member, begin, end):
                place = max(0, bisect.bisect_right(starts, trade.epoch * self.epoch_seconds) - 1)
                trades[place] = _traded(trades.get(place, NO_TRADES), trade)
        steps = tuple(
            self._step(start, stop, flows.get(place), trades.get(place, NO_TRADES), measured[place])
            for place, (start, stop) in enumerate(edges)
        )
        known = [each.flows for each in steps if each.flows is not None]
        all_flows = functools.reduce(added, known) if known else None
        all_trades = functools.reduce(added, (each.trades for each in steps))
        return Energy(
            zone=str(self.zone),
            step=step,  # type: ignore[arg-type]  # days.buckets has refused others
            meters=len(meters),
            meters_heard=heard,
            steps=steps,
            total=self._step(begin, end, all_flows, all_trades, sum(measured.values())),
        )

    def _step(self, start: int, end: int, flows: Flows | None, trades: Trades, measured: int) -> EnergyStep:
        return EnergyStep(
            starts_at=start,
            ends_at=end,
            starts=days.stamp(start, self.zone),
            flows=flows,
            trades=trades,
            measured_seconds=measured,
        )

    def _trades(self, session: Session, member: MemberAccount, begin: int, end: int) -> Iterator[Any]:
        index = session.get_one(User, member.id).member_index
        if index is None:
            return
        seconds = self.epoch_seconds
        for leaf, book in StoreEvidence(session).books(-(-begin // seconds), -(-end // seconds)):
            price = EpochBook.from_account(book).price
            for trade in trades_of(book, member=index):
                yield _Traded(trade.epoch, trade.is_bid, trade.wh, trade.amount + trade.charge, price, leaf)

    # What the chain says

    def balances(self, member: MemberAccount) -> Balances:
        """Tokens and credits; ChainAwayError, and NotFoundError before the member is on the chain."""
        found = self._on_chain(member).balances
        return Balances(
            energy_wallet_wh=found.wallet_wh,
            energy_market_wh=found.seat_wh,
            energy_orders_wh=found.locked_wh,
            energy_wh=found.energy,
            credit_wallet_micro_credits=found.wallet_credit,
            credit_market_micro_credits=found.seat_credit,
            credit_orders_micro_credits=found.locked_credit,
            credit_micro_credits=found.credit,
        )

    def orders(self, member: MemberAccount) -> Orders:
        """Open orders and late fills; ChainAwayError, NotFoundError."""
        seconds = self.epoch_seconds
        open_ = tuple(
            OpenOrder(
                epoch=int(order["epoch"]),
                ends_at=(int(order["epoch"]) + 1) * seconds,
                side="bid" if order["side"] == "bid" else "ask",
                price_micro_credits_per_kwh=int(order["price"]),
                quantity_wh=int(order["quantity"]),
            )
            for order in self._on_chain(member).balances.orders
        )
        now = self._app.clock()
        with self._app.store.read() as session:
            late = list(self._trades(session, member, now - FILLS_EPOCHS * seconds, now + seconds))
        fills = tuple(
            Fill(
                epoch=each.epoch,
                ended_at=(each.epoch + 1) * seconds,
                side="bid" if each.is_bid else "ask",
                filled_wh=each.wh,
                price_micro_credits_per_kwh=each.price,
                amount_micro_credits=abs(each.amount),
                book_leaf=each.leaf,
            )
            for each in reversed(late)
        )
        return Orders(open=open_, fills=fills)

    def _on_chain(self, member: MemberAccount) -> MemberOnChain:
        with self._app.store.read() as session:
            user = session.get_one(User, member.id)
        with self._asking() as client:
            found = member_on_chain(client, user)
        if found is None:
            raise NotFoundError("this member is not on the chain yet: its meters have to be enrolled first")
        return found

    @contextmanager
    def _asking(self) -> Iterator[ChainClient]:
        client = self._client()
        try:
            yield client
        except ChainError as error:
            raise ChainAwayError("the validator does not answer; nothing is lost, try again in a while") from error
        finally:
            client.close()

    # The standing order

    def standing(self, member: MemberAccount) -> Standing:
        """The standing order as it is, with the bounds of the market."""
        lowest, highest = market_prices(self._app)
        with self._app.store.read() as session:
            policy = session.get(StandingOrderPolicy, member.id)
        return Standing(
            exists=policy is not None,
            paused=policy is not None and policy.paused_at is not None,
            sell_at=policy.sell_at if policy else None,
            buy_at=policy.buy_at if policy else None,
            reserve_wh=policy.reserve_wh if policy else 0,
            feed_in_above_wh=policy.feed_in_above_wh if policy else None,
            lowest_price=lowest,
            highest_price=highest,
            changed_at=policy.updated_at if policy else None,
        )

    def set_standing(self, who: Principal, member: MemberAccount, order: StandingOrder) -> None:
        """Set the standing order, as the command does; MarketErrors say what is wrong with it."""
        prices = market_prices(self._app)
        with self._app.store.write() as session:
            name = session.get_one(User, member.id).name
            policies.change_standing_order(session, name, order, by=who.actor, now=self._app.clock(), prices=prices)

    def check_standing(self, order: StandingOrder) -> None:
        """StandingOrderWithoutEffectError where no price of the market would reach the order."""
        policies.require_effect(order, *market_prices(self._app))

    def pause_standing(self, who: Principal, member: MemberAccount, *, paused: bool) -> None:
        """Let the standing order rest, or go on; StandingOrderMissingError."""
        with self._app.store.write() as session:
            name = session.get_one(User, member.id).name
            policies.pause_standing_order(session, name, paused=paused, by=who.actor, now=self._app.clock())

    def end_standing(self, who: Principal, member: MemberAccount) -> None:
        """Remove the standing order; StandingOrderMissingError."""
        with self._app.store.write() as session:
            name = session.get_one(User, member.id).name
            policies.end_standing_order(session, name, by=who.actor, now=self._app.clock())

    def preview(self, order: StandingOrder) -> Preview:
        """What the last seven days' prices say of an order."""
        first = (self._app.clock() - PREVIEW_SECONDS) // self.epoch_seconds
        with self._app.store.read() as session:
            prices = session.scalars(
                select(SettlementEpoch.clearing_price).where(
                    SettlementEpoch.epoch >= first, SettlementEpoch.clearing_price.is_not(None)
                )
            ).all()
        known = [price for price in prices if price is not None]
        return Preview(
            epochs=len(known),
            would_sell=sum(1 for price in known if order.sell_at is not None and price >= order.sell_at),
            would_buy=sum(1 for price in known if order.buy_at is not None and price <= order.buy_at),
        )

    # Bills

    def bills(self, member: MemberAccount) -> Bills:
        """Issued bills, the newest first."""
        query = select(IssuedBill).where(IssuedBill.wallet == member.wallet).order_by(IssuedBill.number.desc())
        with self._app.store.read() as session:
            return Bills(bills=tuple(_head(bill) for bill in session.scalars(query)))

    def bill(self, member: MemberAccount, number: int) -> tuple[BillHead, dict[str, Any]]:
        """One bill with its document; NotFoundError where there is none, or it is another member's."""
        with self._app.store.read() as session:
            found = session.get(IssuedBill, number)
        if found is None or found.wallet != member.wallet:
            raise NotFoundError(f"you have no bill {number}")
        return _head(found), json.loads(found.document)


@dataclass(frozen=True, slots=True)
class PassedFrame:
    """A reading that counts, and its place in the log."""

    record: Record
    log_index: int


@dataclass(frozen=True, slots=True)
class _Traded:
    epoch: int
    is_bid: bool
    wh: int
    amount: int
    price: int
    leaf: int


def _traded(before: Trades, trade: _Traded) -> Trades:
    if trade.is_bid:
        return replace(
            before,
            bought_wh=before.bought_wh + trade.wh,
            paid_micro_credits=before.paid_micro_credits + trade.amount,
        )
    return replace(
        before,
        sold_wh=before.sold_wh + trade.wh,
        received_micro_credits=before.received_micro_credits - trade.amount,
    )


def added(one: Sums, other: Sums) -> Sums:
    """Two sums together, field by field."""
    return type(one)(**{name: value + getattr(other, name) for name, value in asdict(one).items()})


def _head(bill: IssuedBill) -> BillHead:
    document = json.loads(bill.document)
    seconds = int(document["epoch_seconds"])
    return BillHead(
        number=bill.number,
        period=bill.period,
        starts_at=int(document["first_epoch"]) * seconds,
        ends_at=int(document["end_epoch"]) * seconds,
        due_micro_credits=bill.due,
        issued_at=bill.issued_at,
        sha256=bill.sha256.hex(),
        log_leaf=bill.log_index,
    )


def settling_meters(session: Session, member_id: int) -> list[Meter]:
    """A member's meters that count."""
    meters = session.scalars(select(Meter).where(Meter.user_id == member_id).order_by(Meter.id))
    return [meter for meter in meters if meter.role != "submeter" and meter.state != METER_RETIRED]


def passed_frames(session: Session, meters: Sequence[Meter], begin: int, end: int) -> dict[int, dict[int, PassedFrame]]:
    """Readings that policy or an operator let pass, of boundaries begin to end: by meter (its row), by boundary."""
    found: dict[int, dict[int, PassedFrame]] = defaultdict(dict)
    rows = session.execute(
        select(Frame.meter_pk, Frame.frame, Frame.log_index)
        .where(
            Frame.interval_end >= begin,
            Frame.interval_end <= end,
            Frame.meter_pk.in_([meter.id for meter in meters]),
            Frame.disposition.in_((DISPOSITION_ACCEPTED, DISPOSITION_RELEASED)),
        )
        .order_by(Frame.log_index)
    )
    for pk, frame, log_index in rows:
        record = Record.from_bytes(frame[:RECORD_SIZE])
        found[pk][record.interval_end] = PassedFrame(record, log_index)
    return found


def net_spans(meters: Sequence[Meter], frames: Mapping[int, Mapping[int, PassedFrame]]) -> list[tuple[int, int, Flows]]:
    """The spans between boundaries at which all meters that were heard have a reading, and what flowed in them."""
    by_id = {meter.id: meter for meter in meters}
    spans = []
    for start, stop in itertools.pairwise(shared_boundaries(frames)):
        moved = _netted([(by_id[pk], its[start].record, its[stop].record) for pk, its in frames.items()])
        if moved is not None:
            spans.append((start, stop, moved))
    return spans


def shared_boundaries(frames: Mapping[int, Mapping[int, PassedFrame]]) -> list[int]:
    """The boundaries at which all meters that were heard have a reading, in order."""
    return sorted(set.intersection(*(set(its) for its in frames.values()))) if frames else []


def _netted(pairs: Sequence[tuple[Meter, Record, Record]]) -> Flows | None:
    """A span's flows, netted as settlement nets them; None where a register was reset or the meters fit no rule."""
    if any(before.register_epoch != after.register_epoch for _, before, after in pairs):
        return None
    meters = [
        MeterSpan(
            role=meter.role,
            generation=after.generation - before.generation,
            consumption=after.consumption - before.consumption,
            charge=after.charge - before.charge,
            discharge=after.discharge - before.discharge,
        )
        for meter, before, after in pairs
    ]
    try:
        span = settle_span(meters, 0, BASIS_POINTS, SpanKind.NETTED)
    except SurplusError:
        return None
    used = span.consumption
    # a grid meter that gave more than was made leaves no consumption; what is over comes from nowhere that is known
    drawn, given = max(0, -span.net), max(0, span.net)
    return Flows(
        made_wh=span.generation,
        from_battery_wh=span.discharge,
        drawn_wh=drawn,
        used_wh=used,
        into_battery_wh=span.charge,
        given_wh=given,
    )
