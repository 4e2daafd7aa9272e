"""Who is behind a pseudonym or a wallet is shown by two people: no page or resource shows it to one who may unmask."""

from __future__ import annotations

from typing import Any

import pytest
from people_site import PeopleSite
from sqlalchemy import select

from authority.people.roles import AUDITOR, AUTHORITY, DELEGATE, MEMBER, OPERATOR, ROLES, TREASURER
from authority.store.people import StatusRequest, User, WalletRequest
from authority.store.persons import LeaveRequest, Person
from authority.store.settlement import Alert
from authority.web import access

SECRET = "Zenobia"
"""Stands in every name, building and login of members; nothing else has it."""


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(operated: PeopleSite) -> PeopleSite:
    """Members whose names are unlike any word of the pages, with something of each on every list."""
    with operated.app.store.write() as session:
        for number, user in enumerate(session.scalars(select(User).order_by(User.id))):
            user.name, user.building = f"{SECRET} {number}", f"{SECRET} House {number}"
            user.registered_at = 1
        for person in session.scalars(select(Person)):
            if person.login.partition("@")[0] not in ROLES or person.login.startswith((MEMBER, DELEGATE)):
                person.name, person.login = f"{SECRET} {person.id}", f"{SECRET.lower()}{person.id}@campus.example"
        first = session.scalars(select(User).where(User.id == operated.members["Dormitory A"].id)).one()
        asked: dict[str, Any] = {"told": f"{SECRET} is in the way", "asked_at": 1}
        session.add(
            StatusRequest(
                user_id=first.id, status="suspended", reason="so", state="failed", asked_by="person-0",
                ended_at=2, **asked,
            )
        )  # fmt: skip
        session.add(WalletRequest(user_id=first.id, kept_here=True, state="failed", asked_by="person-0", **asked))
        session.add(
            LeaveRequest(
                person_id=operated.people[MEMBER].id, user_id=first.id, forfeit=False, state="approved", **asked
            )
        )
        session.add(
            Alert(
                code="chain_refused", subject=first.wallet, message="refused", first_at=1, last_at=1, count=1,
            )
        )  # fmt: skip
    return operated


def urls(site: PeopleSite, role: str) -> list[str]:
    """Every address that answers a look of this role, and of no member: with values that are there."""
    known = {
        "wallet": site.members["Dormitory A"].wallet,
        "pseudonym": site.people[MEMBER].pseudonym,
        "gateway": "gw-3",
        "meter_name": "roof",
        "enrolment_id": site.enrolment,  # type: ignore[attr-defined]
        "log_index": site.held,  # type: ignore[attr-defined]
        "day": "1970-01-11",
        "proposal": "x",
        "number": 1,
    }
    found = []
    for rule in site.flask.url_map.iter_rules():
        held = access.RULES[rule.endpoint].roles
        if held and role in held and MEMBER not in held and "GET" in (rule.methods or ()):
            with site.flask.test_request_context():
                adapter = site.flask.url_map.bind("localhost")
                found.append(adapter.build(rule.endpoint, {name: known[name] for name in rule.arguments}))
    return found


@pytest.mark.parametrize("role", [AUDITOR, AUTHORITY])
def test_no_page_and_no_resource_names_a_member_to_one_person(site: PeopleSite, role: str) -> None:
    walked = 0
    for url in urls(site, role):
        answer = site.client(role).get(url)
        assert SECRET.lower() not in answer.text.lower(), url
        walked += answer.status_code == 200
    assert walked > 25
    shown = site.client(OPERATOR).get("/op/accounts").text
    assert SECRET in shown, "whoever operates knows whom"


@pytest.mark.parametrize("role", [AUDITOR, AUTHORITY])
def test_accounts_go_by_wallets_and_their_people_by_pseudonyms(site: PeopleSite, role: str) -> None:
    wallet = site.members["Dormitory A"].wallet
    client = site.client(role)
    assert f">{wallet}</a>" in client.get("/op/accounts").text
    page = client.get(f"/op/accounts/{wallet}").text
    assert site.people[MEMBER].pseudonym in page
    assert "takes two people" in page
    one = client.get(f"/api/v1/members/{wallet}").json
    assert (one["account"]["member"], one["account"]["building"], one["meters"]) == (None, None, None)
    assert [(each["name"], each["pseudonym"].startswith("person-")) for each in one["people"]] == [(None, True)] * 2
    assert one["asked"][0]["told"] == ""
    for named in (SECRET, f"{SECRET} House 0"):  # to be told which account has a name is to be told the name
        assert client.get("/api/v1/members", query_string={"q": named}).json["members"] == []
    found = client.get("/api/v1/members", query_string={"q": wallet[3:20].lower()}).json["members"]
    assert [row["wallet"] for row in found] == [wallet]


def test_who_may_sign_in_is_a_page_of_the_operators_alone(site: PeopleSite) -> None:
    for role in (AUDITOR, AUTHORITY, TREASURER):
        assert site.client(role).get("/op/members").status_code == 404
    for role in (AUDITOR, AUTHORITY):
        assert "/op/members" not in site.client(role).get("/op").text, "nor does anything lead there"
    assert 'href="/op/members"' in site.client(OPERATOR).get("/op").text


def test_the_authority_finds_a_member_by_its_login_and_never_by_its_pseudonym(site: PeopleSite) -> None:
    person, client = site.people[MEMBER], site.client(AUTHORITY)
    with site.app.store.read() as session:
        login = session.get_one(Person, person.id).login
    assert client.get(f"/people/{person.pseudonym}").status_code == 404
    for fields in ({}, {"login": "x"}, {"login": ""}):
        sent = site.form(AUTHORITY, act="give", confirm="yes", **fields) | {"role": OPERATOR}
        assert client.post(f"/people/{person.pseudonym}", data=sent).status_code == 404, fields
    missed = client.post("/people", data=site.form(AUTHORITY, login="nobody-at-all"))
    assert (missed.status_code, "Nobody signs in with that login" in missed.text) == (404, True)
    found = client.post("/people", data=site.form(AUTHORITY, login=f" {login.upper()}"))
    assert found.status_code == 200
    assert f"{SECRET} {person.id}" in found.text
    assert f'name="login" value=" {login.upper()}"' in found.text, "its forms say again who is meant"
    sent = site.form(AUTHORITY, act="give", confirm="yes", login=login) | {"role": OPERATOR}
    proposed = client.post(f"/people/{person.pseudonym}", data=sent)
    assert proposed.status_code == 303
    own = client.get(proposed.headers["Location"]).text
    assert SECRET not in own, "the proposer is not shown who a pseudonym is, only who approves"
