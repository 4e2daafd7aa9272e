"""The market among the real programs: energy that meters measured is minted, traded, cleared and settled."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager

import pytest
from campus import EPOCH_SECONDS, START, Campus, Member, Outcome, Refusal, idl, key, readonly
from market_accounts import ASK, BID, CREDIT, ENERGY, OPEN, Book
from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.instruction import Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey

from authority.chain import programs
from authority.chain.artifacts import idl_path

FIRST = START // EPOCH_SECONDS


class MarketCampus(Campus):
    """A campus with a market: a prosumer whose surplus was minted, and a consumer with credits."""

    def __init__(self) -> None:
        super().__init__()
        self.make_market()
        self.seller, self.buyer = self.register_user("seller"), self.register_user("buyer", 0)
        meter = self.add_meter(self.seller, "solar building", "building", "solar")
        self.round(self.seller, self.boundary(1), (meter, ()))
        self.round(self.seller, self.boundary(2), (meter, (5_000, 1_000)))
        self.epoch = FIRST + 2
        accounts = {
            "operator": self.operator.pubkey(),
            "user": self.buyer.user,
            "credit_token_account": self.buyer.credit_tokens,
        }
        self.send(self.instruction("energy_token", "issue_credit", {"amount": 10_000_000}, accounts))

    @property
    def book(self) -> Pubkey:
        """The epoch's book."""
        return programs.book_address(self.epoch)

    def open(self) -> Outcome:
        """Open the epoch's book."""
        return self.open_book(self.epoch)

    def place(self, member: Member, side: int, price: int, quantity: int) -> Outcome:
        """Place an order with the member's own signature."""
        accounts = {"authority": member.address, "user": member.user, "book": self.book}
        args = {"epoch": self.epoch, "side": side, "price": price, "quantity": quantity}
        return self.send(self.instruction("trading", "place_order", args, accounts), signers=[member.wallet])

    def withdraw(self, member: Member, asset: int, amount: int) -> Outcome:
        """Take tokens out of a seat, to the member's own account."""
        accounts = {
            "authority": member.address,
            "user": member.user,
            "destination": member.credit_tokens if asset else member.energy_tokens,
            "vault": programs.credit_vault() if asset else programs.energy_vault(),
        }
        args = {"asset": asset, "amount": amount}
        return self.send(self.instruction("trading", "withdraw", args, accounts), signers=[member.wallet])

    def trigger_instruction(self, limit: int = 1_000, **accounts: Pubkey) -> Instruction:
        """oracle.trigger_clearing."""
        args = {"epoch": self.epoch, "limit": limit}
        return self.instruction("oracle", "trigger_clearing", args, {"book": self.book, **accounts})

    def checkpoint(self) -> Outcome:
        """Pin the epoch with its book as it is."""
        found = self.svm.get_account(self.book)
        assert found is not None
        args = {
            "epoch": self.epoch,
            "log_size": 1,
            "log_root": bytes(32),
            "book_hash": Book(bytes(found.data)).hash(),
        }
        accounts = {
            "operator": self.operator.pubkey(),
            "checkpoint": programs.checkpoint_address(self.epoch),
            "book": self.book,
        }
        return self.send(self.instruction("oracle", "checkpoint_epoch", args, accounts))


@pytest.fixture
def market_campus() -> MarketCampus:
    """A campus whose current epoch's book is open."""
    campus = MarketCampus()
    campus.open()
    return campus


def test_metered_energy_is_traded(
    market_campus: MarketCampus, refused: Callable[[str], AbstractContextManager[None]]
) -> None:
    campus = market_campus
    assert campus.tokens(campus.seller.energy_tokens) == 4_000
    price = (campus.parameters["feed_in_price"] + campus.parameters["retail_price"]) // 2
    campus.deposit(campus.seller, ENERGY, 4_000)
    campus.deposit(campus.buyer, CREDIT, 10_000_000)
    campus.place(campus.seller, ASK, price, 4_000)
    campus.place(campus.buyer, BID, price, 3_000)
    campus.set_time(campus.boundary(3))
    cleared = campus.send(campus.trigger_instruction(limit=1))
    assert cleared.event("EpochCleared")["volume"] == 3_000
    with refused("BookUnfinished"):
        campus.checkpoint()
    fees = campus.send(campus.trigger_instruction()).event("EpochSettled")["fees"]
    proceeds, owed = 3_000 * price // 1_000, -(-3_000 * (price + campus.parameters["wheeling"]) // 1_000)
    seller_gets = proceeds - proceeds * campus.parameters["fee_bps"] // 10_000
    assert campus.seat(campus.seller) == (1_000, seller_gets)
    assert campus.seat(campus.buyer) == (3_000, 10_000_000 - owed)
    assert fees == owed - seller_gets
    campus.withdraw(campus.buyer, ENERGY, 3_000)
    campus.withdraw(campus.seller, CREDIT, seller_gets)
    assert campus.tokens(campus.buyer.energy_tokens) == 3_000
    assert campus.tokens(campus.seller.credit_tokens) == seller_gets
    accounts = {"fee_account": campus.fee_account}
    campus.send(campus.instruction("trading", "withdraw_fees", {}, accounts))
    assert campus.tokens(campus.fee_account) == fees
    assert campus.supply(programs.energy_mint()) == 4_000
    assert campus.supply(programs.credit_mint()) == 10_000_000
    assert campus.tokens(programs.credit_vault()) == 10_000_000 - owed
    campus.checkpoint()
    # The ring comes round: the book's place is taken against that checkpoint.
    campus.epoch += programs.BOOKS
    campus.set_time(campus.epoch * EPOCH_SECONDS)
    campus.open()
    assert campus.account("trading", campus.book)["epoch"] == campus.epoch


