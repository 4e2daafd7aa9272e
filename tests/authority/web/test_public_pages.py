"""The public's figures, plan and status: page and resource say the same, of enough members, and axe has no fault."""

from __future__ import annotations

import csv
import io
import zipfile
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import axe
import pytest
from browser import CHROMIUM, Browser
from people_site import PeopleSite, build
from sample_campus_days import STEP, add_members
from sample_market import add_days, add_public_member
from served import served
from sqlalchemy import update

from authority.app import App
from authority.home.errors import HomeConfigError
from authority.home.settings import PlanSettings, Settings, SiteSettings
from authority.measures import public_days
from authority.settlement import day_sums
from authority.status.public import SETTLE_SECONDS
from authority.store.people import User

DAY = date(2026, 6, 10)
BEGIN = int(datetime(2026, 6, 10, tzinfo=UTC).timestamp())
PUBLIC = {"Main Library": [(900, 400)] * 104, "Boat House": [(0, 350)] * 104}
PRIVATE = {f"Flat {number}": [(number * 100, 300)] * 104 for number in (1, 2, 4)}


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: App, clock: Any) -> PeopleSite:
    """Two days: one that is over and summed, and two hours of the next."""
    places = PlanSettings(("Main Library=10,20", "grid=60,50"))
    factor = SiteSettings(grid_co2_g_per_kwh=380, grid_co2_source="Grid report 2025, table 3")
    app.home.save(replace(app.home.settings, site=factor, plan=places))
    clock.now = BEGIN + 86_400 + 2 * 3_600
    made = build(app)
    add_members(app, PUBLIC | PRIVATE, BEGIN, public=tuple(PUBLIC))
    add_public_member(app)
    add_days(app, DAY, 2, ZoneInfo("UTC"), until=clock.now)
    day_sums.keep(app.store, ZoneInfo("UTC"), STEP, clock.now)
    public_days.keep(app)
    return made


def test_the_indicators_open_on_what_is_known_last_and_say_when_more_comes(site: PeopleSite, clock: Any) -> None:
    clock.now += 22 * 86_400  # the third of July, of which nothing is known
    page = site.client().get("/indicators").text
    assert "June 2026</h2>" in page
    assert "97.0 %" in page
    assert "The next figures are those of 11 Jun 2026: they come when it is over and complete, on 15 Jun 2026" in page
    july = site.client().get("/indicators?view=month&day=2026-07-02").text
    assert "Nothing is known of this time yet." in july
    assert '<dl class="figures">' not in july, "no dashes where nothing is known"


def test_the_indicators_of_page_and_resource_are_the_same(site: PeopleSite) -> None:
    client = site.client()
    told = client.get(f"/api/v1/indicators?from={DAY}").json["total"]
    generation, used = 96 * (900 + 700), 96 * (400 + 350 + 3 * 300)
    assert (told["generation_wh"], told["consumption_wh"]) == (generation, used)
    assert told["self_sufficiency"] == round(generation / used, 6)
    page = client.get(f"/indicators?view=day&day={DAY}").text
    assert "97.0 %" in page
    assert "Grid report 2025, table 3" in page
    month = client.get(f"/indicators?view=month&day={DAY}").text
    assert month.count('<rect class="generation"') == 1
    assert "1 of 30 days are known" in month
    assert "97.0 %" in client.get("/indicators").text
    year = client.get("/indicators?view=year&day=2026-01-01&table=1").text
    assert "97.0 %" in year
    assert "Nothing is known of this time yet." in client.get("/indicators?view=day&day=2026-06-11").text
    for bad in ("from=x", "step=quarter", "from=2026-06-21&to=2026-06-20", "from=2026-01-01&to=2026-12-01"):
        assert client.get(f"/api/v1/indicators?{bad}").status_code == 400, bad


def test_the_plan_has_measured_flows_alone(site: PeopleSite, clock: Any) -> None:
    plan = site.client().get("/api/v1/plan").json
    flows = {each["name"]: each["flow"] for each in plan["buildings"]}
    assert (flows["Main Library"]["given_wh"], flows["Boat House"]["drawn_wh"]) == (500, 350)
    assert {each["ended_at"] for each in flows.values() if each["ended_at"]} == {clock.now}
    assert (plan["others"]["ended_at"], plan["others"]["generation_wh"]) == (clock.now - STEP, 700)
    assert flows["Library"]["given_wh"] is None, "a public member without meters"
    page = site.client().get("/plan").text
    assert page.count('class="gives"') == page.count('class="draws"') == 1
    assert "Flat" not in page
    clock.now += 86_400
    silent = site.client().get("/plan").text
    assert 'class="gives"' not in silent
    assert "Nothing was measured in the last intervals" in silent
    for places in (("x",), ("A=1",), ("A=1,101",), ("=1,1",)):
        with pytest.raises(HomeConfigError, match="places"):
            Settings(plan=PlanSettings(places)).check()


