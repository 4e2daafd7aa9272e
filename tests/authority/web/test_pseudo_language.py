"""Every page, as each role, in a language that nobody speaks: no text that is not marked for translation."""

from __future__ import annotations

import html
import io
import re
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from kwh_site import opened
from openid_provider import CLIENT, SECRET, OpenIdProvider
from people_site import application, build, no_chain, sign_in
from pseudo_language import CODE, PSEUDO, unmarked
from sample_market import add_days, add_public_member
from solders.keypair import Keypair
from sqlalchemy import select

from authority.billing.money import reference_of, spaced
from authority.governance import acts
from authority.home.home import Home
from authority.home.settings import BillingSettings, OidcSettings
from authority.language.reading import LANGUAGES
from authority.people import invitations, sessions
from authority.people.proposals import OPEN_SECONDS
from authority.people.roles import AUDITOR, AUTHORITY, DELEGATE, MEMBER, OPERATOR, TREASURER
from authority.store.people import User

NOT_TRANSLATED = frozenset(("/docs",))
"""Pages that are English alone: the reference of the API, whose words are the program's. This list may only shrink."""
UNITS = ("kWh", "kW", "Wh", "UTC", "SOL", "CSV", "EUR", "IBAN", "RF")
CAMPUS = (
    "Faculty Housing",
    "Research Labs",
    "solar",
    "battery",
    "load",
    "wind",
    "grid",
    "building",
    "hpc",
    "equipment",
)
NAMES = ("embedded (LiteSVM)", "Dormitory A", "Dormitory B", "dormitory-a", "English", "ไทย", "Engineering Department")

WHY = "a court asks for it"


@pytest.fixture
def store_url():
    return ""


@pytest.fixture(autouse=True)
def pseudo(monkeypatch):
    monkeypatch.setitem(LANGUAGES, CODE, PSEUDO)


def read(client, url, *data, status=200, **sent):
    """A page in the language; the test fails where a word of it is not marked."""
    client.set_cookie("language", CODE, domain="localhost")
    answer = client.post(url, **sent) if sent else client.get(url)
    assert answer.status_code == status, (url, answer.status_code, answer.text)
    assert answer.headers["Content-Language"] == CODE
    assert f'<html lang="{CODE}">' in answer.text
    left = unmarked(answer.text, *UNITS, *NAMES, *data)
    assert not left, f"{url}: {' '.join(left)}"
    return answer


def names_of(site):
    references = [spaced(reference_of(site.app.home.network_id, number)) for number in (1, 2)]
    tokens = [f"only {scope}" for scope in site.tokens]
    people = [word for each in site.people.values() for word in (each.name, each.login, each.pseudonym)]
    return [*people, *references, *tokens]


@pytest.fixture
def site(app, clock, sample_month):
    """Members with a month of readings, a bill, a currency and a market."""
    clock.now += 17 * 3_600
    app.home.save(replace(app.home.settings, billing=BillingSettings(currency="EUR", iban="DE89370400440532013000")))
    made = build(replace(app, home=Home.open(app.home.path)))
    sample_month(made)
    add_public_member(made.app)
    day = datetime.fromtimestamp(clock.now - 3 * 86_400, UTC).date()
    add_days(made.app, day, 4, ZoneInfo("UTC"), until=clock.now - 900)
    return made


MEMBERS = (
    "/me", "/me/energy", "/me/energy?view=month&table=1", "/me/energy?view=year", "/me/energy?day=2020-01-01",
    "/me/trading", "/me/money", "/me/bills", "/me/bills/1", "/me/wallet", "/account",
)  # fmt: skip


def test_the_public_pages(site):
    stranger = site.client()
    for url in (
        "/",
        "/login",
        "/market",
        "/help",
        "/privacy",
        "/market?view=month&table=1",
        "/market?view=year",
        "/market?day=2020-01-01",
    ):
        read(stranger, url, *CAMPUS)
    read(stranger, "/kwh/check") if "kwh.check" in site.flask.view_functions else None
    read(stranger, "/nothing/here", status=404)
    read(stranger, "/invite/wrong", status=404)
    with site.app.store.write() as session:
        person = session.merge(site.people["nobody"])
        secret = invitations.make(session, person, by="x", now=site.app.clock())
    read(stranger, f"/invite/{secret}", *names_of(site))


