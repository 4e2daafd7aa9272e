"""The registry over years: another wallet, another role, a plant that grows; and accounts that are named twice."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest
from campus import (
    ACTIVE,
    CLOSED,
    CONSUMER,
    EPOCH_SECONDS,
    INSTITUTION,
    PAUSE_REGISTRATION,
    PROSUMER,
    START,
    SUSPENDED,
    WALLET_DELAY_EPOCHS,
    Campus,
    Member,
    Outcome,
    Refusal,
    SimulatedMeter,
    key,
)
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from authority.chain import programs

EPOCH = START // EPOCH_SECONDS
NEXT = key("next wallet").pubkey()


def registry(campus: Campus, name: str, args: dict[str, Any], **accounts: Pubkey) -> Outcome:
    operator = {"operator": campus.operator.pubkey()}
    return campus.send(campus.instruction("registry", name, args, operator | accounts))


def user(campus: Campus, member: Member) -> dict[str, Any]:
    return campus.account("registry", member.user)


@pytest.fixture
def alice(campus: Campus) -> Member:
    return campus.register_user("alice")


@pytest.fixture
def house(campus: Campus, alice: Member) -> SimulatedMeter:
    """A building meter with a settled baseline at the first boundary."""
    meter = campus.add_meter(alice, "house", "building", "solar")
    campus.round(alice, campus.boundary(1), (meter, (0, 0)))
    return meter


# Another wallet


def propose(campus: Campus, member: Member, wallet: Pubkey = NEXT, **accounts: Pubkey) -> Outcome:
    return registry(campus, "propose_wallet", {"next": wallet}, **({"user": member.user} | accounts))


def replace(campus: Campus, member: Member, wallet: Pubkey = NEXT, /, **accounts: Pubkey) -> Outcome:
    return campus.send(campus.replace_wallet_instruction(member, wallet, **accounts))


def wait(campus: Campus, epochs: int = WALLET_DELAY_EPOCHS) -> None:
    campus.set_time(campus.time + epochs * EPOCH_SECONDS)


@pytest.mark.finding("chain-16")
def test_a_members_wallet_is_replaced_in_two_steps(campus: Campus, alice: Member, house: SimulatedMeter) -> None:
    """Its number, its meters and its EnergyAccount stay; tokens go to the new wallet from then on."""
    campus.round(alice, campus.boundary(2), (house, (500, 0)))
    event = propose(campus, alice).event("WalletProposed")
    assert event == {
        "member": alice.address,
        "wallet": alice.address,
        "next": NEXT,
        "from_epoch": campus.time // EPOCH_SECONDS + WALLET_DELAY_EPOCHS,
    }
    wait(campus)
    index = user(campus, alice)["member_index"]
    event = replace(campus, alice).event("WalletReplaced")
    assert event == {"member": alice.address, "before": alice.address, "after": NEXT, "member_index": index}
    found, moved = user(campus, alice), Member(key("next wallet"))
    assert (found["wallet"], found["member"], found["member_index"]) == (NEXT, alice.address, index)
    assert (found["energy_token_account"], found["credit_token_account"]) == (moved.energy_tokens, moved.credit_tokens)
    use = campus.account("registry", programs.user_address(NEXT))
    assert (use["member"], use["member_index"]) == (alice.address, index)
    n = (campus.time - START) // EPOCH_SECONDS
    for step in (1, 2):
        campus.set_time(campus.boundary(n + step))
        campus.submit((house, house.read(campus.boundary(n + step), 300)))
        instruction = campus.settle_instruction(
            alice, campus.boundary(n + step), [house], energy_token_account=moved.energy_tokens
        )
        campus.send(instruction)
    assert (campus.tokens(alice.energy_tokens), campus.tokens(moved.energy_tokens)) == (500, 300)
    assert campus.account("oracle", alice.energy_account)["minted"] == 800


def test_the_old_wallet_signs_no_more_and_its_delegate_neither(campus: Campus, alice: Member, refused) -> None:
    instruction = campus.set_delegate_instruction(alice, key("helper").pubkey(), campus.time + 10**6)
    campus.send(instruction, signers=[alice.wallet])
    propose(campus, alice)
    wait(campus)
    replace(campus, alice)
    assert (user(campus, alice)["delegate"], user(campus, alice)["delegate_until"]) == (Pubkey.default(), 0)
    with refused("NotWallet"):
        campus.send(instruction, signers=[alice.wallet])


def test_a_wallet_takes_over_a_day_of_epochs_later(campus: Campus, alice: Member, refused) -> None:
    propose(campus, alice)
    wait(campus, WALLET_DELAY_EPOCHS - 1)
    with refused("WalletNotDue"):
        replace(campus, alice)
    propose(campus, alice)  # once more: the delay begins anew
    wait(campus, 1)
    with refused("WalletNotDue"):
        replace(campus, alice)
    wait(campus, WALLET_DELAY_EPOCHS - 1)
    replace(campus, alice)


def test_a_proposal_is_withdrawn(campus: Campus, alice: Member, refused) -> None:
    with refused("NoWalletProposed"):
        propose(campus, alice, Pubkey.default())
    propose(campus, alice)
    event = propose(campus, alice, Pubkey.default()).event("WalletProposed")
    assert (event["next"], event["from_epoch"]) == (Pubkey.default(), 0)
    wait(campus)
    with refused("NoWalletProposed"):
        replace(campus, alice)


def test_a_wallet_is_one_members_for_ever(campus: Campus, alice: Member, refused) -> None:
    """Neither a member's, former or present, nor one that a member moved to is taken by another."""
    bob = campus.register_user("bob")
    propose(campus, alice, bob.address)
    wait(campus)
    with refused("AlreadyRegistered"):
        replace(campus, alice, bob.address)
    propose(campus, alice)
    wait(campus)
    replace(campus, alice)
    with refused("AlreadyRegistered"):
        campus.send(campus.register_user_instruction(Member(key("next wallet"))))
    with refused("AlreadyRegistered"):
        campus.send(campus.register_user_instruction(alice))
    for member, wallet in ((bob, NEXT), (bob, alice.address), (alice, alice.address)):
        propose(campus, member, wallet)
        wait(campus)
        with refused("AlreadyRegistered"):
            replace(campus, member, wallet)


