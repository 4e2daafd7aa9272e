"""Every error code of the programs is met: one scenario each, in which one thing is wrong.

The scenarios start from refusal_stage, where each instruction is accepted as it stands. What a program refuses in
which place, and in which order, the other tests say; this table says that no code of the IDLs is dead.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import pytest
from campus import (
    ACTIVE,
    CLOSED,
    CONSUMER,
    EPOCH_SECONDS,
    SUSPENDED,
    Campus,
    Refusal,
    SimulatedMeter,
    idl,
    key,
    relayed,
)
from market_accounts import BID, CREDIT, GROWING
from refusal_stage import (
    ASK_PRICE,
    FEED_IN,
    RUNNING,
    TRADED,
    Act,
    Stage,
)
from solders.instruction import Instruction
from solders.pubkey import Pubkey

from authority.chain import programs
from authority.chain.artifacts import PROGRAM_NAMES
from edge_agent.wire.reading import FLAG_REGISTER_RESET, Frame

Scenario = Callable[[Stage], object]
COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")
SIGNED_BY_PROGRAMS = {"mint_energy", "mint_energy_to_seat", "clear_epoch", "credit_seat", "burn_from_seat"}
U32, U64 = 2**32 - 1, 2**64 - 1

UNREACHABLE = {
    "governance.GivenTwice": "no instruction takes Config in two places of which one writes; the type asks for a code",
}
"""Codes that no transaction meets, and why they stand."""


def sent(stage: Stage, act: Act) -> object:
    """The act is sent, signed as it has to be."""
    return stage.by_a_program(act) if act.name in SIGNED_BY_PROGRAMS else stage.do(act)


def of(stage: Stage, name: str) -> Act:
    """The stage's act of that name."""
    made: Act = getattr(stage, name)()
    return made


def other(name: str, account: str) -> Scenario:
    """An instruction with a stranger's address for one of its accounts."""
    return lambda stage: sent(stage, of(stage, name).but(**{account: stage.stranger}))


def args(name: str, **changes: Any) -> Scenario:
    """An instruction with other arguments."""
    return lambda stage: sent(stage, of(stage, name).but(**changes))


def unsigned(name: str, account: str) -> Scenario:
    """An instruction without a signature that it needs."""

    def scenario(stage: Stage) -> object:
        act = of(stage, name)
        programs_own = {"oracle": programs.oracle_authority(), "mint_authority": programs.mint_authority()}
        if account in programs_own:
            act = act.but(**{account: programs_own[account]})
        return sent(stage, act.but(unsigned=(account,)))

    return scenario


def parameters(**changes: int) -> Scenario:
    """stage_parameters with these."""
    return lambda stage: stage.do(stage.stage_parameters(**changes))


def damaged(name: str, program: str, address: Callable[[Stage], Pubkey], **fields: Any) -> Scenario:
    """An instruction on an account as no instruction leaves it."""

    def scenario(stage: Stage) -> object:
        stage.damage(program, address(stage), **fields)
        return sent(stage, of(stage, name))

    return scenario


def later(name: str, seconds: int, **changes: Any) -> Scenario:
    """An instruction some time later."""

    def scenario(stage: Stage) -> object:
        act = of(stage, name).but(**changes)
        stage.campus.set_time(stage.campus.time + seconds)
        return sent(stage, act)

    return scenario


def after(*steps: Callable[[Stage], Act], then: Callable[[Stage], Act]) -> Scenario:
    """An instruction after others, each in a transaction of its own."""

    def scenario(stage: Stage) -> object:
        for step in steps:
            sent(stage, step(stage))
        return sent(stage, then(stage))

    return scenario


def again(name: str) -> Scenario:
    """An instruction twice."""
    return after(lambda stage: of(stage, name), then=lambda stage: of(stage, name))


# governance


def bare(**changes: Any) -> Scenario:
    """governance.initialize on programs that are deployed and nothing more, with other arguments or accounts."""

    def scenario(stage: Stage) -> object:
        stage.campus, act = Campus(initialize=False), stage.initialize_governance()
        stage.campus.svm.airdrop(stage.payer.pubkey(), 10**12)
        stage.campus.svm.airdrop(stage.stranger, 10**12)
        given = {name: value for name, value in changes.items() if name in act.args["args"]}
        rest = {name: value for name, value in changes.items() if name not in given}
        rest = {name: stage.stranger if value is None else value for name, value in rest.items()}
        return stage.do(act.but(args=act.args["args"] | given, **rest))

    return scenario


def without_upgrade_authority(stage: Stage) -> object:
    """Programs that were made final."""
    stage.campus = Campus(initialize=False)
    stage.campus.svm.airdrop(stage.payer.pubkey(), 10**12)
    where = programs.program_data_address(programs.PROGRAM_IDS["governance"])
    found = stage.campus.svm.get_account(where)
    assert found is not None
    data = bytearray(found.data)
    data[12] = 0
    stage.campus.put(where, bytes(data), found.owner)
    return stage.do(stage.initialize_governance())


def before(act: Callable[[Stage], Act], *, governed: bool = True) -> Scenario:
    """An act where only governance, or not even that, is initialized."""

    def scenario(stage: Stage) -> object:
        made = act(stage)
        stage.campus = Campus(initialize=False)
        stage.campus.svm.airdrop(stage.payer.pubkey(), 10**12)
        if governed:
            stage.campus.send(stage.campus.initialize_governance())
        return stage.do(made)

    return scenario


