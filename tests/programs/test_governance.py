"""governance: who may initialize, what the Config holds, which parameters are refused, pausing."""

from __future__ import annotations

import pytest
from campus import EPOCH_SECONDS, NETWORK_ID, PARAMETERS, START, Campus, key, unsigned
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from authority.chain import programs


def test_initialize_records_the_deployment(bare: Campus) -> None:
    outcome = bare.send(bare.initialize_governance())
    config = bare.account("governance", programs.config_address())
    assert config["version"] == 1
    assert config["network_id"] == NETWORK_ID
    assert config["epoch_seconds"] == EPOCH_SECONDS
    assert config["authority"] == bare.authority.pubkey()
    assert config["operator"] == bare.operator.pubkey()
    assert config["pending_authority"] == Pubkey.default()
    assert config["pause"] == 0
    assert config["parameters"] == PARAMETERS
    assert config["first_epoch"] == config["billing_period_start"] == START // EPOCH_SECONDS
    assert config["billing_period_end"] == config["billing_period_start"] + PARAMETERS["billing_period_epochs"]
    event = outcome.event("Initialized")
    assert (event["network_id"], event["parameters"]) == (NETWORK_ID, PARAMETERS)


def test_only_the_upgrade_authority_initializes(bare: Campus, refused) -> None:
    stranger = key("stranger")
    accounts = {"payer": bare.operator.pubkey(), "authority": stranger.pubkey()}
    args = bare.initialize_governance().data
    instruction = bare.instruction("governance", "initialize", {"args": _args(bare)}, accounts)
    assert bytes(instruction.data) == bytes(args)
    with refused("NotUpgradeAuthority"):
        bare.send(instruction, signers=[stranger])


def _args(campus: Campus, **changes: object) -> dict[str, object]:
    args: dict[str, object] = {
        "network_id": NETWORK_ID,
        "epoch_seconds": EPOCH_SECONDS,
        "operator": campus.operator.pubkey(),
        "parameters": PARAMETERS,
    }
    return args | changes


def test_another_programs_program_data_is_refused(bare: Campus, refused) -> None:
    other = programs.program_data_address(programs.PROGRAM_IDS["registry"])
    accounts = {
        "payer": bare.operator.pubkey(),
        "authority": bare.authority.pubkey(),
        "program_data": other,
    }
    with refused("WrongProgramData"):
        bare.send(bare.instruction("governance", "initialize", {"args": _args(bare)}, accounts))


@pytest.mark.parametrize(
    ("damage", "error"),
    [
        (lambda data: data[:12] + b"\0" + data[13:], "NoUpgradeAuthority"),
        (lambda data: b"\2" + data[1:], "WrongProgramData"),
        (lambda data: data[:44], "WrongProgramData"),
    ],
    ids=["frozen", "another state", "cut short"],
)
def test_unfit_program_data_is_refused(bare: Campus, refused, damage, error) -> None:
    address = programs.program_data_address(programs.PROGRAM_IDS["governance"])
    found = bare.svm.get_account(address)
    instruction = bare.initialize_governance()
    bare.put(address, damage(bytes(found.data)), found.owner)
    with refused(error):
        bare.send(instruction)


def test_program_data_of_another_owner_is_refused(bare: Campus, refused) -> None:
    address = programs.program_data_address(programs.PROGRAM_IDS["governance"])
    found = bare.svm.get_account(address)
    bare.put(address, bytes(found.data), programs.SYSTEM_PROGRAM)
    with refused("WrongProgramData"):
        bare.send(bare.initialize_governance())


def test_a_second_initialization_is_refused(campus: Campus, refused) -> None:
    with refused("AlreadyInitialized"):
        campus.send(campus.initialize_governance())


def test_the_config_is_made_at_its_one_address(bare: Campus, refused) -> None:
    made = bare.initialize_governance()
    elsewhere = key("other config").pubkey()
    metas = [
        AccountMeta(elsewhere, meta.is_signer, meta.is_writable) if meta.pubkey == programs.config_address() else meta
        for meta in made.accounts
    ]
    with refused("WrongConfig"):
        bare.send(Instruction(made.program_id, bytes(made.data), metas))


def test_another_system_program_is_refused(bare: Campus, refused) -> None:
    made = bare.initialize_governance()
    metas = [
        AccountMeta(key("other").pubkey(), False, False) if meta.pubkey == programs.SYSTEM_PROGRAM else meta
        for meta in made.accounts
    ]
    with refused("WrongProgram"):
        bare.send(Instruction(made.program_id, bytes(made.data), metas))


