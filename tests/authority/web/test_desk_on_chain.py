"""Tariffs, and the exchange of a meter, on the operator's pages over a real validator."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import axe
import pytest
from browser import CHROMIUM, Browser
from kwh_site import KwhSite, opened
from people_site import sign_in
from served import served
from sqlalchemy import select

from authority.governance import acts
from authority.operations import exchange
from authority.people import proposals
from authority.people.roles import AUDITOR, AUTHORITY, OPERATOR
from authority.store.log import Act
from authority.store.metering import Meter


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KwhSite]:
    with opened(tmp_path_factory.mktemp("campus"), epochs=2, members="ACD") as made:
        yield made


class Hand:
    """A person of a role at a browser of its own."""

    def __init__(self, site: KwhSite, role: str) -> None:
        self.person, self.client, self.token = sign_in(site.campus.app, site.flask, role)

    def get(self, url: str, status: int = 200) -> str:
        answer = self.client.get(url)
        assert answer.status_code == status, answer.text
        return unescape(answer.text)

    def post(self, url: str, status: int = 303, **fields: Any) -> Any:
        answer = self.client.post(url, data={"form_token": self.token, **fields})
        assert answer.status_code == status, answer.text
        return answer.headers["Location"] if status == 303 else unescape(answer.text)

    def approve(self, url: str) -> None:
        seen = re.search(r'name="seen" value="(\w+)"', self.get(url))
        assert seen
        self.post(url, act="approve", confirm="yes", seen=seen[1])


def carried_out(site: KwhSite, url: str) -> str:
    return proposals.carry_out(site.campus.app, url.rpartition("/")[2], site.campus.client).state


# Tariffs


def test_a_tariff_is_previewed_proposed_staged_and_taken_back(site: KwhSite) -> None:
    ada, grace, operator = Hand(site, AUTHORITY), Hand(site, AUTHORITY), Hand(site, OPERATOR)
    before = acts.read(site.campus.client).parameters["feed_in_price"]
    page = operator.get("/op/tariffs")
    assert "Nothing is staged: what holds now goes on." in page
    assert "Nothing was staged yet" in page
    spoken = unescape(re.sub(r"<[^>]*>", " ", page))
    assert "market fee, paid by sellers, now 1\N{NO-BREAK SPACE}%" in spoken
    assert not re.search(r"\b(bps|wh)\b", spoken), "a parameter is told by its code"
    fee = ada.get("/op/tariffs?preview=1&fee_bps=1.5")
    assert re.search("market fee, paid by sellers: 1 . 1.5 %", " ".join(re.sub("<[^>]*>", " ", unescape(fee)).split()))
    day = (datetime.fromtimestamp(site.campus.wall.now, UTC) + timedelta(days=3)).date()
    asked = f"?preview=1&feed_in_price=0.09&day={day}"
    tried = operator.get(f"/op/tariffs{asked}")
    assert f"From {day:%-d %b %Y}, 00:00 on" in tried
    assert "would be outside the new bounds" in tried
    assert "Propose this change" not in tried, "an operator tries, and does not propose"
    operator.post("/op/tariffs", 404, act="propose", feed_in_price="0.09", day=str(day), reason="new tariff")
    assert "Propose this change" in ada.get(f"/op/tariffs{asked}")
    past = day - timedelta(days=9)
    for query, words in (
        ("feed_in_price=9&retail_price=1", "the feed-in price must not be above the retail price"),
        ("fee_bps=100.5", "the market's fee is 100 per cent at most"),
        ("fee_bps=1000", "market fee, paid by sellers: 655.35\N{NO-BREAK SPACE}% at most"),
        ("min_order_wh=9&max_order_wh=1", "the least order must not be above the largest"),
        (f"feed_in_price=0.09&day={past}", "a change holds from "),
        ("feed_in_price=x", "write a number"),
        (f"feed_in_price=0.09&day={day.replace(year=day.year + 3)}", "at the latest"),
        ("day=soon", "choose the day"),
        ("", "say what is to change, such as the feed-in price"),
    ):
        answer = ada.client.get(f"/op/tariffs?preview=1&{query}")
        assert answer.status_code in (400, 409), query
        told = unescape(answer.text).lower()
        assert words in told, query
        shown = " ".join(re.sub("<[^>]*>", " ", told).split())
        assert not re.search("_price|_bps|_wh must|now is epoch", shown), shown[200:700]
    assert acts.read(site.campus.client).staged is None, "trying changes nothing"
    url = ada.post("/op/tariffs", act="propose", feed_in_price="0.09", day=str(day), reason="new tariff")
    assert "it waits for another person" in operator.get("/op/tariffs")
    assert 'value="approve"' not in ada.get(url), "the two-person rule as it stands"
    grace.approve(url)
    assert "authority approvals run" in operator.get("/op/tariffs")
    assert carried_out(site, url) == "done"
    staged = acts.read(site.campus.client)
    assert staged.staged is not None
    assert (staged.staged["feed_in_price"], staged.parameters["feed_in_price"]) == (90_000, before)
    page = operator.get("/op/tariffs")
    assert f"Something else holds from {day:%-d %b %Y}, 00:00 on" in page
    assert "to come" in page
    told = operator.client.get("/api/v1/tariffs").json
    assert told["staged_from"] == staged.staged_from
    assert [span["state"] for span in told["history"]] == ["to_come"]
    again = ada.post("/op/tariffs", act="cancel", reason="the grid keeps its tariff")
    assert "stays 0." in grace.get(again)
    grace.approve(again)
    assert carried_out(site, again) == "done"
    assert acts.read(site.campus.client).staged is None
    told = operator.client.get("/api/v1/tariffs").json
    assert (told["staged_from"], [span["log_index"] for span in told["history"]]) == (
        None,
        [told["history"][0]["log_index"]],
    )
    assert ada.post("/op/tariffs", 409, act="cancel", reason="once more").count("Nothing is staged") == 2
    with site.campus.app.store.read() as session:
        kinds = session.scalars(select(Act.actor).where(Act.kind == "parameters_staged")).all()
    assert kinds == [ada.person.pseudonym] * 2


# The exchange of a meter


def test_an_exchange_goes_step_by_step_and_goes_on_where_it_stopped(site: KwhSite) -> None:
    one, other, auditor = Hand(site, OPERATOR), Hand(site, OPERATOR), Hand(site, AUDITOR)
    url = "/op/meters/gw_d/load/exchange"
    assert f'href="{url}"' in one.get("/op/meters/gw_d/load")
    with site.campus.app.store.read() as session:
        meter = session.scalars(select(Meter).where(Meter.gateway_name == "gw_d", Meter.name == "load")).one()
        signed = exchange.last_signed(session, meter)
    assert signed is not None
    last = signed.consumption
    old = last + 700
    page = one.get(url)
    assert "What did the display of" in page
    assert f'value="{old / 1000:.3f}"' not in page
    assert "write down what the display shows" in one.post(url, 400, act="last").lower()
    assert "write a number" in one.post(url, 400, act="last", consumption="12 Wh")
    one.post(url, act="last", consumption=f"{old / 1000:.3f}")
    page = other.get(url)
    assert "what is on its plate" in page, "another operator goes on"
    assert "what is on its plate" in auditor.get(url)
    assert '<form method="post" class' not in auditor.get(url)
    auditor.post(url, 404, act="drop")
    named = {"act": "first", "serial": "NEW-7", "consumption": "0.055"}
    assert "say it without" in other.post(url, 400, **named, reason="the tenant other@campus.example broke it")
    other.post(url, **named, reason="display broken")
    page = other.get(url)
    for words in ("On the chain", "On the bill", "consumption: 0.700 kWh flowed", "edge-agent exchange-meter", "NEW-7"):
        assert words in page, words
    earlier = other.get(f"{url}?step=last")
    assert "What did the display of" in earlier
    assert "tick the box" in other.post(url, 400, act="record").lower()
    with site.campus.app.store.read() as session:
        assert session.scalars(select(Act).where(Act.kind == "meter_exchanged")).all() == []
    preview = other.client.post(
        "/api/v1/meters/gw_d/load/exchange/preview", json={}, headers={"X-Form-Token": other.token}
    ).json
    assert preview["registers"] == [
        {"name": "consumption", "signed": last, "last": old, "first": 55, "goes_on": old, "between": 700}
    ]
    assert preview["offsets"] == [{"name": "consumption", "wh": old - 55}]
    other.post(url, act="record", confirm="yes")
    page = one.get(url)
    assert "What remains to be done at the gateway" in page
    assert f"--offset consumption={old - 55}" in page
    assert "Forget what was written down" not in page
    with site.campus.app.store.read() as session:
        (act,) = session.scalars(select(Act).where(Act.kind == "meter_exchanged")).all()
        assert session.get_one(Meter, meter.id).serial == "NEW-7"
    assert (act.actor, "reason" in act.data) == (other.person.pseudonym, False)
    assert "NEW-7" not in str(act.data)
    shown = auditor.client.get("/api/v1/meters/gw_d/load/exchange").json
    assert (shown["step"], shown["recorded_at"] is not None, len(shown["next"])) == ("last", True, 5)


def test_a_slip_of_the_pen_is_told_before_anything_is_recorded(site: KwhSite) -> None:
    hand, url = Hand(site, OPERATOR), "/op/meters/gw_a/load/exchange"
    hand.post(url, act="last", consumption="0")
    hand.post(url, act="first", serial="NEW-8", consumption="0", reason="display broken")
    fell = hand.get(url, 409)
    assert "a register never falls" in fell
    assert "Record the exchange" not in fell
    hand.post(url, act="last", consumption="99999999")
    steep = hand.get(url, 409)
    assert "twice what its nameplate allows" in steep
    assert "the nameplate does not explain it" in steep
    hand.post(url, 409, act="record", confirm="yes")
    hand.post(url, act="drop")
    assert "What did the display of" in hand.get(url)
    assert hand.client.get("/api/v1/meters/gw_a/load/exchange").json["begun_at"] is None


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
def test_the_pages_are_accessible_and_fit_a_phone(site: KwhSite, tmp_path: Any) -> None:
    _, client, token = sign_in(site.campus.app, site.flask, OPERATOR)
    url, faults = "/op/meters/gw_c/building/exchange", []
    registers = dict.fromkeys(("generation", "consumption", "charge", "discharge"), "9000")
    client.post(url, data={"form_token": token, "act": "last", **registers})
    fields = {"serial": "NEW-9", "reason": "display broken", **dict.fromkeys(registers, "0")}
    client.post(url, data={"form_token": token, "act": "first", **fields})
    day = (datetime.fromtimestamp(site.campus.wall.now, UTC) + timedelta(days=3)).date()
    pages = {
        "last": f"{url}?step=last",
        "first": f"{url}?step=first",
        "preview": url,
        "recorded": "/op/meters/gw_d/load/exchange",
        "epochs": "/op/epochs",
        "epoch": f"/op/epochs/{site.boundaries[-1] // site.campus.epoch_seconds - 1}",
        "news": "/op/news",
        "tariffs": f"/op/tariffs?preview=1&feed_in_price=0.09&day={day}",
    }
    cookie = client.get_cookie("campus-here", domain="localhost").value
    with served(site.flask) as address, Browser(tmp_path / "profile") as browser:
        browser.sign_in(cookie, address)
        for place, (name, path) in enumerate(pages.items()):
            for width, dark in axe.looks(place):
                browser.emulate(width, 844, dark=dark)
                browser.open(address + path)
                faults += [((name, width), fault) for fault in axe.faults(browser)]
                axe.picture(browser, f"desk-{name}-{width}-{'dark' if dark else 'light'}")
    assert not faults, "\n".join(f"{where}: {fault}" for where, fault in faults)
