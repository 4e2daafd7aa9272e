"""The treasurer's pages over the real programs: what is missing, close, issue, bills, corrections."""

from __future__ import annotations

import html
import io
import itertools
import os
import re
import threading

import axe
import pytest
from billing_campus import GRACE_EPOCHS, command_of, end_of_period, run_epochs
from browser import CHROMIUM, Browser
from campus_fixtures import make_campus
from people_site import sign_in
from pypdf import PdfReader
from sample_campus import Source
from served import served
from sqlalchemy import select

from authority.api.feed import CampusFeed
from authority.api.treasury import Treasury
from authority.billing import issuing, views
from authority.billing.errors import BillUnknownError
from authority.chain.client import ChainClient
from authority.figures import credits, kilowatt_hours
from authority.people.roles import MEMBER, TREASURER, Principal
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.log import Act
from authority.store.metering import Frame, held_back
from authority.web.application import People, create_app

__all__ = ["make_campus"]

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

PLAN = (
    ("A", "load", "load", "none", 0, 200_000_000, 0),
    ("D", "load", "load", "none", 0, 200_000_000, 0),
)


@pytest.fixture
def town(make_campus):
    made = make_campus(PLAN)
    made.STEPS = {"A.load": (0, 700), "D.load": (0, 1_000)}
    made.read_all(made.epoch * made.epoch_seconds)
    return made


@pytest.fixture
def ended(town):
    """The first period is over; D's meter was silent in its last two epochs, and is not settled to its end."""
    worker = town.worker()
    worker.settle_down()
    end = end_of_period(town)
    run_epochs(town, worker, end - 2)
    run_epochs(town, worker, end + GRACE_EPOCHS, but=("D.load",))
    return town


@pytest.fixture
def treasurer(town):
    return Browsing(town, TREASURER)


class Browsing:
    """The treasurer at a browser."""

    def __init__(self, town, role, url=None):
        source = Source()
        client = lambda: ChainClient(url or town.home.rpc_url, attempts=1, timeout=3)  # noqa: E731
        self.flask = create_app(source, feed=CampusFeed(source), people=People(town.app, client))
        self.person, self._client, self.form_token = sign_in(town.app, self.flask, role)

    @property
    def cookie(self):
        return self._client.get_cookie("campus-here", domain="localhost").value

    def get(self, url, status=200):
        answer = self._client.get(url)
        assert answer.status_code == status, (url, answer.status_code, text(answer))
        return answer

    def post(self, url, status=303, **fields):
        answer = self._client.post(url, data={"form_token": self.form_token, **fields})
        assert answer.status_code == status, (url, answer.status_code, text(answer))
        return answer


