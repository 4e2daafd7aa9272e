"""The market in plain Python: what each instruction must do, or refuse, by name of the error.

Written from the design, not from the program: lists are sorted by Python, amounts are unbounded integers, and the
auction is the authority's reference (authority/market/clearing.py). The stateful test holds the program to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from authority.market.clearing import Order as Bid
from authority.market.clearing import clear, escrow_of_bid, seller_gets

BID, ASK = 0, 1
SIDE = 512
U32 = 2**32 - 1


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """The instruction is refused; the text is the error's name."""


@dataclass(eq=False)
class Order:
    """A resting order; two alike are still two."""

    price: int
    quantity: int
    member: int
    filled: int = 0
    settled: bool = False


@dataclass
class Book:
    """One epoch's orders, best first."""

    epoch: int
    parameters: Mapping[str, int]
    epoch_seconds: int
    sides: tuple[list[Order], list[Order]] = field(default_factory=lambda: ([], []))
    status: str = "open"
    price: int = 0
    escrow: list[int] = field(default_factory=lambda: [0, 0])
    fees: int = 0

    @property
    def begins(self) -> int:
        """Its epoch's first second."""
        return self.epoch * self.epoch_seconds

    @property
    def ends(self) -> int:
        """Its epoch's end."""
        return self.begins + self.epoch_seconds

    def locks(self, side: int, order: Order) -> int:
        """What an order has in escrow."""
        if side == ASK:
            return order.quantity
        return escrow_of_bid(order.quantity, order.price, self.parameters["wheeling"])

    def find(self, number: int) -> tuple[int, Order]:
        """An order and its side, by number."""
        side, place = divmod(number, SIDE)
        if side > ASK or place >= len(self.sides[side]):
            raise Refused("OrderOutOfRange")
        return side, self.sides[side][place]

    def orders(self) -> list[Order]:
        """All orders."""
        return [*self.sides[BID], *self.sides[ASK]]


@dataclass
class Member:
    """A member's tokens by side: [credits, energy], and whether the accounts are there."""

    tokens: list[int]
    active: bool = True
    receives: bool = True