def staged_when_due(stage: Stage) -> object:
    stage.do(stage.stage_parameters())
    stage.at(1)
    return stage.do(stage.stage_parameters().but(from_epoch=RUNNING + 3))


GOVERNANCE: dict[str, Scenario] = {
    "WrongConfig": other("set_paused", "config"),
    "ConfigNotInitialized": before(lambda stage: stage.register_installation(), governed=False),
    "OperatorMustSign": unsigned("register_installation", "operator"),
    "NotOperator": other("register_installation", "operator"),
    "AuthorityMustSign": unsigned("set_paused", "authority"),
    "NotAuthority": other("set_paused", "authority"),
    "Paused": after(lambda stage: stage.set_paused().but(bits=1), then=lambda stage: stage.register_installation()),
    "WrongProgramData": bare(program_data=None),
    "NotUpgradeAuthority": bare(authority=None),
    "NoUpgradeAuthority": without_upgrade_authority,
    "AlreadyInitialized": args("initialize_governance"),
    "ConfigInvariant": bare(network_id=bytes(8)),
    "EpochLengthOutOfBounds": bare(epoch_seconds=0),
    "GraceOutOfBounds": parameters(grace_seconds=EPOCH_SECONDS + 1),
    "ClockSkewOutOfBounds": parameters(clock_skew_seconds=EPOCH_SECONDS + 1),
    "ToleranceOutOfBounds": parameters(nameplate_tolerance_bps=10_001),
    "EfficiencyOutOfBounds": parameters(storage_efficiency_bps=10_001),
    "PricesOutOfBounds": parameters(feed_in_price=0),
    "WheelingOutOfBounds": parameters(wheeling=300_001),
    "FeeOutOfBounds": parameters(fee_bps=1_001),
    "OrderSizeOutOfBounds": parameters(min_order_wh=0),
    "OrderCountOutOfBounds": parameters(max_orders_per_member=65),
    "CancelCutoffOutOfBounds": parameters(cancel_cutoff_seconds=EPOCH_SECONDS),
    "ReferenceVolumeOutOfBounds": parameters(min_reference_volume_wh=0),
    "BillingPeriodOutOfBounds": parameters(billing_period_epochs=15),
    "UnknownPauseBits": args("set_paused", bits=128),
    "StagedTooEarly": args("stage_parameters", from_epoch=RUNNING + 1),
    "StagedTooLate": args("stage_parameters", from_epoch=RUNNING + 35_137),
    "NoPendingAuthority": args("accept_authority"),
    "NotPendingAuthority": after(
        lambda stage: stage.propose_authority(), then=lambda stage: stage.accept_authority().but(pending=stage.stranger)
    ),
    "BillingPeriodNotOver": args("open_billing_period"),
    "ZeroKey": args("set_operator", operator=Pubkey.default()),
    "StagedAlreadyDue": staged_when_due,
    "BillingPeriodOverdue": later("stage_parameters", 16 * EPOCH_SECONDS, from_epoch=RUNNING + 20),
    "MemberOrdersOutOfBounds": parameters(max_order_wh=10_000_000),
    "NettingOutOfBounds": parameters(netting_epochs=97),
    "PayerMustSign": unsigned("initialize_governance", "payer"),
    "WrongProgram": bare(system_program=None),
}


# registry


def possession(data: Callable[[bytearray], bytes]) -> Scenario:
    """register_meter after a proof of possession with other bytes."""

    def scenario(stage: Stage) -> object:
        act = stage.register_meter()
        proof = act.before[0]
        return stage.do(act.but(before=(Instruction(proof.program_id, data(bytearray(proof.data)), []),)))

    return scenario


def patched(offset: int, value: int) -> Callable[[bytearray], bytes]:
    """Data with another u16 in one place."""

    def patch(data: bytearray) -> bytes:
        struct.pack_into("<H", data, offset, value)
        return bytes(data)

    return patch


def another_claim(stage: Stage) -> object:
    meter = stage.campus.new_meter("new", "submeter")
    return stage.do(stage.register_meter(meter).but(before=(meter.possession(2),)))


def meter_called_by_a_program(stage: Stage) -> object:
    relay = stage.campus.add_relay()
    return stage.do(stage.register_meter().but(inner=lambda instruction: relayed(relay, instruction)))


def zero_meter_id(stage: Stage) -> object:
    return stage.do(stage.register_meter(SimulatedMeter(key("zero"), bytes(32), "submeter", 0)))


def another_meter(role: str, of_member: str) -> Scenario:
    """A further meter of a member who cannot have one of that role."""

    def scenario(stage: Stage) -> object:
        return stage.do(stage.register_meter(stage.campus.new_meter("new", role), getattr(stage, of_member)))

    return scenario


def twenty_five_meters(stage: Stage) -> object:
    stage.damage("registry", stage.bob.user, load_meters=24, settling_meters=2**24 - 1)
    return stage.do(stage.register_meter(stage.campus.new_meter("new", "load"), stage.bob))


def a_used_key(stage: Stage) -> object:
    used = stage.house.key
    act = stage.replace_meter_key().but(key_use=programs.key_use_address(bytes(used.pubkey())))
    return stage.do(act.but(before=(stage.house.possession(5, key=used),)))


