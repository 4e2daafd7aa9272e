"""Orders by hand on real programs: asked for without a key, placed once, taken back, filled; refused in plain words."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from campus_people import account, who
from sqlalchemy import select
from statements import executed
from whole_campus import persist

from authority.api.hand_orders import (
    BookClosedError,
    HandOrderInvalidError,
    HandOrders,
    HandOrderUnfundedError,
    NotInCustodyError,
    proposed,
)
from authority.audit.conservation import conservation
from authority.chain import programs
from authority.chain.accounts import EpochBook, Order
from authority.chain.client import ChainClient
from authority.log import log
from authority.market import hand_orders
from authority.market.book_leaf import book_of_leaf
from authority.market.hand_orders import HandOrderKeyUsedError
from authority.market.open_book import OpenBook
from authority.market.standing_orders import StandingOrder
from authority.people.roles import MemberAccount
from authority.store.log import Act
from authority.store.market import HandOrderRow
from authority.store.people import User

CREDIT = 10**9
SELL, BUY = proposed("ask", 120_000, 1_000), proposed("bid", 250_000, 600)


def by_hand(campus: Any) -> HandOrders:
    return HandOrders(
        campus.app, lambda: ChainClient(campus.validator.url, attempts=2, timeout=10), OpenBook(campus.app.store)
    )


@pytest.fixture
def trading(campus: Any) -> tuple[Any, Any, HandOrders]:
    """A campus in an epoch whose book is open, where A and B hold energy, and C and D credits; nobody trades."""
    worker = campus.worker()
    for name in "CD":
        campus.issue_credit(name, CREDIT)
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    return campus, worker, by_hand(campus)


def states(hand: HandOrders, its: MemberAccount) -> list[str]:
    return [each.state for each in hand.given(its).orders]


def test_an_order_is_asked_for_placed_taken_back_and_filled(trading: Any) -> None:
    campus, worker, hand = trading
    a, d = account(campus, "A"), account(campus, "D")
    preview = hand.preview(d, BUY)
    assert (preview.locks_wh, preview.locks_micro_credits) == (0, preview.most_micro_credits)
    assert preview.least_micro_credits < preview.most_micro_credits
    assert preview.free_micro_credits == CREDIT
    with campus.app.store.read() as session:
        before = log.size(session)
    asked = hand.place(who(a), a, SELL, "first of mine")
    assert hand.place(who(a), a, SELL, "first of mine").id == asked.id, "sent again, it is asked for once"
    with pytest.raises(HandOrderKeyUsedError):
        hand.place(who(a), a, proposed("ask", 130_000, 1_000), "first of mine")
    with campus.app.store.read() as session:
        assert log.size(session) == before + 1
        act = session.scalar(select(Act).where(Act.kind == "order_asked"))
        assert (act.actor, act.data["wallet"], act.data["quantity"]) == ("person-a", a.wallet, 1_000)
    hand.place(who(d), d, BUY, "d buys this")
    hand.place(who(a), a, proposed("ask", 140_000, 500), "another one")
    assert states(hand, a) == ["waiting", "waiting"]
    assert campus.book(campus.epoch).ask_count == 0
    worker.settle_down()
    assert states(hand, a) == ["placed", "placed"]
    assert (campus.book(campus.epoch).bid_count, campus.book(campus.epoch).ask_count) == (1, 2)
    second = next(order.number for order in orders_in_the_book(campus) if order.price == 140_000)
    assert hand.cancel(who(a), a, second).state == "waiting"
    assert hand.cancel(who(a), a, second).id == hand.given(a).orders[0].id, "asked for twice, it is done once"
    worker.settle_down()
    assert states(hand, a) == ["taken_back", "placed", "placed"]
    assert campus.book(campus.epoch).ask_count == 1
    assert hand.place(who(a), a, SELL, "first of mine").state == "placed"
    campus.run_epoch(worker)
    assert states(hand, a) == ["taken_back", "taken_back", "partly_filled"]
    (bought,) = hand.given(d).orders
    sold = hand.given(a).orders[-1]
    assert (bought.state, bought.filled_wh, sold.filled_wh) == ("filled", 600, 600)
    assert campus.credit("D") == CREDIT - bought.amount_micro_credits
    assert campus.credit("A") == sold.amount_micro_credits
    with campus.app.store.read() as session:
        data = book_of_leaf(log.leaf(session, bought.book_leaf))
    assert EpochBook.from_account(data).epoch == bought.epoch
    assert hand.place(who(a), a, SELL, "first of mine").state == "partly_filled", (
        "its book is over, and it stays that one"
    )
    assert conservation(campus.client).ok
    assert campus.audit() == 0


def orders_in_the_book(campus: Any) -> list[Order]:
    data = bytes(campus.client.raw_account(programs.book_address(campus.epoch)).data)
    head = EpochBook.from_account(data)
    asks_at = EpochBook.size() + head.capacity * Order.FORMAT.size
    return [*Order.array(data, EpochBook.size(), head.bid_count), *Order.array(data, asks_at, head.ask_count)]


def test_what_cannot_be_is_refused_before_it_is_kept(trading: Any) -> None:
    campus, _, hand = trading
    a, d = account(campus, "A"), account(campus, "D")
    head = campus.book(campus.epoch)
    for order, error, words in (
        (proposed("bid", head.retail_price + 1, 600), HandOrderInvalidError, "a limit lies between"),
        (proposed("bid", head.feed_in_price - 1, 600), HandOrderInvalidError, "a limit lies between"),
        (proposed("bid", 250_000, head.max_order + 1), HandOrderInvalidError, "an order has"),
        (proposed("ask", 250_000, 600), HandOrderUnfundedError, "you offer 0.600 kWh and have 0.000 kWh free"),
    ):
        with pytest.raises(error, match=words):
            hand.place(who(d), d, order, "never mind what")
    with pytest.raises(HandOrderUnfundedError, match=r"it may cost .* credits, wheeling included"):
        hand.place(who(a), a, BUY, "never mind what")
    for key in ("", "short", "x" * 65, "cancel 1 1 0", "not\nprintable"):
        with pytest.raises(HandOrderInvalidError, match="Idempotency-Key"):
            hand.place(who(a), a, SELL, key)
    held = hand.preview(a, SELL).free_wh
    hand.place(who(a), a, proposed("ask", 120_000, held), "all that I have")
    with pytest.raises(HandOrderUnfundedError, match=r"have 0\.000 kWh free"):
        hand.preview(a, SELL)  # what waits is spoken for
    with campus.app.store.write() as session:
        session.get_one(User, d.id).sealed_key = None
    with pytest.raises(NotInCustodyError):
        hand.place(who(d), d, BUY, "never mind what")
    campus.go_to(head.cutoff_at)
    with pytest.raises(BookClosedError):
        hand.book()
    with pytest.raises(BookClosedError):
        hand.place(who(a), a, SELL, "never mind what")
    assert hand.given(d).orders == ()


def test_what_the_market_or_the_clock_refuses_is_told(trading: Any) -> None:
    campus, worker, hand = trading
    a, b, d = (account(campus, name) for name in "ABD")
    hand.place(who(d), d, proposed("bid", 120_000, 500), "d buys first")
    worker.settle_down()
    campus.standing_order("D", StandingOrder(sell_at=200_000))
    with campus.app.store.write() as session:  # as if its energy had come meanwhile: it would trade with itself
        wish = hand_orders.Wish(hand_orders.PLACE, campus.epoch, 1, 100_000, 500)
        hand_orders.ask(session, d.id, wish, "against itself", by="test", now=campus.app.clock())
        session.get_one(User, b.id).sealed_key = None
        wish = hand_orders.Wish(hand_orders.PLACE, campus.epoch, 1, 150_000, 500)
        hand_orders.ask(session, b.id, wish, "nobody can sign", by="test", now=campus.app.clock())
    worker.settle_down()
    refused = hand.given(d).orders[0]
    assert (refused.state, bool(refused.told)) == ("refused", True)
    assert hand.given(b).orders[0].told.startswith("your wallet's key is not kept here")
    hand.place(who(a), a, SELL, "too late for it")
    campus.next_epoch()
    worker.settle_down()
    (late,) = hand.given(a).orders
    assert (late.state, late.told) == ("refused", "the book closed before your order reached it")
    with executed(campus.app.store.engine) as statements:
        worker.observe()
        hand.given(a)
    assert [text for text in statements.growing(campus.app.store.engine) if "hand_orders" in text] == []


@pytest.mark.parametrize("lands", [False, True], ids=["found-first", "lands-and-fails"])
def test_orders_given_together_are_one_transaction_and_a_refused_one_stops_no_other(trading: Any, lands: bool) -> None:
    campus, worker, hand = trading
    send_all = worker.chain.send_all
    worker.chain.send_all = lambda outgoing, departing: send_all(
        [replace(each, preflight=not lands) for each in outgoing], departing
    )
    a, b = account(campus, "A"), account(campus, "B")
    for n in range(3):
        hand.place(who(a), a, proposed("ask", 120_000 + n, 300), f"a's number {n}")
    before = int(campus.client.call("getTransactionCount"))
    worker.settle_down()
    assert int(campus.client.call("getTransactionCount")) == before + 1
    assert states(hand, a) == ["placed"] * 3
    with campus.app.store.read() as session:
        acts = session.scalars(select(Act).where(Act.kind == "place_order")).all()
    assert len(acts) == 3
    assert len({act.data["signature"] for act in acts}) == 1
    with campus.app.store.write() as session:  # the second is more than it holds
        for n, quantity in enumerate((200, 10**6, 100)):
            wish = hand_orders.Wish(hand_orders.PLACE, campus.epoch, 1, 150_000 + n, quantity)
            hand_orders.ask(session, b.id, wish, f"b's number {n}", by="test", now=campus.app.clock())
    worker.settle_down()
    assert states(hand, b) == ["placed", "refused", "placed"]
    assert sorted(order.quantity for order in orders_in_the_book(campus)) == [100, 200, 300, 300, 300]
    assert conservation(campus.client).ok
    assert campus.audit() == 0


def test_lost_requests_and_answers_place_each_order_once(campus: Any, proxy: Any) -> None:
    """And so does a worker that is started anew again and again."""
    chance = random.Random(11)  # noqa: S311
    campus.issue_credit("D", CREDIT)
    quiet = campus.worker()
    campus.run_epoch(quiet, moving=False)
    campus.run_epoch(quiet)
    hand = by_hand(campus)
    a, d = account(campus, "A"), account(campus, "D")
    for n in range(3):
        hand.place(who(a), a, proposed("ask", 120_000 + n, 300), f"ask number {n}")
        hand.place(who(d), d, proposed("bid", 250_000 - n, 200), f"bid number {n}")

    def judge(request: Any) -> str:
        if request["method"] != "sendTransaction":
            return "pass"
        return str(chance.choices(("pass", "drop", "swallow"), (40, 30, 30))[0])

    url = proxy(judge).url
    for _ in range(4):
        persist(campus.worker(url))
    assert states(hand, a) == states(hand, d) == ["placed"] * 3
    placed = sorted((order.price, order.quantity) for order in orders_in_the_book(campus))
    assert placed == sorted([(120_000 + n, 300) for n in range(3)] + [(250_000 - n, 200) for n in range(3)])
    campus.read_all(campus.next_epoch())
    persist(campus.worker(url))
    assert states(hand, d) == ["filled"] * 3
    with campus.app.store.read() as session:
        assert {row.state for row in session.scalars(select(HandOrderRow))} == {"done"}
    assert conservation(campus.client).ok
    assert campus.audit() == 0
