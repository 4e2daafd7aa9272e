"""/api/v1/me over a real store: energy out of signed readings, the standing order, bills, tags, and what is refused."""

import csv
import hashlib
import json
import re
from datetime import UTC, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from people_site import build
from sample_market import add_book
from sqlalchemy import select

from authority.api.member import Flows
from authority.billing.bill import CORRECTED, Bill, Line
from authority.billing.calendar import local
from authority.billing.export import COLUMNS
from authority.log import log
from authority.market.policies import standing_orders_by_wallet
from authority.people.roles import MEMBER
from authority.settlement.day_sums import netted
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.log import Act
from authority.store.market import StandingOrderPolicy
from authority.store.metering import Frame, Meter
from authority.store.people import User
from authority.store.settlement import SettlementEpoch
from edge_agent.wire.reading import RECORD_SIZE, Record, record_hash

DAY = 86_400


@pytest.fixture
def store_url():
    return ""


@pytest.fixture
def site(app):
    return build(app)


@pytest.fixture
def ask(site):
    """The member's browser; `ask(path)` is GET, with `method` and a body anything else."""
    client = site.client(MEMBER)
    client.environ_base["HTTP_ACCEPT"] = "application/json"

    def asked(path, method="GET", body=None, headers=()):
        sent = {"X-Form-Token": site.form(MEMBER)["form_token"], **dict(headers)}
        return client.open(f"/api/v1/me{path}", method=method, json=body, headers=sent)

    return asked


def read(site, meter, start, readings, **changes):
    """Store readings of a meter, one each 900 s from start on, each its four registers; None: it missed one."""
    with site.app.store.write() as session:
        session.get_one(Meter, meter.pk).user_id = site.members["Dormitory A"].id
        index = (session.scalar(select(Frame.log_index).order_by(Frame.log_index.desc()).limit(1)) or 0) + 1
        for place, registers in enumerate(readings):
            if registers is None:
                continue
            meter.sequence, meter.registers, meter.interval_end = meter.sequence + 1, registers, start + 900 * place
            frame = meter.frame(**changes)
            session.add(
                Frame(
                    log_index=index + place,
                    meter_pk=meter.pk,
                    public_key=meter.public_key,
                    sequence=meter.sequence,
                    interval_end=meter.interval_end,
                    record_hash=record_hash(frame[:RECORD_SIZE]),
                    frame=frame,
                    verdict="accepted",
                    code="ok",
                    received_at=start,
                    over="mqtt",
                    disposition="accepted",
                )
            )


def test_who_asks(ask, site):
    told = ask("").json
    assert (told["roles"], told["member"]) == ([MEMBER], "Dormitory A")
    assert told["wallet"] == site.members["Dormitory A"].wallet


def test_energy_is_what_the_readings_say_netted_in_each_quarter_and_never_across(ask, site, add_meter, clock):
    pv, load = add_meter("pv", "gw-1", "generation"), add_meter("load", "gw-1", "load", "none")
    read(site, pv, clock.now, [(0, 0, 0, 0), (400, 0, 0, 0), (500, 0, 0, 0)])
    read(site, load, clock.now, [(0, 0, 0, 0), (0, 100, 0, 0), (0, 600, 0, 0)])
    told = ask("/energy").json
    assert (told["zone"], told["meters"], told["meters_heard"], len(told["steps"])) == ("UTC", 2, 2, 96)
    first, second, third = told["steps"][:3]
    assert first["flows"] == {
        "made_wh": 400, "from_battery_wh": 0, "drawn_wh": 0, "used_wh": 100, "into_battery_wh": 0, "given_wh": 300,
    }  # fmt: skip
    assert (second["flows"]["drawn_wh"], second["flows"]["given_wh"]) == (400, 0)
    assert third["flows"] is None
    assert (told["total"]["flows"]["drawn_wh"], told["total"]["flows"]["given_wh"]) == (400, 300)
    assert (first["measured_seconds"], told["total"]["measured_seconds"]) == (900, 1800)
    assert first["starts"] == "2026-06-21T00:00:00+00:00"
    by_day = ask("/energy?step=day&from=2026-06-20&to=2026-06-22").json
    assert [step["flows"] is None for step in by_day["steps"]] == [True, False, True]
    assert by_day["total"]["flows"] == told["total"]["flows"]


