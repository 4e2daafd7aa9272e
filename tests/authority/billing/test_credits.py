"""Top-ups and payouts: once for a reference, on the chain as in the ledger, whatever happens between."""

from __future__ import annotations

import contextlib
import json
from dataclasses import replace

import pytest
from billing_campus import command_of, run_epochs

from authority.billing import credits
from authority.billing.credit_requests import ask, book_waiting, bookings
from authority.billing.errors import BillingError
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.cli import main
from authority.enrolment.wallets import WalletError
from authority.home.settings import BillingSettings
from authority.market.standing_orders import StandingOrder
from authority.store.billing import CreditEntry
from authority.store.log import Act
from authority.store.people import User

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
MILLION = 1_000_000


@pytest.fixture
def booking(campus, capsys):
    return command_of(campus, capsys, "credits")


def acts(campus, kind):
    with campus.app.store.read() as session:
        return [act.data for act in session.query(Act).filter_by(kind=kind).order_by(Act.log_index)]


def test_credits_are_booked_once_for_a_reference(campus, booking, billing):
    said = ("top-up", "D", 5 * MILLION, "--reference", "Transfer 17 of Dora")
    assert booking(*said, "--dry-run")["changed"] is False
    assert campus.credit("D") == 0
    assert [booking(*said)["changed"] for _ in range(2)] == [True, False]
    assert campus.credit("D") == 5 * MILLION
    pasted = "Transfer\N{NO-BREAK SPACE}17  of\N{ZERO WIDTH SPACE} Dora"  # as a bank's page gives it
    assert booking("top-up", "D", 5 * MILLION, "--reference", pasted)["changed"] is False
    assert "reference_used" in booking("top-up", "D", 6 * MILLION, "--reference", "Transfer 17 of Dora", status=1)
    assert "reference_used" in booking("top-up", "C", 5 * MILLION, "--reference", "Transfer 17 of Dora", status=1)
    assert [set(data) for data in acts(campus, "credit_issued")] == [{"amount", "signature", "wallet"}]  # and no name

    paid = ("pay-out", "D", 2 * MILLION, "--reference", "Out 3")
    assert [booking(*paid)["changed"] for _ in range(2)] == [True, False]
    assert campus.credit("D") == 3 * MILLION
    assert "credit_short" in booking("pay-out", "D", 4 * MILLION, "--reference", "Out 4", status=1)
    assert "amount_invalid" in booking("top-up", "D", 0, "--reference", "x", status=1)
    assert "reference_invalid" in booking("top-up", "D", 1, "--reference", " ", status=1)
    assert "member_unknown" in booking("top-up", "Zoe", 1, "--reference", "x", status=1)
    assert [(each["amount"], each["state"]) for each in booking("list", "--member", "D")] == [
        (5 * MILLION, "landed"),
        (-2 * MILLION, "landed"),
    ]
    ledger = billing("ledger", "--check")
    assert (ledger["ok"], ledger["issued"], ledger["redeemed"], ledger["supply"]) == (
        True, 5 * MILLION, 2 * MILLION, 3 * MILLION,
    )  # fmt: skip


def test_a_top_up_that_was_asked_for_before_its_member_left_is_refused(campus, billing, capsys):
    """Nobody has the key any more, so the credits would be lost: the money goes back to who paid."""
    campus.register_member("E")
    with campus.app.store.read() as session:
        wallet = session.query(User).filter_by(name="E").one().wallet
    assert ask(campus.app, "E", 5 * MILLION, "Transfer 18", None, actor="x")
    assert command_of(campus, capsys, "members")("leave", "E", "--reason", "moved out")["changed"] is True
    assert book_waiting(campus.app, campus.client) == 0
    with campus.app.store.read() as session:
        (told,) = bookings(session).rows
    assert (told.state, told.wallet, "has left" in told.told) == ("refused", wallet, True)
    ledger = billing("ledger", "--check")
    assert (ledger["ok"], ledger["issued"], ledger["supply"]) == (True, 0, 0)
    assert campus.audit() == 0


def test_beyond_the_limit_the_amount_is_said_again(campus, booking):
    campus.home.save(replace(campus.home.settings, billing=BillingSettings(credit_limit=MILLION)))
    said = ("top-up", "D", 2 * MILLION, "--reference", "big")
    assert "above_limit" in booking(*said, status=1)
    assert "above_limit" in booking(*said, "--confirm", 20 * MILLION, status=1)
    assert campus.credit("D") == 0
    assert booking(*said, "--confirm", 2 * MILLION)["changed"] is True


