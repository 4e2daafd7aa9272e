"""What an operator does on the pages: held readings, enrolments, claims, invitations; logged, confirmed, done once."""

import io
import os
import re
from dataclasses import replace

import pytest
from enrolling_gateway import PLAN, GatewayHand, meter_map
from every_leaf import every_leaf
from people_site import build, sign_in
from sqlalchemy import func, select

from authority.collector import held
from authority.collector.http import create_app as gateways_door
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.enrolment import approvals, plan
from authority.log import gate
from authority.people.roles import AUDITOR, AUTHORITY, MEMBER, OPERATOR
from authority.store.comparisons import BooksComparison
from authority.store.enrolments import Approval, Claim
from authority.store.log import Act
from authority.store.metering import Frame, Gateway
from authority.store.persons import Invitation, InvitationMail, Person


@pytest.fixture
def store_url():
    return ""


@pytest.fixture
def held_site(app, add_meter, clock):
    """A site with a meter whose second reading, log entry `site.held`, is held: 50 kWh in a quarter of an hour."""
    meter = add_meter()
    for frame in (meter.next(), meter.next(50_000)):
        Collector(app).ingest(frame, gateway="gw-1", meter=None, over="https")
    with app.store.read() as session:
        index = held.held(session)[0].log_index
    site = build(app, first_installation=7)
    site.held, site.meter = index, meter
    return site


def acts(app, *kinds):
    with app.store.read() as session:
        return session.scalars(select(Act).where(Act.kind.in_(kinds)).order_by(Act.log_index)).all()


def leaves(app):
    with app.store.read() as session:
        return every_leaf(session)


def send(site, url, role=OPERATOR, **fields):
    return site.client(role).post(url, data=site.form(role, **fields))


def decide(site, act, **fields):
    return send(site, f"/op/held/{site.held}", act=act, **{"reason": "meter exchanged", "confirm": "yes", **fields})


def test_a_held_reading_is_shown_with_its_evidence(held_site):
    site = held_site
    text = site.client(AUDITOR).get("/op/held").text
    assert f'href="/op/held/{site.held}"' in text
    page = site.client(AUDITOR).get(f"/op/held/{site.held}").text
    for words in ("gw-1/pv", "more than the installation can make", "50.000 kWh", "2.751 kWh", "10.0 kW"):
        assert words in page, words
    assert "Release</button>" not in page, "an auditor only looks"
    assert "Release</button>" in site.client(OPERATOR).get(f"/op/held/{site.held}").text
    assert "No reading is held for not_on_chain" in site.client(OPERATOR).get("/op/held?code=not_on_chain").text
    assert site.client(OPERATOR).get("/op/held/0").status_code == 404, "an accepted reading is nobody's to decide"


@pytest.mark.parametrize(("act", "kind"), [("release", "reading_released"), ("void", "reading_voided")])
def test_it_is_decided_once_by_the_service_of_the_command(held_site, act, kind):
    site = held_site
    for _ in range(2):
        answer = decide(site, act)
        assert (answer.status_code, answer.headers["Location"]) == (303, f"/op/held/{site.held}")
    (logged,) = acts(site.app, kind)
    assert logged.actor == site.people[OPERATOR].pseudonym
    assert logged.data["log_index"] == site.held
    assert "reason" not in logged.data, "a reason that somebody typed stays in the store"
    with site.app.store.read() as session:
        assert gate.words_of(session, logged) == "meter exchanged"
    other = decide(site, "void" if act == "release" else "release")
    assert other.status_code == 409
    assert "only held readings are decided" in other.text
    page = site.client(OPERATOR).get(f"/op/held/{site.held}").text
    assert f"Logged as {logged.log_index}" in page
    assert "Release</button>" not in page


NOT_FIT = (
    ({"confirm": ""}, "tick the box"),
    ({"reason": " x "}, "say why"),
    ({"reason": "x" * 201}, "say why"),
    ({"reason": "the member moved out of Dormitory  a today"}, "say it without"),
    ({"reason": "asked other@campus.example"}, "say it without"),
    ({"act": "keep"}, "released or void"),
)


