"""Whole billing periods: steady use, and a month in which everything happens that happens to a campus."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from billing_campus import (
    GRACE_EPOCHS,
    assert_bills_are_the_references,
    command_of,
    end_of_period,
    issued,
    run_epochs,
    sums,
)

from authority.app import App
from authority.billing.calendar import first_epoch_at, month_start
from authority.billing.turn import each_epoch
from authority.chain import programs
from authority.cli import main
from authority.governance import acts
from authority.home.settings import BillingSettings, SiteSettings
from authority.market.standing_orders import StandingOrder
from authority.store.metering import Meter
from authority.store.people import User
from authority.store.settlement import Alert, SettlementEpoch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3_600)]


def traded(campus, first, end):
    """What was traded in each epoch of [first, end), Wh."""
    with campus.app.store.read() as session:
        rows = session.query(SettlementEpoch).filter(SettlementEpoch.epoch >= first, SettlementEpoch.epoch < end)
        return [row.traded_wh for row in rows.order_by(SettlementEpoch.epoch)]


@pytest.mark.finding("authority-02")
def test_two_periods_of_steady_use_trade_the_same_and_a_consumer_holds_nothing_at_the_turn(campus, billing):
    worker = campus.worker()
    campus.start_market()
    turns = [end_of_period(campus)]
    for _ in range(3):
        run_epochs(campus, worker, turns[-1])
        worker.settle_down()
        assert campus.held("C") == campus.held("D") == 0
        turns.append(end_of_period(campus))
    first, second = (traded(campus, turns[n], turns[n + 1]) for n in (0, 1))
    assert len(first) == len(second) == 16
    assert set(first) == set(second) == {2_900}  # what C and D draw in an epoch
    run_epochs(campus, worker, turns[2] + GRACE_EPOCHS)
    for period in (0, 1, 2):
        billing("close", period)
        billing("issue", period)
    for name, each in (("C", 300), ("D", 2_600)):
        bills = [issued(campus, period)[name] for period in (1, 2)]
        assert [sums(bill, "wh")["bought"] for bill in bills] == [16 * each] * 2
        assert [sums(bill, "wh")["withdrawn"] for bill in bills] == [16 * each] * 2
        assert [bill["due"] for bill in bills] == [0, 0]
    assert_bills_are_the_references(campus, 0, 1, 2)


LENGTH = 64_800
"""An epoch of this campus, seconds: three quarters of a day."""
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def month(settlement_campus, tmp_path):
    """A campus with four epochs in three days, in February 2031, whose billing periods are Berlin's months."""
    module = settlement_campus
    march = first_epoch_at(month_start(2031, 3, BERLIN), LENGTH)
    made = module.Campus(
        tmp_path,
        wall=module.Wall(now=float((march - 16) * LENGTH + 5)),
        epoch_seconds=LENGTH,
        parameters=replace(module.PARAMETERS, billing_period_epochs=16),
    )
    settings = made.home.settings
    made.home.save(replace(settings, site=SiteSettings(zone="Europe/Berlin"), billing=BillingSettings("month")))
    made.app = App.open(made.home_path, made.wall.seconds)
    made.home = made.app.home
    made.next_epoch()
    yield made
    made.close()


