"""A market in LiteSVM for the trading program's tests: the real program and SPL Token, on accounts put in place.

Governance's Config, the registry's Users and the oracle's checkpoints are written as their programs would leave them,
through the programs' own IDLs, so that a test can have any state (a suspended member, an expired delegate, a paused
market) without the whole campus. Signatures are not verified here, only demanded: that lets a test sign as the oracle
program's address.
"""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any

from campus import EPOCH_SECONDS, PARAMETERS, START, Outcome, idl, key, refusal
from solders.account import Account
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata

from authority.chain import programs
from authority.chain.artifacts import idl_path, program_bytes

TOKEN, SYSTEM = programs.TOKEN_PROGRAM, programs.SYSTEM_PROGRAM
COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")

BID, ASK = 0, 1
SIDE = 512
"""Orders that a side holds; the number of the first ask."""
EPOCH = START // EPOCH_SECONDS
"""The epoch in whose beginning a new market stands: 2026-06-19."""

GROWING, OPEN, CLEARED, REFUNDING, FINAL = range(5)


def zero(program: str, account: str) -> dict[str, Any]:
    """An account type's fields, all zero: a template for placing one."""
    discriminator = idl(program).account_discriminator(account)
    return idl(program).decode_account(discriminator + bytes(20_000))[1]


def address(program: str, *seeds: bytes) -> Pubkey:
    """A program's address for these seeds."""
    return Pubkey.find_program_address(list(seeds), idl(program).program_id)[0]


@cache
def offset(account: str, name: str) -> int:
    """Where a field of one of the trading program's accounts begins, discriminator included."""
    document = json.loads(idl_path("trading").read_bytes())
    types = {item["name"]: item["type"]["fields"] for item in document["types"] if "fields" in item["type"]}

    def size(kind: Any) -> int:
        match kind:
            case {"array": [item, count]}:
                return size(item) * int(count)
            case {"defined": {"name": defined}}:
                return sum(size(field["type"]) for field in types[defined])
            case "pubkey":
                return 32
        return int(kind[1:]) // 8

    at = 8
    for item in types[account]:
        if item["name"] == name:
            return at
        at += size(item["type"])
    raise LookupError(name)


MARKET = programs.market_address()
ENERGY_VAULT, CREDIT_VAULT = programs.energy_vault(), programs.credit_vault()
CONFIG = programs.config_address()
ORACLE = programs.oracle_authority()
ENERGY_MINT, CREDIT_MINT = programs.energy_mint(), programs.credit_mint()


def token_account(mint: Pubkey, owner: Pubkey, amount: int, *, state: int = 1, delegate: Pubkey | None = None) -> bytes:
    """The 165 bytes of an SPL token account."""
    spender = struct.pack("<I32s", 1 if delegate else 0, bytes(delegate or SYSTEM))
    head = struct.pack("<32s32sQ", bytes(mint), bytes(owner), amount) + spender
    return head + struct.pack("<BIQQI32s", state, 0, 0, amount if delegate else 0, 0, bytes(32))


@dataclass(frozen=True)
class Order:
    """One of a book's orders."""

    price: int
    quantity: int
    filled: int
    member: int


