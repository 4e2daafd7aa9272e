"""A member's own wallet: prepared here, signed there, sent on once, and nothing else; on a real validator."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from kwh_site import KwhSite, opened
from people_site import application
from solders.keypair import Keypair
from solders.message import to_bytes_versioned
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction
from sqlalchemy import select

from authority.app import App
from authority.chain import programs
from authority.chain.client import ChainClient
from authority.cli import main
from authority.people.roles import AUDITOR, MEMBER
from authority.store.log import Act
from authority.store.people import User

OWNER, SOL = "other", 1_000_000_000
"""Member C, who has credits, and holds its key itself."""


class Wallet:
    """A wallet program: the key, and what it asks of the pages."""

    def __init__(self, site: KwhSite, member: str = "C", role: str = OWNER) -> None:
        self.site, self.campus, self.role = site, site.campus, role
        self.key = site.campus.key_of(member)
        self.campus.client.airdrop(self.key.pubkey(), SOL)
        with site.campus.app.store.write() as session:
            session.scalars(select(User).where(User.name == member)).one().sealed_key = None

    def post(self, path: str, body: Any, role: str = "") -> Any:
        role = role or self.role
        client = self.site.client(role)
        client.environ_base["HTTP_ACCEPT"] = "application/json"
        sent = {"X-Form-Token": self.site.form(role)["form_token"]}
        return client.post(f"/api/v1/me/transactions/{path}", json=body, headers=sent)

    def prepare(self, status: int = 200, **wish: Any) -> Any:
        answer = self.post("prepare", wish)
        assert answer.status_code == status, answer.text
        return answer.json

    def sign(self, prepared: Any, key: Keypair | None = None) -> dict[str, str]:
        made = VersionedTransaction.from_bytes(base64.b64decode(prepared["transaction"]))
        signature = (key or self.key).sign_message(to_bytes_versioned(made.message))
        raw = bytes(VersionedTransaction.populate(made.message, [signature]))
        return {"ticket": prepared["ticket"], "transaction": base64.b64encode(raw).decode()}

    def submit(self, body: Any, status: int = 200) -> Any:
        answer = self.post("submit", body)
        assert answer.status_code == status, answer.text
        return answer.json

    def do(self, **wish: Any) -> Any:
        told = self.submit(self.sign(self.prepare(**wish)))
        assert told["state"] == "landed"
        return told


@pytest.fixture
def site(tmp_path: Path) -> Iterator[KwhSite]:
    with opened(tmp_path, members="ABCD", trades=True) as found:
        yield found


@pytest.fixture
def wallet(site: KwhSite) -> Wallet:
    return Wallet(site)


def test_a_member_does_with_its_own_wallet_what_the_programs_allow(wallet: Wallet) -> None:
    campus = wallet.campus
    operator = campus.client.balance(campus.operator.pubkey())
    before, all_of_it = campus.seat("C").credit, campus.credit("C")
    wallet.do(act="deposit", asset="credit", amount=200_000)
    assert campus.seat("C").credit == before + 200_000
    wallet.do(act="withdraw", asset="credit", amount=50_000)
    assert (campus.seat("C").credit, campus.credit("C")) == (before + 150_000, all_of_it)

    friend, has = campus.wallets["D"], campus.credit("D")
    told = wallet.do(act="transfer", asset="credit", amount=100_000, to=str(friend))
    assert str(friend) in told["says"]
    assert (campus.credit("D"), campus.credit("C")) == (has + 100_000, all_of_it - 100_000)

    order = {"act": "place", "side": "bid", "price_micro_credits_per_kwh": 130_000, "quantity_wh": 500}
    told = wallet.do(**order)
    assert told["says"].startswith("Buy 0.500 kWh at 0.130 credits per kWh or less")
    opens = wallet.site.client(OWNER).get("/api/v1/me/orders").json["open"]
    assert [(each["side"], each["quantity_wh"]) for each in opens] == [("bid", 500)]
    wallet.do(act="cancel", number=opens[0]["number"])
    assert wallet.site.client(OWNER).get("/api/v1/me/orders").json["open"] == []

    assert campus.client.balance(campus.operator.pubkey()) == operator, "the member's wallet pays, and nobody else"
    state = wallet.site.client(OWNER).get("/api/v1/me/wallet").json
    assert (state["wallet"], state["in_custody"]) == (str(wallet.key.pubkey()), False)
    assert 0 < SOL - state["lamports"] <= 5 * 5_000
    assert campus.audit() == 0, "the audit knows what members do by themselves"


def test_energy_is_fed_in_out_of_the_market_and_out_of_the_wallet(site: KwhSite) -> None:
    wallet, campus = Wallet(site, "A", MEMBER), site.campus
    held, credit = campus.held("A"), campus.credit("A")
    assert held > 100
    wallet.do(act="retire", amount=40, purpose="feed_in", source="market")
    wallet.do(act="withdraw", amount=60)
    wallet.do(act="retire", amount=10, purpose="feed_in", source="wallet")
    assert campus.held("A") == held - 50
    assert campus.credit("A") > credit
    refused = wallet.prepare(409, act="retire", amount=51, purpose="feed_in", source="wallet")
    assert refused["code"] == "refused_by_chain"


def test_an_order_brings_what_the_seat_lacks_out_of_the_wallet(wallet: Wallet) -> None:
    seat = wallet.campus.seat("C").credit
    order = {"act": "place", "side": "bid", "price_micro_credits_per_kwh": 130_000, "quantity_wh": 2_000}
    assert seat < 260_000
    wallet.do(**order)
    assert wallet.campus.seat("C").credit < seat + 1, "just what was lacking was brought"
    assert wallet.site.client(OWNER).get("/api/v1/me/orders").json["open"][-1]["quantity_wh"] == 2_000


def test_the_same_signed_transaction_twice_is_done_once_and_told_alike(wallet: Wallet) -> None:
    before = wallet.campus.seat("C").credit
    body = wallet.sign(wallet.prepare(act="withdraw", asset="credit", amount=1_000))
    first = wallet.submit(body)
    for _ in range(3):
        assert wallet.submit(body) == first
    assert wallet.campus.seat("C").credit == before - 1_000


def test_what_is_wrong_with_a_wish_is_said_before_anything_is_signed(wallet: Wallet) -> None:
    stranger = str(Keypair().pubkey())
    for wish, status, code, words in (
        ({"act": "mint"}, 400, "malformed", "act"),
        ({"act": "deposit"}, 400, "transaction_invalid", "how much"),
        ({"act": "deposit", "amount": 1.5}, 400, "malformed", "amount"),
        ({"act": "place", "side": "bid"}, 400, "transaction_invalid", "limit"),
        ({"act": "withdraw", "asset": "credit", "amount": 2**63}, 409, "refused_by_chain", "free"),
        ({"act": "cancel", "number": 4_000}, 404, "not_found", "no order 4000"),
        ({"act": "transfer", "amount": 1, "to": "x"}, 400, "transaction_invalid", "address of a wallet"),
        ({"act": "transfer", "amount": 1, "to": stranger}, 409, "recipient_unknown", "nobody holds"),
        ({"act": "transfer", "amount": 1, "to": str(wallet.key.pubkey())}, 400, "transaction_invalid", "your own"),
        ({"act": "transfer", "asset": "credit", "amount": 2**60, "to": str(wallet.campus.wallets["D"])}, 409,
         "refused_by_chain", "less than that"),
        ({"act": "place", "side": "bid", "price_micro_credits_per_kwh": 1, "quantity_wh": 500}, 409,
         "refused_by_chain", ""),
    ):  # fmt: skip
        told = wallet.prepare(status, **wish)
        assert told["code"] == code, (wish, told)
        assert words in told["detail"], (wish, told)


def test_what_one_web_process_prepared_another_one_sends_on_also_after_a_restart(wallet: Wallet) -> None:
    campus, site = wallet.campus, wallet.site
    signed = wallet.sign(wallet.prepare(act="withdraw", asset="credit", amount=1_000))
    before = campus.seat("C").credit
    again = App.open(campus.home_path, process="web")
    try:
        site.flask = application(again, lambda: ChainClient(campus.validator.url, attempts=1, timeout=5))
        assert wallet.submit(signed)["state"] == "landed"
    finally:
        again.store.close()
    assert campus.seat("C").credit == before - 1_000


def test_only_what_was_prepared_and_signed_by_the_wallet_is_sent_on(wallet: Wallet) -> None:
    before = wallet.campus.seat("C").credit
    prepared = wallet.prepare(act="withdraw", asset="credit", amount=1_000)
    more = wallet.prepare(act="withdraw", asset="credit", amount=2_000)
    good = wallet.sign(prepared)
    raw = bytearray(base64.b64decode(good["transaction"]))
    flipped = bytearray(raw)
    flipped[-1] ^= 1
    two = b"\x02" + bytes(raw[1:65]) + bytes(raw[1:])

    def with_raw(data: bytes) -> dict[str, str]:
        return {**good, "transaction": base64.b64encode(data).decode()}

    for body, status, code in (
        ({**good, "ticket": more["ticket"]}, 409, "transaction_changed"),
        (with_raw(bytes(flipped)), 409, "transaction_changed"),
        (with_raw(bytes(raw) + b"\x00"), 409, "transaction_changed"),
        (wallet.sign(prepared, Keypair()), 409, "signature_wrong"),
        ({"ticket": prepared["ticket"], "transaction": prepared["transaction"]}, 409, "transaction_unsigned"),
        (with_raw(two), 400, "transaction_malformed"),
        (with_raw(bytes(raw[:40])), 400, "transaction_malformed"),
        ({**good, "transaction": "%%%"}, 400, "transaction_malformed"),
        ({**good, "transaction": ""}, 400, "malformed"),
        ({**good, "ticket": "x"}, 409, "transaction_not_prepared"),
        ({**good, "ticket": "é.é"}, 409, "transaction_not_prepared"),
        ({**good, "ticket": good["ticket"][:-4] + "AAAA"}, 409, "transaction_not_prepared"),
        ({"transaction": good["transaction"]}, 400, "malformed"),
    ):
        told = wallet.submit(body, status)
        assert told["code"] == code, (body, told)
    another = wallet.post("submit", good, MEMBER)
    assert (another.status_code, another.json["code"]) == (409, "transaction_not_prepared")
    assert wallet.campus.seat("C").credit == before
    wallet.submit(good)
    assert wallet.campus.seat("C").credit == before - 1_000


def test_a_transaction_ends_with_its_blockhash(wallet: Wallet) -> None:
    before = wallet.campus.seat("C").credit
    prepared = wallet.prepare(act="withdraw", asset="credit", amount=1_000)
    body = wallet.sign(prepared)
    while (
        wallet.campus.client.call("getBlockHeight", {"commitment": "finalized"}) <= prepared["last_valid_block_height"]
    ):
        time.sleep(0.1)
    told = wallet.submit(body, 409)
    assert told["code"] == "transaction_over"
    assert "prepare it again" in told["detail"]
    assert wallet.campus.seat("C").credit == before


def test_who_may_not_and_who_cannot_pay(wallet: Wallet) -> None:
    kept = wallet.post("prepare", {"act": "deposit", "amount": 1}, MEMBER)
    assert (kept.status_code, kept.json["code"]) == (409, "wallet_in_custody")
    assert wallet.post("prepare", {"act": "deposit", "amount": 1}, AUDITOR).status_code == 404
    client = wallet.site.client()
    client.environ_base["HTTP_ACCEPT"] = "application/json"
    assert client.post("/api/v1/me/transactions/prepare", json={"act": "deposit"}).status_code == 401
    with wallet.campus.app.store.write() as session:
        session.scalars(select(User).where(User.name == "A")).one().sealed_key = None
    poor = wallet.post("prepare", {"act": "withdraw", "asset": "credit", "amount": 1}, MEMBER)
    assert (poor.status_code, poor.json["code"]) == (409, "wallet_short")
    assert "authority fund --member" in poor.json["detail"]


def test_the_page_tells_who_signs_and_of_a_wallet_that_is_proposed(wallet: Wallet) -> None:
    site, campus = wallet.site, wallet.campus
    kept = site.client(MEMBER).get("/me/wallet").text
    assert "The department keeps the key" in kept
    assert "Move to a wallet of your own" in kept
    own = site.client(OWNER).get("/me/wallet").text
    assert "holds the key of its wallet itself" in own
    assert str(wallet.key.pubkey()) in own
    following = Keypair().pubkey()
    user = programs.user_address(campus.wallets["A"])
    campus.do("registry", "propose_wallet", {"next": following}, user=user)
    proposed = site.client(MEMBER).get("/me/wallet").text
    assert str(following) in proposed
    assert "is proposed to take over" in proposed
    told = site.client(MEMBER).get("/api/v1/me/wallet").json
    assert (told["proposed_wallet"], told["in_custody"]) == (str(following), True)
    assert told["proposed_from"] == (campus.epoch + 96) * campus.epoch_seconds
    assert Pubkey.from_string(told["wallet"]) == campus.wallets["A"]
    assert site.client(AUDITOR).get("/me/wallet").status_code == 404


def test_the_department_sends_a_wallet_what_fees_take(site: KwhSite, capsys: pytest.CaptureFixture[str]) -> None:
    campus = site.campus
    wallet, operator = campus.wallets["A"], campus.client.balance(campus.operator.pubkey())
    before = campus.client.balance(wallet)
    home = ["--home", str(campus.home.path)]
    assert main(["fund", "--member", "A", "--sol", "0.05", "--dry-run", *home]) in (0, 4)
    assert "would be sent 0.05 SOL" in capsys.readouterr().out
    assert campus.client.balance(wallet) == before
    assert main(["fund", "--member", "A", "--sol", "0.05", *home]) in (0, 4)
    assert campus.client.balance(wallet) == before + 50_000_000
    assert campus.client.balance(campus.operator.pubkey()) == operator - 50_000_000 - 5_000
    with campus.app.store.read() as session:
        act = session.scalars(select(Act).where(Act.kind == "member_funded")).one()
    assert (act.data["wallet"], act.data["lamports"]) == (str(wallet), 50_000_000)
    capsys.readouterr()
    for words in (["--member", "A"], ["--member", "A", "--sol", "0"], ["--member", "Nobody", "--sol", "1"]):
        assert main(["fund", *words, *home]) == 1
    told = capsys.readouterr().err
    assert "say how much the member's wallet is sent" in told
    assert "there is no member 'Nobody'" in told
    assert campus.audit() == 0, "the audit knows the act"
