"""Invitations by mail, over a real relay: asked for on the page or by command, with what became of each."""

from __future__ import annotations

import html
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import axe
import pytest
from alerts_process import SendsMail
from browser import CHROMIUM, Browser
from every_leaf import every_leaf
from people_site import build
from served import served
from sqlalchemy import select

from authority.app import App
from authority.billing.mailing import MOST_TRIES
from authority.cli import main
from authority.home.home import Home
from authority.home.settings import AlertSettings, WebSettings
from authority.people import invitation_mails, records
from authority.people.errors import InviteRefusedError
from authority.people.roles import OPERATOR
from authority.store.log import Act
from authority.store.persons import Invitation, InvitationMail, Person

NOW = 1_782_000_000
WEEK = 7 * 86_400
ORIGIN = "https://energy.campus.example"
ROW = {"id": "t-9", "login": "grace@campus.example", "name": "Grace", "member": "Dormitory B", "mail": "yes"}
GOOD = "violet kettle under seven"


class Office(SendsMail):
    """An operator at the pages, and the alerts' process when it looks."""

    def __init__(self, home: Home, port: int) -> None:
        alerts = AlertSettings(
            mail_from="energy@campus.example", smtp_host="127.0.0.1", smtp_security="none", smtp_port=port
        )
        home.save(replace(home.settings, alerts=alerts, web=WebSettings(origin=ORIGIN)))
        self.home, self.now = Home.open(home.path), NOW
        self.app = App.open(home.path, lambda: self.now)
        self.site = build(self.app)

    def browser(self, role: str | None) -> Any:
        client = self.site.flask.test_client()
        client.environ_base.update(HTTP_ORIGIN=ORIGIN, HTTP_ACCEPT="text/html", HTTP_HOST="energy.campus.example")
        client.environ_base["wsgi.url_scheme"] = "https"
        if role is not None:
            client.set_cookie("__Host-campus", self.site.cookies[role], domain="energy.campus.example", secure=True)
        return client

    def page(self) -> str:
        return text(self.browser(OPERATOR).get("/op/members", base_url=ORIGIN))

    def send(self, url: str, status: int = 200, **fields: Any) -> str:
        answer = self.browser(OPERATOR).post(url, data=self.site.form(OPERATOR, **fields), base_url=ORIGIN)
        assert answer.status_code == status, text(answer)
        return text(answer)

    def again(self, login: str, once: str) -> str:
        with self.app.store.read() as session:
            pseudonym = session.scalars(select(Person.pseudonym).where(Person.login == login)).one()
        return self.send(f"/op/members/{pseudonym}/invitation", once=once, mail="yes")

    def told(self, login: str = "grace@campus.example") -> tuple[str | None, str | None]:
        """The state of an invitation and of its mail."""
        with self.app.store.read() as session:
            (found,) = [each for each in records.listed(session, self.now) if each["login"] == login]
        return found["invitation"], found["mail"] and found["mail"]["state"]


