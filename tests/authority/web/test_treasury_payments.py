"""A bank's statement on the treasurer's page: tried, booked, withdrawn; and what the member sees of it."""

from __future__ import annotations

import html
import io
import re
from dataclasses import replace

import axe
import pytest
from browser import CHROMIUM, Browser
from every_leaf import every_leaf
from people_site import build
from served import served
from sqlalchemy import select

from authority.billing.money import reference_of, spaced
from authority.home.home import Home
from authority.home.settings import BillingSettings
from authority.people.roles import DELEGATE, MEMBER, OPERATOR, TREASURER
from authority.store.billing import BillPayment
from authority.store.log import Act

URL, PAYOUTS = "/treasury/payments", "/treasury/payouts"


@pytest.fixture
def store_url():
    return ""


@pytest.fixture
def site(app, sample_month):
    app.home.save(replace(app.home.settings, billing=BillingSettings(currency="EUR", iban="DE89370400440532013000")))
    made = build(replace(app, home=Home.open(app.home.path)))
    sample_month(made)
    return made


def statement(site, amount="2,36"):
    reference = spaced(reference_of(site.app.home.network_id, 1))
    return f"id;date;amount;text\nT{amount};28.11.2026;{amount};{reference} Ada\nT2;28.11.2026;4,00;Zoë <b>\n".encode()


def text(answer):
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", answer.text)).split())


def hidden(answer, name):
    return html.unescape(re.search(rf'name="{name}" value="([^"]*)"', answer.text)[1])


def post(site, status, url=URL, **fields):
    if isinstance(fields.get("file"), bytes):
        fields["file"] = (io.BytesIO(fields["file"]), "statement.csv")
    answer = site.client(TREASURER).post(url, data=site.form(TREASURER, **fields), content_type="multipart/form-data")
    assert answer.status_code == status, text(answer)
    return answer


def agreed(answer):
    return {"act": "save", "csv": hidden(answer, "csv"), "seen": hidden(answer, "seen")}


def test_a_statement_is_tried_booked_once_and_shown_to_member_and_treasurer(site):
    treasurer, member = site.client(TREASURER), site.client(MEMBER)
    assert "6.36 EUR left of 6.36 EUR" in text(treasurer.get(URL))
    assert "open" in text(member.get("/me/bills"))
    tried = post(site, 200, act="try", file=statement(site))
    assert "bill 1, Dormitory A: part paid, 4.00 EUR left" in text(tried)
    assert "Zoë <b>" in text(tried)
    assert "Nothing is booked yet" in text(tried)
    assert payments(site) == []
    assert "something else than was shown" in text(post(site, 409, **{**agreed(tried), "seen": "x"}))
    again = post(site, 200, act="try", csv=hidden(tried, "csv"), **{"bill-3": "1"})
    assert "2 to be booked, 6.36 EUR together" in text(again)
    for _ in range(2):
        answer = post(site, 303 if not payments(site) else 409, **agreed(again), **{"bill-3": "1"})
    assert "something else than was shown" in text(answer)
    assert payments(site) == [2_360_000, 4_000_000]
    assert "None: every bill is settled." in text(treasurer.get(URL))
    assert "paid" in text(treasurer.get("/treasury/periods/0"))
    page = text(member.get("/me/bills/1"))
    assert f"6.36 EUR, with the reference {spaced(reference_of(site.app.home.network_id, 1))}" in page
    assert "Paid so far: 6.36 EUR. Paid." in page
    told = member.get("/api/v1/me/bills").json["bills"][0]
    assert (told["paid_micro_credits"], told["payment_state"]) == (6_360_000, "paid")
    with site.app.store.read() as session:
        actors = set(session.scalars(select(Act.actor).where(Act.kind == "payment_booked")))
    assert actors == {site.people[TREASURER].pseudonym}


def payments(site):
    with site.app.store.read() as session:
        return list(session.scalars(select(BillPayment.amount).order_by(BillPayment.log_index)))


