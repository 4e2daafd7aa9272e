"""registry over time: delegates, statuses, reassignment, new keys, other maps; what each does to settlement."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from campus import (
    ACTIVE,
    CLOSED,
    LOSSES,
    PAUSE_REGISTRATION,
    SUSPENDED,
    Campus,
    Member,
    Outcome,
    SimulatedMeter,
    approve_instruction,
    key,
    lose,
    unsigned,
    writable,
)
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.chain import programs

DAY = 86_400


@pytest.fixture
def alice(campus: Campus) -> Member:
    return campus.register_user("alice")


@pytest.fixture
def bob(campus: Campus) -> Member:
    return campus.register_user("bob")


def user(campus: Campus, member: Member) -> dict[str, Any]:
    return campus.account("registry", member.user)


def meter_account(campus: Campus, meter: SimulatedMeter) -> dict[str, Any]:
    return campus.account("registry", meter.meter)


# Delegates


def set_delegate(campus: Campus, member: Member, *args: Any, **options: Any) -> Outcome:
    return campus.send(campus.set_delegate_instruction(member, *args, **options), signers=[member.wallet])


def approved(campus: Campus, account: Pubkey) -> tuple[Pubkey | None, int]:
    """A token account's SPL delegate and what it may move."""
    data = bytes(campus.svm.get_account(account).data)
    some = struct.unpack_from("<I", data, 72)[0]
    return (Pubkey.from_bytes(data[76:108]) if some else None), struct.unpack_from("<Q", data, 121)[0]


def test_a_member_names_a_delegate(campus: Campus, alice: Member) -> None:
    helper = key("helper").pubkey()
    until = campus.time + 30 * DAY
    event = set_delegate(campus, alice, helper, until).event("DelegateChanged")
    assert event == {"wallet": alice.address, "delegate": helper, "until": until}
    assert (user(campus, alice)["delegate"], user(campus, alice)["delegate_until"]) == (helper, until)


@pytest.mark.finding("chain-16")
@pytest.mark.parametrize("credit_loss", [None, *LOSSES])
@pytest.mark.parametrize("energy_loss", [None, *LOSSES])
def test_whatever_became_of_the_token_accounts_a_member_names_and_drops_its_delegate(
    campus: Campus, alice: Member, energy_loss: str | None, credit_loss: str | None
) -> None:
    helper, until = key("helper").pubkey(), campus.time + DAY
    set_delegate(campus, alice, key("another helper").pubkey(), until)
    for asset, loss in enumerate((energy_loss, credit_loss)):
        if loss is not None:
            lose(campus, alice, asset, loss)
    set_delegate(campus, alice, helper, until)
    assert (user(campus, alice)["delegate"], user(campus, alice)["delegate_until"]) == (helper, until)
    set_delegate(campus, alice, Pubkey.default(), 0)
    assert (user(campus, alice)["delegate"], user(campus, alice)["delegate_until"]) == (Pubkey.default(), 0)


@pytest.mark.finding("chain-16")
def test_an_approval_to_somebody_else_hinders_no_delegation(campus: Campus, alice: Member) -> None:
    thief = key("thief").pubkey()
    metas = [writable(alice.energy_tokens), AccountMeta(thief, False, False), AccountMeta(alice.address, True, False)]
    campus.send(Instruction(programs.TOKEN_PROGRAM, struct.pack("<BQ", 4, 7), metas), signers=[alice.wallet])
    set_delegate(campus, alice, key("helper").pubkey(), campus.time + DAY)
    set_delegate(campus, alice, Pubkey.default(), 0)
    assert approved(campus, alice.energy_tokens) == (thief, 7)


def test_what_a_member_approves_at_spl_token_stays_its_own(campus: Campus, alice: Member) -> None:
    """Neither naming a delegate nor dropping it approves or revokes anything."""
    market = programs.market_address()
    campus.send(approve_instruction(alice, alice.energy_tokens, 100), signers=[alice.wallet])
    for delegate, until in ((key("helper").pubkey(), campus.time + DAY), (Pubkey.default(), 0)):
        set_delegate(campus, alice, delegate, until)
        assert approved(campus, alice.energy_tokens) == (market, 100)
        assert approved(campus, alice.credit_tokens) == (None, 0)


