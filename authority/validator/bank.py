"""The runtime: LiteSVM for execution, the ledger for memory, and the rules that a validator adds.

LiteSVM takes any transaction at any time; what a cluster would refuse is refused here: more than 1,232 bytes, a wrong
signature, an old blockhash, a signature seen before. It does not advance time either: before anything that programs or
clients could notice, `Bank.advance` brings slot, Clock and SlotHashes up to now.
"""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTable
from solders.clock import Clock
from solders.epoch_schedule import EpochSchedule
from solders.hash import Hash
from solders.litesvm import LiteSVM
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import (
    FailedTransactionMetadata,
    SimulatedTransactionInfo,
    TransactionMetadata,
)

from authority.errors import AuthorityError
from authority.validator import base58, tokens
from authority.validator.genesis import (
    PROGRAM_DATA_HEADER_SIZE,
    Genesis,
    faucet_keypair,
    identity_keypair,
    program_data_address,
)
from authority.validator.ledger import Entry, Landed, Ledger
from authority.validator.slots import MAX_BLOCKHASH_AGE, SLOTS_PER_EPOCH, SlotClock, SlotHashes

MAX_TRANSACTION_SIZE = 1_232
SLOT_HASHES_COUNT = 512
_KEPT_TABLES = 256
_LOOKUP_TABLE_PROGRAM = Pubkey.from_string("AddressLookupTab1e1111111111111111111111111")

_NOTHING_PAID = ("AccountNotFound", "InsufficientFundsForFee", "InvalidAccountForFee")
"""Errors of a transaction whose payer cannot pay for it: it is not run, and has no fee."""

_log = logging.getLogger(__name__)


class BankError(AuthorityError):
    """Why the bank does not take a transaction; methods answers it in JSON-RPC."""


class TransactionRefusedError(BankError):
    """A transaction that cannot land; `error` is Solana's TransactionError as JSON, `outcome` what was run of it."""

    code = "transaction_refused"

    def __init__(self, error: Any, outcome: Outcome | None = None) -> None:
        super().__init__(json.dumps(error))
        self.error = error
        self.outcome = outcome


class UnsoundTransactionError(BankError):
    """Bytes that are not a transaction that this validator takes; the message says why."""

    code = "transaction_unsound"


class SignatureRefusedError(BankError):
    """A signature of the transaction does not verify."""

    code = "signature_refused"


class UnhealthyError(BankError):
    """The ledger cannot be written: nothing lands until it can."""

    code = "ledger_failing"


@dataclass(frozen=True)
class LoadedAddresses:
    """What a v0 transaction takes out of lookup tables."""

    writable: tuple[Pubkey, ...] = ()
    readonly: tuple[Pubkey, ...] = ()


@dataclass(frozen=True, slots=True)
class _Table:
    data: bytes
    addresses: Sequence[Pubkey]
    last_extended_slot: int
    last_extended_start: int


@dataclass(frozen=True)
class Outcome:
    """What running a transaction gave. `error` is JSON, None where it succeeded; balances are by account index.

    `fee` is None where the transaction was refused before it was paid for, the balances where it was not looked at;
    `accounts` are those of a simulation, as it would leave them.
    """

    error: Any
    logs: list[str]
    units: int
    fee: int | None
    return_data: tuple[Pubkey, bytes] | None
    inner_instructions: list[Any]
    loaded: LoadedAddresses
    accounts: dict[Pubkey, Account | None] = field(default_factory=dict)
    pre_balances: list[int] | None = None
    post_balances: list[int] | None = None
    pre_token_balances: list[Any] | None = None
    post_token_balances: list[Any] | None = None

    def meta(self) -> dict[str, Any]:
        """The `meta` object of getTransaction."""
        meta: dict[str, Any] = {
            "err": self.error,
            "status": {"Ok": None} if self.error is None else {"Err": self.error},
            "fee": self.fee,
            "preBalances": self.pre_balances,
            "postBalances": self.post_balances,
            "innerInstructions": self.inner_instructions,
            "logMessages": self.logs,
            "preTokenBalances": self.pre_token_balances,
            "postTokenBalances": self.post_token_balances,
            "rewards": [],
            "loadedAddresses": {
                "writable": [str(address) for address in self.loaded.writable],
                "readonly": [str(address) for address in self.loaded.readonly],
            },
            "computeUnitsConsumed": self.units,
        }
        if self.return_data is not None:
            meta["returnData"] = tokens.return_data(*self.return_data)
        return meta


