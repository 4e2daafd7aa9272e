"""registry: members, installations and meters; proof of possession; what a set of meters may be."""

from __future__ import annotations

import struct

import pytest
from campus import (
    ACTIVE,
    CONSUMER,
    INSTITUTION,
    PAUSE_REGISTRATION,
    PROSUMER,
    START,
    SUSPENDED,
    Campus,
    Member,
    key,
    possession_message,
    readonly,
    relayed,
    unsigned,
)
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from authority.chain import programs


def registry(campus: Campus) -> dict[str, int]:
    found = campus.account("registry", programs.registry_address())
    return {name: found[name] for name in ("users", "installations", "meters", "keys")}


# Initialization


def test_initialize_makes_an_empty_registry(campus: Campus) -> None:
    assert registry(campus) == {"users": 0, "installations": 0, "meters": 0, "keys": 0}


def test_a_second_registry_is_refused(campus: Campus, refused) -> None:
    accounts = {"operator": campus.operator.pubkey()}
    with refused("AlreadyInitialized"):
        campus.send(campus.instruction("registry", "initialize", {}, accounts))


@pytest.mark.parametrize(
    ("account", "error"),
    [("config", "WrongConfig"), ("registry", "WrongRegistry"), ("system_program", "WrongProgram")],
)
def test_another_account_in_the_making_of_the_registry_is_refused(bare: Campus, refused, account, error) -> None:
    bare.send(bare.initialize_governance())
    accounts = {"operator": bare.operator.pubkey(), account: key("other").pubkey()}
    with refused(error):
        bare.send(bare.instruction("registry", "initialize", {}, accounts))


def test_only_the_operator_makes_the_registry(bare: Campus, refused) -> None:
    bare.send(bare.initialize_governance())
    stranger = key("stranger")
    bare.svm.airdrop(stranger.pubkey(), 10**10)
    instruction = bare.instruction("registry", "initialize", {}, {"operator": stranger.pubkey()})
    with refused("NotOperator"):
        bare.send(instruction, signers=[stranger])


def test_users_need_a_registry(bare: Campus, refused) -> None:
    bare.send(bare.initialize_governance())
    bare.send(bare.instruction("energy_token", "initialize", {}, {"operator": bare.operator.pubkey()}))
    with refused("RegistryNotInitialized"):
        bare.send(bare.register_user_instruction(Member(key("wallet a"))))


# Users


def test_a_member_gets_an_index_and_two_token_accounts(campus: Campus) -> None:
    members = [
        campus.register_user(name, role) for name, role in (("a", CONSUMER), ("b", PROSUMER), ("c", INSTITUTION))
    ]
    for index, member in enumerate(members):
        user = campus.account("registry", member.user)
        assert (user["member_index"], user["role"], user["status"]) == (index, index, ACTIVE)
        assert user["wallet"] == member.address
        assert user["energy_token_account"] == member.energy_tokens
        assert user["credit_token_account"] == member.credit_tokens
        assert campus.tokens(member.energy_tokens) == campus.tokens(member.credit_tokens) == 0
    assert registry(campus)["users"] == 3


def test_token_accounts_that_somebody_made_beforehand_are_taken(campus: Campus) -> None:
    member = Member(key("wallet early"))
    payer = campus.operator.pubkey()
    mints = (programs.energy_mint(), programs.credit_mint())
    campus.send(*[programs.create_associated_token_account(payer, member.address, mint) for mint in mints])
    campus.send(campus.register_user_instruction(member))
    assert campus.account("registry", member.user)["energy_token_account"] == member.energy_tokens


def test_a_member_is_registered_once(campus: Campus, refused) -> None:
    member = campus.register_user("a")
    with refused("AlreadyRegistered"):
        campus.send(campus.register_user_instruction(member, CONSUMER))


@pytest.mark.parametrize(
    ("account", "error"),
    [
        ("user", "WrongAddress"),
        ("energy_mint", "WrongMint"),
        ("credit_mint", "WrongMint"),
        ("energy_token_account", "WrongTokenAccount"),
        ("credit_token_account", "WrongTokenAccount"),
        ("token_program", "WrongProgram"),
        ("associated_token_program", "WrongProgram"),
        ("system_program", "WrongProgram"),
        ("registry", "WrongRegistry"),
        ("config", "WrongConfig"),
    ],
)
def test_another_account_in_its_place_is_refused(campus: Campus, refused, account, error) -> None:
    member = Member(key("wallet a"))
    instruction = campus.register_user_instruction(member, PROSUMER, **{account: key("other").pubkey()})
    with refused(error):
        campus.send(instruction)


