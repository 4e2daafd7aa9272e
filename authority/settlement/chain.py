"""Settlement's traffic with the chain: snapshots in, transactions out.

Reads go by address, so that a production validator needs no account indexes. A method that sends returns when its
transaction is confirmed, raises ProgramError where a program refused it, and another ChainError where it is not known
what became of it; the next snapshot tells.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import select

from authority.chain import programs
from authority.chain.accounts import (
    BOOKS,
    Config,
    EnergyAccount,
    EpochBook,
    EpochCheckpoint,
    MeterState,
    Oracle,
    Retirement,
    Seat,
    Seats,
)
from authority.chain.accounts import Meter as RegistryMeter
from authority.chain.accounts import User as RegistryUser
from authority.chain.client import ChainClient
from authority.chain.errors import NotDeployedError, RpcError
from authority.chain.layout import ProgramAccount
from authority.market.standing_orders import BID, ProposedOrder
from authority.settlement.journal import WaitingFrame
from authority.settlement.lookup_tables import LookupTables
from authority.settlement.snapshot import BookStatus, BookView, MemberView, MeterView, Payout, Snapshot
from authority.settlement.views import (
    STATUS_CLOSED,
    books_by_epoch,
    config_view,
    member_view,
    meter_view,
    usable,
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


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain is in time: the current epoch, and the last checkpoint's (None before the first)."""

    epoch: int
    last_checkpoint: int | None


Signed = Callable[[str, int, str], None]
"""Told of a transaction before it is sent: signature (base58), last block height where it can land, itself (base64)."""


