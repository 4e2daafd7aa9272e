"""oracle.rebase_meter: other registers, by a record that the meter's key signed and that says so."""

from __future__ import annotations

from typing import Any

import pytest
from campus import EPOCH_SECONDS, PAUSE_READINGS, Campus, Member, Outcome, SimulatedMeter, key, relayed
from solders.pubkey import Pubkey

from authority.chain import programs
from edge_agent.wire.reading import FLAG_REGISTER_RESET, Frame


@pytest.fixture
def member(campus: Campus) -> Member:
    return campus.register_user("alice")


@pytest.fixture
def house(campus: Campus, member: Member) -> SimulatedMeter:
    """A building meter at 10,000 Wh generated and 4,000 Wh consumed, settled at the second boundary."""
    meter = campus.add_meter(member, "house", "building", "solar")
    campus.round(member, campus.boundary(1), (meter, (9_000, 4_000)))
    campus.round(member, campus.boundary(2), (meter, (1_000, 0)))
    campus.set_time(campus.boundary(3))
    return meter


def reset(meter: SimulatedMeter, interval_end: int, *registers: int, **changes: Any) -> Frame:
    meter.registers = list(registers)
    return meter.read(interval_end, **({"flags": FLAG_REGISTER_RESET, "register_epoch": 1} | changes))


def rebase(campus: Campus, meter: SimulatedMeter, frame: Frame, /, **accounts: Pubkey) -> Outcome:
    named = {"operator": campus.operator.pubkey(), "meter": meter.meter, "meter_state": meter.state}
    instruction = campus.instruction("oracle", "rebase_meter", {}, named | accounts)
    return campus.send(programs.ed25519_frames([frame]), instruction)


def test_registers_go_on_from_where_the_new_meter_stands(campus: Campus, member: Member, house: SimulatedMeter) -> None:
    event = rebase(campus, house, reset(house, campus.boundary(3), 7, 3, 0, 0)).event("MeterRebased")
    assert (event["before"], event["after"]) == ([10_000, 4_000, 0, 0], [7, 3, 0, 0])
    state = campus.account("oracle", house.state)
    assert (state["registers"], state["register_epoch"], state["settled_end"]) == ([7, 3, 0, 0], 1, campus.boundary(2))


def test_a_rebase_mints_nothing(campus: Campus, member: Member, house: SimulatedMeter) -> None:
    """Registers that jump up by a rebase are a baseline, not generation."""
    rebase(campus, house, reset(house, campus.boundary(3), 50_000_000, 0, 0, 0))
    event = campus.settle(member, campus.boundary(3), house).event("SurplusSettled")
    assert (event["from"], event["minted"]) == (0, 0)
    outcome = campus.round(member, campus.boundary(4), (house, (250, 0)))
    assert outcome.event("SurplusSettled")["minted"] == 250
    assert campus.tokens(member.energy_tokens) == 1_250


def test_an_ordinary_record_is_no_rebase(campus: Campus, house: SimulatedMeter, refused) -> None:
    with refused("NotARebase"):
        rebase(campus, house, house.sign(house.record(campus.boundary(3), register_epoch=1)))


def test_a_first_reading_is_no_rebase(campus: Campus, refused) -> None:
    meter = campus.add_meter(campus.register_user("bob"), "m", "load")
    campus.set_time(campus.boundary(1))
    with refused("NotARebase"):
        rebase(campus, meter, reset(meter, campus.boundary(1), 0, 5, 0, 0))


@pytest.mark.parametrize("register_epoch", [0, 2, 255])
def test_the_register_epoch_goes_on_by_one(campus: Campus, house: SimulatedMeter, refused, register_epoch) -> None:
    with refused("RegisterEpoch"):
        rebase(campus, house, reset(house, campus.boundary(3), 0, 0, 0, 0, register_epoch=register_epoch))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"sequence": 2}, "SequenceNotRising"),
        ({"previous_hash": b"\1" * 16}, "PreviousHash"),
        ({"network_id": bytes(8)}, "RecordNetwork"),
        ({"source": 2}, "SourceMismatch"),
    ],
    ids=str,
)
def test_a_rebase_keeps_the_other_rules(campus: Campus, house: SimulatedMeter, refused, changes, error) -> None:
    with refused(error):
        rebase(campus, house, reset(house, campus.boundary(3), 0, 0, 0, 0, **changes))


