"""How the price of a call auction moves under four rules that trade the same volume: JSON on standard output.

usage: price_rules.py [--books N] [--seed N]

Three sources of books. *campus*: a month of the demo's campus (its two weeks, twice, and two days more), its four
buildings and four flats with their standing orders, netted by the settlement's own rule, epoch after epoch. *random*:
books of up to 40 members with limits of their own between the feed-in and the retail price. *lots*: the same with
quantities in lots of 5 kWh, so that both sides often match to the last Wh, which measured energy hardly ever does.

Four rules, each on the volume and the matched orders of the reference clearing:
- reference: nearest to the last price inside the equilibrium interval (what the chain does);
- half: the middle of the equilibrium interval (k = 1/2, the reference as the tie of half a micro-credit);
- pair: the middle of the last matched bid and the last matched ask, whatever of either is left unfilled;
- band: as reference, but the reference follows a price by at most a tenth of itself from epoch to epoch.

Four disturbances of each book, as a member could make them before the cut-off: one Wh of a random ask withheld, one of
a random bid withheld, 100 Wh more offered at the feed-in price, 100 Wh more bid for at the retail price.
`moved` says in how many of a thousand books the price moves at all, `flips` by more than a quarter of the market's
range, `mean` how far on average, in micro-credit per kWh; `gain` is what withholding brings the one that withholds, on
average and at most, in micro-credit of that epoch. `month` says how the price moves from one trading epoch to the next,
and what buyers paid and sellers got of the gains from trade.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import mean

from authority.demo.campus import FLATS, PROFILES, STANDING_ORDERS
from authority.market.clearing import Order, clear, equilibrium
from authority.market.standing_orders import ASK, Holding, Limits, StandingOrder, propose
from authority.settlement.surplus import MeterSpan, settle_span

LIMITS = Limits(80_000, 300_000, 20_000, 1, 1_000_000, 8)
RANGE = LIMITS.retail_price - LIMITS.feed_in_price
START = (LIMITS.feed_in_price + LIMITS.retail_price) // 2
EPOCHS = 30 * 96
LOT = 5_000
BAND = 10
"""The reference moves by at most one part in so many of itself."""

Rule = Callable[[Sequence[Order], Sequence[Order], int], int]


@dataclass(frozen=True)
class Book:
    """Bids dearest first, asks cheapest first, and the price that went before."""

    bids: tuple[Order, ...]
    asks: tuple[Order, ...]
    reference: int


def marginal(bids: Sequence[Order], asks: Sequence[Order]) -> tuple[int, int]:
    """The limits of the last matched bid and the last matched ask; of a book that trades."""
    volume = equilibrium(bids, asks)[0]
    limits = []
    for side in (bids, asks):
        left = volume
        for order in side:
            left -= order.quantity
            if left <= 0:
                limits.append(order.price)
                break
    return limits[0], limits[1]


def by_reference(bids: Sequence[Order], asks: Sequence[Order], reference: int) -> int:
    """Today's rule."""
    _, lowest, highest = equilibrium(bids, asks)
    return min(max(reference, lowest), highest)


def by_half(bids: Sequence[Order], asks: Sequence[Order], reference: int) -> int:
    """The middle of the interval; where that lies between two prices, the one nearer to the reference."""
    _, lowest, highest = equilibrium(bids, asks)
    middle = (lowest + highest) // 2
    return middle + ((lowest + highest) % 2 if reference > middle else 0)


def by_pair(bids: Sequence[Order], asks: Sequence[Order], reference: int) -> int:
    """The middle of the marginal pair."""
    bid, ask = marginal(bids, asks)
    middle = (bid + ask) // 2
    return middle + ((bid + ask) % 2 if reference > middle else 0)


RULES: dict[str, Rule] = {"reference": by_reference, "half": by_half, "pair": by_pair, "band": by_reference}


def followed(rule: str, reference: int, price: int) -> int:
    """The reference after an epoch that traded at a price."""
    if rule != "band":
        return price
    step = reference // BAND
    return min(max(price, reference - step), reference + step)


def sorted_book(bids: Sequence[Order], asks: Sequence[Order], reference: int) -> Book:
    return Book(
        tuple(sorted(bids, key=lambda order: -order.price)),
        tuple(sorted(asks, key=lambda order: order.price)),
        reference,
    )


# Books


