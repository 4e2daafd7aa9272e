"""What happens to members and meters in the middle of a billing period: each ends in a right bill.

A campus without trade: whatever is drawn is due at retail, so each bill is the meters' registers times the price. Each
is held against the reference too, which works it out from log and chain alone.
"""

from __future__ import annotations

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

from authority.chain import programs
from authority.chain.accounts import Status
from authority.cli import main
from authority.store.metering import Meter
from authority.store.people import User
from edge_agent.wire.reading import FLAG_REGISTER_RESET

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

RETAIL = 300
"""Micro-credit per Wh."""
PLAN = (
    ("A", "load", "load", "none", 0, 200_000_000, 0),
    ("D", "load", "load", "none", 0, 200_000_000, 0),
)
STEPS = {"A.load": (0, 700), "D.load": (0, 1_000)}


@pytest.fixture
def town(make_campus):
    """Two flats; the first boundary is read, so from now on everything counts."""
    made = make_campus(PLAN)
    made.STEPS = dict(STEPS)
    made.read_all(made.epoch * made.epoch_seconds)
    return made


@pytest.fixture
def worker(town):
    made = town.worker()
    made.settle_down()
    return made


@pytest.fixture
def billing(town, capsys):
    return command_of(town, capsys)


def close_and_issue(town, worker, billing, *options, **reading):
    """The open period ends and is billed; its number."""
    period = billing("periods")[-1]["period"]
    run_epochs(town, worker, end_of_period(town) + GRACE_EPOCHS, **reading)
    billing("close", period, *options)
    billing("issue", period)
    return period


def new_meter(town, user, name):
    town.register_meter(user, name, "load", "none", 0, 200_000_000, 0)
    town.STEPS[f"{user}.{name}"] = STEPS["D.load"]


def drawn(bill):
    return sums(bill, "wh").get("withdrawn", 0)


def epochs_of(bill, kind):
    return next(line["epochs"] for line in bill["lines"] if line["kind"] == kind)


def test_a_member_who_joins_pays_from_its_first_reading_on(town, worker, billing):
    start = town.epoch
    run_epochs(town, worker, start + 5)
    town.register_member("E")
    new_meter(town, "E", "load")
    worker = town.worker()
    joined = town.epoch
    period = close_and_issue(town, worker, billing)
    bills = issued(town, period)
    end = bills["E"]["end_epoch"]
    # its first reading, at the end of the epoch in which it joined, is where its counting begins
    assert epochs_of(bills["E"], "withdrawn") == [[joined + 1, end - 1]]
    assert drawn(bills["E"]) == 1_000 * (end - 1 - joined)
    assert bills["E"]["due"] == drawn(bills["E"]) * RETAIL
    assert drawn(bills["D"]) == 1_000 * (end - start)
    assert_bills_are_the_references(town, period)


def test_a_flat_changes_hands(town, worker, billing):
    """D moves out, E moves in: the meter goes from one to the other at a settled boundary."""
    start = town.epoch
    town.register_member("E")
    run_epochs(town, worker, start + 5)
    handover = town.epoch
    meter = town.meters["D.load"]
    town.do(
        "registry", "reassign_meter", {},
        meter=programs.meter_address(meter.meter_id), from_user=programs.user_address(town.wallets["D"]),
        to_user=programs.user_address(town.wallets["E"]), meter_state=programs.meter_state_address(meter.meter_id),
    )  # fmt: skip
    with town.app.store.write() as session:
        row = session.query(Meter).filter_by(meter_id=meter.meter_id).one()
        row.user_id = session.query(User).filter_by(name="E").one().id
    town.do(
        "oracle", "open_energy_account", {}, user=programs.user_address(town.wallets["E"]),
        energy_account=programs.energy_account_address(town.wallets["E"]),
    )  # fmt: skip
    worker = town.worker()
    period = close_and_issue(town, worker, billing)
    bills = issued(town, period)
    end = bills["E"]["end_epoch"]
    assert epochs_of(bills["D"], "withdrawn") == [[start, handover - 1]]
    assert drawn(bills["D"]) == 1_000 * (handover - start)
    assert epochs_of(bills["E"], "withdrawn") == [[handover, end - 1]]
    assert drawn(bills["E"]) == 1_000 * (end - handover)
    assert_bills_are_the_references(town, period)
    after = close_and_issue(town, worker, billing)
    assert "D" not in issued(town, after)
    assert_bills_are_the_references(town, period, after)


