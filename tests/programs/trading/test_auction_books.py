"""The auction on the chain against the definitions, on thousands of random books.

Books are put in place as accounts, many to a transaction, and cleared by the built program. AUCTION_BOOKS sets how
many random books there are (100,000 unless set, which take about 15 s), AUCTION_LARGE_BOOKS and AUCTION_LARGE_SEED
how many of up to 4,096 orders a side, and which. The crate's own tests, in Rust, compare the
same algorithm with definitions of their own on as many.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import pytest
from campus import EPOCH_SECONDS, idl
from solders.account import Account
from solders.pubkey import Pubkey
from trading_world import EPOCH, FINAL, MARKET, SEATS, SIDE, Book, TradingWorld
from trading_world import Order as Resting

from authority.market.clearing import Order, allocate, buyer_pays, clear, escrow_of_bid, seller_gets

BOOKS = int(os.environ.get("AUCTION_BOOKS", "100000"))
LARGE_BOOKS = int(os.environ.get("AUCTION_LARGE_BOOKS", "12"))
LARGE_SEED = int(os.environ.get("AUCTION_LARGE_SEED", "4096"))
PER_TRANSACTION = 40
U32 = 2**32 - 1
WHEELING, FEE, MEMBERS = 20_000, 50, 9


@dataclass(frozen=True)
class Cleared:
    """What the program made of a book."""

    price: int
    volume: int
    lowest: int
    highest: int
    bid_fills: tuple[int, ...]
    ask_fills: tuple[int, ...]
    fees: int = 0


class Clearer:
    """Clears and pays books by the dozen in one LiteSVM."""

    def __init__(self, orders_per_side: int = SIDE) -> None:
        self.world = TradingWorld(orders_per_side=orders_per_side)
        self.world.open()
        self.template = self.world.book()
        # Each book follows the one before it: all are of one epoch, and cleared after it.
        self.template.fields |= {"min_reference_volume": U32, "previous": EPOCH}
        self.market = self.world.market() | {"settled_epoch": EPOCH}
        self.world.set_time((EPOCH + 1) * EPOCH_SECONDS)
        self.places = [Pubkey.from_bytes(number.to_bytes(32, "big")) for number in range(1, PER_TRANSACTION + 1)]
        self.lamports = self.world.svm.minimum_balance_for_rent_exemption(len(self.template.data))

    def clear(
        self, books: Sequence[tuple[Sequence[Order], Sequence[Order]]], reference: int, *, wheeling: int = WHEELING
    ) -> list[Cleared]:
        """Clear and pay up to PER_TRANSACTION books at once, at that reference price; seats get what is due."""
        program = idl("trading")
        market = program.encode_account("Market", self.market | {"reference_price": reference})
        self.world.put(MARKET, program.program_id, market)
        seats = program.encode_account("Seats", self.world.seats_head() | {"credit_held": 2**63, "fees": 0})
        self.world.put(SEATS, program.program_id, seats + bytes(len(self.world.data(SEATS)) - len(seats)))
        for place, (bids, asks) in zip(self.places, books, strict=False):
            data = self.encode(bids, asks, wheeling)
            self.world.svm.set_account(place, Account(self.lamports, data, program.program_id, False, 0))
        places = self.places[: len(books)]
        self.world.send(*(self.world.clear_instruction(book=place) for place in places))
        found = [self.decode(self.world.data(place)) for place in places]
        energy, credits_ = Counter[int](), Counter[int]()
        for (bids, asks), cleared in zip(books, found, strict=True):
            due(energy, credits_, bids, asks, cleared, wheeling)
        for member, seat in enumerate(self.world.seats()[:MEMBERS]):
            assert (seat.energy, seat.credit) == (energy[member], credits_[member])
        assert self.world.seats_head()["fees"] == sum(cleared.fees for cleared in found)
        return found

    def encode(self, bids: Sequence[Order], asks: Sequence[Order], wheeling: int) -> bytes:
        """A book's account: the template's parameters, these orders, no reference price moved."""
        book = Book(self.template.data)
        book.fields = self.template.fields | {"wheeling": wheeling}
        book.put(
            [Resting(order.price, n, order.quantity, 0, order.member) for n, order in enumerate(bids)],
            [Resting(order.price, len(bids) + n, order.quantity, 0, order.member) for n, order in enumerate(asks)],
        )
        return book.to_bytes()

    @staticmethod
    def decode(data: bytes) -> Cleared:
        """The outcome in a book's account."""
        book = Book(data)
        assert book.status == FINAL
        return Cleared(
            *(int(book.fields[name]) for name in ("price", "volume", "lowest_price", "highest_price")),
            tuple(order.filled for order in book.bids),
            tuple(order.filled for order in book.asks),
            int(book.fields["fees"]),
        )


