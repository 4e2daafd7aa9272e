"""Tokens moved by hand on real programs: asked for without a key, done once, taken back, refused in plain words."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest
from campus_people import account, who
from sqlalchemy import select
from statements import executed
from whole_campus import persist

from authority.api.hand_orders import NotInCustodyError
from authority.api.transfers import (
    LOOKUPS_AT_ONCE,
    Asked,
    HandTransfers,
    TransferInvalidError,
    TransferRefusedError,
    masked,
)
from authority.audit.conservation import conservation
from authority.billing import ledger
from authority.chain import programs
from authority.chain.accounts import Status
from authority.chain.client import ChainClient
from authority.home.settings import TransferSettings
from authority.market import transfers
from authority.market.transfers import (
    MOST_A_DAY,
    TransferGoneError,
    TransferKeyUsedError,
    TransferLimitError,
    TransfersFullError,
    Wish,
)
from authority.operations.chain_state import member_on_chain
from authority.people.errors import SignInAgainError, TooOftenError
from authority.people.roles import MemberAccount, Principal
from authority.refusals import NotFoundError
from authority.settlement import went_back
from authority.store.log import Act
from authority.store.market import TransferRow
from authority.store.people import User

CREDIT = 10**9


def by_token(its: MemberAccount) -> Principal:
    """A program of the member's: never a sign-in of just now."""
    return replace(who(its), scopes=frozenset({"money:write"}))


def hand_of(campus: Any) -> HandTransfers:
    return HandTransfers(campus.app, lambda: ChainClient(campus.validator.url, attempts=2, timeout=10))


def give(asset: str, amount: int, to: str) -> Asked:
    return Asked("give", asset, amount, to_name=to)


@pytest.fixture
def holding(campus: Any) -> tuple[Any, Any, HandTransfers]:
    """A campus where A and B hold energy, and C and D credits; nobody trades."""
    worker = campus.worker()
    for name in "CD":
        campus.issue_credit(name, CREDIT)
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    return campus, worker, hand_of(campus)


def balances(campus: Any, name: str) -> tuple[int, int, int, int]:
    """Energy in wallet and market, credits in wallet and market."""
    with campus.app.store.read() as session:
        user = session.scalar(select(User).where(User.name == name))
    on_chain = member_on_chain(campus.client, user)
    assert on_chain is not None
    found = on_chain.balances
    return found.wallet_wh, found.seat_wh, found.wallet_credit, found.seat_credit


def states(hand: HandTransfers, its: MemberAccount) -> list[str]:
    return [each.state for each in hand.given(its).transfers]


def later(campus: Any) -> None:
    """The time in which a gift can be taken back is over."""
    campus.go_to(campus.app.clock() + campus.app.home.settings.transfers.take_back_seconds + 1)


