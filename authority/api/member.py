"""One member's figures, for its pages and its programs alike: energy, balances, orders, standing order, bills.

Energy is what the signed readings say, netted as settlement nets it, never across an interval; money is what the books
and the bills say. Energies are Wh, amounts micro-credits, prices micro-credits per kWh, times Unix seconds. What is not
known is null, and every total says how much of its time, and how many of the meters, it is made of.
"""

# ruff: noqa: RUF009  (`described` is dataclasses.field with a sentence: it makes no shared default)

from __future__ import annotations

import bisect
import functools
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.api import days
from authority.api.asking import asking, on_chain, opened_book
from authority.api.campus import described
from authority.api.fills import Fill, MemberFills
from authority.api.order_state import OrderState, state_of
from authority.api.paging import AT_ONCE, NEXT, cut
from authority.app import App
from authority.billing import export, issuing, paper, payments, spreadsheet
from authority.billing.bill import Bill
from authority.billing.book_trades import BookTrades
from authority.billing.calendar import first_epoch_at, local
from authority.billing.money import Currency
from authority.billing.payment_qr import PaymentCode, payment_code
from authority.billing.payments import PaidBill
from authority.billing.views import ISSUED, Correction, corrections_of, periods
from authority.chain.client import ChainClient
from authority.enrolment import wallets
from authority.language.reading import marked
from authority.market import policies
from authority.market.prices import market_prices
from authority.market.rehearsal import Step, rehearse
from authority.market.standing_orders import SIDES, StandingOrder
from authority.operations.chain_state import MemberOnChain
from authority.people.errors import TooOftenError
from authority.people.limits import Bucket
from authority.people.roles import MemberAccount, Principal
from authority.refusals import NotFoundError
from authority.settlement import day_sums, member_meters
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.market import StandingOrderPolicy
from authority.store.people import User
from authority.store.settlement import Alert, SettlementEpoch

FILLS_EPOCHS = 96
"""How many past epochs' fills are shown with the orders."""
PREVIEW_SECONDS = 7 * 86_400


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

    @property
    def is_any(self) -> bool:
        """Whether anything was traded."""
        return any((self.bought_wh, self.paid_micro_credits, self.sold_wh, self.received_micro_credits))


