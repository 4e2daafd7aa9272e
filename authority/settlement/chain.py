"""Settlement's traffic with the chain: snapshots in, transactions out.

Reads go by address, so that a production validator needs no account indexes. What is sent returns when it is confirmed,
with ProgramError where a program refused it, and another ChainError where it is not known what became of it; the next
snapshot tells.

One long file: a method for each kind of action makes its transaction, and all share the accounts that a snapshot read.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import is_
from typing import Any, TypeVar

from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.clock import Clock
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import select

from authority.chain import programs
from authority.chain.accounts import (
    BOOKS,
    BookStatus,
    Config,
    EnergyAccount,
    EpochBook,
    EpochCheckpoint,
    MeterState,
    Oracle,
    Retirement,
    Seat,
    Seats,
    Status,
)
from authority.chain.accounts import Meter as RegistryMeter
from authority.chain.accounts import User as RegistryUser
from authority.chain.client import ChainClient, Outgoing, Signed, TokenAccount, public_key
from authority.chain.errors import ChainError, NotDeployedError, RpcError
from authority.chain.layout import ProgramAccount
from authority.log import log
from authority.market import transfers
from authority.market.standing_orders import BID
from authority.settlement.actions import (
    Bundle,
    CancelOrder,
    ForMember,
    MoveTokens,
    OpenBillingPeriod,
    OpenBook,
    PayOut,
    PlaceOrder,
    RefundBook,
    Retire,
    SettleIdleMeter,
    SettleSurplus,
    SubmitReading,
    TriggerClearing,
)
from authority.settlement.lookup_tables import LookupTables
from authority.settlement.mirror import Mirror
from authority.settlement.snapshot import BookView, ConfigView, MemberView, MeterView, Payout, Snapshot
from authority.settlement.views import (
    book_view,
    config_view,
    member_view,
    meter_view,
)
from authority.store import Store
from authority.store.metering import Meter
from authority.store.people import User
from edge_agent.wire.reading import Frame

_A = TypeVar("_A", bound=ProgramAccount)

DECIDE_WAITS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between looks at a transaction that was on its way when the worker stopped."""
MAX_UNITS = 1_400_000
BASE_UNITS = 50_000
UNITS_PER_ORDER = 300
"""Compute units asked for to clear and pay: more than the committed figures, for Agave's worst case."""
ORDERS_PER_STEP = (MAX_UNITS - BASE_UNITS) // UNITS_PER_ORDER
"""Orders that one clearing or refunding transaction pays."""
ENERGY, CREDIT = 0, 1
"""What a seat holds, as deposit and withdraw name it."""
CONSUMPTION, FEED_IN = 0, 1
"""Why energy is retired."""
FROM_ACCOUNT, FROM_SEAT = 0, 1
"""Where energy that is retired comes from."""


