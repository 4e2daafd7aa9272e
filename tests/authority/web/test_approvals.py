"""What takes two people, on the pages: by two who are signed in, in one browser each, and by nobody else."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from typing import Any

import axe
import pytest
from browser import CHROMIUM, Browser
from every_leaf import every_leaf
from people_site import build, sign_in
from served import served
from solders.keypair import Keypair
from sqlalchemy import select

from authority.home.settings import PeopleSettings
from authority.people import proposals, records
from authority.people.roles import AUDITOR, AUTHORITY, MEMBER, OPERATOR, TREASURER
from authority.store.log import Act
from authority.store.people import User
from authority.store.persons import Person, Proposal

WHY = "a court asks for it"
ABOVE = {"member": "Dormitory A", "way": "in", "amount": "2000", "again": "2000", "reference": "From Ada Lovelace"}


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: Any) -> Any:
    return build(app)


class Hand:
    """A person of a role at a browser of its own."""

    def __init__(self, site: Any, role: str) -> None:
        self.person, self.client, self.form_token = sign_in(site.app, site.flask, role)

    def get(self, url: str) -> Any:
        return self.client.get(url)

    def post(self, url: str, status: int = 303, **fields: str) -> Any:
        answer = self.client.post(url, data={"form_token": self.form_token, **fields})
        assert answer.status_code == status, answer.text
        return answer

    def propose(self, kind: str, status: int = 303, **fields: str) -> Any:
        answer = self.post("/approvals", status, **{"kind": kind, "reason": WHY, **fields})
        return answer.headers["Location"] if status == 303 else answer.text

    def approve(self, url: str, status: int = 303) -> Any:
        found = re.search(r'name="seen" value="(\w+)"', self.get(url).text)
        seen = "" if found is None else found[1]
        return self.post(url, status, act="approve", confirm="yes", seen=seen)


def acts(site: Any, *kinds: str) -> list[tuple[str, str]]:
    with site.app.store.read() as session:
        found = session.scalars(select(Act).where(Act.kind.in_(kinds)).order_by(Act.log_index))
        return [(act.kind, act.actor) for act in found]


def test_what_waits_tells_of_a_proposal_and_leads_those_there_who_may_decide(site: Any) -> None:
    auditor, authority, operator = (Hand(site, role) for role in (AUDITOR, AUTHORITY, OPERATOR))
    url = auditor.propose("unmask", pseudonym=site.people[MEMBER].pseudonym)
    waits = "Show who is behind a pseudonym: waits for another person&#39;s approval"
    for hand, leads in ((authority, True), (operator, False)):
        text = hand.get("/op").text
        assert waits in text
        assert ('<a href="/approvals">Open' in text) is leads
    authority.approve(url)
    assert "proposal_" not in operator.get("/op").text, "who proposed it looks when it likes"


def test_a_name_is_shown_once_after_another_person_agreed(site: Any) -> None:
    auditor, authority, treasurer = (Hand(site, role) for role in (AUDITOR, AUTHORITY, TREASURER))
    subject = site.people[MEMBER].pseudonym
    url = auditor.propose("unmask", pseudonym=subject)
    for hand in (auditor, authority):
        assert "The Member" not in hand.get(url).text
        assert 'value="reveal"' not in hand.get(url).text
    assert 'value="approve"' not in auditor.get(url).text
    assert treasurer.get(url).status_code == 404, "not of its roles"
    assert subject not in treasurer.get("/approvals").text
    assert treasurer.post(url, 404, act="refuse")
    authority.approve(url)
    shown = auditor.post(url, 200, act="reveal")
    assert "The Member" in shown.text
    assert "member@campus.example" in shown.text
    assert shown.headers["Cache-Control"] == "no-store"
    assert "shown already" in auditor.post(url, 409, act="reveal").text
    assert "The Member" not in auditor.get(url).text
    with site.app.store.read() as session:
        reads = session.scalars(select(Act).where(Act.kind == "data_read")).all()
        assert [act.actor for act in reads if act.data["subject"] == subject] == [auditor.person.pseudonym]
        leaves = every_leaf(session)
    assert [word for word in (b"The Member", b"campus.example", b"Dormitory") if word in leaves] == []
    told = Hand(site, AUDITOR).get("/audit/log?kind=data_read").text
    assert "who a pseudonym is" in told


def test_nobody_approves_its_own_by_a_form_made_by_hand(site: Any) -> None:
    auditor = Hand(site, AUDITOR)
    url = auditor.propose("unmask", pseudonym=site.people[MEMBER].pseudonym)
    with site.app.store.read() as session:
        seen = session.scalars(select(Proposal.digest)).one().hex()
    assert "another person" in auditor.post(url, 409, act="approve", confirm="yes", seen=seen).text
    other = Hand(site, AUTHORITY)
    assert "tick the box" in other.post(url, 400, act="approve", seen=seen).text
    assert "not what you looked at" in other.post(url, 409, act="approve", confirm="yes", seen="ff").text
    assert "not what you looked at" in other.post(url, 409, act="approve", confirm="yes", seen="zz").text
    assert "whether it is approved" in other.post(url, 400, act="x").text
    assert acts(site, "proposal_approved") == []


@pytest.mark.parametrize(
    ("role", "kind"),
    [
        (AUDITOR, "erase"),
        (AUDITOR, "parameters"),
        (TREASURER, "unmask"),
        (TREASURER, "credits"),
        (AUTHORITY, "credits"),
        (AUTHORITY, ""),
        (AUTHORITY, "x"),
    ],
)
def test_a_role_proposes_its_own_kinds_alone(site: Any, role: str, kind: str) -> None:
    text = Hand(site, role).propose(kind, 400, login="member@campus.example", pseudonym="x", address="x")
    assert "Say what is proposed" in text
    assert acts(site, "proposal_made") == []


@pytest.mark.parametrize("role", [MEMBER, OPERATOR])
def test_others_find_nothing_there(site: Any, role: str) -> None:
    hand = Hand(site, role)
    for answer in (hand.get("/approvals"), hand.get("/approvals/x"), hand.post("/approvals/x", 404)):
        assert answer.status_code == 404
    assert "Two people" not in hand.get("/account").text


def test_another_sites_form_and_one_without_its_token_change_nothing(site: Any) -> None:
    auditor, authority = Hand(site, AUDITOR), Hand(site, AUTHORITY)
    url = auditor.propose("unmask", pseudonym=site.people[MEMBER].pseudonym)
    with site.app.store.read() as session:
        seen = session.scalars(select(Proposal.digest)).one().hex()
    fields = {"act": "approve", "confirm": "yes", "seen": seen}
    for data, headers in (
        (fields, {}),
        ({**fields, "form_token": auditor.form_token}, {}),
        ({**fields, "form_token": authority.form_token}, {"Origin": "http://evil.example"}),
    ):
        assert authority.client.post(url, data=data, headers=headers).status_code == 403
    proposal = {"kind": "erase", "login": "member@campus.example", "reason": WHY}
    assert authority.client.post("/approvals", data=proposal).status_code == 403
    assert acts(site, "proposal_approved") == []
    assert len(acts(site, "proposal_made")) == 1


def test_what_is_wrong_is_said_beside_the_form_and_names_nobody(site: Any) -> None:
    authority = Hand(site, AUTHORITY)
    for kind, fields, words in (
        ("erase", {"login": "zoe@campus.example"}, "nobody signs in"),
        ("erase", {"login": "member@campus.example", "reason": "The Member asks"}, "say it without"),
        ("erase", {"login": "member@campus.example", "reason": "x"}, "say why"),
        ("unmask", {"pseudonym": "person-0"}, "leads to nobody"),
    ):
        text = authority.propose(kind, 400, **fields).replace("&#39;", "'")
        assert words in text.lower()
    assert "no public key" in authority.propose("operator", 409, address="x")
    address = str(Keypair().pubkey())
    assert "does not answer" in authority.propose("operator", 503, address=address), "there is no chain here"
    assert "does not answer" in authority.get("/approvals").text
    assert acts(site, "proposal_made") == []


def test_a_person_is_erased_by_two_who_are_shown_who_it_is(site: Any) -> None:
    ada, grace = Hand(site, AUTHORITY), Hand(site, AUTHORITY)
    url = ada.propose("erase", login="other@campus.example")
    assert ada.propose("erase", login="other@campus.example") == url, "sent twice is one"
    assert "The Other, other@campus.example" in grace.get(url).text
    grace.approve(url)
    assert "is done" in grace.get(url).text
    grace.approve(url)
    with site.app.store.read() as session:
        assert session.scalar(select(Person).where(Person.login == "other@campus.example")) is None
    assert acts(site, "person_erased") == [("person_erased", ada.person.pseudonym)]


def test_an_approver_whose_role_goes_while_its_page_is_open_approves_nothing(site: Any) -> None:
    ada, grace = Hand(site, AUTHORITY), Hand(site, AUTHORITY)
    url = ada.propose("erase", login="other@campus.example")
    assert 'value="approve"' in grace.get(url).text
    with site.app.store.write() as session:
        person = session.get_one(Person, grace.person.id)
        records.withdraw(session, person, AUTHORITY, by="test", now=site.app.clock())
    assert grace.post(url, 303, act="approve").headers["Location"].startswith("/login")
    with site.app.store.read() as session:
        assert session.scalars(select(Proposal.state)).one() == "waiting"


def test_two_browsers_that_approve_at_once_do_it_once(site: Any) -> None:
    ada, hands = Hand(site, AUTHORITY), [Hand(site, AUTHORITY) for _ in range(4)]
    url = ada.propose("erase", login="other@campus.example")
    with site.app.store.read() as session:
        seen = session.scalars(select(Proposal.digest)).one().hex()
    start, statuses = threading.Barrier(len(hands)), []

    def press(hand: Hand) -> None:
        fields = {"form_token": hand.form_token, "act": "approve", "confirm": "yes", "seen": seen}
        start.wait()
        statuses.append(hand.client.post(url, data=fields).status_code)

    threads = [threading.Thread(target=press, args=(hand,)) for hand in hands]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(statuses) == [303, 409, 409, 409]
    assert len(acts(site, "proposal_approved")) == len(acts(site, "person_erased")) == 1


def test_a_refused_or_late_one_is_told_to_who_comes_late(site: Any, clock: Any) -> None:
    ada, grace, third = (Hand(site, AUTHORITY) for _ in range(3))
    refused, late = (
        ada.propose("erase", login="other@campus.example"),
        ada.propose("erase", login="nobody@campus.example"),
    )
    grace.post(refused, act="refuse")
    assert "was refused" in third.approve(refused, 409).text
    ada.post(late, act="withdraw")
    assert "was withdrawn" in third.approve(late, 409).text
    expiring = ada.propose("unmask", pseudonym=site.people[MEMBER].pseudonym)
    clock.now += proposals.OPEN_SECONDS
    grace, third = Hand(site, AUTHORITY), Hand(site, AUTHORITY)
    assert "ran out of time" in third.approve(expiring, 409).text
    assert "expired" in grace.get("/approvals").text


def test_credits_above_the_limit_are_proposed_where_they_are_booked(site: Any) -> None:
    with site.app.store.write() as session:
        session.scalars(select(User).where(User.name == "Dormitory A")).one().registered_at = 1
    treasurer, authority = Hand(site, TREASURER), Hand(site, AUTHORITY)
    assert "another person has to approve it" in treasurer.post("/treasury/credits", 200, act="preview", **ABOVE).text
    url = treasurer.post("/treasury/credits", act="save", **ABOVE).headers["Location"]
    assert url.startswith("/approvals/")
    assert "From Ada Lovelace" not in treasurer.get("/treasury/credits").text
    shown = authority.get(url).text
    assert "Dormitory A" in shown
    assert "From Ada Lovelace" in shown
    assert Hand(site, AUDITOR).get(url).status_code == 404
    authority.approve(url)
    booked = treasurer.get("/treasury/credits").text
    assert "From Ada Lovelace" in booked
    assert "waiting" in booked
    assert treasurer.post("/treasury/credits", act="save", **{**ABOVE, "amount": "5", "again": "", "reference": "R"})
    with site.app.store.read() as session:
        assert b"Lovelace" not in every_leaf(session)


def test_one_person_may_where_the_site_says_so(site: Any) -> None:
    site.app.home.save(replace(site.app.home.settings, people=PeopleSettings("no")))
    with site.app.store.write() as session:
        session.scalars(select(User).where(User.name == "Dormitory A")).one().registered_at = 1
    authority, treasurer = Hand(site, AUTHORITY), Hand(site, TREASURER)
    url = authority.propose("erase", login="other@campus.example")
    authority.approve(url)
    assert "is done" in authority.get(url).text
    assert treasurer.post("/treasury/credits", act="save", **ABOVE).headers["Location"] == "/treasury/credits"


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
def test_two_people_in_a_real_browser_on_a_phone_by_keyboard_alone(site: Any, tmp_path: Any) -> None:
    """The auditor asks, the authority agrees, the auditor is shown the name, once; and axe finds nothing."""
    faults: list[Any] = []

    def look(browser: Browser, name: str) -> None:
        for width, dark in axe.looks(0):
            browser.emulate(width, 900, dark=dark)
            faults.extend(((name, width), fault) for fault in axe.faults(browser))
            axe.picture(browser, f"approvals-{name}-{width}-{'dark' if dark else 'light'}")
        browser.emulate(390, 844)

    with (
        served(site.flask) as address,
        Browser(tmp_path / "auditor") as auditor,
        Browser(tmp_path / "authority") as authority,
    ):
        for browser, role in ((auditor, AUDITOR), (authority, AUTHORITY)):
            browser.emulate(390, 844)
            browser.sign_in(site.cookies[role], address)
        auditor.open(f"{address}/approvals")
        look(auditor, "list")
        auditor.tab_to("summary")
        auditor.press("Enter")
        auditor.tab_to("#pseudonym")
        auditor.write(site.people[MEMBER].pseudonym)
        auditor.tab_to("#reason-unmask")
        auditor.write(WHY)
        auditor.tab_to("form[action='/approvals'] button")
        auditor.press("Enter")
        auditor.until("location.pathname !== '/approvals' && document.readyState === 'complete'")
        where = auditor.evaluate("location.pathname")
        look(auditor, "asked")
        assert auditor.evaluate("document.querySelector('button[value=approve]')") is None
        authority.open(f"{address}/approvals")
        look(authority, "of-the-authority")
        authority.tab_to(f"a[href='{where}']")
        authority.press("Enter")
        authority.until(f"location.pathname === '{where}' && document.readyState === 'complete'")
        look(authority, "to-approve")
        authority.tab_to("#confirm")
        authority.press(" ")
        authority.tab_to("button[value=approve]")
        authority.press("Enter")
        authority.until("document.querySelector('.lead')?.textContent.includes('is approved')")
        auditor.open(address + where)
        auditor.tab_to("button[value=reveal]")
        auditor.press("Enter")
        auditor.until("document.querySelector('#shown')?.textContent.includes('The Member')")
        look(auditor, "shown")
        auditor.open(address + where)
        assert auditor.evaluate("document.body.textContent.includes('The Member')") is False
        assert auditor.messages == authority.messages == []
    assert faults == []