def test_a_suspended_members_wallet_is_replaced_and_a_closed_ones_not(campus: Campus, alice: Member, refused) -> None:
    registry(campus, "set_user_status", {"status": SUSPENDED}, user=alice.user)
    propose(campus, alice)
    wait(campus)
    replace(campus, alice)
    propose(campus, alice, key("another").pubkey())
    registry(campus, "set_user_status", {"status": CLOSED}, user=alice.user)
    wait(campus)
    with refused("StatusClosed"):
        replace(campus, alice, key("another").pubkey())
    with refused("StatusClosed"):
        propose(campus, alice, key("another").pubkey())


def test_replacements_that_make_no_sense_are_refused(campus: Campus, alice: Member, refused) -> None:
    other = key("other").pubkey()
    with refused("OperatorAsMember"):
        propose(campus, alice, campus.operator.pubkey())
    propose(campus, alice)
    wait(campus)
    for error, wallet, accounts in (
        ("NoWalletProposed", other, {}),
        ("WrongAddress", NEXT, {"wallet_use": other}),
        ("WrongTokenAccount", NEXT, {"energy_token_account": alice.energy_tokens}),
        ("WrongTokenAccount", NEXT, {"credit_token_account": alice.credit_tokens}),
        ("WrongMint", NEXT, {"energy_mint": other}),
        ("WrongMint", NEXT, {"credit_mint": other}),
        ("WrongProgram", NEXT, {"token_program": other}),
        ("WrongProgram", NEXT, {"associated_token_program": other}),
        ("WrongProgram", NEXT, {"system_program": other}),
        ("WrongConfig", NEXT, {"config": other}),
        ("NotAUser", NEXT, {"user": other}),
        ("NotOperator", NEXT, {"operator": campus.authority.pubkey()}),
    ):
        with refused(error):
            replace(campus, alice, wallet, **accounts)
    for error, accounts in (
        ("WrongConfig", {"config": other}),
        ("NotAUser", {"user": other}),
        ("NotOperator", {"operator": campus.authority.pubkey()}),
    ):
        with refused(error):
            propose(campus, alice, **accounts)
    campus.set_paused(PAUSE_REGISTRATION)
    with refused("Paused"):
        propose(campus, alice)
    with refused("Paused"):
        replace(campus, alice)


# Another role