def test_unknown_roles_are_refused(campus: Campus, refused) -> None:
    with refused("UnknownUserRole"):
        campus.send(campus.register_user_instruction(Member(key("wallet a")), 3))


def test_only_the_operator_registers(campus: Campus, refused) -> None:
    stranger = key("stranger")
    campus.svm.airdrop(stranger.pubkey(), 10**10)
    member = Member(key("wallet a"))
    instruction = campus.register_user_instruction(member, PROSUMER, operator=stranger.pubkey())
    with refused("NotOperator"):
        campus.send(instruction, signers=[stranger])


def test_only_the_operator_registers_an_installation(campus: Campus, refused) -> None:
    stranger = key("stranger")
    campus.svm.airdrop(stranger.pubkey(), 10**10)
    instruction = campus.register_installation_instruction(0, accounts={"operator": stranger.pubkey()})
    with refused("NotOperator"):
        campus.send(instruction, signers=[stranger])


def test_only_the_operator_registers_a_meter(campus: Campus, refused) -> None:
    stranger = key("stranger")
    campus.svm.airdrop(stranger.pubkey(), 10**10)
    member, installation = campus.register_user("alice"), campus.register_installation()
    meter = campus.new_meter("house", "building", "solar")
    instruction = campus.register_meter_instruction(meter, member, installation, operator=stranger.pubkey())
    with refused("NotOperator"):
        campus.send(meter.possession(), instruction, signers=[stranger])


def test_an_account_to_make_must_be_writable(campus: Campus, refused) -> None:
    instruction = campus.register_installation_instruction(0)
    installation = programs.installation_address(0)
    metas = [readonly(each.pubkey) if each.pubkey == installation else each for each in instruction.accounts]
    with refused("NotAnInstallation"):
        campus.send(Instruction(instruction.program_id, bytes(instruction.data), metas))


def test_registration_can_be_paused(campus: Campus, refused) -> None:
    member = campus.register_user("a")
    installation = campus.register_installation()
    meter = campus.new_meter("m", "load")
    campus.set_paused(PAUSE_REGISTRATION)
    with refused("Paused"):
        campus.send(campus.register_user_instruction(Member(key("wallet b"))))
    with refused("Paused"):
        campus.send(campus.register_installation_instruction(9))
    with refused("Paused"):
        campus.send(meter.possession(), campus.register_meter_instruction(meter, member, installation))


# Installations


def test_an_installation_is_recorded(campus: Campus) -> None:
    campus.send(campus.register_installation_instruction(7, "storage", storage_wh=20_000, nameplate_w=10_000))
    found = campus.account("registry", programs.installation_address(7))
    assert (found["n"], found["kind"], found["nameplate"], found["storage"]) == (7, 5, 10_000, 20_000)
    assert found["building"].rstrip(b"\0") == b"Dormitory A"
    assert found["since"] == START - 86_400
    assert registry(campus)["installations"] == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"kind": 8}, "UnknownInstallationKind"),
        ({"nameplate_w": 0}, "NameplateOutOfBounds"),
        ({"nameplate_w": 100_000_001}, "NameplateOutOfBounds"),
        ({"storage_wh": 2**32}, "StorageOutOfBounds"),
        ({"kind": 1, "storage_wh": 1}, "StorageOutOfBounds"),
        ({"building": bytes(32)}, "BadBuildingName"),
        ({"building": b"A\0B".ljust(32, b"\0")}, "BadBuildingName"),
        ({"building": b"\xff".ljust(32, b"\0")}, "BadBuildingName"),
    ],
    ids=str,
)
def test_an_impossible_installation_is_refused(campus: Campus, refused, changes, error) -> None:
    with refused(error):
        campus.send(campus.register_installation_instruction(0, "mixed", **changes))


@pytest.mark.parametrize(
    ("account", "error"),
    [
        ("config", "WrongConfig"),
        ("registry", "WrongRegistry"),
        ("installation", "WrongAddress"),
        ("system_program", "WrongProgram"),
    ],
)
def test_another_account_in_an_installations_place_is_refused(campus: Campus, refused, account, error) -> None:
    instruction = campus.register_installation_instruction(0, accounts={account: key("other").pubkey()})
    with refused(error):
        campus.send(instruction)


def test_an_installation_is_registered_once(campus: Campus, refused) -> None:
    campus.register_installation()
    with refused("AlreadyRegistered"):
        campus.send(campus.register_installation_instruction(0, "load"))