def test_one_that_was_booked_in_error_is_withdrawn_with_a_reason_that_names_nobody(site):
    post(site, 303, **agreed(post(site, 200, act="try", file=statement(site))))
    with site.app.store.read() as session:
        leaf = session.scalars(select(BillPayment.log_index)).one()
    url = f"/treasury/bills/1/payments/{leaf}"
    assert "Say why" in text(post(site, 409, url, reason=" "))
    assert "Dormitory A" in text(post(site, 400, url, reason="it was for Dormitory A"))
    post(site, 404, f"/treasury/bills/1/payments/{leaf + 1}", reason="x")
    for _ in range(2):
        post(site, 303, url, reason="the wrong bill")
    assert "withdrawn, so it does not count" in text(site.client(TREASURER).get("/treasury/bills/1"))
    assert "Paid so far: 0.00 EUR. Open." in text(site.client(MEMBER).get("/me/bills/1"))
    for role in (MEMBER, OPERATOR):
        assert site.client(role).post(url, data=site.form(role, reason="x")).status_code == 404


def test_a_file_that_cannot_be_read_books_nothing_and_says_where(site):
    for file, words in (
        (b"", "this file is empty"),
        (b"a;b\n1;2\n", "no line names the columns 'id', 'date', 'amount', 'text'"),
        (b"id;date;amount;text\nT1;28.11.2026;1,2345;x\n", "line 2: '1,2345' is not an amount"),
    ):
        assert words in text(post(site, 409, act="save", file=file, seen="x")).lower().replace("&#39;", "'")
    post(site, 409, act="save", csv=statement(site).decode(), seen="x", **{"bill-3": "one"})
    post(site, 413, act="try", file=b"x" * 70_000)
    assert payments(site) == []


def test_without_a_currency_nothing_is_taken_in(app, sample_month):
    site = build(app)
    sample_month(site)
    assert "settings name no currency" in text(site.client(TREASURER).get(URL))
    assert "currency" in text(post(site, 409, act="try", file=statement(site)))
    assert "reference" not in text(site.client(MEMBER).get("/me/bills/1"))


def name_account(site, status=303, role=MEMBER, **fields):
    given = {"holder": "Ada Müller", "number": "AT61 1904 3002 3457 3201", "bank": "", "act": "save", **fields}
    answer = site.client(role).post("/me/payout", data=site.form(role, **given))
    assert answer.status_code == status, text(answer)
    return text(answer)


def overpay(site):
    post(site, 303, **agreed(post(site, 200, act="try", file=statement(site, "9,99"))))