@pytest.mark.parametrize("days", [0, 2])
def test_a_delegate_moves_nothing_by_itself(campus: Campus, alice: Member, bob: Member, refused, days: int) -> None:
    """Neither within its term nor past it: SPL Token does not know it."""
    helper = key("helper")
    set_delegate(campus, alice, helper.pubkey(), campus.time + DAY)
    credit(campus, alice, 200)
    campus.set_time(campus.time + days * DAY)
    transfer = Instruction(
        programs.TOKEN_PROGRAM,
        struct.pack("<BQ", 3, 1),
        [writable(alice.credit_tokens), writable(bob.credit_tokens), AccountMeta(helper.pubkey(), True, False)],
    )
    with refused("InstructionErrorCustom(4)"):  # OwnerMismatch
        campus.send(transfer, signers=[helper])


def credit(campus: Campus, member: Member, amount: int) -> None:
    accounts = {
        "operator": campus.operator.pubkey(),
        "user": member.user,
        "credit_token_account": member.credit_tokens,
    }
    campus.send(campus.instruction("energy_token", "issue_credit", {"amount": amount}, accounts))


def test_a_member_removes_its_delegate(campus: Campus, alice: Member) -> None:
    set_delegate(campus, alice, key("helper").pubkey(), campus.time + DAY)
    event = set_delegate(campus, alice, Pubkey.default(), 0).event("DelegateChanged")
    assert event == {"wallet": alice.address, "delegate": Pubkey.default(), "until": 0}
    assert (user(campus, alice)["delegate"], user(campus, alice)["delegate_until"]) == (Pubkey.default(), 0)


@pytest.mark.parametrize("term", [0, -1, 366 * DAY + 1])
def test_a_delegation_ends_within_a_year(campus: Campus, alice: Member, refused, term) -> None:
    with refused("DelegationTermOutOfBounds"):
        set_delegate(campus, alice, key("helper").pubkey(), campus.time + term)


def test_nobody_is_its_own_delegate(campus: Campus, alice: Member, refused) -> None:
    with refused("DelegationTermOutOfBounds"):
        set_delegate(campus, alice, alice.address, campus.time + DAY)


def test_nobody_else_names_a_members_delegate(campus: Campus, alice: Member, bob: Member, refused) -> None:
    instruction = campus.set_delegate_instruction(alice, bob.address, campus.time + DAY, wallet=bob.address)
    with refused("NotWallet"):
        campus.send(instruction, signers=[bob.wallet])


def test_the_wallet_itself_must_sign(campus: Campus, alice: Member, refused) -> None:
    instruction = campus.set_delegate_instruction(alice, key("helper").pubkey(), campus.time + DAY)
    with refused("NotWallet"):
        campus.send(unsigned(instruction, alice.address))


def test_a_suspended_member_names_no_delegate(campus: Campus, alice: Member, refused) -> None:
    campus.change("registry", alice.user, status=SUSPENDED)
    with refused("UserNotActive"):
        set_delegate(campus, alice, key("helper").pubkey(), campus.time + DAY)


@pytest.mark.parametrize("status", [SUSPENDED, CLOSED])
def test_whoever_takes_no_part_still_removes_its_delegate(campus: Campus, alice: Member, status: int) -> None:
    set_delegate(campus, alice, key("helper").pubkey(), campus.time + DAY)
    campus.change("registry", alice.user, status=status)
    set_delegate(campus, alice, Pubkey.default(), 0)
    assert user(campus, alice)["delegate"] == Pubkey.default()


def test_another_account_as_the_user_of_a_delegation_is_refused(campus: Campus, alice: Member, refused) -> None:
    with refused("NotAUser"):
        set_delegate(campus, alice, key("helper").pubkey(), campus.time + DAY, user=key("other").pubkey())


# A member's status


def set_user_status(campus: Campus, member: Member, status: int, signer: Keypair | None = None) -> Outcome:
    operator = signer or campus.operator
    accounts = {"operator": operator.pubkey(), "user": member.user}
    instruction = campus.instruction("registry", "set_user_status", {"status": status}, accounts)
    return campus.send(instruction, signers=[operator])


