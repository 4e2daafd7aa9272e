"""energy_token.retire_energy and redeem_credit: what tokens are for, and how far."""

from __future__ import annotations

from typing import Any

import pytest
from campus import (
    EPOCH_SECONDS,
    PAUSE_CREDIT,
    PAUSE_RETIREMENT,
    START,
    SUSPENDED,
    Campus,
    Outcome,
    Refusal,
    SimulatedMeter,
    approve_instruction,
    key,
    unsigned,
)
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.chain import programs

CONSUMPTION, FEED_IN = 0, 1
TOKEN_ACCOUNT, SEAT = 0, 1
ENERGY, CREDIT = 0, 1
EPOCH = START // EPOCH_SECONDS


class Account:
    """A member with a building meter: 5,000 Wh minted, 2,000 Wh withdrawn in billing period 0 (16 epochs)."""

    def __init__(self) -> None:
        self.campus = Campus(parameters={"billing_period_epochs": 16})
        self.campus.make_market()
        self.member = self.campus.register_user("alice")
        self.house: SimulatedMeter = self.campus.add_meter(self.member, "house", "building", "solar")
        self.n = 0
        for step in ((0, 0), (5_000, 0), (0, 2_000)):
            self.span(*step)

    def span(self, *step: int) -> None:
        self.n += 1
        self.campus.round(self.member, self.campus.boundary(self.n), (self.house, step))

    def instruction(
        self,
        amount: int,
        reason: int = CONSUMPTION,
        period: int = 0,
        signer: Pubkey | None = None,
        source: int = TOKEN_ACCOUNT,
        **accounts: Pubkey,
    ) -> Instruction:
        named = {
            "payer": self.campus.operator.pubkey(),
            "member": signer or self.member.address,
            "user": self.member.user,
            "retirement": programs.retirement_address(self.member.address),
            "energy_account": self.member.energy_account,
            "energy_token_account": self.member.energy_tokens,
            "credit_token_account": self.member.credit_tokens,
        }
        args = {"reason": reason, "period": period, "amount": amount, "source": source}
        return self.campus.instruction("energy_token", "retire_energy", args, named | accounts)

    def retire(
        self, amount: int, reason: int = CONSUMPTION, period: int = 0, source: int = TOKEN_ACCOUNT, **accounts: Pubkey
    ) -> Outcome:
        instruction = self.instruction(amount, reason, period, source=source, **accounts)
        return self.campus.send(instruction, signers=[self.member.wallet])

    def next_period(self) -> None:
        accounts = {"operator": self.campus.operator.pubkey()}
        self.campus.send(self.campus.instruction("governance", "open_billing_period", {}, accounts))

    @property
    def retirement(self) -> dict[str, Any]:
        return self.campus.account("energy_token", programs.retirement_address(self.member.address))

    @property
    def energy(self) -> int:
        return self.campus.tokens(self.member.energy_tokens)

    @property
    def credits(self) -> int:
        return self.campus.tokens(self.member.credit_tokens)


@pytest.fixture
def account() -> Account:
    return Account()


# Consumption


def test_consumption_is_retired_up_to_the_withdrawals(account: Account, refused) -> None:
    event = account.retire(1_500).event("EnergyRetired")
    assert (event["amount"], event["credits"], event["period"], event["reason"]) == (1_500, 0, 0, CONSUMPTION)
    assert event["source"] == TOKEN_ACCOUNT
    assert account.energy == account.campus.supply(programs.energy_mint()) == 3_500
    with refused("ExceedsWithdrawals"):
        account.retire(501)
    account.retire(500)
    assert (account.retirement["consumption_open"], account.retirement["consumption_total"]) == (2_000, 2_000)
    with refused("ExceedsWithdrawals"):
        account.retire(1)


