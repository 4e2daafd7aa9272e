"""A running embedded validator for the client's tests: the real server over HTTP, in this process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from solders.keypair import Keypair

from authority.chain.client import ChainClient
from authority.local_validator.bank import Bank
from authority.local_validator.genesis import Genesis
from authority.local_validator.ledger import Ledger
from authority.local_validator.methods import Methods
from authority.local_validator.server import RpcServer


@pytest.fixture(scope="session")
def payer() -> Keypair:
    """A key with lamports from the first slot on."""
    return Keypair.from_seed(bytes(31) + b"\x01")


@pytest.fixture(scope="session")
def validator_url(tmp_path_factory: pytest.TempPathFactory, payer: Keypair) -> Iterator[str]:
    """The address of an embedded validator that all tests of this directory share."""
    ledger = Ledger(Path(tmp_path_factory.mktemp("validator")))
    bank = Bank(ledger, Genesis(balances={payer.pubkey(): 10**15}))
    server = RpcServer(("127.0.0.1", 0), Methods(bank))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield server.url
    server.shutdown()
    server.server_close()
    thread.join()
    ledger.close()


@pytest.fixture
def client(validator_url: str) -> Iterator[ChainClient]:
    """A client of the shared validator."""
    chain = ChainClient(validator_url)
    yield chain
    chain.close()
