"""The market in plain Python: what each instruction must do, or refuse, by name of the error.

Written from the design, not from the program: lists are sorted by Python, amounts are unbounded integers, and the
auction is the authority's reference (authority/market/clearing.py). The stateful test holds the program to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from authority.market.clearing import Order as Bid
from authority.market.clearing import clear, escrow_of_bid, seller_gets

BID, ASK = 0, 1
CREDIT, ENERGY = 0, 1
"""What a side locks, as an index into [credits, energy]; the program names assets the other way round."""
U32 = 2**32 - 1
BOOKS, REFUND_AFTER = 16, 8


class Refused(Exception):  # noqa: N818 - an answer, not a fault
    """The instruction is refused; the text is the error's name."""


@dataclass(eq=False)
class Order:
    """A resting order; two alike are still two."""

    price: int
    quantity: int
    member: int
    number: int
    filled: int = 0


@dataclass
class Book:
    """One epoch's orders, best first."""

    epoch: int
    parameters: Mapping[str, int]
    epoch_seconds: int
    capacity: int
    previous: int
    sides: tuple[list[Order], list[Order]] = field(default_factory=lambda: ([], []))
    status: str = "open"
    next_number: int = 0
    price: int = 0
    paid: int = 0
    fees: int = 0

    @property
    def begins(self) -> int:
        """Its epoch's first second."""
        return self.epoch * self.epoch_seconds

    @property
    def ends(self) -> int:
        """Its epoch's end."""
        return self.begins + self.epoch_seconds

    @property
    def cutoff(self) -> int:
        """From when on it neither takes nor gives back an order."""
        return self.ends - self.parameters["cancel_cutoff_seconds"]

    def locks(self, side: int, order: Order) -> int:
        """What an order locks."""
        if side == ASK:
            return order.quantity
        return escrow_of_bid(order.quantity, order.price, self.parameters["wheeling"])

    def orders(self) -> list[tuple[int, Order]]:
        """All orders with their sides, in the order in which they are paid."""
        return [*((BID, order) for order in self.sides[BID]), *((ASK, order) for order in self.sides[ASK])]

    def locked(self, asset: int) -> int:
        """What its unpaid orders have locked of an asset; for credits, what the paid ones left over as well."""
        unpaid = self.orders()[self.paid :]
        total = sum(self.locks(side, order) for side, order in unpaid if side == asset)
        for side, order in self.orders()[: self.paid]:
            total += self.locks(side, order) if side == asset else 0
            total -= self.due(side, order)[asset]
        return total - (self.fees if asset == CREDIT else 0)

    def due(self, side: int, order: Order) -> tuple[int, int]:
        """(credits, energy) that an order's member gets when it is paid."""
        if side == ASK:
            return seller_gets(order.filled, self.price, self.parameters["fee_bps"]), order.quantity - order.filled
        owed = escrow_of_bid(order.filled, self.price, self.parameters["wheeling"])
        return self.locks(BID, order) - owed, order.filled


@dataclass
class Member:
    """A member's tokens as [credits, energy]: in its own accounts, and free in its seat; what anyone may pay out."""

    tokens: list[int]
    seat: list[int] = field(default_factory=lambda: [0, 0])
    active: bool = True
    receives: bool = True
    payout: int = 0