def text(answer: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def link_in(mail: Any) -> str:
    return re.search(rf"{ORIGIN}(/invite/[\w-]+)", mail.get_body().get_content())[1]


@pytest.fixture
def office(home: Home, relay: Any) -> Any:
    made = Office(home, relay.port)
    yield made
    made.app.store.close()


def test_a_member_is_invited_by_mail_and_each_state_is_shown(office: Office, relay: Any) -> None:
    assert "1 invitation by mail" in office.send("/op/members/invite", **ROW)
    assert "an invitation waits to be mailed" in office.page()
    with office.app.store.read() as session:
        assert session.scalars(select(Invitation)).all() == [], "no link before its mail leaves"
    assert "an invitation waits to be mailed" in office.again("grace@campus.example", "form-1")
    office.post(0, 30, 300)
    (mail,) = relay.mails
    assert (mail["From"], mail["To"]) == ("energy@campus.example", "grace@campus.example")
    assert "Grace," in mail.get_body().get_content()
    assert office.told() == ("open", "sent")
    assert "mailed, the link is good until" in office.page()
    with office.app.store.read() as session:
        kept = session.scalars(select(InvitationMail)).one()
        assert link_in(mail).rpartition("/")[2] not in repr(vars(kept))
        (act,) = session.scalars(select(Act).where(Act.kind == "person_invited"))
        assert act.actor == office.site.people[OPERATOR].pseudonym
        assert b"campus.example" not in every_leaf(session)
    office.now = NOW + WEEK + 400
    assert office.told() == ("expired", "sent")
    assert office.browser(None).get(link_in(mail), base_url=ORIGIN).status_code == 404


def test_one_is_mailed_again_and_the_later_link_is_good(office: Office, relay: Any) -> None:
    office.send("/op/members/invite", **ROW)
    office.post(0)
    office.again("grace@campus.example", "form-1")
    assert office.told() == ("open", "waiting")
    office.post(60)
    first, second = map(link_in, relay.mails)
    assert relay.mails[0]["Message-ID"] != relay.mails[1]["Message-ID"]
    stranger = office.browser(None)
    assert stranger.get(first, base_url=ORIGIN).status_code == 404
    assert stranger.get(second, base_url=ORIGIN).status_code == 200
    assert stranger.post(second, data={"password": GOOD}, base_url=ORIGIN).status_code == 303
    assert office.told()[0] == "accepted"
    assert "has signed in" in office.page()
    office.now += 1
    office.again("grace@campus.example", "form-2")  # who lost the way in gets another one by mail alone
    office.post(120)
    assert len(relay.mails) == 3


def test_a_list_is_mailed_and_one_that_cannot_be_mails_nobody(office: Office, relay: Any) -> None:
    head = "id,login,name,member\n"
    good = head + "t-1,ada@campus.example,Ada,Dormitory A\nt-2,alan@campus.example,Alan,Dormitory B\n"
    wrong = good + "t-3,cleo,Cleo,Dormitory B\n"
    for text_, status in ((wrong, 400), (good, 200)):
        tried = office.browser(OPERATOR).post(
            "/op/members/list", data=office.site.form(OPERATOR, csv=text_), base_url=ORIGIN
        )
        agreed = re.search(r'name="agreed" value="(\w+)"', tried.text)[1]
        told = office.send("/op/members/list", status, csv=text_, agreed=agreed, mail="yes")
        assert ("not an e-mail address" in told) == (status == 400)
    office.post(0)
    assert sorted(mail["To"] for mail in relay.mails) == ["ada@campus.example", "alan@campus.example"]


def test_a_mailbox_that_is_none_is_shown_and_a_relay_that_is_away_is_asked_again(office: Office, relay: Any) -> None:
    relay.refuse = ("grace@campus.example",)
    office.send("/op/members/invite", **ROW)
    office.post(0)
    assert office.told() == (None, "failed")
    assert "could not be mailed: " in office.page()
    relay.refuse, relay.answer = (), "451 later"
    office.again("grace@campus.example", "form-1")
    office.post(0, 30)
    assert office.told() == (None, "waiting")
    relay.answer = "250 OK"
    office.post(60)
    assert office.told() == ("open", "sent")
    assert len(relay.mails) == 1
    relay.answer = "451 later"
    office.again("grace@campus.example", "form-2")
    office.post(*[3_600] * (2 * MOST_TRIES))
    assert office.told()[1] == "failed"


def test_a_process_that_dies_in_between_sends_another_whose_link_is_good(office: Office, relay: Any) -> None:
    office.send("/op/members/invite", **ROW)
    claimed = invitation_mails.claim(office.app)
    assert claimed is not None
    assert invitation_mails.claim(office.app) is None, "what is on its way is nobody else's"
    office.post(invitation_mails.CLAIM_SECONDS)
    (mail,) = relay.mails
    invitation_mails.failed(office.app, claimed, "late", refused=True)
    assert office.told() == ("open", "sent"), "whoever comes late changes nothing"
    assert office.browser(None).get(link_in(mail), base_url=ORIGIN).status_code == 200


def test_whoever_got_a_link_by_hand_was_erased_or_came_in_gets_no_mail(office: Office, relay: Any) -> None:
    logins = ("ada@campus.example", "bob@campus.example", "cleo@campus.example")
    for number, login in enumerate(logins):
        office.send("/op/members/invite", **{**ROW, "id": f"t-{number}", "login": login})
    with office.app.store.write() as session:
        ada, bob, cleo = (records.find(session, login) for login in logins)
        invitation_mails.invitations.make(session, ada, by="x", now=NOW)
        records.erase(session, bob, by="x", now=NOW)
        session.add(
            Invitation(token_hash=bytes(32), person_id=cleo.id, created_at=NOW, expires_at=NOW + 9, used_at=NOW)
        )
    office.post(0)
    assert relay.mails == []


def test_the_command_asks_the_same_and_says_where_mail_is_off(
    office: Office, relay: Any, capsys: pytest.CaptureFixture[str], home: Home, tmp_path: Path
) -> None:
    where = ("people", "invite", "--home", str(office.home.path))
    words = ("alan@campus.example", "--role", "operator", "--mail", "--json")
    assert main([*where, *words, "--dry-run"]) == 0
    assert "link" not in json.loads(capsys.readouterr().out)
    assert main([*where, *words]) == 0
    assert "/invite/" not in capsys.readouterr().out
    office.now = 2_000_000_000  # the command has the machine's clock
    office.post(0)
    assert [mail["To"] for mail in relay.mails] == ["alan@campus.example"]
    assert main(["people", "list", "--home", str(office.home.path), "--json"]) == 0
    (alan,) = [each for each in json.loads(capsys.readouterr().out) if each["login"] == "alan@campus.example"]
    assert (alan["mail"]["state"], alan["invitation"]) == ("sent", "open")
    assert main(["people", "list", "--home", str(office.home.path)]) == 0
    assert main([*where, "cleo", "--role", "operator", "--mail"]) == 1
    assert "not an e-mail address" in capsys.readouterr().err
    with office.app.store.read() as session, pytest.raises(InviteRefusedError):
        invitation_mails.ask(session, office.home, office.site.people[OPERATOR].__class__(login="x"), by="x", now=0)
    other = Home.create(tmp_path / "silent", now=NOW)
    assert main(["people", "invite", "--home", str(other.path), *words]) == 1
    assert "mail_off" in capsys.readouterr().err


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
def test_the_page_fits_and_is_accessible(office: Office, tmp_path: Path) -> None:
    office.send("/op/members/invite", **ROW)
    office.send("/op/members/invite", **{**ROW, "id": "t-10", "login": "alan@campus.example", "mail": "no"})

    def behind_tls(environ: dict[str, Any], start: Any) -> Any:
        """What the campus's own web server passes on."""
        if not environ["PATH_INFO"].startswith("/static"):
            cookie = f"__Host-campus={office.site.cookies[OPERATOR]}"
            environ |= {"HTTP_HOST": "energy.campus.example", "wsgi.url_scheme": "https", "HTTP_COOKIE": cookie}
        return office.site.flask(environ, start)

    with served(behind_tls) as address, Browser(tmp_path / "profile") as browser:
        for width, dark in axe.looks(1):
            browser.emulate(width, 900, dark=dark)
            browser.open(f"{address}/op/members")
            assert "an invitation waits to be mailed" in browser.evaluate("document.body.textContent")
            assert axe.faults(browser) == []
            axe.picture(browser, f"op-members-mail-{width}-{'dark' if dark else 'light'}")
