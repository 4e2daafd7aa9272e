"""Settlement's traffic with the chain: snapshots in, transactions out.

Reads go by address, so that a production validator needs no account indexes. A method that sends returns when its
transaction is confirmed, raises ProgramError where a program refused it, and another ChainError where it is not known
what became of it; the next snapshot tells.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy import select

from authority.chain import programs
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError, RpcError
from authority.chain.idl import Idl
from authority.market.standing_orders import BID, Limits, ProposedOrder
from authority.settlement.journal import WaitingFrame
from authority.settlement.lookup_tables import LookupTables
from authority.settlement.snapshot import (
    ORDERS_PER_SIDE,
    BookStatus,
    BookView,
    ConfigView,
    MemberView,
    MeterView,
    OrderView,
    Pause,
    Snapshot,
)
from authority.store import Store
from authority.store.metering import Meter
from authority.store.people import User
from edge_agent.wire.reading import ROLES, Frame

REFUND_AFTER_EPOCHS = 8
STATUS_ACTIVE = 1
SUBMETER = ROLES.index("submeter")
NO_BOOK = bytes(32)
"""What a checkpoint says of an epoch that had no book."""
BOOK_SIZE = 17_792
"""Bytes of a whole book's account; while it is growing it has fewer."""
DECIDE_WAITS = (0.05, 0.1, 0.2, 0.4, 0.8)
"""Seconds between looks at a transaction that was on its way when the worker stopped."""
CLEARING_UNITS = 600_000
BASE_UNITS = 30_000
UNITS_PER_ORDER = 20_000
"""Compute units asked for: two and more times what a validator with the older SPL Token needs."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain is in time: the current epoch, and the last checkpoint's (None before the first)."""

    epoch: int
    last_checkpoint: int | None


class NotDeployedError(ChainError):
    """The programs are not initialized on this chain: run `authority deploy`."""

    cause = "not_deployed"


Signed = Callable[[str, int, str], None]
"""Told of a transaction before it is sent: signature (base58), last block height where it can land, itself (base64)."""


