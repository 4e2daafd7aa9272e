"""What a line of a bill is made of: its own times alone, which are the line together, for every kind of line."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from html import unescape
from typing import Any

import pytest
from billed_site import BilledSite, billed
from people_site import application
from sqlalchemy import select

from authority.chain.client import ChainClient
from authority.store.billing import IssuedBill

MOVED = {"bought", "wheeling", "sold", "fee", "top_up"}
"""Lines whose amounts are counted time by time; the others are priced as a whole."""
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BilledSite]:
    with billed(tmp_path_factory.mktemp("campus")) as made:
        yield made


def bills(site: BilledSite) -> list[tuple[str, dict[str, Any]]]:
    """Each issued bill's member, and its document."""
    names = {str(wallet): name for name, wallet in site.campus.wallets.items()}
    with site.campus.app.store.read() as session:
        return [(names[row.wallet], json.loads(row.document)) for row in session.scalars(select(IssuedBill))]


def table(page: str) -> tuple[list[dict[str, Decimal]], dict[str, Decimal]]:
    """The rows of a page's table, and its foot, by the names of the columns; without the first, which says when."""
    head, *rows = [
        [unescape(re.sub(r"<[^>]+>", "", cell)).strip() for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    ]
    read = [dict(zip(head[1:], map(number, row[1:]), strict=True)) for row in rows]
    return read[:-1], read[-1]


def number(cell: str) -> Decimal:
    return Decimal(re.sub(r"[^0-9.-]", "", cell.replace("\N{MINUS SIGN}", "-")))


def test_the_page_of_every_line_adds_up_to_the_line_though_the_period_began_inside_a_day(site: BilledSite) -> None:
    kinds = set()
    for name, document in bills(site):
        client, first = site.client(name), document["first_epoch"] * document["epoch_seconds"]
        assert first % 86_400, "the period began inside a day"
        page = client.get(f"/me/bills/{document['number']}").text
        for line in document["lines"]:
            path = f"/me/bills/{document['number']}/lines/{line['line']}"
            assert f'href="{path}"' in page
            rows, foot = table(client.get(path).text)
            told = Decimal(line["wh"]) / 1_000, Decimal(line["amount"]) / 1_000_000
            if line["wh"]:
                assert sum(row["kWh"] for row in rows) == foot["kWh"] == told[0], (name, line)
            if line["kind"] in MOVED:
                assert sum(row["Credits"] for row in rows) == foot["Credits"] == told[1], (name, line)
            kinds.add(line["kind"])
    assert {"withdrawn", "retired", "remainder", *MOVED} <= kinds


def test_a_bill_still_to_come_has_its_lines_parts_too(site: BilledSite) -> None:
    client = site.client("D")
    document = site.client("D").get("/api/v1/me/bills/so-far").json
    line = document["lines"][0]
    path = f"/me/bills/so-far/lines/{line['line']}?period={document['period']}"
    assert path in client.get("/me/bills/so-far").text
    rows, foot = table(client.get(path).text)
    assert rows
    assert foot["kWh"] == Decimal(line["wh"]) / 1_000


def test_what_does_not_add_up_to_the_bill_is_not_shown_and_that_is_said(site: BilledSite) -> None:
    name, document = bills(site)[0]
    number, line = document["number"], document["lines"][0]
    app = site.campus.app
    with app.store.write() as session:
        row = session.get_one(IssuedBill, number)
        kept, row.document = row.document, row.document.replace(b'"wh":%d' % line["wh"], b'"wh":%d' % (line["wh"] + 1))
    try:
        page = site.client(name).get(f"/me/bills/{number}/lines/{line['line']}").text
    finally:
        with app.store.write() as session:
            session.get_one(IssuedBill, number).document = kept
    assert "What this line is made of cannot be shown" in page
    assert "<table>" not in page


def test_lines_that_there_are_not_and_other_members_bills_are_not_found(site: BilledSite) -> None:
    (mine, document), (other, _) = bills(site)[:2]
    path = f"/me/bills/{document['number']}/lines"
    assert site.client(mine).get(f"{path}/99").status_code == 404
    assert site.client(mine).get(f"{path}/1?day=2020-01-01").status_code == 404
    assert site.client(mine).get(f"{path}/1?day=x").status_code == 400
    assert site.client(other).get(f"{path}/1").status_code == 404
    away = application(site.campus.app, lambda: ChainClient("http://127.0.0.1:9", attempts=1, timeout=1))
    assert replace(site, flask=away).client(mine).get(f"{path}/1").status_code == 503