@pytest.mark.finding("chain-21")
def test_tokens_handed_over_past_the_market_retire_like_any_others(account: Account) -> None:
    """Without wheeling and fee, as docs/SECURITY.md says; the supply is the same, and no energy arises from it."""
    campus, giver = account.campus, account.campus.register_user("giver")
    before = campus.supply(programs.energy_mint())
    transfer = Instruction(
        programs.TOKEN_PROGRAM,
        bytes([3]) + (500).to_bytes(8, "little"),
        [
            AccountMeta(account.member.energy_tokens, is_signer=False, is_writable=True),
            AccountMeta(giver.energy_tokens, is_signer=False, is_writable=True),
            AccountMeta(account.member.address, is_signer=True, is_writable=False),
        ],
    )
    campus.send(transfer, signers=[account.member.wallet])
    assert (campus.tokens(giver.energy_tokens), campus.supply(programs.energy_mint())) == (500, before)
    back = Instruction(
        programs.TOKEN_PROGRAM,
        transfer.data,
        [transfer.accounts[1], transfer.accounts[0], AccountMeta(giver.address, is_signer=True, is_writable=False)],
    )
    campus.send(back, signers=[giver.wallet])
    account.retire(500)
    assert campus.supply(programs.energy_mint()) == before - 500


def test_retirement_reads_the_energy_account_and_does_not_write_it(account: Account) -> None:
    before = account.campus.account("oracle", account.member.energy_account)
    account.retire(1_500)
    assert account.campus.account("oracle", account.member.energy_account) == before


def test_a_closed_period_stays_open_for_eight_epochs(account: Account, refused) -> None:
    campus = account.campus
    account.retire(500)
    campus.set_time(campus.boundary(16))
    account.next_period()
    campus.set_time(campus.boundary(24) - 1)
    account.n = 20
    account.span(0, 300)  # also moves the EnergyAccount into period 1
    campus.set_time(campus.boundary(24) - 1)
    account.retire(1_000, period=0)
    found = account.retirement
    assert (found["period"], found["consumption_previous"], found["consumption_open"]) == (1, 1_500, 0)
    with refused("ExceedsWithdrawals"):
        account.retire(501, period=0)
    account.retire(300, period=1)
    campus.set_time(campus.boundary(24))
    with refused("PeriodClosed"):
        account.retire(1, period=0)


def test_the_grace_counts_though_no_span_was_settled_since(account: Account) -> None:
    """The EnergyAccount still says period 0: its open withdrawals are those of the period before."""
    campus = account.campus
    campus.set_time(campus.boundary(16))
    account.next_period()
    account.retire(2_000, period=0)
    assert account.retirement["consumption_previous"] == 2_000


@pytest.mark.parametrize("period", [1, 2**32 - 1])
def test_no_other_period_is_open(account: Account, refused, period) -> None:
    with refused("PeriodClosed"):
        account.retire(1, period=period)


def test_two_periods_later_nothing_is_carried_over(account: Account, refused) -> None:
    account.retire(500)
    campus = account.campus
    campus.set_time(campus.boundary(32))
    account.next_period()
    account.next_period()
    account.n = 32
    account.span(0, 100)
    account.retire(100, period=2)
    found = account.retirement
    assert (found["consumption_previous"], found["consumption_open"], found["consumption_total"]) == (0, 100, 600)
    with refused("PeriodClosed"):
        account.retire(1, period=0)


# Feed-in


def test_feed_in_is_paid_at_its_price(account: Account) -> None:
    """50,000 micro-credits a kWh."""
    event = account.retire(1_001, FEED_IN).event("EnergyRetired")
    assert (event["amount"], event["credits"], event["reason"]) == (1_001, 50_050, FEED_IN)
    assert (account.energy, account.credits) == (3_999, 50_050)
    found = account.retirement
    assert (found["feed_in_open"], found["feed_in_total"], found["feed_in_credits"]) == (1_001, 1_001, 50_050)


def test_feed_in_counts_when_it_happens(account: Account, refused) -> None:
    campus = account.campus
    campus.set_time(campus.boundary(16))
    account.next_period()
    with refused("PeriodClosed"):
        account.retire(100, FEED_IN, period=0)
    account.retire(100, FEED_IN, period=1)


