"""What a standing order would have come to with a member's energy and the prices of some time past. Pure.

It follows the rules of authority.market.standing_orders step by step, from an empty account, and takes every order for
filled at the price of its book: so it is more than the order would have brought, for an order moves prices too, and not
every order is filled. Energies are Wh, prices micro-credits per kWh, amounts micro-credits.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from authority.market.clearing import buyer_pays, seller_gets
from authority.market.prices import MarketPrices
from authority.market.standing_orders import StandingOrder


@dataclass(frozen=True, slots=True)
class Step:
    """What a member gave to the grid and drew from it in a while, and the prices of the books in it that had one."""

    given_wh: int
    drawn_wh: int
    prices: Sequence[int]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What would have been sold and bought; received after the fee, paid with wheeling."""

    sold_wh: int = 0
    received: int = 0
    bought_wh: int = 0
    paid: int = 0


def rehearse(order: StandingOrder, steps: Iterable[Step], market: MarketPrices) -> Rehearsal:
    """The order over the steps, the oldest first."""
    held = owed = sold = received = bought = paid = 0
    least = max(1, market.least_wh)
    for step in steps:
        held, owed = held + step.given_wh, owed + step.drawn_wh
        if order.buy_at is not None:
            covered = min(held, owed)
            held, owed = held - covered, owed - covered
        if order.feed_in_above_wh is not None:
            held = min(held, max(order.feed_in_above_wh, order.reserve_wh))
        for price in step.prices:
            offered = held - order.reserve_wh
            if order.sell_at is not None and price >= order.sell_at and offered >= least:
                held, sold = held - offered, sold + offered
                received += seller_gets(offered, price, market.fee_bps)
            if order.buy_at is not None and price <= order.buy_at and owed >= least:
                bought, paid = bought + owed, paid + buyer_pays(owed, price, market.wheeling)
                owed = 0
    return Rehearsal(sold, received, bought, paid)
