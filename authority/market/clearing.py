"""The call auction of one epoch, as a reference in plain integers (docs/ARCHITECTURE.md).

The trading program clears the book that counts; this module says what it must have done. The page's preview and the
audit use it. Prices are micro-credit per kWh, quantities Wh, payments micro-credit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WH_PER_KWH = 1000
BASIS_POINTS = 10_000


@dataclass(frozen=True, slots=True)
class Order:
    """A limit order as the book holds it: price (micro-credit per kWh), quantity (Wh), who placed it."""

    price: int
    quantity: int
    member: int = 0


@dataclass(frozen=True, slots=True)
class Clearing:
    """The auction's outcome; bid_fills and ask_fills (Wh) are in book order. price is 0 where nothing trades.

    lowest and highest bound the prices that clear the same volume.
    """

    price: int
    lowest: int
    highest: int
    volume: int
    bid_fills: tuple[int, ...]
    ask_fills: tuple[int, ...]


def equilibrium(bids: Sequence[Order], asks: Sequence[Order]) -> tuple[int, int, int]:
    """The largest executable volume (Wh) and the interval of prices that clear it: (volume, lowest, highest).

    Bids come best (dearest) first, asks best (cheapest) first. The interval is [max(last matched ask, next bid),
    min(last matched bid, next ask)], where what is left of a part-filled order counts as next. (0, 0, 0) where no
    bid reaches an ask.
    """
    volume = 0
    i = j = 0
    bid_left = bids[0].quantity if bids else 0
    ask_left = asks[0].quantity if asks else 0
    last_bid = last_ask = 0
    while i < len(bids) and j < len(asks) and bids[i].price >= asks[j].price:
        step = min(bid_left, ask_left)
        volume += step
        bid_left -= step
        ask_left -= step
        last_bid, last_ask = bids[i].price, asks[j].price
        if bid_left == 0:
            i += 1
            bid_left = bids[i].quantity if i < len(bids) else 0
        if ask_left == 0:
            j += 1
            ask_left = asks[j].quantity if j < len(asks) else 0
    if volume == 0:
        return (0, 0, 0)
    lowest = max(last_ask, bids[i].price) if i < len(bids) else last_ask
    highest = min(last_bid, asks[j].price) if j < len(asks) else last_bid
    return (volume, lowest, highest)


def allocate(quantities: Sequence[int], total: int) -> list[int]:
    """Share total Wh among orders at one price, pro rata by largest remainders; equal remainders in book order."""
    whole = sum(quantities)
    if total >= whole:
        return list(quantities)
    shares = [quantity * total // whole for quantity in quantities]
    remainders = [quantity * total % whole for quantity in quantities]
    for index in sorted(range(len(quantities)), key=lambda k: (-remainders[k], k))[: total - sum(shares)]:
        shares[index] += 1
    return shares


def _fills(orders: Sequence[Order], volume: int, price: int, better: int) -> tuple[int, ...]:
    """Fill one side; `better` is 1 where a higher price is better (bids), -1 where a lower one is (asks)."""
    fills = [order.quantity if (order.price - price) * better > 0 else 0 for order in orders]
    at_price = [index for index, order in enumerate(orders) if order.price == price]
    shares = allocate([orders[index].quantity for index in at_price], volume - sum(fills))
    for index, share in zip(at_price, shares, strict=True):
        fills[index] = share
    return tuple(fills)


def clear(bids: Sequence[Order], asks: Sequence[Order], reference: int) -> Clearing:
    """Clear a book whose bids come dearest first and asks cheapest first, equal prices in order of arrival.

    The price maximises the volume; among those it is the nearest to the reference price. Orders strictly better
    fill whole; those at the price on the long side share pro rata.
    """
    volume, lowest, highest = equilibrium(bids, asks)
    if volume == 0:
        return Clearing(0, 0, 0, 0, (0,) * len(bids), (0,) * len(asks))
    price = min(max(reference, lowest), highest)
    bid_fills, ask_fills = _fills(bids, volume, price, 1), _fills(asks, volume, price, -1)
    return Clearing(price, lowest, highest, volume, bid_fills, ask_fills)


def buyer_pays(quantity: int, price: int, wheeling: int = 0) -> int:
    """Micro-credit that a buyer owes for quantity Wh: ceil(quantity x (price + wheeling) / 1000)."""
    return -(-quantity * (price + wheeling) // WH_PER_KWH)


def seller_gross(quantity: int, price: int) -> int:
    """Micro-credit of a sale before the fee: floor(quantity x price / 1000)."""
    return quantity * price // WH_PER_KWH


def seller_gets(quantity: int, price: int, fee_bps: int = 0) -> int:
    """Micro-credit that a seller receives: the gross less the fee, itself rounded down."""
    gross = seller_gross(quantity, price)
    return gross - gross * fee_bps // BASIS_POINTS


def escrow_of_bid(quantity: int, limit: int, wheeling: int = 0) -> int:
    """Micro-credit that a bid locks: ceil(quantity x (limit + wheeling) / 1000)."""
    return buyer_pays(quantity, limit, wheeling)
