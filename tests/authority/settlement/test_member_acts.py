"""Members and installations on a real chain: added, shown, suspended, with a new wallet, gone; a larger plant."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import select

from authority.audit.conservation import conservation
from authority.billing import bank_accounts, payouts
from authority.chain import accounts, programs
from authority.cli import main
from authority.collector import policy
from authority.collector.policy import MeterFacts
from authority.enrolment import wallets
from authority.home.settings import BillingSettings
from authority.store.billing import BankAccount, CreditEntry
from authority.store.log import Act
from authority.store.people import Installation, User
from edge_agent.wire.reading import Record

pytestmark = pytest.mark.finding("ops-5")


def on_chain(campus, name):
    with campus.app.store.read() as session:
        wallet = session.scalars(select(User.wallet).where(User.name == name)).one()
    return campus.client.account(accounts.User, programs.user_address(Pubkey.from_string(wallet)))


def test_a_member_is_added_shown_suspended_renamed_and_nothing_of_it_is_in_the_log(campus, run):
    words = ["members", "add", "Zacharias", "--building", "House Z"]
    assert run(*words, "--dry-run")["changed"] is False
    assert "there is no member 'Zacharias'" in run("members", "show", "Zacharias", exits=1)
    assert run(*words)["changed"] is True
    assert run(*words)["changed"] is False
    assert "another building" in run("members", "add", "Zacharias", "--building", "House Y", exits=1)
    shown = run("members", "show", "Zacharias")
    assert (shown["chain"]["status"], shown["custody"], shown["meters"]) == ("active", True, [])
    assert run("members", "suspend", "Zacharias", "--reason", "unpaid")["changed"] is True
    assert run("members", "suspend", "Zacharias", "--reason", "unpaid")["changed"] is False
    assert on_chain(campus, "Zacharias").status == 2
    assert run("members", "resume", "Zacharias")["changed"] is True
    assert run("members", "rename", "Zacharias", "Zoe")["changed"] is True
    assert run("members", "rename", "Zacharias", "Zoe")["changed"] is False
    assert "there is a member 'A' already" in run("members", "rename", "Zoe", "A", exits=1)
    own = str(Keypair().pubkey())
    run("members", "add", "Yann", "--building", "House Y", "--wallet", own)
    listed = {each["member"]: each["wallet"] for each in run("members", "list")}
    assert (listed["Zoe"], listed["Yann"]) == ("in custody", "own")
    with campus.app.store.read() as session:
        text = json.dumps([act.data for act in session.scalars(select(Act))])
    assert not any(name in text for name in ("Zacharias", "Zoe", "House Z", "Yann"))


def test_balances_orders_and_a_delegate_are_shown(campus, run, capsys):
    campus.start_market()
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    shown = run("members", "show", "A")["chain"]
    assert (shown["energy_wh"]["all"], shown["energy_wh"]["in_orders"]) == (2_500, 2_500)
    assert shown["orders"][0]["side"] == "ask"
    assert main(["members", "show", "A", "--home", str(campus.home_path)]) == 0
    text = capsys.readouterr().out
    assert "sell at: 120000 micro-credits per kWh\n" in text
    assert "1970-" not in text
    buyer = run("members", "show", "D")["chain"]
    assert buyer["credit"]["all"] == 10**9
    assert buyer["credit"]["in_orders"] == -(-2_600 * 270_000 // 1_000)
    delegate = str(Keypair().pubkey())
    term = ["--until", "2027-01-01T00:00", "--energy", "1000"]
    assert run("members", "delegate", "A", "--to", delegate, *term)["changed"] is True
    assert run("members", "show", "A")["chain"]["delegate"]["delegate"] == delegate
    assert run("members", "delegate", "A", "--remove")["changed"] is True
    assert run("members", "delegate", "A", "--remove")["changed"] is False
    assert "within 366 days" in run("members", "delegate", "A", "--to", delegate, exits=1)


def test_a_wallet_is_replaced_after_its_delay_and_trading_goes_on(campus, run):
    campus.start_market()
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    before = on_chain(campus, "A")
    assert run("members", "replace-wallet", "A", "--dry-run")["changed"] is False
    first = run("members", "replace-wallet", "A", "--reason", "key lost")
    assert run("members", "replace-wallet", "A")["changed"] is False
    assert run("members", "replace-wallet", "A", "--cancel")["changed"] is True
    assert run("members", "replace-wallet", "A", "--cancel")["changed"] is False
    second = run("members", "replace-wallet", "A", "--reason", "key lost")
    early = run("members", "replace-wallet", "A", "--finish", exits=3)
    assert early["steps"][0]["outcome"] == "not_due"
    campus.go_to(second["from_time"] + 1)
    worker.settle_down()
    assert run("members", "replace-wallet", "A", "--finish", "--dry-run")["changed"] is False
    assert run("members", "replace-wallet", "A", "--finish")["changed"] is True
    assert run("members", "replace-wallet", "A", "--finish")["changed"] is False
    after = on_chain(campus, "A")
    assert (after.member, after.member_index) == (before.member, before.member_index)
    assert after.wallet != before.wallet
    with campus.app.store.read() as session:
        user = session.scalars(select(User).where(User.name == "A")).one()
        assert wallets.unseal(campus.home, user).pubkey() == after.wallet
    assert first["from_epoch"] <= second["from_epoch"]
    assert conservation(campus.client).ok
    for _ in range(3):
        epoch = campus.run_epoch(worker)
    assert worker.journal.epoch(epoch).traded_wh > 0
    assert run("members", "show", "A")["chain"]["energy_wh"]["in_orders"] > 0  # its standing order goes on


def test_a_replacement_that_was_broken_off_is_resumed(campus, run):
    run("members", "replace-wallet", "A")
    with campus.app.store.read() as session:
        user = session.scalars(select(User).where(User.name == "A")).one()
    told = run("members", "replace-wallet", "A")
    campus.go_to(told["from_time"] + 1)
    run("members", "replace-wallet", "A", "--finish")
    with campus.app.store.write() as session:  # as after a kill between the chain's word and the store's
        kept = session.get(User, user.id)
        kept.signing_wallet, kept.sealed_key = None, user.sealed_key
        kept.next_wallet, kept.next_sealed_key = user.next_wallet, user.next_sealed_key
    run("members", "replace-wallet", "A", "--finish")
    with campus.app.store.read() as session:
        user = session.get(User, user.id)
        assert wallets.unseal(campus.home, user).pubkey() == on_chain(campus, "A").wallet


def test_a_member_leaves_with_everything_settled_paid_and_erased(campus, run):
    campus.start_market()
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    campus.run_epoch(worker)
    told = run("members", "leave", "A", exits=3)
    assert {step["outcome"] for step in told["steps"]} == {"in_use"}
    for meter in ("solar", "battery", "load"):
        run("meters", "retire", f"gw_a/{meter}", "--reason", "moves out")
    told = run("members", "leave", "A", exits=3)
    assert told["steps"][-1]["outcome"] == "in_the_book"
    campus.next_epoch()
    campus.read_all(campus.epoch * 60, but=("A.solar", "A.battery", "A.load"))
    worker.settle_down()
    plan = run("members", "leave", "A", "--dry-run")
    assert plan["changed"] is False
    sold = campus.credit("A")
    left = campus.held("A")
    assert sold > 0
    with campus.app.store.read() as session:
        member_id = session.scalars(select(User.id).where(User.name == "A")).one()
    bank_accounts.set_account(campus.app, member_id, "Ada", "DE89370400440532013000", "", actor="x")
    told = run("members", "leave", "A", "--reason", "moved out")
    assert told["fed_in_wh"] + told["retired_wh"] == left == plan["fed_in_wh"] + plan["retired_wh"]
    assert told["redeemed"] == sold + told["fed_in_wh"] * 80
    assert told["left_wh"] == 0
    member = campus.client.account(accounts.User, programs.user_address(campus.wallets["A"]))
    assert member.status == 3
    assert conservation(campus.client).ok
    with campus.app.store.read() as session:
        user = session.scalars(select(User).where(User.wallet == str(campus.wallets["A"]))).one()
        assert (user.name, user.building, user.sealed_key) == ("former member 0", "", None)
        assert session.get(BankAccount, member_id) is not None, "it is paid there"
    euros = replace(campus.app.home.settings, billing=BillingSettings(currency="EUR"))
    campus.app.home.save(euros)
    with campus.app.store.read() as session:
        (owed,) = payouts.owed(session, campus.app)
        (entry,) = session.scalars(select(CreditEntry))
    assert (entry.amount, entry.state) == (-told["redeemed"], "landed")
    assert (owed.wallet, owed.amount) == (user.wallet, -(-told["redeemed"] // 10_000 * 10_000))
    batch = payouts.order(campus.app, [(owed.name, owed.amount)], form="csv", actor="x")
    assert b"DE89370400440532013000" in payouts.file_of(campus.app, batch, "csv")[0]
    assert payouts.forget_former(campus.app) == 0, "the file may still have to be made again"
    assert "there is no member 'A'" in run("members", "leave", "A", exits=1)
    assert "has left already" in run("members", "leave", "former member 0", exits=1)
    for _ in range(2):
        campus.run_epoch(worker, but=("A.solar", "A.battery", "A.load"))
    assert campus.audit() == 0


def test_who_has_left_is_called_as_nobody_else_is_and_stays_so(campus, run):
    """Another has the name already, as one of an earlier release may."""
    campus.register_member("F")
    with campus.app.store.write() as session:
        session.add(User(name="former member 4", building="", wallet="w" * 32, left_at=1))
    told = run("members", "leave", "F", "--reason", "moved out")
    assert told["next"] == ["take 'F' out of the campus plan: loaded with it, that makes a new member"]
    with campus.app.store.read() as session:
        user = session.scalars(select(User).where(User.wallet == str(campus.wallets["F"]))).one()
    assert user.left_at is not None
    assert user.name == f"former member {user.wallet[:8]}"
    assert "has left" in run("members", "rename", user.name, "Hugo", exits=1)
    assert "has left" in run("members", "delegate-key", user.name, exits=1)
    assert "has left" in run("market", "credit", user.name, "1000000", exits=1)
    assert "has left" in run("market", "standing-order", "set", user.name, "--buy-at", "250000", exits=1)
    assert "has left" in run("credits", "top-up", user.name, "1000000", "--reference", "late", exits=1)
    assert "choose another name" in run("members", "add", "former member 9", "--building", "X", exits=1)
    assert campus.audit() == 0


@pytest.mark.finding("ops-4")
def test_a_larger_plant_counts_from_its_epoch_on(campus, run):
    worker = campus.worker()
    campus.run_epoch(worker, moving=False)
    n = campus.app.store.read
    with n() as session:
        installation = session.scalars(select(Installation).where(Installation.n == 1)).one()
        assert installation.nameplate_w == 100_000_000
    start = campus.epoch + 2
    words = ["installations", "change", "1", "--nameplate-w", "60000", "--reason", "smaller plant"]
    assert run(*words, "--from-epoch", str(start), "--dry-run")["changed"] is False
    told = run(*words, "--from-epoch", str(start))
    assert told["nameplate_w"] == {"from": 100_000_000, "to": 60_000}
    assert run(*words, "--from-epoch", str(start))["changed"] is False
    meter = campus.client.account(accounts.Meter, programs.meter_address(campus.meters["A.solar"].meter_id))
    assert (meter.staged_nameplate, meter.staged_from) == (60_000, start)
    assert "it can hold from epoch" in run(*words[:4], "50000", "--from-epoch", str(campus.epoch), exits=1)
    assert "storage is 0 to" in run("installations", "change", "1", "--storage-wh", "5000", exits=1)
    assert "there is no installation 99" in run("installations", "change", "99", "--nameplate-w", "1", exits=1)
    assert run("installations", "list")[0]["staged"]["from_epoch"] == start
    # the collector bounds a step by the same figures as the chain, before, across and after the change
    with campus.app.store.read() as session:
        row = session.get(Installation, 1)
        facts = MeterFacts(
            True, "generation", 1, row.nameplate_w, row.storage_wh, staged_nameplate_w=row.staged_nameplate_w,
            staged_storage_wh=row.staged_storage_wh, staged_from=row.staged_from,
        )  # fmt: skip
    signer = campus.meters["A.solar"]
    for first, step, code in ((start - 1, 5_000, "ok"), (start, 5_000, "exceeds_nameplate"), (start, 1_000, "ok")):
        last = Record.from_bytes(signer.sign(first * 60)[:96])
        record = Record.from_bytes(signer.sign((first + 1) * 60, generation=last.generation + step)[:96])
        assert policy.check(record, last, facts, campus.home.settings, (first + 2) * 60) == code
    for _ in range(2):
        campus.run_epoch(worker)
    campus.STEPS = {**campus.STEPS, "A.solar": (1_000,)}
    epoch = campus.run_epoch(worker)
    assert campus.state("A.solar").interval_end == (epoch + 1) * 60
    campus.STEPS = {**campus.STEPS, "A.solar": (5_000,)}  # what no plant of 60 kW makes in a minute
    epoch = campus.run_epoch(worker)
    assert campus.state("A.solar").interval_end == epoch * 60
