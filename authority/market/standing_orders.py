"""Standing orders: what the authority asks and bids for a member who does not trade by hand 96 times a day.

Pure functions of what the chain says the member holds, owes and has bid for, so that running them twice places
nothing twice: an ask that stands has left the holding, and a bid that stands counts as bid for.
Prices are micro-credit per kWh, quantities Wh, money micro-credit.
"""

from __future__ import annotations

from dataclasses import dataclass

from authority.market.clearing import WH_PER_KWH

BID, ASK = 0, 1
SIDES = ("bid", "ask")


@dataclass(frozen=True, slots=True)
class StandingOrder:
    """A member's policy. None for a price means: never on that side. reserve_wh is kept from every sale."""

    sell_at: int | None = None
    buy_at: int | None = None
    reserve_wh: int = 0


@dataclass(frozen=True, slots=True)
class Holding:
    """Where a member stands, as the chain says.

    held_wh and credit are the member's token accounts (what is in escrow is not in them); withdrawal_wh and
    retired_wh are those of the open billing period; bid_for_wh is what its bids may still bring, in every book
    that is not settled; orders is how many it already has in the book where the next one would go.
    """

    held_wh: int
    credit: int
    withdrawal_wh: int = 0
    retired_wh: int = 0
    bid_for_wh: int = 0
    orders: int = 0

    @property
    def owed_wh(self) -> int:
        """What of the open period's withdrawal is not yet retired."""
        return max(0, self.withdrawal_wh - self.retired_wh)


@dataclass(frozen=True, slots=True)
class Limits:
    """The market's bounds, from governance's Config."""

    feed_in_price: int
    retail_price: int
    wheeling: int
    min_order_wh: int
    max_order_wh: int
    max_orders_per_member: int


@dataclass(frozen=True, slots=True)
class ProposedOrder:
    """An order to place: side (BID or ASK), limit price, quantity."""

    side: int
    price: int
    quantity: int


def _split(side: int, price: int, quantity: int, orders: int, limits: Limits) -> list[ProposedOrder]:
    """Cut a quantity into orders that the book takes; what is left under the minimum waits for the next epoch."""
    proposed: list[ProposedOrder] = []
    while quantity >= max(1, limits.min_order_wh) and orders + len(proposed) < limits.max_orders_per_member:
        size = min(quantity, limits.max_order_wh)
        proposed.append(ProposedOrder(side, price, size))
        quantity -= size
    return proposed


def propose(policy: StandingOrder, holding: Holding, limits: Limits) -> list[ProposedOrder]:
    """The orders to place now, none or several.

    Sells what is held above the reserve, and above what the member must still retire where it also buys (it would
    else sell in one epoch what it bought in the last), at or above sell_at. Buys what the open period's withdrawal
    lacks after what is retired, held and bid for, at or below buy_at, as far as the credit reaches. A limit outside
    the market's prices is moved to the nearest one that is as good for the member; where there is none, no order.
    """
    proposed: list[ProposedOrder] = []
    if policy.sell_at is not None and policy.sell_at <= limits.retail_price:
        kept = max(policy.reserve_wh, holding.owed_wh if policy.buy_at is not None else 0)
        price = max(policy.sell_at, limits.feed_in_price)
        proposed += _split(ASK, price, holding.held_wh - kept, holding.orders, limits)
    if policy.buy_at is not None and policy.buy_at >= limits.feed_in_price:
        price = min(policy.buy_at, limits.retail_price)
        lacking = holding.owed_wh - holding.held_wh - holding.bid_for_wh
        if price + limits.wheeling > 0:
            # every order beyond the first may round up by one micro-credit more
            spare = max(0, -(-lacking // limits.max_order_wh) - 1)
            lacking = min(lacking, (holding.credit - spare) * WH_PER_KWH // (price + limits.wheeling))
        proposed += _split(BID, price, lacking, holding.orders + len(proposed), limits)
    return proposed