class SettlementChain:
    """The chain as settlement sees it. operator signs and pays; refresh() takes over who and what is registered."""

    def __init__(self, client: ChainClient, operator: Keypair, tables: LookupTables) -> None:
        self.client = client
        self.operator = operator
        self.tables = tables
        self._meters: dict[bytes, tuple[int, str, bytes | None]] = {}
        self._members: dict[Pubkey, str] = {}
        self._epoch_seconds = 0

    # Reading

    def refresh(self, store: Store) -> None:
        """Take over from the store which meters and members are on the chain, and have them in lookup tables."""
        with store.read() as session:
            meters = session.execute(
                select(Meter.meter_id, Meter.id, Meter.gateway_name, Meter.name, Meter.serial, Meter.public_key).where(
                    Meter.registered_at.is_not(None)
                )
            ).all()
            members = session.execute(select(User.wallet, User.name).where(User.registered_at.is_not(None))).all()
        self._meters = {
            row.meter_id: (row.id, f"{row.gateway_name}/{row.name} ({row.serial})", row.public_key) for row in meters
        }
        self._members = {Pubkey.from_string(row.wallet): row.name for row in members}
        self.tables.ensure(
            [
                *(
                    (programs.meter_address(meter_id), programs.meter_state_address(meter_id))
                    for meter_id in self._meters
                ),
                *(_member_accounts(member) for member in self._members),
            ]
        )

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

    def _now(self) -> int:
        return self.client.clock().unix_timestamp

    def _last_checkpoint(self) -> int | None:
        oracle = self.client.account(Oracle, programs.oracle_authority())
        return oracle.last_epoch if oracle is not None and oracle.has_checkpoint else None

    def head(self) -> Head:
        """The current epoch by the chain's clock, and the last checkpoint."""
        return Head(self._now() // self.epoch_seconds(), self._last_checkpoint())

    def snapshot(self) -> Snapshot:
        """The chain now, with all books of the ring."""
        now = self._now()  # before the books: one that is missing after its epoch's end will never be
        config = config_view(self._existing(Config, programs.config_address()), now)
        last_checkpoint = self._last_checkpoint()
        return Snapshot(
            now=now,
            config=config,
            meters=tuple(self._meter_views()),
            members=tuple(self._member_views(config.billing_period)),
            books=self._books(last_checkpoint),
            last_checkpoint=last_checkpoint,
        )

    def _books(self, last_checkpoint: int | None) -> dict[int, BookView]:
        """The books of the ring: heads, and the orders of those that are not final and pinned."""
        slots = [programs.book_at_slot(slot) for slot in range(BOOKS)]
        heads = books_by_epoch(self._accounts_of(EpochBook, slots, EpochBook.size()))
        alive = [
            programs.book_address(epoch)
            for epoch, book in heads.items()
            if book.status is not BookStatus.FINAL or last_checkpoint is None or epoch > last_checkpoint
        ]
        return {**heads, **books_by_epoch(self._accounts_of(EpochBook, alive))}

    def _accounts_of(
        self, kind: type[ProgramAccount], addresses: Sequence[Pubkey], size: int | None = None
    ) -> list[bytes]:
        """The data, or its first `size` bytes, of those accounts that are there."""
        found = zip(addresses, self.client.raw_accounts(addresses, size), strict=True)
        return [data for address, account in found if (data := self.client.account_data(kind, address, account))]

    def _meter_views(self) -> Iterator[MeterView]:
        ids = list(self._meters)
        addresses = [programs.meter_address(meter_id) for meter_id in ids]
        state_addresses = [programs.meter_state_address(meter_id) for meter_id in ids]
        states = self.client.accounts_at(MeterState, state_addresses)
        registered = self.client.accounts_at(RegistryMeter, addresses)
        for meter_id, address, state_address, meter, state in zip(
            ids, addresses, state_addresses, registered, states, strict=True
        ):
            if meter is not None and state is not None:  # else it is not yet opened at the oracle
                pk, name, key = self._meters[meter_id]
                yield replace(meter_view(pk, name, address, meter, state_address, state), current_key=meter.key == key)

    def _member_views(self, period: int) -> Iterator[MemberView]:
        members = list(self._members)
        addresses = [programs.user_address(member) for member in members]
        users = self.client.accounts_at(RegistryUser, addresses)
        accounts = self.client.accounts_at(EnergyAccount, [programs.energy_account_address(each) for each in members])
        retired = self.client.accounts_at(Retirement, [programs.retirement_address(member) for member in members])
        seats: list[Seat] = []
        for data in self._accounts_of(Seats, [programs.seats_address()]):
            seats = Seat.array(data, Seats.size(), Seats.from_account(data).capacity)
        energy = self.client.token_accounts([user.energy_token_account for user in users if user is not None])
        credit = self.client.token_accounts([user.credit_token_account for user in users if user is not None])
        holdings = iter(zip(energy, credit, strict=True))
        for member, address, user, account, retirement in zip(
            members, addresses, users, accounts, retired, strict=True
        ):
            if user is None:
                continue
            energy_account, credit_account = next(holdings)
            yield member_view(
                self._members[member],
                address,
                user,
                account,
                retirement,
                seats[user.member_index] if user.member_index < len(seats) else None,
                usable(energy_account, user.wallet, programs.energy_mint()),
                usable(credit_account, user.wallet, programs.credit_mint()),
                period,
            )

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

    def submit_readings(
        self, readings: Sequence[tuple[MeterView, WaitingFrame]], signed: Callable[[str], None]
    ) -> None:
        """Carry readings of different meters to the oracle in one transaction, with the operator's signature.

        signed is told each signature before it is sent. TransactionTooLargeError where they do not fit.
        """
        frames = [Frame.from_bytes(frame.frame) for _, frame in readings]
        instructions = [
            programs.ed25519_frames(frames),
            self._build("oracle", "submit_readings", remaining=_pairs([meter for meter, _ in readings])),
        ]
        self._send(instructions, before=lambda signature, _, __: signed(signature))

    def settle_surplus(self, member: MemberView, meters: Sequence[MeterView], boundary: int) -> None:
        """Settle a member's span that ends at the boundary; mints what it comes to."""
        accounts = {
            "user": member.address,
            "energy_account": programs.energy_account_address(member.member),
            "energy_token_account": member.energy_token_account,
        }
        args = {"interval_end": boundary}
        self._send([self._build("oracle", "settle_surplus", args, accounts, _pairs(meters))])

    def settle_idle_meter(self, member: MemberView, meter: MeterView) -> None:
        """Book what a suspended or closed meter drew since its last settlement."""
        accounts = {
            "user": member.address,
            "energy_account": programs.energy_account_address(member.member),
            "meter": meter.address,
            "meter_state": meter.state_address,
        }
        self._send([self._build("oracle", "settle_idle_meter", accounts=accounts)])

    def open_billing_period(self) -> None:
        """Open the next billing period."""
        self._send([self._build("governance", "open_billing_period")])

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
        return self._send([self._build("registry", "set_meter_status", {"status": STATUS_CLOSED}, accounts)])

    def open_book(self, epoch: int, before: int | None) -> None:
        """Open an epoch's book in the place of the one of the epoch `before`, None where the place was never used."""
        accounts = {
            "book": programs.book_address(epoch),
            "checkpoint": programs.SYSTEM_PROGRAM if before is None else programs.checkpoint_address(before),
        }
        self._send([self._build("trading", "open_epoch", {"epoch": epoch}, accounts)])

    def place_order(
        self, member: MemberView, signer: Keypair, book: BookView, order: ProposedOrder, deposit: int, signed: Signed
    ) -> None:
        """Place an order for a member, signed with its wallet, after a deposit into its seat where that lacks so much.

        Both are one transaction; signed is told of each before it is sent.
        """
        bid = order.side == BID
        asset = CREDIT if bid else ENERGY
        instructions = []
        if deposit:
            accounts = {
                "authority": signer.pubkey(),
                "user": member.address,
                "source": member.credit_token_account if bid else member.energy_token_account,
                "vault": programs.credit_vault() if bid else programs.energy_vault(),
            }
            instructions.append(self._build("trading", "deposit", {"asset": asset, "amount": deposit}, accounts))
        accounts = {
            "authority": signer.pubkey(),
            "user": member.address,
            "book": programs.book_address(book.epoch),
        }
        args = {"epoch": book.epoch, "side": order.side, "price": order.price, "quantity": order.quantity}
        instructions.append(self._build("trading", "place_order", args, accounts))
        self._send(instructions, [signer], before=signed)

    def retire(
        self,
        member: MemberView,
        signer: Keypair,
        period: int,
        amount: int,
        signed: Signed,
        *,
        from_seat: bool,
        feed_in: bool,
    ) -> None:
        """Retire a member's energy, signed with its wallet; signed is told of each transaction before it is sent."""
        accounts = {
            "member": signer.pubkey(),
            "user": member.address,
            "retirement": programs.retirement_address(member.member),
            "energy_account": programs.energy_account_address(member.member),
            "energy_token_account": member.energy_token_account,
            "credit_token_account": member.credit_token_account,
        }
        args = {
            "reason": FEED_IN if feed_in else CONSUMPTION,
            "period": period,
            "amount": amount,
            "source": FROM_SEAT if from_seat else FROM_ACCOUNT,
        }
        self._send([self._build("energy_token", "retire_energy", args, accounts)], [signer], before=signed)

    def pay_out(self, member: MemberView, asset: Payout, amount: int) -> None:
        """Pay what is free in a member's seat to its own account, as it allowed anybody to do."""
        energy = asset is Payout.ENERGY
        accounts = {
            "authority": self.operator.pubkey(),
            "user": member.address,
            "destination": member.energy_token_account if energy else member.credit_token_account,
            "vault": programs.energy_vault() if energy else programs.credit_vault(),
        }
        args = {"asset": ENERGY if energy else CREDIT, "amount": amount}
        self._send([self._build("trading", "withdraw", args, accounts)])

    def trigger_clearing(self, book: BookView) -> None:
        """Have the oracle clear a book whose epoch is over and pay its orders, or as many as one transaction takes."""
        unpaid = sum(not order.paid for order in book.orders)
        args = {"epoch": book.epoch, "limit": min(unpaid, ORDERS_PER_STEP)}
        instruction = self._build("oracle", "trigger_clearing", args, {"book": programs.book_address(book.epoch)})
        self._send([instruction], compute_units=_units(len(book.orders)))

    def refund(self, book: BookView) -> None:
        """Give back what a book that was never cleared has locked, or as much as one transaction takes."""
        unpaid = sum(not order.paid for order in book.orders)
        args = {"epoch": book.epoch, "limit": min(unpaid, ORDERS_PER_STEP)}
        instruction = self._build("trading", "refund_epoch", args, {"book": programs.book_address(book.epoch)})
        self._send([instruction], compute_units=_units(unpaid))

    def checkpoint(self, epoch: int, log_size: int, log_root: bytes, book_hash: bytes) -> None:
        """Pin the log and the final book's hash for an epoch."""
        args = {"epoch": epoch, "log_size": log_size, "log_root": log_root, "book_hash": book_hash}
        accounts = {"checkpoint": programs.checkpoint_address(epoch), "book": programs.book_address(epoch)}
        self._send([self._build("oracle", "checkpoint_epoch", args, accounts)])

    def _build(
        self,
        program: str,
        name: str,
        args: Mapping[str, object] | None = None,
        accounts: Mapping[str, Pubkey] | None = None,
        remaining: Sequence[AccountMeta] = (),
    ) -> Instruction:
        """An instruction whose accounts are those given and the deployment's own, as far as the IDL names them."""
        operator = self.operator.pubkey()
        known = {**common_accounts(), "operator": operator, "payer": operator, **(accounts or {})}
        named = {item.name for item in self.client.idl(program).instruction(name).accounts}
        given = {key: address for key, address in known.items() if key in named}
        return self.client.instruction(program, name, args or {}, given, remaining)

    def _send(
        self,
        instructions: Sequence[Instruction],
        signers: Sequence[Keypair] = (),
        *,
        compute_units: int | None = None,
        before: Signed | None = None,
    ) -> str:
        addresses = {meta.pubkey for instruction in instructions for meta in instruction.accounts}
        signature = self.client.send(
            instructions,
            [self.operator, *signers],
            payer=self.operator,
            lookup_tables=self.tables.holding(addresses),
            compute_units=compute_units,
            before_sending=None
            if before is None
            else lambda signature, height, raw: before(str(signature), height, raw),
        )
        return str(signature)


def common_accounts() -> dict[str, Pubkey]:
    """Addresses that many transactions name, by their names in the IDLs: what every lookup table begins with."""
    return {
        "config": programs.config_address(),
        "registry": programs.registry_address(),
        "oracle": programs.oracle_authority(),
        "market": programs.market_address(),
        "seats": programs.seats_address(),
        "energy_vault": programs.energy_vault(),
        "credit_vault": programs.credit_vault(),
        "energy_mint": programs.energy_mint(),
        "credit_mint": programs.credit_mint(),
        "mint_authority": programs.mint_authority(),
        "instructions": programs.INSTRUCTIONS_SYSVAR,
        "token_program": programs.TOKEN_PROGRAM,
        "system_program": programs.SYSTEM_PROGRAM,
        "energy_token_program": programs.PROGRAM_IDS["energy_token"],
        "trading_program": programs.PROGRAM_IDS["trading"],
    }


def _units(orders: int) -> int:
    return min(MAX_UNITS, BASE_UNITS + UNITS_PER_ORDER * orders)


def _pairs(meters: Sequence[MeterView]) -> list[AccountMeta]:
    """Each meter's two accounts, in the order given: the registry's to read, the oracle's to write."""
    return [
        AccountMeta(address, is_signer=False, is_writable=writable)
        for meter in meters
        for address, writable in ((meter.address, False), (meter.state_address, True))
    ]


def _member_accounts(member: Pubkey) -> tuple[Pubkey, ...]:
    """The accounts that transactions about a member name, as they are from the start."""
    return (
        programs.user_address(member),
        programs.associated_token_address(member, programs.energy_mint()),
        programs.associated_token_address(member, programs.credit_mint()),
    )
