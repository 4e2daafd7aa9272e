"""A person leaves by itself: over the pages, the API and a real validator, with the way back, to the erased login."""

from __future__ import annotations

import hashlib
import html
import re
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from every_leaf import every_leaf
from kwh_site import opened
from people_site import PeopleSite, SignedIn, build, no_chain, sign_in
from sqlalchemy import select

from authority.app import App
from authority.audit.conservation import conservation
from authority.billing.bill import Bill, Line
from authority.billing.calendar import local, midnight
from authority.chain.client import ChainClient
from authority.cli import main
from authority.people import leave_requests, records, sessions
from authority.people.errors import SamePersonError
from authority.people.roles import DELEGATE, MEMBER, OPERATOR
from authority.status import judgement
from authority.status.facts import gather
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.log import Act
from authority.store.market import StandingOrderPolicy
from authority.store.people import User
from authority.store.persons import LeaveRequest, Person

DAY = 86_400
METERS = ("solar", "battery", "load")


@pytest.fixture
def store_url() -> str:
    return ""


def text(answer: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def test_a_member_leaves_and_may_return_until_it_is_carried_out(tmp_path: Path) -> None:
    with opened(tmp_path, epochs=2, members="ABCD", trades=True) as site:
        campus = site.campus
        app, worker, url = campus.app, campus.worker(), "/account/leave"
        _, operator, form = sign_in(app, site.flask, OPERATOR)

        def ask(act: str = "ask", status: int = 303, day: str = "") -> str:
            data = site.form(MEMBER, act=act, confirm="yes", day=day)
            answer = site.client(MEMBER).post(url, data=data)
            assert answer.status_code == status, answer.text
            return text(site.client(MEMBER).get(url)) if status == 303 else text(answer)

        def decide(number: int, **fields: str) -> None:
            answer = operator.post(f"/op/leaving/{number}", data={"form_token": form, "confirm": "yes", **fields})
            assert answer.status_code == 303, answer.text

        def carry_out() -> int:
            """What the settlement process does every few seconds, with the keys that it has."""
            with_keys = replace(App.open(campus.home_path, process="settlement"), clock=app.clock)
            try:
                with closing(ChainClient(campus.validator.url, attempts=2, timeout=20)) as client:
                    return leave_requests.carry_out(with_keys, client)
            finally:
                with_keys.store.close()

        def waits() -> list[str]:
            return [each.text for each in judgement.problems(gather(app, no_chain())) if each.code == "leave_asked"]

        tomorrow = local(app.clock() + DAY, ZoneInfo("UTC")).date()
        assert f"Nothing is done before {tomorrow:%-d %B %Y}" in ask(day=tomorrow.isoformat())
        decide(1, act="approve")
        assert f"Nothing is done before {tomorrow:%-d %B %Y}" in text(operator.get("/op/leaving"))
        assert carry_out() == 0
        assert waits() == []
        with app.store.read() as session:
            user = session.scalars(select(User).where(User.name == "A")).one()
            assert session.get_one(StandingOrderPolicy, user.id).paused_at is None, "the member trades until then"
        assert "was taken back" in ask("take-back")
        assert "waits for an operator" in ask()
        ask()  # twice is once
        assert ["decide" in each for each in waits()] == [True]
        assert carry_out() == 0, "nobody has approved it"
        decide(2, act="approve")
        decide(2, act="approve")
        assert carry_out() == 0
        assert "w_a/solar is still A's" in text(operator.get("/op/leaving"))
        assert "until something is done first" in waits()[0]
        with app.store.read() as session:
            order = session.get(StandingOrderPolicy, user.id)
            assert order is not None
            assert order.paused_at is not None, "no new orders while the last ones are waited for"
        assert "was taken back" in ask("take-back")
        assert carry_out() == 0
        assert waits() == []
        assert campus.held("A") > 0, "nothing was settled up"
        ask(day=local(app.clock(), ZoneInfo("UTC")).date().isoformat())
        decide(3, act="approve")
        bill(app, user.wallet)
        for meter in METERS:
            words = ["meters", "retire", f"gw_a/{meter}", "--reason", "moves out"]
            assert main([*words, "--home", str(campus.home_path)]) == 0
        campus.next_epoch()
        campus.read_all(campus.epoch * 60, but=tuple(f"A.{each}" for each in METERS))
        worker.settle_down()
        assert carry_out() == 1
        assert "is carried out" in text(site.client(MEMBER).get(url))
        assert "no way back" in ask("take-back", status=409)
        sees_its_bills_alone(site)
        assert conservation(campus.client).ok
        with app.store.read() as session:
            kept = session.get_one(User, user.id)
            assert (kept.name, kept.building, kept.sealed_key) == ("former member 0", "", None)
            assert session.get(StandingOrderPolicy, user.id) is None
            assert session.get(Person, session.scalars(select(LeaveRequest.person_id)).first()) is not None
        assert campus.held("A") == 0
        assert campus.credit("A") == 0
        assert carry_out() == 0, "the last bill is to come"
        with app.store.write() as session:
            period = BillingPeriod(
                period=9, first_epoch=0, end_epoch=campus.epoch + 5, closed_at=1, closed_by="x", log_index=0,
                issued_at=1, bills=0, due=0,
            )  # fmt: skip
            session.add(period)
        assert carry_out() == 1
        assert site.client(MEMBER).get(url).status_code == 303, "nobody is signed in any more"
        with app.store.read() as session:
            assert session.scalars(select(Person).where(Person.login == "member@campus.example")).all() == []
            assert session.scalars(select(LeaveRequest)).all() == []
            kinds = list(session.scalars(select(Act.kind).where(Act.kind.like("leave_%")).order_by(Act.log_index)))
            assert b"campus.example" not in every_leaf(session)
        assert kinds == [*["leave_asked", "leave_approved", "leave_taken_back"] * 2, "leave_asked", "leave_approved"]


def bill(app: App, wallet: str) -> None:
    """A bill of which nothing is due."""
    made = Bill(wallet, 0, 0, 1, 60, (Line("withdrawn", wh=81_200),), 0)
    document = made.document(1, app.home.network_id)
    with app.store.write() as session:
        its = {"period": 0, "issued_at": 1, "log_index": 0, "due": 0}
        session.add(BillingPeriod(**its, first_epoch=0, end_epoch=1, closed_at=1, closed_by="x", bills=1))
        session.flush()
        digest = hashlib.sha256(document).digest()
        session.add(IssuedBill(**its, number=1, wallet=wallet, document=document, sha256=digest))


def sees_its_bills_alone(site: SignedIn) -> None:
    """A member whose account has ended, and whose login is not erased yet."""
    client = site.client(MEMBER)
    assert client.get("/home").headers["Location"] == "/me/bills"
    page = client.get("/me/bills").text
    assert "Bill 1" in text(client.get("/me/bills"))
    links = set(re.findall(r'href="(/me[^"]*)"', page + client.get("/me/bills/1").text))
    assert links == {"/me/bills", "/me/bills/1", "/me/bills/1.pdf", "/me/bills/so-far"}
    assert "81.200" in text(client.get("/me/bills/1"))
    assert client.get("/me/bills/1.pdf").data.startswith(b"%PDF")
    assert client.get("/me/bills/2").status_code == 404
    asked = {"Accept": "application/json"}
    assert [each["number"] for each in client.get("/api/v1/me/bills", headers=asked).json["bills"]] == [1]
    me = client.get("/api/v1/me", headers=asked).json
    assert (me["roles"], me["member"], me["wallet"]) == (["former"], None, None)
    for gone in ("/me", "/me/energy", "/me/trading", "/me/money", "/me/payout", "/me/certificates", "/me/wallet"):
        assert client.get(gone).status_code == 404, gone
    assert 'href="/me/bills"' in client.get("/account/leave").text


@pytest.fixture
def site(app: App) -> PeopleSite:
    return build(app)


def test_by_the_api_a_login_alone_is_erased_and_the_account_goes_on(site: PeopleSite, app: App, clock: Any) -> None:
    """A delegate, and a member whose account is another member's too."""
    with app.store.write() as session:
        flatmate = records.add(session, "mate@campus.example", "The Mate", now=clock())
        records.grant(session, flatmate, MEMBER, by="x", now=clock(), member=site.members["Dormitory A"])
    headers = {"Accept": "application/json"}
    for role in (MEMBER, DELEGATE):
        client, sent = site.client(role), {**headers, "X-Form-Token": site.form(role)["form_token"]}
        assert client.get("/api/v1/me/leaving").json["state"] == "none"
        told = client.post("/api/v1/me/leaving", json={"gives_up_energy": True}, headers=sent)
        assert (told.status_code, told.json["state"], told.json["ends_account"]) == (202, "waiting", False)
        assert client.delete("/api/v1/me/leaving", headers=sent).json["state"] == "withdrawn"
        client.post("/api/v1/me/leaving", json={}, headers=sent)
        with app.store.read() as session:
            row = leave_requests.last_of(session, site.people[role].id)
            assert row is not None
        leave_requests.approve(app, row.id, actor=site.people[OPERATOR].pseudonym)
        with closing(no_chain()) as nothing:
            assert leave_requests.carry_out(app, nothing) == 1
        assert client.get("/api/v1/me").status_code == 401
    with app.store.read() as session:
        kept = session.get_one(User, site.members["Dormitory A"].id)
        assert (kept.name, kept.left_at) == ("Dormitory A", None)
        assert session.scalars(select(Person.login).where(Person.login == "mate@campus.example")).one()


def test_nothing_is_done_before_the_day_that_was_named(site: PeopleSite, app: App, clock: Any) -> None:
    client, headers = site.client(MEMBER), {"Accept": "application/json"}
    sent = {**headers, "X-Form-Token": site.form(MEMBER)["form_token"]}
    with app.store.write() as session:
        flatmate = records.add(session, "mate@campus.example", "The Mate", now=clock())
        records.grant(session, flatmate, MEMBER, by="x", now=clock(), member=site.members["Dormitory A"])
    today = local(clock(), ZoneInfo("UTC")).date()
    for wrong in (today - timedelta(days=1), today + timedelta(days=367)):
        answer = client.post("/api/v1/me/leaving", json={"leaves_on": wrong.isoformat()}, headers=sent)
        assert (answer.status_code, answer.json["code"]) == (400, "leave_day_invalid")
    page = client.post("/account/leave", data=site.form(MEMBER, act="ask", confirm="yes", day="soon"))
    assert (page.status_code, "like 2026-12-31" in text(page)) == (400, True)
    on = (today + timedelta(days=2)).isoformat()
    told = client.post("/api/v1/me/leaving", json={"leaves_on": on}, headers=sent).json
    assert (told["state"], told["leaves_on"], told["may_take_back"]) == ("waiting", on, True)
    leave_requests.approve(app, 1, actor=site.people[OPERATOR].pseudonym)
    clock.now = midnight(today + timedelta(days=2), ZoneInfo("UTC")) - 1
    with closing(no_chain()) as nothing:
        assert leave_requests.carry_out(app, nothing) == 0
        assert client.get("/api/v1/me/leaving", headers=headers).json["may_take_back"] is True
        assert "Stay after all" in text(client.get("/account/leave"))
        clock.now += 1
        assert leave_requests.carry_out(app, nothing) == 1
    assert client.get("/api/v1/me").status_code == 401


def test_who_may_not_leave_by_itself_is_told_why(site: PeopleSite, clock: Any) -> None:
    url, operator = "/account/leave", site.client(OPERATOR)
    assert "have it withdrawn first" in text(operator.get(url))
    assert operator.post(url, data=site.form(OPERATOR, act="ask", confirm="yes")).status_code == 409
    member = site.client(MEMBER)
    assert "tick the box" in text(member.post(url, data=site.form(MEMBER, act="ask")))
    clock.now += sessions.FRESH_SECONDS
    refused = member.post(url, data=site.form(MEMBER, act="ask", confirm="yes"))
    assert refused.status_code == 403
    assert "sign in once more" in text(refused)
    assert "/login?next=/account/leave" in member.get(url).text
    sent = {"Accept": "application/json", "X-Form-Token": site.form(MEMBER)["form_token"]}
    answer = member.post("/api/v1/me/leaving", json={}, headers=sent)
    assert (answer.status_code, answer.json["code"]) == (403, "sign_in_again")
    with site.app.store.read() as session:
        assert session.scalars(select(LeaveRequest)).all() == []


def test_an_operator_refuses_with_a_reason_that_the_person_reads(site: PeopleSite) -> None:
    member, operator = site.client(MEMBER), site.client(OPERATOR)
    member.post("/account/leave", data=site.form(MEMBER, act="ask", confirm="yes", forfeit="yes"))
    shown = text(operator.get("/op/leaving"))
    assert "Ends the account Dormitory A" in shown
    assert "is given up" in shown
    with pytest.raises(SamePersonError):
        leave_requests.approve(site.app, 1, actor=site.people[MEMBER].pseudonym)
    named = operator.post("/op/leaving/1", data=site.form(OPERATOR, act="refuse", reason="Dormitory A stays"))
    assert named.status_code == 400
    operator.post("/op/leaving/1", data=site.form(OPERATOR, act="refuse", reason="the lease goes on"))
    assert "The lease goes on." in text(member.get("/account/leave"))
    assert "was refused" in text(member.get("/account/leave"))
    assert operator.post("/op/leaving/1", data=site.form(OPERATOR, act="approve", confirm="yes")).status_code == 409