def test_a_member_who_leaves_pays_up_to_its_last_reading_and_gets_a_correction_still(town, worker, billing):
    start = town.epoch
    run_epochs(town, worker, start + 5)
    boundary = town.next_epoch()
    town.read_all(boundary)
    worker.settle_down()
    meter, user = town.meters["D.load"], programs.user_address(town.wallets["D"])
    town.do(
        "registry",
        "set_meter_status",
        {"status": Status.CLOSED},
        user=user,
        meter=programs.meter_address(meter.meter_id),
    )
    town.do("registry", "set_user_status", {"status": Status.CLOSED}, user=user)
    left = town.epoch
    period = close_and_issue(town, town.worker(), billing, "--with-gaps", but=("D.load",))
    bills = issued(town, period)
    assert epochs_of(bills["D"], "withdrawn") == [[start, left - 1]]
    assert bills["D"]["due"] == 1_000 * (left - start) * RETAIL
    billing("correct", bills["D"]["number"], "--line", 1, "--amount", -42, "--reason", "the last register was misread")
    after = close_and_issue(town, town.worker(), billing, "--with-gaps", but=("D.load",))
    assert issued(town, after)["D"]["due"] == -42
    assert_bills_are_the_references(town, period, after)


def test_an_estimate_for_a_dead_line_is_taken_back_when_the_meter_is_read_again(town, worker, billing):
    """D's gateway is silent over the turn; the meter itself went on counting, and tells it later."""
    start = town.epoch
    run_epochs(town, worker, start + 5)
    dead = town.epoch
    end = end_of_period(town)
    run_epochs(town, worker, end + GRACE_EPOCHS, but=("D.load",))
    unsettled = billing("close", 0, "--dry-run")["gaps"]
    assert [gap["code"] for gap in unsettled] == ["member_unsettled"]
    assert "period_has_gaps" in billing("close", 0, status=1)
    entered = ("estimate", "add", "D", "--meter", "gw_d/load", "--first-epoch", dead, "--end-epoch", end)
    assert "meter_of_another" in billing(
        "estimate", "add", "A", *entered[3:], "--wh", 9_000, "--reason", "no line", status=1
    )
    said = (*entered, "--wh", 9_001, "--reason", "the line is down since the storm")
    first = billing(*said)
    assert (first["changed"], billing(*said)["changed"]) == (True, False)
    billing("close", 0, "--with-gaps")
    billing("issue", 0)
    bill = issued(town, 0)["D"]
    assert drawn(bill) == 1_000 * (dead - start)
    assert sums(bill, "wh")["estimate"] == 9_001
    assert bill["due"] == (1_000 * (dead - start) + 9_001) * RETAIL

    # read again: one span longer than netting_epochs, whose whole consumption counts, booked in the open period
    silent = town.epoch - dead
    town.meters["D.load"].registers[1] += 1_000 * silent
    run_epochs(town, worker, end_of_period(town) + GRACE_EPOCHS)
    (overtaken,) = billing("close", 1, "--dry-run")["gaps"]
    assert (overtaken["code"], overtaken["subject"]) == ("estimate_overtaken", f"estimate {first['log_index']}")
    taken = ("estimate", "withdraw", first["log_index"], "--reason", "measured after all")
    assert [billing(*taken)["changed"] for _ in range(2)] == [True, False]
    assert billing("estimate", "list")[0]["withdrawn"] is True
    billing("close", 1)
    billing("issue", 1)
    later = issued(town, 1)["D"]
    assert sums(later, "amount")["estimate_withdrawn"] == -9_001 * RETAIL
    total = bill["due"] + later["due"]
    assert total == 1_000 * (later["end_epoch"] - start) * RETAIL  # every Wh once, at last
    assert_bills_are_the_references(town, 0, 1)