def test_nothing_is_decided_without_a_nameless_reason_and_a_word(held_site):
    site = held_site
    for fields, words in NOT_FIT:
        answer = decide(site, **{"act": "void", **fields})
        assert answer.status_code == 400, fields
        assert words in answer.text.casefold(), fields
    with site.app.store.read() as session:
        assert session.get_one(Frame, site.held).disposition == "held"


def test_who_may_only_look_acts_on_nothing(held_site):
    site = held_site
    for role in (AUDITOR, AUTHORITY, MEMBER):
        for url in (f"/op/held/{site.held}", "/op/claims", "/op/members/list"):
            answer = send(site, url, role, act="void", reason="meter exchanged", confirm="yes")
            assert answer.status_code == 404, (role, url)
    foreign = site.client(OPERATOR).post(f"/op/held/{site.held}", data={"act": "void", "confirm": "yes"})
    assert foreign.status_code == 403, "without the form's own token"


def test_a_gap_is_shown_with_what_came_in_it(held_site, clock):
    site = held_site
    site.meter.interval_end += 4 * 900
    Collector(site.app).ingest(site.meter.next(), gateway="gw-1", meter=None, over="https")
    clock.now = site.meter.interval_end + 3600
    page = site.client(OPERATOR).get("/op/meters/gw-1/pv").text
    rows = re.findall(r"<tr><th scope=\"row\">.*?</tr>", page)
    assert len(rows) == 1, "one gap, and it is open: the readings after the held one are held too"
    assert f'href="/op/held/{site.held}"' in rows[0]
    assert "now" in rows[0]
    listed = site.client(OPERATOR).get("/op/meters").text
    assert "its last reading is of" in listed
    assert "2 held" in listed
    assert site.client(OPERATOR).get("/op/meters/gw-1/none").status_code == 404


# Enrolments


@pytest.fixture
def enrolling(app):
    """A site, and a gateway that has claimed, asked and proved."""
    with app.store.write() as session:
        plan.apply(session, plan.parse(PLAN), app.home, actor="operator", now=1, random=os.urandom)
    site = build(app, first_installation=7)
    page = site.client(OPERATOR).get("/op/enrolments").text
    once = re.search(r'name="once" value="([\w-]+)"', page)[1]
    answer = send(site, "/op/claims", gateway="gw-1", once=once)
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    code = re.search(r'<code class="long">(gw-1-[A-Z2-7]+-[A-Z2-7]+)</code>', answer.text)[1]
    site.once, site.claim_page = once, answer.text
    site.hand = GatewayHand(gateways_door(app, Collector(app), Live(app)).test_client(), code)
    site.enrolment = site.hand.ask().json["enrolment"]
    return site


def test_a_claim_is_shown_once_and_as_a_qr_code(enrolling):
    site = enrolling
    assert "<svg" in site.claim_page
    assert re.findall(r"<script(?! src)|\son\w+=|\sstyle=", site.claim_page) == []
    again = send(site, "/op/claims", gateway="gw-1", once=site.once)
    assert again.status_code == 409
    assert "shown once" in again.text
    assert send(site, "/op/claims", gateway="gw-1").status_code == 409, "a form of nobody's"
    assert send(site, "/op/claims", gateway="gw-9", once="another").status_code == 404
    with site.app.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Claim)) == 1
    (logged,) = acts(site.app, "claim_issued")
    assert logged.actor == site.people[OPERATOR].pseudonym


def approve(site, **fields):
    page = site.client(OPERATOR).get(f"/op/enrolments/{site.enrolment}").text
    seen = re.search(r'name="seen" value="(\w+)"', page)
    sent = {"act": "approve", "confirm": "yes", "seen": seen[1] if seen else "", **fields}
    return send(site, f"/op/enrolments/{site.enrolment}", **sent)


