"""What a span books and credits, whatever a member does: be silent, send late, change a key, a map or a meter."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
from campus import (
    ACTIVE,
    CLOSED,
    CONSUMER,
    EPOCH_SECONDS,
    PAUSE_SETTLEMENT,
    START,
    SUSPENDED,
    Campus,
    Member,
    Outcome,
    SimulatedMeter,
    key,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.pubkey import Pubkey

from authority.chain import programs
from authority.settlement.surplus import MeterSpan, settle_span, span_kind
from edge_agent.wire.reading import FLAG_DATA_DOUBTFUL, FLAG_ESTIMATED, FLAG_REGISTER_RESET, FLAG_SAMPLED, FLAG_TAMPER

DAY = 96
RETIREMENT_GRACE_EPOCHS = 8


def registry(campus: Campus, name: str, args: dict[str, Any], **accounts: Pubkey) -> Outcome:
    operator = {"operator": campus.operator.pubkey()}
    return campus.send(campus.instruction("registry", name, args, operator | accounts))


def set_meter_status(campus: Campus, member: Member, meter: SimulatedMeter, status: int) -> None:
    registry(campus, "set_meter_status", {"status": status}, user=member.user, meter=meter.meter)


def replace_key(campus: Campus, meter: SimulatedMeter) -> None:
    """A new key for the meter, which signs from now on and numbers its records anew."""
    new = key(f"another key {bytes(meter.key.pubkey()).hex()}")
    named = {
        "operator": campus.operator.pubkey(),
        "meter": meter.meter,
        "key_use": programs.key_use_address(bytes(new.pubkey())),
    }
    instruction = campus.instruction("registry", "replace_meter_key", {"first_sequence": 1}, named)
    campus.send(meter.possession(1, key=new), instruction)
    meter.key, meter.sequence, meter.previous_hash = new, 0, bytes(16)


def set_map(campus: Campus, meter: SimulatedMeter, map_hash: bytes = b"\7" * 32) -> None:
    registry(campus, "set_meter_map", {"map_hash": map_hash}, meter=meter.meter)


def settle_idle(campus: Campus, member: Member, meter: SimulatedMeter, /, **accounts: Pubkey) -> Outcome:
    named = {
        "operator": campus.operator.pubkey(),
        "user": member.user,
        "energy_account": member.energy_account,
        "meter": meter.meter,
        "meter_state": meter.state,
    }
    return campus.send(campus.instruction("oracle", "settle_idle_meter", {}, named | accounts))


def rebase(campus: Campus, meter: SimulatedMeter, boundary: int, registers: Sequence[int]) -> Outcome:
    """Go on from these registers (Wh), by a reading that says so."""
    meter.registers = list(registers)
    frame = meter.read(boundary, flags=FLAG_REGISTER_RESET, register_epoch=meter.register_epoch + 1)
    named = {"operator": campus.operator.pubkey(), "meter": meter.meter, "meter_state": meter.state}
    return campus.send(programs.ed25519_frames([frame]), campus.instruction("oracle", "rebase_meter", {}, named))


def reassign(campus: Campus, meter: SimulatedMeter, giver: Member, taker: Member) -> Outcome:
    named = {"from_user": giver.user, "to_user": taker.user, "meter": meter.meter, "meter_state": meter.state}
    return registry(campus, "reassign_meter", {}, **named)


def account(campus: Campus, member: Member) -> dict[str, Any]:
    return campus.account("oracle", member.energy_account)


@dataclass
class Flat:
    """A consumer with a load meter; a baseline and 1,000 Wh settled by the second boundary."""

    campus: Campus
    member: Member = field(init=False)
    load: SimulatedMeter = field(init=False)

    def __post_init__(self) -> None:
        self.member = self.campus.register_user("tenant", CONSUMER)
        self.load = self.campus.add_meter(self.member, "load", "load")
        self.campus.round(self.member, self.campus.boundary(1), (self.load, (0, 0)))
        self.campus.round(self.member, self.campus.boundary(2), (self.load, (0, 1_000)))

    @property
    def withdrawn(self) -> int:
        return int(account(self.campus, self.member)["withdrawn"])


@pytest.fixture
def flat(campus: Campus) -> Flat:
    return Flat(campus)


# Baselines book what was drawn


def new_key(campus: Campus, flat: Flat) -> list[SimulatedMeter]:
    replace_key(campus, flat.load)
    return []


def new_map(campus: Campus, flat: Flat) -> list[SimulatedMeter]:
    set_map(campus, flat.load)
    return []


def suspended_and_resumed(campus: Campus, flat: Flat) -> list[SimulatedMeter]:
    set_meter_status(campus, flat.member, flat.load, SUSPENDED)
    set_meter_status(campus, flat.member, flat.load, ACTIVE)
    return []


def another_meter(campus: Campus, flat: Flat) -> list[SimulatedMeter]:
    return [campus.add_meter(flat.member, "second load", "load")]


def member_suspended_and_resumed(campus: Campus, flat: Flat) -> list[SimulatedMeter]:
    for status in (SUSPENDED, ACTIVE):
        registry(campus, "set_user_status", {"status": status}, user=flat.member.user)
    return []


CHANGES = [new_key, new_map, suspended_and_resumed, another_meter, member_suspended_and_resumed]


@pytest.mark.finding("chain-7")
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("epochs", [1, 3, 28 * DAY])
def test_no_change_makes_what_was_drawn_free(campus: Campus, flat: Flat, change: Any, epochs: int) -> None:
    """A load meter is silent, then something about it changes: its register went on counting."""
    boundary = campus.boundary(2 + epochs)
    campus.set_time(boundary)
    beside = change(campus, flat)
    campus.submit((flat.load, flat.load.read(boundary, 0, 7_000 * epochs)))
    for meter in beside:
        campus.submit((meter, meter.read(boundary, 0, 3)))
    campus.settle(flat.member, boundary, flat.load, *beside)
    assert flat.withdrawn == 1_000 + 7_000 * epochs


@pytest.mark.finding("chain-7")
def test_a_rebase_keeps_what_the_old_registers_had_risen_by(campus: Campus, flat: Flat) -> None:
    load = flat.load
    campus.set_time(campus.boundary(9))
    campus.submit((load, load.read(campus.boundary(8), 0, 4_000)))
    for n, registers in ((9, (0, 25, 0, 0)), (10, (0, 5, 0, 0))):  # exchanged twice
        campus.set_time(campus.boundary(n))
        rebase(campus, load, campus.boundary(n), registers)
    campus.set_time(campus.boundary(11))
    campus.submit((load, load.read(campus.boundary(11), 0, 300)))
    event = campus.settle(flat.member, campus.boundary(11), load).event("SurplusSettled")
    assert (event["withdrawn"], flat.withdrawn) == (4_300, 5_300)
    campus.round(flat.member, campus.boundary(12), (load, (0, 10)))
    assert flat.withdrawn == 5_310


def test_a_first_reading_books_nothing(campus: Campus) -> None:
    """What the register showed before the meter came to the campus is nobody's."""
    member = campus.register_user("new")
    load = campus.add_meter(member, "load", "load")
    load.registers[1] = 9_000_000
    campus.round(member, campus.boundary(1), (load, (0, 0)))
    assert account(campus, member)["withdrawn"] == 0


