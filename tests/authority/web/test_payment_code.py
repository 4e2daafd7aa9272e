"""The code to scan on a member's bill: of what is still open, and none where nothing is or no code serves."""

from __future__ import annotations

import html
import re
from dataclasses import replace

import axe
import pytest
from browser import CHROMIUM, Browser
from people_site import build
from served import served

from authority.billing import payments
from authority.billing.money import reference_of, spaced
from authority.billing.payment_qr import payment_code
from authority.home.home import Home
from authority.home.settings import BillingSettings
from authority.people.roles import MEMBER

EUROS = BillingSettings(currency="EUR", iban="DE89370400440532013000")
BAHT = BillingSettings(currency="THB", promptpay="099400016550100")


@pytest.fixture
def store_url():
    return ""


@pytest.fixture
def open_site(app, sample_month):
    """A site with one open bill of 6.36, billed as the settings say."""

    def opened(billing):
        app.home.save(replace(app.home.settings, billing=billing))
        made = build(replace(app, home=Home.open(app.home.path)))
        sample_month(made)
        return made

    return opened


def shown(site):
    """The page's text, and the drawing of its code; None where there is none."""
    page = site.client(MEMBER).get("/me/bills/1").text
    drawing = re.search(r'<div class="qr"[^>]*>(<svg.*?</svg>)</div>', page, re.DOTALL)
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split()), drawing[1] if drawing else None


def code(site, billing, amount):
    organisation = site.app.home.settings.network.organisation
    return payment_code(billing, organisation, amount, reference_of(site.app.home.network_id, 1)).inline()


def pay(site, number, amount):
    reference = spaced(reference_of(site.app.home.network_id, 1))
    statement = f"id;date;amount;text\nT{number};28.11.2026;{amount};{reference}\n".encode()
    payments.take_in(site.app, statement, None, actor="person-1")


def test_it_is_of_what_is_still_open_and_goes_when_all_is_paid(open_site):
    site = open_site(EUROS)
    text, drawing = shown(site)
    assert drawing == code(site, EUROS, 6_360_000)
    assert "IBAN DE89 3704 0044 0532 0130 00 , 6.36 EUR, reference RF" in text
    pay(site, 1, "2,36")
    text, drawing = shown(site)
    assert drawing == code(site, EUROS, 4_000_000)
    assert "4.00 EUR, reference RF" in text
    pay(site, 2, "4,00")
    assert shown(site)[1] is None


def test_baht_have_the_thai_code_and_money_without_one_has_none(open_site):
    site = open_site(BAHT)
    text, drawing = shown(site)
    assert drawing == code(site, BAHT, 6_360_000)
    assert "biller 099400016550100 , 6.36 THB" in text


@pytest.mark.parametrize(
    "billing",
    [BillingSettings(currency="EUR"), BillingSettings(currency="USD", iban=EUROS.iban), BillingSettings()],
    ids=["no account", "dollars", "credits"],
)
def test_there_is_none_where_no_code_serves(open_site, billing):
    assert shown(open_site(billing))[1] is None


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("look", axe.LOOKS, ids=[f"{width}-{'dark' if dark else 'light'}" for width, dark in axe.LOOKS])
def test_the_page_is_sound_with_it(open_site, tmp_path, look):
    site = open_site(EUROS)
    with served(site.flask) as address, Browser(tmp_path) as browser:
        browser.emulate(look[0], 844, dark=look[1])
        browser.sign_in(site.cookies[MEMBER], address)
        browser.open(f"{address}/me/bills/1")
        axe.picture(browser, f"bill-to-pay-{look[0]}-{'dark' if look[1] else 'light'}")
        assert axe.faults(browser) == []
        assert browser.messages == []


def test_today_says_whether_the_last_bill_is_paid_and_money_to_which_account_credits_are_paid(open_site):
    site = open_site(EUROS)

    def text(path):
        return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", site.client(MEMBER).get(path).text)).split())

    assert "6.36 credits to pay. Open. Bill 1" in text("/me")
    pay(site, 1, "6,36")
    assert "6.36 credits to pay. Paid. Bill 1" in text("/me")
    told = text("/me/money")
    assert "for every EUR you get one credit." in told
    assert "The account is DE89 3704 0044 0532 0130 00" in told
    assert "credits for Dormitory A" in told