@dataclass(frozen=True, slots=True)
class Landing:
    """A transaction that has landed durably, for those who follow the chain.

    `keys` are all accounts that it names, `changes` those that it changed, as it left them (None: gone).
    """

    slot: int
    signature: bytes
    error: Any
    logs: Sequence[str]
    keys: Sequence[Pubkey]
    changes: Sequence[tuple[Pubkey, Account | None]]


def parse_transaction(raw: bytes) -> VersionedTransaction:
    """A transaction from its wire format, legacy or v0; UnsoundTransactionError says what is wrong with it."""
    if len(raw) > MAX_TRANSACTION_SIZE:
        raise UnsoundTransactionError(
            f"decoded solana_transaction::versioned::VersionedTransaction too large: {len(raw)} bytes "
            f"(max: encoded/raw 1644/{MAX_TRANSACTION_SIZE})"
        )
    try:
        transaction = VersionedTransaction.from_bytes(raw)
    except Exception as error:
        # solders raises a BincodeError, which is not a public class
        raise UnsoundTransactionError(
            f"failed to deserialize solana_transaction::versioned::VersionedTransaction: {error}"
        ) from error
    if not isinstance(transaction.message, Message | MessageV0):
        raise UnsoundTransactionError("invalid transaction: this validator takes legacy and v0 transactions")
    if bytes(transaction) != raw:
        raise UnsoundTransactionError("invalid transaction: bytes follow it, or its lengths are not canonical")
    try:
        transaction.sanitize()
    except Exception as error:
        raise UnsoundTransactionError(
            "invalid transaction: Transaction failed to sanitize accounts offsets correctly"
        ) from error
    return transaction


def writable(transaction: VersionedTransaction, loaded: LoadedAddresses) -> list[bool]:
    """Of each account that a transaction names or loads, whether it may change it: by the message's header."""
    message = transaction.message
    header = message.header
    signed, count = header.num_required_signatures, len(message.account_keys)
    written, unsigned = signed - header.num_readonly_signed_accounts, count - header.num_readonly_unsigned_accounts
    return [
        *(index < written or signed <= index < unsigned for index in range(count)),
        *(True for _ in loaded.writable),
        *(False for _ in loaded.readonly),
    ]