def test_feed_in_worth_nothing_is_refused(refused) -> None:
    account = Account()
    account.campus.change(
        "governance",
        programs.config_address(),
        parameters=account.campus.parameters | {"feed_in_price": 1},
    )
    with refused("TooSmall"):
        account.retire(999, FEED_IN)
    assert account.retire(1_000, FEED_IN).event("EnergyRetired")["credits"] == 1


# Refusals


def test_more_than_one_holds_is_refused(account: Account, refused) -> None:
    account.campus.deposit(account.member, ENERGY, 4_000)
    with refused("InstructionErrorCustom(1)"):  # SPL Token: insufficient funds
        account.retire(1_001, FEED_IN)
    with refused("NotEnoughEnergy"):
        account.retire(4_001, FEED_IN, source=SEAT)


@pytest.mark.parametrize(
    ("amount", "reason", "source", "error"),
    [
        (0, 0, 0, "ZeroAmount"),
        (0, 0, 1, "ZeroAmount"),
        (2**32, 1, 0, "TooMuchAtOnce"),
        (1, 2, 0, "UnknownReason"),
        (1, 0, 2, "UnknownSource"),
    ],
)
def test_what_makes_no_sense_is_refused(account: Account, refused, amount, reason, source, error) -> None:
    with refused(error):
        account.retire(amount, reason, source=source)


def test_retirement_can_be_paused(account: Account, refused) -> None:
    account.campus.set_paused(PAUSE_RETIREMENT)
    with refused("Paused"):
        account.retire(1)


def test_a_suspended_member_retires_nothing(account: Account, refused) -> None:
    account.campus.change("registry", account.member.user, status=SUSPENDED)
    with refused("UserNotActive"):
        account.retire(1)


def test_nobody_retires_for_another(account: Account, refused) -> None:
    bob = account.campus.register_user("bob")
    with refused("NotWalletOrDelegate"):
        account.campus.send(account.instruction(1, signer=bob.address), signers=[bob.wallet])


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("config", "WrongConfig"),
        ("user", "NotAUser"),
        ("retirement", "WrongRetirement"),
        ("energy_account", "WrongOracleAccount"),
        ("energy_mint", "WrongEnergyMint"),
        ("energy_token_account", "WrongEnergyAccount"),
        ("credit_mint", "WrongCreditMint"),
        ("credit_token_account", "WrongCreditAccount"),
        ("mint_authority", "WrongMintAuthority"),
        ("market", "WrongMarket"),
        ("seats", "WrongSeats"),
        ("energy_vault", "WrongVault"),
        ("credit_vault", "WrongVault"),
        ("trading_program", "WrongTradingProgram"),
        ("token_program", "WrongTokenProgram"),
        ("system_program", "WrongSystemProgram"),
    ],
)
def test_another_account_is_refused(account: Account, refused, name, error) -> None:
    with refused(error):
        account.retire(1, **{name: key("other").pubkey()})


def test_another_members_accounts_are_refused(account: Account, refused) -> None:
    campus = account.campus
    bob = campus.register_user("bob")
    campus.add_meter(bob, "bobs", "building", "solar")
    with refused("WrongOracleAccount"):
        account.retire(1, energy_account=bob.energy_account)
    account.retire(1)
    thief = Account.__new__(Account)
    thief.campus, thief.member = campus, bob
    with refused("WrongRetirement"):
        thief.retire(1, FEED_IN, retirement=programs.retirement_address(account.member.address))


# The delegate


def delegate(account: Account, helper: Keypair, days: int = 1, energy: int = 1_000) -> None:
    """Name it, and let it deposit so much."""
    campus, member = account.campus, account.member
    campus.send(
        campus.set_delegate_instruction(member, helper.pubkey(), campus.time + days * 86_400),
        approve_instruction(member, member.energy_tokens, energy),
        signers=[member.wallet],
    )