def test_a_members_pages(site):
    for role in (MEMBER, DELEGATE):
        client = site.client(role)
        for url in MEMBERS:
            read(client, url, *names_of(site), "Chrome on Linux")
    client = site.client(MEMBER)
    read(client, "/me/proofs", *names_of(site))
    read(client, "/me/payout", *names_of(site))
    read(client, "/me/bills/99", status=404)
    read(client, "/op", status=404)
    form = {"sell_at": "5", "buy_at": "", "reserve": "", "feed_in": ""}
    for act in ("preview", "save"):
        for more in ({}, {"sell_at": "x"}, {"sell_at": "", "buy_at": "0.000001"}, {"sell_at": ""}, {"sell_at": "0.2"}):
            data = site.form(MEMBER, act=act, **{**form, **more})
            client.set_cookie("language", CODE, domain="localhost")
            answer = client.post("/me/trading", data=data)
            if answer.status_code != 303:
                assert unmarked(answer.text, *UNITS, *NAMES, *names_of(site)) == [], (act, more)
    disputes(site)
    data = site.form(MEMBER, act="preview", side="bid", quantity="1", price="0.2")
    read(client, "/me/trading/orders", *names_of(site), status=503, data=data)
    read(
        client, "/me/payout", *names_of(site), status=409, data=site.form(MEMBER, holder="A", number="DE1", act="save")
    )
    read(
        client,
        "/account/tokens",
        *names_of(site),
        "Chrome on Linux",
        status=400,
        data=site.form(MEMBER, name="", days="1"),
    )
    login = {"login": "member@campus.example", "password": "wrong"}
    read(site.client(), "/login", status=403, data=login)


def statement(site):
    reference = spaced(reference_of(site.app.home.network_id, 1))
    rows = (f"T1;28.11.2026;2,36;{reference}", "T2;28.11.2026;4,00;Zoë", "T3;28.11.2026;0,00;x", "T4;28.11.2026;9,00;x")
    return ("id;date;amount;text\n" + "\n".join(rows) + "\n").encode()


def test_the_treasurers_pages(site):
    client, names = site.client(TREASURER), [*names_of(site), "Zoë"]
    for url in (
        "/treasury", "/treasury/periods/0", "/treasury/periods/0/mail", "/treasury/credits", "/treasury/payments",
        "/treasury/payouts", "/treasury/estimates", "/treasury/bills/1", "/account",
    ):  # fmt: skip
        read(client, url, *names, "Chrome on Linux", "building", "x")
    file = (io.BytesIO(statement(site)), "statement.csv")
    told = read(client, "/treasury/payments", *names, data=site.form(TREASURER, act="try", file=file))
    fields = {name: re.search(rf'name="{name}" value="([^"]*)"', told.text)[1] for name in ("csv", "seen")}
    fields["csv"] = statement(site).decode()
    client.post("/treasury/payments", data=site.form(TREASURER, act="save", **fields))
    read(client, "/treasury/bills/1", *names)
    read(client, "/treasury/payments", *names)
    for form in ({}, {"line": "1", "amount": "x", "way": "less"}, {"line": "1", "amount": "0.5", "way": "more"}):
        data = site.form(TREASURER, act="preview", reason="the meter was exchanged", **form)
        client.set_cookie("language", CODE, domain="localhost")
        answer = client.post("/treasury/bills/1", data=data)
        assert unmarked(answer.text, *UNITS, *NAMES, *names, "the meter was exchanged") == [], form
    read(client, "/treasury/estimates", *names, "building", status=409, data=site.form(TREASURER, act="preview"))
    read(client, "/treasury/credits", *names, status=409, data=site.form(TREASURER, act="preview"))


