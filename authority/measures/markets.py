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

A rule of one's own is a function of the same shape; what it deals is checked (`require_feasible`).

Where the last two are short of one side, the other shares pro rata by largest remainders. Buyers pay wheeling on top of
every price, and sellers the fee, under all rules alike.

The *knife's edge* of a rule: in which share of the epochs that traded one Wh less of some ask moves the price, and how
far at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from authority.errors import AuthorityError
from authority.market.clearing import Order, allocate, buyer_pays, clear, seller_gets
from authority.measures.indicators import Prices, gini, share, without_market
from authority.measures.welfare import Welfare, pairs, possible, reached


class RuleInfeasibleError(AuthorityError):
    """What a market rule deals cannot be: the message says what, and in which epoch."""

    code = "rule_infeasible"


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
MOST_ASKS = 200
"""In an epoch, for which the knife's edge is looked for: each of them has the epoch cleared once more by each rule."""
WITHOUT_LIMITS = (mid_market_rate, supply_demand_ratio)


@dataclass(frozen=True)
class OwnRule:
    """A rule of somebody's own. within_limits: it promises nobody a worse price than the order's."""

    rule: Rule
    within_limits: bool = True


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
    edges: Sequence[int] | None = None
    """Of each epoch that traded, how far one Wh less of an ask moves the price at most; None where it was not asked."""

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
            "one_wh_moves_share": None if self.edges is None else share(sum(map(bool, self.edges)), len(self.edges)),
            "one_wh_moves_at_most": max(self.edges, default=None) if self.edges is not None else None,
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


def require_feasible(
    deals: Sequence[Deal], bids: Sequence[Order], asks: Sequence[Order], *, within_limits: bool
) -> None:
    """RuleInfeasibleError where an epoch's deals cannot be, with what is wrong.

    A member deals once or several times on a side that it ordered on, and no more than it ordered there. As much is
    bought as is sold. Buyers pay at least what sellers get, and at most a micro-credit per kWh more, by which prices
    are rounded. Where within_limits, no buyer pays more than it bid, and no seller gets less than it asked.
    """
    ordered = {(order.member, buys): order for orders, buys in ((bids, True), (asks, False)) for order in orders}
    dealt = dict.fromkeys(ordered, 0)
    worth = {True: 0, False: 0}
    volume = {True: 0, False: 0}
    for deal in deals:
        if not isinstance(deal, Deal):
            raise RuleInfeasibleError(f"{deal!r} is no deal; give Deal(member, buys, wh, price)")
        numbers = type(deal.wh) is int and type(deal.price) is int and isinstance(deal.buys, bool)
        if not numbers or deal.wh < 1 or deal.price < 0:
            raise RuleInfeasibleError(f"{deal}: wh should be a whole number from 1, price one from 0, buys a bool")
        side = deal.member, deal.buys
        if side not in ordered:
            raise RuleInfeasibleError(f"{deal}: member {deal.member} gave no {'bid' if deal.buys else 'ask'}")
        limit = ordered[side].price
        if within_limits and (deal.price > limit if deal.buys else deal.price < limit):
            told = f"bid no more than {limit}" if deal.buys else f"asked for {limit} or more"
            raise RuleInfeasibleError(f"{deal}: member {deal.member} {told} micro-credits per kWh")
        dealt[side] += deal.wh
        if dealt[side] > ordered[side].quantity:
            raise RuleInfeasibleError(f"{deal}: member {deal.member} ordered {ordered[side].quantity} Wh in all")
        volume[deal.buys] += deal.wh
        worth[deal.buys] += deal.wh * deal.price
    if volume[True] != volume[False]:
        raise RuleInfeasibleError(f"{volume[True]} Wh are bought, but {volume[False]} Wh are sold")
    over = worth[True] - worth[False]
    if not 0 <= over <= volume[True]:
        paid, got = (worth[buys] / 1_000 for buys in (True, False))
        raise RuleInfeasibleError(f"buyers pay {paid:.3f} micro-credits, but sellers get {got:.3f}")


