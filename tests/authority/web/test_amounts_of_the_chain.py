"""Every amount of a member's pages is the chain's: balances, open orders, trades and sums, account by account."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from html import unescape
from math import ceil

import pytest
from kwh_site import KwhSite, opened
from people_site import application
from solders.signature import Signature
from sqlalchemy import select
from whole_campus import Campus

from authority.billing import issuing
from authority.chain import programs
from authority.chain.accounts import EpochBook, Order, User
from authority.chain.client import ChainClient
from authority.people import records, sessions
from authority.people.roles import MEMBER
from authority.store.settlement import SettlementEpoch

EPOCHS = 6
NAMES = "ABCD"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KwhSite]:
    with opened(tmp_path_factory.mktemp("campus"), epochs=EPOCHS, members=NAMES, trades=True) as found:
        app = found.campus.app
        with app.store.write() as session:
            for name in NAMES:
                person = records.add(session, f"{name}@campus.example", name, now=app.clock())
                member = records.member_named(session, name)
                records.grant(session, person, MEMBER, by="test", now=app.clock(), member=member)
                found.cookies[name] = sessions.begin(session, person, "password", "Chrome on Linux", app.clock())
        yield found


def rows(page: str) -> list[list[str]]:
    """The cells of every row of a page's tables, as text."""
    found = []
    for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL):
        cells = re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)
        found.append([" ".join(unescape(re.sub(r"<[^>]+>", " ", cell)).split()) for cell in cells])
    return found


def number(text: str) -> Decimal:
    """A figure of a page as a number, whatever groups and units it has."""
    return Decimal(re.sub(r"[^0-9.\u2212-]", "", text).replace("\N{MINUS SIGN}", "-"))


def came_back(cell: str) -> Decimal:
    """What a trade's first cell says came back of its order: kWh or credits."""
    found = re.search(r"came back: ([0-9.\s\u202f]+?)\s*(kWh|credits)", cell)
    assert found is not None, cell
    return number(found[1])


def wh(value: int) -> Decimal:
    return Decimal(value) / 1_000


def micro(value: int) -> Decimal:
    return Decimal(value) / 1_000_000


def index_of(campus: Campus, name: str) -> int:
    user = campus.client.account(User, programs.user_address(campus.wallets[name]))
    assert user is not None
    return user.member_index


def books(campus: Campus) -> Iterator[tuple[EpochBook, list[tuple[bool, Order]]]]:
    """The books that the chain has, with their orders: whether each buys, and the order."""
    for slot in range(16):
        address = programs.book_at_slot(slot)
        account = campus.client.raw_account(address)
        if account is not None and account.data:
            data = bytes(account.data)
            head = EpochBook.from_account(data)
            bids = Order.array(data, EpochBook.size(), head.bid_count)
            asks = Order.array(data, EpochBook.size() + head.capacity * Order.FORMAT.size, head.ask_count)
            yield head, [*((True, order) for order in bids), *((False, order) for order in asks)]


def page(site: KwhSite, who: str, path: str) -> str:
    answer = site.client(who).get(path)
    assert answer.status_code == 200, answer.text
    return str(answer.text)


@pytest.mark.parametrize("name", NAMES)
def test_tokens_and_credits_are_what_wallet_seat_and_orders_hold(site: KwhSite, name: str) -> None:
    campus = site.campus
    seat, client = campus.seat(name), campus.client
    wallet_wh = client.token_balance(campus.account_of(name, programs.energy_mint())) or 0
    wallet_credit = client.token_balance(campus.account_of(name, programs.credit_mint())) or 0
    index = index_of(campus, name)
    locked_wh = locked_credit = 0
    for head, orders in books(campus):
        if head.status.name in ("OPEN", "CLEARING"):
            for buys, order in orders:
                if order.member == index and buys:
                    locked_credit += ceil(Decimal(order.quantity * (order.price + head.wheeling)) / 1_000)
                elif order.member == index:
                    locked_wh += order.quantity
    told = {row[0]: [number(cell) for cell in row[1:]] for row in rows(page(site, name, "/me/money")) if len(row) == 3
            and row[0] != "Where"}  # fmt: skip
    assert told == {
        "In the wallet": [wh(wallet_wh), micro(wallet_credit)],
        "In the market, free": [wh(seat.energy), micro(seat.credit)],
        "Locked in your orders": [wh(locked_wh), micro(locked_credit)],
        "All": [wh(wallet_wh + seat.energy + locked_wh), micro(wallet_credit + seat.credit + locked_credit)],
    }
    assert f"{wh(wallet_wh + seat.energy + locked_wh):.3f}" in page(site, name, "/me")