@pytest.mark.finding("chain-7")
@pytest.mark.parametrize("first", [True, False], ids=["a member's first settlement", "another meter of a member"])
def test_what_a_meter_drew_since_its_first_reading_is_booked(campus: Campus, flat: Flat, first: bool) -> None:
    """A meter of the member is silent, so nothing settles; another one, newly installed, was read all the while."""
    if first:
        member = campus.register_user("new")
        silent = campus.add_meter(member, "silent", "generation", "solar")
    else:
        member, silent = flat.member, flat.load
    load = campus.add_meter(member, "new load", "load")
    load.registers[1] = 9_000_000  # what it showed before it came to the campus is nobody's
    for n in range(3, 13):
        campus.set_time(campus.boundary(n))
        campus.submit((load, load.read(campus.boundary(n), 0, 100)))
    before = 0 if first else flat.withdrawn
    campus.submit((silent, silent.read(campus.boundary(12))))
    campus.settle(member, campus.boundary(12), silent, load)
    assert account(campus, member)["withdrawn"] - before == 900


# A meter changes hands


def test_a_meter_brings_its_next_owner_nothing_of_the_one_before(campus: Campus, flat: Flat) -> None:
    """It was silent for long before: what it drew until its next reading is nobody's, and the command says so."""
    bob = campus.register_user("bob")
    campus.add_meter(bob, "bobs submeter", "submeter")  # opens the EnergyAccount
    campus.set_time(campus.boundary(7))
    reassign(campus, flat.load, flat.member, bob)
    campus.round(bob, campus.boundary(9), (flat.load, (0, 5_000)))
    assert account(campus, bob)["withdrawn"] == 0
    campus.round(bob, campus.boundary(10), (flat.load, (0, 70)))
    assert (account(campus, bob)["withdrawn"], flat.withdrawn) == (70, 1_000)