class Month:
    """The month's days: `until` lets epochs go by in which everybody reads but those who are silent."""

    def __init__(self, campus):
        self.campus = campus
        self.silent = set()
        self.kept = {}
        self.renew()

    def renew(self):
        """A worker that knows the members and meters of now."""
        self.worker = self.campus.worker(bill=partial(each_epoch, self.campus.app, self.campus.client))

    def until(self, epoch):
        campus = self.campus
        while campus.epoch < epoch:
            boundary = campus.next_epoch()
            campus.read_all(boundary, but=tuple(self.silent))
            for name in self.silent:
                if name in self.kept:
                    self.kept[name].append(campus.meters[name].read(boundary, *campus.STEPS[name]))
                else:  # the meter counts on, and nobody reads it
                    for place, step in enumerate(campus.STEPS[name]):
                        campus.meters[name].registers[place] += step
            self.worker.settle_down()

    def day(self, number):
        """Up to the beginning of the month's day, counted from 1."""
        self.until(self.first + (number - 1) * 86_400 // LENGTH)


def test_a_month_of_a_campus_with_everything_that_happens(month, capsys):
    campus, days = month, Month(month)
    billing, booking = command_of(campus, capsys), command_of(campus, capsys, "credits")
    campus.STEPS = {**campus.STEPS, "D.load": (0, 9_000)}
    campus.start_market()
    campus.standing_order("A", StandingOrder(sell_at=120_000, feed_in_above_wh=3_000))
    days.until(end_of_period(campus))  # the fixed length that the campus began with
    days.worker.settle_down()
    march = billing("periods")[-1]
    days.first = march["first_epoch"]
    assert days.first * LENGTH - month_start(2031, 3, BERLIN) in range(LENGTH)
    assert march["end_epoch"] * LENGTH - month_start(2031, 4, BERLIN) in range(LENGTH)

    days.day(4)  # a member joins, and tops up
    campus.register_member("E")
    campus.register_meter("E", "load", "load", "none", 0, 200_000_000, 0)
    campus.STEPS["E.load"] = (0, 777)
    booking("top-up", "E", 20_000_000, "--reference", "first money")
    campus.standing_order("E", StandingOrder(buy_at=260_000))
    days.renew()

    days.day(6)  # retail gets dearer from the tenth on
    governance = acts.read(campus.client)
    dearer = {**governance.parameters, "retail_price": 333_333}
    acts.stage(campus.app, campus.client, dearer, days.first + 12, actor="test")

    days.day(8)  # D's meter is exchanged
    assert main(["settlement", "--home", str(campus.home_path), "take-out", "gw_d/load", "--reason", "glass"]) == 0
    del campus.meters["D.load"]
    campus.register_meter("D", "load2", "load", "none", 0, 200_000_000, 0)
    campus.STEPS["D.load2"] = (0, 9_000)
    days.renew()

    days.day(12)  # B's line is down for two days; what its meters kept comes afterwards
    days.silent = {"B.wind", "B.grid"}
    days.kept = {"B.wind": [], "B.grid": []}
    days.day(14)
    days.silent = set()
    for name, frames in days.kept.items():
        for frame in frames:
            campus.receive(name, frame)
    days.kept = {}
    days.worker.settle_down()

    days.day(17)  # E's flat goes to F
    campus.register_member("F")
    meter = campus.meters["E.load"]
    campus.do(
        "registry", "reassign_meter", {},
        meter=programs.meter_address(meter.meter_id), from_user=programs.user_address(campus.wallets["E"]),
        to_user=programs.user_address(campus.wallets["F"]), meter_state=programs.meter_state_address(meter.meter_id),
    )  # fmt: skip
    with campus.app.store.write() as session:
        row = session.query(Meter).filter_by(meter_id=meter.meter_id).one()
        row.user_id = session.query(User).filter_by(name="F").one().id
    campus.do(
        "oracle", "open_energy_account", {}, user=programs.user_address(campus.wallets["F"]),
        energy_account=programs.energy_account_address(campus.wallets["F"]),
    )  # fmt: skip
    days.renew()

    days.day(20)
    booking("pay-out", "E", 1_000_000, "--reference", "moves out")
    days.day(27)  # C's line goes down, for a long time; its meter counts on
    dead = campus.epoch
    days.silent = {"C.building"}
    days.until(march["end_epoch"] + GRACE_EPOCHS)

    period = march["period"]
    for earlier in range(period):
        billing("close", earlier)
        billing("issue", earlier)
    assert "member_unsettled" in billing("close", period, status=1)
    estimate = billing(
        "estimate", "add", "C", "--meter", "gw_c/building", "--first-epoch", dead, "--end-epoch", march["end_epoch"],
        "--wh", 2_500, "--reason", "no line since the storm",
    )  # fmt: skip
    billing("close", period, "--with-gaps")
    billing("issue", period)
    bills = issued(campus, period)
    assert set(bills) == set("ABCDEF")
    prices = {line["price"] for line in bills["D"]["lines"] if line["kind"] == "remainder"}
    assert prices == {300_000, 333_333}  # each Wh at the price of its day
    assert sums(bills["C"], "wh")["estimate"] == 2_500
    assert sums(bills["A"], "wh")["fed_in"] > 0
    assert (sums(bills["E"], "amount")["top_up"], sums(bills["E"], "amount")["pay_out"]) == (-20_000_000, 1_000_000)
    assert_bills_are_the_references(campus, *range(period + 1))

    billing("correct", bills["D"]["number"], "--line", 1, "--amount", -7, "--reason", "agreed")
    days.until(march["end_epoch"] + GRACE_EPOCHS + 6)  # C is read again, in April
    days.silent = set()
    days.until(end_of_period(campus) + GRACE_EPOCHS)
    assert "estimate_overtaken" in billing("close", period + 1, status=1)
    billing("estimate", "withdraw", estimate["log_index"], "--reason", "measured after all")
    billing("close", period + 1, "--with-gaps")
    billing("issue", period + 1)
    april = issued(campus, period + 1)
    assert sums(april["C"], "amount")["estimate_withdrawn"] == -sums(bills["C"], "amount")["estimate"]
    assert sums(april["D"], "amount")["correction"] == -7
    assert issued(campus, period) == bills
    assert_bills_are_the_references(campus, *range(period + 2))

    days.until(campus.epoch + 2)
    assert billing("ledger", "--check")["problems"] == []
    with campus.app.store.read() as session:
        assert [row.code for row in session.query(Alert).filter_by(subject="billing", resolved_at=None)] == []
    capsys.readouterr()
    status = campus.audit()
    printed = capsys.readouterr()
    assert status == 0, printed.err
    count = sum(len(issued(campus, each)) for each in range(period + 2))
    assert f"bills: {count} computed again" in printed.out