def test_lamports_sent_to_the_config_beforehand_do_not_stand_in_the_way(bare: Campus) -> None:
    bare.svm.airdrop(programs.config_address(), 1_000_000)
    bare.send(bare.initialize_governance())
    assert bare.account("governance", programs.config_address())["network_id"] == NETWORK_ID


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"grace_seconds": 901}, "GraceOutOfBounds"),
        ({"clock_skew_seconds": 901}, "ClockSkewOutOfBounds"),
        ({"nameplate_tolerance_bps": 10_001}, "ToleranceOutOfBounds"),
        ({"storage_efficiency_bps": 10_001}, "EfficiencyOutOfBounds"),
        ({"feed_in_price": 0}, "PricesOutOfBounds"),
        ({"feed_in_price": 300_001}, "PricesOutOfBounds"),
        ({"retail_price": 1_000_000_001}, "PricesOutOfBounds"),
        ({"wheeling": 300_001}, "WheelingOutOfBounds"),
        ({"fee_bps": 1_001}, "FeeOutOfBounds"),
        ({"min_order_wh": 0}, "OrderSizeOutOfBounds"),
        ({"min_order_wh": 1_000_001}, "OrderSizeOutOfBounds"),
        ({"max_order_wh": 1_000_000_001}, "OrderSizeOutOfBounds"),
        ({"max_orders_per_member": 0}, "OrderCountOutOfBounds"),
        ({"max_orders_per_member": 65}, "OrderCountOutOfBounds"),
        ({"cancel_cutoff_seconds": 900}, "CancelCutoffOutOfBounds"),
        ({"min_reference_volume_wh": 0}, "ReferenceVolumeOutOfBounds"),
        ({"billing_period_epochs": 15}, "BillingPeriodOutOfBounds"),
        ({"billing_period_epochs": 35_137}, "BillingPeriodOutOfBounds"),
        ({"netting_epochs": 0}, "NettingOutOfBounds"),
        ({"netting_epochs": 97}, "NettingOutOfBounds"),
        ({"max_order_wh": 8_388_608}, "MemberOrdersOutOfBounds"),  # times 8
        ({"max_order_wh": 1_048_576, "max_orders_per_member": 64}, "MemberOrdersOutOfBounds"),
        ({"max_order_wh": 1_000_000_000, "max_orders_per_member": 1}, "MemberOrdersOutOfBounds"),
    ],
    ids=str,
)
def test_parameters_out_of_bounds_are_refused(bare: Campus, refused, changes, error) -> None:
    with refused(error):
        bare.send(bare.initialize_governance(parameters=PARAMETERS | changes))


@pytest.mark.finding("chain-19")
def test_the_orders_of_sixty_four_members_at_their_most_fit_a_side(bare: Campus) -> None:
    """A side's total is a u32: no member's bids within its limits shut an honest one out."""
    bounds = {"max_order_wh": 8_388_607, "max_orders_per_member": 8, "netting_epochs": 96}
    bare.send(bare.initialize_governance(parameters=PARAMETERS | bounds))
    assert 64 * 8_388_607 * 8 < 2**32


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"epoch_seconds": 0}, "EpochLengthOutOfBounds"),
        ({"epoch_seconds": 9}, "EpochLengthOutOfBounds"),
        ({"epoch_seconds": 86_401}, "EpochLengthOutOfBounds"),
        ({"network_id": bytes(8)}, "ConfigInvariant"),
        ({"operator": Pubkey.default()}, "ZeroKey"),
    ],
    ids=str,
)
def test_a_deployment_that_makes_no_sense_is_refused(bare: Campus, refused, changes, error) -> None:
    with refused(error):
        bare.send(bare.initialize_governance(**changes))


def test_the_shortest_epoch_is_ten_seconds(bare: Campus) -> None:
    short = PARAMETERS | {"grace_seconds": 5, "cancel_cutoff_seconds": 2}
    bare.send(bare.initialize_governance(epoch_seconds=10, parameters=short))
    assert bare.account("governance", programs.config_address())["first_epoch"] == START // 10


def test_the_authority_pauses_and_resumes(campus: Campus) -> None:
    assert campus.set_paused(5).event("PauseChanged") == {"before": 0, "after": 5}
    assert campus.account("governance", programs.config_address())["pause"] == 5
    assert campus.set_paused(0).event("PauseChanged") == {"before": 5, "after": 0}


def test_unknown_pause_bits_are_refused(campus: Campus, refused) -> None:
    with refused("UnknownPauseBits"):
        campus.set_paused(128)


def test_the_operator_cannot_pause(campus: Campus, refused) -> None:
    accounts = {"authority": campus.operator.pubkey()}
    with refused("NotAuthority"):
        campus.send(campus.instruction("governance", "set_paused", {"bits": 1}, accounts))


def test_a_look_alike_config_is_refused(campus: Campus, refused) -> None:
    found = campus.svm.get_account(programs.config_address())
    fake = key("fake config").pubkey()
    campus.put(fake, bytes(found.data), programs.PROGRAM_IDS["governance"])
    accounts = {"authority": campus.authority.pubkey(), "config": fake}
    with refused("WrongConfig"):
        campus.send(campus.instruction("governance", "set_paused", {"bits": 1}, accounts))


def test_nothing_works_before_initialization(bare: Campus, refused) -> None:
    accounts = {"authority": bare.authority.pubkey()}
    with refused("ConfigNotInitialized"):
        bare.send(bare.instruction("governance", "set_paused", {"bits": 1}, accounts))


def test_the_authority_must_sign(bare: Campus, refused) -> None:
    payer = key("payer")
    bare.svm.airdrop(payer.pubkey(), 10**10)
    with refused("AuthorityMustSign"):
        bare.send(unsigned(bare.initialize_governance(), bare.authority.pubkey()))
    bare.send(bare.initialize_governance())
    instruction = bare.instruction("governance", "set_paused", {"bits": 1}, {"authority": bare.authority.pubkey()})
    with refused("AuthorityMustSign"):
        bare.send(unsigned(instruction, bare.authority.pubkey()), payer=payer)