def test_a_member_names_its_account_and_the_treasurer_makes_the_file(site):
    treasurer = site.client(TREASURER)
    assert "Nothing." in text(treasurer.get(PAYOUTS))
    overpay(site)
    assert "no account named" in text(treasurer.get(PAYOUTS))
    assert "Where you are paid" in text(site.client(MEMBER).get("/me/bills"))
    assert "Where you are paid" not in text(site.client(DELEGATE).get("/me/bills"))
    name_account(site, 404, DELEGATE)
    assert "this IBAN is wrong" in name_account(site, 409, number="AT61 1904 3002 3457 3202").replace("This", "this")
    name_account(site)
    assert "AT61" in text(site.client(MEMBER).get("/me/payout"))
    assert "1904" not in site.client(MEMBER).get("/me/payout").text
    page = treasurer.get(PAYOUTS)
    assert "3.63 EUR to Dormitory A, bill 1" in text(page)
    assert "1904" not in page.text
    order = {"owed": re.search(r'name="owed" value="([^"]+)"', page.text)[1], "act": "order"}
    assert "Look at it again" in text(post(site, 409, PAYOUTS, **{**order, "owed": "bill-1:1"})).replace("look", "Look")
    assert "tick what" in text(post(site, 409, PAYOUTS, **{**order, "owed": "bill-1"})).lower()
    assert "nothing is owed" in text(post(site, 409, PAYOUTS, act="order")).lower()
    post(site, 303, PAYOUTS, **order)
    post(site, 409, PAYOUTS, **order)
    file = treasurer.get(f"{PAYOUTS}/1")
    assert (file.content_type, file.headers["Cache-Control"]) == ("application/xml", "no-store")
    assert file.headers["Content-Disposition"] == 'attachment; filename="payments-1.xml"'
    assert "<IBAN>AT611904300234573201</IBAN>" in file.text
    assert "Ada Mueller" in file.text
    assert site.client(OPERATOR).get(f"{PAYOUTS}/1").status_code == 404
    for _ in range(2):
        post(site, 303, f"{PAYOUTS}/1/cancel")
    assert treasurer.get(f"{PAYOUTS}/1").status_code == 404
    assert "File 1 : 1 payment, 3.63 EUR: cancelled" in text(treasurer.get(PAYOUTS))
    post(site, 303, PAYOUTS, **{**order, "act": "otherwise"})
    assert "Paid in another way : 1 payment" in text(treasurer.get(PAYOUTS))
    name_account(site, act="forget")
    assert "You have not named an account yet" in text(site.client(MEMBER).get("/me/payout"))
    with site.app.store.read() as session:
        leaves = every_leaf(session)
        acts = session.scalars(select(Act.kind).where(Act.kind.like("payout%")).order_by(Act.log_index)).all()
    assert acts == [
        "payout_account_set",
        "payout_ordered",
        "payout_cancelled",
        "payout_ordered",
        "payout_account_removed",
    ]
    assert [word for word in (b"AT611904", b"00234573201", b"Ada M") if word in leaves] == []


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
def test_the_pages_fit_and_are_accessible(site, tmp_path):
    faults = []
    with served(site.flask) as address, Browser(tmp_path / "profile") as browser:

        def judge(name, place):
            browser.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
            faults.extend((name, fault) for fault in axe.faults(browser))
            for width, dark in axe.looks(place):
                browser.emulate(width, 900, dark=dark)
                axe.picture(browser, f"{name}-{width}-{'dark' if dark else 'light'}")

        browser.sign_in(site.cookies[TREASURER], address)
        browser.open(address + URL)
        (tmp_path / "statement.csv").write_bytes(statement(site))
        upload(browser, tmp_path / "statement.csv")
        browser.until("document.body.textContent.includes('Nothing is booked yet')")
        judge("treasury-payments-tried", 0)
        browser.evaluate("document.querySelector('button[value=save]').click(); null")
        browser.until(
            "document.body.textContent.includes('Payments that came in') && !document.getElementById('tried-title')"
        )
        for place, (name, url) in enumerate((("treasury-payments", URL), ("treasury-bill-paid", "/treasury/bills/1"))):
            browser.open(address + url)
            judge(name, place + 1)
        browser.sign_in(site.cookies[MEMBER], address)
        pages = (("bill-paid", "/me/bills/1"), ("bills-paid", "/me/bills"), ("payout-account", "/me/payout"))
        for place, (name, url) in enumerate(pages):
            browser.open(address + url)
            judge(name, place + 1)
        name_account(site)
        overpay(site)
        browser.open(address + "/me/payout")
        judge("payout-account-kept", 3)
        browser.sign_in(site.cookies[TREASURER], address)
        browser.open(address + PAYOUTS)
        judge("treasury-payouts-owed", 0)
        browser.evaluate("document.querySelector('button[value=order]').click(); null")
        browser.until("document.body.textContent.includes('Download file 1')")
        judge("treasury-payouts", 1)
    assert faults == []


def upload(browser, path):
    """Choose the file as a person does, and press the button."""
    content = path.read_text(encoding="utf-8")
    browser.evaluate(
        "const list = new DataTransfer();"
        f"list.items.add(new File([{content!r}], 'statement.csv'));"
        "document.getElementById('file').files = list.files;"
        "document.getElementById('file').form.querySelector('button').click(); null"
    )
