"""The Green Button download: as the published schema asks, and to the watt-hour what the readings say."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from espi_schema import ATOM, ESPI, checked, number, resources
from hypothesis import given
from hypothesis import strategies as st
from people_site import build
from solders.keypair import Keypair
from sqlalchemy import func, select

from authority.api import espi
from authority.api.green_button import quarters
from authority.billing.bill import Bill, Line
from authority.billing.calendar import midnight
from authority.home.home import Home
from authority.home.settings import BillingSettings, SiteSettings
from authority.log import log
from authority.people.roles import DELEGATE, MEMBER, OPERATOR
from authority.settlement.day_sums import Flows, Piece
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.log import Act
from authority.store.metering import Frame, Meter
from edge_agent.wire.reading import RECORD_SIZE, Record, record_hash

BERLIN = ZoneInfo("Europe/Berlin")
SPRING, AUTUMN, PLAIN = date(2026, 3, 29), date(2026, 10, 25), date(2026, 6, 10)


@pytest.fixture
def store_url():
    return ""


@pytest.fixture
def site(app):
    settings = replace(
        app.home.settings, site=SiteSettings(zone="Europe/Berlin"), billing=BillingSettings(currency="EUR")
    )
    app.home.save(settings)
    return build(replace(app, home=Home.open(app.home.path)))


@pytest.fixture
def meter(site, add_meter):
    """A building's meter of Dormitory A."""
    return of_dormitory_a(site, add_meter("building", "gw-1", "building"))


def of_dormitory_a(site, signing):
    with site.app.store.write() as session:
        found = session.get_one(Meter, signing.pk)
        found.user_id = site.members["Dormitory A"].id
        session.flush()
        session.expunge(found)
    return found


def read(site, meter, registers, key=None, **changes):
    """Readings of a meter: {boundary: (generation, consumption)}."""
    key = key or Keypair()
    with site.app.store.write() as session:
        first = (session.scalar(select(func.max(Frame.log_index))) or 0) + 1_000
        for place, (end, (made, used)) in enumerate(registers.items()):
            record = Record(
                sequence=place + 1, network_id=site.app.home.network_id, interval_end=end, generation=made,
                consumption=used, charge=0, discharge=0, interval_seconds=900, source=1, **changes,
            ).to_bytes()  # fmt: skip
            frame = record + bytes(key.pubkey()) + bytes(key.sign_message(record))
            session.add(
                Frame(
                    log_index=first + place, meter_pk=meter.id, public_key=bytes(key.pubkey()),
                    sequence=place + 1, interval_end=end, record_hash=record_hash(frame[:RECORD_SIZE]), frame=frame,
                    verdict="accepted", code="ok", received_at=end, over="mqtt", disposition="accepted",
                    chain_status="confirmed",
                )
            )  # fmt: skip


def day_of(day, step=lambda place: (0, 100)):
    """Registers at each quarter of a day in Berlin; step gives what a quarter makes and uses."""
    begin, end = midnight(day, BERLIN), midnight(day + timedelta(days=1), BERLIN)
    made, used, found = 5_000, 90_000, {}
    for place, at in enumerate(range(begin, end + 1, 900)):
        found[at] = (made, used)
        more = step(place)
        made, used = made + more[0], used + more[1]
    return found


def download(site, first, last=None, role=MEMBER):
    answer = site.client(role).get(f"/api/v1/me/energy/green-button?from={first}&to={last or first}")
    assert answer.status_code == 200, answer.text
    assert answer.content_type == "application/atom+xml"
    return checked(answer.data)


def series(root, title):
    """(start, duration, Wh, qualities) of each reading of the series, after its blocks were checked to hold it."""
    found = []
    for entry, block in resources(root, "IntervalBlock"):
        if entry.findtext(f"{ATOM}title") != title:
            continue
        start, length = number(block, "interval/start"), number(block, "interval/duration")
        at = start
        for reading in block.findall(f"{ESPI}IntervalReading"):
            begin, lasts = number(reading, "timePeriod/start"), number(reading, "timePeriod/duration")
            assert at <= begin < begin + lasts <= start + length, "readings lie in their block, in order, and apart"
            at = begin + lasts
            qualities = [int(each.findtext(f"{ESPI}quality")) for each in reading.findall(f"{ESPI}ReadingQuality")]
            found.append((begin, lasts, number(reading, "value"), qualities))
    return found