def test_tokens_move_between_wallet_and_market_and_to_another_member(holding: Any) -> None:
    campus, worker, hand = holding
    a, b, d = (account(campus, name) for name in "ABD")
    wh, _, _, _ = balances(campus, "A")
    preview = hand.preview(by_token(a), a, Asked("deposit", "energy", 300))
    assert (preview.wallet_before, preview.wallet_after, preview.market_after) == (wh, wh - 300, 300)
    asked = hand.ask(by_token(a), a, Asked("deposit", "energy", 300), "into the market")
    assert hand.ask(by_token(a), a, Asked("deposit", "energy", 300), "into the market").id == asked.id
    with pytest.raises(TransferKeyUsedError):
        hand.ask(by_token(a), a, Asked("deposit", "energy", 301), "into the market")
    assert balances(campus, "A")[1] == 0, "the pages have no key"
    worker.settle_down()
    assert balances(campus, "A")[:2] == (wh - 300, 300)
    assert hand.given(a).transfers[0].signature
    hand.ask(by_token(a), a, Asked("withdraw", "energy", 100), "and out again")
    worker.settle_down()
    assert balances(campus, "A")[:2] == (wh - 200, 200)
    before, theirs = balances(campus, "A")[0], balances(campus, "B")[0]
    gift = hand.preview(
        by_token(a), a, give("energy", before + 50, "B")
    )  # more than the wallet has: 50 out of the market
    assert (gift.wallet_after, gift.market_after, gift.to, gift.says) == (0, 150, masked("B"), gift.says)
    assert gift.given_today == 0
    hand.ask(by_token(a), a, Asked("give", "energy", before + 50, to_code=gift.to_code or ""), "to my neighbour")
    hand.ask(by_token(d), d, give("credit", 7_000_000, "A"), "d pays a back")
    worker.settle_down()
    assert states(hand, a)[0] == "waiting", "it can be taken back for a while"
    later(campus)
    worker.settle_down()
    assert balances(campus, "A") == (0, 150, 7_000_000, 0)
    assert balances(campus, "B")[0] == theirs + before + 50
    got = hand.given(b).transfers[0]
    assert (got.act, got.amount, got.other) == ("received", before + 50, masked("A"))
    assert states(hand, a) == ["done"] * 4
    with campus.app.store.read() as session:
        acts = session.scalars(select(Act).where(Act.kind.in_(("transfer_asked", "tokens_moved")))).all()
    assert len(acts) == 8
    assert {act.data["wallet"] for act in acts} <= {a.wallet, d.wallet}
    given = [act.data for act in acts if act.kind == "tokens_moved" and act.data["act"] == "give"]
    assert {(each["wallet"], each["to"], each.get("withdrawn")) for each in given} == {
        (a.wallet, b.wallet, 50),
        (d.wallet, a.wallet, None),
    }
    found = ledger.read(campus.app, campus.client)
    assert found.problems == ()
    assert {each.member: each.given for each in found.balances if each.given} == {
        a.wallet: 7_000_000,
        d.wallet: -7_000_000,
    }
    assert conservation(campus.client).ok
    assert campus.audit() == 0


def test_a_gift_is_taken_back_until_settlement_takes_it_up(holding: Any) -> None:
    campus, worker, hand = holding
    c, d = account(campus, "C"), account(campus, "D")
    first = hand.ask(by_token(d), d, give("credit", 1_000_000, "C"), "a gift to c")
    worker.settle_down()
    with pytest.raises(NotFoundError):
        hand.take_back(who(c), c, first.id)
    for _ in range(2):
        assert hand.take_back(who(d), d, first.id).state == "taken_back"
    later(campus)
    worker.settle_down()
    assert balances(campus, "D")[2] == CREDIT
    second = hand.ask(by_token(d), d, give("credit", 1_000_000, "C"), "another gift")
    later(campus)
    with campus.app.store.write() as session:
        transfers.take_up(session, [second.id])  # settlement looks, and means to send it next
    with pytest.raises(TransferGoneError):
        hand.take_back(who(d), d, second.id)
    worker.settle_down()
    assert states(hand, d) == ["done", "taken_back"]
    assert hand.given(c).transfers[0].amount == 1_000_000
    with campus.app.store.read() as session:
        assert len(session.scalars(select(Act).where(Act.kind == "transfer_taken_back")).all()) == 1
    assert campus.audit() == 0


