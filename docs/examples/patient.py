"""A patient buyer, as an example of a strategy: it waits for a price that is low for the day.

What a member drew can be covered until its billing period ends, so it need not buy in the epoch in which it drew.
It bids the lower quartile of the prices of the last day, and nothing above what the grid costs it.
What it holds beyond its need it sells for anything above the feed-in.
"""

from __future__ import annotations

from authority.simulation.strategies import Buy, Sell, View

DAY_SECONDS = 86_400


def trade(view: View) -> list[Buy | Sell]:
    """What to order in this epoch."""
    terms = view.terms
    orders: list[Buy | Sell] = []
    held = min(view.held_wh, terms.max_wh)
    if held >= terms.min_wh:
        orders.append(Sell(price=terms.feed_in + view.options.get("margin", 10_000), wh=held))
    wanted = min(view.need_wh - view.held_wh, terms.max_wh)
    if wanted >= terms.min_wh:
        day = view.past[-DAY_SECONDS // view.seconds :]
        prices = sorted(past.price for past in day if past.price is not None)
        worth = terms.retail - terms.wheeling
        limit = min(prices[len(prices) // 4], worth) if prices else worth
        orders.append(Buy(price=limit, wh=wanted))
    return orders
