"""The operator's pages in a real Chromium: accessible at two widths, light and dark; a reading decided by keyboard."""

from datetime import UTC, datetime

import axe
import pytest
from browser import CHROMIUM, Browser
from served import served

from authority.people.roles import OPERATOR
from authority.store.log import Act
from authority.store.metering import Frame

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")


@pytest.fixture
def store_url():
    return ""


@pytest.fixture
def site(operated):
    return operated


@pytest.fixture
def address(site):
    with served(site.flask) as found:
        yield found


@pytest.fixture
def browser(tmp_path, site, address):
    with Browser(tmp_path / "profile") as opened:
        opened.sign_in(site.cookies[OPERATOR], address)
        yield opened


@pytest.mark.slow
def test_the_operators_pages_are_accessible_fit_and_complain_of_nothing(browser, site, address, clock):
    faults = []
    urls = {
        "op": "/op",
        "held": "/op/held",
        "reading": f"/op/held/{site.held}",
        "enrolments": "/op/enrolments",
        "enrolment": f"/op/enrolments/{site.enrolment}",
        "meters": "/op/meters",
        "meter": "/op/meters/gw-3/roof",
        "members": "/op/members",
        "meter-day": f"/op/meters/gw-3/roof/days/{datetime.fromtimestamp(clock.now - 3600, UTC).date()}",
    }

    def made_a_claim():
        browser.open(f"{address}/op/enrolments")
        browser.evaluate("document.querySelector('form[action$=claims] button').click()")
        browser.until("document.querySelector('.qr svg') !== null && document.readyState === 'complete'")

    def tried_a_list():
        browser.open(f"{address}/op/members")
        rows = "id,login,name,member\\nt-1,ada@campus.example,Ada,Dormitory A\\nt-2,x@campus.example,X,Dormitory Z"
        browser.evaluate(f"document.querySelector('#list-text').value = '{rows}'")
        browser.evaluate("document.querySelector('form[enctype] button').click()")
        browser.until("document.querySelector('#tried-title') !== null && document.readyState === 'complete'")

    pages = {name: (lambda url=url: browser.open(address + url)) for name, url in urls.items()}
    for place, (name, come) in enumerate({**pages, "claim": made_a_claim, "tried": tried_a_list}.items()):
        for width, dark in axe.looks(place):
            browser.emulate(width, 900, dark=dark)
            come()
            faults += [((name, width), fault) for fault in axe.faults(browser)]
            axe.picture(browser, f"op-{name}-{width}-{'dark' if dark else 'light'}")
    assert faults == []
    assert browser.messages == []


def test_a_held_reading_is_released_by_keyboard_alone_on_a_phone(browser, site, address):
    browser.emulate(390, 844)
    browser.open(f"{address}/op")
    browser.tab_to("a[href^='/op/held?code=']")
    browser.press("Enter")
    browser.until("location.pathname === '/op/held' && document.readyState === 'complete'")
    browser.tab_to(f"a[href='/op/held/{site.held}']")
    browser.press("Enter")
    browser.until(f"location.pathname === '/op/held/{site.held}' && document.readyState === 'complete'")
    browser.tab_to("#reason")
    browser.write("inverter was exchanged, photo in the protocol")
    browser.tab_to("#confirm")
    browser.press(" ")
    browser.tab_to("button[value=release]")
    browser.press("Enter")
    browser.until("document.querySelector('[role=status]')?.textContent.includes('Released')")
    with site.app.store.read() as session:
        frame = session.get_one(Frame, site.held)
        act = session.get_one(Act, frame.resolution_log_index)
    assert (act.kind, act.actor) == ("reading_released", site.people[OPERATOR].pseudonym)