DRAWN, GIVEN, ESTIMATED = "Drawn from the campus grid", "Given to the campus grid", "Estimated, for a meter that failed"


@pytest.mark.parametrize(
    ("day", "count"), [(SPRING, 92), (AUTUMN, 100), (PLAIN, 96)], ids=["spring", "autumn", "plain"]
)
def test_a_day_has_its_quarters_both_ways_and_to_the_watt_hour(site, meter, day, count):
    registers = day_of(day, lambda place: (300, 100) if place % 4 == 1 else (7, 110 + place))
    read(site, meter, registers)
    root = download(site, day)
    drawn, given = series(root, DRAWN), series(root, GIVEN)
    assert len(drawn) == len(given) == count
    boundaries = list(registers)
    for place, (one, other) in enumerate(zip(drawn, given, strict=True)):
        made, used = (300, 100) if place % 4 == 1 else (7, 110 + place)
        assert one == (boundaries[place], 900, max(0, used - made), [])
        assert other == (boundaries[place], 900, max(0, made - used), [])
    kinds = [(number(kind, "flowDirection"), number(kind, "uom"), number(kind, "powerOfTenMultiplier"))
             for _, kind in resources(root, "ReadingType")]  # fmt: skip
    assert kinds == [(1, 72, 0), (19, 72, 0)]
    ((_, block), *_) = resources(root, "IntervalBlock")
    assert number(block, "interval/duration") == count * 900
    ((_, clock),) = resources(root, "LocalTimeParameters")
    assert (number(clock, "tzOffset"), number(clock, "dstOffset")) == (3_600, 3_600)


def test_missing_quarters_are_one_longer_reading_and_none_where_nothing_is_known(site, meter):
    registers = day_of(PLAIN)
    begin = next(iter(registers))
    for place in (10, 11, 12, *range(90, 97)):
        del registers[begin + place * 900]
    read(site, meter, registers)
    drawn = series(download(site, PLAIN), DRAWN)
    assert (begin + 9 * 900, 4 * 900, 400, []) in drawn
    assert drawn[-1] == (begin + 88 * 900, 900, 100, [])
    assert sum(each[2] for each in drawn) == 89 * 100
    assert len(drawn) == 89 - 3


def test_a_meter_that_was_exchanged_goes_on_under_its_new_key_and_a_reset_one_has_a_hole(site, meter):
    registers = day_of(PLAIN)
    begin = next(iter(registers))
    first = {at: each for at, each in registers.items() if at < begin + 48 * 900}
    read(site, meter, first)
    read(site, meter, {at: each for at, each in registers.items() if at not in first})  # another key, the same point
    drawn = series(download(site, PLAIN), DRAWN)
    assert [each[:3] for each in drawn] == [(begin + place * 900, 900, 100) for place in range(96)]
    other = {at + 86_400: (0, used - 90_000) for at, (_, used) in registers.items() if at > begin}
    read(site, meter, other, register_epoch=1)
    next_day = series(download(site, PLAIN + timedelta(days=1)), DRAWN)
    assert next_day[0][0] == begin + 86_400 + 900, "what flowed where the register began anew is not known"
    assert len(next_day) == 95


def test_a_meter_that_was_not_heard_makes_the_rest_questionable(site, meter, add_meter):
    of_dormitory_a(site, add_meter("pv", "gw-1", "generation"))
    read(site, meter, day_of(PLAIN))
    assert {tuple(each[3]) for each in series(download(site, PLAIN), DRAWN)} == {(espi.QUESTIONABLE,)}