def test_a_member_is_suspended_and_comes_back(campus: Campus, alice: Member) -> None:
    event = set_user_status(campus, alice, SUSPENDED).event("UserStatusChanged")
    assert event == {"wallet": alice.address, "before": ACTIVE, "after": SUSPENDED}
    assert user(campus, alice)["status"] == SUSPENDED
    set_user_status(campus, alice, ACTIVE)
    assert user(campus, alice)["status"] == ACTIVE


def test_a_member_closes_for_ever_and_without_meters(campus: Campus, alice: Member, refused) -> None:
    meter = campus.add_meter(alice, "hpc", "submeter")
    with refused("UserHasMeters"):
        set_user_status(campus, alice, CLOSED)
    set_meter_status(campus, alice, meter, CLOSED)
    set_user_status(campus, alice, CLOSED)
    with refused("StatusClosed"):
        set_user_status(campus, alice, ACTIVE)


def test_statuses_that_make_no_sense_are_refused(campus: Campus, alice: Member, refused) -> None:
    for status in (0, 4):
        with refused("UnknownStatus"):
            set_user_status(campus, alice, status)
    with refused("StatusUnchanged"):
        set_user_status(campus, alice, ACTIVE)
    with refused("NotOperator"):
        set_user_status(campus, alice, SUSPENDED, campus.authority)


# A meter's status


def set_meter_status(
    campus: Campus, member: Member, meter: SimulatedMeter, status: int, signer: Keypair | None = None
) -> Outcome:
    operator = signer or campus.operator
    accounts = {"operator": operator.pubkey(), "user": member.user, "meter": meter.meter}
    instruction = campus.instruction("registry", "set_meter_status", {"status": status}, accounts)
    return campus.send(instruction, signers=[operator])


def test_a_suspended_meter_leaves_the_set_and_returns_to_a_free_slot(campus: Campus, alice: Member) -> None:
    solar = campus.add_meter(alice, "pv", "generation", "solar")
    first, second = (campus.add_meter(alice, f"load {n}", "load") for n in range(2))
    set_meter_status(campus, alice, first, SUSPENDED)
    found = user(campus, alice)
    assert (found["settling_meters"], found["load_meters"]) == (0b101, 1)
    assert meter_account(campus, first)["slot"] == 255
    set_meter_status(campus, alice, solar, SUSPENDED)
    assert user(campus, alice)["source_meters"] == 0
    set_meter_status(campus, alice, first, ACTIVE)
    assert meter_account(campus, first)["slot"] == 0
    assert user(campus, alice)["settling_meters"] == 0b101
    assert meter_account(campus, first)["generation"] == 2
    assert meter_account(campus, second)["slot"] == 2


def test_suspending_a_load_meter_credits_nothing_for_the_span(campus: Campus, alice: Member) -> None:
    """Without it the surplus would be overstated: the set has changed, so the span is a baseline."""
    solar = campus.add_meter(alice, "pv", "generation", "solar")
    loads = [campus.add_meter(alice, f"load {n}", "load") for n in range(2)]
    campus.round(alice, campus.boundary(1), (solar, (0,)), (loads[0], (0, 0)), (loads[1], (0, 0)))
    set_meter_status(campus, alice, loads[0], SUSPENDED)
    outcome = campus.round(alice, campus.boundary(2), (solar, (5_000,)), (loads[1], (0, 100)))
    assert outcome.event("SurplusSettled")["minted"] == 0
    outcome = campus.round(alice, campus.boundary(3), (solar, (5_000,)), (loads[1], (0, 100)))
    assert outcome.event("SurplusSettled")["minted"] == 4_900


def test_a_closed_meter_stays_closed(campus: Campus, alice: Member, refused) -> None:
    meter = campus.add_meter(alice, "load", "load")
    set_meter_status(campus, alice, meter, CLOSED)
    with refused("StatusClosed"):
        set_meter_status(campus, alice, meter, ACTIVE)


def test_a_meter_comes_back_only_to_a_set_that_settles(campus: Campus, alice: Member, refused) -> None:
    load = campus.add_meter(alice, "load", "load")
    set_meter_status(campus, alice, load, SUSPENDED)
    campus.add_meter(alice, "grid", "grid")
    with refused("LoadOrGridMeters"):
        set_meter_status(campus, alice, load, ACTIVE)


