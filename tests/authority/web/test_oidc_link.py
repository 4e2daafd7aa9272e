"""Linking and unlinking an account at the OpenID provider, by who is signed in and has just shown who it is."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import axe
import pytest
from browser import CHROMIUM, Browser
from every_leaf import every_leaf
from openid_provider import CLIENT, SECRET, OpenIdProvider
from people_site import build
from served import served
from sqlalchemy import select

from authority.home.settings import OidcSettings
from authority.people import passwords, sessions
from authority.people.roles import MEMBER, TREASURER
from authority.store.log import Act
from authority.store.persons import OidcLink, Person, PersonSession

GOOD = "violet kettle under seven"


@pytest.fixture
def store_url():
    return ""


def claims(subject):
    """Of an account with an address of nobody here: who is signed in needs none."""
    return {"sub": subject, "email": "ada.king@elsewhere.example", "email_verified": False}


@pytest.fixture
def provider(clock):
    made = OpenIdProvider(clock)
    made.claims = claims("u-7")
    yield made
    made.stop()


@pytest.fixture
def site(app, provider):
    app.home.save(replace(app.home.settings, oidc=OidcSettings(provider.issuer, CLIENT, "Campus login")))
    app.home.keys.make("oidc-client-secret", SECRET.encode() + b"\n")
    return build(app)


def post(site, client, act, role=MEMBER):
    return client.post(f"/account/oidc/{act}", data=site.form(role))


def way(answer):
    """Where the page leads on to."""
    assert answer.status_code == 200, answer.text
    return html.unescape(re.search(r'href="(http[^"]+/authorize[^"]*)"', answer.text)[1])


def link(site, provider, role=MEMBER):
    """The whole way; the site's answer to the browser that comes back."""
    client = site.client(role)
    return client.get(provider.back_from(way(post(site, client, "link", role))))


def links(site):
    with site.app.store.read() as session:
        return {each.subject: each.person_id for each in session.scalars(select(OidcLink))}


def acts(site):
    with site.app.store.read() as session:
        found = session.scalars(select(Act).where(Act.kind.like("oidc%")).order_by(Act.log_index))
        return [(act.kind, act.actor) for act in found]


def give_password(site, role=MEMBER):
    with site.app.store.write() as session:
        session.get_one(Person, site.people[role].id).password_hash = passwords.hashed(GOOD)


def test_a_member_links_signs_in_by_it_and_unlinks(site, provider):
    give_password(site)
    client = site.client(MEMBER)
    assert "/account/oidc" in client.get("/account").text
    assert "no account there is linked" in client.get("/account/oidc").text
    answer = link(site, provider)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/account/oidc")
    assert "You can sign in with Campus login" in client.get("/account/oidc").text
    assert links(site) == {"u-7": site.people[MEMBER].id}
    other = site.client()
    there = other.get("/login/oidc?next=/me").headers["Location"]
    assert other.get(provider.back_from(there)).headers["Location"] == "/me"
    assert other.get("/me").status_code == 200
    assert post(site, client, "unlink").headers["Location"] == "/account/oidc"
    assert links(site) == {}
    assert other.get("/me").status_code == 303, "who came in by it is signed out"
    assert client.get("/me").status_code == 200
    assert post(site, client, "unlink").status_code == 303
    who = site.people[MEMBER].pseudonym
    assert acts(site) == [("oidc_linked", who), ("oidc_unlinked", who)]
    with site.app.store.read() as session:
        assert b"u-7" not in every_leaf(session)


def test_an_old_session_changes_nothing_until_somebody_signs_in_again(site, provider, clock):
    give_password(site)
    link(site, provider)
    clock.now += sessions.FRESH_SECONDS
    client = site.client(MEMBER)
    for act in ("link", "unlink"):
        answer = post(site, client, act)
        assert answer.status_code == 403
        assert "sign in once more" in answer.text
        assert "/login?next=/account/oidc" in html.unescape(answer.text)
    assert links(site) == {"u-7": site.people[MEMBER].id}
    again = {"login": "member@campus.example", "password": GOOD, "next": "/account/oidc"}
    assert client.post("/login", data=again).headers["Location"] == "/account/oidc"
    token = re.search(r'name="form_token" value="(\w+)"', client.get("/account/oidc").text)[1]
    assert client.post("/account/oidc/unlink", data={"form_token": token}).status_code == 303
    assert links(site) == {}