def test_a_meter_that_misses_a_boundary_leaves_a_longer_span_and_no_invented_energy(ask, site, add_meter, clock):
    pv, load = add_meter("pv", "gw-1", "generation"), add_meter("load", "gw-1", "load", "none")
    read(site, pv, clock.now, [(0, 0, 0, 0), (400, 0, 0, 0), (500, 0, 0, 0)])
    read(site, load, clock.now, [(0, 0, 0, 0), None, (0, 600, 0, 0)])
    told = ask("/energy").json
    assert told["steps"][0]["flows"] is None
    assert told["steps"][1]["flows"]["used_wh"] == 600
    assert told["total"]["measured_seconds"] <= 1800
    silent = add_meter("more", "gw-1", "load", "none")
    read(site, silent, clock.now, [])
    told = ask("/energy").json
    assert (told["meters"], told["meters_heard"]) == (3, 2)


REGISTERS = st.integers(0, 10_000)


@given(st.lists(st.tuples(st.sampled_from(["generation", "load", "storage"]), REGISTERS, REGISTERS), max_size=6))
def test_flows_always_sum(moves):
    """What comes in goes out, to the watt-hour, whatever the meters and the registers."""
    pairs = []
    for role, one, two in moves:
        after = {"generation": (one, 0, 0, 0), "load": (0, one, 0, 0), "storage": (0, 0, one, two)}[role]
        pairs.append((role, record((0, 0, 0, 0)), record(after)))
    flows = netted(pairs)
    assert flows.made_wh + flows.from_battery_wh + flows.drawn_wh == (
        flows.used_wh + flows.into_battery_wh + flows.given_wh
    )
    assert not flows.drawn_wh or not flows.given_wh
    assert all(getattr(flows, name) >= 0 for name in Flows.__dataclass_fields__)


def record(registers):
    names = ("generation", "consumption", "charge", "discharge")
    fields = {"sequence": 1, "network_id": bytes(8), "interval_end": 900, "interval_seconds": 900, "source": 0}
    return Record(**fields, clock_deviation=0, previous_hash=bytes(32), **dict(zip(names, registers, strict=True)))


def test_a_reset_register_is_not_known(ask, site, add_meter, clock):
    pv = add_meter("pv", "gw-1", "generation")
    read(site, pv, clock.now, [(0, 0, 0, 0)])
    read(site, pv, clock.now + 900, [(400, 0, 0, 0)], register_epoch=1)
    assert ask("/energy").json["total"]["flows"] is None


@pytest.mark.parametrize(
    "query",
    [
        "step=week",
        "from=2026-06-31",
        "from=2026-06-21&to=2026-06-20",
        "step=quarter&from=2026-01-01&to=2026-06-01",
        "from=x",
    ],
)
def test_a_range_that_is_none_says_so(ask, query):
    answer = ask(f"/energy?{query}")
    assert answer.status_code == 400
    assert answer.content_type == "application/problem+json"
    assert {"type", "title", "status", "detail", "code"} <= set(answer.json)


def test_the_standing_order_is_set_paused_and_ended_as_the_command_does(ask, site):
    empty = ask("/standing-order").json
    assert not empty["exists"]
    parameters = site.app.home.settings.parameters
    assert (empty["lowest_price"], empty["highest_price"]) == (parameters.feed_in_price, parameters.retail_price)
    assert empty["worth_buying_up_to"] == parameters.retail_price - parameters.wheeling
    order = {"sell_at": parameters.feed_in_price, "reserve_wh": 500, "paused": True}
    for _ in range(2):
        told = ask("/standing-order", "PUT", order).json
        assert (told["exists"], told["paused"], told["reserve_wh"], told["buy_at"]) == (True, True, 500, None)
    with site.app.store.read() as session:
        assert standing_orders_by_wallet(session) == {}, "settlement passes over an order that rests"
        act = session.scalar(select(Act).where(Act.kind == "standing_order_set").limit(1))
        assert act.actor == site.people[MEMBER].pseudonym
        assert session.scalars(select(StandingOrderPolicy.updated_by)).all() == [site.people[MEMBER].pseudonym]
    going = ask("/standing-order", "PUT", {**order, "paused": False}).json
    assert (going["exists"], going["paused"]) == (True, False)
    with site.app.store.read() as session:
        assert list(standing_orders_by_wallet(session)) == [site.members["Dormitory A"].wallet]
    assert ask("/standing-order", "DELETE").status_code == 204
    again = ask("/standing-order", "DELETE")
    assert (again.status_code, again.json["code"]) == (409, "standing_order_missing")