def status(stage: Stage, member: str, code: int) -> Act:
    return stage.of_user("set_user_status", {"status": code}, getattr(stage, member))


def inactive_owner(stage: Stage) -> object:
    stage.do(stage.set_meter_status())
    stage.do(status(stage, "alice", SUSPENDED))
    return stage.do(stage.set_meter_status().but(status=ACTIVE))


REGISTRY: dict[str, Scenario] = {
    "WrongRegistry": other("register_installation", "registry"),
    "RegistryNotInitialized": before(lambda stage: stage.register_installation()),
    "AlreadyInitialized": lambda stage: stage.do(stage.act("registry", "initialize")),
    "RegistryInvariant": damaged(
        "register_installation", "registry", lambda stage: programs.registry_address(), version=2
    ),
    "KeyUseInvariant": zero_meter_id,
    "NotAUser": other("set_user_status", "user"),
    "NotAnInstallation": other("stage_installation", "installation"),
    "NotAMeter": other("set_meter_map", "meter"),
    "UserInvariant": damaged("set_user_status", "registry", lambda stage: stage.carol.user, version=2),
    "MeterInvariant": damaged("set_meter_map", "registry", lambda stage: stage.house.meter, version=2),
    "UserNotActive": after(lambda stage: stage.set_user_status(), then=lambda stage: stage.register_meter()),
    "MemberMustSign": unsigned("place_order", "authority"),
    "NotWalletOrDelegate": other("place_order", "authority"),
    "DelegationExpired": lambda stage: later("place_order", 20 * EPOCH_SECONDS, authority=stage.helper)(stage),
    "UnknownUserRole": args("register_user", role=3),
    "AlreadyRegistered": again("register_user"),
    "WrongAddress": other("register_user", "user"),
    "WrongMint": other("register_user", "energy_mint"),
    "WrongTokenAccount": other("register_user", "energy_token_account"),
    "WrongProgram": other("register_user", "token_program"),
    "UnknownInstallationKind": args("register_installation", kind=8),
    "NameplateOutOfBounds": args("register_installation", nameplate_w=0),
    "StorageOutOfBounds": args("register_installation", storage_wh=2**32),
    "BadBuildingName": args("register_installation", building=bytes(32)),
    "UnknownMeterRole": args("register_meter", role=6),
    "UnknownSource": args("register_meter", source=5),
    "RoleSourceMismatch": args("register_meter", role=1),
    "BuildingMeterStandsAlone": another_meter("load", "alice"),
    "LoadOrGridMeters": another_meter("grid", "bob"),
    "ConsumerCannotGenerate": lambda stage: stage.do(stage.of_user("set_user_role", {"role": CONSUMER}, stage.alice)),
    "TooManyMeters": twenty_five_meters,
    "PossessionMissing": args("register_meter", before=()),
    "PossessionWrongProgram": args("register_meter", before=(Instruction(COMPUTE_BUDGET, b"\2\0\0\x10\0", []),)),
    "PossessionCount": possession(lambda data: b"\0\0"),
    "PossessionInstructionIndex": possession(patched(4, 0)),
    "PossessionLayout": possession(lambda data: bytes(data) + b"\0"),
    "PossessionMessage": another_claim,
    "PossessionThroughCpi": meter_called_by_a_program,
    "WrongInstructionsSysvar": other("register_meter", "instructions"),
    "UnknownStatus": args("set_user_status", status=4),
    "StatusClosed": after(
        lambda stage: stage.set_meter_status().but(status=CLOSED), then=lambda stage: stage.set_meter_map()
    ),
    "DelegationTermOutOfBounds": args("set_delegate", until=0),
    "NotWallet": other("set_delegate", "wallet"),
    "MeterOfAnother": lambda stage: stage.do(stage.set_meter_status().but(user=stage.bob.user)),
    "NotAtSettledBoundary": lambda stage: stage.do(
        stage.reassign_meter().but(meter=stage.load.meter, from_user=stage.bob.user, meter_state=stage.load.state)
    ),
    "FirstSequenceOutOfBounds": args("replace_meter_key", first_sequence=0),
    "WrongOracleAccount": lambda stage: stage.do(stage.reassign_meter().but(meter_state=stage.load.state)),
    "UserHasMeters": lambda stage: stage.do(status(stage, "alice", CLOSED)),
    "MeterOfInactiveUser": inactive_owner,
    "KeyUsedBefore": a_used_key,
    "StatusUnchanged": args("set_user_status", status=ACTIVE),
    "GivenTwice": lambda stage: stage.do(stage.reassign_meter().but(to_user=stage.alice.user)),
    "OperatorAsMember": lambda stage: stage.do(stage.propose_wallet().but(next=stage.operator)),
    "NoWalletProposed": args("replace_wallet"),
    "WalletNotDue": after(lambda stage: stage.propose_wallet(), then=lambda stage: stage.replace_wallet()),
    "RoleUnchanged": args("set_user_role", role=2),
    "StagedOutOfBounds": args("stage_installation", from_epoch=RUNNING),
}


# energy_token


def damaged_retirement(stage: Stage) -> object:
    stage.do(stage.retire_energy())
    stage.damage("energy_token", programs.retirement_address(stage.alice.address), version=2)
    return stage.do(stage.retire_energy())


