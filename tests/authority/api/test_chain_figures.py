"""The chain's figures, read from a real validator over JSON-RPC, and what becomes of them when it goes away."""

import subprocess
import sys
import time

import pytest
from free_ports import free_port
from solders.account import Account
from solders.pubkey import Pubkey

from authority.api.chain_figures import RpcChainReader, counted, energy_of, reader_of
from authority.chain import programs
from authority.chain.accounts import Oracle
from authority.chain.client import ChainClient
from authority.chain.deploy import Deployment, deploy
from authority.demo.orchestrator import settings_for
from authority.demo.stage import Ports
from authority.home.clock import stop_clock
from authority.home.home import Home
from authority.settlement.snapshot import BookStatus, BookView


class Ticks:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def home(tmp_path):
    return Home.create(tmp_path / "home", settings_for(Ports(8000, 8443, 8883, 8899), mqtt=False), now=int(time.time()))


class Validator:
    """`authority validator` in a process of its own: stopping it closes every connection, as in service."""

    def __init__(self, home, port):
        words = [sys.executable, "-m", "authority.cli", "validator", "--home", home.path, "--rpc-port", str(port)]
        self.process = subprocess.Popen([str(word) for word in words], stdout=subprocess.PIPE, text=True)
        ready = self.process.stdout.readline()
        self.url = ready.removeprefix("validator ready: ").partition(",")[0]
        self.port = int(self.url.rpartition(":")[2])

    def stop(self):
        self.process.terminate()
        self.process.communicate(timeout=60)


@pytest.fixture
def validator(home):
    running = [Validator(home, free_port())]
    yield running
    for one in running:
        one.stop()


def test_before_and_after_deployment_and_when_the_validator_goes_away_and_comes_back(home, validator):
    url, ticks = validator[0].url, Ticks()
    reader = RpcChainReader(url, "embedded", clock=lambda: 1_790_000_000.9, monotonic=ticks)
    before = reader.figures(1)
    assert before.validator.startswith("embedded ")
    assert (before.energy, before.book, before.read_at) == (None, None, 1_790_000_000)

    client = ChainClient(url)
    deploy(client, Deployment.of(home), authority=home.authority, operator=home.operator)
    ticks.now += 1
    after = reader.figures(1)
    assert after.slot >= before.slot
    assert after.energy.conserved
    assert after.energy.minted_wh == after.energy.held_wh == after.energy.escrow_wh == 0
    client.close()

    port = validator[0].port
    validator.pop().stop()
    ticks.now += 1
    away = reader.figures(1)
    assert (away.validator, away.slot, away.book) == (None, None, None)
    assert (away.energy, away.read_at) == (after.energy, 1_790_000_000)

    validator.append(Validator(home, port))
    ticks.now += 1
    assert reader.figures(1).validator is None  # left alone for a while, so that the page is not held up
    ticks.now += 10
    assert reader.figures(1).validator == before.validator


class Crowd:
    """A chain with more token accounts than one call reads; tokens move between the calls of the first few looks."""

    def __init__(self, moves):
        self.holders = {Pubkey.new_unique(): 10 for _ in range(150)}
        self.moves = moves

    def call(self, method, *_):
        if method == "getVersion":
            return {"solana-core": "x"}
        return [{"pubkey": str(key)} for key in self.holders]

    def slot(self):
        return 7

    def raw_accounts(self, addresses):
        found = [self._account(address) for address in addresses[:100]]
        if self.moves:
            self.moves -= 1
            first, *_, last = self.holders
            self.holders[first] -= 1
            self.holders[last] += 1
        return found + [self._account(address) for address in addresses[100:]]

    def _account(self, address):
        if address == programs.oracle_authority():
            minted = (1500).to_bytes(8, "little")
            return Account(1, (Oracle.DISCRIMINATOR + bytes(16) + minted).ljust(Oracle.size(), b"\0"), Pubkey.default())
        amount = self.holders.get(address, 0)
        supply = amount if address in self.holders else 1500
        data = bytes(36) + supply.to_bytes(8, "little") + bytes(20) + amount.to_bytes(8, "little")
        return None if address == programs.book_address(1) else Account(1, data, Pubkey.default())


@pytest.mark.parametrize(("moves", "conserved"), [(0, True), (2, True), (4, True), (1000, False)])
def test_tokens_that_move_while_they_are_counted_are_counted_again(moves, conserved):
    reader = RpcChainReader("http://127.0.0.1:1", "embedded", client=Crowd(moves))
    assert reader.figures(1).energy.conserved is conserved


@pytest.mark.parametrize(
    ("minted", "supply", "vault", "held", "retired", "ok"),
    [
        (0, 0, 0, 0, 0, True),
        (100, 100, 40, 60, 0, True),
        (100, 70, 40, 30, 30, True),
        (100, 70, 40, 31, 30, False),
        (100, 70, 40, 29, 30, False),
        (100, 101, 40, 61, -1, False),
    ],
)
def test_conservation_is_counted_and_not_assumed(minted, supply, vault, held, retired, ok):
    energy = energy_of(minted, supply, vault, held)
    assert (energy.minted_wh, energy.held_wh, energy.escrow_wh, energy.retired_wh) == (minted, held, vault, retired)
    assert energy.conserved is ok


def test_tokens_without_an_oracle_that_counted_them_do_not_conserve():
    assert energy_of(0, 5, 0, 5).conserved is False


def test_a_book_is_counted_while_its_place_in_the_ring_is_its_own():
    book = BookView(
        epoch=5, status=BookStatus.OPEN, cutoff_at=0, closes_at=0, refundable_from=0, price=0, volume=0, bids=2, asks=3,
        orders=(), data=b"",
    )  # fmt: skip
    view = counted(book, 5)
    assert (view.epoch, view.bids, view.asks) == (5, 2, 3)
    assert counted(book, 21) is None
    assert counted(None, 0) is None


def test_when_the_chain_was_read_is_told_by_the_homes_own_clock(home):
    stop_clock(home.path, 1_780_272_000)
    assert reader_of(home)._clock() == 1_780_272_000
