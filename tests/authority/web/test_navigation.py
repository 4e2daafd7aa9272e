"""From every page on: strangers find the pages for everybody, and whoever is signed in finds its own from anywhere."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import axe
import pytest
from browser import CHROMIUM, Browser
from people_site import PeopleSite, build
from served import served

from authority.app import App
from authority.people import sessions
from authority.people.roles import AUDITOR, MEMBER, OPERATOR, ROLES, TREASURER
from authority.store.persons import Person

PUBLIC = ("/", "/market", "/indicators", "/plan", "/status", "/help")
OTHERS = ("/docs", "/nowhere", "/kwh", "/invite/x")


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: App) -> PeopleSite:
    return build(app)


def landmarks(page: str) -> list[str]:
    """The names of a page's navigations."""
    return re.findall(r'<nav [^>]*aria-label="([^"]*)"', page)


def links(page: str, name: str) -> list[str]:
    """Where a navigation leads."""
    return re.findall(r'href="([^"]*)"', page.partition(f'aria-label="{name}"')[2].partition("</nav>")[0])


def around(page: str) -> str:
    """What stands around a page's content."""
    return page.partition("<main")[0] + page.partition("</main>")[2]


@pytest.mark.parametrize("url", [*PUBLIC, *OTHERS])
def test_a_stranger_finds_every_page_for_everybody_and_the_way_in(site: PeopleSite, url: str) -> None:
    page = site.client().get(url).text
    assert links(page, "Pages for everybody") == list(PUBLIC)
    assert page.partition("<main")[0].count('href="/login"') == 1
    assert "/home" not in around(page)
    assert page.count('aria-current="page"') == (url in PUBLIC)


@pytest.mark.parametrize("url", [*PUBLIC, *OTHERS, "/me", "/account", "/audit"])
def test_who_is_signed_in_finds_its_own_pages_from_everywhere(site: PeopleSite, url: str) -> None:
    page = site.client(MEMBER).get(url).text
    assert links(page, "Pages for everybody") == list(PUBLIC)
    assert "Sign in" not in around(page)
    assert 'action="/logout"' in page
    assert ('href="/home"' in page.partition("<main")[0]) is (url in PUBLIC)
    assert ("Your pages" in landmarks(page)) is (url not in PUBLIC)
    names = landmarks(page)
    assert len(names) == len(set(names))


def test_from_an_error_the_department_finds_back(site: PeopleSite) -> None:
    for role, own in ((OPERATOR, "/op"), (TREASURER, "/treasury"), (AUDITOR, "/audit")):
        page = site.client(role).get("/nowhere")
        assert page.status_code == 404
        assert own in links(page.text, "Your pages")
        assert '<a href="/home">My pages</a>' in page.text


@pytest.mark.parametrize("url", ["/market", "/indicators", "/plan", "/help"])
def test_a_public_page_is_kept_by_caches_for_strangers_alone(site: PeopleSite, url: str) -> None:
    stranger = site.client().get(url)
    assert stranger.headers["Cache-Control"] == "public, max-age=30"
    assert "Cookie" in stranger.headers["Vary"]
    tag = stranger.headers["ETag"]
    assert site.client().get(url, headers={"If-None-Match": tag}).status_code == 304
    ended = site.client()
    ended.set_cookie("campus-here", "of-a-session-that-ended", domain="localhost")
    for client in (site.client(MEMBER), ended):
        answer = client.get(url, headers={"If-None-Match": tag})
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")
        assert "ETag" not in answer.headers


def test_the_first_page_that_all_share_is_nobodys(site: PeopleSite) -> None:
    """Whoever asks first, and in whatever way, what is kept for strangers names nobody."""
    member, accept = site.client(MEMBER), {"Accept": "text/html"}
    with member.get("/live", headers=accept, buffered=False) as stream:
        assert "logout" not in next(stream.response).decode()
    first = member.get("/", headers=accept)
    assert first.headers["Cache-Control"] == "no-store"
    assert "form_token" in first.text
    page = site.client().get("/").text
    assert "form_token" not in page
    assert "logout" not in page
    assert page == site.client().get("/").text


def test_a_session_is_looked_up_for_pages_alone(site: PeopleSite, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def look_up(*args: Any) -> None:
        asked.append("looked up")

    monkeypatch.setattr(sessions, "look_up", look_up)
    site.client().get("/market")
    member = site.client(MEMBER)
    member.get("/static/campus.css", headers={"Accept": "text/css,*/*;q=0.1"})
    member.get("/api/v1/market/prices")
    assert asked == []
    member.get("/market")
    assert asked == ["looked up"]


def test_the_page_to_sign_in_knows_who_is_signed_in(site: PeopleSite) -> None:
    assert site.client(MEMBER).get("/login").headers["Location"] == "/home"
    again = site.client(MEMBER).get("/login?next=/account")
    assert again.status_code == 200, "to change how one signs in one signs in again"
    assert "You are signed in as The Member" in again.text
    assert "signed in as" not in site.client().get("/login").text


def roles() -> Sequence[str | None]:
    return (None, *ROLES)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
@pytest.mark.slow
def test_the_navigation_fits_a_phone_and_axe_has_nothing_to_say(site: PeopleSite, tmp_path: Path) -> None:
    faults = []
    with site.app.store.write() as session:
        session.get_one(Person, site.people[MEMBER].id).password_hash = "x"
    with served(site.flask) as address, Browser(tmp_path / "profile") as browser:
        for place, role in enumerate(roles()):
            browser.sign_out()
            if role is not None:
                browser.sign_in(site.cookies[role], address)
            for url in ("/", "/market", "/nowhere", *(("/account?changed=password",) if role == MEMBER else ())):
                browser.emulate(320 if place % 2 else 390, 844, dark=bool(place % 2))
                browser.open(address + url)
                browser.evaluate("document.querySelector('#password-title ~ details')?.setAttribute('open', ''); null")
                faults += [(url, role, fault) for fault in axe.faults(browser)]
                axe.picture(browser, f"navigation-{url[1:8]}-{role}")
    assert not faults, "\n".join(map(str, faults))
