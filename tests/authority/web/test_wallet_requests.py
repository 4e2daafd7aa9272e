"""A member asks for another wallet, an operator decides, and it takes over: over the pages and a real validator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kwh_site import KwhSite, opened
from people_site import no_chain, sign_in
from solders.keypair import Keypair
from sqlalchemy import select

from authority.app import App
from authority.chain.client import ChainClient
from authority.cli import main
from authority.operations import replacing_wallets, wallet_requests
from authority.people.roles import DELEGATE, OPERATOR
from authority.status import judgement
from authority.status.facts import gather
from authority.store.log import Act
from authority.store.people import User

OWNER = "other"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[KwhSite]:
    with opened(tmp_path, epochs=1) as found:
        yield found


class Office:
    """Member C, who holds its key itself, an operator, and the process that has the operator's key."""

    def __init__(self, site: KwhSite) -> None:
        self.site, self.app = site, site.campus.app
        _, self.operator, self.form = sign_in(self.app, site.flask, OPERATOR)
        with self.app.store.write() as session:
            self.user = session.scalars(select(User).where(User.name == "C")).one()
            self.user.sealed_key = None

    def ask(self, act: str, to: str = "", status: int = 303) -> str:
        data = self.site.form(OWNER, act=act, to=to)
        answer = self.site.client(OWNER).post("/me/wallet", data=data)
        assert answer.status_code == status, answer.text
        return self.page() if status == 303 else answer.text

    def page(self) -> str:
        return str(self.site.client(OWNER).get("/me/wallet").text)

    def decide(self, act: str, number: int, status: int = 303, **fields: Any) -> str:
        data = {"form_token": self.form, "act": act, **fields}
        answer = self.operator.post(f"/op/wallets/{number}", data=data)
        assert answer.status_code == status, answer.text
        return str(answer.text)

    def approve(self, number: int, seen: str, status: int = 303) -> str:
        return self.decide("approve", number, status, confirm="yes", seen=seen)

    def carry_out(self) -> int:
        """What the settlement process does every few seconds, with the keys that it has."""
        app = replace(App.open(self.site.campus.home_path, process="settlement"), clock=self.app.clock)
        try:
            with closing(ChainClient(self.site.campus.validator.url, attempts=2, timeout=20)) as client:
                return wallet_requests.carry_out(app, client)
        finally:
            app.store.close()

    def wait_for_the_programs(self) -> None:
        campus = self.site.campus
        campus.go_to((campus.epoch + replacing_wallets.DELAY_EPOCHS + 1) * campus.epoch_seconds + 1)
        _, self.operator, self.form = sign_in(self.app, self.site.flask, OPERATOR)  # the former session is over

    def signs(self) -> str:
        with self.app.store.read() as session:
            return session.get_one(User, self.user.id).signs_as

    def acts(self) -> list[str]:
        with self.app.store.read() as session:
            kinds = session.scalars(select(Act.kind).where(Act.kind.like("wallet_%")).order_by(Act.log_index))
            return list(kinds)


@pytest.fixture
def office(site: KwhSite) -> Office:
    return Office(site)


def test_a_member_that_lost_its_key_gets_another_wallet_and_both_sides_are_told(office: Office) -> None:
    new = str(Keypair().pubkey())
    shown = office.ask("own", new)
    assert new in shown
    assert "waits for an operator" in shown
    office.ask("own", new)  # twice is once
    told = office.operator.get("/op/wallets").text
    assert new in told
    assert "wallet_asked" in {each.code for each in judgement.problems(gather(office.app, no_chain()))}
    assert office.carry_out() == 0
    office.approve(1, new)
    office.approve(1, new)
    assert "is approved" in office.page()
    assert office.carry_out() == 1
    shown = office.page()
    assert "is proposed on the chain" in shown
    assert "takes over by itself from" in shown
    assert office.carry_out() == 0  # not due
    assert office.signs() != new
    office.wait_for_the_programs()
    assert office.carry_out() == 1
    assert office.signs() == new
    assert "has taken over" in office.page()
    assert "has taken over" in office.operator.get("/op/wallets").text
    assert office.acts() == ["wallet_asked", "wallet_approved", "wallet_proposed", "wallet_replaced"]
    assert office.site.campus.audit() == 0


def test_a_member_has_the_department_keep_its_key_again(office: Office) -> None:
    office.ask("kept")
    office.approve(1, "")
    office.carry_out()
    office.wait_for_the_programs()
    assert office.carry_out() == 1
    with office.app.store.read() as session:
        user = session.get_one(User, office.user.id)
        assert user.sealed_key is not None
        assert user.signs_as != user.wallet
    assert "of your wallet already" in office.ask("kept", status=409)


def test_what_was_approved_is_taken_back_by_the_member_and_refused_by_the_operator(office: Office) -> None:
    first, second = (str(Keypair().pubkey()) for _ in range(2))
    office.ask("own", first)
    assert "take that back first" in office.ask("own", second, status=409)
    assert "another wallet than the one that was shown" in office.approve(1, second, status=409)
    office.approve(1, first)
    office.carry_out()
    office.ask("take-back")
    assert "is being taken back" in office.page()
    assert office.carry_out() == 1
    assert "was taken back" in office.page()
    office.ask("own", second)
    office.approve(2, second)
    office.carry_out()
    office.decide("refuse", 2, reason="it was somebody else")
    office.carry_out()
    shown = office.page()
    assert "was refused" in shown
    assert "It was somebody else" in shown
    office.wait_for_the_programs()
    assert office.carry_out() == 0
    assert office.signs() == office.user.wallet
    assert "has ended already" in office.approve(2, second, status=409)


def test_a_command_that_takes_the_proposal_back_ends_the_request(office: Office) -> None:
    new = str(Keypair().pubkey())
    office.ask("own", new)
    office.approve(1, new)
    office.carry_out()
    office.site.campus.save_validator()
    assert main(["members", "--home", str(office.site.campus.home_path), "replace-wallet", "C", "--cancel"]) == 0
    office.wait_for_the_programs()
    office.carry_out()
    assert "could not be had" in office.page()


def test_no_other_persons_and_no_wallet_of_a_members(office: Office) -> None:
    for wrong in (office.user.wallet, office.site.campus.wallets["A"], "x", ""):
        assert office.ask("own", str(wrong), status=409)
    _, delegate, form = sign_in(office.app, office.site.flask, DELEGATE)
    sent = delegate.post("/me/wallet", data={"form_token": form, "act": "own", "to": str(Keypair().pubkey())})
    assert sent.status_code == 404
    assert "approve" not in office.operator.get("/op/wallets").text.lower()
    assert office.acts() == []
    with office.app.store.read() as session:
        assert wallet_requests.listed(session) == []