def feed_in_of_too_little(stage: Stage) -> object:
    cheap = stage.campus.account("governance", programs.config_address())["parameters"] | {"feed_in_price": 1}
    stage.damage("governance", programs.config_address(), parameters=cheap)
    return stage.do(stage.retire_energy().but(reason=FEED_IN, amount=999))


def lost_account(stage: Stage) -> object:
    stage.give_away(stage.alice.energy_tokens, stage.alice)
    return stage.by_a_program(stage.mint_energy())


ENERGY_TOKEN: dict[str, Scenario] = {
    "AlreadyInitialized": lambda stage: stage.do(stage.act("energy_token", "initialize")),
    "WrongEnergyMint": other("mint_energy", "energy_mint"),
    "WrongCreditMint": other("issue_credit", "credit_mint"),
    "WrongMintAuthority": other("issue_credit", "mint_authority"),
    "NotTheOracle": other("mint_energy", "oracle"),
    "WrongEnergyAccount": other("mint_energy", "energy_token_account"),
    "WrongCreditAccount": other("issue_credit", "credit_token_account"),
    "ZeroAmount": args("issue_credit", amount=0),
    "WrongTokenProgram": other("issue_credit", "token_program"),
    "WrongRetirement": other("retire_energy", "retirement"),
    "RetirementInvariant": damaged_retirement,
    "UnknownReason": args("retire_energy", reason=2),
    "ExceedsWithdrawals": args("retire_energy", amount=2_001),
    "PeriodClosed": args("retire_energy", period=1),
    "WrongOracleAccount": lambda stage: stage.do(stage.retire_energy().but(energy_account=stage.bob.energy_account)),
    "WrongSystemProgram": other("retire_energy", "system_program"),
    "PayerMustSign": unsigned("retire_energy", "payer"),
    "TooSmall": feed_in_of_too_little,
    "OracleMustSign": unsigned("mint_energy", "oracle"),
    "TooMuchAtOnce": args("retire_energy", amount=2**32),
    "WrongMarket": other("retire_energy", "market"),
    "WrongTradingProgram": other("retire_energy", "trading_program"),
    "WrongVault": other("retire_energy", "energy_vault"),
    "WrongSeats": other("retire_energy", "seats"),
    "UnknownSource": args("retire_energy", source=2),
    "DelegateRetiresFromSeat": lambda stage: stage.do(stage.retire_energy().but(member=stage.helper)),
    "ExceedsOwnSurplus": args("retire_energy", reason=FEED_IN, amount=5_001),
    "UnusableEnergyAccount": lost_account,
    "UsableEnergyAccount": args("mint_energy_to_seat"),
}


# oracle


def reading(**changes: Any) -> Scenario:
    """submit_readings of the house's reading with other fields."""
    return lambda stage: stage.do(stage.submit_readings(stage.signed(**changes)))


def precompile(data: Callable[[bytearray], bytes], meters: int = 1) -> Scenario:
    """submit_readings after a precompile instruction with other bytes, over equal frames of the house."""

    def scenario(stage: Stage) -> object:
        act = stage.submit_readings()
        frames = programs.ed25519_frames([stage.signed()] * meters)
        changed = Instruction(frames.program_id, data(bytearray(frames.data)), [])
        return stage.do(act.but(before=(changed,), remaining=tuple(stage.house.pair) * meters))

    return scenario


def swapped(offset: int) -> Callable[[bytearray], bytes]:
    """The first row of two names the second frame in one of its offsets."""

    def patch(data: bytearray) -> bytes:
        data[offset : offset + 2] = data[offset + 14 : offset + 16]
        return bytes(data)

    return patch


def a_longer_message(stage: Stage) -> object:
    frame = stage.signed()
    signature = bytes(stage.house.key.sign_message(frame.record_bytes + frame.public_key[:1]))
    data = bytearray(programs.ed25519_frames([Frame(frame.record_bytes, frame.public_key, signature)]).data)
    struct.pack_into("<H", data, 2 + 10, 97)
    changed = Instruction(programs.ED25519_PROGRAM, bytes(data), [])
    return stage.do(stage.submit_readings().but(before=(changed,)))


def another_magic(stage: Stage) -> object:
    frame = stage.signed()
    record = b"AMR2" + frame.record_bytes[4:]
    signature = bytes(stage.house.key.sign_message(record))
    return stage.do(stage.submit_readings(Frame(record, frame.public_key, signature)))


def another_key(stage: Stage) -> object:
    record = stage.signed().record_bytes
    thief = key("thief")
    frame = Frame(record, bytes(thief.pubkey()), bytes(thief.sign_message(record)))
    return stage.do(stage.submit_readings(frame))


def readings_called_by_a_program(stage: Stage) -> object:
    relay = stage.campus.add_relay()
    return stage.do(stage.submit_readings().but(inner=lambda instruction: relayed(relay, instruction)))


def suspended_meter(stage: Stage) -> object:
    return stage.do(stage.submit_readings(stage.signed(stage.old), stage.old))


def an_unread_meter(stage: Stage) -> object:
    meter = stage.campus.add_meter(stage.carol, "never read", "load")
    act = stage.settle_surplus().but(remaining=tuple(meter.pair), user=stage.carol.user)
    return stage.do(act.but(energy_account=stage.carol.energy_account, energy_token_account=stage.carol.energy_tokens))