def test_a_meter_is_exchanged_in_the_middle_of_a_period(town, worker, billing, capsys):
    """The old one is read for the last time and taken out; the new one has registers and a key of its own."""
    start = town.epoch
    run_epochs(town, worker, start + 5)
    exchanged = town.epoch
    assert main(["settlement", "--home", str(town.home_path), "take-out", "gw_d/load", "--reason", "broken glass"]) == 0
    old = town.meters.pop("D.load")
    new_meter(town, "D", "load2")
    town.meters["D.load2"].registers[1] = 5
    period = close_and_issue(town, town.worker(), billing)
    bill = issued(town, period)["D"]
    # the epoch of the exchange is the new meter's first reading, from which it counts
    expected = 1_000 * (exchanged - start) + 1_000 * (bill["end_epoch"] - 1 - exchanged)
    assert drawn(bill) == expected
    assert old.registers[1] + town.meters["D.load2"].registers[1] > expected
    assert epochs_of(bill, "withdrawn") == [[start, exchanged - 1], [exchanged + 1, bill["end_epoch"] - 1]]
    assert_bills_are_the_references(town, period)


def test_a_register_that_starts_again_loses_nothing_that_was_measured(town, worker, billing, capsys):
    """The meter is the same, its register fell: a person lets it go on, and what it had risen by is billed."""
    start = town.epoch
    run_epochs(town, worker, start + 5)
    boundary = town.next_epoch()
    town.read_all(boundary, but=("D.load",))
    meter = town.meters["D.load"]
    meter.registers[1], meter.register_epoch = 0, 1
    index = town.receive("D.load", meter.read(boundary, flags=FLAG_REGISTER_RESET))
    worker.settle_down()
    assert main(["settlement", "--home", str(town.home_path), "rebase", str(index)]) == 0
    worker.settle_down()
    period = close_and_issue(town, worker, billing)
    bill = issued(town, period)["D"]
    assert drawn(bill) == 1_000 * (bill["end_epoch"] - start - 1)  # but for the epoch of the reset, which is unknown
    assert_bills_are_the_references(town, period)


@pytest.mark.parametrize("late", [3, GRACE_EPOCHS + 1])
def test_a_late_span_goes_to_its_period_while_that_takes_retirements_and_to_the_open_one_after(
    town, worker, billing, late
):
    """D's frames of the last four epochs come so many epochs after the turn, one by one from the load profile."""
    start, end = town.epoch, end_of_period(town)
    run_epochs(town, worker, end - 4)
    kept = []
    while town.epoch < end + late:
        boundary = town.next_epoch()
        town.read_all(boundary, but=("D.load",))
        kept.append(town.meters["D.load"].read(boundary, *STEPS["D.load"]))
        worker.settle_down()
    for frame in kept:
        town.receive("D.load", frame)
    worker.settle_down()
    run_epochs(town, worker, end + GRACE_EPOCHS + 2)
    billing("close", 0)
    billing("issue", 0)
    in_time = late < GRACE_EPOCHS
    bill = issued(town, 0)["D"]
    assert drawn(bill) == 1_000 * (end - start - (0 if in_time else 4))
    period = close_and_issue(town, worker, billing)
    assert period == 1
    later = issued(town, 1)["D"]
    late_lines = [line for line in later["lines"] if line["kind"] == "late_withdrawal"]
    if in_time:
        assert late_lines == []
    else:
        (line,) = late_lines
        assert (line["wh"], line["of_period"], line["epochs"]) == (4_000, 0, [[end - 4, end - 1]])
        (rest,) = [line for line in later["lines"] if line["kind"] == "remainder" and line["of_period"] == 0]
        assert rest["amount"] == 4_000 * RETAIL
    assert bill["due"] + later["due"] == 1_000 * (later["end_epoch"] - start) * RETAIL
    assert_bills_are_the_references(town, 0, 1)