def fills(campus: Campus, index: int) -> list[tuple[str, Decimal, Decimal, Decimal, Decimal]]:
    """What the chain's books gave a member, as far as they are in the log: bought or sold, kWh, price, credits, and
    what of the order came back."""
    found = []
    with campus.app.store.read() as session:
        query = select(SettlementEpoch.epoch).where(SettlementEpoch.book_log_index.is_not(None))
        logged = set(session.scalars(query))
    for head, orders in books(campus):
        for buys, order in orders:
            if head.epoch not in logged or order.member != index or not order.filled:
                continue
            if buys:
                amount = ceil(Decimal(order.filled * (head.price + head.wheeling)) / 1_000)
                back = micro(ceil(Decimal(order.quantity * (order.price + head.wheeling)) / 1_000) - amount)
            else:
                gross = order.filled * head.price // 1_000
                amount = gross - gross * head.fee_bps // 10_000
                back = wh(order.quantity - order.filled)
            found.append(("bought" if buys else "sold", wh(order.filled), micro(head.price), micro(amount), back))
    return sorted(found)


@pytest.mark.parametrize("name", NAMES)
def test_trades_are_those_of_the_chains_books_and_the_days_sums_theirs(site: KwhSite, name: str) -> None:
    expected = fills(site.campus, index_of(site.campus, name))
    trading = rows(page(site, name, "/me/trading"))
    told = sorted(
        (row[1], number(row[2]), number(row[3]), number(row[4]), came_back(row[0]))
        for row in trading
        if row[1:2] in (["bought"], ["sold"])
    )
    assert told == expected
    assert told
    energy = page(site, name, "/me/energy")
    sums = re.search(r"Sold (\S+) kWh for (\S+) credits, bought (\S+) kWh for (\S+) credits", unescape(energy))
    assert sums is not None
    assert [number(text.replace("kWh", "")) for text in sums.groups()] == [
        sum(row[1] for row in expected if row[0] == "sold"),
        sum(row[3] for row in expected if row[0] == "sold"),
        sum(row[1] for row in expected if row[0] == "bought"),
        sum(row[3] for row in expected if row[0] == "bought"),
    ]


def test_each_fill_names_the_transaction_that_settled_it_on_page_and_api(site: KwhSite) -> None:
    found = site.client("C").get("/api/v1/me/fills").json["fills"]
    assert found
    book = page(site, "C", "/me/trading")
    for fill in found:
        record = site.campus.client.transaction(Signature.from_string(fill["transaction"]))
        assert record is not None, "the chain has it"
        assert programs.book_address(fill["epoch"]) in record.transaction.message.account_keys, "it is the book's"
        assert record.error is None
        assert fill["transaction"] in book
    with site.campus.app.store.write() as session:
        session.query(SettlementEpoch).update({"clearing_signature": None})
    told = site.client("C").get("/api/v1/me/fills").json["fills"]
    assert {fill["transaction"] for fill in told} == {None}, "of an epoch before the store kept it"


@pytest.mark.parametrize("name", NAMES)
def test_the_bill_so_far_is_what_the_department_would_issue_now(site: KwhSite, name: str) -> None:
    app, client = site.campus.app, site.campus.client
    book = issuing.open_book(app, client)
    drafts = {bill.member: bill for bill in issuing.preview(app, book, book.facts.open_period)}
    its = drafts[str(site.campus.wallets[name])]
    assert its.lines
    told = site.client(name).get("/api/v1/me/bills/so-far").json
    assert told == {**its.as_json(0, app.home.network_id), "settled_until": book.facts.boundaries[its.member]}
    text = page(site, name, "/me/bills/so-far")
    credits = [number(row[3]) for row in rows(text) if len(row) == 4 and row[0][0].isdigit() and row[3]]
    assert credits == [micro(line.amount) for line in its.lines if line.amount or not line.wh]
    assert "dispute" not in text


def test_what_has_no_bill_to_come_is_not_found_and_a_wrong_period_is_refused(site: KwhSite) -> None:
    client = site.client("A")
    assert client.get("/me/bills/so-far?period=7").status_code == 404
    for wrong, status in (("7", 404), ("-1", 400), ("x", 400), (str(2**70), 400)):
        answer = client.get(f"/api/v1/me/bills/so-far?period={wrong}")
        assert (answer.status_code, answer.content_type) == (status, "application/problem+json"), wrong


def test_a_bill_so_far_without_a_chain_says_so(site: KwhSite) -> None:
    away = application(site.campus.app, lambda: ChainClient("http://127.0.0.1:9", attempts=1, timeout=1))
    answer = replace(site, flask=away).client("A").get("/me/bills/so-far")
    assert answer.status_code == 503
    assert "The validator does not answer" in answer.text