@pytest.mark.parametrize(
    ("order", "status", "code", "word"),
    [
        ({"sell_at": 500_000}, 409, "standing_order_without_effect", "nothing is ever sold at 500000"),
        ({"buy_at": 1}, 409, "standing_order_without_effect", "nothing is ever bought at 1"),
        ({}, 409, "standing_order_invalid", "sell"),
        ({"sell_at": 0}, 400, "malformed", "sell_at"),
        ({"sell_at": 1.5}, 400, "malformed", "sell_at"),
        ({"sell_at": "200000"}, 400, "malformed", "sell_at"),
        ({"sell_at": True}, 400, "malformed", "sell_at"),
        ({"reserve_wh": -1}, 400, "malformed", "reserve_wh"),
        ({"sel_at": 200_000}, 400, "malformed", "sel_at"),
        ([], 400, "malformed", ""),
    ],
)
def test_an_order_that_cannot_be_is_refused_with_what_is_wrong(ask, order, status, code, word):
    answer = ask("/standing-order", "PUT", order)
    assert (answer.status_code, answer.json["code"]) == (status, code)
    assert word in answer.json["detail"]
    assert not ask("/standing-order").json["exists"]


def test_what_the_chain_would_say_is_told_as_unknown_where_it_is_away(ask):
    for path in ("/balances", "/orders"):
        answer = ask(path)
        assert (answer.status_code, answer.json["code"]) == (503, "chain_away")


def test_bills_are_ones_own(ask, site):
    def issue(number, member):
        document = {"first_epoch": 10, "end_epoch": 20, "epoch_seconds": 900, "number": number, "lines": []}
        with site.app.store.write() as session:
            session.merge(
                BillingPeriod(period=1, first_epoch=10, end_epoch=20, closed_at=1, closed_by="t", log_index=0)
            )
            session.add(
                IssuedBill(
                    number=number,
                    period=1,
                    wallet=site.members[member].wallet,
                    document=json.dumps(document).encode(),
                    sha256=bytes(32),
                    due=-1_500_000,
                    log_index=1,
                    issued_at=1,
                )
            )

    issue(1, "Dormitory A")
    issue(2, "Dormitory B")
    told = ask("/bills").json["bills"]
    assert [(bill["number"], bill["starts_at"], bill["due_micro_credits"]) for bill in told] == [(1, 9_000, -1_500_000)]
    assert ask("/bills/1").json["number"] == 1
    for number in (2, 3):
        assert (ask(f"/bills/{number}").status_code, ask(f"/bills/{number}").json["code"]) == (404, "not_found")


def test_what_has_not_changed_is_not_sent_again(ask):
    first = ask("/standing-order")
    tag = first.headers["ETag"]
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = ask("/standing-order", headers={"If-None-Match": tag})
    assert (again.status_code, again.data) == (304, b"")
    ask("/standing-order", "PUT", {"sell_at": 200_000})
    assert ask("/standing-order", headers={"If-None-Match": tag}).status_code == 200


def test_tokens_are_made_shown_once_and_ended(ask, site):
    made = ask("/tokens", "POST", {"name": "my script", "scopes": ["energy:read"]})
    assert made.status_code == 201
    program = site.flask.test_client()
    bearer = {"Authorization": f"Bearer {made.json['secret']}"}
    assert program.get("/api/v1/me/energy", headers=bearer).status_code == 200
    assert program.get("/api/v1/me/bills", headers=bearer).status_code == 403
    assert made.json["secret"] not in ask("/tokens").text
    assert "my script" in [each["name"] for each in ask("/tokens").json["tokens"]]
    assert ask(f"/tokens/{made.json['token']}", "DELETE").status_code == 204
    assert program.get("/api/v1/me/energy", headers=bearer).status_code == 401
    assert ask("/tokens", "POST", {"name": "x", "scopes": ["all"]}).status_code == 400


