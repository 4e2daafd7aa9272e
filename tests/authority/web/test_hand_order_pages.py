"""Trading by hand on the page and by the API, over a campus on a real validator, and in a real Chromium."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import axe
import pytest
from browser import CHROMIUM, Browser
from kwh_site import KwhSite, opened
from served import served

from authority.people.roles import AUDITOR

BUYER = "other"
"""Member C, who has credits."""
FORM = {"side": "bid", "quantity": "0.5", "price": "0.13"}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[KwhSite]:
    with opened(tmp_path, members="ABCD", trades=True) as found:
        yield found


def ask(site: KwhSite, path: str = "/me/trading", **fields: str) -> Any:
    client = site.client(BUYER)
    return client.post(path, data=site.form(BUYER, **fields)) if fields else client.get(path)


def key_of(page: Any) -> str:
    return str(re.findall(r'name="key" value="([^"]+)"', page.text)[0])


INSIDE = """(() => {
  const button = [...document.querySelectorAll("form[action$='/cancel'] button")].at(-1).getBoundingClientRect();
  const table = [...document.querySelectorAll(".scroll")].map(each => each.scrollWidth - each.clientWidth);
  return [button.width > 0 && button.left >= 0 && button.right <= window.innerWidth, Math.max(...table)];
})()"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
def test_an_open_order_is_taken_back_on_a_phone_without_pushing_its_table_aside(site: KwhSite, tmp_path: Path) -> None:
    ask(site, "/me/trading/orders", **FORM, act="place", key=key_of(ask(site)))
    site.campus.worker().settle_down()
    with served(site.flask) as address, Browser(tmp_path / "profile") as browser:
        browser.sign_in(site.cookies[BUYER], address)
        browser.emulate(390, 844, dark=False)
        for language in ("th", "en"):
            browser.open(f"{address}/language?language={language}&next=/help")
            browser.open(f"{address}/me/trading")
            assert browser.evaluate(INSIDE) == [True, 0], language


def test_a_member_previews_gives_and_takes_back_an_order_on_the_page(site: KwhSite) -> None:
    worker, page = site.campus.worker(), ask(site)
    assert "An order by hand" in page.text
    assert "Your standing order goes on as well" in page.text
    assert "Each sum is of at least 3 members" in page.text
    shown = ask(site, "/me/trading/orders", **FORM, act="preview", key="x")
    assert "Buy 0.500 kWh at 0.130 credits per kWh or less." in shown.text
    assert "credits at most, wheeling included" in shown.text
    assert "Nothing is ordered yet" in shown.text
    for wrong, words in (
        ({"price": "9"}, "A limit lies between"),
        ({"quantity": "x"}, "Energy: write a number"),
        ({"quantity": ""}, "Say whether you buy or sell"),
        ({"side": "ask", "quantity": "90"}, "You offer 90.000 kWh and have"),
    ):
        refused = ask(site, "/me/trading/orders", **{**FORM, **wrong}, act="place", key=key_of(page))
        assert refused.status_code in (400, 409), wrong
        assert words in refused.text
    for _ in range(2):  # the same form, sent twice
        answer = ask(site, "/me/trading/orders", **FORM, act="place", key=key_of(page))
        assert (answer.status_code, answer.headers["Location"]) == (303, "/me/trading#given-title")
    assert ask(site).text.count("waits to be carried out") == 1
    worker.settle_down()
    page = ask(site)
    assert page.text.count(">in the book<") == 1
    number = re.findall(r"/me/trading/orders/(\d+)/cancel", page.text)[-1]
    assert ask(site, f"/me/trading/orders/{number}/cancel", act="cancel").status_code == 303
    worker.settle_down()
    assert ">out of the book<" in ask(site).text
    gone = ask(site, f"/me/trading/orders/{number}/cancel", act="cancel")
    assert gone.status_code == 404
    assert f"You have no order {number} in this epoch&#39;s book." in gone.text
    assert "An order by hand" in gone.text
    assert site.client(AUDITOR).post("/me/trading/orders", data=site.form(AUDITOR, **FORM)).status_code == 404


def test_a_program_does_the_same(site: KwhSite) -> None:
    client, worker = site.client(BUYER), site.campus.worker()
    client.environ_base["HTTP_ACCEPT"] = "application/json"
    sent = {"X-Form-Token": site.form(BUYER)["form_token"]}
    order = {"side": "bid", "price_micro_credits_per_kwh": 130_000, "quantity_wh": 500}
    book = client.get("/api/v1/me/book").json
    assert book["epoch"] == site.campus.epoch
    assert book["least_wh"] < book["most_wh"]
    preview = client.post("/api/v1/me/orders/preview", json=order, headers=sent)
    assert preview.json["locks_micro_credits"] == preview.json["most_micro_credits"] > 0
    assert client.post("/api/v1/me/orders", json=order, headers=sent).status_code == 400
    keyed = {**sent, "Idempotency-Key": "program-1"}
    first = client.post("/api/v1/me/orders", json=order, headers=keyed)
    assert (first.status_code, first.json["state"]) == (202, "waiting")
    assert client.post("/api/v1/me/orders", json=order, headers=keyed).json == first.json
    other = client.post("/api/v1/me/orders", json={**order, "quantity_wh": 600}, headers=keyed)
    assert (other.status_code, other.json["code"]) == (422, "idempotency_key_reused")
    worker.settle_down()
    assert [each["state"] for each in client.get("/api/v1/me/orders/by-hand").json["orders"]] == ["placed"]
    mine = [
        each for each in client.get("/api/v1/me/orders").json["open"] if each["price_micro_credits_per_kwh"] == 130_000
    ]
    taken = client.delete(f"/api/v1/me/orders/{mine[0]['number']}", headers=sent)
    assert (taken.status_code, taken.json["act"]) == (202, "cancel")
    worker.settle_down()
    assert [each["state"] for each in client.get("/api/v1/me/orders/by-hand").json["orders"]] == [
        "taken_back",
        "placed",
    ]
    assert client.delete("/api/v1/me/orders/99", headers=sent).status_code == 404


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
def test_the_trading_page_is_accessible_and_fits(site: KwhSite, tmp_path: Path) -> None:
    answer = ask(site, "/me/trading/orders", **FORM, act="place", key=key_of(ask(site)))
    assert answer.status_code == 303
    site.campus.worker().settle_down()
    faults = []
    with served(site.flask) as address, Browser(tmp_path / "profile") as browser:
        browser.sign_in(site.cookies[BUYER], address)
        for dark in (False, True):
            for width, height in ((390, 844), (1280, 900)):
                browser.emulate(width, height, dark=dark)
                browser.open(f"{address}/me/trading")
                faults += [(width, dark, fault) for fault in axe.faults(browser)]
                axe.picture(browser, f"trading-by-hand-{width}-{'dark' if dark else 'light'}")
    assert faults == []
