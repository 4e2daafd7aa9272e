"""Orders by hand as members ask for them: each request is answered, and no two views of a book differ by one member."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from packed_accounts import packed
from solders.keypair import Keypair

from authority.api.campus_source import Book, ChainFigures, StoreCampusSource
from authority.api.hand_orders import SHOWN_EPOCHS, HandOrders, proposed
from authority.api.paging import AT_ONCE
from authority.app import App
from authority.chain.accounts import BookStatus, EpochBook, Order
from authority.market import hand_orders
from authority.market.hand_orders import MOST_AN_EPOCH, PLACE, Wish
from authority.market.open_book import OpenBook
from authority.people.roles import MemberAccount, Principal
from authority.settlement.snapshot import OrderView
from authority.store.people import User

STEP = 900


@pytest.fixture
def store_url() -> str:
    return ""


class OneBook:
    """A chain whose running book has an ask of each of the first members."""

    def __init__(self, epoch: int) -> None:
        self.epoch, self.sellers = epoch, 0

    def asks(self) -> list[OrderView]:
        return [OrderView(False, 100_000, n, 80 + n, 0, n, False) for n in range(self.sellers)]

    def raw_account(self, address: object) -> object:
        return address

    def account_data(self, kind: type, address: object, raw: object) -> bytes:
        head = packed(
            EpochBook, status=int(BookStatus.OPEN), epoch=self.epoch, cutoff_at=(self.epoch + 1) * STEP,
            ask_count=self.sellers, capacity=10,
        )  # fmt: skip
        asks = (Order.FORMAT.pack(each.price, each.number, each.quantity, 0, each.member) for each in self.asks())
        return head + bytes(10 * Order.FORMAT.size) + b"".join(asks).ljust(10 * Order.FORMAT.size, b"\0")

    def figures(self, epoch: int) -> ChainFigures:
        return ChainFigures("embedded", 1, 0, None, Book(epoch, 0, self.sellers, tuple(self.asks())))

    def close(self) -> None:
        pass


def member(app: App) -> tuple[Principal, MemberAccount]:
    with app.store.write() as session:
        user = User(name="Flat 1", building="Flats", wallet=str(Keypair().pubkey()), member_index=1)
        session.add(user)
        session.flush()
        its = MemberAccount(user.id, user.name, user.wallet)
    return Principal(1, "person-1", its.name, frozenset({"member"}), its, "s"), its


def nobody() -> Any:
    raise AssertionError("an order that is known asks no chain")


def test_a_request_sent_again_is_answered_however_many_or_old_the_orders_are(app: App, clock: Any) -> None:
    who, its = member(app)
    epoch, order = clock.now // STEP, proposed("ask", 120_000, 500)
    hand = HandOrders(app, nobody, OpenBook(app.store))
    wish = Wish(PLACE, epoch, order.side, order.price, order.quantity)
    assert MOST_AN_EPOCH > AT_ONCE
    with app.store.write() as session:
        for n in range(MOST_AN_EPOCH):
            hand_orders.ask(session, its.id, wish, f"order number {n}", by="person-1", now=clock.now)
    given = [hand.place(who, its, order, f"order number {n}") for n in range(MOST_AN_EPOCH)]
    assert len({each.id for each in given}) == MOST_AN_EPOCH
    assert [each.id for each in hand.given(its).orders] == [each.id for each in reversed(given)][:AT_ONCE]
    clock.now += (SHOWN_EPOCHS + 1) * STEP
    assert hand.given(its, epochs=SHOWN_EPOCHS).orders == ()
    assert hand.place(who, its, order, "order number 0") == given[0]


def test_members_see_of_the_running_book_what_the_public_page_shows(
    app: App, clock: Any, add_meter: Callable[..., Any]
) -> None:
    """Whoever looks later sees the same: the difference would be what a single member ordered meanwhile."""
    add_meter()
    chain = OneBook(clock.now // STEP)
    source = StoreCampusSource(app, chain)
    hand = HandOrders(app, lambda: chain, OpenBook(app.store))  # type: ignore[arg-type, return-value]
    public, members = [], []
    for chain.sellers in (2, 3, 4, 5, 6):
        public.append(source.now(0).epoch.ask_wh)
        if chain.sellers > 3:
            members.append(sum(each.quantity_wh for each in hand.book().asks or ()))
    assert public == [None, 243, 243, 243, 495]
    assert members == public[2:]