def test_the_description_has_every_resource_with_its_answers(site):
    spec = site.flask.test_client().get("/openapi.json").json
    mine = {path: methods for path, methods in spec["paths"].items() if path.startswith("/api/v1/me")}
    assert len(mine) == 48
    for methods in mine.values():
        for operation in methods.values():
            assert operation["summary"]
            assert {"401", "404"} <= set(operation["responses"])


def test_a_preview_counts_the_prices_of_the_last_week(site, clock):
    now = clock.now // 900
    with site.app.store.write() as session:
        week = int(timedelta(days=7).total_seconds()) // 900
        for epoch, price in ((now - week - 1, 250_000), (now - 3, 150_000), (now - 2, 250_000), (now - 1, None)):
            session.add(SettlementEpoch(epoch=epoch, state="checkpointed", first_seen_ms=0, clearing_price=price))
    client = site.client(MEMBER)
    shown = client.post("/me/trading", data=site.form(MEMBER, act="preview", sell_at="0,2", buy_at="0.16")).text
    assert "2 prices, 1 would have let you sell and 1 would have let you buy" in shown
    assert "Nothing is saved yet" in shown
    assert "Sell what I have, at 0.200 credits per kWh or more." in shown
    assert "Nothing yet" in client.get("/me/trading").text


def pages_of(site, path):
    answer = site.client(MEMBER).get(path)
    assert answer.status_code == 200, answer.text
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


def issued(site, number, lines, epochs=(0, 96)):
    """A bill of Dormitory A as it is issued, with its lines."""
    member, app = site.members["Dormitory A"], site.app
    bill = Bill(member.wallet, number, *epochs, 900, tuple(lines), 0)
    document = bill.document(number, app.home.network_id)
    with app.store.write() as session:
        session.add(
            BillingPeriod(
                period=number, first_epoch=epochs[0], end_epoch=epochs[1], closed_at=1, closed_by="t", log_index=0,
                issued_at=1, bills=1, due=bill.due,
            )
        )  # fmt: skip
        session.flush()
        session.add(
            IssuedBill(
                number=number, period=number, wallet=member.wallet, document=document,
                sha256=hashlib.sha256(document).digest(), due=bill.due, log_index=1, issued_at=1,
            )
        )  # fmt: skip


def test_a_bill_says_what_its_lines_correct_and_why_and_a_corrected_one_by_which(site, clock):
    issued(site, 1, [Line("remainder", wh=2_000, price=300_000, amount=600_000, epochs=[[0, 95]])])
    data = {"amount": -150_000, "bill": 1, "line": 1, "reason": "a wrong register"}
    data["wallet"] = site.members["Dormitory A"].wallet
    with site.app.store.write() as session:
        leaf = log.record_act(session, CORRECTED, "treasurer", 5, data)
    assert "Line 1: 0.15 credits less to pay Reason: a wrong register your next bill" in pages_of(site, "/me/bills/1")
    line = Line("correction", amount=-150_000, leaves=[[leaf, leaf]], bill=1, of_line=1, reason="a wrong register")
    estimate = Line("estimate", wh=100, price=300_000, amount=30_000, reason="the meter failed", epochs=[[96, 97]])
    issued(site, 2, [line, estimate], (96, 192))
    told = pages_of(site, "/me/bills/2")
    assert "of bill 1 , line 1 Reason: a wrong register" in told
    assert "Reason: the meter failed" in told
    assert "Corrected later" not in told
    first = site.client(MEMBER).get("/me/bills/1").text
    assert re.search(r'less to pay.*<a href="/me/bills/2">Bill 2</a>', first)


