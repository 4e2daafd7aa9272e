"""The IDLs on the chain: from the genesis of both validators, and renewed with the programs that they describe."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from agave_validator import AgaveUnavailableError, released, start_agave_validator
from solders.account import Account
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.chain.artifacts import idl_path, legacy_idl_path, program_bytes
from authority.chain.client import ChainClient
from authority.chain.programs import PROGRAM_IDS
from authority.chain.published_idls import PROGRAM_METADATA, anchor_address, metadata_address
from authority.home.home import Home
from authority.service.validator_command import home_genesis
from authority.validator.bank import Bank
from authority.validator.genesis import Genesis, GenesisProgram
from authority.validator.ledger import Ledger


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home.create(tmp_path_factory.mktemp("idls") / "home", now=1_800_000_000)


def checked(name: str, metadata: Account | None, anchor: Account | None, authority: Pubkey) -> None:
    """Both accounts of a program, field by field as the clients read them."""
    assert metadata is not None
    assert anchor is not None
    program, data, older = PROGRAM_IDS[name], bytes(metadata.data), bytes(anchor.data)
    assert (metadata.owner, anchor.owner) == (PROGRAM_METADATA, program)
    assert (data[0], Pubkey(data[1:33]), data[33:65]) == (2, program, bytes(32))
    assert data[65:87] == b"\1\1" + b"idl".ljust(16, b"\0") + b"\1\2\1\0"
    assert int.from_bytes(data[87:91], "little") == len(data) - 96
    assert json.loads(zlib.decompress(data[96:])) == json.loads(idl_path(name).read_bytes())
    assert older[:8] == bytes([24, 70, 98, 191, 58, 144, 123, 158])
    assert Pubkey(older[8:40]) == authority
    assert int.from_bytes(older[40:44], "little") == len(older) - 44
    assert json.loads(zlib.decompress(older[44:])) == json.loads(legacy_idl_path(name).read_bytes())


@pytest.mark.finding("authority-15")
class TestEmbedded:
    def test_a_new_ledger_has_them(self, home: Home, tmp_path: Path) -> None:
        ledger = Ledger(tmp_path)
        bank = Bank(ledger, home_genesis(home))
        for name, program in PROGRAM_IDS.items():
            accounts = (bank.account(address(program)) for address in (metadata_address, anchor_address))
            checked(name, *accounts, home.authority.pubkey())
        ledger.close()

    def test_an_older_ledger_gets_them_and_keeps_them(self, home: Home, tmp_path: Path) -> None:
        genesis = home_genesis(home)
        ledger = Ledger(tmp_path)
        Bank(ledger, Genesis(genesis.programs, genesis.balances))
        ledger.close()
        for _ in range(2):
            ledger = Ledger(tmp_path)
            bank = Bank(ledger, genesis)
            address = metadata_address(PROGRAM_IDS["oracle"])
            account = bank.account(address)
            assert account is not None
            assert account.owner == PROGRAM_METADATA
            assert dict(ledger.accounts())[address] == account
            ledger.close()

    def test_another_program_is_not_described_by_ours(self, home: Home, tmp_path: Path) -> None:
        """A program of another release keeps the IDL that it has, or none."""
        genesis = home_genesis(home)
        first, *others = genesis.programs
        other = GenesisProgram(first.address, program_bytes("oracle"), first.upgrade_authority)
        ledger = Ledger(tmp_path)
        Bank(ledger, Genesis((other, *others), genesis.balances))
        bank = Bank(ledger, genesis)
        assert bank.account(metadata_address(first.address)) is None
        assert bank.account(anchor_address(first.address)) is None
        assert bank.account(metadata_address(others[0].address)) is not None
        ledger.close()


def run(home: Home, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "authority.cli", "idl", "--home", str(home.path), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])


def test_a_directory_that_cannot_be_written_is_named(home: Home, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = run(home, str(tmp_path / "file"))
    assert done.returncode == 1
    assert "[idl_directory]" in done.stderr


@pytest.fixture
def agave(home: Home, tmp_path: Path) -> Iterator[ChainClient]:
    """A new Agave ledger with what `authority idl` wrote."""
    done = run(home, str(tmp_path / "idls"))
    assert done.returncode == 0, done.stderr
    programs = released(str(home.authority.pubkey()))
    try:
        validator = start_agave_validator(tmp_path, programs, str(Keypair().pubkey()), accounts=tmp_path / "idls")
    except AgaveUnavailableError as reason:
        pytest.skip(f"not run on Agave: {reason}")
    yield ChainClient(validator.url)
    validator.stop()


@pytest.mark.agave
@pytest.mark.slow
@pytest.mark.finding("authority-15")
def test_agave_has_them_from_its_genesis(agave: ChainClient, home: Home) -> None:
    for name, program in PROGRAM_IDS.items():
        accounts = (agave.raw_account(address(program)) for address in (metadata_address, anchor_address))
        checked(name, *accounts, home.authority.pubkey())
