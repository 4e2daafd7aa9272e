"""oracle.open_meter and submit_readings: what a signed record must keep, one refusal for each breach."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from campus import (
    CLOSED,
    EPOCH_SECONDS,
    PAUSE_READINGS,
    PAUSE_REGISTRATION,
    SUSPENDED,
    TRANSACTION_SIZE,
    Campus,
    Member,
    Outcome,
    Refusal,
    SimulatedMeter,
    idl,
    key,
    readonly,
    unsigned,
    writable,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from authority.chain import programs
from edge_agent.wire.reading import FLAG_BACK_FILLED, FLAG_REGISTER_RESET, KNOWN_FLAGS, Frame, Record

REGISTERS = ("generation", "consumption", "charge", "discharge")


@pytest.fixture
def member(campus: Campus) -> Member:
    return campus.register_user("alice")


@pytest.fixture
def solar(campus: Campus, member: Member) -> SimulatedMeter:
    """A solar generation meter with one accepted reading: sequence 1, at the first boundary, 1,000 Wh."""
    meter = campus.add_meter(member, "pv", "generation", "solar")
    campus.set_time(campus.boundary(1))
    campus.submit((meter, meter.read(campus.boundary(1), 1_000)))
    campus.set_time(campus.boundary(2))
    return meter


def state(campus: Campus, meter: SimulatedMeter) -> dict:
    return campus.account("oracle", meter.state)


# Opening


def test_opening_makes_state_account_and_totals(campus: Campus, member: Member) -> None:
    meter = campus.add_meter(member, "pv", "generation", "solar")
    found = state(campus, meter)
    assert found["meter"] == meter.meter
    assert (found["sequence"], found["interval_end"], found["registers"]) == (0, 0, [0, 0, 0, 0])
    energy = campus.account("oracle", member.energy_account)
    assert (energy["wallet"], energy["boundary"], energy["minted"]) == (member.address, 0, 0)
    assert campus.account("oracle", programs.oracle_authority())["minted"] == 0


def test_a_second_meter_takes_the_same_energy_account(campus: Campus, member: Member) -> None:
    campus.add_meter(member, "pv", "generation", "solar")
    campus.change("oracle", member.energy_account, bank=5, surplus=5)
    campus.add_meter(member, "load", "load")
    assert campus.account("oracle", member.energy_account)["bank"] == 5


def test_a_meter_is_opened_once(campus: Campus, member: Member, solar: SimulatedMeter, refused) -> None:
    with refused("AlreadyOpen"):
        campus.send(campus.open_meter_instruction(solar, member))
    assert state(campus, solar)["sequence"] == 1


@pytest.mark.parametrize(
    ("account", "error"),
    [
        ("config", "WrongConfig"),
        ("oracle", "WrongOracle"),
        ("meter", "NotAMeter"),
        ("user", "NotAUser"),
        ("meter_state", "WrongAddress"),
        ("energy_account", "WrongAddress"),
        ("system_program", "WrongProgram"),
    ],
)
def test_another_account_in_an_opening_is_refused(campus: Campus, member: Member, refused, account, error) -> None:
    installation = campus.register_installation()
    meter = campus.new_meter("pv", "load")
    campus.send(meter.possession(), campus.register_meter_instruction(meter, member, installation))
    with refused(error):
        campus.send(campus.open_meter_instruction(meter, member, **{account: key("other").pubkey()}))


def test_no_account_stands_in_for_the_oracle(campus: Campus, member: Member, refused) -> None:
    """One that is there already would be taken for the Oracle, and none would be made."""
    installation = campus.register_installation()
    meter = campus.new_meter("pv", "load")
    campus.send(meter.possession(), campus.register_meter_instruction(meter, member, installation))
    look_alike = key("look-alike").pubkey()
    data = idl("oracle").account_discriminator("Oracle") + bytes(1_000)
    campus.put(look_alike, data, programs.PROGRAM_IDS["oracle"])
    with refused("WrongOracle"):
        campus.send(campus.open_meter_instruction(meter, member, oracle=look_alike))
    assert campus.svm.get_account(meter.state) is None


def test_a_meter_is_opened_for_its_own_user(campus: Campus, member: Member, refused) -> None:
    bob = campus.register_user("bob")
    installation = campus.register_installation()
    meter = campus.new_meter("pv", "load")
    campus.send(meter.possession(), campus.register_meter_instruction(meter, member, installation))
    with refused("MeterOfAnotherUser"):
        campus.send(campus.open_meter_instruction(meter, bob))
    campus.add_meter(bob, "bobs", "load")
    with refused("WalletMismatch"):
        campus.send(campus.open_meter_instruction(meter, member, energy_account=bob.energy_account))


def test_only_the_operator_opens_and_not_while_paused(campus: Campus, member: Member, refused) -> None:
    installation = campus.register_installation()
    meter = campus.new_meter("pv", "load")
    campus.send(meter.possession(), campus.register_meter_instruction(meter, member, installation))
    stranger = key("stranger")
    campus.svm.airdrop(stranger.pubkey(), 10**10)
    with refused("NotOperator"):
        campus.send(campus.open_meter_instruction(meter, member, operator=stranger.pubkey()), signers=[stranger])
    campus.set_paused(PAUSE_REGISTRATION)
    with refused("Paused"):
        campus.send(campus.open_meter_instruction(meter, member))


def open_energy_account(campus: Campus, member: Member, **accounts: Pubkey) -> Outcome:
    named = {"operator": campus.operator.pubkey(), "user": member.user, "energy_account": member.energy_account}
    return campus.send(campus.instruction("oracle", "open_energy_account", {}, named | accounts))


def test_an_energy_account_is_opened_once_by_the_operator(campus: Campus, member: Member, refused) -> None:
    event = open_energy_account(campus, member).event("EnergyAccountOpened")
    assert event == {"wallet": member.address}
    with refused("AlreadyOpen"):
        open_energy_account(campus, member)
    bob = campus.register_user("bob")
    with refused("WrongAddress"):
        open_energy_account(campus, bob, energy_account=key("other").pubkey())
    with refused("NotAUser"):
        open_energy_account(campus, bob, user=key("other").pubkey())
    with refused("WrongProgram"):
        open_energy_account(campus, bob, system_program=key("other").pubkey())
    with refused("NotOperator"):
        open_energy_account(campus, bob, operator=campus.authority.pubkey())
    with refused("WrongConfig"):
        open_energy_account(campus, bob, config=key("other").pubkey())
    campus.set_paused(PAUSE_REGISTRATION)
    with refused("Paused"):
        open_energy_account(campus, bob)


# Accepting


def test_a_first_reading_sets_the_state(campus: Campus, member: Member) -> None:
    meter = campus.add_meter(member, "pv", "generation", "solar")
    campus.set_time(campus.boundary(1))
    frame = meter.read(campus.boundary(1), 123_456)
    outcome = campus.submit((meter, frame))
    found = state(campus, meter)
    assert found["sequence"] == 1
    assert found["interval_end"] == campus.boundary(1)
    assert found["registers"] == [123_456, 0, 0, 0]
    assert found["hash"] == hashlib.sha256(frame.record_bytes).digest()[:16]
    assert found["settled_end"] == 0
    event = outcome.event("ReadingAccepted")
    assert (event["meter"], event["sequence"], event["baseline"]) == (meter.meter, 1, 1)
    assert event["registers"] == [123_456, 0, 0, 0]


@pytest.mark.finding("chain-4")
@pytest.mark.finding("chain-5")
@pytest.mark.finding("chain-9")
def test_nobody_but_the_operator_carries_readings(campus: Campus, solar: SimulatedMeter, refused) -> None:
    """What the department holds back, has voided or has not passed yet reaches the chain by nobody else's hand."""
    courier = key("courier")
    campus.svm.airdrop(courier.pubkey(), 10**10)
    frames = programs.ed25519_frames([solar.read(campus.boundary(2), 500)])
    named = {"operator": courier.pubkey()}
    instruction = campus.instruction("oracle", "submit_readings", {}, named, solar.pair)
    with refused("NotOperator"):
        campus.send(frames, instruction, payer=courier, signers=[courier])
    ours = campus.submit_instruction([solar])
    with refused("OperatorMustSign"):
        campus.send(frames, unsigned(ours, campus.operator.pubkey()), payer=courier, signers=[courier])
    assert state(campus, solar)["registers"] == [1_000, 0, 0, 0]


