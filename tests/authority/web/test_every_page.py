"""Every page of every role in a real Chromium: axe finds nothing, is unsure of nothing, and nothing is cut off.

On a phone no table is wider than the page, in English and Thai, and none leaves a figure out.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import axe
import other_media
import pytest
from browser import CHROMIUM, Browser
from people_site import build
from sample_market import add_days, add_public_member
from served import served

from authority.api.gate import Rule
from authority.operations import news, tickets
from authority.people import invitations
from authority.people.roles import MEMBER, ROLES
from authority.store.persons import Person
from authority.web import access

NO_PAGES = {
    "audit.bill_state", "audit.verify_state", "health.alive", "health.metrics", "health.ready", "language.choose",
    "live_events", "log.checkpoint", "log.key",
    "market_pages.prices_csv", "member.bill_pdf", "my_certificates.pdf", "openapi.spec", "people.home",
    "treasurer.bill_pdf",
    "treasurer.period_csv",
    "treasurer.look_at_close", "treasurer.look_at_issue",
}  # fmt: skip
"""Routes by GET that give no page here: files, streams and what programs ask, what sends on, and what is to be closed
or issued, of which there is nothing here (tests/authority/web/test_treasury.py has them)."""


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: Any, clock: Any, sample_month: Any) -> Any:
    clock.now += 17 * 3_600
    made = build(app)
    sample_month(made)
    add_public_member(app)
    dispute_and_announce(made)
    add_days(app, datetime.fromtimestamp(clock.now - 3 * 86_400, UTC).date(), 4, ZoneInfo("UTC"), until=clock.now - 900)
    return made


def dispute_and_announce(site: Any) -> None:
    """A line of the bill is disputed, and something is announced."""
    app, member, who = site.app, site.members["Dormitory A"], site.people[MEMBER]
    with app.store.read() as session:
        about = tickets.of_line(session, 900, member.wallet, 1, 3)
    tickets.ask(app, member.id, about, "energy", "I was away.", actor=who.pseudonym, person_id=who.id)
    now = app.clock()
    news.publish(app, "Late tonight", "No energy\nis lost.", now, now + 86_400, news.EVERYBODY, "", actor="test")


def pages(site: Any) -> dict[str, str]:
    """The address of every page, by its route's name."""
    with site.app.store.write() as session:
        person = session.get_one(Person, site.people["nobody"].id)
        invitation = invitations.make(session, person, by="test", now=site.app.clock())
    wallet = site.members["Dormitory A"].wallet
    day = datetime.fromtimestamp(site.app.clock() - 86_400, UTC).date().isoformat()
    values = {
        "secret": invitation, "number": 1, "period": 0, "wallet": wallet, "log_index": 1, "enrolment_id": "x",
        "gateway": "dormitory-a", "meter_name": "building", "proposal": "x", "link": "x", "day": day,
        "code": "x", "hook": "x", "line": 1, "pseudonym": site.people[MEMBER].pseudonym,
    }  # fmt: skip
    found = {}
    for rule in site.flask.url_map.iter_rules():
        if "GET" in rule.methods and not rule.rule.startswith(("/api/", "/tile/", "/static/", "/enter/")):
            with site.flask.test_request_context():
                adapter = site.flask.url_map.bind("localhost")
                found[rule.endpoint] = adapter.build(rule.endpoint, {name: values[name] for name in rule.arguments})
    return found


def askers(rule: Rule) -> list[str | None]:
    """Who may open it."""
    if rule.roles is None:
        return [None, MEMBER]
    return [role for role in ROLES if not rule.roles or role in rule.roles]


def shown(site: Any) -> list[tuple[str, str, str | None]]:
    """Route, address and role of every answer that is a page."""
    found = []
    for endpoint, url in sorted(pages(site).items()):
        for role in askers(access.RULES[endpoint]):
            answer = site.client(role).get(url)
            assert answer.status_code < 500 or answer.status_code == 503, (endpoint, role, answer.text)
            if answer.mimetype == "text/html" and answer.status_code != 303:
                found.append((endpoint, url, role))
    return found


def different(site: Any) -> list[tuple[str, str, str | None]]:
    """The pages, without those that have the same elements, in the same looks, as the same page of another role.

    What stands around every page goes by the role, so roles take turns: each is among those who are shown.
    """
    kinds: dict[tuple[str, str], list[tuple[str, str, str | None]]] = {}
    for endpoint, url, role in shown(site):
        main = site.client(role).get(url).text.partition("<main")[2]
        elements = re.sub(r'(href|action|value)="[^"]*"', "", re.sub(r">[^<]*<", "><", main))
        kinds.setdefault((endpoint, elements), []).append((endpoint, url, role))
    return [some[place % len(some)] for place, some in enumerate(kinds.values())]


