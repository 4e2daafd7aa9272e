"""Every page, as each role, in a language that nobody speaks: no text that is not marked for translation."""

from __future__ import annotations

import io
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from enrolling_gateway import PLAN, GatewayHand
from kwh_site import opened
from people_site import build
from pseudo_language import CODE, PSEUDO, unmarked
from sample_market import add_days, add_public_member

from authority.billing.money import reference_of, spaced
from authority.collector import held
from authority.collector.http import create_app as gateways_door
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.enrolment import plan, requests
from authority.home.home import Home
from authority.home.settings import BillingSettings
from authority.language.reading import LANGUAGES
from authority.people import invitations
from authority.people.roles import AUDITOR, AUTHORITY, DELEGATE, MEMBER, OPERATOR, TREASURER

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
    "/me/trading", "/me/money", "/me/bills", "/me/bills/1", "/account",
)  # fmt: skip


def test_the_public_pages(site):
    stranger = site.client()
    for url in (
        "/",
        "/login",
        "/market",
        "/help",
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


@pytest.fixture
def operated(app, add_meter, clock):
    """A held reading, a gap, an enrolment that waits, and members."""
    with app.store.write() as session:
        plan.apply(session, plan.parse(PLAN.replace(b"S1", b"P1")), app.home, actor="x", now=1, random=os.urandom)
        code = requests.claim(session, app.home, "gw-2", actor="x", now=clock(), random=os.urandom)
    hand = GatewayHand(gateways_door(app, Collector(app), Live(app)).test_client(), code, gateway="gw-2")
    hand.only("other", "S3", "load")
    asked = hand.ask().json
    hand.prove(asked)
    meter = add_meter("roof", gateway="gw-3")
    meter.interval_end = clock.now - 8 * 900
    for energy, gap in ((0, 3), (400, 0), (50_000, 0)):
        Collector(app).ingest(meter.next(energy), gateway="gw-3", meter=None, over="https")
        meter.interval_end += gap * 900
    made = build(app, first_installation=7)
    with app.store.read() as session:
        made.held = held.held(session)[0].log_index
    made.enrolment = asked["enrolment"]
    return made


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
            "/op/meters", "/op/meters/gw-3/roof", "/op/members", "/op/held?code=exceeds_nameplate", "/account",
        ):  # fmt: skip
            read(client, url, *data, "Building", "Load", "S3", "P1", "exceeds_nameplate")
    client = site.client(OPERATOR)
    rows = "id,login,name,member\nt-1,ada@campus.example,Ada,Dormitory A\nt-2,x@campus.example,X,Dormitory Z"
    read(client, "/op/members/list", *data, "x@campus.example", data=site.form(OPERATOR, csv=rows))
    read(client, f"/op/held/{site.held}", *data, status=400, data=site.form(OPERATOR, act="release"))
    for act in ("approve", "reject"):
        read(client, f"/op/enrolments/{site.enrolment}", *data, status=400, data=site.form(OPERATOR, act=act))


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


def kinds(client):
    """The kinds of the log's entries are codes."""
    return re.findall(r'<option value="(\w+)"', client.get("/audit/log").text)


def test_the_list_of_pages_that_are_english_alone_is_true(site):
    for url in NOT_TRANSLATED:
        client = site.client()
        client.set_cookie("language", CODE, domain="localhost")
        assert '<main id="content" class="reference" lang="en">' in client.get(url).text