@pytest.mark.finding("ops-5")
def test_what_was_issued_by_mistake_is_taken_back_and_not_owed(campus, booking, billing, capsys):
    """Three zeros too many: refused without the amount again; where it was issued, the unspent goes back, once."""
    campus.home.save(replace(campus.home.settings, billing=BillingSettings(currency="EUR")))
    market = command_of(campus, capsys, "market")
    too_much = 5_000 * MILLION
    assert "above_limit" in market("credit", "D", too_much, status=1)
    assert market("credit", "D", too_much, "--confirm", too_much, "--dry-run")["changed"] is False
    assert campus.credit("D") == 0
    assert market("credit", "D", too_much, "--confirm", too_much)["changed"] is True
    back = ("take-back", "D", 4_995 * MILLION, "--reference", "mistyped", "--confirm", 4_995 * MILLION)
    assert booking(*back, "--dry-run")["changed"] is False
    assert [booking(*back)["changed"] for _ in range(2)] == [True, False]
    assert campus.credit("D") == 5 * MILLION
    assert booking("list", "--member", "D")[-1]["state"] == "returned"
    assert "reference_used" in booking("pay-out", *back[1:], status=1)
    assert billing("payouts", "owed") == []
    assert billing("ledger", "--check")["ok"]
    assert campus.audit() == 0


@pytest.mark.parametrize("landed", [True, False])
def test_what_landed_unseen_is_not_booked_again_and_what_never_landed_is(campus, proxy, billing, landed):
    """The answer to a booking is lost, or the booking itself on its way."""
    with campus.app.store.read() as session:
        member = session.query(User).filter_by(name="D").one()

    def judge(request):
        loses = request["method"] == "sendTransaction" or (landed and request["method"] == "getSignatureStatuses")
        return ("swallow" if landed else "drop") if loses else "pass"

    client = ChainClient(proxy(judge).url, attempts=1, timeout=2)
    with pytest.raises(ChainError):
        credits.top_up(campus.app, client, member, MILLION, "lost", actor="test")
    assert campus.credit("D") == MILLION * landed
    for _ in range(2):
        entry = until_decided(lambda: credits.top_up(campus.app, campus.client, member, MILLION, "lost", actor="test"))
        assert entry.state == "landed"
        assert campus.credit("D") == MILLION
    assert billing("ledger", "--check")["ok"]


def until_decided(book):
    """Blocks go by until it is certain what became of it."""
    for _ in range(500):
        with contextlib.suppress(BillingError):
            return book()
    raise AssertionError("it was never decided")


def test_the_ledger_is_the_chains_while_the_campus_trades_and_a_moved_credit_is_named(campus, billing, booking):
    worker = campus.worker()
    campus.start_market()
    campus.standing_order("A", StandingOrder(sell_at=120_000, feed_in_above_wh=1_000))
    for _ in range(4):
        run_epochs(campus, worker, campus.epoch + 1)
        ledger = billing("ledger", "--check")
        assert ledger["problems"] == []
    assert any(each["traded"] > 0 for each in ledger["members"])
    assert any(each["traded"] < 0 for each in ledger["members"])
    assert ledger["fed_in"] > 0
    worth = campus.credit("A")  # sold for, and lying in the seat: a payout takes it from there
    assert worth > 0
    booking("pay-out", "A", worth, "--reference", "all of it")
    assert campus.credit("A") == 0
    assert billing("ledger", "--check")["ok"]

    with campus.app.store.write() as session:  # the store says more than the chain
        entry = session.get(CreditEntry, "all of it")
        entry.amount -= 1
    told = billing("ledger")
    assert any("all of it" in problem for problem in told["problems"])
    billing("ledger", "--check", status=4)


def test_a_member_with_its_own_key_is_not_paid_out_here(campus):
    with campus.app.store.write() as session:
        member = session.query(User).filter_by(name="D").one()
        member.sealed_key = None
    with pytest.raises(WalletError):
        credits.pay_out(campus.app, campus.client, member, 1, "x", actor="test")


def test_the_audit_finds_what_was_paid_in_and_out_on_the_chain(campus, booking, capsys, tmp_path):
    booking("top-up", "D", 5 * MILLION, "--reference", "in")
    booking("pay-out", "D", 2 * MILLION, "--reference", "out")
    key = tmp_path / "treasury.json"
    key.write_text(json.dumps(list(bytes(campus.operator))))
    key.chmod(0o600)
    home = str(campus.home_path)
    assert main(["fund", "--sol", "1", "--key", str(key), "--home", home]) in (0, 4)
    capsys.readouterr()
    status = main(["audit", "--home", home, "verify", "--json"])
    assert (json.loads(capsys.readouterr().out)["problems"], status) == ([], 0)