def test_an_enrolment_is_approved_as_it_was_looked_at(enrolling):
    site = enrolling
    assert approve(site).status_code == 409, "not proved yet"
    site.hand.prove(site.hand.ask().json)
    page = site.client(AUDITOR).get(f"/op/enrolments/{site.enrolment}").text
    for key in site.hand.keys.values():
        assert bytes(key.pubkey()).hex()[:16] in page
    assert "Approve</button>" not in page
    assert approve(site, confirm="").status_code == 400
    assert approve(site, seen="00").status_code == 409
    assert approve(site, seen="x").status_code == 409
    for _ in range(2):
        assert approve(site).status_code == 303
    assert len(acts(site.app, "approval_asked")) == 1
    assert "certificate is made within seconds" in site.client(OPERATOR).get(f"/op/enrolments/{site.enrolment}").text
    assert approvals.certify_asked(site.app) == ["gw-1"]
    (logged,) = acts(site.app, "gateway_approved")
    assert logged.actor == site.people[OPERATOR].pseudonym
    assert site.hand.show(site.enrolment).json["status"] == "approved"
    assert "its meters go to the chain" in site.client(OPERATOR).get("/op/enrolments").text
    late = send(site, f"/op/enrolments/{site.enrolment}", act="take-back")
    assert (late.status_code, "authority enrol" in late.text) == (409, False), "no command on a page"
    assert "Gw-1 has its certificate already. Whoever looks after the server does that" in late.text


def test_an_approval_lapses_where_the_gateway_asks_for_something_else(enrolling):
    site = enrolling
    site.hand.prove(site.hand.ask().json)
    approve(site)
    site.hand.maps["pv"] = meter_map("pv", ratio=[40, 1])
    site.hand.prove(site.hand.ask().json)
    assert approvals.certify_asked(site.app) == []
    page = site.client(OPERATOR).get(f"/op/enrolments/{site.enrolment}").text
    assert "look at it again" in page
    assert "Approve</button>" in page


def test_an_enrolment_is_refused_with_words_for_the_gateway(enrolling):
    site = enrolling
    site.hand.prove(site.hand.ask().json)
    approve(site)
    for _ in range(2):
        answer = send(
            site, f"/op/enrolments/{site.enrolment}", act="reject", reason="serial is of another house", confirm="yes"
        )
        assert answer.status_code == 303
    assert len(acts(site.app, "enrolment_rejected")) == 1
    assert site.hand.show(site.enrolment).json == {"status": "rejected", "reason": "serial is of another house"}
    assert approvals.certify_asked(site.app) == []
    with site.app.store.read() as session:
        assert session.get_one(Approval, site.enrolment).certified_at is None
        assert session.get_one(Gateway, "gw-1").certificate is None
    assert site.client(OPERATOR).get("/op/enrolments/unknown").status_code == 404
    assert send(site, "/op/enrolments/unknown", act="approve").status_code == 404


# Members

LIST = """id;login;name;member
t-1;ada@campus.example;Ada Lovelace;Dormitory A
t-2;alan@campus.example;Alan Turing;Dormitory B
"""


@pytest.fixture
def site(app):
    return build(app)


def agreed_of(text):
    return re.search(r'name="agreed" value="(\w+)"', text)[1]


def people(app):
    with app.store.read() as session:
        return {each.list_id: (each.login, each.name) for each in session.scalars(select(Person)) if each.list_id}


def test_a_list_is_tried_then_done_and_again_changes_nothing(site):
    tried = send(site, "/op/members/list", csv=LIST)
    assert "2 new, 0 changed, 0 as before, 0 wrong" in tried.text
    assert people(site.app) == {}
    done = send(site, "/op/members/list", csv=LIST, agreed=agreed_of(tried.text))
    links = re.findall(r"http://127.0.0.1:8000(/invite/[\w-]+)", done.text)
    assert len(set(links)) == 2
    assert done.text.count("<svg") == 2
    assert "Welcome, Ada Lovelace" in site.client().get(links[0]).text
    assert people(site.app) == {
        "t-1": ("ada@campus.example", "Ada Lovelace"),
        "t-2": ("alan@campus.example", "Alan Turing"),
    }
    before = leaves(site.app)
    twice = send(site, "/op/members/list", csv=LIST, agreed=agreed_of(tried.text))
    assert twice.status_code == 400
    again = send(site, "/op/members/list", csv=LIST)
    assert "0 new, 0 changed, 2 as before, 0 wrong" in again.text
    assert (
        "Everybody on the list is known already"
        in send(site, "/op/members/list", csv=LIST, agreed=agreed_of(again.text)).text
    )
    renamed = LIST.replace("Ada Lovelace", "Ada King")
    tried = send(site, "/op/members/list", csv=renamed)
    assert "0 new, 1 changed, 1 as before, 0 wrong" in tried.text
    assert (
        "Everybody on the list is known already"
        in send(site, "/op/members/list", csv=renamed, agreed=agreed_of(tried.text)).text
    )
    assert people(site.app)["t-1"] == ("ada@campus.example", "Ada King")
    assert [act.actor for act in acts(site.app, "person_invited")] == [site.people[OPERATOR].pseudonym] * 2
    assert len(acts(site.app, "person_changed")) == 1
    assert [word for word in (b"Ada", b"Turing", b"campus.example", b"t-1") if word in leaves(site.app)] == []
    assert before in leaves(site.app)