@pytest.mark.parametrize("late", [0, 1])
def test_what_a_meter_draws_after_a_handover_is_its_next_owners(campus: Campus, flat: Flat, late: int) -> None:
    """However long it is silent then, where the handover came within netting_epochs of its settlement."""
    bob = campus.register_user("bob")
    campus.add_meter(bob, "bobs submeter", "submeter")
    campus.set_time(campus.boundary(2 + campus.parameters["netting_epochs"]) + late)
    reassign(campus, flat.load, flat.member, bob)
    campus.round(bob, campus.boundary(40), (flat.load, (0, 5_000)))
    assert account(campus, bob)["withdrawn"] == (0 if late else 5_000)
    campus.round(bob, campus.boundary(41), (flat.load, (0, 70)))
    assert (account(campus, bob)["withdrawn"], flat.withdrawn) == (70 if late else 5_070, 1_000)


@pytest.mark.parametrize("settled_at_handover", [False, True])
@pytest.mark.parametrize("known", [True, False])
def test_a_next_owner_gains_nothing_by_holding_its_own_meter_back(
    campus: Campus, flat: Flat, known: bool, settled_at_handover: bool
) -> None:
    """While one of its meters is silent, none is settled; the one that changed hands goes on counting."""
    bob = campus.register_user("bob")
    own = campus.add_meter(bob, "bobs load", "load")
    campus.round(bob, campus.boundary(1), (own, (0, 0)))
    if settled_at_handover:
        campus.round(bob, campus.boundary(2), (own, (0, 0)))
    campus.set_time(campus.boundary(3 if known else 7))
    reassign(campus, flat.load, flat.member, bob)
    for n in range(8, 20):
        campus.set_time(campus.boundary(n))
        campus.submit((flat.load, flat.load.read(campus.boundary(n), 0, 100)))
    campus.submit((own, own.read(campus.boundary(19), 0, 30)))
    campus.settle(bob, campus.boundary(19), own, flat.load)
    assert account(campus, bob)["withdrawn"] == 30 + 100 * (12 if known else 11)


def test_a_reset_as_the_first_reading_after_a_handover_brings_nothing_of_the_one_before(
    campus: Campus, flat: Flat
) -> None:
    bob = campus.register_user("bob")
    campus.add_meter(bob, "bobs submeter", "submeter")
    campus.set_time(campus.boundary(7))
    reassign(campus, flat.load, flat.member, bob)
    campus.set_time(campus.boundary(9))
    rebase(campus, flat.load, campus.boundary(9), (0, 500, 0, 0))
    campus.round(bob, campus.boundary(10), (flat.load, (0, 70)))
    assert (account(campus, bob)["withdrawn"], flat.withdrawn) == (70, 1_000)