def a_half_enrolled_member(stage: Stage) -> object:
    meter = stage.campus.add_meter(stage.carol, "roof", "generation", "solar")
    act = stage.settle_surplus().but(remaining=tuple(meter.pair), user=stage.carol.user)
    return stage.do(act.but(energy_account=stage.carol.energy_account, energy_token_account=stage.carol.energy_tokens))


def a_span_beyond_the_period(stage: Stage) -> object:
    """Settled before the next billing period is opened."""
    campus, boundary = stage.campus, stage.campus.boundary(17)
    campus.set_time(boundary)
    campus.submit((stage.load, stage.load.read(boundary, 0, 100)))
    return stage.do(stage.settle_surplus().but(interval_end=boundary))


def energies_beyond_u64(stage: Stage) -> object:
    campus = stage.campus
    campus.change("oracle", stage.bob.energy_account, withdrawn=U64)
    return stage.do(stage.settle_surplus())


def no_oracle_yet(stage: Stage) -> object:
    act = stage.checkpoint_epoch()
    stage.campus = Campus()
    stage.campus.svm.airdrop(stage.payer.pubkey(), 10**12)
    stage.campus.set_time(stage.campus.boundary(5))
    return stage.do(act)


def the_traded_epoch(stage: Stage) -> Act:
    """The checkpoint of the traded epoch, after that of the one before."""
    act = stage.checkpoint_epoch().but(epoch=TRADED, book_hash=bytes(32))
    return act.but(checkpoint=programs.checkpoint_address(TRADED), book=programs.book_address(TRADED))


def a_submeter(stage: Stage) -> object:
    return stage.do(
        stage.settle_idle_meter().but(
            user=stage.alice.user,
            energy_account=stage.alice.energy_account,
            meter=stage.lab.meter,
            meter_state=stage.lab.state,
        )
    )


def an_active_meter(stage: Stage) -> object:
    return stage.do(
        stage.settle_idle_meter().but(
            user=stage.bob.user,
            energy_account=stage.bob.energy_account,
            meter=stage.load.meter,
            meter_state=stage.load.state,
        )
    )


def more_than_fits(stage: Stage) -> object:
    """Within the nameplate of three epochs, out of a storage of 50 kWh."""
    stage.at(2)
    return reading(interval_end=stage.campus.boundary(6), discharge=56_000)(stage)


ORACLE: dict[str, Scenario] = {
    "WrongOracle": other("checkpoint_epoch", "oracle"),
    "OracleNotOpen": no_oracle_yet,
    "OracleInvariant": damaged("settle_surplus", "oracle", lambda stage: programs.oracle_authority(), version=2),
    "NotAMeterState": other("settle_idle_meter", "meter_state"),
    "MeterStateInvariant": damaged("submit_readings", "oracle", lambda stage: stage.house.state, version=2),
    "NotAnEnergyAccount": other("settle_surplus", "energy_account"),
    "EnergyAccountInvariant": damaged("settle_surplus", "oracle", lambda stage: stage.bob.energy_account, version=2),
    "CheckpointInvariant": damaged("checkpoint_epoch", "oracle", lambda stage: programs.oracle_authority(), minted=0),
    "WrongAddress": other("open_meter", "meter_state"),
    "AlreadyOpen": again("open_meter"),
    "WrongInstructionsSysvar": other("submit_readings", "instructions"),
    "ThroughCpi": readings_called_by_a_program,
    "SignaturesMissing": args("submit_readings", before=()),
    "NotEd25519Program": args("submit_readings", before=(Instruction(COMPUTE_BUDGET, b"\2\0\0\x10\0", []),)),
    "NoSignatures": precompile(lambda data: b"\0\0"),
    "SignatureCount": args("submit_readings", remaining=()),
    "SignatureTable": precompile(lambda data: bytes(data) + b"\0"),
    "SignatureInstructionIndex": precompile(patched(2 + 2, 0)),
    "KeyInstructionIndex": precompile(patched(2 + 6, 0)),
    "MessageInstructionIndex": precompile(patched(2 + 12, 0)),
    "MessageOffset": precompile(swapped(2 + 8), meters=2),
    "MessageSize": a_longer_message,
    "KeyOffset": precompile(swapped(2 + 4), meters=2),
    "SignatureOffset": precompile(swapped(2), meters=2),
    "WrongKey": another_key,
    "StateOfAnotherMeter": lambda stage: stage.do(
        stage.submit_readings().but(remaining=(stage.house.pair[0], stage.load.pair[1]))
    ),
    "MeterNotActive": suspended_meter,
    "RecordMagic": another_magic,
    "RecordNetwork": reading(network_id=b"another1"),
    "SequenceNotRising": reading(sequence=3),
    "SequenceBelowFirst": reading(sequence=0),
    "PreviousHash": reading(previous_hash=b"\1" * 16),
    "IntervalNotRising": lambda stage: reading(interval_end=stage.campus.boundary(3))(stage),
    "IntervalNotAligned": lambda stage: reading(interval_end=stage.campus.boundary(4) - 1)(stage),
    "IntervalInFuture": lambda stage: reading(interval_end=stage.campus.boundary(5))(stage),
    "RegisterDecreased": reading(generation=0),
    "RegisterNotPermitted": lambda stage: stage.do(
        stage.submit_readings(stage.signed(stage.load, interval_end=later_boundary(stage), generation=1), stage.load)
    ),
    "ExceedsNameplate": reading(generation=10**9),
    "ExceedsStorage": more_than_fits,
    "SourceMismatch": reading(source=2),
    "UnknownFlags": reading(flags=1 << 9),
    "RegisterEpoch": reading(register_epoch=2),
    "NeedsRebase": reading(flags=FLAG_REGISTER_RESET),
    "NotARebase": lambda stage: stage.do(stage.rebase_meter(stage.signed())),
    "MeterOfAnotherUser": lambda stage: stage.do(stage.open_meter().but(user=stage.alice.user)),
    "MeterSetIncomplete": args("settle_surplus", remaining=()),
    "MeterSetNotSettleable": a_half_enrolled_member,
    "NotAtBoundary": lambda stage: stage.do(
        stage.settle_surplus().but(interval_end=stage.campus.boundary(4) + EPOCH_SECONDS)
    ),
    "BoundaryNotRising": again("settle_surplus"),
    "NoReading": an_unread_meter,
    "AccountsNotPaired": lambda stage: stage.do(stage.settle_surplus().but(remaining=tuple(stage.load.pair[:1]))),
    "GivenTwice": lambda stage: stage.do(stage.settle_surplus().but(remaining=tuple(stage.load.pair * 2))),
    "WalletMismatch": lambda stage: stage.do(stage.settle_surplus().but(energy_account=stage.alice.energy_account)),
    "BillingPeriodNotOpen": a_span_beyond_the_period,
    "EpochNotOver": lambda stage: stage.do(stage.trigger_clearing().but(epoch=RUNNING)),
    "CheckpointOutOfOrder": again("checkpoint_epoch"),
    "LogShrank": after(
        lambda stage: stage.checkpoint_epoch(), then=lambda stage: the_traded_epoch(stage).but(log_size=4)
    ),
    "WrongMint": other("settle_surplus", "energy_mint"),
    "WrongProgram": other("settle_surplus", "token_program"),
    "EnergyOverflow": energies_beyond_u64,
    "BookUnfinished": after(lambda stage: stage.checkpoint_epoch(), then=the_traded_epoch),
    "WrongBookHash": after(
        lambda stage: stage.checkpoint_epoch(), lambda stage: stage.trigger_clearing(), then=the_traded_epoch
    ),
    "SequenceTooFar": reading(sequence=100),
    "MeterIsActive": an_active_meter,
    "MeterNotSettling": a_submeter,
}


