"""Lists that grow, read page by page while new rows arrive: each row once, the newest first, and nobody else's."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from packed_accounts import paid_book
from people_site import build
from sample_month import issue
from statements import executed

from authority.app import App
from authority.log import log
from authority.market import hand_orders
from authority.market.book_leaf import book_leaf
from authority.market.hand_orders import PLACE, Wish
from authority.people.roles import MEMBER
from authority.settlement import day_sums
from authority.store.people import User
from authority.store.settlement import SettlementEpoch

STEP, DAY = 900, 86_400


@pytest.fixture
def site(app: App) -> Any:
    return build(app)


@pytest.fixture
def pages(site: Any) -> Callable[[str, str], Iterator[list[dict[str, Any]]]]:
    """The pages of a list of the member, one after another."""
    client = site.client(MEMBER)
    client.environ_base["HTTP_ACCEPT"] = "application/json"

    def walked(path: str, name: str) -> Iterator[list[dict[str, Any]]]:
        cursor: str | None = ""
        while cursor is not None:
            answer = client.get(path + (f"?cursor={cursor}" if cursor else ""))
            assert answer.status_code == 200, answer.text
            yield answer.json[name]
            cursor = answer.json["next"]

    return walked


def test_bills_are_paged_while_new_ones_are_issued(site: Any, pages: Any) -> None:
    wallets = {name: user.wallet for name, user in site.members.items()}
    for number in range(1, 162):
        issue(site.app, wallets["Dormitory B" if number % 3 == 0 else "Dormitory A"], number)
    own = [number for number in range(161, 0, -1) if number % 3]
    told, later = [], 200
    with executed(site.app.store.engine) as statements:
        for page in pages("/api/v1/me/bills", "bills"):
            assert page
            assert len(page) <= 50
            told += [bill["number"] for bill in page]
            assert {bill["payment_state"] for bill in page} == {"open"}
            issue(site.app, wallets["Dormitory A"], later)
            later += 1
    assert told == own
    assert later == 200 + 3
    assert [text for text in statements.growing(site.app.store.engine) if "bills" in text] == []
    assert f"before={own[46]}" in site.client(MEMBER).get("/me/bills").text
    assert [each["number"] for each in next(pages("/api/v1/me/bills", "bills"))[:2]] == [202, 201]


def test_orders_by_hand_are_paged_while_new_ones_are_given(site: Any, pages: Any) -> None:
    ids = {name: user.id for name, user in site.members.items()}
    epoch = site.app.clock() // STEP
    count = 0

    def give(of: str, in_epoch: int) -> int:
        nonlocal count
        count += 1
        wish = Wish(PLACE, in_epoch, 0, 120_000, 100 + count)
        with site.app.store.write() as session:
            return hand_orders.ask(session, ids[of], wish, f"number {count}", by="t", now=site.app.clock()).id

    own = [give("Dormitory A", epoch - 200 + n // 7) for n in range(120) if give("Dormitory B", epoch - n)]
    told = []
    for page in pages("/api/v1/me/orders/by-hand", "orders"):
        told += [order["id"] for order in page]
        give("Dormitory A", epoch)
        give("Dormitory A", epoch - 200)  # one of an old book that is noted late has its place there
    assert [each for each in told if each in own] == own[::-1]
    assert len(told) == len(set(told))
    client = site.client(MEMBER)
    for cursor in (10**9, own[0] + 1 if own[0] + 1 not in own else own[0] - 1):  # nobody's, and another member's
        assert client.get(f"/api/v1/me/orders/by-hand?cursor={cursor}").json == {"orders": [], "next": None}


def book(site: Any, epoch: int, *sides: list[tuple[int, int]]) -> None:
    with site.app.store.write() as session:
        leaf = log.append(session, book_leaf(paid_book(epoch, 200_000, *sides)))
        session.add(
            SettlementEpoch(
                epoch=epoch, state="checkpointed", first_seen_ms=0, book_log_index=leaf, checkpointed_ms=1
            )
        )  # fmt: skip


def test_fills_are_paged_while_new_books_are_cleared(site: Any, pages: Any) -> None:
    """Of days whose trades are summed, and of those that are not yet; an epoch is never divided."""
    now, chance = site.app.clock(), random.Random(3)  # noqa: S311 - orders, not keys
    index = 1
    with site.app.store.write() as session:
        session.get_one(User, site.members["Dormitory A"].id).member_index = index
        session.get_one(User, site.members["Dormitory B"].id).member_index = index + 1
    made: list[int] = []
    for day in (9, 6, 5, 2, 1, 0):
        for epoch in range((now - day * DAY) // STEP - 20, (now - day * DAY) // STEP):
            mine = [(index, chance.randrange(1, 500)) for _ in range(chance.randrange(3))]
            book(site, epoch, [*mine, (index + 1, 100)], [(index + 1, 700)])
            made += [epoch] * len(mine)
    zone, later = ZoneInfo(site.app.home.settings.site.zone), now // STEP
    for _ in range(3):  # first from books alone, then from the sums of more and more days
        told: list[int] = []
        sizes: list[int] = []
        for page in pages("/api/v1/me/fills", "fills"):
            told += [fill["epoch"] for fill in page]
            sizes.append(len(page))
            book(site, later, [(index, 1)], [(index + 1, 1)])
            site.app.clock.now, later = (later + 1) * STEP, later + 1
        assert told == made[::-1]
        assert len(sizes) > 2
        assert all(50 <= size < 53 for size in sizes[:-1])
        made += range(later - len(sizes), later)
        day_sums.keep(site.app.store, zone, STEP, 0)
    with executed(site.app.store.engine) as statements:
        assert len(next(pages("/api/v1/me/fills", "fills"))) >= 50
    assert statements.growing(site.app.store.engine) == []