class Model:
    """The trading program's state."""

    def __init__(self, parameters: Mapping[str, int], epoch_seconds: int, reference: int, time: int) -> None:
        self.parameters = dict(parameters)
        self.epoch_seconds = epoch_seconds
        self.reference = reference
        self.reference_epoch = 0
        self.time = time
        self.members: list[Member] = []
        self.books: dict[int, Book] = {}
        self.closed: set[int] = set()
        self.orders_paused = False
        self.clearing_paused = False
        self.fee_account = 0
        self.volume: dict[int, int] = {}

    def _require(self, holds: bool, refusal: str) -> None:
        if not holds:
            raise Refused(refusal)

    def _book(self, epoch: int) -> Book:
        self._require(epoch in self.books, "WrongBook")
        return self.books[epoch]

    def open(self, epoch: int) -> None:
        """open_epoch and grow_book."""
        self._require(not self.orders_paused, "Paused")
        self._require(epoch - self.time // self.epoch_seconds in (0, 1), "EpochNotOpenable")
        self._require(epoch not in self.books, "BookExists")
        self.books[epoch] = Book(epoch, dict(self.parameters), self.epoch_seconds)

    def place(self, member: int, side: int, price: int, quantity: int, epoch: int) -> None:
        """place_order, with the accounts of whoever is evicted."""
        self._require(side in (BID, ASK), "UnknownSide")
        self._require(not self.orders_paused, "Paused")
        self._require(self.members[member].active, "UserNotActive")
        book = self._book(epoch)
        self._require(book.status == "open", "BookNotOpen")
        self._require(self.time >= book.begins, "EpochNotBegun")
        self._require(self.time < book.ends, "EpochOver")
        limits = book.parameters
        self._require(price >= limits["feed_in_price"], "PriceBelowFeedIn")
        self._require(price <= limits["retail_price"], "PriceAboveRetail")
        self._require(quantity >= limits["min_order_wh"], "OrderTooSmall")
        self._require(quantity <= limits["max_order_wh"], "OrderTooLarge")
        mine = sum(order.member == member for order in book.orders())
        self._require(mine < limits["max_orders_per_member"], "TooManyOrders")
        sign = 1 if side == BID else -1
        opposite = book.sides[1 - side]
        own = [order for order in opposite if order.member == member and sign * (price - order.price) >= 0]
        self._require(not own, "CrossesOwnOrder")
        orders = book.sides[side]
        order = Order(price, quantity, member)
        sorted_ = sorted([*orders, order], key=lambda each: -sign * each.price)
        evicted = None
        if len(sorted_) > SIDE:
            evicted = sorted_.pop()
            self._require(evicted is not order, "BookFull")
        self._require(sum(each.quantity for each in sorted_) <= U32, "SideTooLarge")
        locked = book.locks(side, order)
        self._require(evicted is None or self.members[evicted.member].receives, "tokens")
        self._lock(member, side, locked)
        orders[:] = sorted_
        book.escrow[side] += locked
        if evicted is not None:
            self._release(book, side, evicted)

    def _lock(self, member: int, side: int, amount: int) -> None:
        """Take what an order may cost out of its member's account."""
        self._require(self.members[member].receives and self.members[member].tokens[side] >= amount, "tokens")
        self.members[member].tokens[side] -= amount

    def _release(self, book: Book, side: int, order: Order) -> None:
        amount = book.locks(side, order)
        book.escrow[side] -= amount
        self.members[order.member].tokens[side] += amount

    def cancel(self, member: int, side: int, price: int, quantity: int, epoch: int) -> None:
        """cancel_order."""
        self._require(side in (BID, ASK), "UnknownSide")
        book = self._book(epoch)
        self._require(book.status == "open", "BookNotOpen")
        self._require(self.time < book.ends - book.parameters["cancel_cutoff_seconds"], "CancelTooLate")
        alike = [
            order
            for order in book.sides[side]
            if (order.member, order.price, order.quantity) == (member, price, quantity)
        ]
        self._require(bool(alike), "NoSuchOrder")
        self._require(self.members[member].receives, "tokens")
        last = max(place for place, order in enumerate(book.sides[side]) if order is alike[-1])
        self._release(book, side, book.sides[side].pop(last))

    def clear(self, epoch: int) -> None:
        """clear_epoch."""
        self._require(not self.clearing_paused, "Paused")
        book = self._book(epoch)
        self._require(book.status == "open", "AlreadyCleared")
        self._require(self.time >= book.ends, "EpochNotOver")
        bids, asks = ([Bid(order.price, order.quantity, order.member) for order in side] for side in book.sides)
        outcome = clear(bids, asks, self.reference)
        for side, fills in ((BID, outcome.bid_fills), (ASK, outcome.ask_fills)):
            for order, filled in zip(book.sides[side], fills, strict=True):
                order.filled = filled
        book.price = outcome.price
        book.status = "settling" if book.orders() else "final"
        if outcome.volume >= book.parameters["min_reference_volume_wh"] and epoch > self.reference_epoch:
            self.reference, self.reference_epoch = outcome.price, epoch

    def refund(self, epoch: int) -> None:
        """refund_epoch."""
        book = self._book(epoch)
        self._require(book.status == "open", "NotRefundable")
        self._require(self.time >= book.ends + 8 * self.epoch_seconds, "NotRefundable")
        book.status = "settling" if book.orders() else "final"

    def settle(self, numbers: Sequence[int], epoch: int) -> None:
        """settle_orders, with each run's own accounts."""
        book = self._book(epoch)
        self._require(book.status != "final", "OrderAlreadySettled")
        self._require(book.status == "settling", "NotSettleable")
        found = [book.find(number) for number in numbers]
        paid: list[tuple[int, Order]] = []
        for side, order in found:
            if self.members[order.member].receives:
                self._require(not order.settled and order not in [other for _, other in paid], "OrderAlreadySettled")
                paid.append((side, order))
        unsettled = [order for order in book.orders() if not order.settled]
        if not paid and unsettled:
            raise Refused("NothingSettled" if numbers else "NothingToSettle")
        for side, order in paid:
            order.settled = True
            energy, credits_ = self._due(book, side, order)
            self.members[order.member].tokens[ASK] += energy
            self.members[order.member].tokens[BID] += credits_
            book.escrow[ASK] -= energy
            book.escrow[BID] -= credits_
        if all(order.settled for order in book.orders()):
            self.fee_account += book.escrow[BID]
            book.fees, book.escrow[BID] = book.escrow[BID], 0
            book.status = "final"

    def _due(self, book: Book, side: int, order: Order) -> tuple[int, int]:
        if side == ASK:
            return order.quantity - order.filled, seller_gets(order.filled, book.price, book.parameters["fee_bps"])
        owed = escrow_of_bid(order.filled, book.price, book.parameters["wheeling"])
        return order.filled, book.locks(BID, order) - owed

    def close(self, epoch: int, *, pinned: bool) -> None:
        """close_epoch, with a checkpoint of the book as it is, or of another."""
        book = self._book(epoch)
        self._require(book.status == "final", "BookNotFinal")
        self._require(pinned, "BookHashMismatch")
        del self.books[epoch]