def test_a_line_leads_to_its_own_times_which_without_a_chain_are_not_told(site, clock):
    start = clock.now // 900 - 96 * 40
    issued(site, 1, [Line("withdrawn", wh=2_000, epochs=[[start, start + 3]]), Line("correction", amount=5, bill=1)])
    page = site.client(MEMBER).get("/me/bills/1").text
    assert re.findall(r'href="(/me/bills/1/lines[^"]+)"', page) == ["/me/bills/1/lines/1"], "a correction has no times"
    assert site.client(MEMBER).get("/me/bills/1/lines/1").status_code == 503
    assert site.client(MEMBER).get("/me/bills/1/lines/2").status_code == 404


def test_a_day_a_month_or_a_year_that_runs_is_compared_with_the_same_part_of_the_one_before(site, clock, add_meter):
    noon = clock.now - clock.now % DAY + 12 * 3600
    clock.now = noon
    grown = [(0, 4 * place, 0, 0) for place in range(4 * 36 + 1)]
    read(site, add_meter("load", "gw-9", "load", "none"), noon - 36 * 3600, grown)
    told = pages_of(site, "/me/energy")
    assert "used 0.192 kWh (the day before, up to the same time: 0.000 kWh and 0.192 kWh)." in told
    day = local(noon - DAY, UTC).date().isoformat()
    assert "up to the same time" not in pages_of(site, f"/me/energy?day={day}")