def test_the_operators_pages(operated):
    site = operated
    data = (
        *names_of(site),
        "roof",
        "gw",
        "other",
        "Ada",
        "ada@campus.example",
        "Dormitory Z",
        "Chrome on Linux",
        "ami",
    )
    for role in (OPERATOR, AUTHORITY, AUDITOR):
        client = site.client(role)
        for url in (
            "/op", "/op/held", f"/op/held/{site.held}", "/op/enrolments", f"/op/enrolments/{site.enrolment}",
            "/op/meters", "/op/meters/gw-3/roof", "/op/held?code=exceeds_nameplate", "/account",
            "/op/epochs", "/op/news", "/op/tariffs",
            f"/op/meters/gw-3/roof/days/{datetime.fromtimestamp(site.app.clock(), UTC).date()}",
            "/op/meters/gw-3/roof/exchange",
        ):  # fmt: skip
            read(client, url, *data, "Building", "Load", "S3", "P1", "exceeds_nameplate")
    client = site.client(OPERATOR)
    read(client, "/op/members", *data)
    rows = "id,login,name,member\nt-1,ada@campus.example,Ada,Dormitory A\nt-2,x@campus.example,X,Dormitory Z"
    read(client, "/op/members/list", *data, "x@campus.example", data=site.form(OPERATOR, csv=rows))
    read(client, f"/op/held/{site.held}", *data, status=400, data=site.form(OPERATOR, act="release"))
    read(client, "/op/news", *data, status=400, data=site.form(OPERATOR, title="Ada", text="Ada"))
    for act in ("approve", "reject"):
        read(client, f"/op/enrolments/{site.enrolment}", *data, status=400, data=site.form(OPERATOR, act=act))


class Hand:
    """A person of a role at a browser of its own, who reads in the language."""

    def __init__(self, site, role, *data):
        app = site.campus.app if hasattr(site, "campus") else site.app
        self.person, self.client, self.token = sign_in(app, site.flask, role)
        self.data = (*data, self.person.name, self.person.login, WHY)

    def read(self, url, *more, status=200, **form):
        sent = {"data": {"form_token": self.token, **form}} if form else {}
        return read(self.client, url, *self.data, *more, status=status, **sent)

    def propose(self, kind, **form):
        data = {"form_token": self.token, "kind": kind, "reason": WHY, **form}
        answer = self.client.post("/approvals", data=data)
        assert answer.status_code == 303, answer.text
        return answer.headers["Location"]

    def approve(self, url):
        seen = re.search(r'name="seen" value="(\w+)"', self.client.get(url).text)[1]
        data = {"form_token": self.token, "act": "approve", "confirm": "yes", "seen": seen}
        return self.client.post(url, data=data)


def test_the_pages_of_what_takes_two_people(site, clock):
    with site.app.store.write() as session:
        session.scalars(select(User).where(User.name == "Dormitory A")).one().registered_at = 1
    hands = {
        name: Hand(site, role, *names_of(site))
        for name, role in (("auditor", AUDITOR), ("ada", AUTHORITY), ("grace", AUTHORITY), ("treasurer", TREASURER))
    }
    auditor, ada, grace, treasurer = hands.values()
    everybody = [word for each in hands.values() for word in (each.person.pseudonym, each.person.name)]
    wallet = site.members["Dormitory A"].wallet
    for each in hands.values():
        each.data = (*each.data, *everybody, wallet)
        each.read("/approvals")
    booking = {"member": "Dormitory A", "way": "in", "amount": "2000", "again": "2000", "reference": "R-77"}
    treasurer.read("/treasury/credits", act="preview", **booking)
    booked = treasurer.client.post(
        "/treasury/credits", data={"form_token": treasurer.token, "act": "save", **booking}
    ).headers["Location"]
    asked = {
        auditor.propose("unmask", pseudonym=site.people[MEMBER].pseudonym): auditor,
        auditor.propose("unmask", pseudonym=wallet): auditor,
        ada.propose("erase", login="other@campus.example"): ada,
        ada.propose("erase", login="nobody@campus.example"): ada,
        booked: treasurer,
    }
    for url, who in asked.items():
        who.read(url)
        grace.read(url)
        who.read(url, status=409, act="approve", confirm="yes", seen="ff")
    unmask, of_a_member, erase, refused, _ = asked
    for url in (unmask, of_a_member, erase, booked):
        grace.approve(url)
        asked[url].read(url)
    for url in (unmask, of_a_member):
        auditor.read(url, act="reveal")
        auditor.read(url, status=409, act="reveal")
    grace.read(refused, status=400, act="approve")
    grace.client.post(refused, data={"form_token": grace.token, "act": "refuse"})
    late = ada.propose("erase", login="nobody@campus.example")
    for form in ({"login": "zoe@campus.example"}, {"login": "nobody@campus.example", "reason": "x"}):
        wrong = {"kind": "erase", "reason": WHY, **form}
        ada.read("/approvals", "zoe", "campus", "example", status=400, **wrong)
    ada.read("/approvals", status=409, kind="operator", address="x", reason=WHY)
    ada.read("/approvals", status=400, kind="unmask", pseudonym="person-0", reason=WHY)
    ada.read(refused)
    clock.now += OPEN_SECONDS
    grace = Hand(site, AUTHORITY, *names_of(site), *everybody)
    grace.read("/approvals")
    grace.read(late)