def test_a_public_home_is_on_the_plan_a_quarter_of_an_hour_late(site: PeopleSite, clock: Any) -> None:
    with site.app.store.write() as session:
        session.execute(update(User).where(User.name == "Boat House").values(dwelling=True))
    flows = {each["name"]: each["flow"] for each in site.client().get("/api/v1/plan").json["buildings"]}
    assert flows["Main Library"]["ended_at"] == clock.now
    home = flows["Boat House"]
    assert (home["began_at"], home["ended_at"], home["drawn_wh"]) == (clock.now - 2 * STEP, clock.now - STEP, 350)


def test_two_private_members_are_no_sum_on_the_plan(app: App, clock: Any) -> None:
    clock.now = BEGIN + 2 * 3_600
    made = build(app)
    add_members(app, {name: its[:8] for name, its in list(PRIVATE.items())[:2]}, BEGIN)
    assert made.client().get("/api/v1/plan").json["others"]["generation_wh"] is None


def test_the_indicators_are_there_as_tables_with_the_same_figures(site: PeopleSite) -> None:
    query = {"from": "2026-06-09", "to": "2026-06-11", "step": "day"}
    told = site.client().get("/api/v1/indicators", query_string=query).json
    answer = site.client().get("/api/v1/indicators.csv", query_string=query)
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="campus-2026-06-09-2026-06-11-day.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["starts"] for row in rows] == [step["starts"] for step in told["steps"]]
    assert any(row["generation_wh"] for row in rows)
    for row, step in zip(rows, told["steps"], strict=True):
        for name in set(step) - {"starts_at", "ends_at", "starts"}:
            assert row[name] == ("" if step[name] is None else str(step[name])), name
    book = site.client().get("/api/v1/indicators.xlsx", query_string=query)
    with zipfile.ZipFile(io.BytesIO(book.data)) as found:
        sheet = found.read("xl/worksheets/sheet1.xml").decode()
    assert "generation_kwh" in sheet
    assert "price_credits_per_kwh" in sheet
    for step in told["steps"]:
        if step["generation_wh"]:
            assert f"<v>{step['generation_wh'] / 1_000:.16g}</v>" in sheet
    for kind in ("csv", "xlsx"):
        url = f"/api/v1/indicators.{kind}"
        got = site.client().get(url, query_string=query)
        assert got.headers["Cache-Control"] == "public, max-age=30"
        same = site.client().get(url, query_string=query, headers={"If-None-Match": got.headers["ETag"]})
        assert (same.status_code, same.data) == (304, b"")
        assert site.client().get(url, query_string={**query, "to": "2027-06-11"}).status_code == 400
        page = site.client().get(f"/indicators?view=month&day={DAY}").text
        assert f'href="{url}?from=2026-06-01&amp;to=2026-06-30&amp;step=day"' in page


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium")
@pytest.mark.slow
def test_each_look_fits_and_axe_has_nothing_to_say(site: PeopleSite, clock: Any, tmp_path: Path) -> None:
    board = site.flask.extensions["status_board"]
    board.watch()
    clock.now += SETTLE_SECONDS
    faults = []
    addresses = (f"/indicators?view=month&day={DAY}&table=1", f"/indicators?view=day&day={DAY}", "/plan", "/status")
    with served(site.flask) as address, Browser(tmp_path / "profile") as browser:
        for place, url in enumerate((*addresses, *(f"{each}" for each in addresses))):
            thai = place >= len(addresses)
            if place == len(addresses):
                browser.open(f"{address}/language?language=th&next=/plan")
            for width, dark in (axe.LOOKS[(place + thai) % 4], axe.LOOKS[(place + thai + 2) % 4]):
                browser.emulate(width, 844, dark=dark)
                browser.open(address + url)
                faults += [(url, width, dark, fault) for fault in axe.faults(browser)]
                axe.picture(browser, f"public-{url.split('?')[0][1:]}-{place}-{width}-{'dark' if dark else 'light'}")
    assert not faults, "\n".join(map(str, faults))
