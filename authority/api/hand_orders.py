"""A member's trading by hand: the running book without members, what an order would cost, orders given and taken back.

Energies are Wh, prices micro-credits per kWh, amounts micro-credits, times Unix seconds. Nothing is signed here: the
store keeps each request, and settlement carries it out (authority.market.hand_orders).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.api.asking import asking, on_chain
from authority.api.campus import described
from authority.api.market import DepthStep, depth_steps
from authority.api.paging import AT_ONCE, NEXT, cut
from authority.app import App
from authority.billing.bill import orders_in
from authority.chain import programs
from authority.chain.accounts import BookStatus, EpochBook, Order
from authority.chain.client import ChainClient
from authority.enrolment import wallets
from authority.figures import credits, credits_per_kwh, kilowatt_hours
from authority.log import log
from authority.market import hand_orders
from authority.market.book_leaf import book_of_leaf
from authority.market.clearing import buyer_pays, escrow_of_bid, seller_gets
from authority.market.disclosure import LEAST_MEMBERS, depth
from authority.market.hand_orders import DONE, LONGEST_KEY, REFUSED, HandOrder, Wish
from authority.market.open_book import OpenBook
from authority.market.policies import MarketError
from authority.market.standing_orders import BID, SIDES, ProposedOrder
from authority.operations.chain_state import MemberOnChain
from authority.people.roles import MemberAccount, Principal
from authority.refusals import NotFoundError
from authority.settlement.market_sums import public_members
from authority.settlement.snapshot import BookView
from authority.settlement.views import book_view
from authority.store.people import User
from authority.store.settlement import SettlementEpoch

SHOWN_EPOCHS = 96
"""Of how many past epochs the page shows orders by hand."""


class BookClosedError(MarketError):
    """There is no book that takes orders now."""

    code = "book_closed"


class HandOrderInvalidError(MarketError):
    """A price, a quantity or an idempotency key that the market does not take."""

    code = "hand_order_invalid"


class HandOrderUnfundedError(MarketError):
    """An order for more than the member has free."""

    code = "hand_order_unfunded"


class NotInCustodyError(MarketError):
    """A member who holds its own key: nobody here can sign for it."""

    code = "wallet_not_in_custody"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningBook:
    """The book that takes orders now: its bounds, and its depth without members."""

    epoch: int = described("Its epoch.")
    orders_until: int = described("From when on no order is placed or taken back any more.")
    ends_at: int = described("When the epoch ends and the book is cleared.")
    lowest_price_micro_credits_per_kwh: int = described("The lowest limit that an order may name.")
    highest_price_micro_credits_per_kwh: int = described("The highest limit that an order may name.")
    wheeling_micro_credits_per_kwh: int = described("What a buyer pays besides, for the network.")
    fee_basis_points: int = described("The fee on what a seller gets, in hundredths of a percent.")
    least_wh: int = described("The smallest order.")
    most_wh: int = described("The largest order.")
    most_orders: int = described("Most orders of one member, both sides together.")
    withheld: bool = described("Whether the depth is not shown, because too few members are in the book.")
    least_members: int = described("A sum is of at least so many members who keep to themselves, or of none.")
    shown_at: int | None = described("Of when the depth is: it changes only by the orders of enough members at once.")
    bids: tuple[DepthStep, ...] | None = described("What is asked for, from the highest limit on; null if withheld.")
    asks: tuple[DepthStep, ...] | None = described("What is offered, from the lowest limit on; null if withheld.")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPreview:
    """What an order would come to if all of it were filled; what is not filled returns."""

    epoch: int = described("The book's epoch.")
    orders_until: int = described("Until when it can be placed.")
    side: Literal["bid", "ask"] = described("bid: buys; ask: sells.")
    price_micro_credits_per_kwh: int = described("The limit.")
    quantity_wh: int = described("How much.")
    locks_wh: int = described("Energy that stays locked until the book is cleared.")
    locks_micro_credits: int = described("Credits that stay locked until the book is cleared.")
    least_micro_credits: int = described(
        "bid: the least that it costs, at the lowest price; ask: the least that it brings, at its own limit."
    )
    most_micro_credits: int = described(
        "bid: the most that it costs, at its own limit; ask: the most that it brings, at the highest price."
    )
    free_wh: int = described("Energy that is free before it.")
    free_micro_credits: int = described("Credits that are free before it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenOrder:
    """An order that was given by hand, or the wish to take one back, and what became of it."""

    id: int = described("Its number.")
    act: Literal["place", "cancel"] = described("place: an order; cancel: to take one back.")
    epoch: int = described("The book's epoch.")
    side: Literal["bid", "ask"] = described("bid: buys; ask: sells.")
    price_micro_credits_per_kwh: int = described("The limit.")
    quantity_wh: int = described("How much.")
    state: Literal["waiting", "placed", "refused", "taken_back", "filled", "partly_filled", "not_filled"] = described(
        "waiting: settlement has yet to do it; placed: it is in the book; taken_back: it left the book before the end."
    )
    told: str = described("Why it was refused; empty otherwise.")
    asked_at: int = described("When it was given.")
    filled_wh: int | None = described("How much changed hands; null while the book is not final.")
    amount_micro_credits: int | None = described("Paid (bid, with wheeling) or received (ask, after the fee).")
    book_leaf: int | None = described("The final book's leaf in the log, which proves it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class GivenOrders:
    """Orders by hand, the newest first."""

    orders: tuple[GivenOrder, ...] = described("The orders.")
    next: str | None = described(NEXT)


@dataclass(frozen=True, slots=True)
class _Now:
    """The book that takes orders now, as the chain has it."""

    head: EpochBook
    book: BookView


class HandOrders:
    """The query layer over an opened authority; `client` makes a chain client for one question.

    running is what is shown of the running book anywhere.
    """

    def __init__(self, app: App, client: Callable[[], ChainClient], running: OpenBook) -> None:
        self._app, self._client, self._shown = app, client, running

    # The book

    def book(self) -> RunningBook:
        """The running book; BookClosedError, ChainAwayError."""
        with asking(self._client) as client:
            now = self._running(client)
        head = now.head
        with self._app.store.read() as session:
            public = public_members(session)
        shown = self._shown.shown(head.epoch, now.book.orders, public, self._app.clock())
        bids, asks = (
            depth(((each.price, each.quantity, each.member) for each in shown[1] if each.is_bid == is_bid), public)
            if shown
            else None
            for is_bid in (True, False)
        )
        return RunningBook(
            epoch=head.epoch,
            orders_until=head.cutoff_at,
            ends_at=head.closes_at,
            lowest_price_micro_credits_per_kwh=head.feed_in_price,
            highest_price_micro_credits_per_kwh=head.retail_price,
            wheeling_micro_credits_per_kwh=head.wheeling,
            fee_basis_points=head.fee_bps,
            least_wh=max(1, head.min_order),
            most_wh=head.max_order,
            most_orders=head.max_orders_per_member,
            withheld=shown is None,
            least_members=LEAST_MEMBERS,
            shown_at=shown[0] if shown else None,
            bids=depth_steps(bids) if shown else None,
            asks=depth_steps(asks) if shown else None,
        )

    def _running(self, client: ChainClient) -> _Now:
        now = self._app.clock()
        epoch = now // self._app.home.settings.epoch.seconds
        address = programs.book_address(epoch)
        data = client.account_data(EpochBook, address, client.raw_account(address))
        book = None if data is None else book_view(data)
        if data is None or book is None or book.epoch != epoch or book.status is not BookStatus.OPEN:
            raise BookClosedError("no book takes orders now: the next one opens within this or the next epoch")
        if now >= book.cutoff_at:
            raise BookClosedError("this epoch's book takes no orders any more: wait for the next one")
        return _Now(EpochBook.from_account(data), book)

    # Giving orders

    def preview(self, member: MemberAccount, order: ProposedOrder) -> OrderPreview:
        """What an order would cost or bring; MarketErrors say why it cannot be given. ChainAwayError."""
        with asking(self._client) as client:
            now, its = self._running(client), on_chain(client, self._app.store, member)
        return self._checked(member, order, now, its)

    def place(self, who: Principal, member: MemberAccount, order: ProposedOrder, key: str) -> GivenOrder:
        """Give an order, once for the key; MarketErrors say why it cannot be given. ChainAwayError."""
        _require_key(key)
        with self._app.store.read() as session:
            known = hand_orders.of_key(session, member.id, key)
        if known is None or known.wish.number is not None:
            epoch = self.preview(member, order).epoch
        else:
            epoch = known.wish.epoch  # it was given before, and may be over
        return self._ask(who, member, Wish(hand_orders.PLACE, epoch, order.side, order.price, order.quantity), key)

    def cancel(self, who: Principal, member: MemberAccount, number: int) -> GivenOrder:
        """Take an order back, by its number in the running book; BookClosedError, NotFoundError, ChainAwayError."""
        with asking(self._client) as client:
            now, its = self._running(client), on_chain(client, self._app.store, member)
        self._require_custody(its)
        found = [order for order in now.book.of(its.user.member_index) if order.number == number]
        if not found:
            raise NotFoundError(f"you have no order {number} in this epoch's book")
        order = found[0]
        side = BID if order.is_bid else 1 - BID
        wish = Wish(hand_orders.CANCEL, now.head.epoch, side, order.price, order.quantity, number)
        with self._app.store.read() as session:
            earlier = [each for each in hand_orders.of_member(session, member.id, wish.epoch) if each.wish == wish]
        refused = sum(each.state == REFUSED for each in earlier)
        return self._ask(who, member, wish, f"cancel {wish.epoch} {number} {refused}")

    def _ask(self, who: Principal, member: MemberAccount, wish: Wish, key: str) -> GivenOrder:
        now = self._app.clock()
        with self._app.store.write() as session:
            asked = hand_orders.ask(session, member.id, wish, key, by=who.actor, now=now)
            epoch = asked.wish.epoch
            beside = hand_orders.of_member(session, member.id, epoch, epoch + 1)
            (given,) = _given_by(session, member, [asked], beside)
        return given

    def _checked(self, member: MemberAccount, order: ProposedOrder, now: _Now, its: MemberOnChain) -> OrderPreview:
        head = now.head
        self._require_custody(its)
        _require_bounds(order, head)
        with self._app.store.read() as session:
            waiting = [
                each.wish
                for each in hand_orders.of_member(session, member.id, head.epoch)
                if each.state not in (DONE, REFUSED) and each.wish.number is None
            ]
        if len(now.book.of(its.user.member_index)) + len(waiting) >= head.max_orders_per_member:
            raise HandOrderInvalidError(
                f"a member has at most {head.max_orders_per_member} orders in a book: take one back first"
            )
        locks = [_locks(each.side, each.price, each.quantity, head) for each in waiting]
        balances = its.balances
        free_wh = balances.seat_wh + (balances.wallet_wh or 0) - sum(wh for wh, _ in locks)
        free_credit = balances.seat_credit + (balances.wallet_credit or 0) - sum(money for _, money in locks)
        wh, money = _locks(order.side, order.price, order.quantity, head)
        if wh > free_wh:
            raise HandOrderUnfundedError(
                f"you offer {kilowatt_hours(wh)} and have {kilowatt_hours(max(0, free_wh))} free"
            )
        if money > free_credit:
            raise HandOrderUnfundedError(
                f"it may cost {credits(money)} credits, wheeling included, and you have {credits(max(0, free_credit))} "
                "free"
            )
        quantity = order.quantity
        if order.side == BID:
            least, most = buyer_pays(quantity, head.feed_in_price, head.wheeling), money
        else:
            least = seller_gets(quantity, order.price, head.fee_bps)
            most = seller_gets(quantity, head.retail_price, head.fee_bps)
        return OrderPreview(
            epoch=head.epoch,
            orders_until=head.cutoff_at,
            side="bid" if order.side == BID else "ask",
            price_micro_credits_per_kwh=order.price,
            quantity_wh=quantity,
            locks_wh=wh,
            locks_micro_credits=money,
            least_micro_credits=least,
            most_micro_credits=most,
            free_wh=free_wh,
            free_micro_credits=free_credit,
        )

    def _require_custody(self, its: MemberOnChain) -> None:
        with self._app.store.read() as session:
            kept_here = wallets.signs_for(session, its.user, self._app.clock())
        if not kept_here:
            raise NotInCustodyError("you hold your wallet's key yourself, so your own wallet signs your orders")

    # What became of them

    def given(self, member: MemberAccount, before: int | None = None, *, epochs: int | None = None) -> GivenOrders:
        """Orders by hand, the newest first, older than that number; of so many past epochs, or of all."""
        now = self._app.clock() // self._app.home.settings.epoch.seconds
        first = 0 if epochs is None else now - epochs
        with self._app.store.read() as session:
            asked = hand_orders.newest(session, member.id, before=before, first_epoch=first, limit=AT_ONCE + 1)
            shown, more = cut(asked, lambda each: each.id)
            if not shown:
                return GivenOrders(orders=(), next=None)
            beside = hand_orders.of_member(session, member.id, shown[-1].wish.epoch, shown[0].wish.epoch + 1)
            return GivenOrders(orders=_given_by(session, member, shown, beside), next=more)


def proposed(side: str, price: int, quantity: int) -> ProposedOrder:
    """An order of `bid` or `ask`."""
    return ProposedOrder(SIDES.index(side), price, quantity)


def _require_key(key: str) -> None:
    if not 8 <= len(key) <= LONGEST_KEY or not key.isascii() or not key.isprintable() or key.startswith("cancel "):
        raise HandOrderInvalidError(
            f"the header Idempotency-Key has 8 to {LONGEST_KEY} printable characters, new ones for each order"
        )


def _require_bounds(order: ProposedOrder, head: EpochBook) -> None:
    if not head.feed_in_price <= order.price <= head.retail_price:
        raise HandOrderInvalidError(
            f"a limit lies between {credits_per_kwh(head.feed_in_price)} (what feeding in pays) and "
            f"{credits_per_kwh(head.retail_price)} credits per kWh (what the grid costs)"
        )
    least = max(1, head.min_order)
    if not least <= order.quantity <= head.max_order:
        raise HandOrderInvalidError(f"an order has {kilowatt_hours(least)} to {kilowatt_hours(head.max_order)}")


def _locks(side: int, price: int, quantity: int, head: EpochBook) -> tuple[int, int]:
    """What an order locks: Wh, micro-credits."""
    return (0, escrow_of_bid(quantity, price, head.wheeling)) if side == BID else (quantity, 0)


@dataclass(frozen=True, slots=True)
class _Final:
    """A final book: its leaf in the log, its head, and one member's orders by place."""

    leaf: int
    head: EpochBook
    orders: tuple[tuple[int, Order], ...]

    def like(self, wish: Wish) -> list[Order]:
        """The member's orders with a wish's side, limit and quantity, in the order in which they came."""
        found = [
            order
            for place, order in self.orders
            if (order.price, order.quantity) == (wish.price, wish.quantity)
            and (place < self.head.bid_count) == (wish.side == BID)
        ]
        return sorted(found, key=lambda order: order.number)


