"""Energy as CSV and XLSX: the page's own totals, local time with its offset, what is unknown empty, no formula."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from dataclasses import replace
from datetime import datetime
from typing import Any
from xml.etree import ElementTree  # our own files

import pytest
from people_site import PeopleSite, build
from sqlalchemy import select

from authority.api import energy_table
from authority.app import App
from authority.home.home import Home
from authority.home.settings import SiteSettings
from authority.people.roles import DELEGATE, MEMBER
from authority.settlement.day_sums import Flows
from authority.store.log import Act
from authority.store.people import User
from authority.store.settlement import SettlementEpoch

MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
FORMULA = '=HYPERLINK("http://evil.example")'


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: App, clock: Any, sample_month: Any) -> PeopleSite:
    clock.now += 17 * 3_600
    app.home.save(replace(app.home.settings, site=SiteSettings(zone="Europe/Berlin")))
    made = build(replace(app, home=Home.open(app.home.path)))
    sample_month(made)
    with app.store.write() as session:
        session.get_one(User, made.members["Dormitory A"].id).name = FORMULA
    return made


def parsed(book: zipfile.ZipFile, name: str) -> ElementTree.Element:
    return ElementTree.fromstring(book.read(name))  # noqa: S314 - what was just written here


def cells(data: bytes, sheet: int) -> list[list[Any]]:
    """The rows of a sheet, as a reader of Office Open XML sees them; numbers are floats, a missing cell is None."""
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        assert book.testzip() is None
        shared = []
        if "xl/sharedStrings.xml" in book.namelist():
            shared = ["".join(each.itertext()) for each in parsed(book, "xl/sharedStrings.xml")]
        root = parsed(book, f"xl/worksheets/sheet{sheet}.xml")
    assert root.find(f".//{MAIN}f") is None, "no cell is a formula"
    assert root.find(f".//{MAIN}hyperlink") is None
    found = []
    for row in root.iter(f"{MAIN}row"):
        values: dict[str, Any] = {}
        for cell in row:
            text = "".join(cell.itertext())
            kind = cell.get("t")
            value = shared[int(text)] if kind == "s" else text if kind == "inlineStr" else float(text)
            values[re.sub(r"\d", "", cell.get("r", ""))] = value
        width = len(energy_table.COLUMNS)
        found.append([values.get(chr(ord("A") + place)) for place in range(width)])
    return found


def asked(site: PeopleSite, kind: str, role: str = MEMBER, **query: str) -> Any:
    return site.client(role).get(f"/api/v1/me/energy{kind}", query_string=query)


@pytest.mark.parametrize("step", ["quarter", "day"])
def test_the_tables_have_a_row_each_step_and_the_totals_of_the_page(site: PeopleSite, step: str) -> None:
    query = {"from": "2026-06-18", "to": "2026-06-21", "step": step}
    told = asked(site, "", **query).json
    answer = asked(site, ".csv", **query)
    assert answer.content_type == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == f'attachment; filename="energy-2026-06-18-2026-06-21-{step}.csv"'
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == len(told["steps"])
    assert [row["starts"] for row in rows] == [each["starts"] for each in told["steps"]]
    assert rows[0]["starts"] == "2026-06-18T00:00:00+02:00"
    assert [row["ends"] for row in rows[:-1]] == [row["starts"] for row in rows[1:]]
    known = [row for row in rows if row["made_wh"]]
    assert 0 < len(known) < len(rows) or step == "day"
    for name in Flows._fields:
        assert sum(int(row[name]) for row in known) == told["total"]["flows"][name], name
        assert all(row[name] == "" for row in rows if row not in known), "unknown is empty, and never 0"
    assert told["total"]["flows"]["made_wh"] > 0
    assert [(row["meters"], row["meters_heard"]) for row in rows] == [
        (str(each["meters"]), str(each["meters_heard"])) for each in told["steps"]
    ]
    book = asked(site, ".xlsx", **query).data
    head, *lines = cells(book, 1)
    assert head[2:4] == ["made_kwh", "from_battery_kwh"]
    assert head[9] == "paid_credits"
    assert [line[0] for line in lines] == [row["starts"] for row in rows]
    for line, row in zip(lines, rows, strict=True):
        assert line[2] == (float(int(row["made_wh"]) / 1_000) if row["made_wh"] else None)
    total = {line[0]: line[1] for line in cells(book, 2)}
    assert (total["account"], total["zone"], total["step"]) == (FORMULA, "Europe/Berlin", step)
    assert total["used_kwh"] == told["total"]["flows"]["used_wh"] / 1_000
    assert (total["meters_heard"], total["meters"]) == (1, 1)


def test_what_was_traded_is_empty_where_no_book_tells_of_it_yet_and_0_where_nothing_was(
    site: PeopleSite, clock: Any
) -> None:
    day = "2026-06-21"
    with site.app.store.write() as session:
        known = session.scalars(select(SettlementEpoch).order_by(SettlementEpoch.epoch.desc()).limit(1)).one()
        known.checkpointed_ms = 1
        until = (known.epoch + 1) * 900
        session.query(SettlementEpoch).where(SettlementEpoch.epoch > known.epoch).delete()
    assert until <= clock.now
    rows = list(csv.DictReader(io.StringIO(asked(site, ".csv", **{"from": day, "to": day}).text)))
    past = [row for row in rows if datetime.fromisoformat(row["starts"]).timestamp() < until]
    assert 0 < len(past) < len(rows)
    for name in energy_table.TRADES:
        assert all(row[name] for row in past)
        assert {row[name] for row in rows if row not in past} == {""}, name
    _, *lines = cells(asked(site, ".xlsx", **{"from": day, "to": day}).data, 1)
    at = energy_table.COLUMNS.index("bought_wh")
    assert [line[at] is None for line in lines] == [row["bought_wh"] == "" for row in rows]
    tomorrow = {"from": "2026-06-22", "to": "2026-06-22", "step": "day"}
    (row,) = csv.DictReader(io.StringIO(asked(site, ".csv", **tomorrow).text))
    assert {row[name] for name in (*energy_table.FLOWS, *energy_table.TRADES)} == {""}


def test_a_delegates_download_is_logged_and_a_wrong_range_is_refused(site: PeopleSite) -> None:
    assert asked(site, ".csv", DELEGATE).status_code == 200
    assert asked(site, ".xlsx", step="day", **{"from": "2026-01-01", "to": "2026-06-21"}).status_code == 400
    with site.app.store.read() as session:
        (act,) = session.scalars(select(Act).where(Act.kind == "data_read"))
    assert (act.actor, act.data["what"]) == (site.people[DELEGATE].pseudonym, "energy")
    page = site.client(MEMBER).get("/me/energy?view=month&day=2026-06-20").text
    assert "/api/v1/me/energy.xlsx?from=2026-06-01&amp;to=2026-06-30&amp;step=quarter" in page


@pytest.mark.parametrize("kind", [".csv", ".xlsx", "/green-button"])
def test_a_file_that_has_not_changed_is_not_sent_again(site: PeopleSite, clock: Any, kind: str) -> None:
    query = {"from": "2026-06-18", "to": "2026-06-21"}
    first = asked(site, kind, **query)
    tag = first.headers["ETag"]
    assert first.status_code == 200
    assert first.headers["Cache-Control"] == "private, no-cache"
    assert {"Cookie", "Authorization"} <= {each.strip() for each in first.headers["Vary"].split(",")}
    clock.now += 60
    client, url = site.client(MEMBER), f"/api/v1/me/energy{kind}"
    again = client.get(url, query_string=query, headers={"If-None-Match": tag})
    assert (again.status_code, again.data, again.headers["ETag"]) == (304, b"", tag)
    other = client.get(url, query_string={**query, "to": "2026-06-20"}, headers={"If-None-Match": tag})
    assert (other.status_code, other.headers["ETag"] != tag) == (200, True)
    with site.app.store.write() as session:
        session.get_one(User, site.members["Dormitory A"].id).name = "Hall A"
    if kind != ".csv":
        renamed = client.get(url, query_string=query, headers={"If-None-Match": tag})
        assert renamed.status_code == 200, "the name in it is another"
    stranger = site.client("other").get(url, query_string=query, headers={"If-None-Match": tag})
    assert stranger.status_code == 200, "another member's file is another"