def test_what_cannot_be_is_named_before_and_when_it_is_due(holding: Any, run: Any) -> None:
    campus, worker, hand = holding
    a, b, c, d = (account(campus, name) for name in "ABCD")
    for asked, error, words in (
        (Asked("deposit", "energy", 10**6), TransferRefusedError, "your wallet has less"),
        (Asked("withdraw", "credit", 1), TransferRefusedError, "free in the market"),
        (give("energy", 90_000, "B"), TransferRefusedError, "in wallet and market together"),
        (give("energy", 1, "A"), TransferInvalidError, "your own account"),
        (give("energy", 1, "b"), NotFoundError, "nobody can be given to"),
        (Asked("give", "energy", 1, to_code="guessed"), NotFoundError, "nobody can be given to"),
        (Asked("give", "energy", 1), TransferInvalidError, "say to whom"),
        (Asked("give", "energy", 0, to_name="B"), TransferInvalidError, "how much"),
        (give("credit", 100_000_001, "B"), TransferLimitError, r"you may give 100\.00 credits"),
    ):
        its = d if asked.asset == "credit" else a
        with pytest.raises(error, match=words):
            hand.ask(by_token(its), its, asked, "never mind what")
    with pytest.raises(SignInAgainError):
        hand.ask(by_token(d), d, give("credit", 10_000_001, "C"), "a large gift")
    for key in ("", "short", "x" * 65, "not\nprintable"):
        with pytest.raises(TransferInvalidError, match="Idempotency-Key"):
            hand.ask(by_token(a), a, Asked("deposit", "energy", 1), key)
    with campus.app.store.write() as session:  # as if there had been more, and the wallet were here
        for wallet, wish in (
            (a, Wish("give", "energy", 10**6, b.id)),
            (a, Wish("withdraw", "energy", 10**6)),
            (d, Wish("give", "credit", 5, c.id)),
        ):
            free = TransferSettings(energy_a_day_wh=10**9, take_back_seconds=0)
            transfers.ask(session, wallet.id, wish, f"{wish.act}", by="test", now=campus.app.clock(), limits=free)
        session.get_one(User, d.id).sealed_key = None
    worker.settle_down()
    assert [each.told for each in hand.given(a).transfers] == [
        "you have less than that free in the market: what your orders have locked is not free",
        "you have less than that free, in wallet and market together",
    ]
    assert hand.given(d).transfers[0].told.startswith("your wallet's key is not kept here")
    with pytest.raises(NotInCustodyError):
        hand.preview(by_token(d), d, Asked("deposit", "credit", 5))
    run("pause", "orders", "--reason", "trial")
    with pytest.raises(TransferRefusedError, match="the market is paused"):
        hand.preview(by_token(a), a, Asked("deposit", "energy", 1))
    run("resume", "orders", "--reason", "trial")
    hand.ask(by_token(a), a, give("energy", 10, "B"), "it will be suspended")
    user = programs.user_address(campus.wallets["A"])
    campus.do("registry", "set_user_status", {"status": int(Status.SUSPENDED)}, user=user)
    later(campus)
    worker.settle_down()
    assert "your account is suspended" in hand.given(a).transfers[0].told
    with pytest.raises(TransferRefusedError, match="takes nothing now"):
        hand.preview(by_token(b), b, give("energy", 1, "A"))
    assert conservation(campus.client).ok
    assert campus.audit() == 0
    with executed(campus.app.store.engine) as statements:
        worker.observe()
        hand.given(a)
        hand.preview(by_token(b), b, Asked("deposit", "energy", 1))
    assert [text for text in statements.growing(campus.app.store.engine) if "transfers" in text] == []