def estimate(site, meter, first, end, wh, taken_back=False):
    with site.app.store.write() as session:
        data = {"wallet": site.members["Dormitory A"].wallet, "meter_id": meter.meter_id.hex(), "first_epoch": first,
                "end_epoch": end, "wh": wh, "reason": "dead"}  # fmt: skip
        log.record_act(session, "consumption_estimated", "person-1", site.app.clock(), data)
        session.flush()
        leaf = max(act.log_index for act in session.query(Act))
        if taken_back:
            gone = {"estimate": leaf, "reason": "it was read"}
            log.record_act(session, "estimate_withdrawn", "person-1", site.app.clock(), gone)


def test_an_estimate_is_a_reading_of_its_own_that_says_so(site, meter):
    epoch = midnight(PLAIN, BERLIN) // 900
    estimate(site, meter, epoch + 4, epoch + 8, 750)
    estimate(site, meter, epoch + 8, epoch + 12, 999, taken_back=True)
    estimate(site, meter, epoch - 500, epoch - 400, 111)
    root = download(site, PLAIN)
    assert series(root, ESTIMATED) == [((epoch + 4) * 900, 3_600, 750, [espi.EDITED, espi.ESTIMATED])]
    assert [number(kind, "defaultQuality") for _, kind in resources(root, "ReadingType")] == [17, 17, 8]


@pytest.mark.parametrize("currency", ["EUR", "XAU", ""])
def test_a_bill_is_summed_up_with_its_amount_where_its_money_has_a_number(site, currency):
    home = site.app.home
    home.save(replace(home.settings, billing=BillingSettings(currency=currency)))
    site = replace(site, flask=build_again(site), app=replace(site.app, home=Home.open(home.path)))
    first = midnight(PLAIN, BERLIN) // 900
    lines = (Line("withdrawn", wh=81_200), Line("remainder", wh=21_200, price=300_000, amount=6_361_234),
             Line("estimate", wh=500, price=300_000, amount=150_000))  # fmt: skip
    member = site.members["Dormitory A"]
    with site.app.store.write() as session:
        session.add(BillingPeriod(period=0, first_epoch=first, end_epoch=first + 96, closed_at=1, closed_by="x",
                                  log_index=0, issued_at=1))  # fmt: skip
        bill = Bill(member.wallet, 0, first, first + 96, 900, lines, 0)
        document = bill.document(1, home.network_id)
        issued = IssuedBill(number=1, period=0, wallet=member.wallet, document=document, due=bill.due, log_index=1,
                            sha256=hashlib.sha256(document).digest(), issued_at=1_782_000_000)  # fmt: skip
        session.add(issued)
    ((_, summary),) = resources(download(site, PLAIN), "UsageSummary")
    assert (number(summary, "billingPeriod/start"), number(summary, "billingPeriod/duration")) == (first * 900, 86_400)
    assert number(summary, "overallConsumptionLastPeriod/value") == 81_200
    assert number(summary, "qualityOfReading") == espi.MIXED
    amount, code = summary.findtext(f"{ESPI}billLastPeriod"), summary.findtext(f"{ESPI}currency")
    assert (amount, code) == (("651000", "978") if currency == "EUR" else (None, None))
    assert not resources(download(site, PLAIN + timedelta(days=1)), "UsageSummary")


def build_again(site):
    """The pages over the same store, with the home as it is now."""
    from people_site import application, no_chain

    return application(replace(site.app, home=Home.open(site.app.home.path)), no_chain)


def test_it_names_neither_wallet_nor_person_and_is_the_members_own(site, meter):
    read(site, meter, day_of(PLAIN))
    url = f"/api/v1/me/energy/green-button?from={PLAIN}"
    answer = site.client(MEMBER).get(url)
    assert answer.headers["Content-Disposition"] == f'attachment; filename="green-button-{PLAIN}-{PLAIN}.xml"'
    assert site.members["Dormitory A"].wallet not in answer.text
    assert "member@campus.example" not in answer.text
    assert site.client(DELEGATE).get(url).status_code == 200
    assert site.client(OPERATOR).get(url).status_code == 404
    assert site.client().get(url).status_code == 401
    names = [each.text for each in checked(answer.data).iter(f"{ATOM}id")]
    assert names == [each.text for each in checked(site.client(MEMBER).get(url).data).iter(f"{ATOM}id")]
    program = site.flask.test_client()
    for scope, status in (("energy:read", 200), ("money:read", 403)):
        given = program.get(url, headers={"Authorization": f"Bearer {site.tokens[scope]}"})
        assert given.status_code == status
    assert "/api/v1/me/energy/green-button?from=2026-06-10" in site.client(MEMBER).get(f"/me/energy?day={PLAIN}").text