def test_a_first_sequence_is_what_was_registered(campus: Campus, member: Member, refused) -> None:
    installation = campus.register_installation()
    meter = campus.new_meter("pv", "load")
    campus.send(
        meter.possession(100), campus.register_meter_instruction(meter, member, installation, first_sequence=100)
    )
    campus.send(campus.open_meter_instruction(meter, member))
    campus.set_time(campus.boundary(1))
    with refused("SequenceBelowFirst"):
        campus.submit((meter, meter.sign(meter.record(campus.boundary(1), sequence=99))))
    campus.submit((meter, meter.read(campus.boundary(1), sequence=100)))
    assert state(campus, meter)["sequence"] == 100


def test_flags_and_back_filling_are_recorded(campus: Campus, solar: SimulatedMeter) -> None:
    campus.set_time(campus.boundary(9))
    campus.submit((solar, solar.read(campus.boundary(2), 1, flags=FLAG_BACK_FILLED)))
    assert state(campus, solar)["flags"] == FLAG_BACK_FILLED


def test_several_readings_of_one_meter_in_a_transaction(campus: Campus, solar: SimulatedMeter) -> None:
    campus.set_time(campus.boundary(5))
    frames = [solar.read(campus.boundary(n), 100) for n in (2, 3, 4)]
    outcome = campus.submit(*[(solar, frame) for frame in frames])
    assert state(campus, solar)["sequence"] == 4
    assert [event.data["sequence"] for event in outcome.events if event.name == "ReadingAccepted"] == [2, 3, 4]