@pytest.mark.slow
@pytest.mark.timeout(1_200)
def test_what_gives_no_page_is_known(site: Any) -> None:
    without = set(pages(site)) - {endpoint for endpoint, _, _ in shown(site)}
    assert without == NO_PAGES, f"{sorted(without - NO_PAGES)}, {sorted(NO_PAGES - without)}"


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
def test_no_page_of_any_role_has_a_fault_on_screen_on_paper_or_in_forced_colours(site: Any, tmp_path: Path) -> None:
    faults = []
    judged = different(site)
    assert {role for _, _, role in judged} == {None, *ROLES}
    with served(site.flask) as address, Browser(tmp_path / "profile") as browser:
        for place, (endpoint, url, role) in enumerate(judged):
            browser.sign_out()
            if role is not None:
                browser.sign_in(site.cookies[role], address)
            for width, dark in axe.looks(place):
                browser.emulate(width, 844, dark=dark)
                browser.open(address + url)
                look = "dark" if dark else "light"
                faults += [((endpoint, role, width, look), fault) for fault in axe.faults(browser)]
                axe.picture(browser, f"every-{endpoint}-{role}-{width}-{look}")
                lost = other_media.faults(browser, dark=dark)
                faults += [((endpoint, role, look), fault) for fault in lost]
                axe.picture(browser, f"every-{endpoint}-{role}-forced-{look}")
    assert not faults, "\n".join(f"{where}: {fault}" for where, fault in faults)


NOT_FOLDED = {"operator.meters"}
"""The map of meters by days, with a column for each, is wider than a phone; it scrolls to the sides."""
TOO_WIDE = """[...document.querySelectorAll("table")].filter(each => each.checkVisibility()).map(each => {
  const around = each.closest(".scroll") ?? each.parentElement;
  return [around.scrollWidth - around.clientWidth, each.getBoundingClientRect().right - window.innerWidth,
          each.closest("[aria-label]")?.getAttribute("aria-label") ?? "", around.scrollWidth];
}).filter(each => each[0] > 0 || each[1] > 0).map(each => each.join(" "))"""
OPENED = "document.querySelectorAll('details').forEach(each => { each.open = true; })"
LEFT_OUT = r"""[...document.querySelectorAll("table")].filter(each => each.checkVisibility()).flatMap(table => {
  const plain = text => text.replace(/\s/g, " ").replace(/ (kWh|kW)\b/g, "").trim();
  const hidden = cell => getComputedStyle(cell).display === "none";
  return [...table.tBodies].flatMap(body => [...body.rows].slice(0, 40)).flatMap(row => {
    const shown = plain([...row.cells].filter(cell => !hidden(cell)).map(cell => cell.innerText).join(" "));
    return [...row.cells].filter(hidden)
      .flatMap(cell => (cell.textContent.match(/[\d\u202f.]*[1-9][\d\u202f.]*/g) ?? []))
      .filter(figure => !shown.includes(plain(figure))).map(figure => `${figure} is not in: ${shown}`);
  });
})"""


def of_longer_times(site: Any) -> list[tuple[str, str, str | None]]:
    """Pages that have more columns of a month or a year than of a day."""
    day = datetime.fromtimestamp(site.app.clock() - 86_400, UTC).date()
    shown = [("market_pages.market_page", "/market", None), ("indicator_pages.indicators_page", "/indicators", None)]
    return [
        (endpoint, f"{path}?view={view}&day={day}", role)
        for endpoint, path, role in (*shown, ("member.energy", "/me/energy", MEMBER))
        for view in ("month", "year")
    ]


@pytest.mark.slow
@pytest.mark.timeout(1_200)
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
@pytest.mark.parametrize("language", ["en", "th"])
def test_no_table_of_any_page_is_wider_than_a_phone_and_none_leaves_a_figure_out(
    site: Any, tmp_path: Path, language: str
) -> None:
    faults, tables = [], 0
    with served(site.flask) as address, Browser(tmp_path / "profile") as browser:
        browser.emulate(390, 844, dark=False)
        for endpoint, url, role in [*different(site), *of_longer_times(site)]:
            if endpoint in NOT_FOLDED or "<table" not in site.client(role).get(url).text:
                continue
            tables += 1
            browser.sign_out()
            if role is not None:
                browser.sign_in(site.cookies[role], address)
            browser.open(f"{address}/language?language={language}&next=/help")
            browser.open(address + url)
            browser.evaluate(OPENED)
            faults += [(endpoint, role, "wide", each) for each in browser.evaluate(TOO_WIDE)]
            faults += [(endpoint, role, "left out", each) for each in browser.evaluate(LEFT_OUT)]
    assert tables > 20
    assert not faults, "\n".join(map(str, faults))