class Book:
    """A book as it is on the chain; orders and counts are read without decoding the whole."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @cached_property
    def fields(self) -> dict[str, Any]:
        """All of its fields."""
        return idl("trading").decode_account(self.data)[1]

    def _value(self, name: str, form: str) -> int:
        return int(struct.unpack_from(form, self.data, offset("EpochBook", name))[0])

    @property
    def status(self) -> int:
        """Where it stands."""
        return self._value("status", "<B")

    @property
    def bids(self) -> list[Order]:
        """The bids, best first."""
        return self._side("bids", self._value("bid_count", "<H"))

    @property
    def asks(self) -> list[Order]:
        """The asks, best first."""
        return self._side("asks", self._value("ask_count", "<H"))

    def _side(self, name: str, count: int) -> list[Order]:
        at = offset("EpochBook", name)
        return [Order(*values) for values in struct.iter_unpack("<4I", self.data[at : at + 16 * count])]

    def numbers(self) -> list[int]:
        """The numbers of all orders: bids from 0, asks from 512."""
        bids, asks = self._value("bid_count", "<H"), self._value("ask_count", "<H")
        return [*range(bids), *range(SIDE, SIDE + asks)]

    def order(self, number: int) -> Order:
        """The order with that number."""
        name, place = ("bids", number) if number < SIDE else ("asks", number - SIDE)
        return Order(*struct.unpack_from("<4I", self.data, offset("EpochBook", name) + 16 * place))

    def is_settled(self, number: int) -> bool:
        """Whether that order was paid."""
        return bool(self.data[offset("EpochBook", "settled") + number // 8] >> number % 8 & 1)


@dataclass
class Member:
    """A registered user with a wallet and two token accounts."""

    index: int
    wallet: Keypair
    user: Pubkey
    energy_account: Pubkey
    credit_account: Pubkey
    fields: dict[str, Any] = field(repr=False)


class TradingWorld:
    """The trading program with a market, members and a clock."""

    def __init__(
        self,
        *,
        initialize: bool = True,
        parameters: Mapping[str, int] | None = None,
        reference_price: int = 150_000,
    ) -> None:
        self.svm = LiteSVM().with_sigverify(False).with_blockhash_check(False)
        self.svm.add_program(idl("trading").program_id, program_bytes("trading"))
        self.payer = key("fee payer")
        self.operator = key("operator")
        self.issuer = key("issuer")
        self.fee_owner = key("department")
        for person in (self.payer, self.operator, self.issuer):
            self.svm.airdrop(person.pubkey(), 10**12)
        self.fee_account = programs.associated_token_address(self.fee_owner.pubkey(), CREDIT_MINT)
        self.members: list[Member] = []
        self.supply = {ENERGY_MINT: 0, CREDIT_MINT: 0}
        self.token_accounts: dict[Pubkey, Pubkey] = {}
        self.epochs: list[int] = []
        self._blockhashes = 0
        self.parameters = {**PARAMETERS, **(parameters or {})}
        self.put_config()
        self._put_mints()
        self.put_tokens(self.fee_account, CREDIT_MINT, self.fee_owner.pubkey(), 0)
        self.set_time(EPOCH * EPOCH_SECONDS)
        if initialize:
            self.initialize_market(reference_price)

    # The chain around the program

    def set_time(self, time: int) -> None:
        """Set the cluster's clock."""
        clock = self.svm.get_clock()
        clock.unix_timestamp = time
        self.svm.set_clock(clock)

    @property
    def time(self) -> int:
        """The cluster's clock."""
        return self.svm.get_clock().unix_timestamp

    def put(self, where: Pubkey, owner: Pubkey, data: bytes, lamports: int = 10**9) -> None:
        """Place an account."""
        self.svm.set_account(where, Account(lamports, data, owner, False, 0))

    def put_config(self, **changes: Any) -> None:
        """Place governance's Config; parameters by their names, others by the Config's."""
        config = zero("governance", "Config")
        parameters = {**config["parameters"], **self.parameters}
        config |= {
            "version": 1,
            "bump": 255,
            "epoch_seconds": EPOCH_SECONDS,
            "network_id": b"campus-1",
            "authority": self.operator.pubkey(),
            "operator": self.operator.pubkey(),
            "parameters": parameters,
        }
        for name, value in changes.items():
            if name in parameters:
                parameters[name] = value
            else:
                assert name in config
                config[name] = value
        self.put(CONFIG, idl("governance").program_id, idl("governance").encode_account("Config", config))

    def _put_mints(self) -> None:
        for mint, decimals in ((ENERGY_MINT, 3), (CREDIT_MINT, 6)):
            data = struct.pack(
                "<I32sQBBI32s", 1, bytes(self.issuer.pubkey()), self.supply[mint], decimals, 1, 0, bytes(32)
            )
            self.put(mint, TOKEN, data)

    def put_tokens(self, where: Pubkey, mint: Pubkey, owner: Pubkey, amount: int, **more: Any) -> None:
        """Place a token account, as if its tokens had been minted to it."""
        before = self.balance(where)
        self.put(where, TOKEN, token_account(mint, owner, amount, **more))
        self.supply[mint] += amount - before
        self.token_accounts[where] = mint
        self._put_mints()

    def balance(self, where: Pubkey) -> int:
        """Tokens in a token account; 0 where there is none."""
        account = self.svm.get_account(where)
        if account is None or account.owner != TOKEN:
            return 0
        return int(struct.unpack_from("<Q", account.data, 64)[0])

    def data(self, where: Pubkey) -> bytes:
        """An account's data; empty where there is none."""
        account = self.svm.get_account(where)
        return b"" if account is None else bytes(account.data)

    def member(self, *, energy: int = 10_000_000, credits_: int = 10**12, **changes: Any) -> Member:
        """Register another member, with tokens."""
        index = len(self.members)
        wallet = key(f"member {index}")
        user = programs.user_address(wallet.pubkey())
        fields = zero("registry", "User") | {
            "version": 1,
            "role": 1,
            "status": 1,
            "member_index": index,
            "wallet": wallet.pubkey(),
            "energy_token_account": programs.associated_token_address(wallet.pubkey(), ENERGY_MINT),
            "credit_token_account": programs.associated_token_address(wallet.pubkey(), CREDIT_MINT),
        }
        member = Member(index, wallet, user, fields["energy_token_account"], fields["credit_token_account"], fields)
        self.members.append(member)
        self.update_member(member, **changes)
        self.put_tokens(member.energy_account, ENERGY_MINT, wallet.pubkey(), energy)
        self.put_tokens(member.credit_account, CREDIT_MINT, wallet.pubkey(), credits_)
        return member

    def update_member(self, member: Member, **changes: Any) -> None:
        """Change fields of a member's User."""
        member.fields |= changes
        self.put(member.user, idl("registry").program_id, idl("registry").encode_account("User", member.fields))

    # Transactions

    def send(self, *instructions: Instruction, signers: Sequence[Keypair] = (), units: int = 1_400_000) -> Outcome:
        """Run a transaction; raises Refusal."""
        limit = Instruction(COMPUTE_BUDGET, b"\x02" + units.to_bytes(4, "little"), [])
        self._blockhashes += 1
        blockhash = Hash(self._blockhashes.to_bytes(32, "little"))
        message = MessageV0.try_compile(self.payer.pubkey(), [limit, *instructions], [], blockhash)
        signatures = [Signature.default()] * message.header.num_required_signatures
        signatures[0] = Signature(self._blockhashes.to_bytes(64, "little"))
        transaction = VersionedTransaction.populate(message, signatures)
        result = self.svm.send_transaction(transaction)
        if isinstance(result, FailedTransactionMetadata):
            raise refusal(result)
        return Outcome(result, idl("trading").events(result.logs()), len(bytes(transaction)))

    @staticmethod
    def build(
        name: str,
        args: Mapping[str, object] | None = None,
        accounts: Mapping[str, Pubkey] | None = None,
        remaining: Sequence[AccountMeta] = (),
    ) -> Instruction:
        """An instruction of the trading program."""
        return idl("trading").instruction(name).build(args, accounts, remaining)

    # Instructions

    def initialize_market(self, reference_price: int = 150_000, **accounts: Pubkey) -> Outcome:
        """Make the market."""
        given = {
            "operator": self.operator.pubkey(),
            "fee_account": self.fee_account,
            **accounts,
        }
        outcome = self.send(self.build("initialize_market", {"reference_price": reference_price}, given))
        self.token_accounts |= {ENERGY_VAULT: ENERGY_MINT, CREDIT_VAULT: CREDIT_MINT}
        return outcome

    def open_instructions(self, epoch: int, payer: Pubkey | None = None) -> list[Instruction]:
        """What opens a book."""
        book = programs.book_address(epoch)
        return [
            self.build("open_epoch", {"epoch": epoch}, {"payer": payer or self.operator.pubkey(), "book": book}),
            self.build("grow_book", {}, {"book": book}),
        ]

    def open(self, epoch: int = EPOCH) -> Outcome:
        """Open a book, in one transaction."""
        outcome = self.send(*self.open_instructions(epoch))
        self.epochs.append(epoch)
        return outcome

    def place_instruction(
        self,
        member: Member,
        side: int,
        price: int,
        quantity: int,
        *,
        epoch: int = EPOCH,
        evict: Member | None = None,
        **accounts: Pubkey,
    ) -> Instruction:
        """What places an order."""
        given = {
            "authority": member.wallet.pubkey(),
            "config": CONFIG,
            "user": member.user,
            "market": MARKET,
            "book": programs.book_address(epoch),
            "source": member.energy_account if side == ASK else member.credit_account,
            "vault": ENERGY_VAULT if side == ASK else CREDIT_VAULT,
            **accounts,
        }
        remaining = []
        if evict is not None:
            token = evict.energy_account if side == ASK else evict.credit_account
            remaining = [AccountMeta(evict.user, False, False), AccountMeta(token, False, True)]
        args = {"epoch": epoch, "side": side, "price": price, "quantity": quantity}
        return self.build("place_order", args, given, remaining)

    def place(self, member: Member, side: int, price: int, quantity: int, **more: Any) -> Outcome:
        """Place an order."""
        return self.send(self.place_instruction(member, side, price, quantity, **more))

    def cancel_instruction(
        self, member: Member, side: int, price: int, quantity: int, *, epoch: int = EPOCH, **accounts: Pubkey
    ) -> Instruction:
        """What cancels an order."""
        given = {
            "authority": member.wallet.pubkey(),
            "user": member.user,
            "book": programs.book_address(epoch),
            "destination": member.energy_account if side == ASK else member.credit_account,
            "vault": ENERGY_VAULT if side == ASK else CREDIT_VAULT,
            **accounts,
        }
        args = {"epoch": epoch, "side": side, "price": price, "quantity": quantity}
        return self.build("cancel_order", args, given)

    def cancel(self, member: Member, side: int, price: int, quantity: int, **more: Any) -> Outcome:
        """Cancel an order."""
        return self.send(self.cancel_instruction(member, side, price, quantity, **more))

    def clear_instruction(self, epoch: int = EPOCH, **accounts: Pubkey) -> Instruction:
        """What clears a book, with the oracle's signature."""
        return self.build(
            "clear_epoch", {}, {"oracle": ORACLE, "market": MARKET, "book": programs.book_address(epoch), **accounts}
        )

    def clear(self, epoch: int = EPOCH, **accounts: Pubkey) -> Outcome:
        """Clear a book, as the oracle."""
        return self.send(self.clear_instruction(epoch, **accounts))

    def settle_instruction(self, numbers: Sequence[int], *, epoch: int = EPOCH, **accounts: Pubkey) -> Instruction:
        """What settles these orders, each run of one member's with its accounts once."""
        book = self.book(epoch)
        remaining: list[AccountMeta] = []
        last = None
        for number in numbers:
            member = self.members[book.order(number).member]
            if member is not last:
                remaining += self.settlement_metas(member)
            last = member
        return self.settle_raw(numbers, remaining, epoch=epoch, **accounts)

    @staticmethod
    def settlement_metas(member: Member) -> list[AccountMeta]:
        """What a settlement needs of a member."""
        return [
            AccountMeta(member.user, False, False),
            AccountMeta(member.energy_account, False, True),
            AccountMeta(member.credit_account, False, True),
        ]

    def settle_raw(
        self, numbers: Sequence[int], remaining: Sequence[AccountMeta], *, epoch: int = EPOCH, **accounts: Pubkey
    ) -> Instruction:
        """What settles these orders with these accounts appended."""
        given = {
            "market": MARKET,
            "book": programs.book_address(epoch),
            "fee_account": self.fee_account,
            **accounts,
        }
        return self.build("settle_orders", {"orders": list(numbers)}, given, remaining)

    def settle(self, *numbers: int, epoch: int = EPOCH, **accounts: Pubkey) -> Outcome:
        """Settle these orders."""
        return self.send(self.settle_instruction(numbers, epoch=epoch, **accounts))

    def settle_all(self, epoch: int = EPOCH, each: int = 8) -> list[Outcome]:
        """Settle what is unsettled, a few a transaction, members together."""
        book = self.book(epoch)
        numbers = [number for number in book.numbers() if not book.is_settled(number)]
        numbers.sort(key=lambda number: book.order(number).member)
        return [self.settle(*numbers[start : start + each], epoch=epoch) for start in range(0, len(numbers), each)]

    def refund(self, epoch: int = EPOCH) -> Outcome:
        """Begin a book's refund."""
        return self.send(self.build("refund_epoch", {}, {"book": programs.book_address(epoch)}))

    def put_checkpoint(self, epoch: int = EPOCH, book_hash: bytes | None = None, **changes: Any) -> Pubkey:
        """Place the oracle's checkpoint of an epoch; of the book as it is unless told otherwise."""
        where = programs.checkpoint_address(epoch)
        digest = hashlib.sha256(self.data(programs.book_address(epoch))).digest() if book_hash is None else book_hash
        fields = zero("oracle", "EpochCheckpoint") | {"version": 1, "epoch": epoch, "book_hash": digest, **changes}
        self.put(where, idl("oracle").program_id, idl("oracle").encode_account("EpochCheckpoint", fields))
        return where

    def close(self, epoch: int = EPOCH, **accounts: Pubkey) -> Outcome:
        """Close a book."""
        given = {
            "book": programs.book_address(epoch),
            "checkpoint": programs.checkpoint_address(epoch),
            "rent_payer": self.operator.pubkey(),
            **accounts,
        }
        return self.send(self.build("close_epoch", {}, given))

    # What the chain says

    def market(self) -> dict[str, Any]:
        """The Market's fields."""
        return idl("trading").decode_account(self.data(MARKET))[1]

    def book(self, epoch: int = EPOCH) -> Book:
        """A book."""
        return Book(self.data(programs.book_address(epoch)))

    def put_book(self, epoch: int, book: Book) -> None:
        """Place a book: its data with its fields written anew."""
        lamports = self.svm.minimum_balance_for_rent_exemption(len(book.data))
        data = idl("trading").encode_account("EpochBook", book.fields)
        self.put(programs.book_address(epoch), idl("trading").program_id, data, lamports)

    def books(self) -> Iterator[Book]:
        """The books that are open or being settled."""
        for epoch in self.epochs:
            if self.data(programs.book_address(epoch)):
                yield self.book(epoch)

    def check(self) -> None:
        """Tokens conserve: supply = held + in escrow, and each vault holds just what the books say."""
        held: dict[Pubkey, int] = {ENERGY_MINT: 0, CREDIT_MINT: 0}
        for where, mint in self.token_accounts.items():
            held[mint] += self.balance(where)
        assert held == self.supply
        books = list(self.books())
        assert self.balance(ENERGY_VAULT) == sum(book.fields["energy_escrow"] for book in books)
        assert self.balance(CREDIT_VAULT) == sum(book.fields["credit_escrow"] for book in books)