def test_four_readings_fit_a_transaction_with_a_lookup_table(campus: Campus, member: Member) -> None:
    meters = [campus.add_meter(member, f"load {n}", "load") for n in range(4)]
    table = campus.lookup_table(
        [
            programs.config_address(),
            programs.INSTRUCTIONS_SYSVAR,
            *(address for meter in meters for address in (meter.meter, meter.state)),
        ]
    )
    campus.set_time(campus.boundary(1))
    readings = [(meter, meter.read(campus.boundary(1), 0, 10)) for meter in meters]
    outcome = campus.submit(*readings, tables=[table])
    assert outcome.size <= TRANSACTION_SIZE
    assert all(state(campus, meter)["sequence"] == 1 for meter in meters)


def test_three_readings_fit_a_transaction_without_one(campus: Campus, member: Member) -> None:
    meters = [campus.add_meter(member, f"load {n}", "load") for n in range(3)]
    campus.set_time(campus.boundary(1))
    outcome = campus.submit(*[(meter, meter.read(campus.boundary(1), 0, 10)) for meter in meters])
    assert outcome.size <= TRANSACTION_SIZE


def test_a_lost_interval_loses_no_energy(campus: Campus, solar: SimulatedMeter) -> None:
    """A voided record leaves a gap in the sequence; the registers carry its energy."""
    solar.read(campus.boundary(2), 700)
    campus.set_time(campus.boundary(3))
    campus.submit((solar, solar.read(campus.boundary(3), 300)))
    assert state(campus, solar)["registers"] == [2_000, 0, 0, 0]
    assert state(campus, solar)["sequence"] == 3


def test_a_rollover_moves_the_register_epoch_on(campus: Campus, solar: SimulatedMeter) -> None:
    campus.submit((solar, solar.read(campus.boundary(2), 5, register_epoch=1)))
    assert state(campus, solar)["register_epoch"] == 1


# Refusals: the record


def refuse(campus: Campus, refused, error: str, meter: SimulatedMeter, **changes: Any) -> None:
    before = state(campus, meter)
    end = changes.pop("interval_end", campus.boundary(2))
    frame = meter.sign(meter.record(end, **changes))
    with refused(error):
        campus.submit((meter, frame))
    assert state(campus, meter) == before


