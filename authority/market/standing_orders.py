"""Standing orders: what the authority asks and bids for a member who does not trade by hand 96 times a day.

Pure functions of what the chain says the member holds, owes and has bid for, so that running them twice places
nothing twice: an ask that stands has left the holding, a bid that stands counts as bid for, and what is retired is
neither held nor owed.
Prices are micro-credit per kWh, quantities Wh, money micro-credit.
"""

from __future__ import annotations

from dataclasses import dataclass

from authority.market.clearing import WH_PER_KWH

BID, ASK = 0, 1
SIDES = ("bid", "ask")


@dataclass(frozen=True, slots=True)
class StandingOrder:
    """A member's policy. None for a price means: never on that side. reserve_wh is kept from every sale.

    feed_in_above_wh: what the member holds beyond this goes to the department at the feed-in price, as far as it is the
    member's own surplus; None means never.
    """

    sell_at: int | None = None
    buy_at: int | None = None
    reserve_wh: int = 0
    feed_in_above_wh: int | None = None


@dataclass(frozen=True, slots=True)
class Holding:
    """Where a member stands, as the chain says.

    held_wh and credit are what the member can dispose of: its seat and its token accounts (what orders have locked is
    in neither); withdrawal_wh and retired_wh are those of the open billing period, the previous_ ones those of the
    period before, as long as it takes retirements; bid_for_wh is what its bids may still bring, in every book that is
    not final; orders is how many it already has in the book where the next one would go; own_surplus_wh is what of its
    own minted energy it has not fed in yet.
    """

    held_wh: int
    credit: int
    withdrawal_wh: int = 0
    retired_wh: int = 0
    bid_for_wh: int = 0
    orders: int = 0
    previous_withdrawal_wh: int = 0
    previous_retired_wh: int = 0
    own_surplus_wh: int = 0

    @property
    def owed_wh(self) -> int:
        """What of the open period's withdrawal is not yet retired."""
        return max(0, self.withdrawal_wh - self.retired_wh)

    @property
    def previous_owed_wh(self) -> int:
        """What of the previous period's withdrawal is not yet retired, and still can be."""
        return max(0, self.previous_withdrawal_wh - self.previous_retired_wh)

    def to_cover_wh(self, policy: StandingOrder) -> int:
        """What a member that buys keeps, because it must be retired; a member that never buys owes nothing here."""
        return 0 if policy.buy_at is None else self.previous_owed_wh + self.owed_wh


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


@dataclass(frozen=True, slots=True)
class ProposedRetirement:
    """Energy to retire now (Wh): for the previous billing period's withdrawals, for the open one's, or as feed-in."""

    previous_wh: int = 0
    open_wh: int = 0
    feed_in_wh: int = 0


def retirements(policy: StandingOrder, holding: Holding, feed_in_price: int) -> ProposedRetirement:
    """What to retire before anything is offered.

    A member that buys retires what it holds: first for the period that has ended, for which it was bought, then for the
    open one. Feed-in takes what is left beyond the policy's bound, as far as it is the member's own surplus and worth
    at least a micro-credit.
    """
    previous = opened = fed = 0
    if policy.buy_at is not None:
        previous = min(holding.held_wh, holding.previous_owed_wh)
        opened = min(holding.held_wh - previous, holding.owed_wh)
    if policy.feed_in_above_wh is not None:
        left = holding.held_wh - previous - opened - max(policy.feed_in_above_wh, policy.reserve_wh)
        fed = max(0, min(left, holding.own_surplus_wh))
        if fed * feed_in_price < WH_PER_KWH:
            fed = 0
    return ProposedRetirement(previous, opened, fed)


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
    else sell in one epoch what it bought in the last), at or above sell_at. Buys what the withdrawals of the open
    period, and of the one before while it takes retirements, lack after what is retired, held and bid for, at or below
    buy_at, as far as the credit reaches. So a period's turn stops no trade: what was bought covers the period for which
    it was bought, and no other. A limit outside the market's prices is moved to the nearest one that is as good for the
    member; where there is none, no order.
    """
    proposed: list[ProposedOrder] = []
    if policy.sell_at is not None and policy.sell_at <= limits.retail_price:
        kept = max(policy.reserve_wh, holding.to_cover_wh(policy))
        price = max(policy.sell_at, limits.feed_in_price)
        proposed += _split(ASK, price, holding.held_wh - kept, holding.orders, limits)
    if policy.buy_at is not None and policy.buy_at >= limits.feed_in_price:
        price = min(policy.buy_at, limits.retail_price)
        lacking = holding.to_cover_wh(policy) - holding.held_wh - holding.bid_for_wh
        if price + limits.wheeling > 0:
            # every order beyond the first may round up by one micro-credit more
            spare = max(0, -(-lacking // limits.max_order_wh) - 1)
            lacking = min(lacking, (holding.credit - spare) * WH_PER_KWH // (price + limits.wheeling))
        proposed += _split(BID, price, lacking, holding.orders + len(proposed), limits)
    return proposed
