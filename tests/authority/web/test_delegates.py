"""A member sees who acts for it, invites somebody by e-mail and ends it at once; a delegate sees for whom it acts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from people_site import PeopleSite, build
from sqlalchemy import select

from authority.app import App
from authority.home.home import Home
from authority.log.nameless import NamesSomebodyError, require_nameless
from authority.monitoring import invitation_mail
from authority.people import delegates, invitation_mails, inviting, records, secrets, tokens
from authority.people.roles import AUDITOR, DELEGATE, MEMBER, READ_ENERGY
from authority.people.sessions import FRESH_SECONDS
from authority.store.log import Act
from authority.store.persons import InvitationMail, Person, PersonRole, PersonSession

ORIGIN = "https://energy.campus.example"
NEW = "grace@campus.example"


@pytest.fixture
def store_url() -> str:
    return ""


class MailedSite(PeopleSite):
    """A site that people reach over HTTPS, and that mails."""

    def client(self, role: str | None = None) -> Any:
        client = self.flask.test_client()
        client.environ_base.update(HTTP_ORIGIN=ORIGIN, HTTP_ACCEPT="text/html")
        if role is not None:
            client.set_cookie("__Host-campus", self.cookies[role], domain="localhost", secure=True)
        return client


@pytest.fixture
def site(app: App) -> PeopleSite:
    settings = app.home.settings
    alerts = replace(settings.alerts, mail_from="energy@campus.example", smtp_host="127.0.0.1")
    app.home.save(replace(settings, alerts=alerts, web=replace(settings.web, origin=ORIGIN)))
    made = build(replace(app, home=Home.open(app.home.path)))
    made.flask.config["PREFERRED_URL_SCHEME"] = "https"
    return MailedSite(**vars(made))


def invite(site: PeopleSite, login: str = NEW, days: str = "30", by: str = MEMBER) -> Any:
    return site.client(by).post("/me/delegates", data=site.form(by, login=login, days=days))


def end(site: PeopleSite, pseudonym: str, by: str = MEMBER) -> Any:
    return site.client(by).post(f"/me/delegates/{pseudonym}/end", data=site.form(by))


def person(site: PeopleSite, login: str = NEW) -> Person | None:
    with site.app.store.read() as session:
        return session.scalar(select(Person).where(Person.login == login))


def role(site: PeopleSite, login: str = NEW) -> PersonRole | None:
    with site.app.store.read() as session:
        query = select(PersonRole).join(Person, Person.id == PersonRole.person_id).where(Person.login == login)
        return session.scalars(query).one_or_none()


def kinds(site: PeopleSite) -> list[str]:
    actor = site.people[MEMBER].pseudonym
    with site.app.store.read() as session:
        return list(
            session.scalars(
                select(Act.kind).where(Act.actor == actor, Act.kind != "token_made").order_by(Act.log_index)
            )
        )


def test_somebody_is_invited_by_mail_comes_in_and_is_ended_at_once(site: PeopleSite) -> None:
    page = site.client(MEMBER).get("/me/delegates").text
    assert "The Delegate" in page
    assert invite(site).status_code == 303
    assert "the invitation waits to be mailed" in site.client(MEMBER).get("/me/delegates").text
    claimed = invitation_mails.claim(site.app)
    assert claimed is not None
    assert (claimed.address, claimed.name, claimed.acts_for) == (NEW, NEW, "Dormitory A")
    secret, _ = secrets.make()
    invitation_mails.delivered(site.app, claimed, secret, site.app.clock())
    browser = site.client()
    browser.post(f"/invite/{secret}", data={"password": "violet kettle under seven"})
    assert "You act for Dormitory A" in browser.get("/me/delegates").text
    made = person(site)
    assert made is not None
    with site.app.store.write() as session:
        principal = records.principal(session, session.get_one(Person, made.id), "s", site.app.clock())
        token = tokens.make(session, principal, "hers", [READ_ENERGY], 30, site.app.clock())[1]
    program = {"Authorization": f"Bearer {token}"}
    assert site.flask.test_client().get("/api/v1/me/energy", headers=program).status_code == 200
    for _ in range(2):
        assert end(site, made.pseudonym).status_code == 303
    assert browser.get("/me").status_code == 303, "signed out at once"
    assert site.flask.test_client().get("/api/v1/me/energy", headers=program).status_code == 404
    assert NEW not in site.client(MEMBER).get("/me/delegates").text
    assert person(site) is not None, "who came in keeps its login, and has no role"
    assert kinds(site) == ["role_granted", "person_invited", "role_withdrawn"]


def test_who_never_came_in_is_erased_when_it_is_ended(site: PeopleSite) -> None:
    invite(site)
    made = person(site)
    assert made is not None
    end(site, made.pseudonym)
    assert person(site) is None
    with site.app.store.read() as session:
        assert session.get(InvitationMail, made.id) is None
    assert kinds(site) == ["role_granted", "role_withdrawn", "person_erased"]


def test_invited_again_the_day_is_another_and_the_mail_is_one(site: PeopleSite) -> None:
    invite(site)
    first = role(site)
    invite(site, days="60")
    second = role(site)
    assert first is not None
    assert second is not None
    assert second.until == site.app.clock() + 60 * 86_400 != first.until
    with site.app.store.read() as session:
        assert len(session.scalars(select(InvitationMail)).all()) == 1
    assert invite(site, "delegate@campus.example", days="10").status_code == 303
    with site.app.store.read() as session:
        assert len(session.scalars(select(InvitationMail)).all()) == 1, "who signs in already needs no link"


def test_the_api_does_the_same_for_the_person_itself_and_for_no_token(site: PeopleSite) -> None:
    client, url = site.client(MEMBER), "/api/v1/me/delegates"
    sent = {"X-Form-Token": site.form(MEMBER)["form_token"], "Idempotency-Key": "invite Grace once"}
    body = {"login": NEW, "days": 7}
    made = client.post(url, json=body, headers=sent)
    assert (made.status_code, {each["login"]: each["mail"] for each in made.json["delegates"]}[NEW]) == (202, "waiting")
    assert client.post(url, json=body, headers=sent).json == made.json
    assert client.get(url).json == made.json
    for wrong in ({**body, "days": 0}, {**body, "days": "7"}, {**body, "name": "the"}, {}):
        refused = client.post(url, json=wrong, headers={"X-Form-Token": sent["X-Form-Token"]})
        assert refused.status_code == 400, wrong
    acts = site.client(DELEGATE).get(url).json
    assert (acts["acts_for"], acts["delegates"]) == ("Dormitory A", [])
    assert acts["until"] > site.app.clock()
    grace = next(each["pseudonym"] for each in made.json["delegates"] if each["login"] == NEW)
    for _ in range(2):
        ended = client.delete(f"{url}/{grace}", headers={"X-Form-Token": sent["X-Form-Token"]})
        assert (ended.status_code, NEW in ended.text) == (200, False)
    assert client.delete(f"{url}/x", headers={"X-Form-Token": sent["X-Form-Token"]}).status_code == 404
    token = {"Authorization": f"Bearer {site.tokens[READ_ENERGY]}"}
    assert site.flask.test_client().get(url, headers=token).status_code == 403


@pytest.mark.parametrize(
    ("login", "days", "words"),
    [
        ("other@campus.example", "30", "takes part here already"),
        ("operator@campus.example", "30", "takes part here already"),
        ("member@campus.example", "30", "takes part here already"),
        ("grace", "30", "e-mail address"),
        ("grace@campus.example\nBcc: x@y.example", "30", "e-mail address"),
        (NEW, "0", "1 to 366 days"),
        (NEW, "367", "1 to 366 days"),
        (NEW, "-1", "1 to 366 days"),
        (NEW, "soon", "1 to 366 days"),
    ],
)
def test_who_cannot_be_named_is_not(site: PeopleSite, login: str, days: str, words: str) -> None:
    answer = invite(site, login, days)
    assert (answer.status_code, words in answer.text) == (409, True), answer.text
    assert kinds(site) == []


def test_at_most_five_act_for_a_member_and_ten_are_invited_at_once(site: PeopleSite) -> None:
    for number in range(4):
        assert invite(site, f"g{number}@campus.example").status_code == 303
    full = invite(site, "one-more@campus.example")
    assert (full.status_code, "at most 5" in full.text.lower()) == (409, True)
    for _ in range(delegates.INVITES_AT_ONCE - 5):
        invite(site, "one-more@campus.example")
    assert invite(site, "one-more@campus.example").status_code == 429


def test_a_delegate_names_none_and_ends_none_and_no_stranger_is_ended(site: PeopleSite) -> None:
    assert invite(site, by=DELEGATE).status_code == 404
    its = site.people[DELEGATE].pseudonym
    for by in (DELEGATE, AUDITOR):
        assert end(site, its, by=by).status_code == 404
    assert end(site, its, by="other").status_code == 303
    assert end(site, site.people[MEMBER].pseudonym).status_code == 303
    for who in (DELEGATE, MEMBER):
        assert site.client(who).get("/me").status_code == 200, "nothing was ended"
    page = site.client(DELEGATE).get("/me/delegates").text
    assert "You act for Dormitory A until" in page
    assert "delegate@campus.example" not in page
    assert site.client(AUDITOR).get("/me/delegates").status_code == 404


def test_an_invitation_takes_a_sign_in_of_just_now_and_ending_does_not(site: PeopleSite) -> None:
    with site.app.store.write() as session:
        for each in session.scalars(select(PersonSession).where(PersonSession.person_id == site.people[MEMBER].id)):
            each.created_at -= FRESH_SECONDS
    answer = invite(site)
    assert (answer.status_code, "sign in once more" in answer.text) == (403, True)
    assert person(site) is None
    assert end(site, site.people[DELEGATE].pseudonym).status_code == 303
    assert site.client(DELEGATE).get("/me").status_code == 303


def test_where_nothing_is_mailed_the_department_is_asked(app: App) -> None:
    site = build(app)
    page = site.client(MEMBER).get("/me/delegates").text
    assert "mails no invitations" in page
    assert invite(site).status_code == 409
    assert person(site) is None


def test_no_member_chooses_a_name_that_keeps_words_out_of_the_log_or_stands_in_a_mail(site: PeopleSite) -> None:
    form = site.form(MEMBER, login=NEW, name="the", days="30")
    assert site.client(MEMBER).post("/me/delegates", data=form).status_code == 303
    made = person(site)
    assert made is not None
    assert made.name == NEW
    with site.app.store.read() as session:
        require_nameless(session, "the meter of the building failed")
        with pytest.raises(NamesSomebodyError):
            require_nameless(session, f"asked by {NEW}")
    claimed = invitation_mails.claim(site.app)
    assert claimed is not None
    told = invitation_mail.letter(site.app, claimed, "secret", site.app.clock()).get_content()
    assert "Dormitory A, a member there, named this address to act for it." in " ".join(told.split())


def test_who_was_named_and_never_came_in_can_be_invited_as_a_member(site: PeopleSite) -> None:
    invite(site)
    row = inviting.Row(id="s-17", login=NEW, name="Grace Hopper", member="Dormitory B")
    now = site.app.clock()
    with site.app.store.write() as session:
        plan = inviting.plan(session, [row], now=now)
        assert [each.outcome for each in plan.rows] == [inviting.NEW]
        inviting.invite_all(session, [row], plan.digest, by="operator", now=now)
    found = role(site)
    assert found is not None
    assert found.role == MEMBER
    made = person(site)
    assert made is not None
    assert (made.name, made.list_id) == ("Grace Hopper", "s-17")
    assert NEW not in site.client(MEMBER).get("/me/delegates").text


def test_who_came_in_once_is_not_mailed_how_to_come_in(site: PeopleSite) -> None:
    end(site, site.people[DELEGATE].pseudonym)
    assert invite(site, "delegate@campus.example").status_code == 303
    with site.app.store.read() as session:
        assert session.scalars(select(InvitationMail)).all() == []