WRONG_ROWS = (
    ("t-3;x@campus.example;X;Dormitory Z", "no member"),
    ("t-3;;X;Dormitory A", "a login is"),
    (";x@campus.example;X;Dormitory A", "an id is"),
    ("t-1;x@campus.example;X;Dormitory A", "twice"),
    ("t-3;ADA@campus.example ;X;Dormitory A", "twice"),
    ("t-3;operator@campus.example;X;Dormitory A", "another role"),
    ("t-3;delegate@campus.example;X;Dormitory A", "another role"),
    ("t-3;member@campus.example;X;Dormitory B", "change that by command"),
)


def test_nothing_is_done_while_a_row_is_wrong(site):
    for line, words in WRONG_ROWS:
        tried = send(site, "/op/members/list", csv=LIST + line)
        assert "2 new, 0 changed, 0 as before, 1 wrong" in tried.text, line
        assert words in tried.text, line
        assert 'name="agreed"' not in tried.text, line
        assert send(site, "/op/members/list", csv=LIST + line, agreed="0" * 64).status_code == 400, line
    assert people(site.app) == {}


NO_LISTS = (
    ("", "choose a file, or type the list"),
    ("id,login,name\n1,a,b", "names the columns"),
    ("id,login,name,member", "1 to 500 rows"),
    ("id,login,name,member\n1,a", "has 2 columns"),
    ('id,login,name,member\n1,a,"b,c', "cannot be read as csv"),
    ("id,login,name,member\n" + "1,a,b,c\n" * 501, "1 to 500 rows"),
)


def test_what_is_no_list_is_refused_in_words(site):
    for text, words in NO_LISTS:
        answer = send(site, "/op/members/list", csv=text)
        assert answer.status_code == 400, text
        assert words in answer.text.casefold(), text


def test_a_list_comes_as_a_file_too(site):
    file = (io.BytesIO(b"\xef\xbb\xbf" + LIST.encode()), "members.csv")
    assert "2 new" in send(site, "/op/members/list", file=file, csv="").text
    spreadsheet = (io.BytesIO(("sep=;\n" + LIST).replace("\n", "\r\n").encode()), "members.csv")
    assert "2 new" in send(site, "/op/members/list", file=spreadsheet, csv="").text
    old = (io.BytesIO(LIST.replace("\n", "\r").encode()), "members.csv")
    assert "2 new" in send(site, "/op/members/list", file=old, csv="").text
    latin = (io.BytesIO(LIST.replace("Ada", "Ad\xe4").encode("latin-1")), "members.csv")
    assert "not in UTF-8" in send(site, "/op/members/list", file=latin, csv="").text
    for data, words in ((b"PK\x03\x04[Content_Types].xml", "save it as CSV UTF-8"), (b" \n", "this file is empty")):
        assert words.lower() in send(site, "/op/members/list", file=(io.BytesIO(data), "m.xlsx"), csv="").text.lower()
    large = (io.BytesIO(b"x" * 70_000), "members.csv")
    assert send(site, "/op/members/list", file=large, csv="").status_code == 413