def test_a_demonstrations_link_is_no_proof_of_who_asks(site):
    with site.app.store.write() as session:
        for each in session.scalars(select(PersonSession)):
            each.via = sessions.BY_LINK
    assert post(site, site.client(MEMBER), "link").status_code == 403


def test_the_only_way_in_is_not_taken_away(site, provider):
    link(site, provider)
    answer = post(site, site.client(MEMBER), "unlink")
    assert answer.status_code == 409
    assert "only way in" in answer.text
    assert links(site) == {"u-7": site.people[MEMBER].id}
    give_password(site)
    assert post(site, site.client(MEMBER), "unlink").status_code == 303


def test_an_account_there_opens_one_account_here_and_another_takes_its_place(site, provider):
    link(site, provider)
    taken = link(site, provider, TREASURER)
    assert taken.status_code == 403
    assert "somebody else" in taken.text
    assert links(site) == {"u-7": site.people[MEMBER].id}
    assert link(site, provider).status_code == 303, "linking the same again changes nothing"
    provider.claims = claims("u-8")
    assert link(site, provider).status_code == 303
    assert links(site) == {"u-8": site.people[MEMBER].id}
    assert len(acts(site)) == 2


def test_the_answer_counts_in_the_session_that_asked_and_in_no_other(site, provider):
    member = site.client(MEMBER)
    url = provider.back_from(way(post(site, member, "link")))
    assert site.client(TREASURER).get(url).status_code == 403, "another browser"
    url = provider.back_from(way(post(site, member, "link")))
    member.set_cookie("campus-here", site.cookies[TREASURER], domain="localhost")
    answer = member.get(url)
    assert answer.status_code == 403
    assert "not signed in any more as who began this" in html.unescape(answer.text)
    member.set_cookie("campus-here", "", domain="localhost")
    assert member.get(url).status_code == 403
    assert links(site) == {}


def test_a_form_of_another_site_or_of_a_stranger_begins_nothing(site, provider):
    client = site.client(MEMBER)
    assert client.post("/account/oidc/link").status_code == 403
    client.environ_base["HTTP_ORIGIN"] = "https://evil.example"
    assert post(site, client, "link").status_code == 403
    assert site.client().get("/account/oidc").status_code == 303
    for where in ("link:x", "//link:x"):
        there = site.client().get("/login/oidc", query_string={"next": where}).headers["Location"]
        assert provider.back_from(there)
    assert links(site) == {}


def test_a_refusal_there_or_a_provider_that_is_away_is_told(site, provider):
    client = site.client(MEMBER)
    url = way(post(site, client, "link"))
    state = re.search(r"state=([^&]+)", url)[1]
    refused = client.get(f"/login/oidc/return?state={state}&error=access_denied")
    assert refused.status_code == 403
    assert "did not sign you in" in refused.text
    provider.fails = True
    site = build_with(site)
    away = post(site, site.client(MEMBER), "link")
    assert away.status_code == 503
    assert "does not answer" in away.text


def build_with(site):
    """The same pages in a process that has not asked the provider yet."""
    from people_site import application, no_chain

    return replace(site, flask=application(site.app, no_chain))


def test_where_none_is_configured_there_is_nothing_of_it(app):
    site = build(app)
    assert "/account/oidc" not in site.client(MEMBER).get("/account").text
    assert site.client(MEMBER).get("/account/oidc").status_code == 404
    for act in ("link", "unlink"):
        assert post(site, site.client(MEMBER), act).status_code == 404


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
def test_in_a_real_browser_from_the_account_and_back(site, provider, tmp_path):
    provider.interactive = True
    with served(site.flask) as address, Browser(tmp_path) as browser:
        browser.emulate(390, 844)
        browser.sign_in(site.cookies[MEMBER], address)
        browser.open(f"{address}/account/oidc")
        browser.evaluate("document.querySelector('form[action$=link] button').click()")
        browser.until("document.querySelector('a.main') !== null")
        assert axe.faults(browser) == []
        browser.evaluate("document.querySelector('a.main').click()")
        browser.until("location.port !== new URL('" + address + "').port && document.querySelector('button') !== null")
        browser.evaluate("document.querySelector('button').click()")
        browser.until("location.pathname === '/account/oidc' && document.body.textContent.includes('You can sign in')")
        assert axe.faults(browser) == []
        assert browser.messages == []
    assert links(site) == {"u-7": site.people[MEMBER].id}