def test_the_page_of_an_account_at_the_provider(site, clock):
    provider = OpenIdProvider(clock)
    try:
        oidc = OidcSettings(provider.issuer, CLIENT, "Campus login")
        site.app.home.save(replace(site.app.home.settings, oidc=oidc))
        site.app.home.keys.make("oidc-client-secret", SECRET.encode() + b"\n")
        flask = application(site.app, no_chain)
        data = (*names_of(site), "Chrome on Linux", "Campus login")
        _, client, token = sign_in(site.app, flask, MEMBER)
        data = (*data, "The Member")
        read(flask.test_client(), "/login", *data)
        for url in ("/login?next=/me", "/account", "/account/oidc", "/signed-out"):
            read(client, url, *data)
        provider.claims = {"sub": "u-7", "email": "x@elsewhere.example", "email_verified": False}
        way = read(client, "/account/oidc/link", *data, data={"form_token": token})
        there = html.unescape(re.search(r'href="(http[^"]+/authorize[^"]*)"', way.text)[1])
        client.get(provider.back_from(there))
        assert "u-7" not in read(client, "/account/oidc", *data).text
        read(client, "/account/oidc/unlink", *data, status=409, data={"form_token": token})
        _, other, other_token = sign_in(site.app, flask, TREASURER)
        way = read(other, "/account/oidc/link", *data, data={"form_token": other_token})
        there = html.unescape(re.search(r'href="(http[^"]+/authorize[^"]*)"', way.text)[1])
        read(other, provider.back_from(there), *data, status=403)
        clock.now += sessions.FRESH_SECONDS
        read(client, "/account/oidc/link", *data, status=403, data={"form_token": token})
    finally:
        provider.stop()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_auditors_pages_and_those_over_a_chain(tmp_path):
    with opened(tmp_path, epochs=2, members="ABCD", trades=True) as site:
        client, data = site.client(AUDITOR), [*site.pseudonyms.values(), "Chrome on Linux", AUDITOR]
        for url in ("/audit", "/audit/log", "/audit/log?kind=data_read", "/audit/checkpoints", "/audit/epochs", "/op"):
            page = read(client, url, *data, *kinds(client), "gw", *CAMPUS)
        for url in re.findall(r'href="(/audit/epochs/\d+)"', client.get("/audit/epochs").text)[:2]:
            read(client, url)
        member = site.client(MEMBER)
        for url in (*MEMBERS[:7], f"/me/proofs?from={site.boundaries[-2]}&to={site.boundaries[-1]}"):
            page = read(member, url, "member", *site.pseudonyms.values())
        assert page is not None
        read(site.client(), site.link())
        form = {"act": "preview", "side": "ask", "quantity": "0.001", "price": "0.2"}
        member.set_cookie("language", CODE, domain="localhost")
        answer = member.post("/me/trading/orders", data=site.form(MEMBER, **form))
        assert unmarked(answer.text, *UNITS, "member") == [], answer.status_code
        wallets(site, *site.pseudonyms.values())
        parameters(site)
        desk(site)


def wallets(site, *data):
    """The page of a wallet in custody, of an own one, and what its script is told."""
    read(site.client(MEMBER), "/me/wallet", "member", *data)
    with site.campus.app.store.write() as session:
        session.scalars(select(User).where(User.name == "C")).one().sealed_key = None
    site.campus.client.airdrop(site.campus.wallets["C"], 1_000_000_000)
    owner, headers = site.client("other"), {"X-Form-Token": site.form("other")["form_token"]}
    read(owner, "/me/wallet", "other", *data)
    place = {"act": "place", "quantity_wh": 100, "price_micro_credits_per_kwh": 200_000}
    for status, wish in (
        (200, {"act": "deposit", "asset": "credit", "amount": 1}),
        (200, {**place, "side": "bid"}),
        (200, {"act": "withdraw", "asset": "credit", "amount": 1}),
        (409, {"act": "withdraw", "asset": "credit", "amount": 2**60}),
        (404, {"act": "cancel", "number": 99}),
        (400, {"act": "transfer", "amount": 1, "to": "x"}),
        (409, {**place, "side": "ask", "quantity_wh": 1_000_000}),
        (409, {"act": "deposit", "asset": "credit", "amount": 2**50}),
    ):
        answer = owner.post("/api/v1/me/transactions/prepare", json=wish, headers=headers)
        assert answer.status_code == status, (wish, answer.text)
        told = answer.json["says"] if status == 200 else answer.json["detail"]
        assert unmarked(f"<p>{told}</p>", *UNITS) == [], wish