@dataclass(frozen=True, slots=True, kw_only=True)
class EnergyStep:
    """One step of the range. flows is null where no reading tells of it."""

    starts_at: int = described("Its beginning, Unix seconds.")
    ends_at: int = described("Its end, Unix seconds.")
    starts: str = described("Its beginning on the site's clock, with the offset.")
    flows: Flows | None = described("What the meters measured; null where nothing is known.")
    trades: Trades = described("What was bought and sold in it.")
    measured_seconds: int = described("For how much of it there are readings of all meters that count then.")
    meters: int = described("Meters of the member that count at some time in it.")
    meters_heard: int = described("How many of them have readings in it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Energy:
    """A member's energy over a range of days, in steps, and together."""

    zone: str = described("The site's time zone, whose days these are.")
    step: Literal["interval", "quarter", "day", "month"] = described("interval: as the meters sign.")
    meters: int = described("Meters of the member that count at some time in the range, retired ones for their time.")
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
    number: int = described("Its number in the book, by which it is taken back.")


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
    worth_buying_up_to: int = described(
        "Greatest buying limit at which energy costs no more than the grid's, wheeling added; micro-credits per kWh."
    )
    changed_at: int | None = described("When it was last changed.")
    wheeling: int = described("What a buyer pays for the network besides, micro-credits per kWh.")
    least_wh: int = described("The least that an order may have, Wh.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What the last seven days' prices say of a standing order. It promises nothing: an order moves prices too."""

    epochs: int = described("Epochs in which the market had a price.")
    would_sell: int = described("In how many of them the price was at or above the selling limit.")
    would_buy: int = described("In how many of them the price was at or below the buying limit.")
    sold_wh: int = described("About how much of the member's own surplus it would have sold.")
    received_micro_credits: int = described("About what that would have brought, after the fee.")
    bought_wh: int = described("About how much it would have bought for the member's own use.")
    paid_micro_credits: int = described("About what that would have cost, wheeling included.")


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
    payment_reference: str = described("What a payment by bank names (ISO 11649).")
    payable_micro_credits: int = described("What is to be paid by bank: what is due, in whole minor units of money.")
    paid_micro_credits: int = described("What was paid by bank; negative where the member was paid.")
    payment_state: str = described("How far it is paid: open, part_paid, paid, overpaid, nothing_due.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bills:
    """Issued bills, the newest first."""

    bills: tuple[BillHead, ...] = described("The bills.")
    next: str | None = described(NEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class BillSoFar:
    """A member's bill of a period that has none yet, as it would be now.

    settled_until: up to when the chain has settled the member's energy, Unix seconds; None before the first time.
    before: the period before this one where it has no bill yet either; document: as that of a bill, its number 0.
    """

    period: int
    starts_at: int
    settled_until: int | None
    due_micro_credits: int
    before: int | None
    document: Mapping[str, Any]


def order_of(standing: Standing) -> StandingOrder:
    """The standing order behind the view."""
    return StandingOrder(standing.sell_at, standing.buy_at, standing.reserve_wh, standing.feed_in_above_wh)


SO_FAR_AT_ONCE, SO_FAR_SECONDS = 30, 10.0
"""How often an account's bill so far is made at once, and how long until once more."""
HISTORY_AWAY = marked(
    "what will be billed cannot be told now, for the department has to look at the chain's history first; nothing is "
    "lost"
)
NO_TRADES = Trades(bought_wh=0, paid_micro_credits=0, sold_wh=0, received_micro_credits=0)


def summed(parts: Iterable[Flows | None]) -> Flows | None:
    """The flows of spans together; None is nothing known."""
    known = (None if each is None else day_sums.Flows(**asdict(each)) for each in parts)
    found = functools.reduce(day_sums.add, known, None)
    return None if found is None else Flows(**found._asdict())


class Members:
    """The query layer over an opened authority; `client` makes a chain client for one question."""

    def __init__(self, app: App, client: Callable[[], ChainClient]) -> None:
        self._app, self._client = app, client
        self.zone = ZoneInfo(app.home.settings.site.zone)
        self.currency = Currency.of(app.home.settings.billing)
        self._trades = BookTrades()
        self.fills = MemberFills(app, self.zone, self._trades)
        self._so_far = Bucket(app.tries, "so far", SO_FAR_AT_ONCE, SO_FAR_SECONDS)

    @property
    def epoch_seconds(self) -> int:
        """The length of an epoch, and of a signed interval."""
        return self._app.home.settings.epoch.seconds

    def today(self) -> date:
        """Today at the site."""
        return local(self._app.clock(), self.zone).date()

    # Energy

    def energy(self, member: MemberAccount, first: date, last: date, step: str) -> Energy:
        """Energy and trades of the days first to last, both included; DaysInvalidError."""
        edges = list(days.buckets(first, last, step, self.zone, self.epoch_seconds))
        starts = [start for start, _ in edges]
        begin, end = edges[0][0], edges[-1][1]
        flows: dict[int, day_sums.Flows | None] = {}
        measured: dict[int, int] = defaultdict(int)
        trades: dict[int, Trades] = {}
        with self._app.store.read() as session:
            roles = member_meters.settling(session, member.id)
            heard, by_step, pieces = self._pieces(session, member, roles, edges, step)
            for piece in pieces:
                place = bisect.bisect_right(starts, piece.end - 1) - 1
                flows[place] = day_sums.add(flows.get(place), piece.flows)
                measured[place] += piece.measured_seconds - max(0, starts[place] - piece.start)
            for at, trade in self._traded(session, member, step, begin, end):
                place = max(0, bisect.bisect_right(starts, at) - 1)
                trades[place] = add_trades(trades.get(place, NO_TRADES), trade)
        count = member_meters.awaiting(roles)
        steps = tuple(
            self._step(
                (start, stop), flows.get(place), trades.get(place, NO_TRADES), measured[place],
                (count(start, stop), len(by_step.get(place, ()))),
            )
            for place, (start, stop) in enumerate(edges)
        )  # fmt: skip
        all_flows = functools.reduce(day_sums.add, flows.values(), None)
        all_trades = functools.reduce(add_trades, trades.values(), NO_TRADES)
        return Energy(
            zone=str(self.zone),
            step=step,  # type: ignore[arg-type]  # days.buckets has refused others
            meters=count(begin, end),
            meters_heard=heard,
            steps=steps,
            total=self._step((begin, end), all_flows, all_trades, sum(measured.values()), (count(begin, end), heard)),
        )

    def _pieces(
        self, session: Session, member: MemberAccount, roles: member_meters.Roles, edges: Sequence[tuple[int, int]],
        step: str,
    ) -> tuple[int, Mapping[int, set[int]], Sequence[day_sums.Piece]]:  # fmt: skip
        """How many meters were heard, which in each step, and what moved: by day where the steps are days or more."""
        starts = [start for start, _ in edges]
        begin, end = edges[0][0], edges[-1][1]
        heard: dict[int, set[int]] = defaultdict(set)
        if step in (days.DAY, days.MONTH):
            by_day = day_sums.energy_days(session, member.id, roles, begin, end, self.zone, self.epoch_seconds)
            for day in by_day:
                heard[bisect.bisect_right(starts, day.start) - 1] |= day.heard
            count, found = day_sums.pieces(session, roles, by_day, self.zone, self.epoch_seconds)
            return count, heard, found
        its = day_sums.readings(session, roles, begin, end, self.epoch_seconds)
        its = {pk: its[pk] for pk in sorted(day_sums.heard_in(roles, its, begin, end))}
        for pk, records in its.items():
            for at in records:
                place = bisect.bisect_left(starts, at) - 1
                if place >= 0 and roles[pk].lives(*edges[place]):
                    heard[place].add(pk)
        return len(its), heard, list(day_sums.spans(roles, its))

    def _traded(
        self, session: Session, member: MemberAccount, step: str, begin: int, end: int
    ) -> Iterator[tuple[int, Trades]]:
        """When, and what was traded: by day where the steps are days or more, else by epoch."""
        index, seconds = session.get_one(User, member.id).member_index, self.epoch_seconds
        if index is None:
            return
        if step in (days.DAY, days.MONTH):
            for sums in day_sums.trade_days(session, index, begin, end, self.zone, seconds):
                yield sums.day, _trades(sums)
            return
        for _, _, trade in self._trades.of(
            session, first_epoch_at(begin, seconds), first_epoch_at(end, seconds), index
        ):
            yield trade.epoch * seconds, _trades(day_sums.traded(day_sums.Traded(trade.epoch * seconds), trade))

    def _step(
        self, span: tuple[int, int], flows: day_sums.Flows | None, trades: Trades, measured: int,
        meters: tuple[int, int],
    ) -> EnergyStep:  # fmt: skip
        start, end = span
        return EnergyStep(
            starts_at=start,
            ends_at=end,
            starts=days.stamp(start, self.zone),
            flows=None if flows is None else Flows(**flows._asdict()),
            trades=trades,
            measured_seconds=measured,
            meters=meters[0],
            meters_heard=meters[1],
        )

    # What the chain says

    def balances(self, member: MemberAccount, found: MemberOnChain | None = None) -> Balances:
        """Tokens and credits, asked for or as found; ChainAwayError, and NotFoundError before it is on the chain."""
        has = (found or self.on_chain(member)).balances
        return Balances(
            energy_wallet_wh=has.wallet_wh,
            energy_market_wh=has.seat_wh,
            energy_orders_wh=has.locked_wh,
            energy_wh=has.energy,
            credit_wallet_micro_credits=has.wallet_credit,
            credit_market_micro_credits=has.seat_credit,
            credit_orders_micro_credits=has.locked_credit,
            credit_micro_credits=has.credit,
        )

    def orders(self, member: MemberAccount, found: MemberOnChain | None = None) -> Orders:
        """Open orders and late fills, asked for or as found; ChainAwayError, NotFoundError."""
        seconds = self.epoch_seconds
        open_ = tuple(
            OpenOrder(
                epoch=int(order["epoch"]),
                ends_at=(int(order["epoch"]) + 1) * seconds,
                side="bid" if order["side"] == "bid" else "ask",
                price_micro_credits_per_kwh=int(order["price"]),
                quantity_wh=int(order["quantity"]),
                number=int(order["number"]),
            )
            for order in (found or self.on_chain(member)).balances.orders
        )
        now = self._app.clock()
        with self._app.store.read() as session:
            late = list(self.fills.between(session, member, now - FILLS_EPOCHS * seconds, now + seconds))
        return Orders(open=open_, fills=tuple(reversed(late)))

    def on_chain(self, member: MemberAccount) -> MemberOnChain:
        """All that the chain has of a member, for several of these questions; ChainAwayError, NotFoundError."""
        with asking(self._client) as client:
            return on_chain(client, self._app.store, member)

    def keeps_key(self, found: MemberOnChain) -> bool:
        """Whether the department keeps the key of the member's wallet."""
        with self._app.store.read() as session:
            return found.user.wallet in wallets.custody(session)

    def order_state(self, standing: Standing, found: MemberOnChain, member: MemberAccount) -> OrderState:
        """What keeps the standing order from trading, by what the chain has of the member."""
        with self._app.store.read() as session:
            wallet = session.get_one(User, member.id).wallet
            subjects = {f"{side} of {wallet}": side for side in SIDES}
            open_ = select(Alert.subject, Alert.code).where(Alert.subject.in_(subjects), Alert.resolved_at.is_(None))
            refused = {subjects[subject]: code for subject, code in session.execute(open_.order_by(Alert.last_at))}
            signs_here = wallets.signs_for(session, found.user, self._app.clock())
        return state_of(
            order_of(standing),
            found,
            refused,
            signs_here=signs_here,
            least_wh=standing.least_wh,
            wheeling=standing.wheeling,
        )

    # The standing order

    def standing(self, member: MemberAccount) -> Standing:
        """The standing order as it is, with the bounds of the market."""
        prices = market_prices(self._app)
        with self._app.store.read() as session:
            policy = session.get(StandingOrderPolicy, member.id)
        return Standing(
            exists=policy is not None,
            paused=policy is not None and policy.paused_at is not None,
            sell_at=policy.sell_at if policy else None,
            buy_at=policy.buy_at if policy else None,
            reserve_wh=policy.reserve_wh if policy else 0,
            feed_in_above_wh=policy.feed_in_above_wh if policy else None,
            lowest_price=prices.lowest,
            highest_price=prices.highest,
            worth_buying_up_to=prices.worth_up_to,
            changed_at=policy.updated_at if policy else None,
            wheeling=prices.wheeling,
            least_wh=prices.least_wh,
        )

    def set_standing(self, who: Principal, member: MemberAccount, order: StandingOrder) -> None:
        """Set the standing order, as the command does; MarketErrors say what is wrong with it."""
        prices = market_prices(self._app)
        with self._app.store.write() as session:
            name = session.get_one(User, member.id).name
            policies.change_standing_order(session, name, order, by=who.actor, now=self._app.clock(), prices=prices)

    def check_standing(self, order: StandingOrder) -> None:
        """StandingOrderWithoutEffectError where no price of the market would reach the order."""
        policies.require_effect(order, market_prices(self._app))

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

    def preview(self, member: MemberAccount, order: StandingOrder) -> Preview:
        """What the last seven days' prices, and the member's own energy in them, say of an order."""
        since, seconds = self._app.clock() - PREVIEW_SECONDS, self.epoch_seconds
        with self._app.store.read() as session:
            rows = session.execute(
                select(SettlementEpoch.epoch, SettlementEpoch.clearing_price).where(
                    SettlementEpoch.epoch >= since // seconds, SettlementEpoch.clearing_price.is_not(None)
                )
            ).all()
        known = {epoch: price for epoch, price in rows if price is not None}
        energy = self.energy(member, local(since, self.zone).date(), self.today(), days.QUARTER)
        found = rehearse(order, self._steps(energy, since, known), market_prices(self._app))
        return Preview(
            epochs=len(known),
            would_sell=sum(1 for price in known.values() if order.sell_at is not None and price >= order.sell_at),
            would_buy=sum(1 for price in known.values() if order.buy_at is not None and price <= order.buy_at),
            sold_wh=found.sold_wh,
            received_micro_credits=found.received,
            bought_wh=found.bought_wh,
            paid_micro_credits=found.paid,
        )

    def _steps(self, energy: Energy, since: int, known: Mapping[int, int]) -> Iterator[Step]:
        """The quarters of an hour from a moment on, each with the prices of the books that closed in it."""
        for step in energy.steps:
            if step.starts_at >= since:
                closed = range(step.starts_at // self.epoch_seconds, step.ends_at // self.epoch_seconds)
                flows = step.flows
                yield Step(
                    flows.given_wh if flows else 0,
                    flows.drawn_wh if flows else 0,
                    [known[epoch] for epoch in closed if epoch in known],
                )

    # Bills

    def bills(self, member: MemberAccount, before: int | None = None) -> Bills:
        """Issued bills, the newest first, older than that number."""
        its = [IssuedBill.wallet == member.wallet, *(() if before is None else (IssuedBill.number < before,))]
        newest = _HEADS.where(*its).order_by(IssuedBill.number.desc()).limit(AT_ONCE + 1)
        with self._app.store.read() as session:
            shown, more = cut(session.execute(newest).all(), lambda row: int(row.number))
            last = shown[-1].number if shown else 0
            paid = self._paid(session, *its, IssuedBill.number >= last)
            return Bills(bills=tuple(self._head(row, paid[row.number]) for row in shown), next=more)

    def bill(self, member: MemberAccount, number: int) -> tuple[BillHead, dict[str, Any]]:
        """One bill with its document; NotFoundError where there is none, or it is another member's."""
        with self._app.store.read() as session:
            one = _HEADS.add_columns(IssuedBill.document).where(
                IssuedBill.number == number, IssuedBill.wallet == member.wallet
            )
            found = session.execute(one).one_or_none()
            paid = self._paid(session, IssuedBill.number == number)
        if found is None:
            raise NotFoundError(f"you have no bill {number}")
        return self._head(found, paid[number]), json.loads(found.document)

    def bill_so_far(self, member: MemberAccount, period: int | None = None) -> BillSoFar:
        """What a member's next bill has in it by now; or, of a period that has ended without bills yet, in that one.

        NotFoundError where that period's bills are issued, or there is none; ChainAwayError, also where the chain's
        history is not here; TooOftenError, for it is work.
        """
        found, before, boundary = self._made_so_far(member, period, parts=False)
        return BillSoFar(
            period=found.period,
            starts_at=found.first_epoch * found.epoch_seconds,
            settled_until=_within(boundary, found),
            due_micro_credits=found.due,
            before=before,
            document=found.as_json(0, self._app.home.network_id),
        )

    def lines_so_far(self, member: MemberAccount, period: int | None) -> Bill:
        """The same bill, whose lines have what they are the sum of; errors as `bill_so_far`."""
        return self._made_so_far(member, period, parts=True)[0]

    def _made_so_far(
        self, member: MemberAccount, period: int | None, *, parts: bool
    ) -> tuple[Bill, int | None, int | None]:
        """The bill, the period before where it has none yet either, and up to when the chain has settled the member."""
        if (wait := self._so_far.wait(member.wallet)) > 0:
            raise TooOftenError(wait)
        with opened_book(self._app, self._client, period, HISTORY_AWAY) as book:
            facts = book.facts
            period = facts.open_period if period is None else period
            with self._app.store.read() as session:
                issued = {each.period for each in periods(session, None) if each.state == ISSUED}
            if period in issued or period not in facts.first_epochs:
                raise NotFoundError(f"billing period {period} has no bill that is still to come")
            bill = issuing.so_far(self._app, book, period, member.wallet, parts=parts)
        before = period - 1 if period - 1 in facts.first_epochs and period - 1 not in issued else None
        return bill, before, facts.boundaries.get(member.wallet)

    def corrections(self, member: MemberAccount, number: int) -> list[Correction]:
        """What was corrected of a bill later; NotFoundError as `bill`."""
        with self._app.store.read() as session:
            return corrections_of(session, _issued(session, member, number))

    def bill_pdf(self, member: MemberAccount, number: int) -> bytes:
        """One bill on paper; NotFoundError as `bill`, and BillingError `bill_changed`."""
        with self._app.store.read() as session:
            found = _issued(session, member, number)
        settings = self._app.home.settings
        return paper.bill_pdf(found, member.name, settings.network.organisation, self.zone, settings.billing)

    def bill_csv(self, member: MemberAccount, number: int) -> str:
        """One bill as CSV, as the treasurer has those of a period; NotFoundError, BillingError as `bill_pdf`."""
        with self._app.store.read() as session:
            rows = export.rows_of(_issued(session, member, number), {member.wallet: member.name}, self.zone)
        return spreadsheet.table(export.COLUMNS, rows)

    def payment_code(self, bill: BillHead) -> PaymentCode | None:
        """What a bank's app scans for what is still open of a bill; None where nothing is, or no code serves."""
        settings = self._app.home.settings
        still = bill.payable_micro_credits - bill.paid_micro_credits
        open_ = still if bill.payable_micro_credits > 0 else 0
        return payment_code(settings.billing, settings.network.organisation, open_, bill.payment_reference)

    def _paid(self, session: Session, *which: object) -> dict[int, PaidBill]:
        found = payments.paid_bills(session, self.currency, self._app.home.network_id, *which)
        return {each.number: each for each in found}

    def _head(self, row: Any, paid: PaidBill) -> BillHead:
        return BillHead(
            number=row.number,
            period=row.period,
            starts_at=row.first_epoch * self.epoch_seconds,
            ends_at=row.end_epoch * self.epoch_seconds,
            due_micro_credits=row.due,
            issued_at=row.issued_at,
            sha256=row.sha256.hex(),
            log_leaf=row.log_index,
            payment_reference=paid.reference,
            payable_micro_credits=paid.payable,
            paid_micro_credits=paid.received,
            payment_state=paid.state,
        )


_HEADS = select(
    IssuedBill.number,
    IssuedBill.period,
    IssuedBill.due,
    IssuedBill.issued_at,
    IssuedBill.sha256,
    IssuedBill.log_index,
    BillingPeriod.first_epoch,
    BillingPeriod.end_epoch,
).join(BillingPeriod, BillingPeriod.period == IssuedBill.period)
"""What a list of bills shows, without the bills' documents."""


def _issued(session: Session, member: MemberAccount, number: int) -> IssuedBill:
    """A member's bill; NotFoundError where there is none, or it is another member's."""
    found = session.get(IssuedBill, number)
    if found is None or found.wallet != member.wallet:
        raise NotFoundError(f"you have no bill {number}")
    return found


def _within(until: int | None, bill: Bill) -> int | None:
    """Up to when a bill's period is settled: no later than it ends."""
    return None if until is None else min(until, bill.end_epoch * bill.epoch_seconds)


def _trades(sums: day_sums.Traded) -> Trades:
    return Trades(
        bought_wh=sums.bought_wh,
        paid_micro_credits=sums.paid_micro_credits,
        sold_wh=sums.sold_wh,
        received_micro_credits=sums.received_micro_credits,
    )


def add_trades(one: Trades, other: Trades) -> Trades:
    """Both together."""
    return Trades(
        bought_wh=one.bought_wh + other.bought_wh,
        paid_micro_credits=one.paid_micro_credits + other.paid_micro_credits,
        sold_wh=one.sold_wh + other.sold_wh,
        received_micro_credits=one.received_micro_credits + other.received_micro_credits,
    )
