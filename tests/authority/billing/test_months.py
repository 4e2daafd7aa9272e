"""Whole months of a site's calendar: steady use, and months in which everything happens that happens to a campus.

An epoch is three quarters of a day, so a month has some forty of them; MONTH_EPOCH_SECONDS=3600 makes it an hour, and
the months long. In the first of the two months the clocks go back. Zone and year are such that one shows with either
length: by summer's time the second month would begin an epoch earlier.
"""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from billing_campus import (
    GRACE_EPOCHS,
    accounts_by_script,
    assert_bills_are,
    assert_bills_are_the_references,
    command_of,
    end_of_period,
    issued,
    sums,
)
from solders.keypair import Keypair
from whole_campus import MAP_HASH, PARAMETERS, Campus, QuickValidator, Wall

from authority.app import App
from authority.billing.calendar import first_epoch_at, month_start
from authority.billing.folding import fold
from authority.billing.history import events_of
from authority.billing.turn import each_epoch
from authority.chain import programs
from authority.chain.artifacts import PROGRAM_NAMES
from authority.cli import main
from authority.governance import acts
from authority.home.settings import BillingSettings, SiteSettings
from authority.log import log
from authority.market.standing_orders import StandingOrder
from authority.store.metering import Meter
from authority.store.settlement import Alert, SettlementEpoch
from edge_agent.wire.command import PENDING
from edge_agent.wire.reading import FLAG_REGISTER_RESET, ZERO_HASH, possession_message

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7_200)]

LENGTH = int(os.environ.get("MONTH_EPOCH_SECONDS", "64800"))
"""Seconds of an epoch."""
ZONE, YEAR = ZoneInfo("Atlantic/Azores"), 2031
MONTHS = {64_800: (42, 40), 3_600: (31 * 24 + 1, 30 * 24)}[LENGTH]
"""Epochs of October and November."""
WALLET_DELAY_EPOCHS = 96
"""Epochs between the proposal of a wallet and its taking over."""
RETAIL, DEARER = PARAMETERS.retail_price, 333_333
PLAN = (
    *Campus.PLAN,
    ("G", "load", "load", "none", 0, 200_000_000, 0),
    ("H", "load", "load", "none", 0, 200_000_000, 0),
)


def first_of(month):
    """The month's first epoch."""
    return first_epoch_at(month_start(YEAR, month, ZONE), LENGTH)


@pytest.fixture
def make_months(tmp_path):
    """Makes campuses whose billing periods are the zone's months; their first period ends with a month."""
    made = []

    def make(lead, plan=Campus.PLAN):
        wall = Wall(now=float((first_of(10) - lead) * LENGTH + 5))
        parameters = replace(PARAMETERS, billing_period_epochs=lead)
        campus = Campus(tmp_path, QuickValidator, wall, LENGTH, parameters, plan)
        made.append(campus)
        settings = campus.home.settings
        campus.home.save(replace(settings, site=SiteSettings(zone=ZONE.key), billing=BillingSettings("month")))
        campus.app.store.close()
        campus.app = App.open(campus.home_path, campus.wall.seconds)
        campus.home = campus.app.home
        return campus

    yield make
    for campus in made:
        campus.close()


class Days:
    """The campus's days: everybody reads at each epoch's end but those who are silent."""

    def __init__(self, campus):
        self.campus = campus
        self.silent = set()
        """Meters that nobody reads: they count on."""
        self.kept = {}
        """Frames that a gateway signs and keeps while its line is down, by meter."""
        self.renew()

    def renew(self):
        """A worker that knows the members and meters of now."""
        self.worker = self.campus.worker(bill=partial(each_epoch, self.campus.app, self.campus.client))

    def until(self, epoch):
        """Epochs go by until that one runs."""
        campus = self.campus
        while campus.epoch < epoch:
            boundary = campus.next_epoch()
            campus.read_all(boundary, but=(*self.silent, *self.kept))
            for name in self.silent:
                for place, step in enumerate(campus.STEPS[name]):
                    campus.meters[name].registers[place] += step
            for name, frames in self.kept.items():
                frames.append(campus.meters[name].read(boundary, *campus.STEPS[name]))
            self.worker.settle_down()

    def deliver(self):
        """The line is up again, and what was kept comes in."""
        for name, frames in self.kept.items():
            for frame in frames:
                self.campus.receive(name, frame)
        self.kept = {}
        self.worker.settle_down()

    def date(self, month, day):
        """Up to a day in the site's zone."""
        self.until(first_epoch_at(int(datetime(YEAR, month, day, tzinfo=ZONE).timestamp()), LENGTH))


def traded(campus, first, end):
    """What was traded in each epoch of [first, end), Wh."""
    with campus.app.store.read() as session:
        rows = session.query(SettlementEpoch).filter(SettlementEpoch.epoch >= first, SettlementEpoch.epoch < end)
        return [row.traded_wh for row in rows.order_by(SettlementEpoch.epoch)]