@dataclass
class House:
    """A member with solar generation, a battery and a load meter, settled at the first boundary."""

    campus: Campus
    name: str = "alice"
    member: Member = field(init=False)
    solar: SimulatedMeter = field(init=False)
    battery: SimulatedMeter = field(init=False)
    load: SimulatedMeter = field(init=False)

    def __post_init__(self) -> None:
        campus = self.campus
        self.member = campus.register_user(self.name)
        self.solar = campus.add_meter(self.member, f"{self.name} pv", "generation", "solar")
        self.battery = campus.add_meter(self.member, f"{self.name} battery", "storage")
        self.load = campus.add_meter(self.member, f"{self.name} load", "load")
        self.at(1)

    @property
    def meters(self) -> list[SimulatedMeter]:
        return [self.solar, self.battery, self.load]

    def at(self, n: int, g: int = 0, c: int = 0, q: int = 0, d: int = 0, **flags: int) -> dict[str, Any]:
        """Read and settle at the n-th boundary; what was logged."""
        campus, boundary = self.campus, self.campus.boundary(n)
        campus.set_time(max(campus.time, boundary))
        steps = ((self.solar, (g,)), (self.battery, (0, 0, q, d)), (self.load, (0, c)))
        names = ("solar", "battery", "load")
        frames = [
            (meter, meter.read(boundary, *step, flags=flags.get(name, 0)))
            for name, (meter, step) in zip(names, steps, strict=True)
        ]
        campus.submit(*frames)
        return campus.settle(self.member, boundary, *self.meters).event("SurplusSettled")


@pytest.fixture
def house(campus: Campus) -> House:
    return House(campus)


@pytest.mark.finding("chain-7")
def test_a_baseline_books_the_withdrawal_and_credits_nothing(campus: Campus, house: House) -> None:
    for n, (g, c, withdrawn) in enumerate(((500, 900, 400), (900, 500, 0)), 2):
        replace_key(campus, house.load)
        event = house.at(n, g=g, c=c)
        assert (event["minted"], event["withdrawn"], event["bank"], event["kind"]) == (0, withdrawn, 0, 1)
    assert campus.tokens(house.member.energy_tokens) == 0


@pytest.mark.finding("chain-7")
def test_a_meter_that_was_away_books_its_part_on_top(campus: Campus, house: House) -> None:
    """A load meter that was suspended while the others were settled: nothing is netted with what it drew."""
    set_meter_status(campus, house.member, house.load, SUSPENDED)
    extra = campus.add_meter(house.member, "second load", "load")
    for n in (2, 3):
        boundary = campus.boundary(n)
        campus.set_time(boundary)
        campus.submit(
            (house.solar, house.solar.read(boundary, 2_000)),
            (house.battery, house.battery.read(boundary)),
            (extra, extra.read(boundary, 0, 100)),
        )
        campus.settle(house.member, boundary, house.solar, house.battery, extra)
    set_meter_status(campus, house.member, house.load, ACTIVE)
    boundary = campus.boundary(4)
    campus.set_time(boundary)
    campus.submit(
        (house.solar, house.solar.read(boundary, 5_000)),
        (house.battery, house.battery.read(boundary)),
        (house.load, house.load.read(boundary, 0, 3_300)),
    )
    campus.submit((extra, extra.read(boundary, 0, 100)))
    event = campus.settle(house.member, boundary, *house.meters, extra).event("SurplusSettled")
    assert (event["minted"], event["withdrawn"]) == (0, 3_300)


# Long spans


@pytest.mark.finding("chain-8")
def test_a_span_longer_than_netting_epochs_nets_nothing(campus: Campus, house: House) -> None:
    """A week of a load gateway that is silent until its end is no net metering."""
    event = house.at(1 + 7 * DAY, g=56_000, c=56_000)
    assert (event["minted"], event["withdrawn"], event["kind"]) == (0, 56_000, 2)
    assert event["from"] == campus.boundary(1)
    assert house.at(2 + 7 * DAY, g=400)["minted"] == 400


@pytest.mark.finding("chain-8")
@pytest.mark.parametrize(("epochs", "minted", "withdrawn"), [(4, 3_000, 0), (5, 0, 1_000)])
def test_netting_ends_with_netting_epochs(house: House, epochs: int, minted: int, withdrawn: int) -> None:
    event = house.at(1 + epochs, g=4_000, c=1_000)
    assert (event["minted"], event["withdrawn"]) == (minted, withdrawn)