def test_time_rises_on_a_boundary(campus: Campus, house: SimulatedMeter, refused) -> None:
    with refused("IntervalNotRising"):
        rebase(campus, house, reset(house, campus.boundary(2), 0, 0, 0, 0))
    with refused("IntervalInFuture"):
        rebase(campus, house, reset(house, campus.boundary(4), 0, 0, 0, 0, sequence=3))
    with refused("IntervalNotAligned"):
        rebase(campus, house, reset(house, campus.boundary(3) - EPOCH_SECONDS // 2, 0, 0, 0, 0, sequence=3))


def test_the_meters_key_must_have_signed(campus: Campus, house: SimulatedMeter, refused) -> None:
    thief = key("thief")
    frame = reset(house, campus.boundary(3), 0, 0, 0, 0)
    forged = Frame(frame.record_bytes, bytes(thief.pubkey()), bytes(thief.sign_message(frame.record_bytes)))
    with refused("WrongKey"):
        rebase(campus, house, forged)


def test_the_operator_alone_cannot_rebase(campus: Campus, house: SimulatedMeter, refused) -> None:
    named = {"operator": campus.operator.pubkey(), "meter": house.meter, "meter_state": house.state}
    with refused("SignaturesMissing"):
        campus.send(campus.instruction("oracle", "rebase_meter", {}, named))


def test_the_meter_alone_cannot_either(campus: Campus, house: SimulatedMeter, refused) -> None:
    with refused("NotOperator"):
        rebase(campus, house, reset(house, campus.boundary(3), 0, 0, 0, 0), operator=campus.authority.pubkey())


def test_a_rebase_through_a_program_is_refused(campus: Campus, house: SimulatedMeter, refused) -> None:
    frame = reset(house, campus.boundary(3), 0, 0, 0, 0)
    named = {"operator": campus.operator.pubkey(), "meter": house.meter, "meter_state": house.state}
    outer = relayed(campus.add_relay(), campus.instruction("oracle", "rebase_meter", {}, named))
    with refused("ThroughCpi"):
        campus.send(programs.ed25519_frames([frame]), outer)


def test_a_rebase_happens_once(campus: Campus, house: SimulatedMeter, refused) -> None:
    """Replayed, it would set the registers back and let the same energy be counted again."""
    frame = reset(house, campus.boundary(3), 7, 3, 0, 0)
    rebase(campus, house, frame)
    with refused("SequenceNotRising"):
        rebase(campus, house, frame)


@pytest.mark.parametrize(
    ("account", "error"),
    [
        ("config", "WrongConfig"),
        ("instructions", "WrongInstructionsSysvar"),
        ("meter", "NotAMeter"),
        ("meter_state", "NotAMeterState"),
    ],
)
def test_another_account_is_refused(campus: Campus, house: SimulatedMeter, refused, account, error) -> None:
    with refused(error):
        rebase(campus, house, reset(house, campus.boundary(3), 0, 0, 0, 0), **{account: key("other").pubkey()})


def test_another_meters_state_is_refused(campus: Campus, house: SimulatedMeter, refused) -> None:
    other = campus.add_meter(campus.register_user("bob"), "m", "load")
    with refused("StateOfAnotherMeter"):
        rebase(campus, house, reset(house, campus.boundary(3), 0, 0, 0, 0), meter_state=other.state)


def test_a_rebase_is_paused_with_the_readings(campus: Campus, house: SimulatedMeter, refused) -> None:
    campus.set_paused(PAUSE_READINGS)
    with refused("Paused"):
        rebase(campus, house, reset(house, campus.boundary(3), 0, 0, 0, 0))