def later_boundary(stage: Stage) -> int:
    """The next boundary, which has come."""
    stage.at(1)
    return stage.campus.boundary(5)


# trading


def placed(**changes: Any) -> Scenario:
    """place_order with other arguments."""
    return args("place_order", **changes)


def bids(stage: Stage, **changes: Any) -> Act:
    """An order of bob's."""
    return stage.place_order().but(**{"side": BID, "authority": stage.bob.address, "user": stage.bob.user} | changes)


def crossing(stage: Stage) -> object:
    return stage.do(stage.place_order().but(side=BID))


def a_full_side(stage: Stage) -> object:
    stage.do(stage.place_order())
    return stage.do(stage.place_order().but(price=ASK_PRICE + 1))


def too_many(stage: Stage) -> object:
    book = programs.book_address(RUNNING)
    stage.damage_head("EpochBook", book, max_orders_per_member=1)
    return stage.do(stage.place_order())


def by_the_delegate(stage: Stage) -> object:
    return stage.do(stage.deposit().but(authority=stage.helper, source=stage.bob.energy_tokens))


def payout_to_a_lost_account(stage: Stage) -> object:
    stage.do(stage.set_payout())
    stage.give_away(stage.alice.energy_tokens, stage.alice)
    return stage.do(stage.withdraw().but(authority=stage.stranger))


def a_member_beyond_the_seats(stage: Stage) -> object:
    stage.damage("registry", stage.alice.user, member_index=250)
    return stage.do(stage.deposit())


def again_in_its_slot(stage: Stage, **accounts: Pubkey) -> object:
    """The traded book's slot, sixteen epochs later, once it is cleared and pinned, or with another checkpoint."""
    stage.do(stage.checkpoint_epoch())
    stage.do(stage.trigger_clearing())
    stage.do(the_traded_epoch(stage).but(book_hash=stage.book().hash()))
    stage.at(TRADED + programs.BOOKS - RUNNING)
    given = {"book": programs.book_address(TRADED), "checkpoint": programs.checkpoint_address(TRADED)}
    return stage.do(stage.open_epoch().but(epoch=TRADED + programs.BOOKS, **given | accounts))


def another_hash_is_pinned(stage: Stage) -> object:
    stage.do(stage.checkpoint_epoch())
    stage.do(stage.trigger_clearing())
    stage.do(the_traded_epoch(stage).but(book_hash=stage.book().hash()))
    stage.damage("oracle", programs.checkpoint_address(TRADED), book_hash=bytes(32))
    stage.at(TRADED + programs.BOOKS - RUNNING)
    given = {"book": programs.book_address(TRADED), "checkpoint": programs.checkpoint_address(TRADED)}
    return stage.do(stage.open_epoch().but(epoch=TRADED + programs.BOOKS, **given))