# Meters


def test_a_meter_is_bound_to_key_user_and_installation(campus: Campus) -> None:
    member = campus.register_user("a")
    installation = campus.register_installation("storage", storage_wh=20_000, nameplate_w=10_000)
    meter = campus.new_meter("m", "storage")
    meter.map_hash = bytes(range(32))
    outcome = campus.send(
        meter.possession(41), campus.register_meter_instruction(meter, member, installation, first_sequence=41)
    )
    found = campus.account("registry", meter.meter)
    assert found["key"] == bytes(meter.key.pubkey())
    assert found["user"] == member.address
    assert (found["role"], found["source"], found["status"], found["slot"]) == (2, 0, ACTIVE, 0)
    assert (found["nameplate"], found["storage"], found["installation"]) == (10_000, 20_000, installation)
    assert (found["first_sequence"], found["map_hash"], found["generation"]) == (41, bytes(range(32)), 0)
    used = campus.account("registry", programs.key_use_address(bytes(meter.key.pubkey())))
    assert used["meter_id"] == meter.meter_id
    user = campus.account("registry", member.user)
    assert (user["settling_meters"], user["storage_meters"], user["source_meters"]) == (1, 1, 0)
    assert campus.account("registry", programs.installation_address(installation))["meters"] == 1
    assert registry(campus) == {"users": 1, "installations": 1, "meters": 1, "keys": 1}
    assert outcome.event("MeterRegistered")["meter_id"] == meter.meter_id


def test_submeters_take_no_slot(campus: Campus) -> None:
    member = campus.register_user("a")
    campus.add_meter(member, "hpc", "submeter")
    user = campus.account("registry", member.user)
    assert (user["settling_meters"], user["submeters"]) == (0, 1)


def test_slots_are_counted_up(campus: Campus) -> None:
    member = campus.register_user("a")
    meters = [
        campus.add_meter(member, "pv", "generation", "solar"),
        campus.add_meter(member, "battery", "storage"),
        campus.add_meter(member, "load", "load"),
    ]
    assert [campus.account("registry", meter.meter)["slot"] for meter in meters] == [0, 1, 2]
    assert campus.account("registry", member.user)["settling_meters"] == 0b111


@pytest.mark.parametrize(
    ("first", "second", "error"),
    [
        (("building", "solar"), ("load", "none"), "BuildingMeterStandsAlone"),
        (("load", "none"), ("building", "none"), "BuildingMeterStandsAlone"),
        (("building", "solar"), ("building", "solar"), "BuildingMeterStandsAlone"),
        (("load", "none"), ("grid", "none"), "LoadOrGridMeters"),
        (("grid", "none"), ("load", "none"), "LoadOrGridMeters"),
        (("grid", "none"), ("grid", "none"), "LoadOrGridMeters"),
    ],
    ids=str,
)
def test_sets_of_meters_that_do_not_settle_are_refused(campus: Campus, refused, first, second, error) -> None:
    member = campus.register_user("a")
    campus.add_meter(member, "first", *first)
    with refused(error):
        campus.add_meter(member, "second", *second)


@pytest.mark.parametrize("meter", [("generation", "solar"), ("building", "wind")], ids=str)
def test_a_consumer_has_no_generating_meter(campus: Campus, refused, meter) -> None:
    member = campus.register_user("a", CONSUMER)
    with refused("ConsumerCannotGenerate"):
        campus.add_meter(member, "m", *meter)


@pytest.mark.parametrize(
    ("role", "source", "kind"),
    [
        ("generation", "none", "solar"),
        ("generation", "wind", "solar"),
        ("building", "wind", "load"),
        ("storage", "solar", "storage"),
        ("storage", "none", "solar"),
        ("load", "solar", "mixed"),
        ("grid", "none", "load"),
        ("grid", "wind", "grid"),
    ],
)
def test_role_source_and_installation_must_go_together(campus: Campus, refused, role, source, kind) -> None:
    member = campus.register_user("a")
    installation = campus.register_installation(kind)
    with refused("RoleSourceMismatch"):
        campus.add_meter(member, "m", role, source, installation)


def test_no_more_meters_than_a_settlement_can_hold(campus: Campus, refused) -> None:
    member = campus.register_user("a")
    installation = campus.register_installation("load")
    for n in range(24):
        campus.add_meter(member, f"load {n}", "load", "none", installation)
    assert campus.account("registry", member.user)["settling_meters"] == 2**24 - 1
    with refused("TooManyMeters"):
        campus.add_meter(member, "load 24", "load", "none", installation)