def test_impossible_statuses_of_a_meter_are_refused(campus: Campus, alice: Member, bob: Member, refused) -> None:
    meter = campus.add_meter(alice, "load", "load")
    with refused("UnknownStatus"):
        set_meter_status(campus, alice, meter, 9)
    with refused("StatusUnchanged"):
        set_meter_status(campus, alice, meter, ACTIVE)
    with refused("MeterOfAnother"):
        set_meter_status(campus, bob, meter, SUSPENDED)
    with refused("NotOperator"):
        set_meter_status(campus, alice, meter, SUSPENDED, campus.authority)
    set_meter_status(campus, alice, meter, SUSPENDED)
    set_user_status(campus, alice, SUSPENDED)
    with refused("MeterOfInactiveUser"):
        set_meter_status(campus, alice, meter, ACTIVE)


# Reassignment


def reassign(
    campus: Campus,
    meter: SimulatedMeter,
    giver: Member,
    taker: Member,
    signer: Keypair | None = None,
    **accounts: Pubkey,
) -> Outcome:
    operator = signer or campus.operator
    named = {
        "operator": operator.pubkey(),
        "meter": meter.meter,
        "from_user": giver.user,
        "to_user": taker.user,
        "meter_state": meter.state,
    }
    return campus.send(campus.instruction("registry", "reassign_meter", {}, named | accounts), signers=[operator])


def open_energy_account(campus: Campus, member: Member, **accounts: Pubkey) -> Outcome:
    named = {"operator": campus.operator.pubkey(), "user": member.user, "energy_account": member.energy_account}
    return campus.send(campus.instruction("oracle", "open_energy_account", {}, named | accounts))


def test_a_meter_goes_to_another_member_and_starts_anew(campus: Campus, alice: Member, bob: Member) -> None:
    house = campus.add_meter(alice, "house", "building", "solar")
    campus.round(alice, campus.boundary(1), (house, (0, 0)))
    campus.round(alice, campus.boundary(2), (house, (500, 100)))
    open_energy_account(campus, bob)
    event = reassign(campus, house, alice, bob).event("MeterReassigned")
    assert event["boundary"] == campus.boundary(2)
    assert (event["before"], event["after"]) == (alice.address, bob.address)
    assert meter_account(campus, house)["user"] == bob.address
    assert (user(campus, alice)["settling_meters"], user(campus, bob)["settling_meters"]) == (0, 1)
    # What it measured between the owners is nobody's.
    assert campus.round(bob, campus.boundary(3), (house, (5_000, 0))).event("SurplusSettled")["minted"] == 0
    assert campus.round(bob, campus.boundary(4), (house, (300, 0))).event("SurplusSettled")["minted"] == 300
    assert (campus.tokens(alice.energy_tokens), campus.tokens(bob.energy_tokens)) == (400, 300)


def test_a_meter_with_unsettled_readings_stays(campus: Campus, alice: Member, bob: Member, refused) -> None:
    house = campus.add_meter(alice, "house", "building", "solar")
    campus.round(alice, campus.boundary(1), (house, (0, 0)))
    campus.set_time(campus.boundary(2))
    campus.submit((house, house.read(campus.boundary(2), 500)))
    with refused("NotAtSettledBoundary"):
        reassign(campus, house, alice, bob)


def test_a_meter_that_was_never_read_may_go(campus: Campus, alice: Member, bob: Member) -> None:
    house = campus.add_meter(alice, "house", "building", "solar")
    reassign(campus, house, alice, bob)
    assert meter_account(campus, house)["user"] == bob.address


def test_a_submeter_may_go_at_any_time(campus: Campus, alice: Member, bob: Member) -> None:
    campus.add_meter(alice, "load", "load")
    hpc = campus.add_meter(alice, "hpc", "submeter")
    campus.set_time(campus.boundary(1))
    campus.submit((hpc, hpc.read(campus.boundary(1), 0, 5)))
    reassign(campus, hpc, alice, bob)
    assert (user(campus, alice)["submeters"], user(campus, bob)["submeters"]) == (0, 1)