@pytest.mark.finding("chain-16")
def test_a_members_role_changes(campus: Campus, alice: Member, refused) -> None:
    event = registry(campus, "set_user_role", {"role": INSTITUTION}, user=alice.user).event("UserRoleChanged")
    assert event == {"member": alice.address, "before": PROSUMER, "after": INSTITUTION}
    assert user(campus, alice)["role"] == INSTITUTION
    for error, role, accounts in (
        ("RoleUnchanged", INSTITUTION, {}),
        ("UnknownUserRole", 3, {}),
        ("NotOperator", CONSUMER, {"operator": campus.authority.pubkey()}),
        ("WrongConfig", CONSUMER, {"config": key("other").pubkey()}),
        ("NotAUser", CONSUMER, {"user": key("other").pubkey()}),
    ):
        with refused(error):
            registry(campus, "set_user_role", {"role": role}, **({"user": alice.user} | accounts))
    registry(campus, "set_user_status", {"status": CLOSED}, user=alice.user)
    with refused("StatusClosed"):
        registry(campus, "set_user_role", {"role": CONSUMER}, user=alice.user)


def test_a_consumer_becomes_a_prosumer_before_it_generates(campus: Campus, refused) -> None:
    member = campus.register_user("tenant", CONSUMER)
    with refused("ConsumerCannotGenerate"):
        campus.add_meter(member, "pv", "generation", "solar")
    registry(campus, "set_user_role", {"role": PROSUMER}, user=member.user)
    campus.add_meter(member, "pv, later", "generation", "solar")
    with refused("ConsumerCannotGenerate"):
        registry(campus, "set_user_role", {"role": CONSUMER}, user=member.user)


# A plant that grows


def stage(campus: Campus, n: int, nameplate: int, storage: int, from_epoch: int, /, **accounts: Pubkey) -> Outcome:
    return campus.send(campus.stage_installation_instruction(n, nameplate, storage, from_epoch, **accounts))


def follow(campus: Campus, n: int, meter: SimulatedMeter, /, **accounts: Pubkey) -> Outcome:
    return campus.send(campus.follow_installation_instruction(n, meter, **accounts))


@pytest.mark.finding("chain-16")
def test_a_nameplate_grows_from_a_later_epoch_on(campus: Campus, alice: Member, refused) -> None:
    n = campus.register_installation("solar", nameplate_w=10_000)
    solar = campus.add_meter(alice, "pv", "generation", "solar", n)
    campus.set_time(campus.boundary(1))
    campus.submit((solar, solar.read(campus.boundary(1), 0)))
    event = stage(campus, n, 40_000, 0, EPOCH + 3).event("InstallationStaged")
    assert (event["n"], event["nameplate"], event["storage"], event["from_epoch"]) == (n, 40_000, 0, EPOCH + 3)
    event = follow(campus, n, solar).event("InstallationFollowed")
    assert (event["meter_id"], event["nameplate"], event["from_epoch"]) == (solar.meter_id, 40_000, EPOCH + 3)
    for boundary, most in ((2, 2_751), (3, 2_751), (4, 11_001), (5, 11_001)):  # with a tolerance of 10 %
        campus.set_time(campus.boundary(boundary))
        too_much = solar.record(campus.boundary(boundary), generation=solar.registers[0] + most + 1)
        with refused("ExceedsNameplate"):
            campus.submit((solar, solar.sign(too_much)))
        campus.submit((solar, solar.read(campus.boundary(boundary), most)))


def test_where_a_step_crosses_the_change_the_greater_nameplate_bounds_it(
    campus: Campus, alice: Member, refused
) -> None:
    n = campus.register_installation("solar", nameplate_w=40_000)
    solar = campus.add_meter(alice, "pv", "generation", "solar", n)
    campus.set_time(campus.boundary(1))
    campus.submit((solar, solar.read(campus.boundary(1), 0)))
    stage(campus, n, 10_000, 0, EPOCH + 3)
    follow(campus, n, solar)
    campus.set_time(campus.boundary(5))
    with refused("ExceedsNameplate"):
        campus.submit((solar, solar.sign(solar.record(campus.boundary(5), generation=44_002))))
    campus.submit((solar, solar.read(campus.boundary(5), 44_001)))
    campus.set_time(campus.boundary(6))
    with refused("ExceedsNameplate"):
        campus.submit((solar, solar.sign(solar.record(campus.boundary(6), generation=44_001 + 2_752))))