def compare(
    epochs: Sequence[Epoch],
    limits: Mapping[int, Limits] | Sequence[Mapping[int, Limits]],
    members: Iterable[int],
    own: Mapping[str, OwnRule] | None = None,
    *,
    edges: bool = False,
) -> list[RuleFigures]:
    """Every rule over the same epochs, in the order of RULES, then own ones by their names.

    limits are those of all epochs, or a sequence with each epoch's own. Gains are against the first, where nobody
    trades. edges: look for the knife's edge too, with each epoch cleared again for each of its asks; not where an epoch
    has more than MOST_ASKS, for that grows with their square.
    RuleInfeasibleError where an own rule deals what cannot be.
    """
    everybody = list(members)
    edges = edges and all(sum(map(bool, each.surplus.values())) <= MOST_ASKS for each in epochs)
    limited = [limits] * len(epochs) if isinstance(limits, Mapping) else limits
    best = [possible(*orders_of(*each, bounded=True)) for each in zip(epochs, limited, strict=True)]
    rules = {name: (rule, rule not in WITHOUT_LIMITS) for name, rule in RULES.items()}
    rules |= {name: (_checked(each), each.within_limits) for name, each in (own or {}).items()}
    found = [
        _run(name, rule, epochs, limited, everybody, sum(best), bounded=bounded, edges=edges)
        for name, (rule, bounded) in rules.items()
    ]
    for each in found:
        each.gains = {member: found[0].paid[member] - each.paid[member] for member in everybody}
    return found


def _checked(own: OwnRule) -> Rule:
    """The rule, which is given orders that it cannot change, and whose deals are checked."""

    def rule(bids: Sequence[Order], asks: Sequence[Order], terms: Terms, last: int) -> list[Deal]:
        deals = list(own.rule(tuple(bids), tuple(asks), terms, last))
        require_feasible(deals, bids, asks, within_limits=own.within_limits)
        return deals

    return rule


def _run(
    name: str,
    rule: Rule,
    epochs: Sequence[Epoch],
    limits: Sequence[Mapping[int, Limits]],
    members: Sequence[int],
    best: int,
    *,
    bounded: bool,
    edges: bool,
) -> RuleFigures:
    """best: the welfare that was possible in all epochs; bounded: whoever the terms do not reach orders nothing."""
    moved = dict.fromkeys(members, 0)
    left: dict[int, list[tuple[int, int, int, int]]] = {member: [] for member in members}
    by_epoch: list[tuple[int | None, int]] = []
    moves: list[int] = []
    department = welfare = 0
    last = (epochs[0].terms.retail + epochs[0].terms.feed_in) // 2 if epochs else 0
    for number, (epoch, limited) in enumerate(zip(epochs, limits, strict=True), 1):
        terms = epoch.terms
        bids, asks = orders_of(epoch, limited, bounded=bounded)
        bought = dict.fromkeys(members, 0)
        sold = dict.fromkeys(members, 0)
        try:
            deals = rule(bids, asks, terms, last)
            if edges and deals:
                moves.append(_edge(rule, bids, asks, terms, last, deals))
        except RuleInfeasibleError as error:
            raise RuleInfeasibleError(f"market rule {name}, in epoch {number} of {len(epochs)}: {error}") from error
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
            else:
                gets = seller_gets(deal.wh, deal.price, terms.fee_bps)
                moved[deal.member] -= gets
                department -= gets
                sold[deal.member] += deal.wh
        price = price_of(deals)
        last = last if price is None else price
        by_epoch.append((price, sum(deal.wh for deal in deals if deal.buys)))
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
        edges=moves if edges else None,
    )


def price_of(deals: Sequence[Deal]) -> int | None:
    """The mean price of what was bought, rounded down; None where nothing was."""
    volume = sum(deal.wh for deal in deals if deal.buys)
    return sum(deal.wh * deal.price for deal in deals if deal.buys) // volume if volume else None


def _edge(
    rule: Rule, bids: Sequence[Order], asks: Sequence[Order], terms: Terms, last: int, deals: Sequence[Deal]
) -> int:
    """How far the price moves at most where one ask is a Wh smaller than it is; 0 where none trades then."""
    price, most = price_of(deals) or 0, 0
    for place, ask in enumerate(asks):
        smaller = [Order(ask.price, ask.quantity - 1, ask.member)] if ask.quantity > 1 else []
        found = price_of(rule(bids, [*asks[:place], *smaller, *asks[place + 1 :]], terms, last))
        most = max(most, 0 if found is None else abs(found - price))
    return most