class Model:
    """The trading program's state."""

    def __init__(
        self, parameters: Mapping[str, int], epoch_seconds: int, reference: int, time: int, capacity: int = 512
    ) -> None:
        self.parameters = dict(parameters)
        self.epoch_seconds = epoch_seconds
        self.reference = reference
        self.time = time
        self.capacity = capacity
        self.members: list[Member] = []
        self.books: dict[int, Book] = {}
        """By slot."""
        self.latest = self.settled = 0
        self.orders_paused = False
        self.clearing_paused = False
        self.fees = self.fee_account = 0

    def _require(self, holds: bool, refusal: str) -> None:
        if not holds:
            raise Refused(refusal)

    def _book(self, epoch: int) -> Book:
        book = self.books.get(epoch % BOOKS)
        self._require(book is not None and book.epoch == epoch, "WrongBook")
        assert book is not None
        return book

    def held(self, asset: int) -> int:
        """What the vault of an asset owes."""
        books = sum(book.locked(asset) for book in self.books.values())
        return sum(member.seat[asset] for member in self.members) + books + (self.fees if asset == CREDIT else 0)

    # Seats

    def deposit(self, member: int, asset: int, amount: int) -> None:
        """deposit by the wallet."""
        self._require(amount > 0, "ZeroAmount")
        found = self.members[member]
        self._require(found.receives and found.tokens[asset] >= amount, "tokens")
        found.tokens[asset] -= amount
        found.seat[asset] += amount

    def withdraw(self, member: int, asset: int, amount: int, *, by_wallet: bool = True) -> None:
        """withdraw to the member's own account, by the wallet or by anyone."""
        self._require(amount > 0, "ZeroAmount")
        found = self.members[member]
        if not by_wallet:
            bit = 1 if asset == ENERGY else 2
            self._require(bool(found.payout & bit), "NotWalletOrDelegate")
            self._require(found.receives, "UnusableTokenAccount")
        self._require(found.seat[asset] >= amount, "NotEnoughEnergy" if asset == ENERGY else "NotEnoughCredit")
        self._require(found.receives, "tokens")
        found.seat[asset] -= amount
        found.tokens[asset] += amount

    def set_payout(self, member: int, assets: int) -> None:
        """set_payout."""
        self._require(assets <= 3, "UnknownPayout")
        self.members[member].payout = assets

    # Books

    def open(self, epoch: int, *, pinned: bool = True) -> None:
        """open_epoch, with a checkpoint of the slot's last book as it is, or of another."""
        self._require(not self.orders_paused, "Paused")
        self._require(epoch > self.latest, "BookExists")
        current = self.time // self.epoch_seconds
        openable = epoch == current or (epoch == current + 1 and self.latest == current)
        self._require(openable, "EpochNotOpenable")
        before = self.books.get(epoch % BOOKS)
        if before is not None:
            self._require(before.status == "final", "SlotOccupied")
            self._require(pinned, "BookHashMismatch")
        self.books[epoch % BOOKS] = Book(epoch, dict(self.parameters), self.epoch_seconds, self.capacity, self.latest)
        self.latest = epoch

    def place(self, member: int, side: int, price: int, quantity: int, epoch: int) -> None:
        """place_order."""
        self._require(side in (BID, ASK), "UnknownSide")
        self._require(not self.orders_paused, "Paused")
        found = self.members[member]
        self._require(found.active, "UserNotActive")
        book = self._book(epoch)
        self._require(book.status == "open", "BookNotOpen")
        self._require(self.time >= book.begins, "EpochNotBegun")
        self._require(self.time < book.cutoff, "AfterCutoff")
        limits = book.parameters
        largest = U32 // book.capacity
        self._require(price >= limits["feed_in_price"], "PriceBelowFeedIn")
        self._require(price <= limits["retail_price"], "PriceAboveRetail")
        self._require(quantity >= min(limits["min_order_wh"], largest), "OrderTooSmall")
        self._require(quantity <= min(limits["max_order_wh"], largest), "OrderTooLarge")
        mine = sum(order.member == member for _, order in book.orders())
        self._require(mine < limits["max_orders_per_member"], "TooManyOrders")
        sign = 1 if side == BID else -1
        opposite = book.sides[1 - side]
        own = [order for order in opposite if order.member == member and sign * (price - order.price) >= 0]
        self._require(not own, "CrossesOwnOrder")
        order = Order(price, quantity, member, book.next_number)
        locked = book.locks(side, order)
        self._require(found.seat[side] >= locked, "NotEnoughEnergy" if side == ASK else "NotEnoughCredit")
        sorted_ = sorted([*book.sides[side], order], key=lambda each: -sign * each.price)
        evicted = None
        if len(sorted_) > book.capacity:
            evicted = sorted_.pop()
            self._require(evicted is not order, "BookFull")
        found.seat[side] -= locked
        book.sides[side][:] = sorted_
        book.next_number += 1
        if evicted is not None:
            self.members[evicted.member].seat[side] += book.locks(side, evicted)

    def cancel(self, member: int, side: int, price: int, number: int, epoch: int) -> None:
        """cancel_order."""
        self._require(side in (BID, ASK), "UnknownSide")
        book = self._book(epoch)
        self._require(book.status == "open", "BookNotOpen")
        self._require(self.time < book.cutoff, "AfterCutoff")
        named = [order for order in book.sides[side] if (order.price, order.number) == (price, number)]
        self._require(bool(named), "NoSuchOrder")
        self._require(named[0].member == member, "OrderOfAnotherMember")
        book.sides[side].remove(named[0])
        self.members[member].seat[side] += book.locks(side, named[0])

    def clear(self, epoch: int, limit: int) -> None:
        """clear_epoch."""
        self._require(not self.clearing_paused, "Paused")
        book = self._book(epoch)
        self._require(book.status in ("open", "clearing"), "AlreadyCleared")
        if book.status == "open":
            self._require(self.time >= book.ends, "EpochNotOver")
            self._require(book.previous == self.settled, "EarlierBookUnsettled")
            bids, asks = ([Bid(order.price, order.quantity, order.member) for order in side] for side in book.sides)
            outcome = clear(bids, asks, self.reference)
            for side, fills in ((BID, outcome.bid_fills), (ASK, outcome.ask_fills)):
                for order, filled in zip(book.sides[side], fills, strict=True):
                    order.filled = filled
            book.price = outcome.price
            book.status = "clearing"
            self.settled = epoch
            if outcome.volume >= book.parameters["min_reference_volume_wh"]:
                self.reference = outcome.price
        self._pay(book, limit)

    def refund(self, epoch: int, limit: int) -> None:
        """refund_epoch."""
        book = self._book(epoch)
        self._require(book.status in ("open", "refunding"), "NotRefundable")
        if book.status == "open":
            self._require(self.time >= book.ends + REFUND_AFTER * self.epoch_seconds, "NotRefundable")
            self._require(book.previous == self.settled, "EarlierBookUnsettled")
            book.status = "refunding"
            self.settled = epoch
        self._pay(book, limit)

    def _pay(self, book: Book, limit: int) -> None:
        orders = book.orders()
        for side, order in orders[book.paid : book.paid + limit]:
            for asset, amount in zip((CREDIT, ENERGY), book.due(side, order), strict=True):
                self.members[order.member].seat[asset] += amount
        book.paid = min(len(orders), book.paid + limit)
        if book.paid == len(orders):
            book.fees = book.locked(CREDIT)
            self.fees += book.fees
            book.status = "final"

    def withdraw_fees(self) -> None:
        """withdraw_fees."""
        self._require(self.fees > 0, "NoFees")
        self.fee_account += self.fees
        self.fees = 0
