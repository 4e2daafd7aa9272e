"""The two validators that the client must not tell apart: the embedded one, over HTTP, and a real Agave."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from agave_validator import released
from solders.keypair import Keypair

from authority.chain.artifacts import PROGRAM_NAMES, artifacts_directory
from authority.chain.client import ChainClient
from authority.chain.programs import PROGRAM_IDS
from authority.validator.bank import Bank
from authority.validator.genesis import Genesis, GenesisProgram
from authority.validator.ledger import Ledger
from authority.validator.methods import Methods
from authority.validator.pubsub import PubSubServer
from authority.validator.server import RpcServer

VALIDATORS = ("embedded", pytest.param("agave", marks=[pytest.mark.agave, pytest.mark.slow]))


@pytest.fixture(scope="session")
def payer() -> Keypair:
    """A key with lamports from the first slot on; the operator where programs are deployed."""
    return Keypair.from_seed(bytes(31) + b"\x01")


@pytest.fixture(scope="session")
def upgrade_authority() -> Keypair:
    """The key that may upgrade the programs."""
    return Keypair.from_seed(bytes(31) + b"\x02")


@pytest.fixture(scope="session")
def embedded_doors(
    tmp_path_factory: pytest.TempPathFactory, payer: Keypair, upgrade_authority: Keypair
) -> Iterator[tuple[str, str]]:
    """The embedded validator with the five programs: the URLs of its RPC and of its subscriptions."""
    programs = tuple(
        GenesisProgram.from_file(PROGRAM_IDS[name], artifacts_directory() / f"{name}.so", upgrade_authority.pubkey())
        for name in PROGRAM_NAMES
    )
    ledger = Ledger(tmp_path_factory.mktemp("validator"))
    bank = Bank(ledger, Genesis(programs, {payer.pubkey(): 10**15}))
    server = RpcServer(("127.0.0.1", 0), Methods(bank))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    pubsub = PubSubServer(("127.0.0.1", 0), bank)
    pubsub.start()
    yield server.url, f"ws://127.0.0.1:{pubsub.port}"
    pubsub.stop()
    server.shutdown()
    server.server_close()
    thread.join()
    ledger.close()


@pytest.fixture(scope="session")
def embedded_url(embedded_doors: tuple[str, str]) -> str:
    """The embedded validator's RPC."""
    return embedded_doors[0]


@pytest.fixture(scope="module")
def agave_doors(start_agave: Callable[..., Any], payer: Keypair, upgrade_authority: Keypair) -> tuple[str, str]:
    """An Agave validator with the five programs, shared by the module: its RPC and its subscriptions."""
    validator = start_agave(released(str(upgrade_authority.pubkey())), str(payer.pubkey()))
    return validator.url, validator.pubsub_url


@pytest.fixture(scope="module")
def agave_url(agave_doors: tuple[str, str]) -> str:
    """Agave's RPC."""
    return agave_doors[0]


@pytest.fixture(scope="module", params=VALIDATORS)
def validator_url(request: pytest.FixtureRequest) -> str:
    """The address of each validator in turn."""
    url: str = request.getfixturevalue(f"{request.param}_url")
    return url


@pytest.fixture
def client(validator_url: str) -> Iterator[ChainClient]:
    """A client of each validator in turn."""
    chain = ChainClient(validator_url)
    yield chain
    chain.close()