class SettlementChain:
    """The chain as settlement sees it. operator signs and pays; refresh() takes over who and what is registered."""

    def __init__(self, client: ChainClient, operator: Keypair, tables: LookupTables) -> None:
        self.client = client
        self.operator = operator
        self.tables = tables
        self.mirror = Mirror(client)
        self._meters: dict[bytes, tuple[int, str, bytes | None]] = {}
        self._names: dict[str, str] = {}
        self._members: dict[Pubkey, str] = {}
        self._meter_addresses: list[Pubkey] = []
        self._member_addresses: list[Pubkey] = []
        """What `_meters` and `_members` have on the chain: Meter and MeterState; User, EnergyAccount, Retirement."""
        self._epoch_seconds = 0
        self._epoch = -1
        self._meter_views: dict[bytes, tuple[tuple[object, ...], MeterView]] = {}
        self._users: dict[Pubkey, tuple[Account | None, RegistryUser]] = {}
        self._member_views: dict[Pubkey, tuple[tuple[object, ...], MemberView]] = {}
        self._books: dict[int, tuple[bytes, BookView]] = {}
        self._heads: dict[Pubkey, tuple[bytes, BookView | None]] = {}
        self._seats: tuple[bytes, Sequence[Seat]] = (b"", ())
        self._meters_read: tuple[Sequence[Account | None], tuple[MeterView, ...]] = ((), ())
        self._members_read: tuple[tuple[object, ...], tuple[MemberView, ...]] = ((), ())
        self._own_accounts: dict[tuple[str, str], Mapping[str, Pubkey]] = {}
        """Of each instruction the accounts that are the deployment's own, without those that its IDL has already."""
        self._refreshed: tuple[int, ...] | None = None
        self._in_tables = False

    # Reading

    def refresh(self, store: Store) -> None:
        """Take over from the store which meters and members are on the chain, and have them in lookup tables."""
        written = store.writes_of(Meter.__tablename__, User.__tablename__)
        if written is None or written != self._refreshed:
            self._take_over(store)
            self._refreshed = written
        if not self._in_tables or self.tables.grow:
            self.tables.ensure(
                [
                    *((programs.meter_address(meter), programs.meter_state_address(meter)) for meter in self._meters),
                    *(self._member_accounts(member) for member in self._members),
                ]
            )
            self._in_tables = True

    def _take_over(self, store: Store) -> None:
        with store.read() as session:
            meters = session.execute(
                select(Meter.meter_id, Meter.id, Meter.gateway_name, Meter.name, Meter.serial, Meter.public_key).where(
                    Meter.registered_at.is_not(None)
                )
            ).all()
            members = session.execute(select(User.wallet, User.name).where(User.registered_at.is_not(None))).all()
        known = {
            row.meter_id: (row.id, f"{row.gateway_name}/{row.name} ({row.serial})", row.public_key) for row in meters
        }
        names = {row.wallet: row.name for row in members}
        if (known, names) != (self._meters, self._names):
            self._meters, self._names, self._meters_read = known, names, ((), ())
            self._members = {Pubkey.from_string(wallet): name for wallet, name in names.items()}
            self._meter_addresses = [
                address
                for meter in known
                for address in (programs.meter_address(meter), programs.meter_state_address(meter))
            ]
            self._member_addresses = [
                address
                for member in self._members
                for address in (
                    programs.user_address(member),
                    programs.energy_account_address(member),
                    programs.retirement_address(member),
                )
            ]
            self.mirror.forget_all()
            self._in_tables = False

    def _member_accounts(self, member: Pubkey) -> tuple[Pubkey, ...]:
        """The accounts that transactions about a member name: its token accounts are those of its present wallet."""
        view = self._member_views.get(member)
        if view is None:
            tokens = tuple(
                programs.associated_token_address(member, mint)
                for mint in (programs.energy_mint(), programs.credit_mint())
            )
        else:
            tokens = (view[1].energy_token_account, view[1].credit_token_account)
        return (programs.user_address(member), programs.energy_account_address(member), *tokens)

    def network_id(self, store: Store) -> bytes:
        """The campus whose chain it should be: the log's."""
        with store.read() as session:
            return log.network_id(session)

    def forget(self) -> None:
        """Know nothing of the chain any more: it went back."""
        self.mirror.forget_all()
        self.tables.forget()
        self._in_tables = False
        self._books, self._heads, self._seats = {}, {}, (b"", ())

    def epoch_seconds(self) -> int:
        """The length of an epoch; fixed forever."""
        if not self._epoch_seconds:
            self._epoch_seconds = self._existing(Config, programs.config_address()).epoch_seconds
        return self._epoch_seconds

    def _existing(self, kind: type[_A], address: Pubkey) -> _A:
        found = self.client.account(kind, address)
        if found is None:
            raise NotDeployedError(f"{kind.PROGRAM} has no {kind.__name__} at {address}: run `authority deploy` first")
        return found

    def snapshot(self, *, fresh: bool = False) -> Snapshot:
        """The chain now, with all books of the ring; where fresh, everything is read again.

        Clock, parameters, seats and books are always read: what members do by hand shows there. Of a book the orders
        are read where its head changed, and of everything else what this worker changed, until all is due again.
        """
        now, config, last_checkpoint, seats = self._always()
        epoch = config.epoch_at(now)
        if fresh or epoch != self._epoch or self.mirror.is_due():
            self._epoch = epoch
            self.mirror.forget_all()
        return Snapshot(
            now=now,
            config=config,
            meters=self._read_meters(),
            members=self._read_members(config.billing_period, seats),
            books=self._read_books(last_checkpoint),
            last_checkpoint=last_checkpoint,
        )

    def _always(self) -> tuple[int, ConfigView, int | None, Sequence[Seat]]:
        """The clock (read before the books: one that is missing after its epoch's end will never be), and the rest."""
        addresses = [
            programs.CLOCK_SYSVAR,
            programs.config_address(),
            programs.oracle_authority(),
            programs.seats_address(),
        ]
        clock, *others = self.client.raw_accounts(addresses)
        config, oracle, seats = (
            self.client.account_data(kind, address, account)
            for kind, address, account in zip((Config, Oracle, Seats), addresses[1:], others, strict=True)
        )
        if clock is None or config is None:
            raise NotDeployedError("there is no governance on this chain: run `authority deploy` first")
        now = Clock.from_bytes(bytes(clock.data)).unix_timestamp
        found = None if oracle is None else Oracle.from_account(oracle)
        last = found.last_epoch if found is not None and found.has_checkpoint else None
        if seats is not None and seats != self._seats[0]:
            self._seats = (seats, _seats_in(seats, *self._seats))
        return now, config_view(Config.from_account(config), now), last, self._seats[1]

    def _read_books(self, last_checkpoint: int | None) -> dict[int, BookView]:
        """The books of the ring: heads, and the orders of those that are not final and pinned."""
        slots = [programs.book_at_slot(slot) for slot in range(BOOKS)]
        books: dict[int, BookView] = {}
        for slot, head in self._accounts_of(EpochBook, slots, EpochBook.size()):
            known = self._heads.get(slot)
            if known is None or known[0] != head:
                known = self._heads[slot] = (head, book_view(head))
            book = known[1]
            if book is None:
                continue
            if book.status is BookStatus.FINAL and last_checkpoint is not None and book.epoch <= last_checkpoint:
                self._books.pop(book.epoch, None)
                books[book.epoch] = book
                continue
            if book.epoch not in self._books or self._books[book.epoch][0] != head:
                for _, data in self._accounts_of(EpochBook, [programs.book_address(book.epoch)]):
                    whole = book_view(data)
                    if whole is not None:
                        self._books[whole.epoch] = (data[: EpochBook.size()], whole)
            books[book.epoch] = self._books.get(book.epoch, (head, book))[1]
        self._books = {epoch: kept for epoch, kept in self._books.items() if epoch in books}
        return books

    def _accounts_of(
        self, kind: type[ProgramAccount], addresses: Sequence[Pubkey], size: int | None = None
    ) -> list[tuple[Pubkey, bytes]]:
        """The data, or its first `size` bytes, of those accounts that are there, with their addresses."""
        found = zip(addresses, self.client.raw_accounts(addresses, size), strict=True)
        return [
            (address, data) for address, account in found if (data := self.client.account_data(kind, address, account))
        ]

    def _read_meters(self) -> tuple[MeterView, ...]:
        """The meters that are registered; the same ones as long as none of their accounts is another."""
        addresses = self._meter_addresses
        accounts = self.mirror.accounts(addresses)
        if not _all_same(self._meters_read[0], accounts):
            self._meters_read = (accounts, tuple(self._meters_in(addresses, accounts)))
        return self._meters_read[1]

    def _meters_in(self, addresses: Sequence[Pubkey], accounts: Sequence[Account | None]) -> Iterator[MeterView]:
        for place, (meter_id, (pk, name, key)) in enumerate(self._meters.items()):
            registered, stands = accounts[2 * place], accounts[2 * place + 1]
            source = (registered, stands, pk, name, key)
            known = self._meter_views.get(meter_id)
            if known is None or not _same(known[0], source):
                address, state_address = addresses[2 * place : 2 * place + 2]
                meter = self._typed(RegistryMeter, address, registered)
                state = self._typed(MeterState, state_address, stands)
                if meter is None or state is None:
                    continue  # it is not yet opened at the oracle
                known = (source, meter_view(pk, name, address, meter, state_address, state, key))
                self._meter_views[meter_id] = known
            yield known[1]

    def _typed(self, kind: type[_A], address: Pubkey, account: Account | None) -> _A | None:
        return self.mirror.typed(kind, address, account)

    def _read_members(self, period: int, seats: Sequence[Seat]) -> tuple[MemberView, ...]:
        """The members that are registered; the same ones as long as nothing that they are made of is another.

        Their tokens lie where their User says.
        """
        known = self.mirror.accounts(self._member_addresses)
        users = [
            (place, member, user)
            for place, member in enumerate(self._members)
            if (user := self._user(member, known[3 * place])) is not None
        ]
        tokens = self.mirror.accounts(
            [address for _, _, user in users for address in (user.energy_token_account, user.credit_token_account)]
        )
        source = (period, seats, self._members, *known, *tokens)
        if not _all_same(self._members_read[0], source):
            made = tuple(self._members_in(period, seats, users, known, tokens))
            self._members_read = (source, made)
        return self._members_read[1]

    def _members_in(
        self,
        period: int,
        seats: Sequence[Seat],
        users: Sequence[tuple[int, Pubkey, RegistryUser]],
        known: Sequence[Account | None],
        tokens: Sequence[Account | None],
    ) -> Iterator[MemberView]:
        for at, (place, member, user) in enumerate(users):
            account, energy, retirement = known[3 * place : 3 * place + 3]
            held, credit = tokens[2 * at : 2 * at + 2]
            seat = seats[user.member_index] if user.member_index < len(seats) else None
            source = (account, energy, retirement, held, credit, seat, period, self._members[member])
            view = self._member_views.get(member)
            if view is None or not _same(view[0], source):
                address, energy_address, retirement_address = self._member_addresses[3 * place : 3 * place + 3]
                made = member_view(
                    self._members[member],
                    address,
                    user,
                    self._typed(EnergyAccount, energy_address, energy),
                    self._typed(Retirement, retirement_address, retirement),
                    seat,
                    TokenAccount.of(held),
                    TokenAccount.of(credit),
                    period,
                )
                if view is None or not _same_tokens(view[1], made):
                    self._in_tables = False
                view = self._member_views[member] = (source, made)
            yield view[1]

    def _user(self, member: Pubkey, account: Account | None) -> RegistryUser | None:
        """A member's User, read once for as long as its account is the same."""
        known = self._users.get(member)
        if known is None or known[0] is not account:
            user = self._typed(RegistryUser, programs.user_address(member), account)
            if user is None:
                return None
            known = self._users[member] = (account, user)
        return known[1]

    def checkpoint_figures(self, epoch: int) -> dict[str, object]:
        """What an epoch's checkpoint pins, as columns of SettlementEpoch."""
        found = self._existing(EpochCheckpoint, programs.checkpoint_address(epoch))
        return {"log_size": found.log_size, "log_root": found.log_root, "book_hash": found.book_hash}

    # What became of a transaction

    def landed(self, signature: str) -> bool:
        """Whether a transaction has landed and succeeded."""
        status = self._status(signature)
        return status is not None and status["err"] is None

    def is_known(self, signature: str) -> bool:
        """Whether the validator has seen the transaction land, at any level, failed or not."""
        return self._status(signature) is not None

    def decide(self, signature: str, last_valid_block_height: int, raw: str) -> bool:
        """Bring a transaction that was signed earlier to its end: send it again, as it is, until that is certain.

        Whether it has landed (well or not), or can land no more; False where neither is known yet.
        """
        for wait in DECIDE_WAITS:
            # the height first: what has not landed by then never will
            height = int(self.client.call("getBlockHeight", {"commitment": "finalized"}))
            status = self._status(signature)
            if status is not None and status.get("confirmationStatus") in ("confirmed", "finalized"):
                return True
            if status is None and height > last_valid_block_height:
                return True
            if status is None:
                with suppress(RpcError):  # its blockhash may be over, or it is known already
                    self.client.call(
                        "sendTransaction", raw, {"encoding": "base64", "skipPreflight": True, "maxRetries": 0}
                    )
            time.sleep(wait)
        return False

    def _status(self, signature: str) -> dict[str, Any] | None:
        answer = self.client.call("getSignatureStatuses", [signature], {"searchTransactionHistory": True})
        status: dict[str, Any] | None = answer["value"][0]
        return status

    # Acting

    def transaction(self, bundle: Bundle, signers: Mapping[Pubkey, Keypair]) -> Outgoing:
        """A bundle's transaction, not yet signed; signers has the key that signs for each of its members."""
        instructions: list[Instruction] = []
        units = None
        readings = [action for action in bundle if isinstance(action, SubmitReading)]
        if readings:
            frames = [Frame.from_bytes(reading.frame.frame) for reading in readings]
            pairs = _pairs([reading.meter for reading in readings])
            instructions = [
                programs.ed25519_frames(frames),
                self._build("oracle", "submit_readings", remaining=pairs),
            ]
        for action in bundle:
            match action:
                case SettleSurplus():
                    instructions.append(self._settle_surplus(action, to_seat=action.to_seat or len(bundle) == 1))
                case SettleIdleMeter(member, meter):
                    accounts = {
                        "user": member.address,
                        "energy_account": programs.energy_account_address(member.member),
                        "meter": meter.address,
                        "meter_state": meter.state_address,
                    }
                    instructions.append(self._build("oracle", "settle_idle_meter", accounts=accounts))
                case OpenBillingPeriod():
                    instructions.append(self._build("governance", "open_billing_period"))
                case OpenBook(epoch, before):
                    accounts = {
                        "book": programs.book_address(epoch),
                        "checkpoint": programs.SYSTEM_PROGRAM
                        if before is None
                        else programs.checkpoint_address(before),
                    }
                    instructions.append(self._build("trading", "open_epoch", {"epoch": epoch}, accounts))
                case PlaceOrder():
                    instructions += self._place_order(action, signers[action.member.member])
                case CancelOrder():
                    instructions.append(self._cancel_order(action, signers[action.member.member]))
                case MoveTokens():
                    instructions += self._move(action, signers[action.member.member])
                case Retire():
                    instructions += self._retire(action, signers[action.member.member])
                case PayOut():
                    instructions.append(self._pay_out(action))
                case TriggerClearing(book):
                    instructions.append(self._pay_orders("oracle", "trigger_clearing", book))
                    units = _units(len(book.orders))
                case RefundBook(book):
                    instructions.append(self._pay_orders("trading", "refund_epoch", book))
                    units = _units(book.unpaid)
        keys = [signers[action.member.member] for action in bundle if isinstance(action, ForMember)]
        return Outgoing(instructions, keys, self._tables(instructions), units)

    def _settle_surplus(self, action: SettleSurplus, *, to_seat: bool) -> Instruction:
        """A member's settlement; with to_seat its mint may go into the member's seat.

        The accounts for that are left out where members share a transaction, so that more of them fit. One whose token
        account was lost since it was looked at is refused there and then, and comes alone the next time.
        """
        accounts: dict[str, Pubkey | None] = {
            "user": action.member.address,
            "energy_account": programs.energy_account_address(action.member.member),
            "energy_token_account": action.member.energy_token_account,
        }
        if not to_seat:
            accounts |= dict.fromkeys(("energy_vault", "seats", "trading_program"))
        args = {"interval_end": action.boundary}
        return self._build("oracle", "settle_surplus", args, accounts, _pairs(action.meters))

    def _deposit(self, member: MemberView, signer: Keypair, asset: int, amount: int) -> Instruction:
        """Into the member's seat, out of its own token account."""
        energy = asset == ENERGY
        accounts = {
            "authority": public_key(signer),
            "user": member.address,
            "source": member.energy_token_account if energy else member.credit_token_account,
            "vault": programs.energy_vault() if energy else programs.credit_vault(),
        }
        return self._build("trading", "deposit", {"asset": asset, "amount": amount}, accounts)

    def _place_order(self, action: PlaceOrder, signer: Keypair) -> Iterator[Instruction]:
        """An order, after a deposit into the seat where that lacks so much."""
        member, book, order = action.member, action.book, action.order
        if action.deposit:
            yield self._deposit(member, signer, CREDIT if order.side == BID else ENERGY, action.deposit)
        accounts = {
            "authority": public_key(signer),
            "user": member.address,
            "book": programs.book_address(book.epoch),
        }
        args = {"epoch": book.epoch, "side": order.side, "price": order.price, "quantity": order.quantity}
        yield self._build("trading", "place_order", args, accounts)

    def _cancel_order(self, action: CancelOrder, signer: Keypair) -> Instruction:
        accounts = {
            "authority": signer.pubkey(),
            "user": action.member.address,
            "book": programs.book_address(action.book.epoch),
        }
        args = {
            "epoch": action.book.epoch,
            "side": action.side,
            "price": action.price,
            "number": action.number,
        }
        return self._build("trading", "cancel_order", args, accounts)

    def _retire(self, action: Retire, signer: Keypair) -> Iterator[Instruction]:
        member = action.member
        if action.deposit:
            yield self._deposit(member, signer, ENERGY, action.deposit)
        accounts = {
            "member": public_key(signer),
            "user": member.address,
            "retirement": programs.retirement_address(member.member),
            "energy_account": programs.energy_account_address(member.member),
            "energy_token_account": member.energy_token_account,
            "credit_token_account": member.credit_token_account,
        }
        args = {
            "reason": FEED_IN if action.feed_in else CONSUMPTION,
            "period": action.period,
            "amount": action.amount,
            "source": FROM_SEAT if action.from_seat else FROM_ACCOUNT,
        }
        yield self._build("energy_token", "retire_energy", args, accounts)

    def _move(self, action: MoveTokens, signer: Keypair) -> Iterator[Instruction]:
        """Tokens that a member moves by hand, after a withdrawal from the seat where its wallet lacks so much."""
        member, energy = action.member, action.energy
        if action.act == transfers.DEPOSIT:
            yield self._deposit(member, signer, ENERGY if energy else CREDIT, action.amount)
            return
        out = action.amount if action.act == transfers.WITHDRAW else action.withdraw
        if out:
            yield self._withdraw(member, signer, out, energy=energy)
        if action.to is not None:
            source, destination = (
                each.energy_token_account if energy else each.credit_token_account for each in (member, action.to)
            )
            yield programs.transfer_checked(source, destination, public_key(signer), action.amount, energy=energy)

    def _pay_out(self, action: PayOut) -> Instruction:
        """What is free in a member's seat, to its own account, as it allowed anybody to do."""
        return self._withdraw(action.member, self.operator, action.amount, energy=action.asset is Payout.ENERGY)

    def _withdraw(self, member: MemberView, signer: Keypair, amount: int, *, energy: bool) -> Instruction:
        """Out of the member's seat, into its own token account."""
        accounts = {
            "authority": public_key(signer),
            "user": member.address,
            "destination": member.energy_token_account if energy else member.credit_token_account,
            "vault": programs.energy_vault() if energy else programs.credit_vault(),
        }
        return self._build("trading", "withdraw", {"asset": ENERGY if energy else CREDIT, "amount": amount}, accounts)

    def _pay_orders(self, program: str, name: str, book: BookView) -> Instruction:
        """Clear or refund a book and pay its orders, or as many as one transaction takes."""
        args = {"epoch": book.epoch, "limit": min(book.unpaid, ORDERS_PER_STEP)}
        return self._build(program, name, args, {"book": programs.book_address(book.epoch)})

    def checkpoint(self, epoch: int, log_size: int, log_root: bytes, book_hash: bytes) -> Outgoing:
        """Pin the log and the final book's hash for an epoch."""
        args = {"epoch": epoch, "log_size": log_size, "log_root": log_root, "book_hash": book_hash}
        accounts = {"checkpoint": programs.checkpoint_address(epoch), "book": programs.book_address(epoch)}
        instructions = [self._build("oracle", "checkpoint_epoch", args, accounts)]
        return Outgoing(instructions, lookup_tables=self._tables(instructions))

    def send_all(
        self, outgoing: Sequence[Outgoing], departing: Callable[[Sequence[Signed]], None]
    ) -> list[Signature | ChainError]:
        """Send side by side; departing is told of what is about to be sent. Outcomes as ChainClient.send_all."""
        written = {
            meta.pubkey
            for each in outgoing
            for instruction in each.instructions
            for meta in instruction.accounts
            if meta.is_writable
        }
        try:
            return self.client.send_all(outgoing, payer=self.operator, before_sending=departing)
        finally:
            self.mirror.forget(written)

    def rebase(self, meter_id: bytes, frame: Frame) -> str:
        """Let a meter go on from other registers by its signed record that says so; the transaction's signature."""
        accounts = {
            "meter": programs.meter_address(meter_id),
            "meter_state": programs.meter_state_address(meter_id),
        }
        return self._send([programs.ed25519_frames([frame]), self._build("oracle", "rebase_meter", accounts=accounts)])

    def close_meter(self, meter_id: bytes, member: Pubkey) -> str:
        """End a meter's part in its member's settlement, forever; the transaction's signature."""
        accounts = {"user": programs.user_address(member), "meter": programs.meter_address(meter_id)}
        return self._send([self._build("registry", "set_meter_status", {"status": Status.CLOSED}, accounts)])

    def _build(
        self,
        program: str,
        name: str,
        args: Mapping[str, object] | None = None,
        accounts: Mapping[str, Pubkey | None] | None = None,
        remaining: Sequence[AccountMeta] = (),
    ) -> Instruction:
        """An instruction whose accounts are those given and the deployment's own, as far as the IDL names them.

        None leaves an optional account out.
        """
        item = self.client.idl(program).instruction(name)
        own = self._own_accounts.get((program, name))
        if own is None:
            operator = public_key(self.operator)
            known = {**programs.common_accounts(), "operator": operator, "payer": operator}
            own = {
                key: address
                for key, address in known.items()
                if key in item.account_names and not item.is_at(key, address)
            }
            self._own_accounts[program, name] = own
        return item.build(args, {**own, **accounts} if accounts else own, remaining)

    def _send(self, instructions: Sequence[Instruction]) -> str:
        tables = self._tables(instructions)
        return str(self.client.send(instructions, [self.operator], payer=self.operator, lookup_tables=tables))

    def _tables(self, instructions: Sequence[Instruction]) -> list[AddressLookupTableAccount]:
        return self.tables.holding(meta.pubkey for each in instructions for meta in each.accounts)


