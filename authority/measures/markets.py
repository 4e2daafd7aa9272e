"""Market rules side by side: the same surplus and the same need, epoch by epoch, under each of them.

Each epoch is by itself: what members gave to the campus in it meets what they drew in it, and what is left goes to the
feed-in and comes from the department at retail. The chain's own market is another in this: there a surplus is sold in
the epoch after, and what is still needed is bid for until the billing period ends.

- *feed_in_only*: nobody trades.
- *auction*: the chain's: the greatest volume at one price, nearest to the last one (authority.market.clearing).
- *last_pair*: dearest bids meet cheapest asks; one price for all, the middle of the last matched pair (k = 1/2).
- *pay_as_bid*: the same pairs, each at what its buyer bid (two-sided pay-as-bid, as in gsy-e).
- *mid_market_rate*: all trade, without limits, at the middle of retail and feed-in. Long, Wu, Zhang, Thomas, Cheng and
  Jenkins, "Peer-to-peer energy trading in a community microgrid", IEEE PES General Meeting 2017.
- *supply_demand_ratio*: all trade, without limits; the price falls from retail to feed-in as supply nears demand. Liu,
  Yu, Wang, Li, Ma and Lei, "Energy-sharing model with price-based demand response for microgrids of peer-to-peer
  prosumers", IEEE Transactions on Power Systems 32 (2017).

Where the last two are short of one side, the other shares pro rata by largest remainders. Buyers pay wheeling on top of
every price, and sellers the fee, under all rules alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from authority.market.clearing import Order, allocate, buyer_pays, clear, seller_gets
from authority.measures.indicators import Prices, gini, without_market
from authority.measures.welfare import Welfare, pairs, possible, reached


@dataclass(frozen=True, slots=True)
class Terms:
    """An epoch's prices, micro-credit per kWh, and the fee in basis points."""

    retail: int
    feed_in: int
    wheeling: int
    fee_bps: int


@dataclass(frozen=True, slots=True)
class Epoch:
    """What each member gave to the campus and drew from it (Wh, by member), and the terms."""

    surplus: Mapping[int, int]
    need: Mapping[int, int]
    terms: Terms


@dataclass(frozen=True, slots=True)
class Limits:
    """The least that a member sells at and the most that it buys at; None: never."""

    sell_at: int | None
    buy_at: int | None


@dataclass(frozen=True, slots=True)
class Deal:
    """Energy that a member bought or sold, Wh, at a price."""

    member: int
    buys: bool
    wh: int
    price: int


Rule = Callable[[Sequence[Order], Sequence[Order], Terms, int], list[Deal]]
"""Bids dearest first and asks cheapest first, the terms, and the last price; what is dealt."""


def feed_in_only(bids: Sequence[Order], asks: Sequence[Order], terms: Terms, last: int) -> list[Deal]:
    """No market."""
    return []


def auction(bids: Sequence[Order], asks: Sequence[Order], terms: Terms, last: int) -> list[Deal]:
    """The chain's call auction."""
    outcome = clear(bids, asks, last)
    sides = ((bids, outcome.bid_fills, True), (asks, outcome.ask_fills, False))
    return [
        Deal(order.member, buys, wh, outcome.price)
        for orders, fills, buys in sides
        for order, wh in zip(orders, fills, strict=True)
        if wh
    ]


def last_pair(bids: Sequence[Order], asks: Sequence[Order], terms: Terms, last: int) -> list[Deal]:
    """One price for all: the middle of the last matched pair, rounded down."""
    matched = pairs(bids, asks)
    price = (matched[-1][0].price + matched[-1][1].price) // 2 if matched else 0
    return [Deal(order.member, order is bid, wh, price) for bid, ask, wh in matched for order in (bid, ask)]


def pay_as_bid(bids: Sequence[Order], asks: Sequence[Order], terms: Terms, last: int) -> list[Deal]:
    """Each pair at what its buyer bid."""
    return [
        Deal(order.member, order is bid, wh, bid.price) for bid, ask, wh in pairs(bids, asks) for order in (bid, ask)
    ]


def _pro_rata(bids: Sequence[Order], asks: Sequence[Order], price: int) -> list[Deal]:
    """All trade at one price; the longer side shares."""
    volume = min(sum(order.quantity for order in bids), sum(order.quantity for order in asks))
    return [
        Deal(order.member, buys, wh, price)
        for orders, buys in ((bids, True), (asks, False))
        for order, wh in zip(orders, allocate([order.quantity for order in orders], volume), strict=True)
        if wh
    ]