@pytest.mark.finding("chain-8")
def test_a_long_span_counts_what_was_charged_and_empties_the_bank(house: House) -> None:
    assert house.at(2, g=4_000, q=4_000)["bank"] == 3_600
    event = house.at(9, c=100, q=2_000, d=3_000)
    assert (event["minted"], event["withdrawn"], event["bank"]) == (0, 2_100, 0)
    assert house.at(10, d=900)["minted"] == 0


@pytest.mark.finding("chain-8")
def test_back_filled_boundaries_settle_one_by_one(campus: Campus, house: House) -> None:
    """However late they come: as if they had come in time."""
    campus.set_time(campus.boundary(10))
    minted = [house.at(n, g=1_000 * n, c=3_000)["minted"] for n in range(2, 10)]
    assert minted == [max(0, 1_000 * n - 3_000) for n in range(2, 10)]
    assert account(campus, house.member)["withdrawn"] == 1_000


def test_netting_epochs_are_those_of_the_epoch_that_the_span_ends_with(campus: Campus, house: House) -> None:
    args = {"parameters": campus.parameters | {"netting_epochs": 6}, "from_epoch": START // EPOCH_SECONDS + 6}
    campus.send(campus.instruction("governance", "stage_parameters", args, {"authority": campus.authority.pubkey()}))
    campus.set_time(campus.boundary(20))
    assert house.at(6, g=100)["minted"] == 0  # ends with epoch 5, five epochs long
    assert house.at(12, g=100)["minted"] == 100


# Doubtful readings


@pytest.mark.finding("chain-17")
@pytest.mark.parametrize("flag", [FLAG_TAMPER, FLAG_ESTIMATED, FLAG_DATA_DOUBTFUL, FLAG_TAMPER | FLAG_SAMPLED])
@pytest.mark.parametrize("meter", ["solar", "battery", "load"])
def test_a_doubtful_reading_credits_neither_the_span_that_it_ends_nor_the_next(
    house: House, meter: str, flag: int
) -> None:
    event = house.at(2, g=2_000, c=500, **{meter: flag})
    assert (event["minted"], event["withdrawn"]) == (0, 0)
    event = house.at(3, g=500, c=2_000)
    assert (event["minted"], event["withdrawn"]) == (0, 1_500)
    assert house.at(4, g=2_000, c=500)["minted"] == 1_500


@pytest.mark.finding("chain-17")
def test_a_doubtful_reading_between_two_boundaries_counts_too(campus: Campus, house: House) -> None:
    campus.set_time(campus.boundary(3))
    campus.submit((house.load, house.load.read(campus.boundary(2), 0, 5, flags=FLAG_TAMPER)))
    assert house.at(3, g=2_000, c=500)["minted"] == 0
    assert house.at(4, g=2_000, c=500)["minted"] == 1_500


def test_a_flag_that_casts_no_doubt_mints(house: House) -> None:
    assert house.at(2, g=2_000, c=500, solar=FLAG_SAMPLED)["minted"] == 1_500


# Meters that take no part any more


@pytest.mark.finding("chain-15")
def test_a_suspended_meter_is_settled_alone_and_given_away(campus: Campus, flat: Flat, refused) -> None:
    bob = campus.register_user("bob")
    campus.set_time(campus.boundary(9))
    campus.submit((flat.load, flat.load.read(campus.boundary(9), 0, 4_100)))
    set_meter_status(campus, flat.member, flat.load, SUSPENDED)
    with refused("NotAtSettledBoundary"):
        reassign(campus, flat.load, flat.member, bob)
    event = settle_idle(campus, flat.member, flat.load).event("IdleMeterSettled")
    assert (event["withdrawn"], event["to"]) == (4_100, campus.boundary(9))
    assert flat.withdrawn == 5_100
    assert campus.account("oracle", programs.oracle_authority())["withdrawn"] == 5_100
    reassign(campus, flat.load, flat.member, bob)


@pytest.mark.finding("chain-15")
def test_a_suspended_members_meter_is_settled_and_given_away(campus: Campus, flat: Flat) -> None:
    bob = campus.register_user("bob")
    registry(campus, "set_user_status", {"status": SUSPENDED}, user=flat.member.user)
    campus.round(flat.member, campus.boundary(3), (flat.load, (0, 4_100)))
    reassign(campus, flat.load, flat.member, bob)
    assert flat.withdrawn == 5_100


@pytest.mark.finding("chain-7")
def test_a_closed_meter_leaves_nothing_unbilled(campus: Campus, flat: Flat, refused) -> None:
    campus.set_time(campus.boundary(9))
    campus.submit((flat.load, flat.load.read(campus.boundary(9), 0, 4_100)))
    set_meter_status(campus, flat.member, flat.load, CLOSED)
    settle_idle(campus, flat.member, flat.load)
    assert flat.withdrawn == 5_100
    with refused("BoundaryNotRising"):
        settle_idle(campus, flat.member, flat.load)


def test_an_idle_generation_meter_credits_nothing(campus: Campus, house: House) -> None:
    campus.set_time(campus.boundary(2))
    campus.submit((house.solar, house.solar.read(campus.boundary(2), 9_000)))
    set_meter_status(campus, house.member, house.solar, SUSPENDED)
    assert settle_idle(campus, house.member, house.solar).event("IdleMeterSettled")["withdrawn"] == 0
    assert campus.tokens(house.member.energy_tokens) == 0
    # What it measured meanwhile is settled: it does not come back with the meter.
    set_meter_status(campus, house.member, house.solar, ACTIVE)
    assert house.at(3)["minted"] == 0
    assert house.at(4, g=10)["minted"] == 10


def test_an_idle_settlement_wants_what_belongs_together(campus: Campus, flat: Flat, refused) -> None:
    house = House(campus)
    hpc = campus.add_meter(house.member, "hpc", "submeter")
    unread = campus.add_meter(flat.member, "unread", "load")
    with refused("MeterIsActive"):
        settle_idle(campus, flat.member, flat.load)
    with refused("MeterNotSettling"):
        settle_idle(campus, house.member, hpc)
    campus.set_time(campus.boundary(9))
    campus.submit((flat.load, flat.load.read(campus.boundary(9), 0, 5)))
    for meter in (flat.load, unread):
        set_meter_status(campus, flat.member, meter, SUSPENDED)
    with refused("NoReading"):
        settle_idle(campus, flat.member, unread)
    for error, accounts in (
        ("NotOperator", {"operator": campus.authority.pubkey()}),
        ("WrongConfig", {"config": key("other").pubkey()}),
        ("WrongOracle", {"oracle": key("other").pubkey()}),
        ("NotAUser", {"user": key("other").pubkey()}),
        ("MeterOfAnotherUser", {"user": house.member.user}),
        ("WalletMismatch", {"energy_account": house.member.energy_account}),
        ("NotAnEnergyAccount", {"energy_account": key("other").pubkey()}),
        ("NotAMeter", {"meter": key("other").pubkey()}),
        ("StateOfAnotherMeter", {"meter_state": house.load.state}),
        ("NotAMeterState", {"meter_state": key("other").pubkey()}),
    ):
        with refused(error):
            settle_idle(campus, flat.member, flat.load, **accounts)
    campus.set_paused(PAUSE_SETTLEMENT)
    with refused("Paused"):
        settle_idle(campus, flat.member, flat.load)


# Billing periods


def open_next_period(campus: Campus) -> None:
    operator = {"operator": campus.operator.pubkey()}
    campus.send(campus.instruction("governance", "open_billing_period", {}, operator))


@pytest.fixture
def short_periods() -> Campus:
    """Billing periods of 16 epochs."""
    return Campus(parameters={"billing_period_epochs": 16})


@pytest.mark.finding("chain-10")
@pytest.mark.parametrize(("late", "period"), [(0, 0), (7, 0), (8, 1), (15, 1)])
def test_a_late_span_is_booked_where_it_can_be_retired(short_periods: Campus, late: int, period: int) -> None:
    """In the period in which it ended while that takes retirements; then in the open one, which is said."""
    campus = short_periods
    flat = Flat(campus)
    boundary = campus.boundary(16)  # the end of period 0
    campus.set_time(boundary)
    campus.submit((flat.load, flat.load.read(boundary, 0, 500)))
    open_next_period(campus)
    campus.set_time(campus.boundary(16 + late))
    outcome = campus.settle(flat.member, boundary, flat.load)
    assert outcome.event("SurplusSettled")["period"] == period
    found = account(campus, flat.member)
    expected = (1_500, 0) if period == 0 else (1_000, 500)
    assert (found["withdrawals_previous"], found["withdrawals_open"], found["withdrawn"]) == (*expected, 1_500)
    said = [event.data for event in outcome.events if event.name == "LateWithdrawalBooked"]
    assert [(event["withdrawn"], event["period"], event["to"]) for event in said] == (
        [(500, 1, boundary)] if period else []
    )


@pytest.mark.finding("chain-10")
def test_a_span_of_two_periods_ago_is_booked_in_the_open_one(short_periods: Campus) -> None:
    campus = short_periods
    flat = Flat(campus)
    boundary = campus.boundary(15)
    campus.set_time(boundary)
    campus.submit((flat.load, flat.load.read(boundary, 0, 500)))
    for n in (16, 32):
        campus.set_time(campus.boundary(n))
        open_next_period(campus)
    outcome = campus.settle(flat.member, boundary, flat.load)
    assert outcome.event("LateWithdrawalBooked")["period"] == 2
    found = account(campus, flat.member)
    assert (found["withdrawals_previous"], found["withdrawals_open"]) == (0, 500)
    # The first boundary of period 1 is its own.
    boundary = campus.boundary(17)
    campus.submit((flat.load, flat.load.read(boundary, 0, 30)))
    assert campus.settle(flat.member, boundary, flat.load).event("SurplusSettled")["period"] == 1
    assert account(campus, flat.member)["withdrawals_previous"] == 30


# Several members in a transaction


def test_four_members_are_settled_in_a_transaction() -> None:
    campus = Campus()
    houses = [House(campus, f"member {n}") for n in range(4)]
    boundary = campus.boundary(2)
    campus.set_time(boundary)
    for house in houses:
        steps = ((house.solar, (5_000,)), (house.battery, (0, 0, 500)), (house.load, (0, 1_000)))
        campus.submit(*[(meter, meter.read(boundary, *step)) for meter, step in steps])
    instructions = [campus.settle_instruction(house.member, boundary, house.meters) for house in houses]
    table = campus.lookup_table(
        {meta.pubkey: None for instruction in instructions for meta in instruction.accounts if not meta.is_signer}
    )
    outcome = campus.send(*instructions, tables=[table])
    assert [event.data["minted"] for event in outcome.events if event.name == "SurplusSettled"] == [3_500] * 4
    assert outcome.size <= 1_232


# The rule in Python and the program, and what it is for

WH = st.integers(0, 24_000)
MEMBER_EPOCH = st.tuples(WH, WH, WH, WH)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(1, 7), MEMBER_EPOCH, st.sampled_from(["", "", "key", "map", "tamper", "away"])),
        min_size=1,
        max_size=6,
    )
)
def test_program_and_rule_agree(spans: list[tuple[int, tuple[int, int, int, int], str]]) -> None:
    """Spans of any length, after any change, of any energies: as authority.settlement.surplus says."""
    house = House(Campus())
    campus, n, bank, doubt = house.campus, 1, 0, False
    for number, (epochs, (g, c, q, d), what) in enumerate(spans):
        discharge = min(d, q + 40_000)
        charge = min(q, 2 * discharge + 80_000)
        n += epochs
        if what == "key":
            replace_key(campus, house.solar)
        elif what == "map":
            set_map(campus, house.battery, bytes([number]) * 32)
        elif what == "away":
            for status in (SUSPENDED, ACTIVE):
                set_meter_status(campus, house.member, house.load, status)
        tamper = what == "tamper"
        event = house.at(n, g, c, charge, discharge, load=FLAG_TAMPER if tamper else 0)
        kind = span_kind(epochs, 4, unchanged=not what and not doubt)
        meters = [
            MeterSpan("generation", 1, generation=g),
            MeterSpan("storage", 0, 50_000, charge=charge, discharge=discharge),
            MeterSpan("load", consumption=c),
        ]
        span = settle_span(meters, bank, 9_000, kind)
        assert (event["kind"], event["minted"], event["withdrawn"], event["bank"]) == (
            kind,
            span.mint,
            span.withdrawal,
            span.bank,
        )
        bank, doubt = span.bank, tamper
    assert account(campus, house.member)["minted"] <= account(campus, house.member)["surplus"]