def test_a_delegate_retires_out_of_the_seat_within_its_term(account: Account, refused) -> None:
    """It needs no approval at SPL Token, and where it has one that is no way around the seat."""
    helper = key("helper")
    delegate(account, helper)
    with refused("DelegateRetiresFromSeat"):
        account.campus.send(account.instruction(600, signer=helper.pubkey()), signers=[helper])
    account.campus.deposit(account.member, ENERGY, 1_000)

    def retire(amount: int, reason: int = CONSUMPTION) -> Outcome:
        made = account.instruction(amount, reason, signer=helper.pubkey(), source=SEAT)
        return account.campus.send(made, signers=[helper])

    retire(600)
    assert account.campus.seat(account.member) == (400, 0)
    with refused("NotEnoughEnergy"):
        retire(401)
    # What it feeds in is paid into the seat.
    retire(300, FEED_IN)
    assert account.campus.seat(account.member) == (100, 15_000)
    assert (account.energy, account.credits) == (4_000, 0)
    account.campus.set_time(account.campus.time + 86_400)
    with refused("DelegationExpired"):
        retire(1)


# The seat


def test_energy_is_retired_out_of_the_seat(account: Account, refused) -> None:
    campus = account.campus
    campus.deposit(account.member, ENERGY, 2_000)
    event = account.retire(1_500, source=SEAT).event("EnergyRetired")
    assert (event["amount"], event["source"], event["reason"]) == (1_500, SEAT, CONSUMPTION)
    assert (campus.seat(account.member), account.energy) == ((500, 0), 3_000)
    assert campus.tokens(programs.energy_vault()) == 500
    assert campus.supply(programs.energy_mint()) == 3_500
    with refused("ExceedsWithdrawals"):
        account.retire(501, source=SEAT)
    event = account.retire(500, FEED_IN, source=SEAT).event("EnergyRetired")
    assert event["credits"] == 25_000
    assert (campus.seat(account.member), account.credits) == ((0, 25_000), 0)
    assert campus.tokens(programs.credit_vault()) == campus.supply(programs.credit_mint()) == 25_000


def test_what_an_ask_has_locked_is_not_retired(account: Account, refused) -> None:
    campus = account.campus
    campus.deposit(account.member, ENERGY, 2_000)
    epoch = campus.time // EPOCH_SECONDS
    campus.open_book(epoch)
    named = {"authority": account.member.address, "user": account.member.user, "book": programs.book_address(epoch)}
    args = {"epoch": epoch, "side": 1, "price": 60_000, "quantity": 1_500}
    campus.send(campus.instruction("trading", "place_order", args, named), signers=[account.member.wallet])
    with refused("NotEnoughEnergy"):
        account.retire(501, source=SEAT)
    account.retire(500, source=SEAT)


@pytest.mark.finding("chain-16")
def test_feed_in_out_of_an_account_is_paid_to_the_seat_where_the_other_is_gone(account: Account) -> None:
    campus = account.campus
    data = bytearray(campus.svm.get_account(account.member.credit_tokens).data)
    data[32:64] = bytes(key("thief").pubkey())
    campus.put(account.member.credit_tokens, bytes(data), programs.TOKEN_PROGRAM)
    account.retire(1_000, FEED_IN)
    assert (account.credits, campus.seat(account.member)) == (0, (0, 50_000))


# Feed-in is of one's own


