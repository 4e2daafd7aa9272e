"""Deployment on both validators: done once, repeatable, and refused where the chain is another."""

from __future__ import annotations

import dataclasses

import pytest
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.chain.accounts import Config, Market, Registry
from authority.chain.artifacts import PROGRAM_NAMES, program_bytes
from authority.chain.client import ChainClient
from authority.chain.deploy import (
    Deployment,
    DeploymentDiffersError,
    FundsMissingError,
    ProgramDiffersError,
    ProgramMissingError,
    check_program,
    check_programs,
    deploy,
    fee_account_address,
)
from authority.chain.errors import ProgramError
from authority.chain.idl import Idl
from authority.chain.programs import (
    PROGRAM_IDS,
    config_address,
    credit_mint,
    credit_vault,
    energy_mint,
    energy_vault,
    market_address,
    mint_authority,
    oracle_authority,
    registry_address,
)
from authority.home.settings import ParameterSettings

STEPS = ["governance", "registry", "energy_token", "fee_account", "market", "books"]
DEPLOYMENT = Deployment(b"\x01\x02\x03\x04\x05\x06\x07\x08", 900, dataclasses.asdict(ParameterSettings()), 200_000)


class TestDeploy:
    def test_initializes_all_once(self, client: ChainClient, payer: Keypair, upgrade_authority: Keypair) -> None:
        said: list[str] = []
        before = client.signatures(config_address())
        tried = deploy(client, DEPLOYMENT, authority=upgrade_authority, operator=payer, dry_run=True)
        assert client.signatures(config_address()) == before
        done = deploy(client, DEPLOYMENT, authority=upgrade_authority, operator=payer, report=said.append)
        assert tried == done
        assert done in (STEPS, [])  # another test of the session may have come first
        assert deploy(client, DEPLOYMENT, authority=upgrade_authority, operator=payer) == []
        assert len(said) == 1 + len(STEPS)
        config = client.account(Config, config_address())
        assert config is not None
        assert (config.network_id, config.epoch_seconds) == (DEPLOYMENT.network_id, 900)
        assert (config.authority, config.operator) == (upgrade_authority.pubkey(), payer.pubkey())
        assert dataclasses.asdict(config.parameters) == DEPLOYMENT.parameters
        assert client.account(Registry, registry_address()) is not None
        assert [client.token_supply(mint) for mint in (energy_mint(), credit_mint())] == [0, 0]
        market = client.account(Market, market_address())
        assert market is not None
        assert market.reference_price == 200_000
        assert market.fee_account == fee_account_address(payer.pubkey())
        assert client.token_balances([energy_vault(), credit_vault()]) == [0, 0]
        assert [address for address, _ in client.accounts(Config)] == [config_address()]

    def test_is_refused_for_another_deployment(
        self, client: ChainClient, payer: Keypair, upgrade_authority: Keypair
    ) -> None:
        deploy(client, DEPLOYMENT, authority=upgrade_authority, operator=payer)
        for change, what in (({"network_id": bytes(8)}, "network id"), ({"epoch_seconds": 600}, "epoch length")):
            other = dataclasses.replace(DEPLOYMENT, **change)
            with pytest.raises(DeploymentDiffersError, match=what):
                deploy(client, other, authority=upgrade_authority, operator=payer)

    def test_a_refusal_carries_the_programs_own_words(
        self, client: ChainClient, payer: Keypair, upgrade_authority: Keypair
    ) -> None:
        deploy(client, DEPLOYMENT, authority=upgrade_authority, operator=payer)
        again = client.instruction("registry", "initialize", {}, {"operator": payer.pubkey()})
        with pytest.raises(ProgramError) as caught:
            client.send([again], [], payer=payer)
        assert (caught.value.program, caught.value.name) == ("registry", "AlreadyInitialized")
        stranger = Keypair()
        foreign = client.instruction("registry", "initialize", {}, {"operator": stranger.pubkey()})
        with pytest.raises(ProgramError) as caught:
            client.send([foreign], [stranger], payer=payer)
        # An error of governance's, passed on by registry, has governance's name for it.
        assert 6000 <= caught.value.number < 6100
        assert caught.value.name != "Custom"

    def test_events_are_read(self, client: ChainClient, payer: Keypair, upgrade_authority: Keypair) -> None:
        deploy(client, DEPLOYMENT, authority=upgrade_authority, operator=payer)
        first = client.signatures(config_address())[-1]
        events = client.events("governance", first)
        assert [event.name for event in events] == ["Initialized"]
        assert events[0].data["network_id"] == DEPLOYMENT.network_id

    def test_an_operator_without_lamports(self, client: ChainClient, upgrade_authority: Keypair) -> None:
        with pytest.raises(FundsMissingError, match="--airdrop"):
            deploy(client, DEPLOYMENT, authority=upgrade_authority, operator=Keypair())


class TestPrograms:
    def test_are_the_released_ones(self, client: ChainClient, upgrade_authority: Keypair) -> None:
        found = check_programs(client)
        assert [program.name for program in found] == list(PROGRAM_NAMES)
        assert {program.upgrade_authority for program in found} == {upgrade_authority.pubkey()}

    def test_another_build_is_told(self, client: ChainClient) -> None:
        released = program_bytes("governance")
        for other in (released[:-1] + bytes([released[-1] ^ 1]), released + b"\x01", released[: len(released) // 2]):
            with pytest.raises(ProgramDiffersError, match="is not the released one"):
                check_program(client, "governance", PROGRAM_IDS["governance"], other)

    def test_a_missing_program_is_told(self, client: ChainClient) -> None:
        with pytest.raises(ProgramMissingError, match="is not on the validator"):
            check_program(client, "nothing", Keypair().pubkey(), b"")

    def test_a_program_that_cannot_be_upgraded_is_told(self, client: ChainClient) -> None:
        memo = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
        with pytest.raises(ProgramMissingError, match="is not upgradeable"):
            check_program(client, "memo", memo, b"")


class TestAddresses:
    """The addresses that the programs have built in, as their IDLs tell them."""

    @pytest.mark.parametrize("program", PROGRAM_NAMES)
    def test_program_ids(self, program: str) -> None:
        assert Idl.load(program).program_id == PROGRAM_IDS[program]

    @pytest.mark.parametrize(
        ("program", "instruction", "account", "address"),
        [
            ("governance", "initialize", "config", config_address()),
            ("registry", "initialize", "registry", registry_address()),
            ("energy_token", "initialize", "energy_mint", energy_mint()),
            ("energy_token", "initialize", "credit_mint", credit_mint()),
            ("energy_token", "mint_energy", "mint_authority", mint_authority()),
            ("energy_token", "mint_energy", "oracle", oracle_authority()),
            ("trading", "initialize_market", "market", market_address()),
            ("trading", "initialize_market", "energy_vault", energy_vault()),
            ("trading", "initialize_market", "credit_vault", credit_vault()),
        ],
    )
    def test_fixed_ones(self, program: str, instruction: str, account: str, address: Pubkey) -> None:
        items = {item.name: item for item in Idl.load(program).instruction(instruction).accounts}
        assert items[account].address == str(address)