def mid_market_rate(bids: Sequence[Order], asks: Sequence[Order], terms: Terms, last: int) -> list[Deal]:
    """The middle of retail and feed-in, whatever anybody asked."""
    return _pro_rata(bids, asks, (terms.retail + terms.feed_in) // 2)


def supply_demand_ratio(bids: Sequence[Order], asks: Sequence[Order], terms: Terms, last: int) -> list[Deal]:
    """retail x feed-in / ((retail - feed-in) x ratio + feed-in), where the ratio is below 1; else feed-in."""
    supply, demand = (sum(order.quantity for order in orders) for orders in (asks, bids))
    if not supply or not demand:
        return []
    price = terms.feed_in
    if supply < demand:
        price = (
            terms.retail * terms.feed_in * demand // ((terms.retail - terms.feed_in) * supply + terms.feed_in * demand)
        )
    return _pro_rata(bids, asks, price)


RULES: Mapping[str, Rule] = {
    rule.__name__: rule for rule in (feed_in_only, auction, last_pair, pay_as_bid, mid_market_rate, supply_demand_ratio)
}
WITHOUT_LIMITS = (mid_market_rate, supply_demand_ratio)


@dataclass
class RuleFigures:
    """What a rule came to. department: micro-credits of wheeling, fees and rounding; paid: by member.

    by_epoch: the mean price (None where nothing traded) and the Wh traded of each epoch, in order.
    """

    rule: str
    traded_wh: int
    prices: Prices
    department: int
    paid: dict[int, int]
    by_epoch: list[tuple[int | None, int]]
    welfare: Welfare
    gains: dict[int, int] = field(default_factory=dict)

    @property
    def gini(self) -> float | None:
        """Of the members' gains."""
        return gini(list(self.gains.values()))

    def as_row(self) -> dict[str, object]:
        """A line of the table."""
        return {
            "rule": self.rule,
            "traded_wh": self.traded_wh,
            "mean_price": self.prices.mean,
            "price_deviation": self.prices.deviation,
            "price_mean_step": self.prices.mean_step,
            "paid": sum(self.paid.values()),
            "gain": sum(self.gains.values()),
            "department": self.department,
            "gini_of_gains": self.gini,
            "members_worse_off": sum(gain < 0 for gain in self.gains.values()),
            "welfare": self.welfare.as_json(),
        }


def orders_of(epoch: Epoch, limits: Mapping[int, Limits], *, bounded: bool) -> tuple[list[Order], list[Order]]:
    """What members bid and ask: their need and surplus at their limits, moved into the terms as the market does.

    A member that never sells, or never buys, is left out; one whose limit the terms do not reach, where bounded.
    """
    terms = epoch.terms
    bids, asks = [], []
    for member, limit in limits.items():
        need, surplus = epoch.need.get(member, 0), epoch.surplus.get(member, 0)
        if need and limit.buy_at is not None and (not bounded or limit.buy_at >= terms.feed_in):
            bids.append(Order(min(limit.buy_at, terms.retail), need, member))
        if surplus and limit.sell_at is not None and (not bounded or limit.sell_at <= terms.retail):
            asks.append(Order(max(limit.sell_at, terms.feed_in), surplus, member))
    return sorted(bids, key=lambda order: -order.price), sorted(asks, key=lambda order: order.price)


def compare(epochs: Sequence[Epoch], limits: Mapping[int, Limits], members: Iterable[int]) -> list[RuleFigures]:
    """Every rule over the same epochs, in the order of RULES; gains are against the first, where nobody trades."""
    everybody = list(members)
    best = [possible(*orders_of(epoch, limits, bounded=True)) for epoch in epochs]
    found = [_run(name, rule, epochs, limits, everybody, sum(best)) for name, rule in RULES.items()]
    for each in found:
        each.gains = {member: found[0].paid[member] - each.paid[member] for member in everybody}
    return found


def _run(
    name: str, rule: Rule, epochs: Sequence[Epoch], limits: Mapping[int, Limits], members: Sequence[int], best: int
) -> RuleFigures:
    """best: the welfare that was possible in all epochs."""
    moved = dict.fromkeys(members, 0)
    left: dict[int, list[tuple[int, int, int, int]]] = {member: [] for member in members}
    by_epoch: list[tuple[int | None, int]] = []
    department = welfare = 0
    last = (epochs[0].terms.retail + epochs[0].terms.feed_in) // 2 if epochs else 0
    for epoch in epochs:
        terms = epoch.terms
        bids, asks = orders_of(epoch, limits, bounded=rule not in WITHOUT_LIMITS)
        bought = dict.fromkeys(members, 0)
        sold = dict.fromkeys(members, 0)
        worth = volume = 0
        deals = rule(bids, asks, terms, last)
        bid_at, ask_at = ({order.member: order.price for order in orders} for orders in (bids, asks))
        welfare += reached(
            ((bid_at[deal.member], deal.wh) for deal in deals if deal.buys),
            ((ask_at[deal.member], deal.wh) for deal in deals if not deal.buys),
        )
        for deal in deals:
            if deal.buys:
                pays = buyer_pays(deal.wh, deal.price, terms.wheeling)
                moved[deal.member] += pays
                department += pays
                bought[deal.member] += deal.wh
                worth, volume = worth + deal.wh * deal.price, volume + deal.wh
            else:
                gets = seller_gets(deal.wh, deal.price, terms.fee_bps)
                moved[deal.member] -= gets
                department -= gets
                sold[deal.member] += deal.wh
        if volume:
            last = worth // volume
        by_epoch.append((last if volume else None, volume))
        for member in members:
            need, surplus = epoch.need.get(member, 0), epoch.surplus.get(member, 0)
            if need or surplus:
                left[member].append((need - bought[member], surplus - sold[member], terms.retail, terms.feed_in))
    paid = {member: moved[member] + without_market(left[member]) for member in members}
    cleared = [(price, wh) for price, wh in by_epoch if price is not None]
    return RuleFigures(
        rule=name,
        traded_wh=sum(wh for _, wh in cleared),
        prices=Prices.of(cleared),
        department=department,
        paid=paid,
        by_epoch=by_epoch,
        welfare=Welfare(welfare, best),
    )