@pytest.mark.finding("authority-02")
def test_two_months_of_steady_use_trade_the_same_and_a_consumer_holds_nothing_at_the_turn(make_months, capsys):
    campus = make_months(16)
    billing, days = command_of(campus, capsys), Days(campus)
    campus.start_market()
    turns = [first_of(month) for month in (10, 11, 12)]
    for turn in turns:
        days.until(turn)
        assert campus.held("C") == campus.held("D") == 0
    first, second = (traded(campus, turns[n], turns[n + 1]) for n in (0, 1))
    assert (len(first), len(second)) == MONTHS
    assert set(first) == set(second) == {2_900}  # what C and D draw in an epoch
    days.until(turns[2] + GRACE_EPOCHS)
    for period in (0, 1, 2):
        billing("close", period)
        billing("issue", period)
    for name, each in (("C", 300), ("D", 2_600)):
        bills = [issued(campus, period)[name] for period in (1, 2)]
        assert [sums(bill, "wh")["bought"] for bill in bills] == [length * each for length in MONTHS]
        assert [sums(bill, "wh")["withdrawn"] for bill in bills] == [length * each for length in MONTHS]
        assert [bill["due"] for bill in bills] == [0, 0]
    assert_bills_are_the_references(campus, 0, 1, 2)


def replace_key(campus, name):
    """A gateway lost its disk: the meter has a new key, approved in the log and on the chain."""
    meter, key = campus.meters[name], Keypair()
    message = possession_message(
        first_sequence=1, network_id=campus.home.network_id, meter_id=meter.meter_id, map_hash=MAP_HASH
    )
    proof = programs.ed25519_instruction([(message, bytes(key.pubkey()), bytes(key.sign_message(message)))])
    campus.do(
        "registry", "replace_meter_key", {"first_sequence": 1}, before=[proof],
        meter=programs.meter_address(meter.meter_id), key_use=programs.key_use_address(bytes(key.pubkey())),
    )  # fmt: skip
    with campus.app.store.write() as session:
        session.get(Meter, meter.pk).public_key = bytes(key.pubkey())
        approved = {"key": bytes(key.pubkey()).hex(), "meter_id": meter.meter_id.hex(), "first_sequence": 1}
        log.record_act(session, "gateway_approved", "test", campus.wall.seconds(), {"meters": [approved]})
    meter.key, meter.sequence, meter.previous = key, 1, ZERO_HASH


