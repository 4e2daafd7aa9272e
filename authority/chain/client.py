"""The chain client: one way, JSON-RPC, to the embedded validator and to Agave alike.

One long file: whether a transaction was built, sent, seen or lost is one question, and its answers share their state.

`ChainClient` builds instructions from the programs' IDLs, sends and confirms transactions, and reads accounts as the
IDLs describe them. A transaction is signed again only when the one before it can no longer land, so nothing is ever
done twice; where that cannot be known, the caller is told (TransactionUncertainError).
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTable, AddressLookupTableAccount
from solders.clock import Clock
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import (
    CreateLookupTableParams,
    ExtendLookupTableParams,
    create_lookup_table,
    extend_lookup_table,
)
from solders.transaction import VersionedTransaction

from authority.chain.errors import (
    AccountMismatchError,
    ChainError,
    InstructionFailedError,
    PayerShortError,
    ProgramError,
    RpcError,
    SignerMissingError,
    TransactionExpiredError,
    TransactionFailedError,
    TransactionTooLargeError,
    TransactionUncertainError,
    TransportError,
    last_words,
)
from authority.chain.idl import AccountMap, Event, Idl
from authority.chain.layout import ProgramAccount
from authority.chain.programs import (
    CLOCK_SYSVAR,
    LOOKUP_TABLE_PROGRAM,
    PROGRAM_IDS,
    SYSTEM_PROGRAM,
    TOKEN_PROGRAM,
)
from authority.chain.transport import Transport

_A = TypeVar("_A", bound=ProgramAccount)

MAX_TRANSACTION_SIZE = 1_232
MAX_ACCOUNTS_PER_CALL = 100
MAX_STATUSES_PER_CALL = 256
TRANSACTIONS_PER_CALL = 64
"""Transactions that are asked for in one batch: some 400 KB of answers."""
EXTENSION_SIZE = 20
"""Addresses that one transaction adds to a lookup table: 20 x 32 bytes and two signatures fit."""

_PREFLIGHT_FAILURE = -32002
_MAX_SIGNINGS = 4
_FIRST_POLL = 0.05
_LAST_POLL = 1.0
_RESEND_AFTER = 2.0
_REMEMBERED_SIGNATURES = 4_096
_NEW_BLOCKHASH_SECONDS = 30
_TOKEN_ACCOUNT_SIZE = 165
_MINT_SIZE = 82
_TOKEN_ACCOUNT = struct.Struct("<32s32sQI32sB12xQ")
"""mint, owner, amount, delegate after a u32 that is 1 where there is one, state (0 uninitialized, 1 initialized,
2 frozen), (whether it is native,) delegated amount."""
_FROZEN = 2

_NO_FUNDS = frozenset({"AccountNotFound", "InsufficientFundsForFee", "InsufficientFundsForRent"})
"""Solana's TransactionErrors of a payer that has too little."""
_SHORT_LAMPORTS = 100_000_000
"""A payer that has more than this is not what was short: no account here takes more rent."""

# Errors of Solana's own programs that a person meets; the others show their number.
_NATIVE_ERRORS = {
    (SYSTEM_PROGRAM, 0): ("AccountAlreadyInUse", "the account exists already"),
    (SYSTEM_PROGRAM, 1): ("ResultWithNegativeLamports", "the account has not enough lamports"),
    (TOKEN_PROGRAM, 0): ("NotRentExempt", "the account has not enough lamports to stay"),
    (TOKEN_PROGRAM, 1): ("InsufficientFunds", "the token account holds less than that"),
    (TOKEN_PROGRAM, 3): ("MintMismatch", "the token account is of another mint"),
    (TOKEN_PROGRAM, 4): ("OwnerMismatch", "the token account belongs to another"),
    (TOKEN_PROGRAM, 6): ("AlreadyInUse", "the token account or mint is initialized already"),
    (TOKEN_PROGRAM, 17): ("AccountFrozen", "the token account is frozen"),
}


@dataclass(frozen=True)
class Simulation:
    """What a transaction would do: `error` is Solana's TransactionError as JSON, None where it would succeed."""

    error: Any
    logs: list[str]
    units: int


@dataclass(frozen=True)
class TransactionRecord:
    """A transaction that landed: slot, Unix seconds, error (JSON or None), logs, compute units, fee in lamports."""

    signature: Signature
    slot: int
    time: int | None
    error: Any
    logs: list[str]
    units: int
    fee: int
    transaction: VersionedTransaction


