"""What simulated members ask and bid for, by the prices that hold.

A member is drawn with limits for the usual prices. Under others each limit lies as far between the least and the most
that energy is worth to anybody, which are the feed-in price and the retail price less wheeling.
"""

from __future__ import annotations

from dataclasses import replace

from authority.home.settings import ParameterSettings
from authority.market.prices import prices_of
from authority.market.standing_orders import StandingOrder

USUAL = prices_of(ParameterSettings())
"""The prices for which members are drawn: feed-in 80,000, retail less wheeling 280,000 micro-credits per kWh."""
NEVER_BIDS = 1
"""A limit that no price of the market reaches: with it a standing order covers what its member drew, and bids nothing.
"""


def covering(order: StandingOrder) -> StandingOrder:
    """What stays of a standing order where nothing is to be traded by it: it covers needs and feeds in, no more."""
    return StandingOrder(buy_at=NEVER_BIDS, feed_in_above_wh=order.feed_in_above_wh)


def order_at(drawn: StandingOrder, feed_in: int, worth: int) -> StandingOrder:
    """A drawn order under another feed-in price, and another retail price less wheeling (worth).

    All are micro-credits per kWh, and limits are rounded down. Where worth is not above the feed-in price, no trade is
    worth it to both sides: `covering`.
    """
    room = worth - feed_in
    if room <= 0:
        return covering(drawn)

    def moved(limit: int | None) -> int | None:
        if limit is None:
            return None
        return feed_in + (limit - USUAL.lowest) * room // (USUAL.worth_up_to - USUAL.lowest)

    return replace(drawn, sell_at=moved(drawn.sell_at), buy_at=moved(drawn.buy_at))