def an_occupied_slot(stage: Stage) -> object:
    stage.at(TRADED + programs.BOOKS - RUNNING)
    return stage.do(stage.open_epoch().but(epoch=TRADED + programs.BOOKS, book=programs.book_address(TRADED)))


def the_later_book_first(stage: Stage) -> object:
    stage.at(1)
    return stage.do(stage.trigger_clearing().but(epoch=RUNNING, book=programs.book_address(RUNNING)))


def an_unfair_book(stage: Stage) -> object:
    """Asks out of order, as no instruction leaves them."""
    where = programs.book_address(RUNNING)
    stage.do(stage.place_order().but(price=ASK_PRICE + 50_000), bids(stage, quantity=150, price=200_000))
    stage.do(stage.trigger_clearing())
    book = stage.book(RUNNING)
    book.asks.reverse()
    stage.campus.put(where, book.to_bytes(), programs.PROGRAM_IDS["trading"])
    stage.at(1)
    return stage.do(stage.trigger_clearing().but(epoch=RUNNING, book=where))


def locked_short(stage: Stage) -> object:
    stage.damage_head("EpochBook", programs.book_address(RUNNING), energy_locked=1)
    return stage.do(stage.cancel_order())


def damaged_head(name: str, account: str, address: Pubkey, **fields: Any) -> Scenario:
    """An instruction on a book or seats as no instruction leaves them."""

    def scenario(stage: Stage) -> object:
        stage.damage_head(account, address, **fields)
        return sent(stage, of(stage, name))

    return scenario


def a_book_half_grown(stage: Stage) -> object:
    stage.damage_head("EpochBook", programs.book_address(RUNNING + 1), status=GROWING)
    return stage.do(stage.open_epoch())


def an_unusable_fee_account(stage: Stage) -> object:
    return stage.do(stage.set_fee_account().but(fee_account=stage.bob.energy_tokens))


def a_market(**changes: Any) -> Scenario:
    """initialize_market where there is none yet."""

    def scenario(stage: Stage) -> object:
        act = stage.initialize_market()
        stage.campus = Campus()
        stage.campus.svm.airdrop(stage.payer.pubkey(), 10**12)
        create = programs.create_associated_token_account(stage.operator, stage.authority, programs.credit_mint())
        stage.campus.send(create)
        return stage.do(act.but(**changes))

    return scenario


def no_market(stage: Stage) -> object:
    act = stage.grow_book()
    stage.campus = Campus()
    stage.campus.svm.airdrop(stage.payer.pubkey(), 10**12)
    return stage.do(act)


TRADING: dict[str, Scenario] = {
    "WrongMarket": other("deposit", "market"),
    "MarketNotInitialized": no_market,
    "WrongSeats": other("deposit", "seats"),
    "WrongBook": placed(epoch=TRADED),
    "WrongTokenAccount": by_the_delegate,
    "WrongVault": other("deposit", "vault"),
    "WrongFeeAccount": after(
        lambda stage: stage.trigger_clearing(),
        then=lambda stage: stage.withdraw_fees().but(fee_account=stage.bob.credit_tokens),
    ),
    "WrongMint": other("burn_from_seat", "energy_mint"),
    "WrongCheckpoint": lambda stage: again_in_its_slot(stage, checkpoint=programs.SYSTEM_PROGRAM),
    "WrongTokenProgram": other("deposit", "token_program"),
    "WrongSystemProgram": other("grow_book", "system_program"),
    "NotTheOracle": other("clear_epoch", "oracle"),
    "OracleMustSign": unsigned("clear_epoch", "oracle"),
    "NotTheEnergyToken": other("credit_seat", "mint_authority"),
    "EnergyTokenMustSign": unsigned("credit_seat", "mint_authority"),
    "PayerMustSign": unsigned("grow_book", "payer"),
    "MarketExists": args("initialize_market"),
    "CapacityOutOfBounds": a_market(orders_per_side=4_097),
    "ReferencePriceOutOfBounds": a_market(reference_price=49_999),
    "UnusableFeeAccount": an_unusable_fee_account,
    "FeeAccountNotAssociated": lambda stage: stage.do(stage.set_fee_account().but(fee_account=programs.credit_vault())),
    "NoFees": args("withdraw_fees"),
    "UnknownSlot": args("grow_book", slot=16),
    "BookAlreadyGrown": again("grow_book"),
    "BookNotGrown": a_book_half_grown,
    "SeatsSuffice": again("grow_seats"),
    "NoSeat": a_member_beyond_the_seats,
    "EpochNotOpenable": args("open_epoch", epoch=RUNNING + 2),
    "BookExists": args("open_epoch", epoch=RUNNING),
    "SlotOccupied": an_occupied_slot,
    "BookHashMismatch": another_hash_is_pinned,
    "BookNotOpen": after(
        lambda stage: stage.trigger_clearing(),
        then=lambda stage: stage.place_order().but(epoch=TRADED, book=programs.book_address(TRADED)),
    ),
    "EpochNotBegun": after(
        lambda stage: stage.open_epoch(),
        then=lambda stage: stage.place_order().but(epoch=RUNNING + 1, book=programs.book_address(RUNNING + 1)),
    ),
    "AfterCutoff": later("place_order", EPOCH_SECONDS - 2),
    "EpochNotOver": lambda stage: stage.by_a_program(
        stage.clear_epoch().but(epoch=RUNNING, book=programs.book_address(RUNNING))
    ),
    "EarlierBookUnsettled": the_later_book_first,
    "AlreadyCleared": again("trigger_clearing"),
    "NotRefundable": args("refund_epoch"),
    "UnknownSide": placed(side=2),
    "PriceBelowFeedIn": placed(price=49_999),
    "PriceAboveRetail": placed(price=300_001),
    "OrderTooSmall": placed(quantity=9),
    "OrderTooLarge": placed(quantity=1_000_001),
    "TooManyOrders": too_many,
    "CrossesOwnOrder": crossing,
    "BookFull": a_full_side,
    "NoSuchOrder": args("cancel_order", number=7),
    "OrderOfAnotherMember": lambda stage: stage.do(
        stage.cancel_order().but(authority=stage.bob.address, user=stage.bob.user)
    ),
    "UnknownAsset": args("deposit", asset=2),
    "ZeroAmount": args("deposit", amount=0),
    "NotEnoughEnergy": args("withdraw", amount=1_801),
    "NotEnoughCredit": lambda stage: stage.do(
        stage.withdraw().but(
            asset=CREDIT, amount=1, destination=stage.alice.credit_tokens, vault=programs.credit_vault()
        )
    ),
    "UnusableTokenAccount": payout_to_a_lost_account,
    "WithdrawToVault": lambda stage: stage.do(stage.withdraw().but(destination=programs.energy_vault())),
    "UnknownPayout": args("set_payout", assets=4),
    "MarketInvariant": damaged("open_epoch", "trading", lambda stage: programs.market_address(), version=2),
    "SeatsInvariant": damaged_head("deposit", "Seats", programs.seats_address(), version=2),
    "BookInvariant": damaged_head("place_order", "EpochBook", programs.book_address(RUNNING), version=2),
    "UnfairClearing": an_unfair_book,
    "LockedShort": locked_short,
    "VaultShort": args("credit_seat", amount=1),
}