def campus_rows() -> Iterator[dict[str, int]]:
    """A month of quarters of an hour, W by column; Wh are a quarter of them."""
    with PROFILES.open(newline="", encoding="ascii") as file:
        rows = [{key: int(value) for key, value in row.items() if key != "time"} for row in csv.DictReader(file)]
    for epoch in range(EPOCHS):
        yield rows[epoch % len(rows)]


def spans(row: dict[str, int]) -> dict[str, list[MeterSpan]]:
    """What each member's meters moved in a quarter of an hour."""
    wh = {key: value // 4 for key, value in row.items()}
    return {
        "Dormitory A": [
            MeterSpan("generation", 1, generation=wh["dormitory_a_solar_w"]),
            MeterSpan(
                "storage", 0, 120_000, charge=wh["dormitory_a_charge_w"], discharge=wh["dormitory_a_discharge_w"]
            ),
            MeterSpan("load", consumption=wh["dormitory_a_load_w"]),
        ],
        "Dormitory B": [
            MeterSpan("generation", 2, generation=wh["dormitory_b_wind_w"]),
            MeterSpan("grid", generation=wh["dormitory_b_export_w"], consumption=wh["dormitory_b_import_w"]),
        ],
        "Faculty Housing": [
            MeterSpan("building", 1, generation=wh["faculty_housing_solar_w"], consumption=wh["faculty_housing_load_w"])
        ],
        "Research Labs": [MeterSpan("load", consumption=wh["research_labs_load_w"])],
        **{
            name: [MeterSpan("load", consumption=wh[f"faculty_housing_flat_{number}_w"])]
            for number, name in enumerate(FLATS, 1)
        },
    }


def campus_month(rule: str) -> Iterator[tuple[Book, int, int]]:
    """The books of the month under a rule, each with its volume and price (0 where nothing traded)."""
    names = list(STANDING_ORDERS)
    wishes = {name: StandingOrder(wish.sell_at, wish.buy_at) for name, wish in STANDING_ORDERS.items()}
    held, owed, bank = dict.fromkeys(names, 0), dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    reference = START
    for row in campus_rows():
        for name, meters in spans(row).items():
            span = settle_span(meters, bank[name], 9_000)
            bank[name] = span.bank
            held[name] += span.mint
            owed[name] += span.withdrawal
            retired = min(held[name], owed[name])
            held[name] -= retired
            owed[name] -= retired
        bids, asks = [], []
        for member, name in enumerate(names):
            for order in propose(wishes[name], Holding(held[name], 10**15, owed[name]), LIMITS):
                (asks if order.side == ASK else bids).append(Order(order.price, order.quantity, member))
        book = sorted_book(bids, asks, reference)
        outcome = clear(book.bids, book.asks, reference)
        price = RULES[rule](book.bids, book.asks, reference) if outcome.volume else 0
        yield book, outcome.volume, price
        if not outcome.volume:
            continue
        reference = followed(rule, reference, price)
        # Whoever trades at any of these prices trades the volume of the reference clearing, in book order.
        for side, sign in ((book.bids, 1), (book.asks, -1)):
            left = outcome.volume
            for order in side:
                filled = min(left, order.quantity)
                left -= filled
                name = names[order.member]
                if sign > 0:
                    owed[name] -= filled
                else:
                    held[name] -= filled


def random_books(count: int, chance: random.Random, lot: int = 1) -> Iterator[Book]:
    """Books of members with limits of their own, a third of them round numbers; quantities in lots of so many Wh."""
    for _ in range(count):

        def limit() -> int:
            price = chance.randint(LIMITS.feed_in_price, LIMITS.retail_price)
            return price // 10_000 * 10_000 if chance.random() < 1 / 3 else price

        def quantity() -> int:
            return lot * chance.randint(1, 20_000 // lot)

        bids = [Order(limit(), quantity(), n) for n in range(chance.randint(1, 20))]
        asks = [Order(limit(), quantity(), 100 + n) for n in range(chance.randint(1, 20))]
        yield sorted_book(bids, asks, chance.randint(LIMITS.feed_in_price, LIMITS.retail_price))


# Disturbances


def withheld(book: Book, side: str, chance: random.Random) -> tuple[Book, Order]:
    """The book with one Wh less of one order, and that order as it was."""
    orders = list(getattr(book, side))
    place = chance.randrange(len(orders))
    whole = orders[place]
    orders[place] = replace(whole, quantity=whole.quantity - 1)
    kept = tuple(order for order in orders if order.quantity)
    return replace(book, **{side: kept}), whole


def added(book: Book, side: str) -> Book:
    """The book with 100 Wh more on a side, at the limit that is best for whoever adds them."""
    price = LIMITS.feed_in_price if side == "asks" else LIMITS.retail_price
    order = Order(price, 100, 999)
    bids, asks = [*book.bids], [*book.asks]
    (bids if side == "bids" else asks).append(order)
    return sorted_book(bids, asks, book.reference)


def gain(rule: Rule, book: Book, changed: Book, side: str, whole: Order) -> float:
    """What withholding one Wh brings its member, valued at its own limit, micro-credit."""
    values = []
    for each in (book, changed):
        outcome = clear(each.bids, each.asks, each.reference)
        if not outcome.volume:
            values.append(0.0)
            continue
        price = rule(each.bids, each.asks, each.reference)
        # filled at the reference clearing's fills, which every rule shares
        fills = outcome.bid_fills if side == "bids" else outcome.ask_fills
        orders = each.bids if side == "bids" else each.asks
        filled = sum(fill for fill, order in zip(fills, orders, strict=True) if order.member == whole.member)
        margin = whole.price - price if side == "bids" else price - whole.price
        values.append(filled * margin / 1000)
    return values[1] - values[0]


def disturb(rule: Rule, books: Sequence[Book], seed: int) -> dict[str, dict[str, float]]:
    """How each disturbance moves the price over books that trade."""
    found: dict[str, dict[str, float]] = {}
    for name, side, add in (
        ("ask_withheld", "asks", False),
        ("bid_withheld", "bids", False),
        ("ask_added", "asks", True),
        ("bid_added", "bids", True),
    ):
        numbers = chance(seed)
        steps, gains = [], []
        for book in books:
            whole = None
            if add:
                changed = added(book, side)
            else:
                changed, whole = withheld(book, side, numbers)
            if not equilibrium(changed.bids, changed.asks)[0]:
                continue
            before, after = (rule(each.bids, each.asks, each.reference) for each in (book, changed))
            steps.append(abs(after - before))
            if whole is not None:
                gains.append(gain(rule, book, changed, side, whole))
        found[name] = {
            "moved": 1000 * sum(step > 0 for step in steps) // len(steps),
            "flips": 1000 * sum(step * 4 > RANGE for step in steps) // len(steps),
            "mean": round(mean(steps)),
            "greatest": max(steps),
        }
        if gains:
            found[name] |= {"gain_mean": round(mean(gains)), "gain_greatest": round(max(gains))}
    return found


def chance(seed: int) -> random.Random:
    """Random numbers that are the same on every run."""
    return random.Random(seed)  # noqa: S311 - a measurement, to be repeated


def month(rule: str) -> tuple[dict[str, float], list[Book]]:
    """The month's figures under a rule, and its books that trade."""
    prices, books, bought, sold = [], [], 0, 0
    for book, volume, price in campus_month(rule):
        if not volume:
            continue
        prices.append(price)
        books.append(book)
        for side, sign in ((book.bids, 1), (book.asks, -1)):
            left = volume
            for order in side:
                filled = min(left, order.quantity)
                left -= filled
                if sign > 0:
                    bought += filled * (order.price - price)
                else:
                    sold += filled * (price - order.price)
    steps = [abs(after - before) for before, after in pairwise(prices)]
    figures = {
        "trading_epochs": len(prices),
        "distinct_prices": len(set(prices)),
        "mean_price": round(mean(prices)),
        "mean_step": round(mean(steps)),
        "flips_per_1000": 1000 * sum(step * 4 > RANGE for step in steps) // len(steps),
        "buyers_share_per_1000": 1000 * bought // (bought + sold),
    }
    return figures, books


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description="How the price moves under four rules.")
    parser.add_argument("--books", type=int, default=5_000, help="random books (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    random_, lots = (
        [
            book
            for book in random_books(arguments.books, chance(arguments.seed), lot)
            if equilibrium(book.bids, book.asks)[0]
        ]
        for lot in (1, LOT)
    )
    result = {}
    for name, rule in RULES.items():
        figures, books = month(name)
        result[name] = {
            "month": figures,
            "campus": disturb(rule, books, arguments.seed),
            "random": disturb(rule, random_, arguments.seed),
            "lots": disturb(rule, lots, arguments.seed),
        }
    print(
        json.dumps(
            {"range": RANGE, "random_books": len(random_), "books_in_lots": len(lots), "rules": result}, indent=2
        )
    )


if __name__ == "__main__":
    main()
