"""A market rule, as an example: whoever bids dearest meets whoever asks cheapest, and each pair shares evenly.

Each pair trades at the middle of its own two limits, rounded down, so there is a price for each.
"""

from __future__ import annotations

from collections.abc import Sequence

from authority.market.clearing import Order
from authority.measures.markets import Deal, Terms
from authority.measures.welfare import pairs


def half_way(bids: Sequence[Order], asks: Sequence[Order], terms: Terms, last: int) -> list[Deal]:
    """What is dealt; bids come dearest first, asks cheapest first, last is the last price (micro-credits per kWh)."""
    deals = []
    for bid, ask, wh in pairs(bids, asks):
        price = (bid.price + ask.price) // 2
        deals += [Deal(bid.member, True, wh, price), Deal(ask.member, False, wh, price)]
    return deals