class Bank:
    """One ledger, running. Every public method takes the lock; calls that belong together can take it around them."""

    def __init__(
        self,
        ledger: Ledger,
        genesis: Genesis,
        *,
        wall: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        random: Callable[[int], bytes] = secrets.token_bytes,
        verify_signatures: bool = True,
    ) -> None:
        """Open the ledger's state; a ledger without one starts from the genesis, which is not looked at otherwise.

        verify_signatures may be left out where nobody sends transactions but the process itself, which has just signed
        them: those of transactions only, the programs and precompiles check what they check.

        LedgerError where the state is not one that this validator wrote, or a new one cannot be written.
        """
        self.lock = threading.RLock()
        self._ledger = ledger
        self._verify_signatures = verify_signatures
        if ledger.property("seed") is None:
            self._begin(genesis, wall, random)
        seed, began = ledger.property("seed") or b"", ledger.property("genesis_milliseconds") or b""
        if len(seed) != 32 or len(began) != 8:
            raise ledger.unreadable("it has no seed or no time of its genesis")
        self.genesis_milliseconds = int.from_bytes(began, "little")
        self.hashes = SlotHashes(seed)
        self.faucet = faucet_keypair(seed)
        self.identity = identity_keypair(seed).pubkey()
        last_slot, last_time = ledger.last_block()
        self._clock = SlotClock(
            genesis_milliseconds=self.genesis_milliseconds,
            last_slot=last_slot,
            last_time=last_time,
            wall=wall,
            monotonic=monotonic,
        )
        self._slot = 0
        self._clock_at = (0, 0)
        self._recent: dict[Hash, int] = {}
        self._healthy = True
        self._group: list[UnhealthyError] | None = None
        self._follower: Callable[[Landing], None] | None = None
        self._untold: list[Landing] = []
        self._tables: dict[Pubkey, _Table] = {}
        self._svm = self._load()
        self._describe(genesis)
        self.advance()

    def _begin(self, genesis: Genesis, wall: Callable[[], float], random: Callable[[int], bytes]) -> None:
        seed = random(32)
        rent = LiteSVM().minimum_balance_for_rent_exemption
        self._ledger.begin(
            {"seed": seed, "genesis_milliseconds": round(wall() * 1000).to_bytes(8, "little")},
            genesis.accounts(faucet_keypair(seed).pubkey(), rent),
        )

    def _describe(self, genesis: Genesis) -> None:
        """Renew what describes the programs to clients, where the chain has those very programs."""
        elves = {program.address: program.elf for program in genesis.programs}
        renewed = []
        for item in genesis.descriptions:
            code = self._svm.get_account(program_data_address(item.program))
            if code is None or bytes(code.data)[PROGRAM_DATA_HEADER_SIZE:] != elves.get(item.program):
                continue
            held = self._svm.get_account(item.address)
            if held is None or bytes(held.data) != item.data:
                lamports = self._svm.minimum_balance_for_rent_exemption(len(item.data))
                renewed.append((item.address, Account(lamports, item.data, item.owner)))
        if renewed:
            self._ledger.renew(renewed)
            for address, account in renewed:
                self._svm.set_account(address, account)

    def _load(self) -> LiteSVM:
        """A runtime with the ledger's accounts. Programs come after their ProgramData, which they are checked with."""
        svm = LiteSVM().with_blockhash_check(check=False).with_sigverify(sigverify=False).with_transaction_history(0)
        svm.set_epoch_schedule(EpochSchedule.without_warmup())
        # Wrapped SOL has a mint on every cluster, which no transaction makes. A ledger holds it once it has changed.
        mint = tokens.NATIVE_MINT_DATA
        rent = svm.minimum_balance_for_rent_exemption(len(mint))
        svm.set_account(tokens.NATIVE_MINT, Account(rent, mint, tokens.TOKEN_PROGRAM))
        programs = []
        for address, account in self._ledger.accounts():
            if account.executable:
                programs.append((address, account))
            else:
                svm.set_account(address, account)
        for address, account in programs:
            try:
                svm.set_account(address, account)
            except Exception as error:
                # solders has no public class for it: the ELF, or what points to it, is not what was deployed
                raise self._ledger.unreadable(f"program {address}: {error}") from error
        return svm

    # Time

    def advance(self, at_least: int = 0) -> int:
        """Bring the runtime's slot, Clock and SlotHashes up to now; the current slot.

        Where the second turns, or the machine's clock is set, in a slot that holds a transaction, the slot ends.
        """
        with self.lock:
            slot = max(self._clock.slot(), self._slot, at_least)
            unix_time = self._clock.unix_time()
            if (slot, unix_time) == self._clock_at:
                return slot
            while self._ledger.block_time(slot) not in (None, unix_time):
                slot += 1  # every transaction of a block sees the block's time, so the next slot begins early
            if slot != self._slot:
                oldest = max(0, slot - MAX_BLOCKHASH_AGE)
                known = set(self._recent.values())
                self._recent = {hash_: number for hash_, number in self._recent.items() if number >= oldest}
                for number in range(oldest, slot):
                    if number not in known:
                        self._recent[self.hashes.blockhash(number)] = number
                self._svm.set_slot_hashes(self.hashes.before(slot, SLOT_HASHES_COUNT))
                self._slot = slot
            epoch = slot // SLOTS_PER_EPOCH
            epoch_start = self.genesis_milliseconds // 1000 if epoch == 0 else self.block_time(epoch * SLOTS_PER_EPOCH)
            self._svm.set_clock(Clock(slot, epoch_start, epoch, epoch + 1, unix_time))
            self._clock_at = (slot, unix_time)
            return slot

    def seconds_to_next_slot(self) -> float:
        """How long the current slot has still to go."""
        return self._clock.seconds_to_next()

    def whole_slot(self, wanted: int) -> bool:
        """Whether a slot's block is whole. Asking for the current slot ends it early where a transaction is in it.

        What has landed is final, so its block can be had at once, and must not change after that.
        """
        with self.lock:
            if wanted == self.advance() and self._ledger.block_time(wanted) is not None:
                self.advance(wanted + 1)
            return wanted < self._slot

    def block_time(self, slot: int) -> int:
        """Unix time of a slot: as recorded where it holds a transaction, else from its number."""
        with self.lock:
            recorded = self._ledger.block_time(slot)
        return (self.genesis_milliseconds + slot * 400) // 1000 if recorded is None else recorded

    def latest_blockhash(self) -> tuple[Hash, int]:
        """The newest blockhash, and the last slot in which a transaction with it can land."""
        slot = self.advance() - 1
        return self.hashes.blockhash(slot), slot + MAX_BLOCKHASH_AGE

    def blockhash_valid(self, blockhash: Hash) -> bool:
        """Whether a transaction with this blockhash could land now."""
        with self.lock:
            self.advance()
            return blockhash in self._recent

    # State

    def account(self, address: Pubkey) -> Account | None:
        """An account as it stands."""
        return self.accounts([address])[0]

    def accounts(self, addresses: Sequence[Pubkey]) -> list[Account | None]:
        """Accounts as they stand in one slot."""
        with self.lock:
            self.advance()
            return [self._svm.get_account(address) for address in addresses]

    def landed(self, signature: Signature) -> Landed | None:
        """A transaction that has landed, failed or not."""
        with self.lock:
            return self._ledger.landed(bytes(signature))

    def program_accounts(self, program: Pubkey) -> list[tuple[Pubkey, Account]]:
        """All accounts that a program owns."""
        with self.lock:
            self.advance()
            return self._svm.get_program_accounts(program)

    def minimum_balance(self, size: int) -> int:
        """The lamports that make an account of so many bytes rent exempt."""
        with self.lock:
            return self._svm.minimum_balance_for_rent_exemption(size)

    def check_health(self) -> None:
        """UnhealthyError where the last write of the ledger failed, and it still cannot be written."""
        with self.lock:
            if self._healthy:
                return
            try:
                self._ledger.touch()
            except sqlite3.Error as error:
                raise UnhealthyError(f"the ledger could not be written, look at the disk: {error}") from error
            self._healthy = True

    # Transactions

    def loaded_addresses(self, transaction: VersionedTransaction) -> LoadedAddresses:
        """What the transaction takes out of lookup tables; TransactionRefusedError where it cannot."""
        message = transaction.message
        if not isinstance(message, MessageV0):
            return LoadedAddresses()
        writable: list[Pubkey] = []
        readonly: list[Pubkey] = []
        for lookup in message.address_table_lookups:
            account = self._svm.get_account(lookup.account_key)
            if account is None:
                raise TransactionRefusedError("AddressLookupTableNotFound")
            if account.owner != _LOOKUP_TABLE_PROGRAM:
                raise TransactionRefusedError("InvalidAddressLookupTableOwner")
            table = self._table(lookup.account_key, bytes(account.data))
            # What was added in this very slot cannot be used before the next.
            active = len(table.addresses)
            if table.last_extended_slot >= self._slot:
                active = table.last_extended_start
            for indexes, found in ((lookup.writable_indexes, writable), (lookup.readonly_indexes, readonly)):
                for index in indexes:
                    if index >= active:
                        raise TransactionRefusedError("InvalidAddressLookupTableIndex")
                    found.append(table.addresses[index])
        return LoadedAddresses(tuple(writable), tuple(readonly))

    def _table(self, address: Pubkey, data: bytes) -> _Table:
        """A lookup table, taken apart once for as long as its data is the same."""
        known = self._tables.get(address)
        if known is None or known.data != data:
            try:
                table = AddressLookupTable.deserialize(data)
            except Exception as error:
                raise TransactionRefusedError("InvalidAddressLookupTableData") from error
            meta = table.meta
            known = _Table(data, table.addresses, meta.last_extended_slot, meta.last_extended_slot_start_index)
            if len(self._tables) >= _KEPT_TABLES:
                self._tables.clear()
            self._tables[address] = known
        return known

    def simulate(
        self, transaction: VersionedTransaction, *, verify_signatures: bool, check_blockhash: bool = True
    ) -> Outcome:
        """Run a transaction without its landing; whatever fails is in the outcome."""
        with self.lock:
            self.advance()
            if verify_signatures and not _signatures_verify(transaction):
                return Outcome("SignatureFailure", [], 0, None, None, [], LoadedAddresses())
            try:
                loaded = self.loaded_addresses(transaction)
            except TransactionRefusedError as refusal:
                return Outcome(refusal.error, [], 0, None, None, [], LoadedAddresses())
            keys = [*transaction.message.account_keys, *loaded.writable, *loaded.readonly]
            before = [self._svm.get_account(key) for key in keys]
            named = dict(zip(keys, before, strict=True))
            try:
                if check_blockhash:
                    self._check_age(transaction)
            except TransactionRefusedError as refusal:
                untouched = _balances(before)
                held = tokens.balances(keys, before, self._svm.get_account)
                return Outcome(refusal.error, [], 0, None, None, [], loaded, named, untouched, untouched, held, held)
            result = self._svm.simulate_transaction(transaction)
            if isinstance(result, SimulatedTransactionInfo):
                named.update((key, account if account.lamports else None) for key, account in result.post_accounts())
            after = [named[key] for key in keys]
            return replace(self._outcome(transaction, result, keys, loaded, before, after), accounts=named)

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Make one durable commit of all transactions that are processed in this block, which holds the lock.

        What they did may be told only after the block. UnhealthyError at its end where the ledger could not be written:
        the state is then as if none of them had ever been sent.
        """
        with self.lock:
            if self._group is not None:
                yield  # within another
                return
            self._group = []
            self._ledger.group()
            try:
                yield
            finally:
                failed, self._group = self._group, None
                untold, self._untold = self._untold, []
                try:
                    self._ledger.commit()
                except sqlite3.Error as error:
                    failed.append(self._lost(error))
                if self._follower is not None and not failed:
                    for landing in untold:
                        self._follower(landing)
            if failed:
                raise failed[0]

    def follow(self, follower: Callable[[Landing], None] | None) -> None:
        """Tell `follower` of each transaction that lands from now on, once that is durable.

        It is called under the lock, so it must only note what it is told; one follower at a time, None for nobody.
        """
        with self.lock:
            self._follower = follower

    def _lost(self, error: sqlite3.Error) -> UnhealthyError:
        """Go back to the ledger's last commit, which is all that is left after a write that failed."""
        fields = {"reason": str(error)}
        _log.error("the ledger could not be written; going back to its last commit", extra={"fields": fields})
        self._healthy = False
        self._svm = self._load()
        self._slot, self._clock_at = 0, (0, 0)
        self.advance()
        return UnhealthyError(f"the ledger could not be written: {error}")

    def process(self, transaction: VersionedTransaction, *, preflight: bool = False) -> Outcome:
        """Run a transaction so that it lands; durable when this returns, or with its group, failed or not.

        With preflight one that fails does not land. Raises SignatureRefusedError, TransactionRefusedError where it
        cannot land at all or fails its preflight (nothing is charged then), and UnhealthyError where the ledger could
        not be written; the state is then as if it had never been sent, nor any other of its group.
        """
        with self.lock:
            if self._group:
                raise self._group[0]  # the group is lost already
            slot = self.advance()
            if self._verify_signatures and not _signatures_verify(transaction):
                raise SignatureRefusedError("Transaction signature verification failure")
            self._check_age(transaction)
            loaded = self.loaded_addresses(transaction)
            message = transaction.message
            keys = [*message.account_keys, *loaded.writable, *loaded.readonly]
            before = [self._svm.get_account(key) for key in keys]
            result = self._svm.send_transaction(transaction)
            after = [
                self._svm.get_account(key) if may_change else held
                for key, held, may_change in zip(keys, before, writable(transaction, loaded), strict=True)
            ]
            outcome = self._outcome(transaction, result, keys, loaded, before, after)
            changes = [
                (key, is_now, held)
                for key, held, is_now in zip(keys, before, after, strict=True)
                if is_now is not held and is_now != held
            ]
            if outcome.error is not None and (preflight or before[0] == after[0]):
                for key, _, held in changes:
                    if held is not None:
                        self._svm.set_account(key, held)  # the fee
                raise TransactionRefusedError(outcome.error, outcome)
            entry = Entry(
                slot=slot,
                time=self._clock_at[1],
                blockhash=bytes(self.hashes.blockhash(slot)),
                signature=bytes(transaction.signatures[0]),
                content=bytes(transaction),
                error=outcome.error,
                meta=outcome.meta(),
                mentions=keys,
                changes=[(key, is_now) for key, is_now, _ in changes],
            )
            try:
                self._ledger.record(entry)
            except sqlite3.Error as error:
                lost = self._lost(error)
                if self._group is not None:
                    self._group.append(lost)
                raise lost from error
            self._healthy = True
            if self._follower is not None:
                landing = Landing(slot, entry.signature, outcome.error, outcome.logs, keys, entry.changes)
                if self._group is None:
                    self._follower(landing)
                else:
                    self._untold.append(landing)
            return outcome

    def _check_age(self, transaction: VersionedTransaction) -> None:
        if transaction.message.recent_blockhash not in self._recent:
            raise TransactionRefusedError("BlockhashNotFound")
        if self._ledger.has(bytes(transaction.signatures[0])):
            raise TransactionRefusedError("AlreadyProcessed")

    def _outcome(
        self,
        transaction: VersionedTransaction,
        result: TransactionMetadata | FailedTransactionMetadata | SimulatedTransactionInfo,
        keys: Sequence[Pubkey],
        loaded: LoadedAddresses,
        before: Sequence[Account | None],
        after: Sequence[Account | None],
    ) -> Outcome:
        """before and after are the accounts of the keys."""
        error = None
        if isinstance(result, FailedTransactionMetadata):
            error = json.loads(result.to_json())["err"]
            programs = [before[instruction.program_id_index] for instruction in transaction.message.instructions]
            if error == "InvalidProgramForExecution" and None in programs:
                error = "ProgramAccountNotFound"
        meta = result if isinstance(result, TransactionMetadata) else result.meta()
        returned = meta.return_data()
        return Outcome(
            error=error,
            logs=meta.logs(),
            units=meta.compute_units_consumed(),
            fee=None if error in _NOTHING_PAID else meta.fee(),
            return_data=(returned.program_id, bytes(returned.data)) if returned.data else None,
            inner_instructions=[
                {
                    "index": index,
                    "instructions": [
                        {
                            "programIdIndex": instruction.program_id_index,
                            "accounts": list(instruction.accounts),
                            "data": base58.encode(bytes(instruction.data)),
                            "stackHeight": item.stack_height(),
                        }
                        for item in items
                        for instruction in (item.instruction(),)
                    ],
                }
                for index, items in enumerate(meta.inner_instructions())
                if items
            ],
            loaded=loaded,
            pre_balances=_balances(before),
            post_balances=_balances(after),
            pre_token_balances=tokens.balances(keys, before, self._svm.get_account),
            post_token_balances=tokens.balances(keys, after, self._svm.get_account),
        )

    def fee(self, transaction: VersionedTransaction) -> int:
        """The fee in lamports that a transaction with this message pays."""
        with self.lock:
            self.advance()
            result = self._svm.simulate_transaction(transaction)
            return result.meta().fee()

    @property
    def ledger(self) -> Ledger:
        """The ledger, for reading under the lock."""
        return self._ledger


def _balances(accounts: Sequence[Account | None]) -> list[int]:
    return [0 if account is None else account.lamports for account in accounts]


def _signatures_verify(transaction: VersionedTransaction) -> bool:
    return all(transaction.verify_with_results())
