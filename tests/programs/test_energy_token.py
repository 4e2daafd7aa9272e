"""energy_token: the mints, who may mint, credits."""

from __future__ import annotations

import struct

import pytest
from campus import CLOSED, LOSSES, PAUSE_CREDIT, SUSPENDED, Campus, Member, Outcome, Refusal, key, lose
from solders.instruction import AccountMeta, Instruction
from solders.pubkey import Pubkey

from authority.chain import programs

TO_THE_ACCOUNT = {"to": 0, "padding": bytes(7)}
ENERGY, CREDIT = 0, 1


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


def seat_instruction(campus: Campus, member: Member, amount: int = 1_000, **accounts: Pubkey) -> Instruction:
    named = {"user": member.user, "energy_token_account": member.energy_tokens}
    return campus.instruction("energy_token", "mint_energy_to_seat", {"amount": amount}, named | accounts)


MINTINGS = [mint_instruction, seat_instruction]


@pytest.mark.parametrize("mint_instruction", MINTINGS)
def test_nobody_but_the_oracle_mints(campus: Campus, member: Member, refused, mint_instruction) -> None:
    """Not the operator, not the authority: the oracle's address is asked for, and only its program signs for it."""
    for signer in (campus.operator, campus.authority, member.wallet):
        with refused("NotTheOracle"):
            campus.send(mint_instruction(campus, member, oracle=signer.pubkey()), signers=[signer])


@pytest.mark.parametrize("mint_instruction", MINTINGS)
def test_the_oracles_address_must_sign(campus: Campus, member: Member, refused, mint_instruction) -> None:
    instruction = mint_instruction(campus, member)
    metas = [AccountMeta(meta.pubkey, False, meta.is_writable) for meta in instruction.accounts]
    with refused("OracleMustSign"):
        campus.send(Instruction(instruction.program_id, bytes(instruction.data), metas))


# What mint_energy itself makes sure of, whatever the oracle has looked at before: its address signs here without it.


def test_the_oracles_address_mints(campus: Campus, member: Member) -> None:
    """The oracle's own event says to whom and how much: this program has none of it."""
    outcome = campus.send_unverified(mint_instruction(campus, member, 1_234))
    assert outcome.events == []
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
@pytest.mark.parametrize("mint_instruction", MINTINGS)
def test_another_account_in_a_minting_is_refused(
    campus: Campus, member: Member, refused, account, error, mint_instruction
) -> None:
    with refused(error):
        campus.send_unverified(mint_instruction(campus, member, **{account: key("other").pubkey()}))


@pytest.mark.parametrize(
    ("account", "error"),
    [("energy_vault", "WrongVault"), ("seats", "WrongSeats"), ("trading_program", "WrongTradingProgram")],
)
def test_another_account_of_the_market_is_refused(campus: Campus, member: Member, refused, account, error) -> None:
    with refused(error):
        campus.send_unverified(seat_instruction(campus, member, **{account: key("other").pubkey()}))


@pytest.mark.parametrize("mint_instruction", MINTINGS)
def test_minting_goes_to_the_members_own_account(campus: Campus, member: Member, refused, mint_instruction) -> None:
    other = campus.register_user("bob")
    with refused("WrongEnergyAccount"):
        campus.send_unverified(mint_instruction(campus, member, energy_token_account=other.energy_tokens))


@pytest.mark.finding("chain-15")
@pytest.mark.parametrize("mint_instruction", MINTINGS)
def test_a_suspended_members_surplus_is_minted_and_a_closed_ones_is_not(
    campus: Campus, member: Member, refused, mint_instruction
) -> None:
    if mint_instruction is seat_instruction:
        campus.make_market()
        lose(campus, member, ENERGY, "closed")
    campus.change("registry", member.user, status=SUSPENDED)
    campus.send_unverified(mint_instruction(campus, member))
    campus.change("registry", member.user, status=CLOSED)
    with refused("StatusClosed"):
        campus.send_unverified(mint_instruction(campus, member))


@pytest.mark.parametrize("mint_instruction", MINTINGS)
def test_minting_nothing_is_refused(campus: Campus, member: Member, refused, mint_instruction) -> None:
    with refused("ZeroAmount"):
        campus.send_unverified(mint_instruction(campus, member, 0))


# A token account that cannot take what is minted, or is a thief's


@pytest.mark.finding("chain-16")
@pytest.mark.parametrize("loss", LOSSES)
def test_energy_goes_to_the_seat_where_the_account_cannot_take_it(
    campus: Campus, member: Member, refused, loss: str
) -> None:
    campus.make_market()
    account = lose(campus, member, ENERGY, loss)
    with refused("UnusableEnergyAccount"):
        campus.send_unverified(mint_instruction(campus, member, 1_234))
    outcome = campus.send_unverified(seat_instruction(campus, member, 1_234))
    assert outcome.event("EnergyMintedToSeat") == {"wallet": member.address, "amount": 1_234}
    assert campus.seat(member) == (1_234, 0)
    assert campus.tokens(programs.energy_vault()) == campus.supply(programs.energy_mint()) == 1_234
    found = campus.svm.get_account(account)
    assert found is None or not found.data or campus.tokens(account) == 0