def test_storage_grows_from_a_later_epoch_on(campus: Campus, alice: Member) -> None:
    """The renewable bank holds as much as the storage does in the epoch that a span ends with."""
    n = campus.register_installation("storage", storage_wh=5_000)
    battery = campus.add_meter(alice, "battery", "storage", "none", n)
    solar = campus.add_meter(alice, "pv", "generation", "solar")
    load = campus.add_meter(alice, "load", "load")
    stage(campus, n, 100_000, 20_000, EPOCH + 2)
    follow(campus, n, battery)
    campus.round(alice, campus.boundary(1), (solar, (0,)), (battery, (0,)), (load, (0,)))
    for boundary, bank in ((2, 5_000), (3, 12_200)):
        steps = ((solar, (8_000,)), (battery, (0, 0, 8_000)), (load, (0, 0)))
        campus.round(alice, campus.boundary(boundary), *steps)
        assert campus.account("oracle", alice.energy_account)["bank"] == bank


def test_what_holds_by_now_survives_the_next_staging(campus: Campus, alice: Member) -> None:
    n = campus.register_installation("mixed", nameplate_w=1_000, storage_wh=0)
    stage(campus, n, 2_000, 10, EPOCH + 1)
    stage(campus, n, 3_000, 20, EPOCH + 2)  # nothing held yet: replaced
    campus.set_time(campus.boundary(2))
    stage(campus, n, 4_000, 30, EPOCH + 5)
    found = campus.account("registry", programs.installation_address(n))
    assert (found["nameplate"], found["storage"]) == (3_000, 20)
    assert (found["staged_nameplate"], found["staged_storage"], found["staged_from"]) == (4_000, 30, EPOCH + 5)
    # A meter that comes later has both.
    meter = campus.account("registry", campus.add_meter(alice, "late", "load", "none", n).meter)
    names = ("nameplate", "storage", "staged_nameplate", "staged_storage", "staged_from")
    assert [meter[name] for name in names] == [3_000, 20, 4_000, 30, EPOCH + 5]


def test_stagings_that_make_no_sense_are_refused(campus: Campus, alice: Member, refused) -> None:
    n, solar = campus.register_installation("mixed"), campus.register_installation("solar")
    meter = campus.add_meter(alice, "load", "load", "none", n)
    other = key("other").pubkey()
    for error, args, accounts in (
        ("StagedOutOfBounds", (n, 1, 0, EPOCH), {}),
        ("StagedOutOfBounds", (n, 1, 0, EPOCH + 366 * 96 + 1), {}),
        ("NameplateOutOfBounds", (n, 0, 0, EPOCH + 1), {}),
        ("NameplateOutOfBounds", (n, 100_000_001, 0, EPOCH + 1), {}),
        ("StorageOutOfBounds", (n, 1, 2**32, EPOCH + 1), {}),
        ("StorageOutOfBounds", (solar, 1, 1, EPOCH + 1), {}),
        ("NotOperator", (n, 1, 0, EPOCH + 1), {"operator": campus.authority.pubkey()}),
        ("WrongConfig", (n, 1, 0, EPOCH + 1), {"config": other}),
        ("NotAnInstallation", (n, 1, 0, EPOCH + 1), {"installation": other}),
    ):
        with refused(error):
            stage(campus, *args, **accounts)
    for error, accounts in (
        ("MeterOfAnother", {"installation": programs.installation_address(solar)}),
        ("NotAnInstallation", {"installation": other}),
        ("NotAMeter", {"meter": other}),
        ("WrongConfig", {"config": other}),
        ("NotOperator", {"operator": campus.authority.pubkey()}),
    ):
        with refused(error):
            follow(campus, n, meter, **accounts)
    campus.set_paused(PAUSE_REGISTRATION)
    with refused("Paused"):
        stage(campus, n, 1, 0, EPOCH + 1)
    with refused("Paused"):
        follow(campus, n, meter)


# Accounts that are named twice