def disputes(site):
    """What a member disputes, and the same as who answers it sees it."""
    member, data = site.client(MEMBER), (*names_of(site), "Ada")
    for url in ("/me/tickets", "/me/tickets/new?bill=1&line=3"):
        read(member, url, *data)
    read(member, "/me/tickets/new?day=2199-01-01", *data, status=400)
    sent = site.form(MEMBER, bill=1, line=3, reason="energy", text="Ada")
    url = member.post("/me/tickets", data=sent).headers["Location"]
    desk = f"/disputes/{url.rpartition('/')[2]}"
    for role in (OPERATOR, TREASURER):
        for path in ("/disputes", desk):
            page = read(site.client(role), path, *data)
    for path in re.findall(rf'href="({desk}/days/[\d-]+)"', page.text)[:1]:
        read(site.client(OPERATOR), path, *data)
    read(site.client(OPERATOR), desk, *data, status=400, data=site.form(OPERATOR, act="close", outcome="9/9"))
    site.client(OPERATOR).post(desk, data=site.form(OPERATOR, act="close", outcome="settled"))
    for path in (url, "/me/tickets"):
        read(member, path, *data)


def desk(site):
    """The operator's pages over a chain: tariffs with what is staged, epochs, the exchange of a meter to its end."""
    client, words = Hand(site, OPERATOR, *CAMPUS, "gw", "NEW", *site.pseudonyms.values()), ("authority",)
    day = datetime.fromtimestamp(site.campus.wall.now + 3 * 86_400, UTC).date()
    for url in ("/op/tariffs", f"/op/tariffs?preview=1&feed_in_price=0.09&day={day}", "/op/epochs"):
        page = client.read(url, *words)
    client.read("/op/tariffs?preview=1&feed_in_price=9", status=409)
    client.read(re.search(r'href="(/op/epochs/\d+)"', page.text)[1])
    url = "/op/meters/gw_d/load/exchange"
    client.read(url)
    for form in (
        {"act": "last", "consumption": "9"},
        {"act": "first", "serial": "NEW", "consumption": "0", "reason": WHY},
    ):
        client.client.post(url, data={"form_token": client.token, **form})
        client.read(url, "D", "CODE")


def parameters(site):
    """What is proposed of the market's parameters and of the keys, which takes a chain."""
    address, chain = str(Keypair().pubkey()), acts.read(site.campus.client)
    ada, grace = (Hand(site, AUTHORITY, address, chain.operator, chain.authority) for _ in range(2))
    for each in (ada, grace):
        each.data = (*each.data, ada.person.pseudonym, grace.person.pseudonym)
    ada.read("/approvals")
    for kind, form in (
        ("parameters", {"feed_in_price": "0.07", "min_order_wh": "200", "days": "7"}),
        ("operator", {"address": address}),
        ("handover", {"address": address}),
    ):
        url = ada.propose(kind, **form)
        ada.read(url)
        grace.read(url)
        grace.approve(url)
        grace.read(url)
    for form in ({"feed_in_price": "x"}, {"feed_in_price": "9"}, {"days": "999"}, {}):
        given = {"kind": "parameters", "reason": WHY, "days": "7", **form}
        status = 400 if form.keys() & {"days"} or form.get("feed_in_price") == "x" else 409
        ada.read("/approvals", status=status, **given)


def kinds(client):
    """The kinds of the log's entries are codes."""
    return re.findall(r'<option value="(\w+)"', client.get("/audit/log").text)


def test_the_list_of_pages_that_are_english_alone_is_true(site):
    for url in NOT_TRANSLATED:
        client = site.client()
        client.set_cookie("language", CODE, domain="localhost")
        assert '<main id="content" class="reference" lang="en">' in client.get(url).text