@dataclass(frozen=True, slots=True)
class TokenAccount:
    """An account of SPL Token: whose it is, what it holds and what its delegate may move of that, in base units."""

    mint: Pubkey
    owner: Pubkey
    amount: int
    frozen: bool
    delegate: Pubkey | None = None
    delegated: int = 0

    @classmethod
    def of(cls, account: Account | None) -> TokenAccount | None:
        """An account as a token account; None where it is no initialized one."""
        if account is None or account.owner != TOKEN_PROGRAM or len(account.data) != _TOKEN_ACCOUNT_SIZE:
            return None
        mint, owner, amount, has_delegate, delegate, state, delegated = _TOKEN_ACCOUNT.unpack_from(bytes(account.data))
        if not state:
            return None
        return cls(
            Pubkey.from_bytes(mint),
            Pubkey.from_bytes(owner),
            amount,
            state == _FROZEN,
            Pubkey.from_bytes(delegate) if has_delegate else None,
            delegated if has_delegate else 0,
        )


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A transaction to be signed and sent; `preflight` has the validator try it first, so that a failure costs no fee.

    `compute_units` and `compute_unit_price` (micro-lamports a unit) put a compute budget in front.
    """

    instructions: Sequence[Instruction]
    signers: Sequence[Keypair] = ()
    lookup_tables: Sequence[AddressLookupTableAccount] = ()
    compute_units: int | None = None
    compute_unit_price: int = 0
    preflight: bool = True


@dataclass(frozen=True, slots=True)
class Signed:
    """A signed transaction: its bytes (base64), and the last block height at which it can land.

    `index` is its place among those that were given to `send_all`.
    """

    index: int
    raw: str
    signature: Signature
    last_valid_block_height: int
    preflight: bool


class ChainClient:
    """Speaks to one validator; safe for several threads.

    `commitment` is the level that reads and confirmations ask for; `confirmed` survives the loss of a minority of a
    cluster's nodes and is final on a validator without others. `idls` replaces the released ones, by program name,
    `transport` the way to the validator.
    """

    def __init__(
        self,
        url: str,
        *,
        commitment: str = "confirmed",
        timeout: float = 30,
        attempts: int = 8,
        idls: Mapping[str, Idl] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        transport: Transport | None = None,
    ) -> None:
        self._transport = transport or Transport(url, timeout=timeout, attempts=attempts, sleep=sleep)
        self._commitment = commitment
        self._idls = dict(idls or {})
        self._sleep = sleep
        self._monotonic = monotonic
        self._signed: dict[Signature, None] = {}
        self._signed_lock = threading.Lock()

    @property
    def url(self) -> str:
        """The validator's address."""
        return self._transport.url

    def call(self, method: str, *params: Any, retry: bool = True) -> Any:
        """Any RPC call, as it stands. RpcError, TransportError."""
        return self._transport.call(method, params, retry=retry)

    @contextlib.contextmanager
    def _reading(self, method: str) -> Iterator[None]:
        """Around what takes an answer apart: TransportError where it is not what the call is answered with."""
        try:
            yield
        except ChainError:
            raise
        except Exception as error:
            # KeyError, TypeError, ValueError, and what solders raises that is not a public class
            raise TransportError(
                f"the validator at {self.url} gives an answer to {method} that does not belong to it "
                f"({type(error).__name__}: {error}): is this a Solana RPC?"
            ) from error

    def close(self) -> None:
        """Close this thread's connection."""
        self._transport.close()

    def _config(self, **more: Any) -> dict[str, Any]:
        return {"commitment": self._commitment, **more}

    # Programs

    def idl(self, program: str) -> Idl:
        """A program's IDL by name. IdlFormatError, ArtifactError."""
        if program not in self._idls:
            self._idls[program] = Idl.released(program)
        return self._idls[program]

    def instruction(
        self,
        program: str,
        name: str,
        args: Mapping[str, object] | None = None,
        accounts: AccountMap | None = None,
        remaining: Sequence[AccountMeta] = (),
    ) -> Instruction:
        """An instruction of a program by name, as its IDL has it; accounts with a fixed address need not be given."""
        return self.idl(program).instruction(name).build(args, accounts, remaining)

    def _program_name(self, program_id: str) -> str:
        known = {str(address): name for name, address in PROGRAM_IDS.items()}
        known.update({str(idl.program_id): name for name, idl in self._idls.items()})
        return known.get(program_id, program_id)

    # Time and the node

    def health(self) -> None:
        """Ask once whether the validator is well; TransportError or RpcError where it is not."""
        self.call("getHealth", retry=False)

    def genesis_hash(self) -> Hash:
        """What names this chain."""
        with self._reading("getGenesisHash"):
            return Hash.from_string(self.call("getGenesisHash"))

    def slot(self, commitment: str | None = None) -> int:
        """The newest slot at a commitment level."""
        with self._reading("getSlot"):
            return int(self.call("getSlot", {"commitment": commitment or self._commitment}))

    def clock(self) -> Clock:
        """The Clock sysvar: slot, and the Unix time that programs see."""
        account = self.raw_account(CLOCK_SYSVAR)
        if account is None:
            raise TransportError(f"the validator at {self.url} has no Clock sysvar: is this a Solana RPC?")
        return Clock.from_bytes(bytes(account.data))

    # Accounts

    def raw_account(self, address: Pubkey) -> Account | None:
        """An account's lamports, owner and data; None where there is none."""
        answer = self.call("getAccountInfo", str(address), self._config(encoding="base64"))
        with self._reading("getAccountInfo"):
            return _account(answer["value"])

    def raw_accounts(self, addresses: Sequence[Pubkey], size: int | None = None) -> list[Account | None]:
        """Several accounts, in the order asked for; of their data only the first `size` bytes, where that is given."""
        config = self._config(encoding="base64")
        if size is not None:
            config["dataSlice"] = {"offset": 0, "length": size}
        calls = [
            ([str(address) for address in addresses[start : start + MAX_ACCOUNTS_PER_CALL]], config)
            for start in range(0, len(addresses), MAX_ACCOUNTS_PER_CALL)
        ]
        found: list[Account | None] = []
        for (some, _), answer in zip(calls, self._transport.call_all("getMultipleAccounts", calls), strict=True):
            if isinstance(answer, RpcError):
                raise answer
            with self._reading("getMultipleAccounts"):
                found += [_account(value) for _, value in zip(some, answer["value"], strict=True)]
        return found

    def account(self, kind: type[_A], address: Pubkey) -> _A | None:
        """A program's account, typed; None where there is none.

        AccountMismatchError where it belongs to another program; LayoutError where it is of another type or damaged.
        """
        return self._typed(kind, address, self.raw_account(address))

    def accounts_at(self, kind: type[_A], addresses: Sequence[Pubkey]) -> list[_A | None]:
        """Several accounts of one type, in the order asked for; errors as `account`."""
        return [
            self._typed(kind, address, account)
            for address, account in zip(addresses, self.raw_accounts(addresses), strict=True)
        ]

    def _typed(self, kind: type[_A], address: Pubkey, account: Account | None) -> _A | None:
        data = self.account_data(kind, address, account)
        return None if data is None else kind.from_account(data)

    @staticmethod
    def account_data(kind: type[ProgramAccount], address: Pubkey, account: Account | None) -> bytes | None:
        """The data of an account that must be its program's; None where there is none. AccountMismatchError."""
        if account is None or (account.owner == SYSTEM_PROGRAM and not account.data):
            return None  # nothing, or lamports that somebody sent to an address not yet in use
        if account.owner != PROGRAM_IDS[kind.PROGRAM]:
            raise AccountMismatchError(f"{address} belongs to {account.owner}, not to {kind.PROGRAM}")
        return bytes(account.data)

    def raw_accounts_of(
        self, kind: type[ProgramAccount], filters: Sequence[Mapping[str, Any]] = ()
    ) -> list[tuple[Pubkey, bytes]]:
        """All accounts of one type: addresses and data; `filters` are up to 3 of getProgramAccounts' own."""
        wanted = base64.b64encode(kind.DISCRIMINATOR).decode()
        by_kind = {"memcmp": {"offset": 0, "bytes": wanted, "encoding": "base64"}}
        config = self._config(encoding="base64", filters=[by_kind, *filters])
        with self._reading("getProgramAccounts"):
            items = _listed(self.call("getProgramAccounts", str(PROGRAM_IDS[kind.PROGRAM]), config))
        found = []
        for item in items:
            with self._reading("getProgramAccounts"):
                address, account = Pubkey.from_string(item["pubkey"]), _account(item["account"])
            if account is not None:
                found.append((address, bytes(account.data)))
        return found

    def accounts(self, kind: type[_A], filters: Sequence[Mapping[str, Any]] = ()) -> list[tuple[Pubkey, _A]]:
        """All accounts of one type, typed, with their addresses; `filters` as `raw_accounts_of`."""
        return [(address, kind.from_account(data)) for address, data in self.raw_accounts_of(kind, filters)]

    def balance(self, address: Pubkey) -> int:
        """An account's lamports; 0 where there is none."""
        with self._reading("getBalance"):
            return int(self.call("getBalance", str(address), self._config())["value"])

    def rent(self, size: int) -> int:
        """Lamports that an account of so many bytes must hold to stay."""
        with self._reading("getMinimumBalanceForRentExemption"):
            return int(self.call("getMinimumBalanceForRentExemption", size, self._config()))

    def token_balance(self, address: Pubkey) -> int | None:
        """What a token account holds, in base units (Wh, micro-credits); None where there is none.

        AccountMismatchError where the account is not a token account.
        """
        return self.token_balances([address])[0]

    def token_balances(self, addresses: Sequence[Pubkey]) -> list[int | None]:
        """What several token accounts hold, as `token_balance`."""
        return [
            None if account is None else _token_field(address, account, _TOKEN_ACCOUNT_SIZE, 64)
            for address, account in zip(addresses, self.raw_accounts(addresses), strict=True)
        ]

    def token_accounts(self, addresses: Sequence[Pubkey]) -> list[TokenAccount | None]:
        """Several addresses as token accounts; None where there is no initialized one."""
        return [TokenAccount.of(account) for account in self.raw_accounts(addresses)]

    def token_supply(self, mint: Pubkey) -> int | None:
        """How much of a token there is, in base units; None where there is no such mint."""
        account = self.raw_account(mint)
        return None if account is None else _token_field(mint, account, _MINT_SIZE, 36)

    # Sending

    def latest_blockhash(self) -> tuple[Hash, int]:
        """A fresh blockhash and the last block height at which a transaction with it can land."""
        with self._reading("getLatestBlockhash"):
            value = self.call("getLatestBlockhash", self._config())["value"]
            return Hash.from_string(value["blockhash"]), int(value["lastValidBlockHeight"])

    def send(
        self,
        instructions: Sequence[Instruction],
        signers: Sequence[Keypair],
        *,
        payer: Keypair,
        lookup_tables: Sequence[AddressLookupTableAccount] = (),
        compute_units: int | None = None,
        compute_unit_price: int = 0,
        preflight: bool = True,
        before_sending: Callable[[Signature, int, str], None] | None = None,
    ) -> Signature:
        """Send one transaction and wait until it is confirmed; its signature.

        `compute_units` and `compute_unit_price` (micro-lamports a unit) put a compute budget in front. Raises
        ProgramError, InstructionFailedError or TransactionFailedError where it failed, TransactionExpiredError where it
        never landed, TransactionUncertainError where the validator was lost meanwhile; TransactionTooLargeError and
        SignerMissingError before anything is sent. `before_sending` is told each signature, the last block height at
        which it can land, and the transaction itself (base64), before it leaves: who must do a thing only once makes it
        durable there.
        """
        outgoing = Outgoing(instructions, signers, lookup_tables, compute_units, compute_unit_price, preflight)

        def told(signed: Sequence[Signed]) -> None:
            if before_sending is not None:
                before_sending(signed[0].signature, signed[0].last_valid_block_height, signed[0].raw)

        (outcome,) = self.send_all([outgoing], payer=payer, before_sending=told)
        if isinstance(outcome, ChainError):
            raise outcome
        return outcome

    def send_all(
        self,
        outgoing: Sequence[Outgoing],
        *,
        payer: Keypair,
        before_sending: Callable[[Sequence[Signed]], None] | None = None,
    ) -> list[Signature | ChainError]:
        """Send transactions side by side and wait until each is confirmed: their signatures, or what `send` raises.

        They are signed with one blockhash, sent in batches, and asked about together; none waits for another's fate,
        and nothing is said of the order in which they land. `before_sending` is told of all that are about to leave.
        TransportError before anything is sent.
        """
        outcomes: dict[int, Signature | ChainError] = {}
        left = list(range(len(outgoing)))
        for _ in range(_MAX_SIGNINGS):
            signed = self._sign_all({index: outgoing[index] for index in left}, payer, outcomes)
            if signed and before_sending is not None:
                before_sending(signed)
            self._land_all(signed, outcomes)
            left = [index for index in left if index not in outcomes]
            if not left:
                break
        for index in left:
            outcomes[index] = TransactionExpiredError(
                f"a transaction did not land, though signed {_MAX_SIGNINGS} times: is the validator producing blocks?"
            )
        for index, outcome in outcomes.items():
            if isinstance(outcome, TransactionFailedError):
                outcomes[index] = self._explained(outcome, payer.pubkey())
        return [outcomes[index] for index in range(len(outgoing))]

    def relay(self, raw: str, signature: Signature, last_valid_block_height: int, *, seconds: float) -> bool:
        """Send a transaction (base64) that somebody else signed, and wait for it; whether it has landed by then.

        One that has landed before is not sent again. Raises what `send` raises.
        """
        signed = [Signed(0, raw, signature, last_valid_block_height, preflight=True)]
        outcomes: dict[int, Signature | ChainError] = {}
        if self._unconfirmed(signed, outcomes):
            self._submit(signed, outcomes)
        deadline = self._monotonic() + seconds
        while not outcomes and self._unconfirmed(signed, outcomes):
            if self._expired(signed) and self._unconfirmed(signed, outcomes):
                raise TransactionExpiredError(f"the transaction {signature} did not land in time")
            if outcomes or self._monotonic() > deadline:
                break
            self._sleep(_FIRST_POLL)
        outcome = outcomes.get(0)
        if isinstance(outcome, ChainError):
            raise outcome
        return outcome is not None

    def failure(self, error: Any, logs: Sequence[str]) -> TransactionFailedError:
        """The typed error behind what a simulation found."""
        return self._failure(error, logs, None)

    def _explained(self, error: TransactionFailedError, payer: Pubkey) -> TransactionFailedError:
        """PayerShortError where a transaction failed because its payer has next to nothing."""
        short = isinstance(error, ProgramError) and error.name == "ResultWithNegativeLamports"
        names = error.error if isinstance(error.error, dict) else {error.error: None}
        if short or not _NO_FUNDS.isdisjoint(names):
            try:
                lamports = self.balance(payer)
            except ChainError:
                return error  # what is known already is told as it is
            if lamports < _SHORT_LAMPORTS:
                explained = PayerShortError(payer, lamports, error)
                explained.__cause__ = error
                return explained
        return error

    def _sign_all(
        self, outgoing: Mapping[int, Outgoing], payer: Keypair, outcomes: dict[int, Signature | ChainError]
    ) -> list[Signed]:
        """Sign with one blockhash; what cannot be signed has its error among the outcomes."""
        signed: list[Signed] = []
        left = dict(outgoing)
        deadline = self._monotonic() + _NEW_BLOCKHASH_SECONDS
        tried: Hash | None = None
        while left:
            blockhash, last_valid = self.latest_blockhash()
            new = list(left.items()) if blockhash != tried else []
            for index, each in new:
                budgeted = [*_budget(each.compute_units, each.compute_unit_price), *each.instructions]
                try:
                    transaction = sign_transaction(budgeted, each.signers, payer, each.lookup_tables, blockhash)
                except (SignerMissingError, TransactionTooLargeError) as error:
                    outcomes[index] = error
                    del left[index]
                    continue
                # The same instructions under the same blockhash would be the same transaction, and land but once.
                if self._is_new(transaction.signatures[0]):
                    raw = base64.b64encode(bytes(transaction)).decode()
                    signed.append(Signed(index, raw, transaction.signatures[0], last_valid, each.preflight))
                    del left[index]
            tried = blockhash
            if not left:
                break
            if self._monotonic() > deadline:
                raise TransactionExpiredError("the validator keeps giving the same blockhash: does it make blocks?")
            self._sleep(_FIRST_POLL)
        return signed

    def _is_new(self, signature: Signature) -> bool:
        """Whether this client has not signed this very transaction yet; remembers it."""
        with self._signed_lock:
            if signature in self._signed:
                return False
            self._signed[signature] = None
            if len(self._signed) > _REMEMBERED_SIGNATURES:
                del self._signed[next(iter(self._signed))]
            return True

    def _land_all(self, signed: Sequence[Signed], outcomes: dict[int, Signature | ChainError]) -> None:
        """Send until confirmed; no outcome for one of which it is certain that it will not land for this caller."""
        waiting = list(signed)
        try:
            waiting = self._submit_first(signed, outcomes)
            sent = self._monotonic()
            pause = _FIRST_POLL
            while waiting := self._unconfirmed(waiting, outcomes):
                if expired := self._expired(waiting):
                    self._unconfirmed(expired, outcomes)  # a last look; those that have not landed never will
                    waiting = [each for each in waiting if each not in expired]
                    if not waiting:
                        break
                self._sleep(pause)
                pause = min(pause * 1.5, _LAST_POLL)
                if self._monotonic() - sent >= _RESEND_AFTER:
                    # Leaders drop transactions under load; the same bytes can land but once.
                    self._submit(waiting, outcomes, preflight=False)
                    waiting = [each for each in waiting if each.index not in outcomes]
                    sent = self._monotonic()
        except TransportError as error:
            for each in waiting:
                if each.index not in outcomes:
                    lost = TransactionUncertainError(
                        f"the validator was lost while {each.signature} was under way: {error}",
                        each.signature,
                        each.last_valid_block_height,
                    )
                    lost.__cause__ = error
                    outcomes[each.index] = lost

    def _submit_first(self, signed: Sequence[Signed], outcomes: dict[int, Signature | ChainError]) -> list[Signed]:
        """Send for the first time; those that may land, without what has landed already from somebody else.

        That is another client with the same keys, instructions and blockhash. It can be told apart from an answer that
        was lost on the way only while no attempt of this client's may have arrived, so this one is made singly.
        """
        try:
            processed = self._submit(signed, outcomes, retry=False)
        except TransportError:
            self._submit([each for each in signed if each.index not in outcomes], outcomes)
            processed = set()
        return [each for each in signed if each.index not in outcomes and each.index not in processed]

    def _submit(
        self,
        signed: Sequence[Signed],
        outcomes: dict[int, Signature | ChainError],
        *,
        preflight: bool | None = None,
        retry: bool = True,
    ) -> set[int]:
        """Send; those that have landed already. What the validator refuses, or finds in preflight, is an outcome."""
        calls = []
        for each in signed:
            config = {
                "encoding": "base64",
                "skipPreflight": not (each.preflight if preflight is None else preflight),
                "preflightCommitment": self._commitment,
                "maxRetries": 0,
            }
            calls.append((each.raw, config))
        processed = set()
        for each, refusal in zip(signed, self._transport.call_all("sendTransaction", calls, retry=retry), strict=True):
            if not isinstance(refusal, RpcError):
                continue
            data = refusal.data if isinstance(refusal.data, dict) else {}
            error = data.get("err")
            if refusal.number != _PREFLIGHT_FAILURE or error is None:
                outcomes[each.index] = refusal
            elif error == "AlreadyProcessed":
                processed.add(each.index)
            # BlockhashNotFound: this node has not yet seen the block, or the time is over; polling tells which.
            elif error != "BlockhashNotFound" and self._unconfirmed([each], outcomes):
                failure = self._failure(error, data.get("logs") or [], None)
                failure.__cause__ = refusal
                outcomes[each.index] = failure
        return processed

    def _unconfirmed(self, signed: Sequence[Signed], outcomes: dict[int, Signature | ChainError]) -> list[Signed]:
        """Those that have not landed at this client's commitment; the others, landed or failed, are outcomes."""
        config = {"searchTransactionHistory": True}
        levels = ("processed", "confirmed", "finalized")
        waiting = []
        for start in range(0, len(signed), MAX_STATUSES_PER_CALL):
            some = signed[start : start + MAX_STATUSES_PER_CALL]
            with self._reading("getSignatureStatuses"):
                answer = self.call("getSignatureStatuses", [str(each.signature) for each in some], config)
                statuses = [(each, status) for each, status in zip(some, answer["value"], strict=True)]
                reached = [
                    status is not None
                    and levels.index(status.get("confirmationStatus") or "processed") >= levels.index(self._commitment)
                    for _, status in statuses
                ]
                errors = [
                    status["err"] if landed else None for (_, status), landed in zip(statuses, reached, strict=True)
                ]
            for each, landed, error in zip(some, reached, errors, strict=True):
                if not landed:
                    waiting.append(each)
                elif error is None:
                    outcomes[each.index] = each.signature
                else:
                    record = self.transaction(each.signature)
                    logs = [] if record is None else record.logs
                    outcomes[each.index] = self._failure(error, logs, each.signature)
        return waiting

    def _expired(self, signed: Sequence[Signed]) -> list[Signed]:
        """Those whose last blocks, in which they could land, are all final."""
        with self._reading("getBlockHeight"):
            height = int(self.call("getBlockHeight", {"commitment": "finalized"}))
        return [each for each in signed if height > each.last_valid_block_height]

    def _failure(self, error: Any, logs: Sequence[str], signature: Signature | None) -> TransactionFailedError:
        """The typed error behind a TransactionError."""
        if not (isinstance(error, dict) and "InstructionError" in error):
            name = error if isinstance(error, str) else next(iter(error), "unknown") if error else "unknown"
            return TransactionFailedError(f"the transaction was refused: {name}", error, logs, signature)
        index, inner = error["InstructionError"]
        program_id = failing_program(logs)
        program = "an unknown program" if program_id is None else self._program_name(program_id)
        if not (isinstance(inner, dict) and "Custom" in inner):
            name = inner if isinstance(inner, str) else str(next(iter(inner), "unknown"))
            return InstructionFailedError(program, index, name, error, logs, signature)
        number = int(inner["Custom"])
        name, message = self._custom_error(program, program_id, number, logs)
        return ProgramError(program, number, name, message, index=index, error=error, logs=logs, signature=signature)

    def _custom_error(self, program: str, program_id: str | None, number: int, logs: Sequence[str]) -> tuple[str, str]:
        if program in PROGRAM_IDS or program in self._idls:
            try:
                item = self.idl(program).error(number)
            except ChainError:
                item = None
            if item is not None:
                return item.name, item.message
            # A program passes on the error of one that it called, or of a crate that it shares.
            for other in PROGRAM_IDS:
                try:
                    item = self.idl(other).errors.get(number)
                except ChainError:
                    continue
                if item is not None:
                    return item.name, item.message
        for (native, code), (name, message) in _NATIVE_ERRORS.items():
            if (str(native), code) == (program_id, number):
                return name, message
        return "Custom", f"error {number}{last_words(logs)}"

    def simulate(
        self,
        instructions: Sequence[Instruction],
        payer: Pubkey,
        *,
        lookup_tables: Sequence[AddressLookupTableAccount] = (),
        compute_units: int | None = None,
    ) -> Simulation:
        """Run a transaction without sending it; no signature is needed."""
        message = MessageV0.try_compile(
            payer, [*_budget(compute_units, 0), *instructions], list(lookup_tables), Hash.default()
        )
        blank = [Signature.default()] * message.header.num_required_signatures
        raw = base64.b64encode(bytes(VersionedTransaction.populate(message, blank))).decode()
        config = self._config(encoding="base64", sigVerify=False, replaceRecentBlockhash=True)
        with self._reading("simulateTransaction"):
            value = self.call("simulateTransaction", raw, config)["value"]
            return Simulation(value["err"], value.get("logs") or [], int(value.get("unitsConsumed") or 0))

    def airdrop(self, address: Pubkey, lamports: int) -> Signature:
        """Ask a development validator for lamports and wait for them."""
        answer = self.call("requestAirdrop", str(address), lamports, self._config(), retry=False)
        with self._reading("requestAirdrop"):
            signature = Signature.from_string(answer)
        deadline = self._monotonic() + 60
        outcomes: dict[int, Signature | ChainError] = {}
        while self._unconfirmed([Signed(0, "", signature, 0, False)], outcomes):
            if self._monotonic() > deadline:
                raise TransactionExpiredError(f"the airdrop {signature} did not land within 60 s")
            self._sleep(0.2)
        if isinstance(outcomes[0], ChainError):
            raise outcomes[0]
        return signature

    # What has landed

    def _history_level(self) -> str:
        """This client's commitment, or the lowest that a validator answers about the past with."""
        return "finalized" if self._commitment == "finalized" else "confirmed"

    def transaction(self, signature: Signature) -> TransactionRecord | None:
        """A transaction that landed, failed or not; None where this validator has none such."""
        return next(self.transactions([signature]))

    def transactions(self, signatures: Iterable[Signature]) -> Iterator[TransactionRecord | None]:
        """Transactions as `transaction` gives them, in the order asked for, read in batches."""
        config = {"commitment": self._history_level(), "encoding": "base64", "maxSupportedTransactionVersion": 0}
        left = iter(signatures)
        while some := list(itertools.islice(left, TRANSACTIONS_PER_CALL)):
            calls = [(str(signature), config) for signature in some]
            for signature, answer in zip(some, self._transport.call_all("getTransaction", calls), strict=True):
                if isinstance(answer, RpcError):
                    raise answer
                yield self._transaction_record(signature, answer)

    def _transaction_record(self, signature: Signature, answer: Any) -> TransactionRecord | None:
        if answer is None:
            return None
        with self._reading("getTransaction"):
            meta = answer["meta"]
            return TransactionRecord(
                signature=signature,
                slot=int(answer["slot"]),
                time=answer.get("blockTime"),
                error=meta["err"],
                logs=meta.get("logMessages") or [],
                units=int(meta.get("computeUnitsConsumed") or 0),
                fee=int(meta["fee"]),
                transaction=VersionedTransaction.from_bytes(base64.b64decode(answer["transaction"][0])),
            )

    def events(self, program: str, signature: Signature) -> list[Event]:
        """What a program logged in a transaction; empty where there is no such transaction."""
        record = self.transaction(signature)
        return [] if record is None else self.idl(program).events(record.logs)

    def signatures(self, address: Pubkey, *, until: Signature | None = None, limit: int = 1_000) -> list[Signature]:
        """Transactions that name an address, newest first, back to but without `until`."""
        found: list[Signature] = []
        while len(found) < limit:
            config: dict[str, Any] = {"commitment": self._history_level(), "limit": min(1_000, limit - len(found))}
            if found:
                config["before"] = str(found[-1])
            if until is not None:
                config["until"] = str(until)
            answer = self.call("getSignaturesForAddress", str(address), config)
            with self._reading("getSignaturesForAddress"):
                found += [Signature.from_string(item["signature"]) for item in _listed(answer)]
            if len(answer) < config["limit"]:
                break
        return found

    # Lookup tables

    def create_lookup_table(self, authority: Keypair, *, payer: Keypair) -> Pubkey:
        """Make an empty lookup table under an authority; its address."""
        recent = self.slot("finalized")
        instruction, address = create_lookup_table(
            CreateLookupTableParams(
                authority_address=authority.pubkey(), payer_address=payer.pubkey(), recent_slot=recent
            )
        )
        self.send([instruction], [authority], payer=payer)
        return address

    def extend_lookup_table(
        self, table: Pubkey, addresses: Iterable[Pubkey], authority: Keypair, *, payer: Keypair
    ) -> None:
        """Add addresses that the table lacks; at most 256 fit in one."""
        held = self._table(table)
        present = set(held.addresses) if held is not None else set()
        missing = [address for address in dict.fromkeys(addresses) if address not in present]
        for start in range(0, len(missing), EXTENSION_SIZE):
            instruction = extend_lookup_table(
                ExtendLookupTableParams(
                    lookup_table_address=table,
                    authority_address=authority.pubkey(),
                    payer_address=payer.pubkey(),
                    new_addresses=missing[start : start + EXTENSION_SIZE],
                )
            )
            self.send([instruction], [authority], payer=payer)

    def lookup_table(self, table: Pubkey) -> AddressLookupTableAccount | None:
        """A lookup table for `send`, as it stands; None where there is none."""
        held = self._table(table)
        return None if held is None else AddressLookupTableAccount(table, held.addresses)

    def wait_for_lookup_table(self, table: Pubkey, *, timeout: float = 60) -> AddressLookupTableAccount:
        """Wait until all that a table holds can be used everywhere.

        By the rules that is from the slot after its last extension on; but Agave's leaders look tables up in the newest
        final state and silently drop what they do not find there, so this waits for that: some 13 s on a cluster.
        """
        deadline = self._monotonic() + timeout
        while True:
            held = self._table(table)
            if held is not None and self.slot("finalized") > held.meta.last_extended_slot:
                return AddressLookupTableAccount(table, held.addresses)
            if self._monotonic() > deadline:
                raise TransportError(
                    f"the lookup table {table} is not usable after {timeout:g} s: are there new slots?"
                )
            self._sleep(0.1)

    def _table(self, table: Pubkey) -> AddressLookupTable | None:
        account = self.raw_account(table)
        if account is None:
            return None
        if account.owner != LOOKUP_TABLE_PROGRAM:
            raise AccountMismatchError(f"{table} belongs to {account.owner}: it is not a lookup table")
        return AddressLookupTable.deserialize(bytes(account.data))