def test_two_months_in_which_everything_happens_and_every_bill_is_the_scripts(make_months, capsys, tmp_path):
    lead = WALLET_DELAY_EPOCHS + 4
    campus = make_months(lead, PLAN)
    billing, credit = command_of(campus, capsys), command_of(campus, capsys, "credits")
    members, meters = command_of(campus, capsys, "members"), command_of(campus, capsys, "meters")
    campus.STEPS = {**campus.STEPS, "D.load": (0, 9_000), "G.load": (0, 1_100), "H.load": (0, 450)}
    campus.start_market()
    campus.standing_order("A", StandingOrder(sell_at=120_000, feed_in_above_wh=2_000))
    for name in "GH":
        campus.standing_order(name, StandingOrder(buy_at=240_000))
        campus.issue_credit(name, 10**9)
    members("replace-wallet", "B", "--reason", "the old one may be known")
    days = Days(campus)
    campus.go_to((campus.epoch + WALLET_DELAY_EPOCHS + 1) * LENGTH + 1)  # nobody has a meter that is read yet
    days.worker.settle_down()

    days.date(10, 1)
    october, november, december = (first_of(month) for month in (10, 11, 12))
    assert (campus.epoch, end_of_period(campus)) == (october, november)
    assert (november - october, december - november) == MONTHS
    days.date(10, 2)
    members("replace-wallet", "B", "--finish", "--reason", "its time has come")
    days.renew()

    days.date(10, 4)  # a member joins, and tops up
    campus.register_member("E")
    campus.register_meter("E", "load", "load", "none", 0, 200_000_000, 0)
    campus.STEPS["E.load"] = (0, 777)
    credit("top-up", "E", 20_000_000, "--reference", "first money")
    campus.standing_order("E", StandingOrder(buy_at=260_000))
    days.renew()

    days.date(10, 6)  # retail gets dearer from the tenth on
    dearer = {**acts.read(campus.client).parameters, "retail_price": DEARER}
    acts.stage(campus.app, campus.client, dearer, campus.epoch + 4 * 86_400 // LENGTH, actor="test")

    days.date(10, 8)  # D's meter is taken out, and another one put in
    meters("retire", "gw_d/load", "--reason", "broken glass")
    del campus.meters["D.load"]
    campus.register_meter("D", "load2", "load", "none", 0, 200_000_000, 0)
    campus.STEPS["D.load2"] = (0, 9_000)
    days.renew()

    days.date(10, 12)  # B's line is down for two days
    days.kept = {"B.wind": [], "B.grid": []}
    days.date(10, 14)
    days.deliver()

    days.date(10, 15)  # H's gateway gets another disk
    replace_key(campus, "H.load")
    days.renew()

    days.date(10, 17)  # E's flat goes to F
    campus.register_member("F")
    meters("reassign", "gw_e/load", "--to", "F", "--reason", "moves in")
    days.renew()
    days.until(campus.epoch + 2)
    credit("pay-out", "E", 1_000_000, "--reference", "moves out")
    members("leave", "E", "--reason", "moves out")
    days.renew()

    days.date(10, 19)
    members("suspend", "G", "--reason", "a quarrel")
    days.date(10, 24)
    members("resume", "G", "--reason", "settled")

    days.date(10, 27)  # C's line goes down, for long; its meter counts on
    dead = campus.epoch
    days.silent = {"C.building"}
    days.until(november + GRACE_EPOCHS)
    for earlier in (0, 1):
        if earlier == 1:
            assert "member_unsettled" in billing("close", 1, status=1)
            estimate = billing(
                "estimate", "add", "C", "--meter", "gw_c/building", "--first-epoch", dead, "--end-epoch", november,
                "--wh", 2_500, "--reason", "no line since the storm",
            )  # fmt: skip
        billing("close", earlier, "--with-gaps")
        billing("issue", earlier)
    first = issued(campus, 1)
    assert set(first) == set("ABCDEFGH")
    assert (first["A"]["first_epoch"], first["A"]["end_epoch"]) == (october, november)
    prices = {line["price"] for line in first["D"]["lines"] if line["kind"] == "remainder"}
    assert DEARER in prices  # what D bought covers what it drew first, so the rest is of the dearer days
    assert prices <= {RETAIL, DEARER}
    assert sums(first["C"], "wh")["estimate"] == 2_500
    assert sums(first["A"], "wh")["fed_in"] > 0
    assert sums(first["B"], "amount")["sold"] < 0
    assert sums(first["E"], "amount")["top_up"] == -20_000_000
    assert sums(first["E"], "amount")["pay_out"] > 1_000_000  # the rest when it left
    assert sums(first["F"], "wh")["withdrawn"] > 0
    assert sums(first["G"], "wh")["remainder"] > 0  # it could not buy while it was suspended

    with campus.app.store.write() as session:  # as it comes about where more is going on
        idls = {name: campus.client.idl(name) for name in PROGRAM_NAMES}
        assert fold(campus.app.store, session, lambda events: events_of(events, idls), at_least=1) > 0
    billing("correct", first["D"]["number"], "--line", 1, "--amount", -7, "--reason", "agreed")
    days.date(11, 12)  # C is read again
    days.silent = set()
    days.date(11, 15)  # G leaves
    meters("retire", "gw_g/load", "--reason", "moves out")
    del campus.meters["G.load"]
    days.renew()
    leaving = ("leave", "G", "--forfeit", "--reason", "moves out")
    assert "in_the_book" in [step["outcome"] for step in members(*leaving, status=PENDING)["steps"]]
    days.until(campus.epoch + 2)
    members(*leaving)
    days.renew()

    days.date(11, 20)  # H's register starts again
    boundary = campus.next_epoch()
    campus.read_all(boundary, but=("H.load",))
    meter = campus.meters["H.load"]
    meter.registers[1], meter.register_epoch = 0, 1
    index = campus.receive("H.load", meter.read(boundary, flags=FLAG_REGISTER_RESET))
    days.worker.settle_down()
    assert main(["settlement", "--home", str(campus.home_path), "rebase", str(index)]) == 0
    days.worker.settle_down()

    days.until(december + GRACE_EPOCHS)
    assert "estimate_overtaken" in billing("close", 2, status=1)
    billing("estimate", "withdraw", estimate["log_index"], "--reason", "measured after all")
    billing("close", 2, "--with-gaps")
    billing("issue", 2)
    second = issued(campus, 2)
    assert (second["A"]["first_epoch"], second["A"]["end_epoch"]) == (november, december)
    assert sums(second["C"], "amount")["estimate_withdrawn"] == -sums(first["C"], "amount")["estimate"]
    assert sums(second["D"], "amount")["correction"] == -7
    assert "E" not in second
    assert sums(second["G"], "amount")["pay_out"] > 0
    assert issued(campus, 1) == first

    script = accounts_by_script(campus, tmp_path / "bundle")
    assert_bills_are(campus, {period: script[period] for period in (0, 1, 2)})
    days.until(campus.epoch + 2)
    assert billing("ledger", "--check")["problems"] == []
    with campus.app.store.read() as session:
        assert [row.code for row in session.query(Alert).filter_by(subject="billing", resolved_at=None)] == []
    capsys.readouterr()
    status = campus.audit()
    printed = capsys.readouterr()
    assert status == 0, printed.out + printed.err
    count = sum(len(issued(campus, period)) for period in (0, 1, 2))
    assert f"bills: {count} computed again" in printed.out
