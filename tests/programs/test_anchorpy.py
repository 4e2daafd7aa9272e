"""anchorpy 0.21.0 finds the programs' IDLs on the chain, reads every account by them, and sends an instruction.

Its pins conflict with ours, so it lives in an environment of its own, made once and kept in the cache. It speaks to a
real `authority validator` process, on which a campus has at least one account of every type.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import idl_accounts
import peer_programs
import pytest
from campus import idl
from instruction_scenario import PARAMETERS, Scenario
from live_campus import EPOCH_SECONDS, LiveCampus
from solders.pubkey import Pubkey

from authority.chain.accounts import Config
from authority.chain.artifacts import PROGRAM_NAMES, legacy_idl_path
from authority.chain.client import ChainClient
from authority.chain.programs import PROGRAM_IDS
from authority.home.home import Home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

DRIVER = Path(__file__).parent / "peers" / "anchorpy_driver.py"
ROOT = Path(__file__).parents[2]
NOT_WITHIN_MINUTES = {"WalletUse"}
"""Made 96 epochs after a wallet is proposed, at the earliest; test_accounts.py of the chain client has its layout."""
TYPES = [
    (program, name)
    for program in PROGRAM_NAMES
    for name in idl(program).account_names
    if name not in NOT_WITHIN_MINUTES
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A home of its own, as `authority init` makes it."""
    return Home.create(tmp_path_factory.mktemp("anchorpy") / "home", now=1_782_000_000)


@pytest.fixture(scope="module")
def validator_url(home: Home) -> Iterator[str]:
    """A running `authority validator`."""
    command = [sys.executable, "-m", "authority.cli", "validator", "--home", str(home.path), "--rpc-port", "0"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("validator ready: "), line
        yield line.split(" ")[2].rstrip(",")
        process.terminate()


@pytest.fixture(scope="module")
def client(validator_url: str, home: Home) -> ChainClient:
    """A client of a campus with accounts of every type."""
    client = ChainClient(validator_url)
    campus = LiveCampus(client, parameters=PARAMETERS)
    campus.authority, campus.operator = home.authority, home.operator
    scenario = Scenario(campus)
    scenario.deploy()
    people = scenario.enrol()
    baseline = campus.epoch * EPOCH_SECONDS
    scenario.readings_without_table(people, baseline)
    campus.wait_until(baseline + EPOCH_SECONDS)
    scenario.readings(people, baseline + EPOCH_SECONDS, scenario.lookup_table(people))
    scenario.credits_and_delegate(people)
    scenario.deposit(people)
    scenario.clear(people, scenario.trade(people))
    scenario.retire(people)
    scenario.abandoned_book(people)
    return client


@pytest.fixture(scope="module")
def before(client: ChainClient) -> dict[tuple[str, str], dict[str, Any]]:
    """Every account as our own client decodes it, before anchorpy changes anything."""
    return {
        (program, name): {
            str(address): comparable(fields) for address, fields in idl_accounts.accounts(client, program, name)
        }
        for program, name in TYPES
    }


@pytest.fixture(scope="module")
def anchorpy(client: ChainClient, home: Home, before: dict[tuple[str, str], dict[str, Any]]) -> dict[str, Any]:
    """What the driver found and did."""
    authority = home.path / "keys" / "authority.json"
    programs = [f"{name}={PROGRAM_IDS[name]}" for name in PROGRAM_NAMES]
    command = [str(peer_programs.python("anchorpy")), str(DRIVER), client.url, str(authority), *programs]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr[-3_000:]
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def comparable(value: Any) -> Any:
    """A decoded value as the driver prints it; names without the underscores that camelCase loses."""
    if isinstance(value, Pubkey):
        return str(value)
    if isinstance(value, bytes | list | tuple):
        return [comparable(item) for item in value]
    if isinstance(value, dict):
        return {name.replace("_", "").lower(): comparable(item) for name, item in value.items()}
    return value


@pytest.mark.finding("authority-15")
@pytest.mark.parametrize("program", PROGRAM_NAMES)
def test_the_older_idl_is_found_on_the_chain(anchorpy: dict[str, Any], program: str) -> None:
    assert anchorpy["idls"][program] == json.loads(legacy_idl_path(program).read_bytes())


@pytest.mark.parametrize(("program", "name"), TYPES)
def test_every_account_type_decodes_the_same(
    anchorpy: dict[str, Any], before: dict[tuple[str, str], dict[str, Any]], program: str, name: str
) -> None:
    ours = before[program, name]
    assert ours, f"the campus has no {name}"
    theirs = anchorpy["accounts"][program][name]
    assert {address: comparable(fields) for address, fields in theirs.items()} == ours


def test_an_instruction_is_sent(anchorpy: dict[str, Any], client: ChainClient) -> None:
    assert anchorpy["set_paused"]["pause"] == 0b10
    [(_, config)] = client.accounts(Config)
    assert config.pause == 0b10


def test_a_refusal_has_the_programs_words(anchorpy: dict[str, Any]) -> None:
    error = next(item for item in idl("governance").errors.values() if item.name == "UnknownPauseBits")
    assert anchorpy["set_paused"]["refusal"] == {"code": error.code, "message": error.message}
