"""Meters by days: the heat map, its table, and the cause of each gap, on the page and by the API."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from people_site import build
from sqlalchemy import select

from authority.collector import held
from authority.collector.ingest import Collector
from authority.operations import chain_state, gaps
from authority.people import records, tokens
from authority.people.roles import MEMBER, OPERATOR
from authority.store.log import Act
from authority.store.metering import Frame, MeterKey
from authority.store.people import User
from authority.store.persons import Person
from edge_agent.wire.reading import FLAG_CLOCK_ADJUSTED

DAY, QUARTER = 86_400, 900
AWAY, SILENT, HELD, VOID, CLOCK, SET, REFUSED, PARKED = (10, 11, 12), 20, 30, 40, 45, 50, 60, 95


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture
def site(app: Any, add_meter: Any, clock: Any) -> Any:
    """Two meters of a gateway over two days; of the first day one of them lacks a reading for each cause."""
    midnight = clock.now - clock.now % DAY + DAY
    clock.now = midnight + 3 * DAY
    pv, lift = add_meter("pv"), add_meter("lift", role="load", source="none")
    collector = Collector(app)

    def send(meter: Any, frame: bytes) -> None:
        collector.ingest(frame, gateway="gw-1", meter=None, over="https")

    for place in range(1, 2 * 96 + 1):
        for meter in (pv, lift):
            meter.interval_end = midnight + place * QUARTER
            if place in AWAY or (meter is pv and place in (SILENT, SET)):
                continue
            if meter is pv and place == REFUSED:
                send(meter, meter.frame(sequence=meter.sequence - 1))
                continue
            if meter is pv and place == PARKED:
                send(meter, meter.frame(sequence=meter.sequence + 200))
                continue
            changes: dict[str, Any] = {}
            if meter is pv:
                changes = {
                    HELD: {"source": 2}, VOID: {"source": 2}, CLOCK: {"clock_deviation": 9_000},
                    SET + 1: {"flags": FLAG_CLOCK_ADJUSTED},
                }.get(place, {})  # fmt: skip
            send(meter, meter.next(**changes))
    with app.store.write() as session:
        void = session.scalars(select(Frame).where(Frame.interval_end == midnight + VOID * QUARTER)).all()
        index = next(each.log_index for each in void if each.disposition == "held")
        held.void(session, index, actor="x", reason="wrong source", now=clock.now)
    made = build(app, first_installation=7)
    made.midnight, made.voided = midnight, index
    return made


def day_of(site: Any, days: int = 0) -> str:
    return datetime.fromtimestamp(site.midnight + days * DAY, UTC).date().isoformat()


def test_the_map_says_which_days_lack_readings_and_leads_to_the_causes(site: Any) -> None:
    page = site.client(OPERATOR).get("/op/meters").text
    lacking = 3 + 7
    assert "2 meters lack some." in page
    rows = re.findall(r'<tr><th scope="row"><a href="/op/meters/gw-1/(?:lift|pv)">.*?</tr>', page)
    assert len(rows) == 2
    links = re.findall(r'href="(/op/meters/gw-1/pv/days/[\d-]+)"', rows[1])
    link = f"/op/meters/gw-1/pv/days/{day_of(site)}"
    assert link in links
    assert f"{96 - lacking} of 96, gw-1/pv" in rows[1]
    assert "93 of 96, gw-1/lift" in rows[0]
    assert "level-all" in rows[1]
    assert "level-none" in rows[1], "nothing came on the third day"
    assert "level-nothing" in rows[1], "before it was approved nothing was due"
    twin = page.partition("The same as a table")[2]
    assert f'<td class="right">{96 - lacking} of 96</td>' in twin
    day = site.client(OPERATOR).get(link).text
    found = re.findall(r'<th scope="row">(.*?)</th><td class="right">(\d+)</td><td>(.*?)</td>', day)
    assert [(at.replace("&ndash;", "-"), int(count), cause.partition(":")[0]) for at, count, cause in found] == [
        ("02:30 - 03:00", 3, "Its gateway was away"),
        ("05:00", 1, "The meter was silent"),
        ("07:30", 1, "It came, and waits for an operator's decision"),
        ("10:00", 1, "It came, and was voided"),
        ("11:15", 1, "A clock"),
        ("12:30", 1, "A clock"),
        ("15:00", 1, "It came, and was refused"),
        ("23:45", 1, "It came, and waits for the readings before it"),
    ]
    assert f'href="/op/held/{site.voided}"' in day
    other = site.client(OPERATOR).get(f"/op/meters/gw-1/pv/days/{day_of(site, 1)}").text
    assert "96 of 96 readings came" in other
    assert "None is missing" in other
    for wrong in ("2199-01-01", "soon"):
        assert site.client(OPERATOR).get(f"/op/meters/gw-1/pv/days/{wrong}").status_code == 404
    assert site.client(MEMBER).get(link).status_code == 404


def test_earlier_days_and_further_meters_are_pages_of_their_own(site: Any) -> None:
    page = site.client(OPERATOR).get("/op/meters").text
    before = re.search(r'href="(/op/meters\?to=[\d-]+)">&larr;', page)
    assert before
    earlier = site.client(OPERATOR).get(before[1]).text
    assert "No reading was due in these days." in earlier
    assert "after &rarr;" in earlier
    after = site.client(OPERATOR).get("/op/meters?after=gw-1/lift").text
    assert 'href="/op/meters/gw-1/pv/days/' in after
    assert 'href="/op/meters/gw-1/lift/days/' not in after
    assert "1 of 2 meters are shown" in after


def test_programs_read_the_same(site: Any) -> None:
    with site.app.store.write() as session:
        now = site.app.clock()
        owner = records.principal(session, session.get_one(Person, site.people[OPERATOR].id), "s", now)
        token = tokens.make(session, owner, "board", ["operations:read"], 30, now)[1]
    client, bearer = site.flask.test_client(), {"Authorization": f"Bearer {token}"}
    shown = client.get("/api/v1/meters/days", headers=bearer).json
    assert (len(shown["days"]), [row["meter"] for row in shown["meters"]]) == (14, ["gw-1/lift", "gw-1/pv"])
    place = shown["days"].index(day_of(site))
    assert shown["meters"][1]["days"][place] == {"due": 96, "came": 86, "stopped": 3}
    day = client.get(f"/api/v1/meters/gw-1/pv/days/{day_of(site)}", headers=bearer).json
    causes = ["away", "silent", "held", "void", "clock", "clock", "refused", "parked"]
    assert [each["cause"] for each in day["gaps"]] == causes
    assert day["gaps"][3]["readings"] == [site.voided]
    assert client.get("/api/v1/meters/gw-1/none/days/2026-01-01", headers=bearer).status_code == 404
    assert client.get("/api/v1/meters/days?to=x", headers=bearer).status_code == 400


def test_a_page_of_one_meter_is_noted_as_a_reading_of_its_members_data(site: Any) -> None:
    with site.app.store.read() as session:
        wallet = session.scalars(select(User.wallet).where(User.id == 1)).one()
        index = held.held(session)[0].log_index
    urls = {
        "/op/meters/gw-1/pv": "meters",
        "/op/meters/gw-1/lift/exchange": "meters",
        "/api/v1/meters/gw-1/lift/exchange": "meters",
        f"/op/meters/gw-1/pv/days/{day_of(site)}": "meters",
        f"/op/held/{index}": "held readings",
        f"/api/v1/readings/held/{index}": "held readings",
        "/op/held?meter=gw-1/pv": "held readings",
        "/api/v1/readings/held?meter=gw-1/pv": "held readings",
        "/op/held": "held readings",
    }
    for place, (url, what) in enumerate(urls.items()):
        site.app.clock.now += 1_000
        assert site.client(OPERATOR).get(url).status_code == 200, url
        with site.app.store.read() as session:
            acts = session.scalars(select(Act).where(Act.kind == "data_read").order_by(Act.log_index)).all()
        assert len(acts) == place + 1, url
        whose = "everybody" if url == "/op/held" else wallet
        assert (acts[-1].data["what"], acts[-1].data["subject"]) == (what, whose), url


def missing(site: Any, name: str) -> tuple[int, int]:
    """How many readings a meter lacks: by its days, and by the list of its gaps."""
    app, late, since = site.app, 2 * QUARTER + 60, site.midnight - DAY
    now = app.clock()
    with app.store.read() as session:
        meter = chain_state.meter_of(session, name)
        edges = [(at, at + DAY) for at in range(since, now, DAY)]
        days = gaps.by_days(session, [meter], edges, QUARTER, now - late)[meter.id]
        listed = gaps.of_meter(session, meter, since, now, QUARTER, late)
        counted = [gaps.of_day(session, meter, *edge, QUARTER, now - late).count for edge in edges]
    assert counted == days, "a day's own page counts as the map does"
    return sum(each.due - each.came for each in days), sum(each.missing for each in listed)


def test_the_map_and_a_meters_own_page_lack_the_same_readings(site: Any) -> None:
    lift, pv = missing(site, "gw-1/lift"), missing(site, "gw-1/pv")
    assert lift[0] == lift[1] > 90, "the third day and the morning's gap"
    assert pv[0] == pv[1] == lift[0] + 7


def test_nothing_is_missing_of_the_time_before_a_meter_could_be_read(site: Any, add_meter: Any, clock: Any) -> None:
    """Its gateway begins after the approval: the map blamed that on a gateway that was away."""
    late, never = add_meter("late", gateway="gw-2"), add_meter("never", gateway="gw-2")
    with site.app.store.write() as session:
        for key in session.scalars(
            select(MeterKey).where(MeterKey.public_key.in_([bytes(each.key.pubkey()) for each in (late, never)]))
        ):
            key.approved_at = site.midnight + 10
    for place in range(6, 96):
        late.interval_end = site.midnight + place * QUARTER
        Collector(site.app).ingest(late.next(), gateway="gw-2", meter=None, over="https")
    clock.now = site.midnight + 96 * QUARTER
    assert missing(site, "gw-2/late") == (0, 0)
    assert "<p>None.</p>" in site.client(OPERATOR).get("/op/meters/gw-2/late").text
    first, second = missing(site, "gw-2/never")
    assert first == second > 80, "of which nothing ever came is missing since it could be read"