def test_energy_goes_to_the_account_where_that_can_take_it(campus: Campus, member: Member, refused) -> None:
    campus.make_market()
    with refused("UsableEnergyAccount"):
        campus.send_unverified(seat_instruction(campus, member))


@pytest.mark.finding("chain-16")
@pytest.mark.parametrize("loss", LOSSES)
def test_a_settlement_mints_to_the_seat_by_itself(campus: Campus, member: Member, loss: str) -> None:
    """The worker passes the same accounts whatever became of the member's: the oracle sees which can take it."""
    campus.make_market()
    house = campus.add_meter(member, "house", "building", "solar")
    campus.round(member, campus.boundary(1), (house, (0, 0)))
    lose(campus, member, ENERGY, loss)
    outcome = campus.round(member, campus.boundary(2), (house, (700, 100)))
    assert outcome.event("SurplusSettled")["minted"] == 600
    assert outcome.event("EnergyMintedToSeat") == {"wallet": member.address, "amount": 600}
    assert campus.seat(member) == (600, 0)


@pytest.mark.finding("chain-16")
@pytest.mark.parametrize("loss", LOSSES)
def test_credits_go_to_the_seat_where_the_account_cannot_take_them(campus: Campus, member: Member, loss: str) -> None:
    campus.make_market()
    lose(campus, member, CREDIT, loss)
    assert issue(campus, member, 700).event("CreditIssued")["to"] == 1
    assert campus.seat(member) == (0, 700)
    assert campus.tokens(programs.credit_vault()) == campus.supply(programs.credit_mint()) == 700


@pytest.mark.finding("chain-3")
def test_a_member_that_keeps_closing_its_account_hinders_no_settlement(campus: Campus, member: Member) -> None:
    """Closed, made again by anybody, closed again: each minting goes to the one or to the other, and none fails."""
    campus.make_market()
    house = campus.add_meter(member, "house", "building", "solar")
    campus.round(member, campus.boundary(1), (house, (0, 0)))
    made = programs.create_associated_token_account(campus.operator.pubkey(), member.address, programs.energy_mint())
    lose(campus, member, ENERGY, "closed")
    in_seat = 0
    for n in range(1, 6):
        if n % 2 == 0:
            campus.send(made)
        campus.round(member, campus.boundary(n + 1), (house, (n, 0)))
        if n % 2 == 0:
            assert campus.tokens(member.energy_tokens) == n
            burn = struct.pack("<BQ", 8, n)
            metas = [
                AccountMeta(member.energy_tokens, False, True),
                AccountMeta(programs.energy_mint(), False, True),
                AccountMeta(member.address, True, False),
            ]
            campus.send(Instruction(programs.TOKEN_PROGRAM, burn, metas), signers=[member.wallet])
            lose(campus, member, ENERGY, "closed")
        else:
            in_seat += n
        assert campus.seat(member) == (in_seat, 0)
    assert campus.supply(programs.energy_mint()) == in_seat == 9


def test_a_member_without_a_seat_waits_for_one(campus: Campus, member: Member, refused) -> None:
    campus.make_market()
    lose(campus, member, ENERGY, "frozen")
    campus.change("registry", member.user, member_index=250)
    with refused("NoSeat"):
        campus.send_unverified(seat_instruction(campus, member))
    campus.send(campus.instruction("trading", "grow_seats", {}, {"payer": campus.operator.pubkey()}))
    campus.send_unverified(seat_instruction(campus, member))


@pytest.mark.finding("chain-11")
def test_one_account_given_twice_is_refused_by_name(campus: Campus, member: Member) -> None:
    """Every pair of accounts of a minting and an issue: the refusal says which of the two is wrong."""
    campus.make_market()
    issued = campus.instruction(
        "energy_token",
        "issue_credit",
        {"amount": 5},
        {
            "operator": campus.operator.pubkey(),
            "user": member.user,
            "credit_token_account": member.credit_tokens,
        },
    )
    for instruction in (mint_instruction(campus, member), seat_instruction(campus, member), issued):
        metas = instruction.accounts
        for first in range(len(metas)):
            for second in range(len(metas)):
                if first == second or not (metas[first].is_writable or metas[second].is_writable):
                    continue
                given = list(metas)
                given[second] = AccountMeta(metas[first].pubkey, metas[second].is_signer, metas[second].is_writable)
                with pytest.raises(Refusal) as caught:
                    campus.send_unverified(Instruction(instruction.program_id, bytes(instruction.data), given))
                assert caught.value.name.startswith(("Wrong", "Not")), str(caught.value)


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
    assert event == TO_THE_ACCOUNT | {"wallet": member.address, "amount": 5_000_000}
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
        ("credit_vault", "WrongVault"),
        ("seats", "WrongSeats"),
        ("trading_program", "WrongTradingProgram"),
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
