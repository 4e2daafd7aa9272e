"""An operator looks at the market's accounts, suspends one and restores it: over the pages and a real validator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from kwh_site import KwhSite, opened
from people_site import PeopleSite, build, sign_in
from sqlalchemy import select

from authority.api import accounts as accounts_api
from authority.app import App
from authority.chain.client import ChainClient
from authority.log import gate
from authority.operations import suspensions
from authority.people import records, tokens
from authority.people.roles import AUDITOR, AUTHORITY, DELEGATE, MEMBER, OPERATOR, READ_OPERATIONS
from authority.store.log import Act
from authority.store.people import StatusRequest, User

REASON = "the deposit is missing"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KwhSite]:
    with opened(tmp_path_factory.mktemp("campus"), epochs=1) as found:
        yield found


@pytest.fixture
def store_url() -> str:
    return ""


class Office:
    """An operator at the page of member C's account, and the process that has the operator's key."""

    def __init__(self, site: KwhSite) -> None:
        self.site, self.app = site, site.campus.app
        self.person, self.operator, self.form = sign_in(self.app, site.flask, OPERATOR)
        with self.app.store.read() as session:
            self.wallet = session.scalars(select(User.wallet).where(User.name == "C")).one()

    def ask(self, status: str, code: int = 303, **fields: Any) -> str:
        data = {"form_token": self.form, "status": status, "reason": REASON, "confirm": "yes", **fields}
        answer = self.operator.post(f"/op/accounts/{self.wallet}", data=data)
        assert answer.status_code == code, answer.text
        return self.page() if code == 303 else str(answer.text)

    def page(self) -> str:
        return str(self.operator.get(f"/op/accounts/{self.wallet}").text)

    def carry_out(self, url: str = "") -> int:
        """What the settlement process does every few seconds, with the keys that it has."""
        app = replace(App.open(self.site.campus.home_path, process="settlement"), clock=self.app.clock)
        try:
            with closing(ChainClient(url or self.site.campus.validator.url, attempts=1, timeout=20)) as client:
                return suspensions.carry_out(app, client)
        finally:
            app.store.close()

    def acts(self, kind: str) -> list[Act]:
        with self.app.store.read() as session:
            return list(session.scalars(select(Act).where(Act.kind == kind).order_by(Act.log_index)))


@pytest.fixture
def office(site: KwhSite) -> Office:
    return Office(site)


def test_a_member_is_suspended_and_restored_by_the_service_of_the_command(office: Office) -> None:
    listed = office.operator.get("/op/accounts").text
    assert re.search(rf'href="/op/accounts/{office.wallet}">C</a>.*?</th><td>active</td>', listed)
    shown = office.page()
    assert "Suspend</button>" in shown
    assert "Restore</button>" not in shown
    for _ in range(2):  # a form that is sent twice acts once
        shown = office.ask("suspended")
    assert "active; becomes suspended" in shown
    assert office.carry_out("http://127.0.0.1:9") == 0
    assert "it goes to the chain" in office.page(), "the chain that does not answer is asked again"
    assert office.carry_out() == 1
    assert office.carry_out() == 0
    shown = office.page()
    assert "<dd>suspended</dd>" in shown
    assert "Restore</button>" in shown
    (asked,), (done,) = office.acts("member_status_asked"), office.acts("member_status_set")
    assert asked.data["wallet"] == done.data["wallet"] == office.wallet
    assert {asked.actor, done.actor} == {office.person.pseudonym}
    with office.app.store.read() as session:
        assert gate.words_of(session, done) == REASON
    office.ask("active")
    assert office.carry_out() == 1
    assert "<dd>active</dd>" in office.page()
    assert [act.data["status"] for act in office.acts("member_status_set")] == ["suspended", "active"]
    assert office.site.campus.audit() == 0


def test_what_is_asked_for_last_holds(office: Office) -> None:
    office.ask("suspended")
    shown = office.ask("active")
    assert "it was taken back before it was done" in shown
    assert office.carry_out() == 1
    assert "<dd>active</dd>" in office.page()


def test_what_is_taken_back_while_others_are_carried_out_is_not_done(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    office.ask("suspended")
    real = suspensions._waits

    def taken_back(app: Any, number: int) -> bool:
        office.ask("active")  # the operator thinks better of it, between the reading of the list and this one's turn
        return real(app, number)

    monkeypatch.setattr(suspensions, "_waits", taken_back)
    assert office.carry_out() == 0
    monkeypatch.setattr(suspensions, "_waits", real)
    assert office.carry_out() == 1
    assert "<dd>active</dd>" in office.page()
    assert office.acts("member_status_set")[-1].data["status"] == "active"


def test_a_member_that_left_meanwhile_is_not_suspended(office: Office) -> None:
    office.ask("suspended")
    with office.app.store.write() as session:
        user = session.scalars(select(User).where(User.wallet == office.wallet)).one()
        user.left_at = 1
    try:
        assert office.operator.get(f"/op/accounts/{office.wallet}").status_code == 404
        assert office.carry_out() == 0
    finally:
        with office.app.store.write() as session:
            session.get_one(User, user.id).left_at = None
    assert "could not be done. C has left" in office.page()


@pytest.fixture
def plain(app: App) -> PeopleSite:
    """A site whose validator does not answer."""
    return build(app)


def registered(site: PeopleSite, name: str = "Dormitory A") -> str:
    with site.app.store.write() as session:
        user = session.scalars(select(User).where(User.name == name)).one()
        user.registered_at = 1
        return user.wallet


def test_nothing_is_asked_for_without_a_nameless_reason_and_a_word(plain: PeopleSite) -> None:
    url = f"/op/accounts/{registered(plain)}"
    for fields, words in (
        ({"confirm": ""}, "Tick the box"),
        ({"reason": "x"}, "Say why"),
        ({"reason": "Dormitory A did not pay"}, "without"),
        ({"status": "closed"}, "suspended or restored"),
        ({"status": ""}, "suspended or restored"),
    ):
        sent = {"status": "suspended", "reason": REASON, "confirm": "yes", **fields}
        answer = plain.client(OPERATOR).post(url, data=plain.form(OPERATOR, **sent))
        assert (answer.status_code, words.lower() in answer.text.lower()) == (400, True), fields
    for role in (AUTHORITY, AUDITOR, MEMBER):
        sent = plain.form(role, status="suspended", reason=REASON, confirm="yes")
        assert plain.client(role).post(url, data=sent).status_code == 404, role
    sent = plain.form(OPERATOR, status="suspended", reason=REASON, confirm="yes")
    assert plain.client(OPERATOR).post("/op/accounts/x", data=sent).status_code == 404
    other = f"/op/accounts/{plain.members['Dormitory B'].wallet}"
    refused = plain.client(OPERATOR).post(other, data=sent)
    assert (refused.status_code, "not on the chain yet" in refused.text) == (409, True)
    with plain.app.store.read() as session:
        assert session.scalars(select(StatusRequest)).all() == []


def test_the_list_is_of_who_takes_part_and_says_what_is_not_known(plain: PeopleSite) -> None:
    registered(plain)
    page = plain.client(AUDITOR).get("/op/accounts").text
    assert "<td>not known now</td>" in page, "the validator does not answer"
    assert "<td>not on the chain yet</td>" in page
    found = plain.client(OPERATOR).get("/op/accounts?q=tory+b").text
    assert ("Dormitory B" in found, "Dormitory A" in found) == (True, False)
    assert "No account has that" in plain.client(OPERATOR).get("/op/accounts?q=%25").text
    one = f"/op/accounts/{plain.members['Dormitory A'].wallet}"
    assert "The Delegate" in plain.client(OPERATOR).get(one).text
    shown = plain.client(AUDITOR).get(one).text
    assert plain.people[DELEGATE].pseudonym in shown
    assert "Suspend</button>" not in shown, "an auditor only looks"


def test_programs_read_the_same_page_by_page(plain: PeopleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts_api, "AT_ONCE", 1)
    with plain.app.store.write() as session:
        owner = records.principal(session, records.find(session, "operator@campus.example"), "s", plain.app.clock())
        token = tokens.make(session, owner, "desk", [READ_OPERATIONS], 30, plain.app.clock())[1]
    client, headers = plain.flask.test_client(), {"Authorization": f"Bearer {token}"}
    first = client.get("/api/v1/members", headers=headers).json
    second = client.get(f"/api/v1/members?cursor={first['next']}", headers=headers).json
    assert [row["member"] for page in (first, second) for row in page["members"]] == ["Dormitory A", "Dormitory B"]
    assert second["next"] is None
    wallet = first["members"][0]["wallet"]
    one = client.get(f"/api/v1/members/{wallet}", headers=headers)
    assert [each["role"] for each in one.json["people"]] == ["member", "delegate"]
    again = client.get(f"/api/v1/members/{wallet}", headers={**headers, "If-None-Match": one.headers["ETag"]})
    assert again.status_code == 304
    assert client.get("/api/v1/members/x", headers=headers).status_code == 404
    with plain.app.store.read() as session:
        reads = session.scalars(select(Act).where(Act.kind == "data_read")).all()
    subjects = [(act.data["what"], act.data["subject"]) for act in reads]
    assert subjects == [("accounts", "everybody"), ("accounts", wallet)]
    assert "Accounts of members" in plain.client(MEMBER).get("/account/readers").text