def test_nobody_is_found_by_trying_and_a_day_has_its_limit(holding: Any) -> None:
    campus, _, hand = holding
    a, c, d = (account(campus, name) for name in "ACD")
    code = hand.code(c, str)
    assert hand.code(c, str) == code
    assert len(code.code) >= 22
    assert code.code.lower() not in (c.name, c.wallet)
    assert hand.preview(by_token(d), d, Asked("give", "credit", 5, to_code=code.code)).to == masked("C")
    new = hand.code(c, str, new=True)
    with pytest.raises(NotFoundError):
        hand.preview(by_token(d), d, Asked("give", "credit", 5, to_code=code.code))
    for tried in range(LOOKUPS_AT_ONCE):
        with pytest.raises(NotFoundError):
            hand.whose(who(a), a, f"{tried}")
    with pytest.raises(TooOftenError):
        hand.whose(who(a), a, new.code)
    assert hand_of(campus).preview(by_token(d), d, Asked("give", "credit", 5, to_code=new.code)).to == masked("C")
    most, now = TransferSettings(), campus.app.clock()
    with campus.app.store.write() as session:
        for n in range(10):
            wish = Wish("give", "credit", 10_000_000, c.id)
            transfers.ask(session, d.id, wish, f"gift {n}", by="t", now=now, limits=most)
        with pytest.raises(TransferLimitError):
            transfers.ask(session, d.id, Wish("give", "credit", 1, c.id), "one more", by="t", now=now, limits=most)
        first = transfers.of_key(session, d.id, "gift 0")
        assert first is not None
        transfers.take_back(session, d.id, first.id, by="t", now=now)
        transfers.ask(session, d.id, Wish("give", "credit", 1, c.id), "now it fits", by="t", now=now, limits=most)
        transfers.ask(
            session, d.id, Wish("give", "credit", 10**8, c.id), "tomorrow", by="t", now=now + 86_400, limits=most
        )  # fmt: skip
        for n in range(MOST_A_DAY):
            transfers.ask(session, a.id, Wish("deposit", "energy", 1), f"again {n}", by="t", now=now, limits=most)
        with pytest.raises(TransfersFullError):
            transfers.ask(session, a.id, Wish("deposit", "energy", 1), "too many", by="t", now=now, limits=most)
    page, seen = hand.given(a, limit=30), []
    with campus.app.store.write() as session:  # new rows do not shift what follows
        transfers.ask(session, a.id, Wish("deposit", "energy", 1), "new", by="t", now=now + 86_401, limits=most)
    while True:
        seen += [each.id for each in page.transfers]
        if page.next is None:
            break
        page = hand.given(a, int(page.next), limit=30)
    assert len(seen) == len(set(seen)) == MOST_A_DAY
    assert [masked(name) for name in ("Dormitory A", "AB", "Ada")] == ["D•••A", "•••", "A•••a"]


def test_lost_requests_and_answers_move_each_once(campus: Any, proxy: Any) -> None:
    """And so does a worker that is started anew again and again."""
    chance = random.Random(12)  # noqa: S311
    campus.issue_credit("D", CREDIT)
    quiet = campus.worker()
    campus.run_epoch(quiet, moving=False)
    campus.run_epoch(quiet)
    hand, (a, d) = hand_of(campus), (account(campus, name) for name in "AD")
    wh, theirs = balances(campus, "A")[0], balances(campus, "B")[0]
    for n in range(3):
        hand.ask(by_token(a), a, give("energy", 100 + n, "B"), f"gift number {n}")
        hand.ask(by_token(d), d, Asked("deposit", "credit", 1_000 + n), f"deposit number {n}")
    later(campus)

    def judge(request: Any) -> str:
        if request["method"] != "sendTransaction":
            return "pass"
        return str(chance.choices(("pass", "drop", "swallow"), (40, 30, 30))[0])

    url = proxy(judge).url
    for _ in range(4):
        persist(campus.worker(url))
    assert states(hand, a) == states(hand, d) == ["done"] * 3
    assert balances(campus, "A")[0] == wh - 303
    assert balances(campus, "B")[0] == theirs + 303
    assert balances(campus, "D")[2:] == (CREDIT - 3_003, 3_003)
    with campus.app.store.read() as session:
        assert {row.state for row in session.scalars(select(TransferRow))} == {"done"}
    assert conservation(campus.client).ok
    assert campus.audit() == 0


def test_a_gift_that_a_chain_lost_when_it_went_back_has_to_be_asked_for_again(holding: Any) -> None:
    campus, worker, hand = holding
    d = account(campus, "D")
    hand.ask(by_token(d), d, Asked("deposit", "credit", 1_000), "to be lost")
    worker.settle_down()
    with campus.app.store.write() as session:
        row = session.scalar(select(TransferRow))
        row.signature = "1" * 64
        transfers.undo(session, [row.signature], went_back.UNDONE)
    assert (states(hand, d), hand.given(d).transfers[0].told) == (["refused"], went_back.UNDONE)