def test_a_meter_is_registered_once(campus: Campus, refused) -> None:
    member = campus.register_user("a")
    meter = campus.add_meter(member, "m", "load")
    with refused("AlreadyRegistered"):
        campus.send(meter.possession(), campus.register_meter_instruction(meter, member, 0))


def test_a_key_is_used_once_ever(campus: Campus, refused) -> None:
    member = campus.register_user("a")
    first = campus.add_meter(member, "first", "load")
    second = campus.new_meter("second", "load")
    second.key = first.key
    with refused("KeyUsedBefore"):
        campus.send(second.possession(), campus.register_meter_instruction(second, member, 0))


def test_a_suspended_member_gets_no_meter(campus: Campus, refused) -> None:
    member = campus.register_user("a")
    campus.change("registry", member.user, status=SUSPENDED)
    with refused("UserNotActive"):
        campus.add_meter(member, "m", "load")


@pytest.mark.parametrize(
    ("account", "error"),
    [
        ("user", "NotAUser"),
        ("installation", "NotAnInstallation"),
        ("meter", "WrongAddress"),
        ("key_use", "WrongAddress"),
        ("instructions", "WrongInstructionsSysvar"),
        ("system_program", "WrongProgram"),
        ("registry", "WrongRegistry"),
        ("config", "WrongConfig"),
    ],
)
def test_another_account_in_a_registration_is_refused(campus: Campus, refused, account, error) -> None:
    member = campus.register_user("a")
    campus.register_installation()
    meter = campus.new_meter("m", "load")
    instruction = campus.register_meter_instruction(meter, member, 0, **{account: key("other").pubkey()})
    with refused(error):
        campus.send(meter.possession(), instruction)


def test_a_user_of_another_program_is_refused(campus: Campus, refused) -> None:
    member = campus.register_user("a")
    campus.register_installation()
    found = campus.svm.get_account(member.user)
    fake = key("fake user").pubkey()
    campus.put(fake, bytes(found.data), programs.SYSTEM_PROGRAM)
    meter = campus.new_meter("m", "load")
    with refused("NotAUser"):
        campus.send(meter.possession(), campus.register_meter_instruction(meter, member, 0, user=fake))


def test_an_account_of_another_type_is_no_user(campus: Campus, refused) -> None:
    member = campus.register_user("a")
    campus.register_installation()
    campus.register_installation()
    meter = campus.new_meter("m", "load")
    instruction = campus.register_meter_instruction(meter, member, 0, user=programs.installation_address(1))
    with refused("NotAUser"):
        campus.send(meter.possession(), instruction)


@pytest.mark.parametrize(("field", "value", "error"), [("role", 6, "UnknownMeterRole"), ("source", 5, "UnknownSource")])
def test_unknown_codes_are_refused(campus: Campus, refused, field, value, error) -> None:
    member = campus.register_user("a")
    campus.register_installation()
    meter = campus.new_meter("m", "load")
    args = {"meter_id": meter.meter_id, "role": 3, "source": 0, "map_hash": bytes(32), "first_sequence": 1}
    accounts = {
        "operator": campus.operator.pubkey(),
        "user": member.user,
        "installation": programs.installation_address(0),
        "meter": meter.meter,
        "key_use": programs.key_use_address(bytes(meter.key.pubkey())),
    }
    with refused(error):
        campus.send(
            meter.possession(), campus.instruction("registry", "register_meter", args | {field: value}, accounts)
        )


# Proof of possession


class Enrolment:
    """A meter about to be registered."""

    def __init__(self, campus: Campus) -> None:
        self.campus = campus
        self.member = campus.register_user("a")
        campus.register_installation()
        self.meter = campus.new_meter("m", "load")

    def register(self) -> Instruction:
        return self.campus.register_meter_instruction(self.meter, self.member, 0)

    def proof(self) -> bytearray:
        return bytearray(self.meter.possession().data)

    def send(self, proof: bytes | bytearray) -> None:
        self.campus.send(Instruction(programs.ED25519_PROGRAM, bytes(proof), []), self.register())


@pytest.fixture
def enrolment(campus: Campus) -> Enrolment:
    return Enrolment(campus)


def test_without_a_proof_nothing_is_registered(enrolment: Enrolment, refused) -> None:
    with refused("PossessionMissing"):
        enrolment.campus.send(enrolment.register())


def test_the_proof_must_be_the_precompiles(enrolment: Enrolment, refused) -> None:
    proof = Instruction(Pubkey.from_string("ComputeBudget111111111111111111111111111111"), b"\x02\0\0\x10\0", [])
    with refused("PossessionWrongProgram"):
        enrolment.campus.send(proof, enrolment.register())