def other_magic(record: Record, meter: SimulatedMeter) -> Frame:
    data = b"AMR2" + record.to_bytes()[4:]
    return Frame(data, bytes(meter.key.pubkey()), bytes(meter.key.sign_message(data)))


def test_another_magic_is_refused(campus: Campus, solar: SimulatedMeter, refused) -> None:
    with refused("RecordMagic"):
        campus.submit((solar, other_magic(solar.record(campus.boundary(2)), solar)))


def test_another_network_is_refused(campus: Campus, solar: SimulatedMeter, refused) -> None:
    refuse(campus, refused, "RecordNetwork", solar, network_id=bytes(8))


def test_a_replay_is_refused(campus: Campus, solar: SimulatedMeter, refused) -> None:
    frame = solar.read(campus.boundary(2), 10)
    campus.submit((solar, frame))
    with refused("SequenceNotRising"):
        campus.submit((solar, frame))


@pytest.mark.finding("chain-6")
@pytest.mark.parametrize("sequence", [2**32 - 1, 2**31, 1_000, 19])
def test_a_sequence_steps_no_further_than_the_epochs_allow(
    campus: Campus, solar: SimulatedMeter, refused, sequence: int
) -> None:
    """One record an epoch, and sixteen to spare: no record that a key signs takes the numbers from those after it."""
    refuse(campus, refused, "SequenceTooFar", solar, sequence=sequence)
    frame = solar.sign(solar.record(campus.boundary(2), sequence=18))
    campus.submit((solar, frame))
    assert state(campus, solar)["sequence"] == 18


@pytest.mark.finding("chain-6")
def test_a_sequence_steps_as_far_as_the_epochs_allow(campus: Campus, solar: SimulatedMeter, refused) -> None:
    campus.set_time(campus.boundary(1_001))
    for sequence, error in ((1_018, "SequenceTooFar"), (1_017, None)):
        frame = solar.sign(solar.record(campus.boundary(1_001), sequence=sequence))
        if error:
            with refused(error):
                campus.submit((solar, frame))
        else:
            campus.submit((solar, frame))
    assert state(campus, solar)["sequence"] == 1_017


@pytest.mark.finding("chain-6")
def test_a_first_record_cannot_use_up_the_numbers(campus: Campus, member: Member, refused) -> None:
    meter = campus.add_meter(member, "pv", "generation", "solar")
    campus.set_time(campus.boundary(1))
    with refused("SequenceTooFar"):
        campus.submit((meter, meter.sign(meter.record(campus.boundary(1), sequence=35_138))))
    campus.submit((meter, meter.sign(meter.record(campus.boundary(1), sequence=35_137))))


def test_an_older_sequence_is_refused(campus: Campus, solar: SimulatedMeter, refused) -> None:
    refuse(campus, refused, "SequenceNotRising", solar, sequence=1)


def test_a_fork_is_refused(campus: Campus, solar: SimulatedMeter, refused) -> None:
    refuse(campus, refused, "PreviousHash", solar, previous_hash=b"\1" * 16)


def test_a_fork_of_the_past_is_refused(campus: Campus, solar: SimulatedMeter, refused) -> None:
    """Two different records with the same sequence: the second one's time does not rise."""
    campus.submit((solar, solar.read(campus.boundary(2), 10)))
    with refused("SequenceNotRising"):
        campus.submit((solar, solar.sign(solar.record(campus.boundary(2), sequence=2))))


def test_time_must_rise(campus: Campus, solar: SimulatedMeter, refused) -> None:
    refuse(campus, refused, "IntervalNotRising", solar, interval_end=campus.boundary(1))
    refuse(campus, refused, "IntervalNotRising", solar, interval_end=campus.boundary(0))


