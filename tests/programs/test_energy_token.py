"""energy_token: the mints, who may mint, credits."""

from __future__ import annotations

import struct

import pytest
from campus import CLOSED, PAUSE_CREDIT, SUSPENDED, Campus, Member, Outcome, key
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from authority.chain import programs


@pytest.fixture
def member(campus: Campus) -> Member:
    return campus.register_user("alice")


def test_the_mints_obey_the_programs_address_and_nobody_freezes(campus: Campus) -> None:
    for mint, decimals in ((programs.energy_mint(), 3), (programs.credit_mint(), 6)):
        data = bytes(campus.svm.get_account(mint).data)
        assert struct.unpack_from("<I", data)[0] == 1
        assert data[4:36] == bytes(programs.mint_authority())
        assert data[44] == decimals
        assert struct.unpack_from("<I", data, 46)[0] == 0


def test_the_mints_are_made_once(campus: Campus, refused) -> None:
    with refused("AlreadyInitialized"):
        campus.send(campus.instruction("energy_token", "initialize", {}, {"operator": campus.operator.pubkey()}))


def test_only_the_operator_makes_the_mints(bare: Campus, refused) -> None:
    bare.send(bare.initialize_governance())
    stranger = key("stranger")
    bare.svm.airdrop(stranger.pubkey(), 10**10)
    with refused("NotOperator"):
        bare.send(
            bare.instruction("energy_token", "initialize", {}, {"operator": stranger.pubkey()}), signers=[stranger]
        )


@pytest.mark.parametrize(
    ("account", "error"),
    [
        ("config", "WrongConfig"),
        ("energy_mint", "WrongEnergyMint"),
        ("credit_mint", "WrongCreditMint"),
        ("token_program", "WrongTokenProgram"),
        ("system_program", "WrongSystemProgram"),
    ],
)
def test_another_account_in_the_making_is_refused(bare: Campus, refused, account, error) -> None:
    bare.send(bare.initialize_governance())
    accounts = {"operator": bare.operator.pubkey(), account: key("other").pubkey()}
    with refused(error):
        bare.send(bare.instruction("energy_token", "initialize", {}, accounts))


# Minting


def mint_instruction(campus: Campus, member: Member, amount: int = 1_000, **accounts: Pubkey) -> Instruction:
    named = {"user": member.user, "energy_token_account": member.energy_tokens}
    return campus.instruction("energy_token", "mint_energy", {"amount": amount}, named | accounts)


def test_nobody_but_the_oracle_mints(campus: Campus, member: Member, refused) -> None:
    """Not the operator, not the authority: the oracle's address is asked for, and only its program signs for it."""
    for signer in (campus.operator, campus.authority, member.wallet):
        with refused("NotTheOracle"):
            campus.send(mint_instruction(campus, member, oracle=signer.pubkey()), signers=[signer])


def test_the_oracles_address_must_sign(campus: Campus, member: Member, refused) -> None:
    instruction = mint_instruction(campus, member)
    metas = [AccountMeta(meta.pubkey, False, meta.is_writable) for meta in instruction.accounts]
    with refused("OracleMustSign"):
        campus.send(Instruction(instruction.program_id, bytes(instruction.data), metas))


# What mint_energy itself makes sure of, whatever the oracle has looked at before: its address signs here without it.


def test_the_oracles_address_mints(campus: Campus, member: Member) -> None:
    outcome = campus.send_unverified(mint_instruction(campus, member, 1_234))
    assert outcome.event("EnergyMinted") == {"wallet": member.address, "amount": 1_234}
    assert campus.tokens(member.energy_tokens) == campus.supply(programs.energy_mint()) == 1_234


@pytest.mark.parametrize(
    ("account", "error"),
    [
        ("user", "NotAUser"),
        ("energy_mint", "WrongEnergyMint"),
        ("energy_token_account", "WrongEnergyAccount"),
        ("mint_authority", "WrongMintAuthority"),
        ("token_program", "WrongTokenProgram"),
    ],
)
def test_another_account_in_a_minting_is_refused(campus: Campus, member: Member, refused, account, error) -> None:
    with refused(error):
        campus.send_unverified(mint_instruction(campus, member, **{account: key("other").pubkey()}))


def test_minting_goes_to_the_members_own_account(campus: Campus, member: Member, refused) -> None:
    other = campus.register_user("bob")
    with refused("WrongEnergyAccount"):
        campus.send_unverified(mint_instruction(campus, member, energy_token_account=other.energy_tokens))


@pytest.mark.finding("chain-15")
def test_a_suspended_members_surplus_is_minted_and_a_closed_ones_is_not(
    campus: Campus, member: Member, refused
) -> None:
    campus.change("registry", member.user, status=SUSPENDED)
    campus.send_unverified(mint_instruction(campus, member))
    campus.change("registry", member.user, status=CLOSED)
    with refused("StatusClosed"):
        campus.send_unverified(mint_instruction(campus, member))


def test_minting_nothing_is_refused(campus: Campus, member: Member, refused) -> None:
    with refused("ZeroAmount"):
        campus.send_unverified(mint_instruction(campus, member, 0))


# Credits


def issue(campus: Campus, member: Member, amount: int = 5_000_000, **accounts: Pubkey) -> Outcome:
    named = {
        "operator": campus.operator.pubkey(),
        "user": member.user,
        "credit_token_account": member.credit_tokens,
    }
    return campus.send(
        campus.instruction("energy_token", "issue_credit", {"amount": amount}, named | accounts),
        signers=[member.wallet],
    )


def test_the_operator_issues_credit(campus: Campus, member: Member) -> None:
    event = issue(campus, member).event("CreditIssued")
    assert event == {"wallet": member.address, "amount": 5_000_000}
    assert campus.tokens(member.credit_tokens) == campus.supply(programs.credit_mint()) == 5_000_000


def test_nobody_else_issues_credit(campus: Campus, member: Member, refused) -> None:
    with refused("NotOperator"):
        issue(campus, member, operator=member.address)


def test_an_amount_of_nothing_is_refused(campus: Campus, member: Member, refused) -> None:
    with refused("ZeroAmount"):
        issue(campus, member, 0)


def test_credit_can_be_paused(campus: Campus, member: Member, refused) -> None:
    campus.set_paused(PAUSE_CREDIT)
    with refused("Paused"):
        issue(campus, member)


def test_a_suspended_member_gets_no_credit(campus: Campus, member: Member, refused) -> None:
    campus.change("registry", member.user, status=SUSPENDED)
    with refused("UserNotActive"):
        issue(campus, member)


@pytest.mark.parametrize(
    ("account", "error"),
    [
        ("config", "WrongConfig"),
        ("user", "NotAUser"),
        ("credit_mint", "WrongCreditMint"),
        ("credit_token_account", "WrongCreditAccount"),
        ("mint_authority", "WrongMintAuthority"),
        ("token_program", "WrongTokenProgram"),
    ],
)
def test_another_account_in_an_issue_is_refused(campus: Campus, member: Member, refused, account, error) -> None:
    with refused(error):
        issue(campus, member, **{account: key("other").pubkey()})


def test_credit_goes_to_the_account_that_the_registry_names(campus: Campus, member: Member, refused) -> None:
    bob = campus.register_user("bob")
    with refused("WrongCreditAccount"):
        issue(campus, member, credit_token_account=bob.credit_tokens)
    with refused("WrongCreditMint"):
        issue(campus, member, credit_mint=programs.energy_mint())