def due(
    energy: Counter[int],
    credits_: Counter[int],
    bids: Sequence[Order],
    asks: Sequence[Order],
    cleared: Cleared,
    wheeling: int,
) -> None:
    """Add what each member is due of a book: what it bought, did not sell, earned, and locked too much."""
    for order, filled in zip(bids, cleared.bid_fills, strict=True):
        energy[order.member] += filled
        locked = escrow_of_bid(order.quantity, order.price, wheeling)
        credits_[order.member] += locked - buyer_pays(filled, cleared.price, wheeling)
    for order, filled in zip(asks, cleared.ask_fills, strict=True):
        energy[order.member] += order.quantity - filled
        credits_[order.member] += seller_gets(filled, cleared.price, FEE)


@cache
def clearer() -> Clearer:
    """One for the whole module: every book is put in place anew."""
    return Clearer()


def sort(bids: list[Order], asks: list[Order]) -> tuple[list[Order], list[Order]]:
    """Best first, equal prices in order of arrival."""
    return sorted(bids, key=lambda order: -order.price), sorted(asks, key=lambda order: order.price)


def by_definition(bids: Sequence[Order], asks: Sequence[Order], reference: int, top: int) -> tuple[int, int, int, int]:
    """Price, volume and the interval, by trying every price up to `top`: zeroes where nothing trades."""
    prices = range(top + 1)
    demand = {price: sum(order.quantity for order in bids if order.price >= price) for price in prices}
    supply = {price: sum(order.quantity for order in asks if order.price <= price) for price in prices}
    volume = max(min(demand[price], supply[price]) for price in prices)
    if volume == 0:
        return 0, 0, 0, 0
    clearing = [
        price
        for price in prices
        if min(demand[price], supply[price]) == volume
        and sum(order.quantity for order in bids if order.price > price) <= volume
        and sum(order.quantity for order in asks if order.price < price) <= volume
    ]
    return min(clearing, key=lambda price: abs(price - reference)), volume, clearing[0], clearing[-1]


def fair_fills(orders: Sequence[Order], volume: int, price: int, sign: int) -> tuple[int, ...]:
    """Better orders whole, those at the price by largest remainders, worse ones nothing."""
    if volume == 0:
        return (0,) * len(orders)
    whole = sum(order.quantity for order in orders if sign * (order.price - price) > 0)
    shares = iter(allocate([order.quantity for order in orders if order.price == price], volume - whole))
    return tuple(
        order.quantity if sign * (order.price - price) > 0 else next(shares) if order.price == price else 0
        for order in orders
    )


def check(
    bids: Sequence[Order], asks: Sequence[Order], found: Cleared, *, wheeling: int = WHEELING, fee: int = FEE
) -> None:
    """What holds for every outcome: balance of energy and money, and nobody worse off than its limit."""
    assert sum(found.bid_fills) == sum(found.ask_fills) == found.volume
    assert found.lowest <= found.price <= found.highest
    paid = earned = 0
    for order, filled in zip(bids, found.bid_fills, strict=True):
        assert filled == 0 or found.price <= order.price
        pays = buyer_pays(filled, found.price, wheeling)
        assert pays <= escrow_of_bid(order.quantity, order.price, wheeling)
        paid += pays
    for order, filled in zip(asks, found.ask_fills, strict=True):
        assert filled == 0 or found.price >= order.price
        earned += seller_gets(filled, found.price, fee)
    assert found.fees == paid - earned >= 0


def random_side(source: random.Random, most: int, prices: int, quantities: int) -> list[Order]:
    """Orders at prices 1 to `prices`."""
    return [
        Order(source.randint(1, prices), source.randint(1, quantities), source.randrange(5))
        for _ in range(source.randint(0, most))
    ]


@pytest.mark.slow
def test_random_books_clear_by_the_definition() -> None:
    source = random.Random(20260619)  # noqa: S311 - test data
    for start in range(0, BOOKS, PER_TRANSACTION):
        prices = source.randint(1, 14)
        quantities = source.choice((1, 2, 3, 10, 40))
        reference = source.randint(1, prices + 3)
        books = [
            sort(random_side(source, 9, prices, quantities), random_side(source, 9, prices, quantities))
            for _ in range(min(PER_TRANSACTION, BOOKS - start))
        ]
        for (bids, asks), found in zip(books, clearer().clear(books, reference), strict=True):
            expected = by_definition(bids, asks, reference, prices + 3)
            assert (found.price, found.volume, found.lowest, found.highest) == expected, (bids, asks, reference)
            assert found.bid_fills == fair_fills(bids, found.volume, found.price, 1)
            assert found.ask_fills == fair_fills(asks, found.volume, found.price, -1)
            check(bids, asks, found)