@pytest.mark.parametrize("offset", [1, EPOCH_SECONDS // 2, EPOCH_SECONDS - 1])
def test_an_interval_off_the_boundary_is_refused(campus: Campus, solar: SimulatedMeter, refused, offset) -> None:
    refuse(campus, refused, "IntervalNotAligned", solar, interval_end=campus.boundary(2) - offset)


@pytest.mark.parametrize("time", [0, -EPOCH_SECONDS])
def test_a_time_that_is_none_is_refused(campus: Campus, solar: SimulatedMeter, refused, time) -> None:
    refuse(campus, refused, "IntervalNotAligned", solar, interval_end=time)


def test_the_future_is_refused_beyond_the_permitted_skew(campus: Campus, solar: SimulatedMeter, refused) -> None:
    campus.set_time(campus.boundary(2) - 11)
    refuse(campus, refused, "IntervalInFuture", solar)
    campus.set_time(campus.boundary(2) - 10)
    campus.submit((solar, solar.read(campus.boundary(2), 1)))


def test_a_falling_register_is_refused(campus: Campus, solar: SimulatedMeter, refused) -> None:
    refuse(campus, refused, "RegisterDecreased", solar, generation=999)


@pytest.mark.parametrize(
    ("role", "source", "permitted"),
    [
        ("building", "solar", (0, 1, 2, 3)),
        ("generation", "wind", (0,)),
        ("storage", "none", (2, 3)),
        ("load", "none", (1,)),
        ("grid", "none", (0, 1)),
        ("submeter", "none", (0, 1, 2, 3)),
    ],
)
def test_only_the_roles_registers_move(campus: Campus, member: Member, refused, role, source, permitted) -> None:
    meter = campus.add_meter(member, "m", role, source)
    campus.set_time(campus.boundary(1))
    campus.submit((meter, meter.read(campus.boundary(1), 5, 5, 5, 5)))
    campus.set_time(campus.boundary(2))
    for index in range(4):
        if index not in permitted:
            frame = meter.sign(meter.record(campus.boundary(2), **{REGISTERS[index]: 6}))
            with refused("RegisterNotPermitted"):
                campus.submit((meter, frame))
    campus.submit((meter, meter.read(campus.boundary(2), *[int(index in permitted) for index in range(4)])))


def test_a_step_beyond_the_nameplate_is_refused(campus: Campus, member: Member, refused) -> None:
    """10 kW in a quarter of an hour is 2,500 Wh, with 10 % tolerance 2,750, and 1 Wh for registers rounded down."""
    installation = campus.register_installation("solar", nameplate_w=10_000, storage_wh=0)
    meter = campus.add_meter(member, "pv", "generation", "solar", installation)
    campus.set_time(campus.boundary(1))
    campus.submit((meter, meter.read(campus.boundary(1))))
    campus.set_time(campus.boundary(4))
    with refused("ExceedsNameplate"):
        campus.submit((meter, meter.sign(meter.record(campus.boundary(2), generation=2_752))))
    campus.submit((meter, meter.read(campus.boundary(2), 2_751)))
    campus.submit((meter, meter.read(campus.boundary(4), 5_501)))
    assert state(campus, meter)["registers"][0] == 8_252


def test_a_building_may_draw_more_than_its_own_plant(campus: Campus, member: Member, refused) -> None:
    installation = campus.register_installation("solar", nameplate_w=1_000, storage_wh=0)
    meter = campus.add_meter(member, "house", "building", "solar", installation)
    campus.set_time(campus.boundary(1))
    campus.submit((meter, meter.read(campus.boundary(1))))
    campus.set_time(campus.boundary(3))
    campus.submit((meter, meter.read(campus.boundary(2), 200, 50_000)))
    with refused("ExceedsNameplate"):
        campus.submit((meter, meter.sign(meter.record(campus.boundary(3), generation=10_000))))
    with refused("ExceedsNameplate"):
        campus.submit((meter, meter.sign(meter.record(campus.boundary(3), consumption=2**60))))


@pytest.mark.parametrize(
    ("charge", "discharge", "accepted"),
    [
        (0, 11_001, True),
        (0, 11_002, False),
        (22_002, 0, True),
        (22_003, 0, False),
        (5_000, 16_001, True),
        (5_000, 16_002, False),
    ],
)
def test_storage_gives_and_takes_no_more_than_it_holds(
    campus: Campus, member: Member, refused, charge, discharge, accepted
) -> None:
    installation = campus.register_installation("storage", storage_wh=10_000, nameplate_w=1_000_000)
    meter = campus.add_meter(member, "battery", "storage", "none", installation)
    campus.set_time(campus.boundary(1))
    campus.submit((meter, meter.read(campus.boundary(1))))
    campus.set_time(campus.boundary(2))
    frame = meter.sign(meter.record(campus.boundary(2), charge=charge, discharge=discharge))
    if accepted:
        campus.submit((meter, frame))
    else:
        with refused("ExceedsStorage"):
            campus.submit((meter, frame))


def test_another_source_is_refused(campus: Campus, solar: SimulatedMeter, refused) -> None:
    refuse(campus, refused, "SourceMismatch", solar, source=2)


@pytest.mark.parametrize("bit", range(9, 16))
def test_unknown_flags_are_refused(campus: Campus, solar: SimulatedMeter, refused, bit) -> None:
    refuse(campus, refused, "UnknownFlags", solar, flags=1 << bit)


def test_a_reset_needs_a_rebase(campus: Campus, solar: SimulatedMeter, refused) -> None:
    refuse(campus, refused, "NeedsRebase", solar, flags=FLAG_REGISTER_RESET)


def test_a_jump_of_the_register_epoch_is_refused(campus: Campus, solar: SimulatedMeter, refused) -> None:
    refuse(campus, refused, "RegisterEpoch", solar, register_epoch=2)
    refuse(campus, refused, "RegisterEpoch", solar, register_epoch=255)


@pytest.mark.parametrize("status", [SUSPENDED, CLOSED])
def test_a_meter_that_takes_no_part_is_refused(campus: Campus, solar: SimulatedMeter, refused, status) -> None:
    campus.change("registry", solar.meter, status=status)
    refuse(campus, refused, "MeterNotActive", solar)


def test_readings_can_be_paused(campus: Campus, solar: SimulatedMeter, refused) -> None:
    campus.set_paused(PAUSE_READINGS)
    refuse(campus, refused, "Paused", solar)


# Refusals: the accounts


def submit_by_operator(campus: Campus, remaining: list[AccountMeta], **accounts: Pubkey) -> Instruction:
    named = {"operator": campus.operator.pubkey()}
    return campus.instruction("oracle", "submit_readings", {}, named | accounts, remaining)


def test_another_meters_state_is_refused(campus: Campus, member: Member, solar: SimulatedMeter, refused) -> None:
    other = campus.add_meter(member, "other", "load")
    frames = programs.ed25519_frames([solar.read(campus.boundary(2), 1)])
    pair = [readonly(solar.meter), writable(other.state)]
    with refused("StateOfAnotherMeter"):
        campus.send(frames, submit_by_operator(campus, pair))


def test_a_look_alike_meter_is_refused(campus: Campus, solar: SimulatedMeter, refused) -> None:
    """The same bytes under another owner: somebody's own Meter with a key of his own."""
    fake = key("fake meter").pubkey()
    campus.put(fake, bytes(campus.svm.get_account(solar.meter).data), programs.SYSTEM_PROGRAM)
    frames = programs.ed25519_frames([solar.read(campus.boundary(2), 1)])
    with refused("NotAMeter"):
        campus.send(frames, submit_by_operator(campus, [readonly(fake), writable(solar.state)]))


def test_a_look_alike_state_is_refused(campus: Campus, solar: SimulatedMeter, refused) -> None:
    fake = key("fake state").pubkey()
    campus.put(fake, bytes(campus.svm.get_account(solar.state).data), programs.PROGRAM_IDS["registry"])
    frames = programs.ed25519_frames([solar.read(campus.boundary(2), 1)])
    with refused("NotAMeterState"):
        campus.send(frames, submit_by_operator(campus, [readonly(solar.meter), writable(fake)]))


def test_a_state_that_is_not_writable_is_refused(campus: Campus, solar: SimulatedMeter, refused) -> None:
    frames = programs.ed25519_frames([solar.read(campus.boundary(2), 1)])
    pair = [readonly(solar.meter), readonly(solar.state)]
    with refused("NotAMeterState"):
        campus.send(frames, submit_by_operator(campus, pair))


def test_an_account_of_another_type_is_no_meter(campus: Campus, member: Member, solar: SimulatedMeter, refused) -> None:
    frames = programs.ed25519_frames([solar.read(campus.boundary(2), 1)])
    pair = [readonly(member.user), writable(solar.state)]
    with refused("NotAMeter"):
        campus.send(frames, submit_by_operator(campus, pair))


def test_half_a_pair_is_refused(campus: Campus, solar: SimulatedMeter, refused) -> None:
    frames = programs.ed25519_frames([solar.read(campus.boundary(2), 1)])
    with refused("AccountsNotPaired"):
        campus.send(frames, submit_by_operator(campus, solar.pair[:1]))


def test_a_meter_may_come_again_and_a_declared_account_may_not(
    campus: Campus, member: Member, solar: SimulatedMeter, refused
) -> None:
    """Readings of two meters that take turns, four in one transaction; each is held against the one before."""
    load = campus.add_meter(member, "turns", "load")
    campus.set_time(campus.boundary(6))
    turns = [(solar, 2), (load, 2), (solar, 3), (load, 3)]
    frames = [(meter, meter.read(campus.boundary(n), *((10,) if meter is solar else (0, 7)))) for meter, n in turns]
    campus.submit(*frames)
    for meter in (solar, load):
        assert campus.account("oracle", meter.state)["interval_end"] == campus.boundary(3)
    frame = programs.ed25519_frames([solar.read(campus.boundary(4), 1)])
    for pair in ([readonly(programs.config_address()), writable(solar.state)], [solar.pair[0], solar.pair[0]]):
        with refused("GivenTwice" if pair[0] != solar.pair[0] else "NotAMeterState"):
            campus.send(frame, submit_by_operator(campus, pair))


@pytest.mark.parametrize(("account", "error"), [("config", "WrongConfig"), ("instructions", "WrongInstructionsSysvar")])
def test_another_singleton_is_refused(campus: Campus, solar: SimulatedMeter, refused, account, error) -> None:
    frames = programs.ed25519_frames([solar.read(campus.boundary(2), 1)])
    accounts = {account: key("other").pubkey()}
    with refused(error):
        campus.send(frames, submit_by_operator(campus, solar.pair, **accounts))


# Any record at all


@settings(max_examples=60, deadline=None)
@given(
    sequence=st.integers(0, 2**32 - 1),
    interval_end=st.integers(-(2**63), 2**63 - 1),
    registers=st.tuples(*[st.integers(0, 2**64 - 1)] * 4),
    source=st.integers(0, 255),
    register_epoch=st.integers(0, 255),
    flags=st.integers(0, 2**16 - 1),
)
def test_hostile_records_never_break_a_state(sequence, interval_end, registers, source, register_epoch, flags) -> None:
    """A stolen key can sign anything: what is accepted keeps the rules, the rest is refused with a code."""
    campus = _campus()
    meter = next(iter(campus.meters.values()))
    before = state(campus, meter)
    record = meter.record(
        interval_end,
        sequence=sequence,
        source=source,
        register_epoch=register_epoch,
        flags=flags,
        **dict(zip(REGISTERS, registers, strict=True)),
    )
    code: int | None = 0
    try:
        campus.submit((meter, meter.sign(record)))
    except Refusal as refusal:
        code = refusal.code
    after = state(campus, meter)
    if code == 0:
        assert after["sequence"] > before["sequence"]
        assert after["registers"][0] >= before["registers"][0]
        assert flags & ~KNOWN_FLAGS == 0
    else:
        assert code is not None
        assert after == before


def _campus() -> Campus:
    campus = Campus()
    meter = campus.add_meter(campus.register_user("alice"), "pv", "generation", "solar")
    campus.set_time(campus.boundary(1))
    campus.submit((meter, meter.read(campus.boundary(1), 1_000)))
    campus.set_time(campus.boundary(100))
    return campus