def test_one_member_is_invited_and_gets_a_new_link_until_it_has_come_in(site):
    row = {"id": "t-9", "login": "grace@campus.example", "name": "Grace", "member": "Dormitory B"}
    first = send(site, "/op/members/invite", **row)
    link = re.search(r"(/invite/[\w-]+)", first.text)[1]
    assert "Everybody on the list is known already" in send(site, "/op/members/invite", **row).text
    assert "no member" in send(site, "/op/members/invite", **{**row, "id": "t-8", "login": "x", "member": "Z"}).text
    with site.app.store.read() as session:
        grace = session.scalar(select(Person).where(Person.list_id == "t-9"))
    page = site.client(OPERATOR).get("/op/members").text
    once = re.search(r'name="once" value="([\w-]+)"', page)[1]
    url = f"/op/members/{grace.pseudonym}/invitation"
    assert url in page
    second = re.search(r"(/invite/[\w-]+)", send(site, url, once=once).text)[1]
    assert send(site, url, once=once).status_code == 409
    assert site.client().get(link).status_code == 404, "the earlier link is void"
    accepted = site.client().post(second, data={"password": "violet kettle under seven"})
    assert accepted.status_code == 303
    late = send(site, url, once="another")
    assert (late.status_code, "has signed in before" in late.text) == (400, True)
    assert url not in site.client(OPERATOR).get("/op/members").text


def test_nobody_who_is_more_or_has_come_in_gets_a_link_from_the_pages(site):
    """A link opens the account of whom it names: so an operator could become the authority, or a member."""
    for role in (AUTHORITY, OPERATOR, AUDITOR, MEMBER, "other"):
        answer = send(site, f"/op/members/{site.people[role].pseudonym}/invitation", once=f"a form of {role}")
        assert answer.status_code == 400, role
        assert "/invite/" not in answer.text, role
    with site.app.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Invitation)) == 0


def test_a_member_who_lost_the_passkey_gets_a_new_link_by_mail_alone(app):
    settings = app.home.settings
    alerts = replace(settings.alerts, mail_from="bills@campus.example", smtp_host="127.0.0.1")
    app.home.save(replace(settings, alerts=alerts, web=replace(settings.web, origin="https://energy.campus.example")))
    made = build(app)
    client = made.flask.test_client()
    client.environ_base.update(HTTP_ORIGIN="https://energy.campus.example", HTTP_ACCEPT="text/html")
    client.set_cookie("__Host-campus", made.cookies[OPERATOR], domain="localhost", secure=True)

    def post(role, once, **fields):
        url = f"/op/members/{made.people[role].pseudonym}/invitation"
        return client.post(url, base_url="https://localhost", data=made.form(OPERATOR, once=once, **fields))

    page = client.get("/op/members", base_url="https://localhost").text
    assert "Mail it: a new link to The Member" in page
    assert "New link for The Member" not in page
    shown = post(MEMBER, "first")
    assert (shown.status_code, "have it mailed" in shown.text) == (400, True)
    mailed = post(MEMBER, "second", mail="yes")
    assert mailed.status_code == 200, mailed.text
    assert "/invite/" not in mailed.text
    assert post(AUTHORITY, "third", mail="yes").status_code == 400
    with app.store.read() as session:
        (row,) = session.scalars(select(InvitationMail)).all()
        assert (row.person_id, row.state) == (made.people[MEMBER].id, "waiting")
        assert row.asked_by == made.people[OPERATOR].pseudonym


def test_every_look_is_logged_by_pseudonym(held_site):
    site = held_site
    for url in ("/op", "/op/held", f"/op/held/{site.held}", "/op/enrolments", "/op/meters", "/op/accounts"):
        assert site.client(AUDITOR).get(url).status_code == 200, url
    read = [(act.actor, act.data["what"]) for act in acts(site.app, "data_read")]
    who = site.people[AUDITOR].pseudonym
    told = ("waiting", "held readings", "held readings", "enrolments", "meters", "accounts")
    assert read == [(who, what) for what in told], "of everybody's held readings, and of one member's"


