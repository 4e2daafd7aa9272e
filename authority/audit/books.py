"""Whether a final order book is what the auction's rule makes of its orders: price, fills, payments, fees."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from authority.chain.accounts import REFUND_AFTER_EPOCHS, BookStatus, EpochBook, Order
from authority.chain.layout import LayoutError
from authority.language.reading import marked, spoken
from authority.market import clearing


@dataclass(frozen=True)
class Book:
    """A book's head and its orders, bids first, as its leaf holds them."""

    head: EpochBook
    bids: list[Order]
    asks: list[Order]

    @classmethod
    def from_bytes(cls, data: bytes) -> Book:
        """Read a book leaf's data; LayoutError."""
        head = EpochBook.from_account(data)
        start, size = EpochBook.size(), Order.FORMAT.size
        bids = Order.array(data, start, head.bid_count)
        asks = Order.array(data, start + head.bid_count * size, head.ask_count)
        if len(data) != start + (head.bid_count + head.ask_count) * size:
            raise LayoutError(
                f"a book of {head.bid_count} bids and {head.ask_count} asks does not have {len(data)} bytes"
            )
        return cls(head, bids, asks)

    @property
    def was_refunded(self) -> bool:
        """Whether nobody cleared it until anybody might refund it."""
        head = self.head
        due = head.closes_at + REFUND_AFTER_EPOCHS * head.epoch_seconds
        return head.cleared_at >= due and not head.price and not head.volume and not head.reference_price

    def faults(self) -> Iterator[str]:
        """What the rule would have made otherwise, in words."""
        head = self.head
        if head.status is not BookStatus.FINAL:
            yield spoken(f"has status {head.status}, and a final book has {BookStatus.FINAL}")
        if head.energy_locked or head.credit_locked or head.paid != head.bid_count + head.ask_count:
            yield marked("is not paid out")
        yield from self._order_faults()
        bids = [clearing.Order(order.price, order.quantity, order.member) for order in self.bids]
        asks = [clearing.Order(order.price, order.quantity, order.member) for order in self.asks]
        if self.was_refunded:
            outcome = clearing.Clearing(0, 0, 0, 0, (0,) * len(bids), (0,) * len(asks))
        else:
            outcome = clearing.clear(bids, asks, head.reference_price)
        for name, said, found in (
            (marked("price"), head.price, outcome.price),
            (marked("lowest price"), head.lowest_price, outcome.lowest),
            (marked("highest price"), head.highest_price, outcome.highest),
            (marked("volume"), head.volume, outcome.volume),
            (marked("bid quantity"), head.bid_quantity, sum(order.quantity for order in bids)),
            (marked("ask quantity"), head.ask_quantity, sum(order.quantity for order in asks)),
            (marked("fees"), head.fees, self._fees(outcome)),
        ):
            if said != found:
                yield spoken(f"says {name} {said}, by the rule it is {found}")
        for side, orders, fills in (
            (marked("bid"), self.bids, outcome.bid_fills),
            (marked("ask"), self.asks, outcome.ask_fills),
        ):
            for order, fill in zip(orders, fills, strict=True):
                if order.filled != fill:
                    yield spoken(f"gives {side} {order.number} {order.filled} Wh, by the rule it gets {fill}")

    def _order_faults(self) -> Iterator[str]:
        if self.bids != sorted(self.bids, key=lambda order: (-order.price, order.number)):
            yield marked("has bids out of order")
        if self.asks != sorted(self.asks, key=lambda order: (order.price, order.number)):
            yield marked("has asks out of order")
        numbers = {order.number for order in (*self.bids, *self.asks)}
        if len(numbers) != len(self.bids) + len(self.asks):
            yield marked("has two orders of one number")

    def _fees(self, outcome: clearing.Clearing) -> int:
        """What bids locked, less what is given back to buyers and paid to sellers."""
        head = self.head
        paid = sum(clearing.buyer_pays(fill, outcome.price, head.wheeling) for fill in outcome.bid_fills)
        return paid - sum(clearing.seller_gets(fill, outcome.price, head.fee_bps) for fill in outcome.ask_fills)

    @property
    def reference_after(self) -> int:
        """The market's reference price when this book was cleared."""
        head = self.head
        moved = head.volume and head.volume >= head.min_reference_volume
        return head.price if moved else head.reference_price
