"""Issuing credits on a real validator: to members alone, each issue an act in the log."""

import os
import subprocess
import sys
import time

import pytest
from solders.pubkey import Pubkey
from sqlalchemy import select

from authority.app import App
from authority.chain import programs
from authority.chain.client import ChainClient
from authority.chain.deploy import Deployment, deploy
from authority.cli import main
from authority.demo.campus import PLAN
from authority.demo.orchestrator import settings_for
from authority.demo.stage import Ports
from authority.enrolment import plan
from authority.home.home import Home
from authority.market.credits import issue_credits
from authority.market.policies import MarketError
from authority.store.log import Act
from authority.store.people import User


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """A deployed home with the demo's members, of whom Dormitory A alone is on the chain."""
    path = tmp_path_factory.mktemp("authority") / "home"
    settings = settings_for(Ports.free(), mqtt=False)
    home = Home.create(path, settings, now=int(time.time()))
    words = [sys.executable, "-m", "authority.cli", "validator", "--home", str(path)]
    validator = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert validator.stdout.readline().startswith("validator ready")
        client = ChainClient(home.rpc_url)
        deploy(client, Deployment.of(home), authority=home.authority, operator=home.operator)
        opened = App.open(path)
        with opened.store.write() as session:
            plan.apply(session, plan.parse(PLAN.read_bytes()), home, actor="t", now=1, random=os.urandom)
            user = session.scalar(select(User).where(User.name == "Dormitory A"))
            wallet = Pubkey.from_string(user.wallet)
            accounts = {
                "operator": home.operator.pubkey(),
                "user": programs.user_address(wallet),
                "wallet": wallet,
                "energy_token_account": programs.associated_token_address(wallet, programs.energy_mint()),
                "credit_token_account": programs.associated_token_address(wallet, programs.credit_mint()),
            }
            register = client.instruction("registry", "register_user", {"role": 1}, accounts)
            client.send([register], [], payer=home.operator)
            user.registered_at = 1
        yield opened
        opened.store.close()
    finally:
        validator.terminate()
        validator.communicate(timeout=60)


def wallet_of_dormitory_a(app):
    with app.store.read() as session:
        return session.scalar(select(User.wallet).where(User.name == "Dormitory A"))


def balance(app):
    wallet = Pubkey.from_string(wallet_of_dormitory_a(app))
    client = ChainClient(app.home.rpc_url)
    return client.token_balance(programs.associated_token_address(wallet, programs.credit_mint()))


def issued(app):
    with app.store.read() as session:
        return [act.data for act in session.scalars(select(Act).where(Act.kind == "credit_issued"))]


def issue(app, *amounts):
    client = ChainClient(app.home.rpc_url)
    issue_credits(app.store, client, app.home.operator, amounts, actor="test", now=7)


def test_an_issue_is_on_the_chain_and_in_the_log(app):
    before, logged = balance(app), len(issued(app))
    issue(app, *[("Dormitory A", 1_000_000)] * 5)
    assert balance(app) == before + 5_000_000
    assert issued(app)[logged:] == [{"amount": 1_000_000, "wallet": wallet_of_dormitory_a(app)}] * 5


def test_the_command_does_the_same(app, capsys):
    before = balance(app)
    assert main(["market", "--home", str(app.home.path), "credit", "Dormitory A", "250000"]) == 0
    assert "250000 micro-credits" in capsys.readouterr().out
    assert balance(app) == before + 250_000


@pytest.mark.parametrize(
    ("name", "amount", "code"),
    [
        ("Nobody", 1, "user_unknown"),
        ("Dormitory B", 1, "user_unregistered"),
        ("Dormitory A", 0, "credit_invalid"),
        ("Dormitory A", -5, "credit_invalid"),
        ("Dormitory A", 2**63, "credit_invalid"),
    ],
)
def test_what_cannot_be_issued_is_refused_whole_and_leaves_no_act(app, name, amount, code):
    before, logged = balance(app), issued(app)
    with pytest.raises(MarketError) as caught:
        issue(app, ("Dormitory A", 1), (name, amount))
    assert caught.value.code == code
    assert (balance(app), issued(app)) == (before, logged)