def _final_books(session: Session, epochs: Collection[int], member: int | None) -> dict[int, _Final]:
    """The final books of those epochs that have one."""
    rows = session.execute(
        select(SettlementEpoch.epoch, SettlementEpoch.book_log_index).where(
            SettlementEpoch.epoch.in_(epochs), SettlementEpoch.book_log_index.is_not(None)
        )
    )
    found = {}
    for epoch, index in rows:
        if index is not None and member is not None:
            data = book_of_leaf(log.leaf(session, index))
            head = EpochBook.from_account(data)
            found[epoch] = _Final(index, head, tuple(orders_in(data, head.bid_count + head.ask_count, member)))
    return found


def _given_by(
    session: Session, member: MemberAccount, orders: Sequence[HandOrder], all_: Sequence[HandOrder]
) -> tuple[GivenOrder, ...]:
    """What became of a member's orders; all_ are those of their epochs, the newest first: which of two is which."""
    index = session.get_one(User, member.id).member_index
    books = _final_books(session, {each.wish.epoch for each in orders if each.state == DONE}, index)
    return tuple(_given(each, all_, books) for each in orders)


def _given(order: HandOrder, all_: Sequence[HandOrder], books: Mapping[int, _Final]) -> GivenOrder:
    wish, final = order.wish, books.get(order.wish.epoch)
    state: str = {REFUSED: "refused", DONE: "placed"}.get(order.state, "waiting")
    filled = amount = leaf = None
    if order.state == DONE and wish.act == hand_orders.CANCEL:
        state = "taken_back"
    elif order.state == DONE and final is not None:
        alike = [each.id for each in reversed(all_) if each.state == DONE and each.wish == wish]
        there = final.like(wish)
        place, leaf = alike.index(order.id), final.leaf
        if place >= len(there):
            state, filled, amount = "taken_back", 0, 0
        else:
            filled = there[place].filled
            state = "not_filled" if not filled else "filled" if filled == wish.quantity else "partly_filled"
            head = final.head
            amount = (
                buyer_pays(filled, head.price, head.wheeling)
                if wish.side == BID
                else seller_gets(filled, head.price, head.fee_bps)
            )
    return GivenOrder(
        id=order.id,
        act="cancel" if wish.act == hand_orders.CANCEL else "place",
        epoch=wish.epoch,
        side="bid" if wish.side == BID else "ask",
        price_micro_credits_per_kwh=wish.price,
        quantity_wh=wish.quantity,
        state=state,  # type: ignore[arg-type]  # one of the names above
        told=order.told,
        asked_at=order.asked_at,
        filled_wh=filled,
        amount_micro_credits=amount,
        book_leaf=leaf,
    )