def test_what_waits_leads_where_its_reader_may_look(held_site, clock):
    """A silent meter leads to that meter; what differs between books and chain to who sees it."""
    site = held_site
    clock.now += 3 * 3_600
    with site.app.store.write() as session:
        session.add(
            BooksComparison(
                started_at=clock.now, ended_at=clock.now, entries=1, figures=1, until_epoch=1, differences=2,
                found={"problems": []},
            )
        )  # fmt: skip
    for role in (OPERATOR, AUDITOR):
        _, client, _ = sign_in(site.app, site.flask, role)
        page = client.get("/op").text
        rows = {code: row for row in page.split("<li>") for code in re.findall(r"<code>(\w+)</code>", row)}
        where = {code: re.findall(r'<a href="([^"]*)"', row) for code, row in rows.items()}
        assert where["meter_silent"] == ["/op/meters/gw-1/pv"], where
        assert where["books_differ"] == ([] if role == OPERATOR else ["/audit"])
        assert "auditors see it at Audit, treasurers at Treasury" in rows["books_differ"]
        for (url,) in (each for each in where.values() if each):
            assert client.get(url).status_code == 200, url


def test_a_void_reading_is_released_after_all_until_a_later_one_is_on_its_way(held_site):
    site = held_site
    assert "until a later reading of its meter" in site.client(OPERATOR).get(f"/op/held/{site.held}").text
    assert decide(site, "after-all").status_code == 409, "it is not void"
    decide(site, "void")
    page = site.client(OPERATOR).get(f"/op/held/{site.held}").text
    assert "Release it after all</button>" in page
    assert "Release it after all</button>" not in site.client(AUDITOR).get(f"/op/held/{site.held}").text
    for _ in range(2):
        assert decide(site, "after-all", reason="the photo came").status_code == 303
    (released,) = acts(site.app, "reading_released")
    assert released.data["log_index"] == site.held
    with site.app.store.read() as session:
        assert gate.words_of(session, released) == "the photo came"
        frame = session.get_one(Frame, site.held)
        assert (frame.disposition, frame.resolution_log_index) == ("released", released.log_index)
    page = site.client(OPERATOR).get(f"/op/held/{site.held}").text
    assert "A release cannot be taken back" in page
    assert "<button name=" not in page.partition("<h1>")[2]


def test_a_void_reading_stays_void_once_a_later_one_is_on_its_way_to_the_chain(held_site):
    site = held_site
    decide(site, "void")
    Collector(site.app).ingest(site.meter.next(-50_000), gateway="gw-1", meter=None, over="https")
    with site.app.store.write() as session:
        later = session.scalars(select(Frame).where(Frame.log_index > site.held)).one()
        later.chain_status = "submitted"
    page = site.client(OPERATOR).get(f"/op/held/{site.held}").text
    assert "That is not possible any more" in page
    refused = decide(site, "after-all")
    assert (refused.status_code, "stays void" in refused.text) == (409, True)


def test_many_are_decided_together_by_cause_or_meter_and_what_came_since_waits(held_site, monkeypatch):
    site = held_site
    collector = Collector(site.app)
    for _ in range(2):
        collector.ingest(site.meter.next(), gateway="gw-1", meter=None, over="https")
    monkeypatch.setattr("authority.api.held.AT_ONCE", 2)
    page = site.client(OPERATOR).get("/op/held?code=exceeds_nameplate").text
    assert "3 readings wait for a decision" in page
    assert "Release all 3</button>" in page
    after = re.search(r'href="(/op/held\?[^"]*after=\d+[^"]*)"', page)[1].replace("&amp;", "&")
    assert len(re.findall(r'<th scope="row" class="right">', site.client(OPERATOR).get(after).text)) == 1
    last = re.search(r'name="last" value="(\d+)"', page)[1]
    collector.ingest(site.meter.next(), gateway="gw-1", meter=None, over="https")
    whole = {"act": "void", "reason": "the meter was exchanged", "confirm": "yes", "last": last, "meter": "gw-1/pv"}
    for wrong in ({"confirm": ""}, {"reason": ""}, {"act": "x"}, {"last": "x"}):
        assert send(site, "/op/held", **{**whole, **wrong}).status_code == 400, wrong
    assert send(site, "/op/held", **{**whole, "meter": "gw-1/none"}).status_code == 404
    assert send(site, "/op/held", AUDITOR, **whole).status_code == 404
    assert send(site, "/op/held", **whole).headers["Location"] == "/op/held"
    with site.app.store.read() as session:
        voided = [gate.words_of(session, act) for act in acts(site.app, "reading_voided")]
        assert voided == ["the meter was exchanged"] * 3
        assert [each.log_index > int(last) for each in held.held(session)] == [True]
