"""Names stand for addresses in what people read."""

from __future__ import annotations

import os

import pytest
from plans import one_meter
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import select

from authority.app import App
from authority.chain import programs
from authority.cli import main
from authority.enrolment import plan
from authority.enrolment.names import Names
from authority.store.metering import Meter
from authority.store.people import User
from authority.store.settlement import Alert

PLAN = one_meter()


@pytest.fixture
def wallet(app: App) -> str:
    """The one member's."""
    with app.store.write() as session:
        plan.apply(session, plan.parse(PLAN), app.home, actor="operator", now=1, random=os.urandom)
        return session.scalars(select(User.wallet)).one()


@pytest.mark.finding("ops-14")
def test_an_alert_names_the_member(app: App, wallet: str, capsys: pytest.CaptureFixture[str]) -> None:
    with app.store.write() as session:
        meter = programs.meter_address(session.scalars(select(Meter.meter_id)).one())
        message = f"trading refused (CrossesOwnOrder): {wallet} and {meter}"
        session.add(Alert(code="X", subject=f"bid of {wallet}", message=message, first_at=1, last_at=1, count=2))
    assert main(["settlement", "alerts", "--home", str(app.home.path)]) == 0
    said = capsys.readouterr().out
    assert said == "bid of Dormitory A: trading refused (CrossesOwnOrder): Dormitory A and meter gw-1/pv [X, 2 times]\n"


@pytest.mark.finding("ops-14")
def test_whose_an_address_is(app: App, wallet: str, capsys: pytest.CaptureFixture[str]) -> None:
    address = str(programs.user_address(Pubkey.from_string(wallet)))
    assert main(["enrol", "whois", wallet, address, "--home", str(app.home.path)]) == 0
    assert capsys.readouterr().out == f"{wallet}: Dormitory A\n{address}: Dormitory A's account\n"
    assert main(["enrol", "whois", str(Keypair().pubkey()), "--home", str(app.home.path)]) == 1


def test_what_is_not_known_stays_as_it_is(app: App, wallet: str) -> None:
    with app.store.read() as session:
        names = Names.load(session, app.home)
    stranger = str(Keypair().pubkey())
    for text in (stranger, f"{wallet}x", f"x{wallet}", "", "signature " + stranger * 2):
        assert names.in_text(text) == text
    assert names.in_text(f"({wallet}), {wallet}.") == "(Dormitory A), Dormitory A."