class SettlementChain:
    """The chain as settlement sees it. operator signs and pays; refresh() takes over who and what is registered."""

    def __init__(self, client: ChainClient, operator: Keypair, tables: LookupTables) -> None:
        self.client = client
        self.operator = operator
        self.tables = tables
        self._meters: dict[bytes, int] = {}
        self._members: dict[Pubkey, str] = {}
        self._epoch_seconds = 0
        self._fee_account: Pubkey | None = None

    # Reading

    def refresh(self, store: Store) -> None:
        """Take over from the store which meters and members are on the chain, and have them in lookup tables."""
        with store.read() as session:
            meters = session.execute(select(Meter.meter_id, Meter.id).where(Meter.registered_at.is_not(None))).all()
            members = session.execute(select(User.wallet, User.name).where(User.registered_at.is_not(None))).all()
        self._meters = {row.meter_id: row.id for row in meters}
        self._members = {Pubkey.from_string(row.wallet): row.name for row in members}
        self.tables.ensure(
            [
                *(
                    (programs.meter_address(meter_id), programs.meter_state_address(meter_id))
                    for meter_id in self._meters
                ),
                *(_member_accounts(wallet) for wallet in self._members),
            ]
        )

    def epoch_seconds(self) -> int:
        """The length of an epoch; fixed for ever."""
        if not self._epoch_seconds:
            self._epoch_seconds = int(self._config()["epoch_seconds"])
        return self._epoch_seconds

    def _config(self) -> dict[str, Any]:
        return self._existing("governance", programs.config_address())

    def _existing(self, program: str, address: Pubkey) -> dict[str, Any]:
        found = self.client.account(program, address)
        if found is None:
            raise NotDeployedError(f"{program} has no account at {address}: run `authority deploy` first")
        return found

    def _now(self) -> int:
        return self.client.clock().unix_timestamp

    def _last_checkpoint(self) -> int | None:
        oracle = self.client.account("oracle", programs.oracle_authority())
        return int(oracle["last_epoch"]) if oracle is not None and oracle["has_checkpoint"] else None

    def head(self) -> Head:
        """The current epoch by the chain's clock, and the last checkpoint."""
        return Head(self._now() // self.epoch_seconds(), self._last_checkpoint())

    def snapshot(self, epochs: Iterable[int]) -> Snapshot:
        """The chain now, with the books of those epochs."""
        now = self._now()  # before the books: one that is missing after its epoch's end will never be
        config = _config_view(self._config(), now)
        return Snapshot(
            now=now,
            config=config,
            meters=tuple(self._meter_views()),
            members=tuple(self._member_views(config.billing_period)),
            books=self._books(sorted(set(epochs))),
            last_checkpoint=self._last_checkpoint(),
        )

    def _meter_views(self) -> Iterator[MeterView]:
        ids = list(self._meters)
        addresses = [programs.meter_address(meter_id) for meter_id in ids]
        state_addresses = [programs.meter_state_address(meter_id) for meter_id in ids]
        states = self.client.accounts_at("oracle", state_addresses)
        registered = self.client.accounts_at("registry", addresses)
        for meter_id, address, state_address, meter, state in zip(
            ids, addresses, state_addresses, registered, states, strict=True
        ):
            if meter is None or state is None or meter["status"] != STATUS_ACTIVE:
                continue  # not yet opened at the oracle, or taking no part
            read = state["interval_end"] != 0
            yield MeterView(
                meter_pk=self._meters[meter_id],
                address=address,
                state_address=state_address,
                wallet=meter["user"],
                settles=meter["role"] != SUBMETER,
                slot=meter["slot"],
                sequence=state["sequence"] if read else None,
                standing=state["interval_end"] if read else None,
                hash=state["hash"],
            )

    def _member_views(self, period: int) -> Iterator[MemberView]:
        wallets = list(self._members)
        users = self.client.accounts_at("registry", [programs.user_address(wallet) for wallet in wallets])
        accounts = self.client.accounts_at("oracle", [programs.energy_account_address(wallet) for wallet in wallets])
        retired = self.client.accounts_at("energy_token", [programs.retirement_address(wallet) for wallet in wallets])
        energy = [programs.associated_token_address(wallet, programs.energy_mint()) for wallet in wallets]
        credit = [programs.associated_token_address(wallet, programs.credit_mint()) for wallet in wallets]
        amounts = self.client.token_balances([*energy, *credit])
        for index, (wallet, user) in enumerate(zip(wallets, users, strict=True)):
            if user is None:
                continue
            account = accounts[index] or _NO_ENERGY_ACCOUNT
            retirement = retired[index]
            yield MemberView(
                name=self._members[wallet],
                wallet=wallet,
                address=programs.user_address(wallet),
                member_index=user["member_index"],
                active=user["status"] == STATUS_ACTIVE,
                settling_meters=user["settling_meters"],
                energy_token_account=user["energy_token_account"],
                credit_token_account=user["credit_token_account"],
                held_wh=amounts[index],
                credit=amounts[len(wallets) + index],
                boundary=account["boundary"] or None,
                minted_wh=account["minted"],
                withdrawn_wh=account["withdrawn"],
                open_withdrawal_wh=account["withdrawals_open"] if account["period"] == period else 0,
                retired_wh=retirement["consumption_open"] if retirement and retirement["period"] == period else 0,
            )

    def _books(self, epochs: Sequence[int]) -> dict[int, BookView]:
        found = {}
        accounts = self.client.raw_accounts([programs.book_address(epoch) for epoch in epochs])
        for epoch, account in zip(epochs, accounts, strict=True):
            if account is not None and account.owner == programs.PROGRAM_IDS["trading"]:
                found[epoch] = book_view(self.client.idl("trading"), epoch, bytes(account.data))
        return found

    def checkpoint_figures(self, epoch: int) -> dict[str, object]:
        """What an epoch's checkpoint pins, as columns of SettlementEpoch."""
        found = self._existing("oracle", programs.checkpoint_address(epoch))
        return {"log_size": found["log_size"], "log_root": found["log_root"], "book_hash": found["book_hash"]}

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
        """Carry readings of different meters to the oracle in one transaction.

        signed is told each signature before it is sent. TransactionTooLargeError where they do not fit.
        """
        frames = [Frame.from_bytes(frame.frame) for _, frame in readings]
        pairs = [
            AccountMeta(address, is_signer=False, is_writable=writable)
            for meter, _ in readings
            for address, writable in ((meter.address, False), (meter.state_address, True))
        ]
        instructions = [
            programs.ed25519_frames(frames),
            self._build("oracle", "submit_readings", remaining=pairs),
        ]
        self._send(instructions, before=lambda signature, _, __: signed(signature))

    def settle_surplus(self, member: MemberView, meters: Sequence[MeterView], boundary: int) -> None:
        """Settle a member's span that ends at the boundary; mints what it comes to."""
        pairs = [
            AccountMeta(address, is_signer=False, is_writable=writable)
            for meter in meters
            for address, writable in ((meter.address, False), (meter.state_address, True))
        ]
        accounts = {
            "user": member.address,
            "wallet": member.wallet,
            "energy_account": programs.energy_account_address(member.wallet),
            "energy_token_account": member.energy_token_account,
        }
        self._send([self._build("oracle", "settle_surplus", {"interval_end": boundary}, accounts, pairs)])

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

    def open_book(self, epoch: int, *, half_made: bool = False) -> None:
        """Make an epoch's book; only its second part where it is half made."""
        accounts = {"book": programs.book_address(epoch)}
        grow = self._build("trading", "grow_book", accounts=accounts)
        opening = [] if half_made else [self._build("trading", "open_epoch", {"epoch": epoch}, accounts)]
        self._send([*opening, grow])

    def place_order(
        self, member: MemberView, signer: Keypair, book: BookView, order: ProposedOrder, signed: Signed
    ) -> None:
        """Place an order for a member, signed with its wallet; signed is told of each transaction before it is sent."""
        bid = order.side == BID
        accounts = {
            "authority": signer.pubkey(),
            "user": member.address,
            "book": programs.book_address(book.epoch),
            "source": member.credit_token_account if bid else member.energy_token_account,
            "vault": programs.credit_vault() if bid else programs.energy_vault(),
        }
        args = {"epoch": book.epoch, "side": order.side, "price": order.price, "quantity": order.quantity}
        instruction = self._build("trading", "place_order", args, accounts, self._evictee(book, order.side))
        self._send([instruction], [signer], before=signed)

    def _evictee(self, book: BookView, side: int) -> list[AccountMeta]:
        """The accounts of the worst order's member, which gives way where the side is full."""
        orders = [order for order in book.orders if order.is_bid == (side == BID)]
        if len(orders) < ORDERS_PER_SIDE:
            return []
        wallet = self._wallets_by_index().get(orders[-1].member)
        if wallet is None:
            return []
        user, energy, credit = _member_accounts(wallet)
        return [
            AccountMeta(user, is_signer=False, is_writable=False),
            AccountMeta(credit if side == BID else energy, is_signer=False, is_writable=True),
        ]

    def trigger_clearing(self, book: BookView) -> None:
        """Have the oracle clear a book whose epoch is over."""
        accounts = {"book": programs.book_address(book.epoch)}
        self._send(
            [self._build("oracle", "trigger_clearing", {"epoch": book.epoch}, accounts)], compute_units=CLEARING_UNITS
        )

    def refund(self, book: BookView) -> None:
        """Let a book that was never cleared be settled without a trade."""
        self._send([self._build("trading", "refund_epoch", accounts={"book": programs.book_address(book.epoch)})])

    def settle_orders(self, book: BookView, numbers: Sequence[int]) -> None:
        """Pay out orders of a cleared book, given in the order of their members; none where the fees alone are left."""
        member_of = {order.number: order.member for order in book.orders}
        wallets = self._wallets_by_index()
        remaining = []
        for member, _ in groupby(numbers, key=member_of.__getitem__):
            user, energy, credit = _member_accounts(wallets[member])
            remaining += [
                AccountMeta(user, is_signer=False, is_writable=False),
                AccountMeta(energy, is_signer=False, is_writable=True),
                AccountMeta(credit, is_signer=False, is_writable=True),
            ]
        accounts = {"book": programs.book_address(book.epoch)}
        self._send(
            [self._build("trading", "settle_orders", {"orders": list(numbers)}, accounts, remaining)],
            compute_units=BASE_UNITS + UNITS_PER_ORDER * len(numbers),
        )

    def unpaid_members(self, book: BookView) -> list[Pubkey]:
        """The wallets of members with unpaid orders in a book."""
        wallets = self._wallets_by_index()
        return [wallets[member] for member in sorted({order.member for order in book.orders if not order.settled})]

    def recreate_token_accounts(self, wallet: Pubkey) -> None:
        """Make a member's token accounts where it has closed them."""
        self._send(
            [
                programs.create_associated_token_account(self.operator.pubkey(), wallet, mint)
                for mint in (programs.energy_mint(), programs.credit_mint())
            ]
        )

    def checkpoint(self, epoch: int, log_size: int, log_root: bytes, book_hash: bytes) -> None:
        """Pin the log and the final book's hash for an epoch."""
        args = {"epoch": epoch, "log_size": log_size, "log_root": log_root, "book_hash": book_hash}
        accounts = {"checkpoint": programs.checkpoint_address(epoch), "book": programs.book_address(epoch)}
        self._send([self._build("oracle", "checkpoint_epoch", args, accounts)])

    def close_book(self, book: BookView) -> None:
        """Remove a final, checkpointed book; its rent returns to whoever paid it."""
        accounts = {
            "book": programs.book_address(book.epoch),
            "checkpoint": programs.checkpoint_address(book.epoch),
            "rent_payer": book.rent_payer,
        }
        self._send([self._build("trading", "close_epoch", accounts=accounts)])

    def _wallets_by_index(self) -> dict[int, Pubkey]:
        wallets = list(self._members)
        users = self.client.accounts_at("registry", [programs.user_address(wallet) for wallet in wallets])
        return {user["member_index"]: wallet for wallet, user in zip(wallets, users, strict=True) if user is not None}

    def _build(
        self,
        program: str,
        name: str,
        args: Mapping[str, object] | None = None,
        accounts: Mapping[str, Pubkey] | None = None,
        remaining: Sequence[AccountMeta] = (),
    ) -> Instruction:
        """An instruction whose accounts are those given and the deployment's own, as far as the IDL names them."""
        known = {**self._deployment(), **(accounts or {})}
        named = {item.name for item in self.client.idl(program).instruction(name).accounts}
        given = {key: address for key, address in known.items() if key in named}
        return self.client.instruction(program, name, args or {}, given, remaining)

    def _deployment(self) -> dict[str, Pubkey]:
        if self._fee_account is None:
            market = self._existing("trading", programs.market_address())
            self._fee_account = Pubkey.from_bytes(bytes(market["fee_account"]))
        operator = self.operator.pubkey()
        return {**common_accounts(), "operator": operator, "payer": operator, "fee_account": self._fee_account}

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


_NO_ENERGY_ACCOUNT: Mapping[str, int] = {
    "boundary": 0,
    "minted": 0,
    "withdrawn": 0,
    "withdrawals_open": 0,
    "period": 0,
}


def common_accounts() -> dict[str, Pubkey]:
    """Addresses that many transactions name, by their names in the IDLs: what every lookup table begins with."""
    return {
        "config": programs.config_address(),
        "registry": programs.registry_address(),
        "oracle": programs.oracle_authority(),
        "market": programs.market_address(),
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


def book_hash(book: BookView | None) -> bytes:
    """What a checkpoint says of a book: SHA-256 of its account's data, zeros where the epoch had none."""
    return NO_BOOK if book is None else hashlib.sha256(book.data).digest()


def _member_accounts(wallet: Pubkey) -> tuple[Pubkey, Pubkey, Pubkey]:
    """A member's User, energy account and credit account, in the order that settle_orders takes them."""
    return (
        programs.user_address(wallet),
        programs.associated_token_address(wallet, programs.energy_mint()),
        programs.associated_token_address(wallet, programs.credit_mint()),
    )


def _config_view(config: Mapping[str, Any], now: int) -> ConfigView:
    epoch = now // config["epoch_seconds"]
    staged = config["staged_from"] != 0 and epoch >= config["staged_from"]
    parameters = config["staged" if staged else "parameters"]
    return ConfigView(
        epoch_seconds=config["epoch_seconds"],
        pause=Pause(config["pause"] & sum(Pause)),
        grace_seconds=parameters["grace_seconds"],
        clock_skew_seconds=parameters["clock_skew_seconds"],
        limits=Limits(
            feed_in_price=parameters["feed_in_price"],
            retail_price=parameters["retail_price"],
            wheeling=parameters["wheeling"],
            min_order_wh=parameters["min_order_wh"],
            max_order_wh=parameters["max_order_wh"],
            max_orders_per_member=parameters["max_orders_per_member"],
        ),
        billing_period=config["billing_period"],
        billing_period_end=config["billing_period_end"],
    )


def book_view(idl: Idl, epoch: int, data: bytes) -> BookView:
    """An EpochBook's data, decoded; a book that lacks its second half is growing and has no orders yet."""
    book = idl.decode_account(data.ljust(BOOK_SIZE, b"\0"))[1]
    orders = []
    for first, side, count in (
        (0, book["bids"], book["bid_count"]),
        (ORDERS_PER_SIDE, book["asks"], book["ask_count"]),
    ):
        for number, order in enumerate(side[:count], first):
            orders.append(
                OrderView(
                    number=number,
                    price=order["price"],
                    quantity=order["quantity"],
                    filled=order["filled"],
                    member=order["member"],
                    settled=bool(book["settled"][number // 64] >> number % 64 & 1),
                )
            )
    return BookView(
        epoch=epoch,
        status=BookStatus(book["status"]),
        closes_at=book["closes_at"],
        refundable_from=book["closes_at"] + REFUND_AFTER_EPOCHS * book["epoch_seconds"],
        price=book["price"],
        volume=book["volume"],
        rent_payer=Pubkey.from_bytes(bytes(book["rent_payer"])),
        orders=tuple(orders),
        data=data,
    )