def public_key(keypair: Keypair) -> Pubkey:
    """A key pair's public half, which is the second half of its bytes; Keypair.pubkey() computes it anew, in 60 us."""
    return Pubkey(bytes(keypair)[32:])


def sign_transaction(
    instructions: Sequence[Instruction],
    signers: Sequence[Keypair],
    payer: Keypair,
    lookup_tables: Sequence[AddressLookupTableAccount],
    blockhash: Hash,
) -> VersionedTransaction:
    """A signed v0 transaction; keys that it does not need are passed over.

    Raises SignerMissingError and TransactionTooLargeError.
    """
    message = MessageV0.try_compile(public_key(payer), list(instructions), list(lookup_tables), blockhash)
    needed = message.account_keys[: message.header.num_required_signatures]
    given = {public_key(keypair): keypair for keypair in (payer, *signers)}
    if missing := [str(key) for key in needed if key not in given]:
        raise SignerMissingError(f"the transaction needs the signature of {', '.join(missing)}")
    # VersionedTransaction(message, signers) computes every public key anew, which takes longer than to sign.
    signed = to_bytes_versioned(message)
    transaction = VersionedTransaction.populate(message, [given[key].sign_message(signed) for key in needed])
    size = len(bytes(transaction))
    if size > MAX_TRANSACTION_SIZE:
        raise TransactionTooLargeError(
            f"the transaction has {size} bytes, {MAX_TRANSACTION_SIZE} are allowed: "
            "put fewer instructions in it, or use a lookup table"
        )
    return transaction


def failing_program(logs: Sequence[str]) -> str | None:
    """The id of the program that failed first, which is the innermost; None where the logs do not tell."""
    for line in logs:
        words = line.split(" ")
        if len(words) >= 3 and words[0] == "Program" and words[2] in ("failed:", "failed"):
            return words[1]
    return None


def _budget(units: int | None, price: int) -> list[Instruction]:
    budget = [] if units is None else [set_compute_unit_limit(units)]
    return [*budget, set_compute_unit_price(price)] if price else budget


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError("not a list")
    return value


def _account(value: Any) -> Account | None:
    if value is None:
        return None
    data = base64.b64decode(value["data"][0])
    return Account(int(value["lamports"]), data, Pubkey.from_string(value["owner"]), bool(value["executable"]))


def _token_field(address: Pubkey, account: Account, size: int, offset: int) -> int:
    if account.owner != TOKEN_PROGRAM or len(account.data) != size:
        raise AccountMismatchError(
            f"{address} is not a {'mint' if size == _MINT_SIZE else 'token account'} of SPL Token"
        )
    value: int = struct.unpack_from("<Q", bytes(account.data), offset)[0]
    return value