def text(answer):
    """What a page says, without its marks."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def seen(answer):
    return re.search(r'name="seen" value="(\w{64})"', answer.text)[1]


def acts(town, kind):
    with town.app.store.read() as session:
        return [(act.actor, act.data) for act in session.scalars(select(Act).where(Act.kind == kind))]


def bills(town):
    with town.app.store.read() as session:
        return list(session.scalars(select(IssuedBill).order_by(IssuedBill.number)))


def test_a_period_is_looked_at_closed_and_issued_once(ended, treasurer, capsys):
    billing = command_of(ended, capsys)
    a_preview_has_each_members_lines(ended, treasurer, billing)
    nobody_else_changes_anything(ended)
    with ended.app.store.read() as session:
        assert session.scalars(select(BillingPeriod)).all() == []
    front = text(treasurer.get("/treasury"))
    assert "Period 0 waits to be closed" in front
    assert "D is settled up to" in front
    assert "gw_d/load was last read for" in front
    assert "No reading is held back" in front
    before = treasurer.get("/treasury/periods/0")
    assert "Close the period" in text(before)

    looked = treasurer.get("/treasury/periods/0/close")
    told = text(treasurer.post("/treasury/periods/0/close", 409, seen=seen(looked)))
    assert "Say that you close the period though something is missing" in told
    told = text(treasurer.post("/treasury/periods/0/close", 409, seen="0" * 64, with_gaps="yes"))
    assert "Something has changed since you looked at it" in told
    assert acts(ended, "billing_period_closed") == []
    for _ in range(2):
        treasurer.post("/treasury/periods/0/close", seen=seen(looked), with_gaps="yes")
    ((actor, data),) = acts(ended, "billing_period_closed")
    assert (actor, data["period"]) == (treasurer.person.pseudonym, 0)
    assert "Closed on" in text(treasurer.get("/treasury/periods/0"))
    assert treasurer.get("/treasury/periods/0/close", 303)

    looked = treasurer.get("/treasury/periods/0/issue")
    treasurer.post("/treasury/periods/0/issue", 409, seen="0" * 64)
    assert bills(ended) == []
    for _ in range(2):
        treasurer.post("/treasury/periods/0/issue", seen=seen(looked))
    issued = bills(ended)
    assert [bill.number for bill in issued] == [1, 2]
    assert {actor for actor, _ in acts(ended, "bill_issued")} == {treasurer.person.pseudonym}
    assert "Nothing waits for you" in text(treasurer.get("/treasury"))

    # the same bills and figures as the command's, and the chain is not asked for what is issued
    shown = billing("show", "D")[0]
    away = Browsing(ended, TREASURER, "http://127.0.0.1:9")
    page = text(away.get("/treasury/periods/0"))
    for bill in issued:
        assert credits(bill.due) in page
    assert credits(sum(bill.due for bill in issued)) in page
    page = text(away.get(f"/treasury/bills/{shown['number']}"))
    for line in shown["lines"]:
        assert kilowatt_hours(line["wh"]) in page
        assert credits(line["amount"]) in page or not line["amount"]
    paper = PdfReader(io.BytesIO(away.get(f"/treasury/bills/{shown['number']}.pdf").data)).pages[0].extract_text()
    for line in shown["lines"]:
        assert kilowatt_hours(line["wh"]) in paper
        assert credits(line["amount"]) in paper or not line["amount"]
    assert f"Due {credits(shown['due'])}" in paper
    assert "validator does not answer" in text(away.get("/treasury"))
    assert text(away.get("/treasury/periods/1", 503))
    exported = away.get("/treasury/periods/0.csv").text.splitlines()
    assert len(exported) == 1 + sum(len(billing("show", name)[0]["lines"]) for name in ("A", "D"))
    away.get("/treasury/bills/9", 404)
    treasurer.get("/treasury/periods/9", 404)


def a_preview_has_each_members_lines(town, treasurer, billing):
    wallet = str(town.wallets["D"])
    page = text(treasurer.get(f"/treasury/periods/0/members/{wallet}"))
    (document,) = billing("preview", "--period", 0, "--member", "D")
    for line in document["lines"]:
        assert credits(line["amount"]) in page or not line["amount"]
    treasurer.get("/treasury/periods/0/members/nobody", 404)
    subjects = {data["subject"] for _, data in acts(town, "data_read")}
    assert subjects == {wallet}, "whose bill was read is in the log, and not what somebody typed into an address"
    assert "comes to so far" in text(treasurer.get(f"/treasury/periods/1/members/{town.wallets['A']}"))


def nobody_else_changes_anything(town):
    member = Browsing(town, MEMBER)
    for url in ("/treasury/periods/0/close", "/treasury/periods/0/issue", "/treasury/bills/1"):
        member.post(url, 404, seen="x")


def test_the_bills_are_made_once_until_something_changes(ended, capsys):
    treasury = Treasury(ended.app, lambda: ChainClient(ended.home.rpc_url, attempts=1, timeout=3))
    first = treasury.review(0)
    assert treasury.review(0).drafts is first.drafts
    meter = ended.meters["D.load"]
    ended.receive("D.load", meter.sign(ended.epoch * ended.epoch_seconds), "held")
    assert treasury.review(0).drafts is first.drafts  # it is of a later period
    end = first.period.end_epoch * ended.epoch_seconds
    with ended.app.store.write() as session:
        session.scalars(select(Frame).order_by(Frame.log_index.desc()).limit(1)).one().interval_end = end
    again = treasury.review(0)
    assert again.drafts is not first.drafts
    assert again.drafts == first.drafts
    with ended.app.store.write() as session:  # as many are held as before, but another one
        held = session.scalars(select(Frame).where(held_back(Frame))).one()
        taken = session.scalars(select(Frame).where(Frame.disposition == "accepted", Frame.interval_end == end)).first()
        held.disposition, taken.disposition = taken.disposition, held.disposition
    assert treasury.review(0).drafts is not again.drafts
    dead = first.period.end_epoch - 2
    command_of(ended, capsys)(
        "estimate", "add", "D", "--meter", "gw_d/load", "--first-epoch", dead, "--end-epoch", dead + 1, "--wh", 5,
        "--reason", "dead",
    )  # fmt: skip
    changed = treasury.review(0)
    assert changed.drafts != first.drafts
    assert changed.seen != again.seen
    treasurer = Principal(1, "person-1", "T", frozenset({TREASURER}), None, "s")
    treasury.close(treasurer, 0, changed.seen, with_gaps=True)
    closed = treasury.review(0)
    assert closed.drafts is changed.drafts  # nothing but the closing was logged
    treasury.issue(treasurer, 0, closed.seen)
    issued = treasury.review(0)
    fresh = {bill.member: bill for bill in issuing.preview(ended.app, issuing.open_book(ended.app, ended.client), 0)}
    with ended.app.store.read() as session:
        for bill in views.issued_in(session, 0):
            assert bill.document == fresh[bill.wallet].document(bill.number, ended.app.home.network_id)
            assert bill.due == fresh[bill.wallet].due
    assert [each.number for each in issued.bills] == [1, 2]
    assert issued.totals == closed.totals


def test_bills_that_take_long_are_made_while_the_page_looks_again(ended, treasurer, monkeypatch):
    go_on, preview, faults = threading.Event(), issuing.preview, ["the store is away"]

    def slowly(*args):
        bills = preview(*args)
        yield next(bills)
        assert go_on.wait(60)
        if faults:
            raise BillUnknownError(faults.pop())
        yield from bills

    monkeypatch.setattr(issuing, "preview", slowly)
    monkeypatch.setattr("authority.api.treasury.PATIENCE_SECONDS", 60)
    go_on.set()
    assert "The store is away" in html.unescape(treasurer.get("/treasury/periods/0", 404).text)
    go_on.clear()  # whoever asks next tries again
    monkeypatch.setattr("authority.api.treasury.PATIENCE_SECONDS", 0.05)
    answer = treasurer.get("/treasury/periods/0", 503)
    assert (answer.status_code, answer.headers["Refresh"], answer.headers["Retry-After"]) == (503, "2", "2")
    text_ = html.unescape(answer.text)
    assert "The bills of period 0 are being made, those of " in text_
    assert " of 2 members so far" in text_
    monkeypatch.setattr("authority.api.treasury.PATIENCE_SECONDS", 60)
    go_on.set()
    assert "Bills as they will be" in treasurer.get("/treasury/periods/0").text


def test_what_is_entered_while_a_period_is_closed_is_on_its_bills(ended, capsys, monkeypatch):
    """The bills that were looked at are not those of the closed period, where something came between."""
    treasury = Treasury(ended.app, lambda: ChainClient(ended.home.rpc_url, attempts=1, timeout=3))
    seen = treasury.review(0)
    dead = seen.period.end_epoch - 2
    close = issuing.close

    def close_late(*args, **named):
        command_of(ended, capsys)(
            "estimate", "add", "D", "--meter", "gw_d/load", "--first-epoch", dead, "--end-epoch", dead + 1, "--wh", 5,
            "--reason", "dead",
        )  # fmt: skip
        return close(*args, **named)

    monkeypatch.setattr(issuing, "close", close_late)
    treasury.close(Principal(1, "person-1", "T", frozenset({TREASURER}), None, "s"), 0, seen.seen, with_gaps=True)
    closed = treasury.review(0)
    assert closed.totals.estimated_wh == 5
    assert closed.drafts != seen.drafts


def test_a_correction_is_previewed_entered_once_and_carried_by_the_next_bill(ended, treasurer, capsys):
    billing = command_of(ended, capsys)
    billing("close", 0, "--with-gaps")
    billing("issue", 0)
    number = next(bill.number for bill in bills(ended) if bill.wallet == str(ended.wallets["D"]))
    original = bills(ended)[number - 1].document
    url = f"/treasury/bills/{number}"
    good = {"line": "2", "amount": "0,25", "way": "less", "reason": "the lift was billed to the wrong flat"}
    for wrong, words in (
        ({"line": "99"}, "choose the line"),
        ({"amount": "0"}, "more than 0"),
        ({"amount": "1.2345678"}, "6 decimals"),
        ({"way": ""}, "more or less"),
        ({"reason": "  "}, "say why"),
        ({"reason": "x" * 201}, "say why"),
    ):
        assert words in text(treasurer.post(url, 409, act="save", **{**good, **wrong})).lower()
    told = text(treasurer.post(url, 200, act="preview", **good))
    assert f"corrected by {credits(-250_000)} credits : D pays that less" in told
    assert acts(ended, "bill_corrected") == []
    for _ in range(2):
        treasurer.post(url, act="save", **good)
    ((actor, data),) = acts(ended, "bill_corrected")
    assert (actor, data["amount"], data["line"]) == (treasurer.person.pseudonym, -250_000, 2)
    page = text(treasurer.get(url))
    assert f"{number}/1 Line 2: the lift was billed to the wrong flat" in page
    assert f"{credits(-250_000)} the next bill" in page
    assert bills(ended)[number - 1].document == original

    worker = ended.worker()
    run_epochs(ended, worker, end_of_period(ended) + GRACE_EPOCHS)
    billing("close", 1, "--with-gaps")
    billing("issue", 1)
    (later,) = [bill for bill in bills(ended) if bill.period == 1 and bill.wallet == str(ended.wallets["D"])]
    assert f"bill {later.number}" in text(treasurer.get(url))
    page = text(treasurer.get(f"/treasury/bills/{later.number}"))
    assert f"Correction of bill {number}, line 2" in page
    assert credits(-250_000) in page


def test_an_estimate_is_previewed_entered_billed_and_taken_back(ended, treasurer, capsys):
    billing, url = command_of(ended, capsys), "/treasury/estimates"
    link = re.search(r'href="(/treasury/estimates\?meter=gw_d[^"]+)"', treasurer.get("/treasury").text)[1]
    page = treasurer.get(html.unescape(link)).text
    assert re.search(r'<option value="gw_d/load" selected>', page), "the silent meter is chosen already"
    since, until = (
        re.search(rf'id="{name}" name="{name}" [^>]*value="([^"]+)"', page)[1] for name in ("since", "until")
    )
    good = {"meter": "gw_d/load", "since": since, "until": until, "energy": "0,75", "reason": "meter dead"}
    for wrong, words in (
        ({"meter": ""}, "choose the meter"),
        ({"meter": "gw_d/x"}, "no such meter"),
        ({"since": until, "until": since}, "begins before it ends"),
        ({"since": "now"}, "as a date and a time"),
        ({"until": "9999-12-31T23:59"}, "a year at most"),
        ({"energy": "0"}, "more than 0"),
        ({"energy": "0.0001"}, "3 decimals"),
        ({"reason": ""}, "say why"),
    ):
        assert words in text(treasurer.post(url, 409, act="save", **{**good, **wrong})).lower()
    assert f"{kilowatt_hours(750)} for " in text(treasurer.post(url, 200, act="preview", **good))
    assert acts(ended, "consumption_estimated") == []
    for _ in range(2):
        treasurer.post(url, act="save", **good)
    ((actor, data),) = acts(ended, "consumption_estimated")
    assert (actor, data["wh"], data["wallet"]) == (treasurer.person.pseudonym, 750, str(ended.wallets["D"]))
    (listed,) = billing("estimate", "list")
    assert (listed["wh"], listed["first_epoch"], listed["end_epoch"]) == (750, data["first_epoch"], data["end_epoch"])
    billing("close", 0, "--with-gaps")
    billing("issue", 0)
    (line,) = [line for line in billing("show", "D")[0]["lines"] if line["kind"] == "estimate"]
    assert line["wh"] == 750
    back = f"{url}/{listed['estimate']}"
    assert "say why" in text(treasurer.post(back, 409, reason="")).lower()
    treasurer.post(f"{url}/1", 404, reason="x")
    for _ in range(2):
        treasurer.post(back, reason="measured after all")
    assert "taken back: measured after all" in text(treasurer.get(url))
    previewed = billing("preview", "--period", 1, "--member", "D")[0]["lines"]
    (returned,) = [line for line in previewed if line["kind"] == "estimate_withdrawn"]
    assert returned["amount"] == -line["amount"]


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
def test_the_pages_fit_and_are_accessible(ended, treasurer, capsys, tmp_path):
    faults = []
    pictures = "CAMPUS_PICTURES" in os.environ
    views = axe.LOOKS if pictures else ((390, False), (1280, True))

    def look(*urls):
        for url, (width, dark) in itertools.product(urls, views):
            browser.emulate(width, 900, dark=dark)
            browser.open(address + url)
            browser.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
            faults.extend((url, width, fault) for fault in axe.faults(browser))
            axe.picture(browser, f"{url[1:].replace('/', '-')}-{width}-{'dark' if dark else 'light'}")

    with served(treasurer.flask) as address, Browser(tmp_path / "profile") as browser:
        browser.sign_in(treasurer.cookie, address)
        wallet = ended.wallets["D"]
        look(
            "/treasury",
            "/treasury/credits",
            "/treasury/periods/0",
            "/treasury/periods/0/close",
            "/treasury/estimates?meter=gw_d/load",
            f"/treasury/periods/0/members/{wallet}",
        )
        billing = command_of(ended, capsys)
        billing("close", 0, "--with-gaps")
        look("/treasury/periods/0/issue")
        billing("issue", 0)
        billing("correct", 1, "--line", 2, "--amount", -250_000, "--reason", "the lift was billed to the wrong flat")
        look("/treasury/periods/0", "/treasury/bills/1", "/treasury/periods/0/mail")
    assert faults == []
