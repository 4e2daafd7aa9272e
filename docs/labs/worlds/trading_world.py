"""A market in LiteSVM for the trading program's tests: the real program and SPL Token, on accounts put in place.

Governance's Config, the registry's Users and the oracle's checkpoints are written as their programs would leave them,
through the programs' own IDLs, so that a test can have any state (a suspended member, an expired delegate, a paused
market) without the whole campus. Signatures are not verified here, only demanded: that lets a test sign as the oracle
program's address.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from campus import EPOCH_SECONDS, PARAMETERS, START, Outcome, idl, key, refusal
from market_accounts import (
    ASK,
    BID,
    CLEARING,
    CREDIT,
    ENERGY,
    FINAL,
    GROWING,
    OPEN,
    REFUNDING,
    SEAT,
    SEATS_PER_STEP,
    STEP,
    VACANT,
    Book,
    Order,
    Seat,
    book_space,
    head_size,
    zero,
)
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
from authority.chain.artifacts import program_bytes

TOKEN, SYSTEM = programs.TOKEN_PROGRAM, programs.SYSTEM_PROGRAM
COMPUTE_BUDGET = Pubkey.from_string("ComputeBudget111111111111111111111111111111")

SIDE = 512
"""Orders that a side holds, unless a test chooses otherwise."""
ALL = 2 * 4_096
"""A limit that pays every order of a book at once."""
BOOKS = programs.BOOKS
EPOCH = START // EPOCH_SECONDS
"""The epoch in whose beginning a new market stands: 2026-06-19."""


MARKET = programs.market_address()
SEATS = programs.seats_address()
ENERGY_VAULT, CREDIT_VAULT = programs.energy_vault(), programs.credit_vault()
CONFIG = programs.config_address()
ORACLE = programs.oracle_authority()
ENERGY_MINT, CREDIT_MINT = programs.energy_mint(), programs.credit_mint()


def token_account(mint: Pubkey, owner: Pubkey, amount: int, *, state: int = 1, delegate: Pubkey | None = None) -> bytes:
    """The 165 bytes of an SPL token account."""
    spender = struct.pack("<I32s", 1 if delegate else 0, bytes(delegate or SYSTEM))
    head = struct.pack("<32s32sQ", bytes(mint), bytes(owner), amount) + spender
    return head + struct.pack("<BIQQI32s", state, 0, 0, amount if delegate else 0, 0, bytes(32))


@dataclass
class Member:
    """A registered user with a wallet and two token accounts."""

    index: int
    wallet: Keypair
    user: Pubkey
    energy_account: Pubkey
    credit_account: Pubkey
    fields: dict[str, Any] = field(repr=False)


__all__ = [
    "ASK",
    "BID",
    "CLEARING",
    "CREDIT",
    "ENERGY",
    "FINAL",
    "GROWING",
    "OPEN",
    "REFUNDING",
    "SEATS_PER_STEP",
    "STEP",
    "VACANT",
    "Book",
    "Member",
    "Order",
    "Seat",
    "TradingWorld",
    "zero",
]


class TradingWorld:
    """The trading program with a market, members and a clock."""

    def __init__(
        self,
        *,
        initialize: bool = True,
        parameters: Mapping[str, int] | None = None,
        reference_price: int = 150_000,
        orders_per_side: int = SIDE,
    ) -> None:
        self.orders_per_side = orders_per_side
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
        self._blockhashes = 0
        self.parameters = {**PARAMETERS, **(parameters or {})}
        self.put_config()
        self._put_mints()
        self.put_tokens(self.fee_account, CREDIT_MINT, self.fee_owner.pubkey(), 0)
        self.put_registry(0)
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

    def member(
        self, *, energy: int = 10_000_000, credits_: int = 10**12, deposit: bool = True, **changes: Any
    ) -> Member:
        """Register another member, with tokens; they are in its seat, or in its own accounts without a deposit."""
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
        self.put_registry()
        if deposit:
            self.send(
                *(
                    self.deposit_instruction(member, asset, amount)
                    for asset, amount in ((ENERGY, energy), (CREDIT, credits_))
                    if amount
                )
            )
        return member

    def put_registry(self, users: int | None = None) -> None:
        """Place the registry's count of members."""
        fields = zero("registry", "Registry") | {"version": 1, "bump": 255}
        fields |= {"users": len(self.members) if users is None else users}
        where = programs.registry_address()
        self.put(where, idl("registry").program_id, idl("registry").encode_account("Registry", fields))

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

    def initialize_market(
        self, reference_price: int = 150_000, orders_per_side: int | None = None, **accounts: Pubkey
    ) -> Outcome:
        """Make the market."""
        given = {
            "operator": self.operator.pubkey(),
            "fee_account": self.fee_account,
            **accounts,
        }
        side = self.orders_per_side if orders_per_side is None else orders_per_side
        args = {"reference_price": reference_price, "orders_per_side": side}
        outcome = self.send(self.build("initialize_market", args, given))
        self.token_accounts |= {ENERGY_VAULT: ENERGY_MINT, CREDIT_VAULT: CREDIT_MINT}
        return outcome

    def grow_book_instruction(self, slot: int, **accounts: Pubkey) -> Instruction:
        """What brings a book nearer to its full size."""
        given = {"payer": self.operator.pubkey(), "book": programs.book_address(slot), **accounts}
        return self.build("grow_book", {"slot": slot}, given)

    def grow_book(self, slot: int) -> None:
        """Bring a book to its full size."""
        steps = -(-book_space(self.orders_per_side) // STEP)
        self.send(*[self.grow_book_instruction(slot)] * steps)

    def grow_seats_instruction(self, **accounts: Pubkey) -> Instruction:
        """What adds seats."""
        return self.build("grow_seats", {}, {"payer": self.operator.pubkey(), **accounts})

    def open_instruction(self, epoch: int, **accounts: Pubkey) -> Instruction:
        """What opens a book, against the checkpoint of the one that its slot held last."""
        book = programs.book_address(epoch)
        before = self.book(epoch).fields["epoch"] if self.data(book) else 0
        checkpoint = programs.checkpoint_address(before) if before else SYSTEM
        return self.build("open_epoch", {"epoch": epoch}, {"book": book, "checkpoint": checkpoint, **accounts})

    def open(self, epoch: int = EPOCH, **accounts: Pubkey) -> Outcome:
        """Open a book; its account is made where it is not there yet."""
        if not self.data(programs.book_address(epoch)):
            self.grow_book(epoch % BOOKS)
        return self.send(self.open_instruction(epoch, **accounts))

    def deposit_instruction(self, member: Member, asset: int, amount: int, **accounts: Pubkey) -> Instruction:
        """What brings tokens into a seat."""
        given = {
            "authority": member.wallet.pubkey(),
            "user": member.user,
            "source": member.energy_account if asset == ENERGY else member.credit_account,
            "vault": ENERGY_VAULT if asset == ENERGY else CREDIT_VAULT,
            **accounts,
        }
        return self.build("deposit", {"asset": asset, "amount": amount}, given)

    def deposit(self, member: Member, asset: int, amount: int, **accounts: Pubkey) -> Outcome:
        """Bring tokens into a seat."""
        return self.send(self.deposit_instruction(member, asset, amount, **accounts))

    def withdraw_instruction(self, member: Member, asset: int, amount: int, **accounts: Pubkey) -> Instruction:
        """What takes tokens out of a seat."""
        given = {
            "authority": member.wallet.pubkey(),
            "user": member.user,
            "destination": member.energy_account if asset == ENERGY else member.credit_account,
            "vault": ENERGY_VAULT if asset == ENERGY else CREDIT_VAULT,
            **accounts,
        }
        return self.build("withdraw", {"asset": asset, "amount": amount}, given)

    def withdraw(self, member: Member, asset: int, amount: int, **accounts: Pubkey) -> Outcome:
        """Take tokens out of a seat."""
        return self.send(self.withdraw_instruction(member, asset, amount, **accounts))

    def set_payout(self, member: Member, assets: int, **accounts: Pubkey) -> Outcome:
        """Say what anyone may pay out."""
        given = {"authority": member.wallet.pubkey(), "user": member.user, **accounts}
        return self.send(self.build("set_payout", {"assets": assets}, given))

    def place_instruction(
        self, member: Member, side: int, price: int, quantity: int, *, epoch: int = EPOCH, **accounts: Pubkey
    ) -> Instruction:
        """What places an order."""
        given = {
            "authority": member.wallet.pubkey(),
            "user": member.user,
            "book": programs.book_address(epoch),
            **accounts,
        }
        args = {"epoch": epoch, "side": side, "price": price, "quantity": quantity}
        return self.build("place_order", args, given)

    def place(self, member: Member, side: int, price: int, quantity: int, **more: Any) -> Outcome:
        """Place an order."""
        return self.send(self.place_instruction(member, side, price, quantity, **more))

    def number(self, member: Member, side: int, price: int, quantity: int, *, epoch: int = EPOCH) -> int:
        """The number of the member's latest such order; where there is none, the next number, which is no order's."""
        book = self.book(epoch)
        orders = book.asks if side == ASK else book.bids
        found = [
            order.number
            for order in orders
            if (order.price, order.quantity, order.member) == (price, quantity, member.index)
        ]
        return max(found, default=int(book.fields["next_number"]))

    def cancel_instruction(
        self, member: Member, side: int, price: int, number: int, *, epoch: int = EPOCH, **accounts: Pubkey
    ) -> Instruction:
        """What cancels an order."""
        given = {
            "authority": member.wallet.pubkey(),
            "user": member.user,
            "book": programs.book_address(epoch),
            **accounts,
        }
        args = {"epoch": epoch, "side": side, "price": price, "number": number}
        return self.build("cancel_order", args, given)

    def cancel(self, member: Member, side: int, price: int, number: int, **more: Any) -> Outcome:
        """Cancel an order by its number."""
        return self.send(self.cancel_instruction(member, side, price, number, **more))

    def clear_instruction(self, epoch: int = EPOCH, limit: int = ALL, **accounts: Pubkey) -> Instruction:
        """What clears a book and pays so many orders, with the oracle's signature."""
        given = {"oracle": ORACLE, "book": programs.book_address(epoch), **accounts}
        return self.build("clear_epoch", {"epoch": epoch, "limit": limit}, given)

    def clear(self, epoch: int = EPOCH, limit: int = ALL, **accounts: Pubkey) -> Outcome:
        """Clear a book and pay so many orders, as the oracle."""
        return self.send(self.clear_instruction(epoch, limit, **accounts))

    def refund(self, epoch: int = EPOCH, limit: int = ALL, **accounts: Pubkey) -> Outcome:
        """Refund a book."""
        given = {"book": programs.book_address(epoch), **accounts}
        return self.send(self.build("refund_epoch", {"epoch": epoch, "limit": limit}, given))

    def withdraw_fees(self, **accounts: Pubkey) -> Outcome:
        """Pay the fees out."""
        return self.send(self.build("withdraw_fees", {}, {"fee_account": self.fee_account, **accounts}))

    def put_checkpoint(self, epoch: int = EPOCH, book_hash: bytes | None = None, **changes: Any) -> Pubkey:
        """Place the oracle's checkpoint of an epoch; of the book as it is unless told otherwise."""
        where = programs.checkpoint_address(epoch)
        digest = self.book(epoch).hash() if book_hash is None else book_hash
        fields = zero("oracle", "EpochCheckpoint") | {"version": 1, "epoch": epoch, "book_hash": digest, **changes}
        self.put(where, idl("oracle").program_id, idl("oracle").encode_account("EpochCheckpoint", fields))
        return where

    # What the chain says

    def market(self) -> dict[str, Any]:
        """The Market's fields."""
        return idl("trading").decode_account(self.data(MARKET))[1]

    def book(self, epoch: int = EPOCH) -> Book:
        """A book."""
        return Book(self.data(programs.book_address(epoch)))

    def put_book(self, epoch: int, book: Book) -> None:
        """Place a book: its data with its fields and orders written anew."""
        lamports = self.svm.minimum_balance_for_rent_exemption(len(book.data))
        self.put(programs.book_address(epoch), idl("trading").program_id, book.to_bytes(), lamports)

    def fill_book(self, bids: Sequence[Order] = (), asks: Sequence[Order] = (), epoch: int = EPOCH) -> None:
        """Place these orders in an open book, with what they imply: the seats' counts, what the vaults owe and hold."""
        book = self.book(epoch)
        book.put(bids, asks)
        self.put_book(epoch, book)
        seats = self.seats()
        for side, orders in ((BID, book.bids), (ASK, book.asks)):
            for order in orders:
                seat = seats[order.member]
                if seat.epoch != epoch:
                    seat.epoch, seat.bids, seat.asks = epoch, 0, 0
                if side == BID:
                    seat.highest_bid = order.price if not seat.bids else max(order.price, seat.highest_bid)
                    seat.bids += 1
                else:
                    seat.lowest_ask = order.price if not seat.asks else min(order.price, seat.lowest_ask)
                    seat.asks += 1
        self.put_seats(seats)

    def seats_head(self) -> dict[str, Any]:
        """The fields of the seats' head."""
        return idl("trading").decode_account(self.data(SEATS))[1]

    def seats(self) -> list[Seat]:
        """All seats."""
        data = self.data(SEATS)[head_size("Seats") :]
        return [Seat(*values) for values in SEAT.iter_unpack(data)]

    def seat(self, member: Member) -> Seat:
        """A member's seat."""
        at = head_size("Seats") + SEAT.size * member.index
        return Seat(*SEAT.unpack_from(self.data(SEATS), at))

    def put_seats(self, seats: Sequence[Seat], **head: Any) -> None:
        """Place the seats; what the vaults owe, and hold, follows from them and the books."""
        books = list(self.books())
        fields = self.seats_head() | head
        fields |= {
            "energy_held": sum(seat.energy for seat in seats) + sum(book.fields["energy_locked"] for book in books),
            "credit_held": sum(seat.credit for seat in seats)
            + sum(book.fields["credit_locked"] for book in books)
            + fields["fees"],
        }
        data = idl("trading").encode_account("Seats", fields | head) + b"".join(seat.to_bytes() for seat in seats)
        self.put(SEATS, idl("trading").program_id, data)
        self.put_tokens(ENERGY_VAULT, ENERGY_MINT, MARKET, fields["energy_held"])
        self.put_tokens(CREDIT_VAULT, CREDIT_MINT, MARKET, fields["credit_held"])

    def books(self) -> Iterator[Book]:
        """The ring's books that are there."""
        for slot in range(BOOKS):
            if self.data(programs.book_address(slot)):
                yield self.book(slot)

    def check(self) -> None:
        """Tokens conserve: supply = in token accounts, and each vault holds just what seats and books say."""
        held: dict[Pubkey, int] = {ENERGY_MINT: 0, CREDIT_MINT: 0}
        for where, mint in self.token_accounts.items():
            held[mint] += self.balance(where)
        assert held == self.supply
        if not self.data(SEATS):
            return
        seats, books, head = self.seats(), list(self.books()), self.seats_head()
        energy = sum(seat.energy for seat in seats) + sum(book.fields["energy_locked"] for book in books)
        credits_ = sum(seat.credit for seat in seats) + sum(book.fields["credit_locked"] for book in books)
        assert self.balance(ENERGY_VAULT) == head["energy_held"] == energy
        assert self.balance(CREDIT_VAULT) == head["credit_held"] == credits_ + head["fees"]
        for book in books:
            if book.status == OPEN:
                assert book.fields["energy_locked"] == sum(order.quantity for order in book.asks)
                assert book.fields["credit_locked"] == sum(book.locks(BID, order) for order in book.bids)
