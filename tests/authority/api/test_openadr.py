"""OpenADR 3: the market's prices as events, as the 3.0.1 specification asks, read by a small client."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from kwh_site import KwhSite, opened
from people_site import build
from sample_market import add_days, add_public_member

from authority.api import openadr
from authority.billing.calendar import midnight
from authority.home.home import Home
from authority.home.settings import BillingSettings, SiteSettings
from authority.people.roles import AUDITOR, MEMBER

BERLIN, AUTUMN = ZoneInfo("Europe/Berlin"), date(2026, 10, 25)
BASE = "/api/openadr3/3.0.1"
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
DURATION = re.compile(r"-?P(?=\d|T\d)(\d+Y)?(\d+M)?(\d+D)?(T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")
ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")


class Ven:
    """A client of the two resources, which takes nothing that the specification does not allow."""

    def __init__(self, client: Any, headers: dict[str, str] | None = None) -> None:
        client.environ_base["HTTP_ACCEPT"] = "application/json"
        self._client, self._headers = client, headers or {}

    def get(self, path: str, status: int = 200) -> Any:
        answer = self._client.get(f"{BASE}{path}", headers=self._headers)
        assert answer.status_code == status, answer.text
        expected = "application/json" if status == 200 else "application/problem+json"
        assert answer.content_type == expected
        if status != 200:
            assert {"type", "title", "status", "detail"} <= set(answer.json)
        return answer.json

    def programs(self, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/programs{query}")
        for each in found:
            self._head(each, "PROGRAM")
            assert 1 <= len(each["programName"]) <= 128
            assert DURATION.fullmatch(each["timeZoneOffset"])
            self._descriptors(each)
        return found

    def events(self, query: str = "") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/events{query}")
        for each in found:
            self._head(each, "EVENT")
            assert ID.fullmatch(each["programID"])
            kinds = self._descriptors(each)
            spans = [self.span(interval["intervalPeriod"]) for interval in each["intervals"]]
            whole = self.span(each["intervalPeriod"])
            assert all(whole[0] <= start < end <= whole[1] for start, end in spans)
            assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))
            assert [interval["id"] for interval in each["intervals"]] == list(range(len(spans)))
            for interval in each["intervals"]:
                assert [payload["type"] for payload in interval["payloads"]] == kinds
                assert all(type(value) is float for payload in interval["payloads"] for value in payload["values"])
        return found

    @staticmethod
    def span(period: dict[str, str]) -> tuple[int, int]:
        assert MOMENT.fullmatch(period["start"])
        found = DURATION.fullmatch(period["duration"])
        assert found is not None
        hours, minutes, seconds = (int(found[group] or 0) for group in (5, 6, 7))
        start = int(datetime.fromisoformat(period["start"].replace("Z", "+00:00")).timestamp())
        return start, start + hours * 3_600 + minutes * 60 + seconds

    @staticmethod
    def _head(each: dict[str, Any], kind: str) -> None:
        assert ID.fullmatch(each["id"])
        assert each["objectType"] == kind
        assert MOMENT.fullmatch(each["createdDateTime"])
        assert MOMENT.fullmatch(each["modificationDateTime"])

    @staticmethod
    def _descriptors(each: dict[str, Any]) -> list[str]:
        assert all(item["objectType"] == "EVENT_PAYLOAD_DESCRIPTOR" for item in each["payloadDescriptors"])
        assert {item["units"] for item in each["payloadDescriptors"]} == {"KWH"}
        return [item["payloadType"] for item in each["payloadDescriptors"]]


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: Any, clock: Any) -> Any:
    """A site in Berlin that is paid in euros, on the day after summer time ended; nobody answers for the chain."""
    settings = replace(
        app.home.settings, site=SiteSettings(zone="Europe/Berlin"), billing=BillingSettings(currency="EUR")
    )
    app.home.save(settings)
    clock.now = midnight(AUTUMN + timedelta(days=1), BERLIN) + 7_200
    made = build(replace(app, home=Home.open(app.home.path)))
    add_public_member(made.app)
    return made


def test_a_day_of_a_hundred_quarters_has_the_price_of_each_that_may_be_told(site: Any, clock: Any) -> None:
    made = add_days(site.app, AUTUMN, 2, BERLIN, until=clock.now)
    (autumn,) = Ven(site.client(MEMBER)).events("?programID=campus-market")  # in the night nothing traded
    assert autumn["id"] == "market-2026-10-25"
    begin, end = Ven.span(autumn["intervalPeriod"])
    assert (end - begin) // 900 == 100
    expected = {
        epoch * 900: price
        for epoch, (told, wh, price) in made.items()
        if told and wh and begin <= epoch * 900 < end and price is not None
    }
    found = {Ven.span(each["intervalPeriod"])[0]: each["payloads"][0]["values"][0] for each in autumn["intervals"]}
    assert {at: round(price * 1_000_000) for at, price in found.items()} == expected
    assert len(found) < 100, "what may not be told is left out"
    assert {each["currency"] for each in autumn["payloadDescriptors"]} == {"EUR"}
    assert Ven(site.client(MEMBER)).get("/events/market-2026-10-25") == autumn


def test_pages_filters_and_what_is_refused(site: Any, clock: Any) -> None:
    add_days(site.app, AUTUMN - timedelta(days=2), 4, BERLIN, until=clock.now)
    ven = Ven(site.client(MEMBER))
    every = ven.events("?programID=campus-market")
    assert [each["id"] for each in every] == [f"market-2026-10-{day}" for day in (25, 24, 23)]
    pages = [ven.events(f"?programID=campus-market&skip={at}&limit=1") for at in range(4)]
    assert [page[0] for page in pages[:3]] == every
    assert pages[3] == []
    assert ven.events("?programID=campus-market&limit=0") == []
    assert ven.events("?programID=other") == []
    assert ven.events("?programID=campus-market&targetType=GROUP&targetValues=x") == []
    assert ven.events("?targetType=PROGRAM_NAME&targetValues=campus-market&programID=campus-market") == every
    named = ven.programs("?targetType=PROGRAM_NAME&targetValues=campus-market")
    assert [each["id"] for each in named] == ["campus-market"]
    assert [each["id"] for each in ven.programs()] == ["campus-tariff", "campus-market"]
    assert ven.programs("?limit=1&skip=1") == [ven.get("/programs/campus-market")]
    for path in ("/events?limit=51", "/events?limit=-1", "/events?skip=x", "/programs?limit=99"):
        ven.get(path, 400)
    for path in ("/programs/none", "/events/market-1999-01-01", "/events/a%20b", "/reports", "/vens"):
        ven.get(path, 404)
    assert ven.get("/events", 503)["code"] == "chain_away", "the tariff is the chain's to tell"
    for method in ("post", "put", "delete"):
        answer = getattr(site.client(MEMBER), method)(f"{BASE}/events/market-2026-10-25", json={})
        assert answer.status_code == 405
        assert answer.content_type == "application/problem+json"


def test_tokens_are_those_of_the_other_resources(site: Any) -> None:
    Ven(site.flask.test_client()).get("/programs", 401)
    Ven(site.flask.test_client(), {"Authorization": "Bearer campus_no"}).get("/programs", 401)
    for token in site.tokens.values():
        Ven(site.flask.test_client(), {"Authorization": f"Bearer {token}"}).programs()
    Ven(site.client(AUDITOR)).programs()


@pytest.fixture
def campus(tmp_path: Path) -> Iterator[KwhSite]:
    with opened(tmp_path, members="ABCD", trades=True) as found:
        yield found


def test_the_tariff_is_what_governance_says_and_changes_where_a_change_is_staged(campus: KwhSite) -> None:
    ven, chain = Ven(campus.client(MEMBER)), campus.campus
    (event,) = ven.events("?programID=campus-tariff")
    (interval,) = event["intervals"]
    parameters = chain.home.settings.parameters
    prices = [payload["values"][0] for payload in interval["payloads"]]
    assert prices == [parameters.retail_price / 1_000_000, parameters.feed_in_price / 1_000_000]
    today = datetime.fromtimestamp(chain.wall.seconds(), UTC).date()
    assert Ven.span(event["intervalPeriod"])[0] == midnight(today, ZoneInfo(chain.home.settings.site.zone))
    assert [each["programID"] for each in ven.events()][:1] == ["campus-tariff"]


@pytest.mark.parametrize(
    ("seconds", "text"), [(900, "PT15M"), (90_000, "PT25H"), (0, "PT0S"), (-19_800, "-PT5H30M"), (61, "PT1M1S")]
)
def test_spans_are_written_by_iso_8601(seconds: int, text: str) -> None:
    assert openadr.duration(seconds) == text
