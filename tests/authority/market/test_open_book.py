"""What is shown of an open book: no two looks differ by one or two members, whichever process each look comes from."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from authority.app import App
from authority.market.disclosure import Ordered, may_tell
from authority.market.open_book import KEPT_EPOCHS, BookOrder, OpenBook
from authority.store import Store
from authority.store.market import ShownBook

PUBLIC = frozenset({8, 9})
EPOCHS = itertools.count(1_000)


@dataclass(frozen=True)
class Placed:
    is_bid: bool
    price: int
    quantity: int
    member: int


BOOKS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.lists(st.builds(Placed, st.booleans(), st.integers(1, 2), st.integers(1, 2), st.integers(0, 9)), max_size=9),
    ),
    max_size=8,
)


@pytest.fixture
def two(app: App) -> Iterator[list[OpenBook]]:
    """The open book in two processes: each has an engine of its own over the one database."""
    stores = [Store.open(app.home.store_url) for _ in range(2)]
    yield [OpenBook(store) for store in stores]
    for store in stores:
        store.close()


@given(BOOKS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
def test_no_two_looks_differ_by_one_or_two_members_whoever_shows_them(
    two: list[OpenBook], books: list[tuple[int, list[Placed]]]
) -> None:
    epoch, before = next(EPOCHS), None
    for now, (process, orders) in enumerate(books):
        told = two[process].shown(epoch, orders, PUBLIC, now)
        assert two[1 - process].shown(epoch, orders, PUBLIC, now) == told, "both show the same"
        if told is None:
            assert before is None
            continue
        for is_bid in (True, False):
            its = parts(told[1], is_bid)
            assert may_tell(its, PUBLIC)
            old = parts(before, is_bid) if before is not None else {}
            assert may_tell((each for each in old.keys() | its.keys() if old.get(each) != its.get(each)), PUBLIC)
        before = told[1]
    assert two[0].shown(next(EPOCHS), [Placed(True, 1, 1, 0)], PUBLIC, 9) is None, (
        "another epoch's book is not shown for this one's"
    )


def parts(orders: Sequence[Ordered], is_bid: bool) -> dict[int, list[Ordered]]:
    found: dict[int, list[Ordered]] = {}
    for order in orders:
        if order.is_bid == is_bid:
            found.setdefault(order.member, []).append(order)
    return found


def bids(*members: int, price: int = 1) -> list[Placed]:
    return [Placed(True, price, 100, member) for member in members]


def test_a_process_that_starts_again_goes_on_with_what_was_shown(app: App, two: list[OpenBook]) -> None:
    """A state in memory would begin anew, and the difference to the last look would be one member's order."""
    assert two[0].shown(7, bids(1, 2, 3), PUBLIC, 10) == (10, tuple(map(order, bids(1, 2, 3))))
    again = OpenBook(app.store)
    assert again.shown(7, bids(1, 2, 3, 4), PUBLIC, 20) == (10, tuple(map(order, bids(1, 2, 3))))
    assert again.shown(7, bids(1, 2, 3, 4, 5, 6), PUBLIC, 30) == (30, tuple(map(order, bids(1, 2, 3, 4, 5, 6))))
    assert two[1].shown(7, bids(1, 2, 3), PUBLIC, 40) == (40, tuple(map(order, bids(1, 2, 3))))


def order(placed: Placed) -> BookOrder:
    return BookOrder(placed.is_bid, placed.price, placed.quantity, placed.member)


def test_a_process_that_is_an_epoch_behind_makes_no_book_begin_anew(app: App, two: list[OpenBook]) -> None:
    assert two[0].shown(7, bids(1, 2, 3), PUBLIC, 10) is not None
    assert two[0].shown(8, bids(1, 2, 3), PUBLIC, 20) is not None
    assert two[1].shown(7, bids(1, 2, 3, 4), PUBLIC, 21) == (10, tuple(map(order, bids(1, 2, 3))))
    assert two[0].shown(8, bids(1, 2, 3, 4), PUBLIC, 22) == (20, tuple(map(order, bids(1, 2, 3))))
    assert two[0].shown(7 + KEPT_EPOCHS, bids(1, 2, 3), PUBLIC, 30) is not None
    assert two[1].shown(7, bids(1, 2, 3, 4), PUBLIC, 31) is None, "what was shown of it is forgotten"
    with app.store.read() as session:
        assert sorted(session.scalars(select(ShownBook.epoch))) == [8, 7 + KEPT_EPOCHS]


def test_many_at_once_show_one_history(two: list[OpenBook]) -> None:
    """Two processes with four threads each race with books that differ by three members: all looks are of one row."""
    looks: list[tuple[int, ...]] = []
    start = threading.Barrier(8)

    def look(number: int) -> None:
        start.wait()
        for step in range(6):
            members = range(3 * ((number + step) % 3) + 3)
            told = two[number % 2].shown(7, bids(*members), frozenset(), step)
            if told is not None:
                looks.append(tuple(each.member for each in told[1]))

    threads = [threading.Thread(target=look, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert looks
    assert {len(each) for each in looks} <= {3, 6, 9}


PROCESS = """
import json, sys
from dataclasses import dataclass
from authority.market.open_book import BookOrder, OpenBook
from authority.store import Store
store = Store.open(sys.argv[1])
told = OpenBook(store).shown(7, [BookOrder(True, 1, 100, each) for each in json.loads(sys.argv[2])], frozenset(), 50)
print(json.dumps(None if told is None else [told[0], [each.member for each in told[1]]]))
"""


def test_two_real_processes_share_it(app: App) -> None:
    def ask(*members: int) -> object:
        words = [sys.executable, "-c", PROCESS, app.home.store_url, json.dumps(members)]
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
        return json.loads(done.stdout)

    assert ask(1, 2) is None
    assert OpenBook(app.store).shown(7, bids(1, 2, 3), frozenset(), 10) is not None
    assert ask(1, 2, 3, 4) == [10, [1, 2, 3]]
    assert ask(1, 2, 3, 4, 5, 6) == [50, [1, 2, 3, 4, 5, 6]]