@dataclass
class Choice:
    """What a member does with its boundaries: which it sends, and what it changes before it does."""

    solar: set[int]
    """Boundaries at which the generation meter's gateway sends; the last is always among them."""
    load: set[int]
    """The load meter's. Settled is where both did."""
    changed: dict[int, str]


def cost(days: list[tuple[int, int]], choice: Choice, retail: int, worth: int) -> int:
    """What a member pays less what its tokens are worth, on a chain of its own; days are g and c of each epoch."""
    campus = Campus(parameters={"netting_epochs": 1})
    member = campus.register_user("alice")
    solar = campus.add_meter(member, "pv", "generation", "solar")
    load = campus.add_meter(member, "load", "load")
    campus.round(member, campus.boundary(1), (solar, (0,)), (load, (0, 0)))
    meters = [solar, load]
    read = [0, 0]
    for now in range(1, len(days) + 1):
        boundary = campus.boundary(1 + now)
        campus.set_time(boundary)
        for part, (meter, sent) in enumerate(((solar, choice.solar), (load, choice.load))):
            if now in sent:
                step = sum(day[part] for day in days[read[part] : now])
                read[part] = now
                campus.submit((meter, meter.read(boundary, *[0] * part, step)))
        if now not in choice.solar & choice.load:
            continue
        change = choice.changed.get(now, "")
        if change == "key":
            replace_key(campus, load)
        elif change == "map":
            set_map(campus, load, bytes([now]) * 32)
        elif change == "away":
            for status in (SUSPENDED, ACTIVE):
                set_meter_status(campus, member, load, status)
        elif change == "meter":
            meters.append(campus.add_meter(member, f"another {now}", "load"))
        for meter in meters[2:]:
            campus.submit((meter, meter.read(boundary)))
        campus.settle(member, boundary, *meters)
    found = account(campus, member)
    return int(found["withdrawn"] * retail - found["minted"] * worth)


