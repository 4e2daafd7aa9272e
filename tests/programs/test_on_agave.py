"""Every instruction of the five programs, on the embedded validator and on a real Agave, with the same results.

Where this machine cannot run Agave, its half is reported as skipped, with the reason.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from campus import idl, key
from instruction_scenario import PARAMETERS, Scenario
from live_campus import LiveCampus
from validators import agave_genesis, embedded_validator

from authority.chain.artifacts import PROGRAM_NAMES, idl_path
from authority.chain.client import ChainClient

EMBEDDED = pytest.param("embedded", id="embedded")
AGAVE = pytest.param("agave", id="agave", marks=[pytest.mark.agave, pytest.mark.slow])
pytestmark = pytest.mark.timeout(900)

FACTS = {
    "config": {
        "authority is the successor": True,
        "operator": True,
        "fee": 50,
        "staged fee": 100,
        "epoch seconds": 10,
    },
    "registered": {"users": 4, "installations": 1, "meters": 4, "keys": 4},
    "settled baseline of alice": {"minted": 0, "withdrawn": 0},
    "settled baseline of bob": {"minted": 0, "withdrawn": 0},
    "size of four readings": 1_096,
    "settled surplus of alice": {"minted": 4_000, "withdrawn": 0},
    "settled withdrawal of bob": {"minted": 0, "withdrawn": 3_000},
    "held after minting": [4_000, 0],
    "minted to a seat": 700,
    # 1,500 Wh at the bid's 0.2 credits and 0.02 of wheeling
    "locked": {"bid_count": 1, "ask_count": 1, "credit_locked": 330_000, "energy_locked": 2_000},
    "cleared": {"price": 100_000, "volume": 1_500, "bids": 1, "asks": 1},
    "paid in the first step": 1,
    # Each: energy and credits in its own accounts, then in its seat.
    # 150,000 less the fee of 0.5 %; 500,000 less 150,000 and the wheeling, less what the abandoned book has locked
    "held after trading": {"alice": [2_000, 0, 500, 149_250], "bob": [0, 500_000, 1_500, 200_000]},
    "held after withdrawing": {"alice": [2_000, 149_250, 500, 0], "bob": [1_000, 500_000, 500, 200_000]},
    "fees": 750 + 30_000,
    "reference price": 100_000,
    # bob retires 1,000 Wh of consumption; alice feeds 1,000 Wh in at 0.05, half out of its seat, and redeems 99,250
    "held after retiring": {"alice": [1_500, 75_000, 0, 25_000], "bob": [400, 500_000, 100, 200_000]},
    "settled first span under carol": {"minted": 0, "withdrawn": 2_000},
    "rebased": [10, 0, 0, 0],
    "settled span of the rebase": {"minted": 0, "withdrawn": 0},
    "held after the refund": {"alice": [1_500, 75_000, 0, 25_000], "bob": [400, 500_000, 100, 320_000]},
    "idle meter under carol": 500,
    "staged nameplate": 20_000_000,
    "billing period": 1,
    "totals": {
        "minted": 4_700,
        "energy supply": 2_700,
        "credit supply": 950_751,
        "vaults": [800, 345_000],
        "accounts": 49,
    },
}

REFUSALS = {
    "initialize by a stranger": ("governance", 6008, "NotUpgradeAuthority"),
    "initialize again": ("registry", 6102, "AlreadyInitialized"),
    "paused": ("registry", 6006, "Paused"),
    "unknown pause bits": ("governance", 6025, "UnknownPauseBits"),
    "fee out of bounds": ("governance", 6019, "FeeOutOfBounds"),
    "former operator": ("registry", 6003, "NotOperator"),
    "not the proposed authority": ("governance", 6029, "NotPendingAuthority"),
    "former authority": ("governance", 6005, "NotAuthority"),
    "billing period not over": ("governance", 6030, "BillingPeriodNotOver"),
    "a key used before": ("registry", 6149, "KeyUsedBefore"),
    "no proof of possession": ("registry", 6131, "PossessionMissing"),
    "a replayed reading": ("oracle", 6329, "SequenceNotRising"),
    "no signatures before": ("oracle", 6312, "SignaturesMissing"),
    "settled twice": ("oracle", 6348, "BoundaryNotRising"),
    "burning by hand": ("trading", 6515, "EnergyTokenMustSign"),
    "minting by hand": ("energy_token", 6218, "OracleMustSign"),
    "an order too late": ("trading", 6534, "AfterCutoff"),
    "clearing by hand": ("trading", 6513, "OracleMustSign"),
    "cleared twice": ("trading", 6537, "AlreadyCleared"),
    "a stranger's deposit": ("trading", 6112, "NotWalletOrDelegate"),
    "a payout that was not allowed": ("trading", 6112, "NotWalletOrDelegate"),
    "a delegate's retirement out of an account": ("energy_token", 6225, "DelegateRetiresFromSeat"),
    "feeding in what was bought": ("energy_token", 6226, "ExceedsOwnSurplus"),
    "a checkpoint too early": ("oracle", 6353, "EpochNotOver"),
    "retired beyond withdrawals": ("energy_token", 6212, "ExceedsWithdrawals"),
    "the former key": ("oracle", 6324, "WrongKey"),
    "a suspended meter": ("oracle", 6326, "MeterNotActive"),
    "credits to a suspended member": ("energy_token", 6110, "UserNotActive"),
    "a wallet too early": ("registry", 6155, "WalletNotDue"),
    "a refund too early": ("trading", 6538, "NotRefundable"),
}
NOT_WITHIN_MINUTES = {"replace_wallet"}
"""Refused for 96 epochs after the proposal; test_registry_recovery has it."""
OFTEN = {"EpochOpened"}
"""Events that a slow machine has more of: another book where an epoch went by too fast."""


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scenario]:
    with embedded_validator(tmp_path_factory.mktemp("embedded")) as (url, skip):
        scenario = Scenario(LiveCampus(ChainClient(url), parameters=PARAMETERS, skip=skip))
        scenario.run()
        yield scenario


@pytest.fixture(scope="module")
def agave(start_agave: Callable[..., Any]) -> Scenario:
    validator = start_agave(agave_genesis(), str(key("operator").pubkey()))
    scenario = Scenario(LiveCampus(ChainClient(validator.url), parameters=PARAMETERS))
    scenario.run()
    return scenario


@pytest.fixture(params=[EMBEDDED, AGAVE])
def scenario(request: pytest.FixtureRequest) -> Scenario:
    """The scenario as it ran on each validator in turn."""
    found: Scenario = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize("program", PROGRAM_NAMES)
def test_every_instruction_ran(scenario: Scenario, program: str) -> None:
    ran = {execution.name for execution in scenario.campus.executions if execution.program == program}
    wanted = {item["name"] for item in json.loads(idl_path(program).read_bytes())["instructions"]}
    assert ran == wanted - NOT_WITHIN_MINUTES


@pytest.mark.parametrize("fact", FACTS)
def test_it_came_out_as_designed(scenario: Scenario, fact: str) -> None:
    assert scenario.facts[fact] == FACTS[fact]


def test_nothing_else_came_out(scenario: Scenario) -> None:
    assert set(scenario.facts) == set(FACTS)


@pytest.mark.parametrize("what", REFUSALS)
def test_refusals_have_their_own_codes(scenario: Scenario, what: str) -> None:
    if what == "a refund too early" and what not in scenario.campus.refusals:
        pytest.skip("this machine was so slow that the refund was no longer too early")
    found = scenario.campus.refusals[what]
    assert (found.program, found.code, found.name) == REFUSALS[what]


def test_called_instructions_are_called_by_their_programs(scenario: Scenario) -> None:
    depths = {(item.program, item.name): item.depth for item in scenario.campus.executions}
    called = {
        ("energy_token", "mint_energy"),
        ("energy_token", "mint_energy_to_seat"),
        ("trading", "clear_epoch"),
        ("trading", "credit_seat"),
        ("trading", "burn_from_seat"),
    }
    assert {name for name, depth in depths.items() if depth > 1} == called


@pytest.mark.agave
@pytest.mark.slow
def test_both_validators_tell_of_the_same_events(embedded: Scenario, agave: Scenario) -> None:
    def told(scenario: Scenario) -> Counter[tuple[str, str]]:
        return Counter((program, event.name) for program, event in scenario.campus.events if event.name not in OFTEN)

    assert told(embedded) == told(agave)


@pytest.mark.agave
@pytest.mark.slow
def test_both_validators_end_with_the_same_accounts(embedded: Scenario, agave: Scenario) -> None:
    assert embedded.facts == agave.facts


@pytest.mark.parametrize("validator", ["embedded", "agave"])
def test_units_of_every_instruction_are_recorded_for_both(validator: str) -> None:
    recorded = json.loads((Path(__file__).parents[1] / "benchmarks" / "instruction_units.json").read_text())
    named = {f"{program}.{name}" for program in PROGRAM_NAMES for name in idl(program).instruction_names}
    named -= {f"registry.{name}" for name in NOT_WITHIN_MINUTES}
    assert set(recorded[validator]) == named, "record them: tests/benchmarks/instruction_units.py --write"
    assert all(units > 0 for units in recorded[validator].values())
