"""The pages of people in a real Chromium: by keyboard, with a passkey, at two widths, light and dark, by axe."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import axe
import pytest
from browser import CHROMIUM, Browser
from people_site import build
from sample_market import add_days, add_public_member
from served import served
from sqlalchemy import select

from authority.people import invitations, passwords
from authority.people.roles import AUDITOR, MEMBER, OPERATOR
from authority.store.log import Act
from authority.store.market import StandingOrderPolicy
from authority.store.persons import Passkey, Person

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")

GOOD = "violet kettle under seven"
WIDTHS = ((390, 844), (1280, 900))
PAGES = {
    None: ("/login", "/market", "/market?view=month&table=1", "/market?view=year", "/help", "/privacy"),
    MEMBER: (
        "/me",
        "/me/energy",
        "/me/energy?view=month",
        "/me/trading",
        "/me/money",
        "/me/bills",
        "/me/bills/1",
        "/account",
    ),
    OPERATOR: ("/op",),
    AUDITOR: ("/account", "/account/readers?everybody=1", "/me/nothing"),
}


@pytest.fixture
def store_url():
    return ""


def made_day(clock, before):
    return datetime.fromtimestamp(clock.now - before * 86_400, UTC).date()


@pytest.fixture
def site(app, clock, sample_month):
    clock.now += 17 * 3_600  # the end of a sunny afternoon
    made = build(app)
    sample_month(made)
    add_public_member(app)
    add_days(app, made_day(clock, 3), 4, ZoneInfo("UTC"), until=clock.now - 900)
    return made


@pytest.fixture
def address(site):
    with served(site.flask) as found:
        yield found


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path / "profile") as opened:
        yield opened


def signed_in(browser, site, address, role):
    browser.sign_out()
    if role is not None:
        browser.sign_in(site.cookies[role], address)


def shows(browser, text):
    browser.until(f"document.readyState === 'complete' && document.body.textContent.includes({text!r})")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_is_accessible_fits_and_complains_of_nothing(browser, site, address, dark):
    faults = []
    for role, urls in PAGES.items():
        signed_in(browser, site, address, role)
        for url in urls:
            for width, height in WIDTHS:
                browser.emulate(width, height, dark=dark)
                browser.open(address + url)
                where = (role, url, width)
                faults += [(where, fault) for fault in axe.faults(browser)]
                name = f"{role or 'stranger'}{url.replace('/', '-').replace('?', '-')}-{width}"
                axe.picture(browser, f"{name}-{'dark' if dark else 'light'}")
    assert faults == []
    assert [line for line in browser.messages if "404" not in line] == []


def test_a_member_comes_in_and_sets_a_standing_order_by_keyboard_alone(browser, site, address):
    with site.app.store.write() as session:
        person = session.get_one(Person, site.people["other"].id)
        person.password_hash = passwords.hashed(GOOD)
    browser.emulate(390, 844)
    browser.open(f"{address}/me/trading")
    browser.until("document.activeElement.id === 'login'")
    browser.write("other@campus.example")
    browser.tab_to("#password")
    browser.write(GOOD)
    browser.press("Enter")
    browser.until("location.pathname === '/me/trading' && document.readyState === 'complete'")
    browser.tab_to("#sell-at")
    browser.write("0.2")
    browser.tab_to("button[value=preview]")
    browser.press("Enter")
    shows(browser, "Nothing is saved yet")
    browser.tab_to("button[value=save]")
    browser.press("Enter")
    browser.until("!document.body.innerText.includes('Nothing is saved yet')")
    shows(browser, "Sell what I have, at 0.200 credits per kWh or more.")
    with site.app.store.read() as session:
        order = session.get(StandingOrderPolicy, site.members["Dormitory B"].id)
        assert (order.sell_at, order.updated_by) == (200_000, site.people["other"].pseudonym)
    browser.tab_to("#sell-at")
    browser.evaluate("document.activeElement.select()")
    browser.write("0.5")
    browser.tab_to("button[value=save]")
    browser.press("Enter")
    browser.until("document.readyState === 'complete' && document.querySelector('[role=alert]') !== null")
    told = browser.evaluate("document.querySelector('[role=alert]').textContent")
    assert "0.500" in told
    assert "micro" not in told


def test_a_passkey_is_made_with_an_invitation_and_signs_in_again(browser, site, address):
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        "automaticPresenceSimulation": True,
    }
    browser._call("WebAuthn.enable", session=True)
    authenticator = browser._call("WebAuthn.addVirtualAuthenticator", session=True, options=options)["authenticatorId"]
    with site.app.store.write() as session:
        person = session.get_one(Person, site.people["other"].id)
        secret = invitations.make(session, person, by="test", now=site.app.clock())
    browser.emulate(390, 844)
    browser.open(f"{address}/invite/{secret}")
    browser.until("!document.querySelector('.passkey').hidden")
    browser.evaluate("document.querySelector('.passkey button').click()")
    browser.until("location.pathname === '/me'")
    browser.evaluate("document.querySelector('form button').click()")
    browser.until("location.pathname === '/'")
    for verified in (True, False):
        if not verified:
            browser.sign_out()
            browser._call("WebAuthn.setUserVerified", session=True, authenticatorId=authenticator, isUserVerified=False)
        browser.open(f"{address}/login?next=/me/bills")
        browser.until("!document.querySelector('.passkey').hidden")
        browser.evaluate("document.querySelector('.passkey button').click()")
        if verified:
            browser.until("location.pathname === '/me/bills'")
        else:
            browser.until("!document.querySelector('.passkey [role=alert]').hidden")
    with site.app.store.read() as session:
        key = session.scalars(select(Passkey)).one()
        assert key.person_id == site.people["other"].id
        assert key.last_used_at is not None
    browser._call("WebAuthn.setUserVerified", session=True, authenticatorId=authenticator, isUserVerified=True)
    browser.open(f"{address}/login?next=/account")
    browser.until("!document.querySelector('.passkey').hidden")
    browser.evaluate("document.querySelector('.passkey button').click()")
    browser.until("location.pathname === '/account'")
    remove = "document.querySelector('form[action*=passkeys] button')"
    assert "Passkey 1" in browser.evaluate("document.body.textContent")
    browser.evaluate(f"{remove}.click()")
    browser.until("document.querySelector('[role=alert]')?.textContent.includes('only way in')")
    with site.app.store.write() as session:
        assert session.scalars(select(Passkey)).one().person_id == site.people["other"].id
        session.get_one(Person, site.people["other"].id).password_hash = "x"
    browser.open(f"{address}/account")
    browser.evaluate(f"{remove}.click()")
    browser.until("!document.body.textContent.includes('Passkey 1')")
    with site.app.store.read() as session:
        assert session.scalars(select(Passkey)).all() == []
        assert [act.kind for act in session.scalars(select(Act).where(Act.kind.like("passkey%")))] == [
            "passkey_added", "passkey_removed",
        ]  # fmt: skip
