"""In which language a reader is answered: account, cookie, browser, site; and what stays as it is."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from zoneinfo import ZoneInfo

import axe
import pytest
from browser import CHROMIUM, Browser
from people_site import build
from pseudo_language import CODE, PSEUDO
from pypdf import PdfReader
from sample_campus import Source
from served import served
from sqlalchemy import select

from authority.api.feed import CampusFeed
from authority.api.gate import LOOPBACK_COOKIE
from authority.billing import paper
from authority.billing.mailing import Claimed as ClaimedBill
from authority.home.errors import HomeConfigError
from authority.home.home import Home
from authority.home.settings import BillingSettings, Settings, SiteSettings
from authority.language.reading import LANGUAGES, THAI, gettext, reading
from authority.monitoring import bill_mail, invitation_mail
from authority.people import passwords
from authority.people.invitation_mails import Claimed
from authority.people.roles import AUDITOR, AUTHORITY, MEMBER, OPERATOR, TREASURER
from authority.store.billing import IssuedBill
from authority.store.persons import Person
from authority.web import languages
from authority.web.application import create_app

COOKIE = languages.COOKIE
TODAY = {"en": "Today", "th": "วันนี้"}
PAGES = {
    None: ("/", "/login", "/market", "/market?view=month&table=1", "/help", "/privacy"),
    MEMBER: (
        "/me",
        "/me/energy?view=month",
        "/me/trading",
        "/me/money",
        "/me/wallet",
        "/me/bills",
        "/me/bills/1",
        "/account",
    ),
    OPERATOR: ("/op", "/op/meters", "/op/members"),
    TREASURER: ("/treasury", "/treasury/bills/1", "/treasury/payments", "/treasury/estimates"),
    AUDITOR: ("/audit", "/audit/log", "/approvals"),
    AUTHORITY: ("/approvals",),
}


@pytest.fixture
def store_url():
    return ""


@pytest.fixture
def site(app, clock, sample_month):
    clock.now += 17 * 3_600
    made = build(app)
    sample_month(made)
    return made


def of(answer):
    """The language that a page says it is in, and that it is in."""
    assert f'<html lang="{answer.headers["Content-Language"]}">' in answer.text
    return answer.headers["Content-Language"]


def test_the_account_comes_before_the_cookie_before_the_browser_before_the_site(site):
    client = site.client(MEMBER)
    assert of(client.get("/me")) == "en"
    client.environ_base["HTTP_ACCEPT_LANGUAGE"] = "th-TH, en;q=0.5"
    assert of(client.get("/me")) == THAI
    client.set_cookie(COOKIE, "en", domain="localhost")
    assert of(client.get("/me")) == "en"
    answer = client.post("/account/language", data=site.form(MEMBER, language=THAI, next="/me/bills"))
    assert (answer.status_code, answer.headers["Location"]) == (303, "/me/bills")
    client.set_cookie(COOKIE, "en", domain="localhost")
    page = client.get("/me")
    assert of(page) == THAI
    assert TODAY[THAI] in page.text
    assert f'<option value="{THAI}" lang="{THAI}" selected>' in client.get("/account").text
    with site.app.store.read() as session:
        assert session.get_one(Person, site.people[MEMBER].id).language == THAI
    client.post("/account/language", data=site.form(MEMBER, language="", next="/account"))
    client.set_cookie(COOKIE, "", domain="localhost")
    assert of(client.get("/me")) == THAI, "as the browser asks"


def test_the_sites_language_is_for_those_who_say_none(app):
    app.home.save(replace(app.home.settings, site=SiteSettings(language=THAI)))
    made = build(replace(app, home=Home.open(app.home.path)))
    assert of(made.client().get("/login")) == THAI
    assert of(made.client().get("/login", headers={"Accept-Language": "en"})) == "en"
    assert of(made.client().get("/login", headers={"Accept-Language": "de"})) == THAI


def test_a_site_cannot_have_a_language_that_is_not_there():
    with pytest.raises(HomeConfigError, match=r"\[site\] language is one of en, th, not 'tlh'"):
        Settings(site=SiteSettings(language="tlh")).check()


@pytest.mark.parametrize("value", ["tlh", "", "th" * 3_000, "th\x00", "../th", "TH "])
def test_odd_languages_are_as_good_as_none(site, value):
    client = site.client()
    client.set_cookie(COOKIE, value, domain="localhost")
    assert of(client.get("/login")) == "en"
    assert of(client.get("/login", headers={"Accept-Language": value.replace("\x00", "")[:500] or "x"})) in ("en", THAI)
    answer = client.get("/language", query_string={"language": value, "next": "/market"})
    assert answer.status_code == 303
    assert "language=;" in answer.headers["Set-Cookie"]


def test_the_switch_on_every_page_needs_no_script_and_leads_back(site):
    client = site.client()
    page = client.get("/market?view=month")
    assert '<form method="get" action="/language">' in page.text
    assert '<input type="hidden" name="next" value="/market?view=month">' in page.text
    answer = client.get("/language", query_string={"language": THAI, "next": "/market?view=month"})
    assert answer.headers["Location"] == "/market?view=month"
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(answer.headers["Set-Cookie"].split("; "))
    assert of(client.get("/market?view=month")) == THAI
    assert of(client.get("/")) == THAI
    assert of(client.get("/nothing")) == THAI
    for away in ("//evil.example", "https://evil.example", "/\\evil.example"):
        answer = client.get("/language", query_string={"language": THAI, "next": away})
        assert answer.headers["Location"] == "/"


def test_nobody_elses_page_changes_an_account(site):
    client = site.client(MEMBER)
    assert client.post("/account/language", data={"language": THAI}).status_code == 403
    client.environ_base["HTTP_ORIGIN"] = "https://evil.example"
    assert client.post("/account/language", data=site.form(MEMBER, language=THAI)).status_code == 403
    assert site.client().post("/account/language", data={"language": THAI}).status_code == 303
    with site.app.store.read() as session:
        assert set(session.scalars(select(Person.language))) == {None}


def test_signing_in_brings_the_accounts_language_to_the_browser(site):
    with site.app.store.write() as session:
        person = session.get_one(Person, site.people[MEMBER].id)
        person.language, person.password_hash = THAI, passwords.hashed("violet kettle under seven")
    client = site.client()
    answer = client.post("/login", data={"login": "member@campus.example", "password": "violet kettle under seven"})
    told = answer.headers.getlist("Set-Cookie")
    assert [each.partition("=")[0] for each in told] == [LOOPBACK_COOKIE, COOKIE]
    assert of(client.get("/market")) == THAI


def test_what_is_kept_of_a_page_is_kept_for_its_language(site):
    client = site.client()
    tags = {}
    for code in ("en", THAI):
        client.set_cookie(COOKIE, code, domain="localhost")
        answer = client.get("/market")
        assert {"Cookie", "Accept-Language"} <= set(answer.vary)
        tags[code] = answer.headers["ETag"]
    assert tags["en"] != tags[THAI]
    assert client.get("/market", headers={"If-None-Match": tags[THAI]}).status_code == 304
    assert client.get("/market", headers={"If-None-Match": tags["en"]}).status_code == 200


def test_programs_are_answered_in_english_whatever_they_ask_for(site):
    client = site.client(MEMBER)
    client.post("/account/language", data=site.form(MEMBER, language=THAI))
    headers = {"Accept-Language": "th", "Accept": "application/json"}
    assert client.get("/api/v1/me/bills/99", headers=headers).json["detail"] == "you have no bill 99"
    answer = client.get("/api/v1/me/energy?from=2026-01-02&to=2026-01-01", headers=headers)
    assert answer.json["detail"] == "the last day, 2026-01-01, lies before the first, 2026-01-02"
    assert re.search("[ก-๙]", client.get("/market/prices.csv", headers=headers).text) is None
    with reading(THAI):
        assert site.app.home.settings.site.language == "en"


def test_what_a_pages_script_asks_for_is_answered_to_its_reader(site):
    """The token of the page's forms says so; nobody else's page has it."""
    client = site.client(MEMBER)
    client.set_cookie(COOKIE, THAI, domain="localhost")
    ask = {"json": {"ticket": "x", "transaction": "x"}, "headers": {"X-Form-Token": site.form(MEMBER)["form_token"]}}
    told = client.post("/api/v1/me/transactions/submit", **ask)
    assert (told.status_code, told.json["code"]) == (409, "transaction_not_prepared")
    assert told.json["detail"].startswith("ข้อมูลธุรกรรมที่ส่งมาไม่ได้ออกโดยระบบนี้")
    ask["headers"]["X-Form-Token"] = "another"
    assert client.post("/api/v1/me/transactions/submit", **ask).status_code == 403


def test_errors_for_people_are_in_their_language(site):
    client = site.client(MEMBER)
    client.set_cookie(COOKIE, THAI, domain="localhost")
    told = client.get("/me/bills/99")
    assert (told.status_code, of(told)) == (404, THAI)
    assert "คุณไม่มีบิล 99" in told.text
    assert "you have no bill" not in told.text
    form = {"sell_at": "0.0x", "buy_at": "", "reserve": "", "feed_in": "", "act": "preview"}
    told = client.post("/me/trading", data=site.form(MEMBER, **form)).text
    assert "ขายที่: เขียนเป็นตัวเลข เช่น 0.25 ทศนิยมไม่เกิน 6 ตำแหน่ง" in told


def test_live_figures_come_in_the_language_of_the_page():
    source = Source()
    flask = create_app(source, feed=CampusFeed(source, interval=0.01))
    pages, streams = {}, {}
    for code in ("en", THAI, "en"):
        client = flask.test_client()
        client.set_cookie(COOKIE, code, domain="localhost")
        pages[code] = client.get("/", headers={"Accept": "text/html"}).text
        response = client.get("/live")
        for chunk in response.response:
            text = chunk.decode() if isinstance(chunk, bytes) else chunk
            if text.startswith("event: figures"):
                streams[code] = json.loads(text.split("data: ", 1)[1])["changed"]
                break
        response.close()
    assert pages["en"] != pages[THAI]
    assert streams["en"].keys() == streams[THAI].keys()
    verdict = "building-1-verdict"
    for code in ("en", THAI):
        assert streams[code][verdict]["html"] in pages[code]
    assert streams["en"][verdict] != streams[THAI][verdict]
    assert '"%(count)s min ago"' in pages[THAI], "what ticks in the browser has its words in the page"
    assert 'id="words"' not in pages["en"]


def bill_of(site):
    with site.app.store.read() as session:
        bill = session.scalars(select(IssuedBill)).one()
        session.expunge_all()
    return bill


def words(pdf):
    return " ".join("\n".join(page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages).split())


def test_a_bill_on_paper_is_in_its_readers_language_and_the_bill_stays_as_it_was_issued(site):
    client, before = site.client(MEMBER), bill_of(site)
    english = client.get("/me/bills/1.pdf").data
    client.set_cookie(COOKIE, THAI, domain="localhost")
    thai = client.get("/me/bills/1.pdf").data
    assert client.get("/me/bills/1.pdf").data == thai, "the same bytes each time"
    client.set_cookie(COOKIE, "en", domain="localhost")
    assert client.get("/me/bills/1.pdf").data == english
    after = bill_of(site)
    assert (before.document, before.sha256) == (after.document, after.sha256)
    root = PdfReader(io.BytesIO(thai)).trailer["/Root"]
    assert root["/Lang"] == THAI
    assert b"<pdfuaid:part>1</pdfuaid:part>" in root["/Metadata"].get_data()
    assert "?" not in words(thai), "every character has a font"
    for figure in ("6.36", "21.200 kWh", before.sha256.hex()[:16]):
        assert figure in words(thai)
    assert "Bill 1" in words(english)
    assert "บิล 1" in words(thai)
    assert len(thai) < 120_000


def alternatives(reader):
    """What a paper's pictures are in words."""
    objects = (reader.get_object(number) for number in range(1, reader.trailer["/Size"]))
    return [each["/Alt"] for each in objects if isinstance(each, dict) and "/Alt" in each]