@pytest.mark.finding("chain-14")
def test_feed_in_pays_for_the_members_own_surplus_only(account: Account, refused) -> None:
    """A staged rise of the feed-in price was a riskless profit for whoever bought a stock before it."""
    campus = account.campus
    buyer = campus.register_user("buyer")
    load = campus.add_meter(buyer, "buyers", "load", "none")
    campus.round(buyer, campus.boundary(account.n + 1), (load, (0,)))
    # The buyer has energy, however it came by it: by SPL Token, or in the market.
    transfer = bytes([3]) + (3_000).to_bytes(8, "little")
    metas = [
        AccountMeta(account.member.energy_tokens, False, True),
        AccountMeta(buyer.energy_tokens, False, True),
        AccountMeta(account.member.address, True, False),
    ]
    campus.send(Instruction(programs.TOKEN_PROGRAM, transfer, metas), signers=[account.member.wallet])
    campus.deposit(buyer, ENERGY, 1_500)
    other = Account.__new__(Account)
    other.campus, other.member = campus, buyer
    for source in (TOKEN_ACCOUNT, SEAT):
        with refused("ExceedsOwnSurplus"):
            other.retire(1_000, FEED_IN, source=source)
    # The seller sold 3,000 of 5,000: it may buy back, but feeds in no more than was minted to it, ever.
    account.retire(2_000, FEED_IN)
    metas = [
        AccountMeta(buyer.energy_tokens, False, True),
        AccountMeta(account.member.energy_tokens, False, True),
        AccountMeta(buyer.address, True, False),
    ]
    back = bytes([3]) + (1_500).to_bytes(8, "little")
    campus.send(Instruction(programs.TOKEN_PROGRAM, back, metas), signers=[buyer.wallet])
    account.retire(1_500, FEED_IN)
    assert account.retirement["feed_in_total"] == 3_500
    campus.change("oracle", account.member.energy_account, minted=3_600)
    campus.send(
        Instruction(
            programs.TOKEN_PROGRAM,
            bytes([3]) + (0).to_bytes(8, "little"),
            metas,
        ),
        signers=[buyer.wallet],
    )
    account.span(1_000, 0)
    with refused("ExceedsOwnSurplus"):
        account.retire(1_101, FEED_IN)
    assert campus.account("oracle", account.member.energy_account)["minted"] == 4_600


@pytest.mark.finding("chain-14")
def test_a_member_without_a_meter_feeds_nothing_in(account: Account, refused) -> None:
    campus = account.campus
    consumer = campus.register_user("consumer", 0)
    other = Account.__new__(Account)
    other.campus, other.member = campus, consumer
    with refused("WrongOracleAccount"):
        other.retire(100, FEED_IN)
    accounts = {
        "operator": campus.operator.pubkey(),
        "user": consumer.user,
        "energy_account": consumer.energy_account,
    }
    campus.send(campus.instruction("oracle", "open_energy_account", {}, accounts))
    with refused("ExceedsOwnSurplus"):
        other.retire(100, FEED_IN)


# Paying for it


@pytest.mark.finding("chain-11")
@pytest.mark.parametrize("source", [TOKEN_ACCOUNT, SEAT])
@pytest.mark.parametrize("reason", [CONSUMPTION, FEED_IN])
def test_a_member_pays_for_its_own_retirement(account: Account, reason: int, source: int) -> None:
    """A wallet in self-custody has no second key: payer and member are one, and it pays the transaction's fee too."""
    campus, member = account.campus, account.member
    campus.deposit(member, ENERGY, 1_000)
    before = campus.svm.get_balance(member.address)
    made = account.instruction(500, reason, source=source, payer=member.address)
    campus.send(made, payer=member.wallet, signers=[member.wallet])
    rent = campus.svm.get_balance(programs.retirement_address(member.address))
    assert campus.svm.get_balance(member.address) == before - rent - 5_000
    assert account.retirement["consumption_total" if reason == CONSUMPTION else "feed_in_total"] == 500