def test_the_proof_must_stand_just_before(enrolment: Enrolment, refused) -> None:
    between = Instruction(Pubkey.from_string("ComputeBudget111111111111111111111111111111"), b"\x02\0\0\x10\0", [])
    with refused("PossessionWrongProgram"):
        enrolment.campus.send(enrolment.meter.possession(), between, enrolment.register())


def test_a_proof_of_nothing_is_refused(enrolment: Enrolment, refused) -> None:
    with refused("PossessionCount"):
        enrolment.send(b"\0\0")


def test_two_signatures_are_refused(enrolment: Enrolment, refused) -> None:
    meter = enrolment.meter
    message = possession_message(1, meter.network_id, meter.meter_id, meter.map_hash)
    frame = (message, bytes(meter.key.pubkey()), bytes(meter.key.sign_message(message)))
    with refused("PossessionCount"):
        enrolment.campus.send(programs.ed25519_instruction([frame, frame]), enrolment.register())


@pytest.mark.parametrize("index", [1, 3, 6], ids=["signature", "key", "message"])
def test_offsets_into_another_instruction_are_refused(enrolment: Enrolment, refused, index) -> None:
    proof = enrolment.proof()
    struct.pack_into("<H", proof, 2 + 2 * index, 0)  # the precompile's own place in the transaction: as good as 0xFFFF
    with refused("PossessionInstructionIndex"):
        enrolment.send(proof)


def test_trailing_bytes_are_refused(enrolment: Enrolment, refused) -> None:
    with refused("PossessionLayout"):
        enrolment.send(enrolment.proof() + b"\0")


def test_a_message_of_another_length_is_refused(enrolment: Enrolment, refused) -> None:
    meter = enrolment.meter
    message = possession_message(1, meter.network_id, meter.meter_id, meter.map_hash) + b"!"
    proof = programs.ed25519_instruction([(message, bytes(meter.key.pubkey()), bytes(meter.key.sign_message(message)))])
    with refused("PossessionLayout"):
        enrolment.campus.send(proof, enrolment.register())


@pytest.mark.parametrize(
    "change",
    [
        {"network_id": bytes(8)},
        {"meter_id": bytes(32)},
        {"map_hash": b"\1" * 32},
        {"first_sequence": 2},
    ],
    ids=str,
)
def test_a_proof_of_something_else_is_refused(enrolment: Enrolment, refused, change) -> None:
    meter = enrolment.meter
    content = {
        "first_sequence": 1,
        "network_id": meter.network_id,
        "meter_id": meter.meter_id,
        "map_hash": meter.map_hash,
    }
    message = possession_message(**(content | change))
    proof = programs.ed25519_instruction([(message, bytes(meter.key.pubkey()), bytes(meter.key.sign_message(message)))])
    with refused("PossessionMessage"):
        enrolment.campus.send(proof, enrolment.register())


def test_a_reading_is_no_proof_of_possession(enrolment: Enrolment, refused) -> None:
    meter = enrolment.meter
    message = b"AMR1" + possession_message(1, meter.network_id, meter.meter_id, meter.map_hash)[4:]
    proof = programs.ed25519_instruction([(message, bytes(meter.key.pubkey()), bytes(meter.key.sign_message(message)))])
    with refused("PossessionMessage"):
        enrolment.campus.send(proof, enrolment.register())


def test_a_key_use_for_another_key_is_refused(enrolment: Enrolment, refused) -> None:
    """The key that is registered is the one that signed: a KeyUse of another does not fit."""
    with refused("WrongAddress"):
        enrolment.campus.send(enrolment.meter.possession(key=key("thief")), enrolment.register())


def test_a_registration_through_a_program_is_refused(enrolment: Enrolment, refused) -> None:
    """The instruction before in the transaction is the caller's choice, not this registration's."""
    campus = enrolment.campus
    with refused("PossessionThroughCpi"):
        campus.send(enrolment.meter.possession(), relayed(campus.add_relay(), enrolment.register()))


def test_the_operator_must_sign(enrolment: Enrolment, refused) -> None:
    instruction = unsigned(enrolment.register(), enrolment.campus.operator.pubkey())
    payer = key("payer")
    enrolment.campus.svm.airdrop(payer.pubkey(), 10**10)
    with refused("OperatorMustSign"):
        enrolment.campus.send(enrolment.meter.possession(), instruction, payer=payer)