@pytest.mark.parametrize("seed", range(6))
def test_full_books_clear_like_the_reference(seed: int) -> None:
    source = random.Random(seed)  # noqa: S311 - test data
    prices = (1, 3, 40, 1_000, 300_000, 10**9)[seed]
    quantities = (U32 // 512, 8, 1_000_000, 2, 65_537, 4_000)[seed]
    books = []
    for _ in range(4):
        bids = [Order(source.randint(1, prices), source.randint(1, quantities), number % 9) for number in range(SIDE)]
        asks = [Order(source.randint(1, prices), source.randint(1, quantities), number % 9) for number in range(SIDE)]
        books.append(sort(bids, asks))
    reference = source.randint(1, prices)
    for (bids, asks), found in zip(books, clearer().clear(books, reference), strict=True):
        expected = clear(bids, asks, reference)
        assert (found.price, found.volume) == (expected.price, expected.volume)
        assert (found.bid_fills, found.ask_fills) == (expected.bid_fills, expected.ask_fills)
        check(bids, asks, found)


def test_one_sided_and_uncrossed_books_trade_nothing() -> None:
    books = [
        ([], []),
        ([Order(9, 5)], []),
        ([], [Order(9, 5)]),
        ([Order(9, 5)], [Order(10, 5)]),
        ([Order(9, 5)] * SIDE, [Order(10, 5)] * SIDE),
    ]
    for (bids, asks), found in zip(books, clearer().clear(books, 7), strict=True):
        assert found == Cleared(0, 0, 0, 0, (0,) * len(bids), (0,) * len(asks))


def test_the_interval_and_the_nearest_price() -> None:
    books = [
        ([Order(10, 5)], [Order(4, 5)]),  # both exhausted: [4, 10]
        ([Order(10, 5), Order(6, 1)], [Order(4, 5)]),  # the next bid raises it: [6, 10]
        ([Order(10, 5)], [Order(4, 5), Order(7, 1)]),  # the next ask lowers it: [4, 7]
        ([Order(10, 6)], [Order(4, 5)]),  # a rest of the bid counts as next: 10
        ([Order(10, 5)], [Order(4, 6)]),  # a rest of the ask counts as next: 4
    ]
    intervals = [(4, 10), (6, 10), (4, 7), (10, 10), (4, 4)]
    for reference in (1, 5, 8, 20):
        for found, (lowest, highest) in zip(clearer().clear(books, reference), intervals, strict=True):
            assert (found.volume, found.lowest, found.highest) == (5, lowest, highest)
            assert found.price == min(max(reference, lowest), highest)


def test_the_bounds_of_u32() -> None:
    books = [
        ([Order(U32, U32)], [Order(1, U32)]),
        ([Order(U32, U32 - 1), Order(U32, 1)], [Order(U32, U32 - 2)]),
        ([Order(U32, 1)] * SIDE, [Order(U32, 511)]),
        ([Order(5, U32 // SIDE)] * SIDE, [Order(5, U32 // SIDE * SIDE - 1)]),
    ]
    for (bids, asks), found in zip(books, clearer().clear(books, 77, wheeling=0), strict=True):
        expected = clear(bids, asks, 77)
        assert (found.price, found.volume) == (expected.price, expected.volume)
        assert (found.bid_fills, found.ask_fills) == (expected.bid_fills, expected.ask_fills)


def test_equal_remainders_go_by_book_order() -> None:
    books = [
        ([Order(5, 1)] * 3, [Order(5, 2)]),
        ([Order(5, 5), Order(5, 3), Order(5, 2)], [Order(5, 5)]),
        ([Order(5, 7)], [Order(5, 3)] * 5),
        ([Order(9, 4), Order(5, 3), Order(5, 3)], [Order(2, 5)]),
    ]
    fills = [found.bid_fills + found.ask_fills for found in clearer().clear(books, 5)]
    assert fills == [(1, 1, 0, 2), (3, 1, 1, 5), (7, 2, 2, 1, 1, 1), (4, 1, 0, 5)]


@pytest.mark.slow
def test_large_books_clear_like_the_reference() -> None:
    """Up to 4,096 orders a side, in one transaction: full ones, one-sided ones, of one price and of many."""
    source = random.Random(LARGE_SEED)  # noqa: S311 - test data
    large = Clearer(4_096)
    for number in range(LARGE_BOOKS):
        prices = (1, 40, 300_000, 3)[number % 4]
        quantities = source.choice((1, 8, U32 // 4_096))
        sizes = (4_096, 4_096) if number < 3 else (source.randint(1, 4_096), source.choice((4_096, 50, 0)))
        sides = (
            [Order(source.randint(1, prices), source.randint(1, quantities), n % MEMBERS) for n in range(size)]
            for size in sizes
        )
        book = sort(*sides)
        reference = source.randint(1, prices + 3)
        found = large.clear([book], reference)[0]
        expected = clear(*book, reference)
        assert (found.price, found.volume) == (expected.price, expected.volume)
        assert (found.bid_fills, found.ask_fills) == (expected.bid_fills, expected.ask_fills)
        check(*book, found)