@cache
def _choices(length: int, seed: int) -> Choice:
    rng = random.Random(seed)  # noqa: S311 - a test's choices
    solar, load = ({length, *rng.sample(range(1, length + 1), rng.randrange(length))} for _ in range(2))
    changed = {n: rng.choice(["key", "map", "away", "meter"]) for n in solar & load if rng.random() < 0.3}
    return Choice(solar, load, changed)


@pytest.mark.finding("chain-7")
@pytest.mark.finding("chain-8")
@settings(max_examples=40, deadline=None)
@given(
    days=st.lists(st.tuples(st.integers(0, 9_000), st.integers(0, 9_000)), min_size=2, max_size=8),
    seed=st.integers(0, 10_000),
    worth=st.integers(50, 300),
)
def test_no_choice_leaves_a_member_better_off_than_honest_sending(
    days: list[tuple[int, int]], seed: int, worth: int
) -> None:
    """Whenever it sends, whatever it changes, at any price between feed-in (50) and retail (300): silence never pays.

    Exactly so with netting_epochs 1; with more, a member may net within so many epochs, which is what the parameter
    grants.
    """
    every = set(range(1, len(days) + 1))
    honest = Choice(every, every, {})
    choice = _choices(len(days), seed)
    assert cost(days, choice, 300, worth) >= cost(days, honest, 300, worth)