def test_only_the_oracle_program_signs_for_the_oracle(
    market_campus: MarketCampus, refused: Callable[[str], AbstractContextManager[None]]
) -> None:
    campus = market_campus
    campus.set_time(campus.boundary(3))
    stranger = key("stranger")
    accounts = {"oracle": stranger.pubkey(), "book": campus.book}
    args = {"epoch": campus.epoch, "limit": 0}
    clearing = campus.instruction("trading", "clear_epoch", args, accounts)
    with refused("NotTheOracle"):
        campus.send(clearing, signers=[stranger])
    named = campus.instruction("trading", "clear_epoch", args, {"book": campus.book})
    unsigned = Instruction(
        named.program_id, named.data, [*(readonly(meta.pubkey) for meta in named.accounts[:2]), *named.accounts[2:]]
    )
    with refused("OracleMustSign"):
        campus.send(unsigned)
    campus.send(campus.trigger_instruction())


def test_the_oracle_waits_for_the_end(market_campus: MarketCampus) -> None:
    campus = market_campus
    campus.set_time(campus.boundary(3) - 1)
    with pytest.raises(Refusal) as caught:
        campus.send(campus.trigger_instruction())
    assert caught.value.name in ("EpochNotOver", "EpochNotEnded")


def test_a_book_cannot_be_cleared_in_place_of_another(market_campus: MarketCampus) -> None:
    campus = market_campus
    first = campus.book
    campus.set_time(campus.boundary(3))
    campus.epoch += 1
    campus.open()
    campus.epoch -= 1
    with pytest.raises(Refusal):
        campus.send(campus.trigger_instruction(book=programs.book_address(campus.epoch + 1)))
    assert campus.account("trading", first)["status"] == OPEN


class PrefundedCampus(MarketCampus):
    """A campus on which somebody sends a lamport to every address just before an account is made there."""

    prefunded: set[Pubkey]

    def send(
        self,
        *instructions: Instruction,
        signers: Sequence[Keypair] = (),
        payer: Keypair | None = None,
        tables: Sequence[AddressLookupTableAccount] = (),
    ) -> Outcome:
        """Run a transaction; what it may write to and is not there yet has a lamport beforehand."""
        if not hasattr(self, "prefunded"):
            self.prefunded = set()
        for meta in (meta for instruction in instructions for meta in instruction.accounts):
            if meta.is_writable and self.svm.get_account(meta.pubkey) is None:
                self.svm.set_account(meta.pubkey, Account(1, b"", programs.SYSTEM_PROGRAM))
                self.prefunded.add(meta.pubkey)
        return super().send(*instructions, signers=signers, payer=payer, tables=tables)


def test_a_lamport_at_every_address_stands_in_nobodys_way() -> None:
    """Of every account type of the five programs, the mints and token accounts."""
    campus = PrefundedCampus()
    campus.open()
    accounts = {
        "member": campus.seller.address,
        "payer": campus.operator.pubkey(),
        "user": campus.seller.user,
        "energy_account": campus.seller.energy_account,
        "energy_token_account": campus.seller.energy_tokens,
        "credit_token_account": campus.seller.credit_tokens,
        "retirement": programs.retirement_address(campus.seller.address),
    }
    retired = {"reason": 1, "period": 0, "amount": 1_000, "source": 0}
    campus.send(campus.instruction("energy_token", "retire_energy", retired, accounts), signers=[campus.seller.wallet])
    campus.set_time(campus.boundary(3))
    campus.send(campus.trigger_instruction())
    campus.checkpoint()

    made = set()
    for address in campus.prefunded:
        account = campus.svm.get_account(address)
        assert account is not None
        owner = next((name for name, program in programs.PROGRAM_IDS.items() if program == account.owner), None)
        made.add(idl(owner).decode_account(bytes(account.data))[0] if owner else (account.owner, len(account.data)))
    types = {
        item["name"]
        for name in programs.PROGRAM_IDS
        for item in json.loads(idl_path(name).read_text(encoding="utf-8"))["accounts"]
    }
    types.remove("WalletUse")  # made where a member's wallet is replaced
    assert made == types | {(programs.TOKEN_PROGRAM, 82), (programs.TOKEN_PROGRAM, 165)}