def test_what_the_code_to_scan_on_paper_says_is_in_its_readers_language(site):
    """In the words beside it, and in those for who cannot see it."""
    billing = BillingSettings(currency="EUR", iban="DE89370400440532013000")
    for code, beside in (("en", "scans this SEPA code"), (THAI, "สแกน")):
        with reading(code):
            pdf = paper.bill_pdf(bill_of(site), "Dormitory A", "Campus", ZoneInfo("UTC"), billing)
            assert beside in words(pdf)
            instead = gettext("%(kind)s code of this payment", kind="SEPA")
            assert [alt for alt in alternatives(PdfReader(io.BytesIO(pdf))) if alt.startswith(instead)]


def test_mails_are_in_their_readers_language(site):
    app, bill = site.app, bill_of(site)
    home = replace(app.home.settings, alerts=replace(app.home.settings.alerts, mail_from="energy@campus.example"))
    app.home.save(home)
    app = replace(app, home=Home.open(app.home.path))
    for code, subject, said in ((THAI, "บิลค่าพลังงาน 1", "แนบบิลค่าพลังงาน 1"), (None, "energy bill 1", "is attached")):
        mail = bill_mail.letter(app, ClaimedBill(1, 1, bill, "Ada", "ada@campus.example", "Dormitory A", code))
        text, attached = mail.iter_parts()
        assert mail["Subject"].endswith(subject)
        assert said in text.get_content()
        assert ("บิล 1" in words(attached.get_content())) == (code == THAI)
        mail = invitation_mail.letter(app, Claimed(1, 1, 0, "Ada", "ada@campus.example", code), "s3cret", app.clock())
        assert "/invite/s3cret" in mail.get_content()
        assert ("คำเชิญ" in mail["Subject"]) == (code == THAI)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
