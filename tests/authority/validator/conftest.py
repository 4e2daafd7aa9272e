"""The embedded validator at three depths: the bank alone, the server in this process, and the real command."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from solders.keypair import Keypair

from authority.validator.bank import Bank
from authority.validator.genesis import Genesis
from authority.validator.ledger import Ledger
from authority.validator.methods import Methods
from authority.validator.server import RpcServer

REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass
class FakeTime:
    """A wall clock and a monotonic clock that move when the test says."""

    wall: float = 1_800_000_000.0
    monotonic: float = 50.0

    def pass_slots(self, count: int) -> None:
        """Let so many slots of 400 ms go by."""
        self.wall += 0.4 * count
        self.monotonic += 0.4 * count


@dataclass
class Machine:
    """A directory with a ledger and the bank that runs on it; `restart` is what a kill and a new start do."""

    directory: Path
    payer: Keypair
    time: FakeTime = field(default_factory=FakeTime)
    genesis: Genesis = field(default_factory=Genesis)

    def __post_init__(self) -> None:
        self.genesis = Genesis(self.genesis.programs, {**self.genesis.balances, self.payer.pubkey(): 10**15})
        self.start()

    def start(self) -> None:
        """Open the ledger."""
        self.ledger = Ledger(self.directory)
        self.bank = Bank(
            self.ledger,
            self.genesis,
            wall=lambda: self.time.wall,
            monotonic=lambda: self.time.monotonic,
            random=lambda size: bytes(range(size)),
        )
        self.methods = Methods(self.bank)

    def restart(self) -> None:
        """Close the ledger and open it in a new bank: nothing is kept in memory."""
        self.ledger.close()
        self.start()


@pytest.fixture
def payer() -> Keypair:
    """A key with lamports from the first slot on."""
    return Keypair.from_seed(bytes(31) + b"\x01")


@pytest.fixture
def machine(tmp_path: Path, payer: Keypair) -> Iterator[Machine]:
    """A bank on a new ledger, with clocks of its own."""
    made = Machine(tmp_path / "validator", payer)
    yield made
    made.ledger.close()


@pytest.fixture
def server(tmp_path: Path, payer: Keypair) -> Iterator[RpcServer]:
    """The HTTP server on a free port, in real time."""
    with _served(tmp_path / "validator", payer) as made:
        yield made


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RpcServer]:
    """One server for many examples, which leave nothing behind."""
    with _served(tmp_path_factory.mktemp("validator"), Keypair()) as made:
        yield made


@contextmanager
def _served(directory: Path, payer: Keypair) -> Iterator[RpcServer]:
    ledger = Ledger(directory)
    bank = Bank(ledger, Genesis(balances={payer.pubkey(): 10**15}))
    made = RpcServer(("127.0.0.1", 0), Methods(bank))
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield made
    made.shutdown()
    made.server_close()
    thread.join()
    ledger.close()