@pytest.mark.parametrize("query", ["from=2026-01-01&to=2026-12-31", "from=x", "from=2026-06-02&to=2026-06-01"])
def test_a_range_that_is_none_says_so(site, query):
    answer = site.client(MEMBER).get(f"/api/v1/me/energy/green-button?{query}")
    assert (answer.status_code, answer.content_type) == (400, "application/problem+json")


@given(st.lists(st.tuples(st.integers(1, 8), st.booleans()), max_size=60), st.integers(0, 5))
def test_quarters_hold_what_their_pieces_hold_and_never_cross_one(steps, offset):
    """Pieces of a meter that signs every five minutes; where the flag is set, the piece is not known."""
    at, pieces = offset * 300, []
    for length, known in steps:
        if known:
            pieces.append(Piece(at, at + length * 300, length * 300, Flows(0, 0, length, length, 0, 0)))
        at += length * 300
    found = list(quarters(pieces))
    assert sum(each.flows.drawn_wh for each in found) == sum(each.flows.drawn_wh for each in pieces)
    assert [each.measured_seconds for each in found] == [each.end - each.start for each in found]
    for each in found:
        whole = [piece for piece in pieces if each.start <= piece.start and piece.end <= each.end]
        assert sum(piece.flows.drawn_wh for piece in whole) == each.flows.drawn_wh
        assert len(whole) == 1 or each.start // 900 == (each.end - 1) // 900


@pytest.mark.parametrize(
    ("zone", "rules"),
    [
        ("America/New_York", (-18_000, 3_600, "360E2000", "B40E2000")),  # as Green Button's own samples have it
        ("Europe/Berlin", (3_600, 3_600, "3E0E2000", "AE0E3000")),
        ("Europe/Dublin", (0, 3_600, "3E0E1000", "AE0E2000")),
        ("Australia/Sydney", (36_000, 3_600, "A40E2000", "440E3000")),
        ("Australia/Lord_Howe", (37_800, 1_800, "A40E2000", "440E2000")),
        ("Asia/Bangkok", (25_200, 0, espi.NO_DST, espi.NO_DST)),
    ],
)
def test_the_rules_of_summer_time_are_those_of_the_zone(zone, rules):
    assert espi.clock_rules(ZoneInfo(zone), 2026) == rules


@pytest.mark.parametrize(
    "zone", ["America/New_York", "Europe/Berlin", "Australia/Sydney", "America/Santiago", "Africa/Cairo"]
)
def test_a_rule_says_when_the_clock_changes(zone):
    """Each rule is decoded as the schema's comment explains it, and the zone's offset changes there."""
    where = ZoneInfo(zone)
    for year in (2026, 2027):
        standard, saving, *rules = espi.clock_rules(where, year)
        for rule, before, after in zip(rules, (0, saving), (saving, 0), strict=True):
            at = decoded(int(rule, 16), year).replace(tzinfo=UTC) - timedelta(seconds=standard + before)
            for moment, offset in ((at - timedelta(seconds=1), before), (at, after)):
                assert moment.astimezone(where).utcoffset() == timedelta(seconds=standard + offset)


def decoded(rule, year):
    seconds, hours, weekday = rule & 0xFFF, rule >> 12 & 0x1F, rule >> 17 & 0x7
    day, operator, month = rule >> 20 & 0x1F, rule >> 25 & 0x7, rule >> 28
    if operator == 0:
        found = datetime(year, month, day)  # noqa: DTZ001 - what the zone's own clock shows
    else:
        days = [datetime(year, month, 1) + timedelta(days=each) for each in range(31)]  # noqa: DTZ001 - as above
        fit = [each for each in days if each.month == month and each.isoweekday() == weekday]
        found = fit[-1] if operator == 7 else fit[operator - 2]
    return found + timedelta(hours=hours, seconds=seconds)