@pytest.mark.parametrize("code", [THAI, CODE])
def test_pages_in_other_languages_fit_and_are_accessible(site, tmp_path, monkeypatch, code):
    """Thai, and sentences longer by half, at 390 px and at 1280."""
    if code == CODE:
        monkeypatch.setitem(LANGUAGES, CODE, PSEUDO)
    faults = []
    with served(site.flask) as address, Browser(tmp_path / "profile") as browser:
        for role, urls in PAGES.items():
            for place, url in enumerate(urls):
                for width, dark in axe.looks(place) if code == THAI else ((390, False),):
                    browser.emulate(width, 900, dark=dark)
                    browser.sign_out()
                    browser.set_cookie(COOKIE, code, address)
                    if role is not None:
                        browser.sign_in(site.cookies[role], address)
                    browser.open(address + url)
                    assert browser.evaluate("document.documentElement.lang") == code
                    wide = ["wider than the screen"] if axe.is_wide(browser) else []
                    faults += [(url, width, fault) for fault in (axe.faults(browser) if code == THAI else wide)]
                    name = url.strip("/").replace("/", "-").partition("?")[0] or "campus"
                    axe.picture(browser, f"{code}-{name}-{width}-{'dark' if dark else 'light'}")
        assert browser.messages == []
    assert faults == []