def _seats_in(data: bytes, before: bytes, seats: Sequence[Seat]) -> Sequence[Seat]:
    """The seats in their account's data; those that are as they were before are taken over and not decoded again."""
    start, size, capacity = Seats.size(), Seat.FORMAT.size, Seats.from_account(data).capacity
    if capacity != len(seats):
        return Seat.array(data, start, capacity)
    found = list(seats)
    for place, at in enumerate(range(start, start + capacity * size, size)):
        if data[at : at + size] != before[at : at + size]:
            found[place] = Seat.array(data, at, 1)[0]
    return found


def _all_same(known: Sequence[object], found: Sequence[object]) -> bool:
    """Whether these are the very objects that were known."""
    return len(known) == len(found) and all(map(is_, known, found))


def _units(orders: int) -> int:
    return min(MAX_UNITS, BASE_UNITS + UNITS_PER_ORDER * orders)


def _pairs(meters: Sequence[MeterView]) -> list[AccountMeta]:
    """Each meter's two accounts, in the order given: the registry's to read, the oracle's to write."""
    return [
        AccountMeta(address, is_signer=False, is_writable=writable)
        for meter in meters
        for address, writable in ((meter.address, False), (meter.state_address, True))
    ]


def _same_tokens(known: MemberView, made: MemberView) -> bool:
    """Whether a member's token accounts are the ones that they were: a new wallet has others."""
    return (known.energy_token_account, known.credit_token_account) == (
        made.energy_token_account,
        made.credit_token_account,
    )


def _same(known: Sequence[object], source: Sequence[object]) -> bool:
    """Whether nothing that a view was made of was read anew, or came out otherwise."""
    return _all_same(known, source) or all(
        a is b or (not isinstance(a, Account) and a == b) for a, b in zip(known, source, strict=True)
    )