def test_energy_stands_beside_its_money_in_the_table_and_in_what_is_compared(site, clock, add_meter):
    noon = clock.now - clock.now % DAY + 12 * 3600
    clock.now = noon
    with site.app.store.write() as session:
        session.get_one(User, site.members["Dormitory A"].id).member_index = 0
    read(site, add_meter("load", "gw-9", "load", "none"), noon - 4 * 3600, [(0, 4 * n, 0, 0) for n in range(9)])
    bought = [(280_000, 700, 400, 0)]
    for at, price, bids, asks in (
        (noon - DAY - 3 * 3600, 200_000, bought, [(200_000, 400, 400, 1)]),
        (noon - DAY + 3600, 200_000, bought, [(200_000, 400, 400, 1)]),  # later than it is today
        (noon - 4 * 3600, 250_000, [(280_000, 600, 600, 1)], [(200_000, 900, 600, 0)]),
        (noon - 3600, 250_000, [(280_000, 100, 100, 0)], [(200_000, 100, 100, 1)]),  # nothing was read then
    ):
        add_book(site.app, at // 900, price, bids, asks)
    told = pages_of(site, "/me/energy?table=1")
    assert "Sold 0.600 kWh for 0.1485 credits, bought 0.100 kWh for 0.027 credits." in told
    assert "The day before, up to the same time: Sold 0.000 kWh for 0.00 credits, bought 0.400 kWh for 0.088" in told
    day = local(noon, UTC).date().isoformat()
    cells = rows_of(site.client(MEMBER).get(f"/me/energy?day={day}").text)
    assert [row[4:] for row in cells if row[0].startswith("08:00")] == [
        ["0.004 kWh", "0.000 kWh", "0.600 kWh 0.1485", "0.000 kWh 0.00"],
    ]  # fmt: skip
    (unread,) = [row for row in cells if row[0].startswith("11:00")]
    assert unread[1:] == ["proof", *["\N{EN DASH}"] * 4, "0.000 kWh 0.00", "0.100 kWh 0.027"]
    assert "sold 0.600 kWh for 0.1485" in cells[1][0], "on a phone, which has no such columns"
    month = pages_of(site, f"/me/energy?view=month&day={day}")
    assert "bought 0.900 kWh for 0.203 credits" in month


def rows_of(page):
    """The cells of a page's tables, as text."""
    return [
        [" ".join(re.sub(r"<[^>]+>", " ", cell).split()) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    ]


def test_a_day_and_a_month_are_compared_with_those_of_the_year_before(site, clock, add_meter):
    noon = clock.now - clock.now % DAY + 12 * 3600
    today = local(noon, UTC).date()
    year_ago = noon - (today - today.replace(year=today.year - 1)).days * DAY
    clock.now = noon
    meter = add_meter("load", "gw-9", "load", "none")
    read(site, meter, year_ago - 6 * 3600, [(0, 4 * place, 0, 0) for place in range(4 * 12 + 1)])
    read(site, meter, noon - 2 * 3600, [(0, 192 + 4 * place, 0, 0) for place in range(4 * 2 + 1)])
    assert "A year earlier, up to the same time: 0.000 kWh and 0.096 kWh." in pages_of(site, "/me/energy")
    yesterday = local(noon - DAY, UTC).date().isoformat()
    assert "A year earlier" not in pages_of(site, f"/me/energy?day={yesterday}")
    assert "A year earlier, up to the same time" in pages_of(site, "/me/energy?view=month")
    assert "A year earlier" not in pages_of(site, "/me/energy?view=year")
    for odd in ("2024-02-29", "0001-01-01", "1970-01-01", "9999-12-31"):
        for view in ("day", "month"):
            assert site.client(MEMBER).get(f"/me/energy?view={view}&day={odd}").status_code in (200, 400), (odd, view)


def test_a_bill_is_had_as_csv_with_the_scope_of_money(site, clock):
    issued(site, 1, [Line("remainder", wh=2_000, price=300_000, amount=600_000, epochs=[[0, 95]])])
    issued(site, 2, [Line("correction", amount=-150_000, bill=1, of_line=1, reason="=1+1")])
    page = site.client(MEMBER).get("/me/bills/2").text
    assert 'href="/api/v1/me/bills/2.csv"' in page
    program = site.flask.test_client()

    def get(number, scope="money:read"):
        sent = {"Authorization": f"Bearer {site.tokens[scope]}"}
        return program.get(f"/api/v1/me/bills/{number}.csv", headers=sent)

    answer = get(2)
    assert answer.headers["Content-Disposition"] == 'attachment; filename="bill-2.csv"'
    head, row = csv.DictReader(answer.text.splitlines()).fieldnames, next(csv.DictReader(answer.text.splitlines()))
    assert head == list(COLUMNS)
    assert (row["member"], row["kind"], row["corrects_bill"], row["corrects_line"], row["reason"]) == (
        "Dormitory A", "correction", "1", "1", "'=1+1",
    )  # fmt: skip
    assert (row["amount_micro_credits"], row["due_micro_credits"]) == ("-150000", "-150000")
    assert (row["starts"], row["ends"]) == ("1970-01-01T00:00:00+00:00", "1970-01-02T00:00:00+00:00")
    (of_energy,) = csv.DictReader(get(1).text.splitlines())
    assert [of_energy[name] for name in ("energy_wh", "price_micro_credits_per_kwh", "amount_micro_credits")] == [
        "2000", "300000", "600000",
    ]  # fmt: skip
    assert get(2, "energy:read").status_code == 403
    assert (get(3).status_code, get(3).json["code"]) == (404, "not_found")


def test_a_preview_says_about_how_much_it_would_have_come_to(site, clock, add_meter):
    clock.now += 12 * 3_600
    start = clock.now - 4 * 900
    read(site, add_meter("load", "gw-9", "load", "none"), start, [(0, 1_000 * place, 0, 0) for place in range(5)])
    with site.app.store.write() as session:
        for place, price in enumerate((150_000, 250_000, 150_000, 250_000)):
            epoch = start // 900 + place
            session.add(SettlementEpoch(epoch=epoch, state="checkpointed", first_seen_ms=0, clearing_price=price))
    client = site.client(MEMBER)

    def shown(**order):
        answer = client.post("/me/trading", data=site.form(MEMBER, act="preview", **order))
        return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())

    told = shown(buy_at="0.2")
    assert "it would have bought about 3.000 kWh for 0.51 credits, wheeling included. This promises nothing" in told
    assert "it would have traded nothing" in shown(sell_at="0.2")


def test_a_year_s_rows_lead_to_its_months(site, clock, add_meter):
    read(site, add_meter("load", "gw-9", "load", "none"), clock.now - 900, [(0, 0, 0, 0), (0, 40, 0, 0)])
    page = site.client(MEMBER).get("/me/energy?view=year").text
    link = re.search(r'href="(/me/energy[^"]*table=1)"', page)[1].replace("&amp;", "&")
    assert "view=month&day=2026-06-01" in link
    assert "June 2026" in pages_of(site, link)