SCENARIOS = {
    f"{program}.{name}": scenario
    for program, table in (
        ("governance", GOVERNANCE),
        ("registry", REGISTRY),
        ("energy_token", ENERGY_TOKEN),
        ("oracle", ORACLE),
        ("trading", TRADING),
    )
    for name, scenario in table.items()
}


def codes() -> dict[str, int]:
    """Every error of the built programs' IDLs, as program.Name, with its code."""
    return {
        f"{program}.{error.name}": error.code for program in PROGRAM_NAMES for error in idl(program).errors.values()
    }


def test_no_error_of_the_programs_is_left_out() -> None:
    assert not set(SCENARIOS) & set(UNREACHABLE)
    assert set(SCENARIOS) | set(UNREACHABLE) == set(codes())


@pytest.mark.parametrize("error", SCENARIOS)
def test_every_error_code_is_met(error: str) -> None:
    with pytest.raises(Refusal) as caught:
        SCENARIOS[error](Stage())
    assert (caught.value.code, caught.value.name) == (codes()[error], error.partition(".")[2]), str(caught.value)


ACCEPTED = [
    "set_paused", "set_operator", "propose_authority", "stage_parameters",
    "register_user", "set_user_status", "set_user_role", "propose_wallet", "set_delegate", "register_installation",
    "stage_installation", "follow_installation", "register_meter", "set_meter_status", "set_meter_map",
    "replace_meter_key", "reassign_meter",
    "mint_energy", "retire_energy", "issue_credit", "redeem_credit",
    "open_meter", "open_energy_account", "submit_readings", "rebase_meter", "settle_surplus", "settle_idle_meter",
    "trigger_clearing", "checkpoint_epoch",
    "set_fee_account", "grow_book", "grow_seats", "open_epoch", "deposit", "withdraw", "set_payout",
    "place_order", "cancel_order",
    "clear_epoch", "credit_seat", "burn_from_seat",
]  # fmt: skip
PREPARED: dict[str, Callable[[Stage], object]] = {
    "accept_authority": lambda stage: stage.do(stage.propose_authority()),
    "open_billing_period": lambda stage: stage.at(16),
    "replace_wallet": lambda stage: stage.propose(),
    "mint_energy_to_seat": lambda stage: stage.give_away(stage.alice.energy_tokens, stage.alice),
    "refund_epoch": lambda stage: stage.at(9),
    "withdraw_fees": lambda stage: stage.do(stage.trigger_clearing()),
}


@pytest.mark.parametrize("name", [*ACCEPTED, *PREPARED])
def test_each_instruction_is_accepted_as_it_stands(name: str) -> None:
    """So what a scenario changes of it is what is refused."""
    stage = Stage()
    PREPARED.get(name, lambda stage: None)(stage)
    sent(stage, of(stage, name))


def test_every_instruction_stands_on_the_stage() -> None:
    """The three that make the singletons are met as refusals alone."""
    known = {name for program in PROGRAM_NAMES for name in idl(program).instruction_names}
    assert known == {*ACCEPTED, *PREPARED, "initialize", "initialize_market"}