def test_reassignments_that_make_no_sense_are_refused(campus: Campus, alice: Member, bob: Member, refused) -> None:
    house = campus.add_meter(alice, "house", "building", "solar")
    other = campus.add_meter(bob, "load", "load")
    with refused("BuildingMeterStandsAlone"):
        reassign(campus, house, alice, bob)
    with refused("MeterOfAnother"):
        reassign(campus, house, bob, alice)
    with refused("WrongOracleAccount"):
        reassign(campus, house, alice, bob, meter_state=other.state)
    with refused("NotAMeterState"):
        reassign(campus, house, alice, bob, meter_state=key("other").pubkey())
    with refused("GivenTwice"):
        reassign(campus, house, alice, alice)
    with refused("NotOperator"):
        reassign(campus, house, alice, bob, campus.authority)
    campus.change("registry", bob.user, status=SUSPENDED)
    with refused("UserNotActive"):
        reassign(campus, house, alice, bob)
    campus.set_paused(PAUSE_REGISTRATION)
    with refused("Paused"):
        reassign(campus, house, alice, bob)


def test_a_closed_meter_is_not_reassigned(campus: Campus, alice: Member, bob: Member, refused) -> None:
    house = campus.add_meter(alice, "house", "building", "solar")
    set_meter_status(campus, alice, house, CLOSED)
    with refused("StatusClosed"):
        reassign(campus, house, alice, bob)


# Keys


def replace_key_instruction(
    campus: Campus, meter: SimulatedMeter, new: Keypair, first_sequence: int, /, **accounts: Pubkey
) -> Instruction:
    named = {
        "operator": campus.operator.pubkey(),
        "meter": meter.meter,
        "key_use": programs.key_use_address(bytes(new.pubkey())),
    }
    args = {"first_sequence": first_sequence}
    return campus.instruction("registry", "replace_meter_key", args, named | accounts)


def replace_key(campus: Campus, meter: SimulatedMeter, new: Keypair, first: int, /, **accounts: Pubkey) -> Outcome:
    proof = meter.possession(first, key=new)
    return campus.send(proof, replace_key_instruction(campus, meter, new, first, **accounts))


@pytest.fixture
def house(campus: Campus, alice: Member) -> SimulatedMeter:
    """A building meter with a settled baseline at the first boundary, sequence 1."""
    meter = campus.add_meter(alice, "house", "building", "solar")
    campus.round(alice, campus.boundary(1), (meter, (0, 0)))
    return meter


def test_a_new_key_speaks_from_its_first_sequence_on(
    campus: Campus, alice: Member, house: SimulatedMeter, refused
) -> None:
    old, new = house.key, key("new key")
    event = replace_key(campus, house, new, 2).event("MeterKeyReplaced")
    assert (event["before"], event["after"]) == (bytes(old.pubkey()), bytes(new.pubkey()))
    campus.set_time(campus.boundary(2))
    with refused("WrongKey"):
        campus.submit((house, house.sign(house.record(campus.boundary(2)))))
    house.key = new
    # The first record of a key has no predecessor.
    house.previous_hash = bytes(16)
    campus.submit((house, house.read(campus.boundary(2), 5_000)))
    event = campus.settle(alice, campus.boundary(2), house).event("SurplusSettled")
    assert (event["from"], event["minted"]) == (0, 0)
    assert campus.round(alice, campus.boundary(3), (house, (400, 0))).event("SurplusSettled")["minted"] == 400


def test_a_used_key_is_never_taken_again(campus: Campus, alice: Member, house: SimulatedMeter, refused) -> None:
    old = house.key
    replace_key(campus, house, key("new key"), 2)
    with refused("KeyUsedBefore"):
        replace_key(campus, house, old, 2)


@pytest.mark.parametrize("first", [0, 2**31, 2**32 - 1])
def test_a_first_sequence_leaves_the_key_numbers(campus: Campus, house: SimulatedMeter, refused, first: int) -> None:
    with refused("FirstSequenceOutOfBounds"):
        replace_key(campus, house, key("new key"), first)


@pytest.mark.finding("chain-6")
def test_a_new_key_numbers_its_records_anew(campus: Campus, alice: Member, house: SimulatedMeter, refused) -> None:
    """Wherever the old key had got to."""
    campus.change("oracle", house.state, sequence=2**32 - 1)
    house.sequence = 2**32 - 1
    new = key("new key")
    replace_key(campus, house, new, 1)
    house.key, house.sequence, house.previous_hash = new, 0, bytes(16)
    campus.round(alice, campus.boundary(2), (house, (400, 0)))
    assert campus.round(alice, campus.boundary(3), (house, (400, 0))).event("SurplusSettled")["minted"] == 400
    assert campus.account("oracle", house.state)["sequence"] == 2