def scenario() -> tuple[Campus, dict[str, list[Instruction]]]:
    """A campus, and an instruction of each kind that would succeed on it, with what must stand before it."""
    campus = Campus()
    alice, bob = (campus.register_user(name) for name in ("alice", "bob"))
    house = campus.add_meter(alice, "house", "building", "solar")
    idle = campus.add_meter(bob, "idle", "load")
    for member, meter in ((alice, house), (bob, idle)):
        campus.round(member, campus.boundary(1), (meter, (0, 0)))
    campus.set_time(campus.boundary(2))
    campus.submit((idle, idle.read(campus.boundary(2), 0, 5)))
    registry(campus, "set_meter_status", {"status": SUSPENDED}, user=bob.user, meter=idle.meter)
    propose(campus, bob)
    wait(campus)
    operator = {"operator": campus.operator.pubkey()}
    new, another = campus.new_meter("new", "submeter"), key("another key")
    frame = house.sign(house.record(campus.boundary(2)))

    def of_registry(name: str, args: dict[str, Any], **accounts: Pubkey) -> Instruction:
        return campus.instruction("registry", name, args, operator | accounts)

    reassigned = {"from_user": alice.user, "to_user": bob.user, "meter": house.meter, "meter_state": house.state}
    idle_accounts = {"user": bob.user, "energy_account": bob.energy_account, "meter": idle.meter}
    return campus, {
        "register_user": [campus.register_user_instruction(Member(key("wallet carol")))],
        "register_installation": [campus.register_installation_instruction(99)],
        "register_meter": [new.possession(), campus.register_meter_instruction(new, alice, 0)],
        "set_delegate": [campus.set_delegate_instruction(alice, key("helper").pubkey(), campus.time + 60)],
        "set_user_status": [of_registry("set_user_status", {"status": SUSPENDED}, user=alice.user)],
        "set_user_role": [of_registry("set_user_role", {"role": INSTITUTION}, user=alice.user)],
        "propose_wallet": [of_registry("propose_wallet", {"next": key("n").pubkey()}, user=alice.user)],
        "replace_wallet": [campus.replace_wallet_instruction(bob, NEXT)],
        "set_meter_status": [of_registry("set_meter_status", {"status": ACTIVE}, user=bob.user, meter=idle.meter)],
        "set_meter_map": [of_registry("set_meter_map", {"map_hash": bytes(32)}, meter=house.meter)],
        "reassign_meter": [of_registry("reassign_meter", {}, **reassigned)],
        "replace_meter_key": [
            house.possession(1, key=another),
            of_registry(
                "replace_meter_key",
                {"first_sequence": 1},
                meter=house.meter,
                key_use=programs.key_use_address(bytes(another.pubkey())),
            ),
        ],
        "stage_installation": [campus.stage_installation_instruction(0, 5_000, 0, campus.time // EPOCH_SECONDS + 1)],
        "follow_installation": [campus.follow_installation_instruction(0, house)],
        "submit_readings": [programs.ed25519_frames([frame]), campus.submit_instruction([house])],
        "settle_idle_meter": [
            campus.instruction(
                "oracle", "settle_idle_meter", {}, operator | idle_accounts | {"meter_state": idle.state}
            )
        ],
        "open_energy_account": [
            campus.instruction(
                "oracle", "open_energy_account", {}, operator | {"user": alice.user, "energy_account": NEXT}
            )
        ],
    }


INSTRUCTIONS = sorted(scenario()[1])


@pytest.mark.finding("chain-11")
@pytest.mark.parametrize("name", INSTRUCTIONS)
def test_an_account_that_is_named_twice_has_an_answer_of_our_own(name: str) -> None:
    """Whichever two places of the instruction it takes: a refusal of ours, or it succeeds where the two may be one."""
    campus, instructions = scenario()
    *before, instruction = instructions[name]
    wallets = [key(f"wallet {who}") for who in ("alice", "bob", "carol")]
    signers = [*wallets, key("next wallet"), key("helper"), campus.operator]
    answered: dict[tuple[int, int], Refusal] = {}
    for place, other in permutations(range(len(instruction.accounts)), 2):
        metas = list(instruction.accounts)
        taken = metas[place]
        metas[place] = AccountMeta(metas[other].pubkey, taken.is_signer, taken.is_writable)
        twice = Instruction(instruction.program_id, bytes(instruction.data), metas)
        if any(meta.is_signer and meta.pubkey not in {s.pubkey() for s in signers} for meta in metas):
            continue
        try:
            campus.send(*before, twice, signers=signers)
        except Refusal as refusal:
            answered[place, other] = refusal
    assert answered
    foreign = {places: str(refusal) for places, refusal in answered.items() if not is_ours(refusal)}
    assert not foreign


def is_ours(refusal: Refusal) -> bool:
    """Whether it is an error of the five programs, and so says what to do."""
    return refusal.code is not None and 6_000 <= refusal.code < 6_600


@pytest.mark.finding("chain-11")
def test_the_operator_is_no_member(campus: Campus, refused) -> None:
    with refused("OperatorAsMember"):
        campus.send(campus.register_user_instruction(Member(campus.operator)))