@pytest.mark.finding("chain-11")
def test_one_account_given_twice_is_refused_by_name(account: Account) -> None:
    """Every pair of accounts: given twice, the refusal says which of the two is wrong. Payer and member may be one."""
    campus = account.campus
    campus.deposit(account.member, ENERGY, 1_000)
    instruction = account.instruction(100, FEED_IN, source=SEAT)
    redeemed = campus.instruction(
        "energy_token",
        "redeem_credit",
        {"amount": 1},
        {
            "wallet": account.member.address,
            "user": account.member.user,
            "credit_token_account": account.member.credit_tokens,
        },
    )
    answers = []
    for made in (instruction, redeemed):
        metas = made.accounts
        for first in range(len(metas)):
            for second in range(len(metas)):
                if first == second or not (metas[first].is_writable or metas[second].is_writable):
                    continue
                given = list(metas)
                given[second] = AccountMeta(metas[first].pubkey, metas[second].is_signer, metas[second].is_writable)
                try:
                    campus.send_unverified(Instruction(made.program_id, bytes(made.data), given))
                    answers.append((first, second, "done"))
                except Refusal as refusal:
                    answers.append((first, second, refusal.name))
    for first, second, answer in answers:
        if answer == "done":
            assert second == 0, f"{first}: whoever signs may pay, the member itself too"
        else:
            # A program is not writable, as Anchor says: in place of an account that must be, it gets no further.
            assert answer.startswith(("Wrong", "Not")) or answer == "ConstraintMut", (first, second, answer)


def test_a_payer_must_sign_for_a_first_retirement(account: Account, refused) -> None:
    instruction = account.instruction(1)
    metas = list(instruction.accounts)
    metas[0] = type(metas[0])(key("poor").pubkey(), False, True)
    unsigned = Instruction(instruction.program_id, bytes(instruction.data), metas)
    with refused("PayerMustSign"):
        account.campus.send(unsigned, signers=[account.member.wallet])


def test_a_member_must_sign(account: Account, refused) -> None:
    instruction = account.instruction(1)
    with refused("MemberMustSign"):
        account.campus.send(unsigned(instruction, account.member.address))


# Redemption


def redeem(account: Account, amount: int, wallet: Keypair | None = None, **accounts: Pubkey) -> Outcome:
    signer = wallet or account.member.wallet
    named = {
        "wallet": signer.pubkey(),
        "user": account.member.user,
        "credit_token_account": account.member.credit_tokens,
    }
    instruction = account.campus.instruction("energy_token", "redeem_credit", {"amount": amount}, named | accounts)
    return account.campus.send(instruction, signers=[signer])


def test_credits_are_given_back(account: Account) -> None:
    account.retire(2_000, FEED_IN)
    assert redeem(account, 40_000).event("CreditRedeemed") == {"wallet": account.member.address, "amount": 40_000}
    assert account.credits == account.campus.supply(programs.credit_mint()) == 60_000


def test_redemptions_that_make_no_sense_are_refused(account: Account, refused) -> None:
    account.retire(2_000, FEED_IN)
    helper = key("helper")
    delegate(account, helper)
    with refused("NotWallet"):
        redeem(account, 1, helper)
    with refused("NotWallet"):
        accounts = {
            "wallet": account.member.address,
            "user": account.member.user,
            "credit_token_account": account.member.credit_tokens,
        }
        instruction = account.campus.instruction("energy_token", "redeem_credit", {"amount": 1}, accounts)
        account.campus.send(unsigned(instruction, account.member.address))
    with refused("ZeroAmount"):
        redeem(account, 0)
    with refused("InstructionErrorCustom(1)"):
        redeem(account, 100_001)
    with refused("WrongCreditAccount"):
        redeem(account, 1, credit_token_account=account.member.energy_tokens)
    with refused("WrongCreditMint"):
        redeem(account, 1, credit_mint=programs.energy_mint())
    with refused("NotAUser"):
        redeem(account, 1, user=key("other").pubkey())
    with refused("WrongTokenProgram"):
        redeem(account, 1, token_program=key("other").pubkey())
    with refused("WrongConfig"):
        redeem(account, 1, config=key("other").pubkey())
    account.campus.set_paused(PAUSE_CREDIT)
    with refused("Paused"):
        redeem(account, 1)


@pytest.mark.parametrize("damage", [{"version": 2}, {"consumption_total": 0}], ids=str)
def test_an_inconsistent_retirement_is_not_changed(account: Account, refused, damage: dict[str, int]) -> None:
    account.retire(500)
    address = programs.retirement_address(account.member.address)
    account.campus.change("energy_token", address, **damage)
    with refused("RetirementInvariant"):
        account.retire(1)