def test_replacements_that_make_no_sense_are_refused(
    campus: Campus, alice: Member, house: SimulatedMeter, refused
) -> None:
    new = key("new key")
    with refused("PossessionMissing"):
        campus.send(replace_key_instruction(campus, house, new, 2))
    with refused("PossessionMessage"):
        campus.send(house.possession(3, key=new), replace_key_instruction(campus, house, new, 2))
    with refused("WrongAddress"):
        replace_key(campus, house, new, 2, key_use=key("other").pubkey())
    with refused("NotAMeter"):
        replace_key(campus, house, new, 2, meter=alice.user)
    with refused("WrongRegistry"):
        replace_key(campus, house, new, 2, registry=key("other").pubkey())
    with refused("WrongInstructionsSysvar"):
        replace_key(campus, house, new, 2, instructions=key("other").pubkey())
    with refused("WrongProgram"):
        replace_key(campus, house, new, 2, system_program=key("other").pubkey())
    with refused("NotOperator"):
        replace_key(campus, house, new, 2, operator=campus.authority.pubkey())
    campus.set_paused(PAUSE_REGISTRATION)
    with refused("Paused"):
        replace_key(campus, house, new, 2)
    campus.set_paused(0)
    set_meter_status(campus, alice, house, CLOSED)
    with refused("StatusClosed"):
        replace_key(campus, house, new, 2)


# Maps


def set_map(campus: Campus, meter: SimulatedMeter, map_hash: bytes, /, **accounts: Pubkey) -> Outcome:
    named = {"operator": campus.operator.pubkey(), "meter": meter.meter}
    return campus.send(campus.instruction("registry", "set_meter_map", {"map_hash": map_hash}, named | accounts))


def test_another_map_makes_a_baseline(campus: Campus, alice: Member, house: SimulatedMeter) -> None:
    event = set_map(campus, house, b"\7" * 32).event("MeterMapChanged")
    assert (event["before"], event["after"]) == (bytes(32), b"\7" * 32)
    assert meter_account(campus, house)["map_hash"] == b"\7" * 32
    assert campus.round(alice, campus.boundary(2), (house, (900, 0))).event("SurplusSettled")["minted"] == 0


def test_only_the_operator_approves_a_map(campus: Campus, alice: Member, house: SimulatedMeter, refused) -> None:
    with refused("NotOperator"):
        set_map(campus, house, bytes(32), operator=campus.authority.pubkey())
    with refused("NotAMeter"):
        set_map(campus, house, bytes(32), meter=alice.user)
    set_meter_status(campus, alice, house, CLOSED)
    with refused("StatusClosed"):
        set_map(campus, house, bytes(32))


@pytest.mark.parametrize(
    "name", ["set_user_status", "set_meter_status", "set_meter_map", "reassign_meter", "replace_meter_key"]
)
def test_each_wants_the_config_itself(campus: Campus, alice: Member, bob: Member, house, refused, name: str) -> None:
    fake = key("fake config").pubkey()
    found = campus.svm.get_account(programs.config_address())
    campus.put(fake, bytes(found.data), programs.PROGRAM_IDS["governance"])
    accounts = {
        "operator": campus.operator.pubkey(),
        "config": fake,
        "user": alice.user,
        "meter": house.meter,
        "from_user": alice.user,
        "to_user": bob.user,
        "meter_state": house.state,
        "key_use": programs.key_use_address(bytes(32)),
    }
    args = {"status": SUSPENDED, "map_hash": bytes(32), "first_sequence": 2}
    wanted = {
        "set_user_status": (["status"], ["operator", "config", "user"]),
        "set_meter_status": (["status"], ["operator", "config", "user", "meter"]),
        "set_meter_map": (["map_hash"], ["operator", "config", "meter"]),
        "reassign_meter": ([], ["operator", "config", "meter", "from_user", "to_user", "meter_state"]),
        "replace_meter_key": (["first_sequence"], ["operator", "config", "meter", "key_use"]),
    }
    arguments, named = wanted[name]
    instruction = campus.instruction(
        "registry", name, {key: args[key] for key in arguments}, {key: accounts[key] for key in named}
    )
    with refused("WrongConfig"):
        campus.send(instruction)
