"""The RPC calls: what clients, Solana's command line and an explorer ask of a validator.

One long file: a table of some fifty small methods, each by itself, over the same bank.

Whatever has landed is final here, since it is on disk when the call returns: commitment levels are read and checked,
and all of them see the same state. Only getSlot and getBlockHeight tell `processed` (the slot that transactions land
in now) from the others (the newest whole slot, which a new lookup table can name).

Nobody votes or stakes here: no vote accounts, no inflation, no minimum of stake, no performance samples, no snapshot
are what those calls tell. A transaction lives as long as its blockhash: durable nonces are not taken. Subscriptions are
another door's (`subscriptions`, `pubsub`).
"""

from __future__ import annotations

import base64
import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from solders.account import Account
from solders.compute_budget import ID as COMPUTE_BUDGET
from solders.compute_budget import set_compute_unit_limit
from solders.message import Message, MessageV0, from_bytes_versioned
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import TransferParams, transfer
from solders.token.state import Mint
from solders.transaction import VersionedTransaction

from authority.validator import encoding, filters, instructions, tokens
from authority.validator.bank import (
    Bank,
    Outcome,
    SignatureRefusedError,
    TransactionRefusedError,
    UnhealthyError,
    UnsoundTransactionError,
    parse_transaction,
)
from authority.validator.encoding import VERSION
from authority.validator.errors import (
    BLOCK_NOT_AVAILABLE,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    MIN_CONTEXT_SLOT_NOT_REACHED,
    NO_SNAPSHOT,
    NODE_UNHEALTHY,
    PREFLIGHT_FAILURE,
    SIGNATURE_VERIFICATION_FAILURE,
    RpcError,
    describe,
    invalid_params,
)
from authority.validator.params import Config, Params, address, integer, signature
from authority.validator.slots import SLOTS_PER_EPOCH

MAX_ACCOUNTS = 100
MAX_STATUSES = 256
MAX_SIGNATURES = 1_000
MAX_BLOCKS = 500_000
MAX_SAMPLES = 720
MAX_LEADERS = 5_000
MAX_LARGEST = 20
MAX_ACCOUNT_SIZE = 10 * 1024 * 1024
MAX_AIRDROP = 1_000_000 * 1_000_000_000

_log = logging.getLogger(__name__)


class Methods:
    """All calls over one bank. `airdrops` switches the faucet."""

    def __init__(self, bank: Bank, *, airdrops: bool = True) -> None:
        self._bank = bank
        self._airdrops = airdrops
        self._addresses: dict[str, str | None] = {"rpc": None, "pubsub": None}
        self._airdrop_count = 0
        self._calls: dict[str, tuple[Callable[[Params], Any], int]] = {
            "getHealth": (self._health, 0),
            "getVersion": (lambda _: encoding.VERSION_INFO, 0),
            "getIdentity": (lambda _: {"identity": str(bank.identity)}, 0),
            "getGenesisHash": (lambda _: str(bank.hashes.genesis_hash()), 0),
            "getClusterNodes": (self._cluster_nodes, 0),
            "getVoteAccounts": (self._vote_accounts, 1),
            "getSlot": (self._get_slot, 1),
            "getBlockHeight": (self._get_slot, 1),
            "getSlotLeader": (self._slot_leader, 1),
            "getSlotLeaders": (self._slot_leaders, 2),
            "getLeaderSchedule": (self._leader_schedule, 2),
            "getEpochInfo": (self._epoch_info, 1),
            "getEpochSchedule": (self._epoch_schedule, 0),
            "getLatestBlockhash": (self._latest_blockhash, 1),
            "isBlockhashValid": (self._blockhash_valid, 2),
            "getFeeForMessage": (self._fee_for_message, 2),
            "getRecentPrioritizationFees": (self._prioritization_fees, 1),
            "getMinimumBalanceForRentExemption": (self._minimum_balance, 2),
            "getBalance": (self._balance, 2),
            "getAccountInfo": (self._account_info, 2),
            "getMultipleAccounts": (self._multiple_accounts, 2),
            "getProgramAccounts": (self._program_accounts, 2),
            "getLargestAccounts": (self._largest_accounts, 1),
            "getSupply": (self._supply, 1),
            "getTokenAccountBalance": (self._token_account_balance, 2),
            "getTokenSupply": (self._token_supply, 2),
            "getTokenAccountsByOwner": (lambda params: self._token_accounts(params, by_delegate=False), 3),
            "getTokenAccountsByDelegate": (lambda params: self._token_accounts(params, by_delegate=True), 3),
            "getTokenLargestAccounts": (self._token_largest_accounts, 2),
            "sendTransaction": (self._send_transaction, 2),
            "simulateTransaction": (self._simulate_transaction, 2),
            "requestAirdrop": (self._request_airdrop, 3),
            "getSignatureStatuses": (self._signature_statuses, 2),
            "getSignaturesForAddress": (self._signatures_for_address, 2),
            "getTransaction": (self._transaction, 2),
            "getTransactionCount": (self._transaction_count, 1),
            "getBlock": (self._block, 2),
            "getBlocks": (self._blocks, 3),
            "getBlocksWithLimit": (self._blocks_with_limit, 3),
            "getBlockTime": (self._block_time, 1),
            "getBlockCommitment": (self._block_commitment, 1),
            "getBlockProduction": (self._block_production, 1),
            "getFirstAvailableBlock": (lambda _: 0, 0),
            "minimumLedgerSlot": (lambda _: 0, 0),
            "getMaxRetransmitSlot": (lambda _: self._whole_slot(), 0),
            "getMaxShredInsertSlot": (lambda _: self._whole_slot(), 0),
            "getHighestSnapshotSlot": (self._highest_snapshot_slot, 0),
            "getRecentPerformanceSamples": (self._performance_samples, 1),
            "getInflationRate": (self._inflation_rate, 0),
            "getInflationGovernor": (self._inflation_governor, 1),
            "getInflationReward": (self._inflation_reward, 2),
            "getStakeMinimumDelegation": (self._stake_minimum, 1),
        }

    def tell_addresses(self, rpc: str, pubsub: str) -> None:
        """What getClusterNodes tells of this node's doors: host:port of the RPC and of the subscriptions."""
        self._addresses = {"rpc": rpc, "pubsub": pubsub}

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Around the calls of a batch: what they land is one commit. RpcError at the end where none of it landed."""
        try:
            with self._bank.together():
                yield
        except UnhealthyError as error:
            raise _unhealthy(error) from error

    def call(self, method: str, values: list[Any]) -> Any:
        """The result of one call, or RpcError."""
        if method not in self._calls:
            raise RpcError(METHOD_NOT_FOUND, "Method not found")
        function, at_most = self._calls[method]
        with self._bank.lock:
            try:
                return function(Params(values, at_most))
            except UnhealthyError as error:
                raise _unhealthy(error) from error
            except sqlite3.Error as error:
                message = f"the ledger could not be read: {error}"
                _log.error("the ledger could not be read", extra={"fields": {"method": method, "reason": str(error)}})
                raise RpcError(INTERNAL_ERROR, f"Internal error: {message}") from error

    # What the calls share

    def _with_context(self, value: Any) -> dict[str, Any]:
        return {"context": {"apiVersion": VERSION, "slot": self._bank.advance()}, "value": value}

    def _whole_slot(self) -> int:
        return self._bank.advance() - 1

    def _check(self, config: Config) -> Config:
        """Read the parts that every configuration may have: commitment and minContextSlot."""
        config.commitment()
        wanted = config.integer("minContextSlot")
        slot = self._bank.advance()
        if wanted is not None and wanted > slot:
            raise RpcError(
                MIN_CONTEXT_SLOT_NOT_REACHED, "Minimum context slot has not been reached", {"contextSlot": slot}
            )
        return config

    @staticmethod
    def _at_least_confirmed(config: Config) -> None:
        """Read the commitment of a call about what has landed: clusters answer those from `confirmed` on."""
        if config.commitment() == "processed":
            raise invalid_params("Method does not support commitment below `confirmed`")

    def _check_history(self, config: Config) -> Config:
        """As `_check`, for calls about what has landed."""
        self._at_least_confirmed(config)
        return self._check(config)

    def _encoded(self, key: Pubkey, account: Account | None, config: Config, default: str = "binary") -> Any:
        name, data_slice = self._check_format(config, default)
        return None if account is None else encoding.account(key, account, name, data_slice, self._bank.account)

    @staticmethod
    def _check_format(config: Config, default: str = "binary") -> tuple[str, tuple[int, int] | None]:
        return config.choice("encoding", encoding.ACCOUNT_ENCODINGS, default), config.data_slice()

    # The node

    def _health(self, _: Params) -> str:
        self._bank.check_health()
        return "ok"

    def _cluster_nodes(self, _: Params) -> list[Any]:
        names = (
            "gossip",
            "tpu",
            "tpuQuic",
            "tpuForwards",
            "tpuForwardsQuic",
            "tpuVote",
            "tvu",
            "serveRepair",
        )
        return [
            {
                "pubkey": str(self._bank.identity),
                **dict.fromkeys(names),
                **self._addresses,
                "version": VERSION,
                "featureSet": 0,
                "shredVersion": 1,
            }
        ]

    def _highest_snapshot_slot(self, _: Params) -> Any:
        raise RpcError(NO_SNAPSHOT, "No snapshot")

    # Slots and epochs

    def _get_slot(self, params: Params) -> int:
        config = self._check(params.config(0))
        slot = self._bank.advance()
        return slot if config.commitment() == "processed" else slot - 1

    def _slot_leader(self, params: Params) -> str:
        self._check(params.config(0))
        return str(self._bank.identity)

    def _slot_leaders(self, params: Params) -> list[str]:
        params.integer(0, "the start slot")
        return [str(self._bank.identity)] * _limit(params.integer(1, "the limit"), MAX_LEADERS)

    def _leader_schedule(self, params: Params) -> Any:
        slot = params.get(0)
        config = params.config(0 if isinstance(slot, dict) else 1)
        config.commitment()
        current = self._bank.advance() // SLOTS_PER_EPOCH
        epoch = current if slot is None or isinstance(slot, dict) else integer(slot, "the slot") // SLOTS_PER_EPOCH
        if epoch > current + 1:
            return None
        identity = str(self._bank.identity)
        if config.get("identity") not in (None, identity):
            address(str(config.get("identity")))
            return {}
        return {identity: list(range(SLOTS_PER_EPOCH))}

    def _epoch_info(self, params: Params) -> dict[str, int]:
        self._check(params.config(0))
        slot = self._whole_slot()
        return {
            "absoluteSlot": slot,
            "blockHeight": slot,
            "epoch": slot // SLOTS_PER_EPOCH,
            "slotIndex": slot % SLOTS_PER_EPOCH,
            "slotsInEpoch": SLOTS_PER_EPOCH,
            "transactionCount": self._bank.ledger.count(),
        }

    def _epoch_schedule(self, _: Params) -> dict[str, Any]:
        return {
            "slotsPerEpoch": SLOTS_PER_EPOCH,
            "leaderScheduleSlotOffset": SLOTS_PER_EPOCH,
            "warmup": False,
            "firstNormalEpoch": 0,
            "firstNormalSlot": 0,
        }

    def _inflation_rate(self, _: Params) -> dict[str, Any]:
        epoch = self._bank.advance() // SLOTS_PER_EPOCH
        return {"total": 0.0, "validator": 0.0, "foundation": 0.0, "epoch": epoch}

    def _inflation_reward(self, params: Params) -> list[None]:
        """Nobody stakes here, so nobody is rewarded; an epoch that is not over has no answer yet."""
        for text in (texts := params.texts(0, "the addresses", MAX_ACCOUNTS)):
            address(text)
        wanted = self._check_history(params.config(1)).integer("epoch")
        epoch = max(0, self._whole_slot() // SLOTS_PER_EPOCH - 1) if wanted is None else wanted
        self._check_block((epoch + 1) * SLOTS_PER_EPOCH)
        return [None] * len(texts)

    def _stake_minimum(self, params: Params) -> Any:
        self._check(params.config(0))
        return self._with_context(0)

    def _vote_accounts(self, params: Params) -> dict[str, list[Any]]:
        config = params.config(0)
        config.commitment()
        config.flag("keepUnstakedDelinquents")
        if config.get("votePubkey") is not None:
            address(str(config.get("votePubkey")))
        return {"current": [], "delinquent": []}

    @staticmethod
    def _performance_samples(params: Params) -> list[Any]:
        if params.get(0) is not None:
            _limit(params.integer(0, "the limit"), MAX_SAMPLES)
        return []

    def _inflation_governor(self, params: Params) -> dict[str, float]:
        params.config(0).commitment()
        return dict.fromkeys(("initial", "terminal", "taper", "foundation", "foundationTerm"), 0.0)

    # Blockhashes and fees

    def _latest_blockhash(self, params: Params) -> Any:
        self._check(params.config(0))
        blockhash, last = self._bank.latest_blockhash()
        return self._with_context({"blockhash": str(blockhash), "lastValidBlockHeight": last})

    def _blockhash_valid(self, params: Params) -> Any:
        blockhash = params.blockhash(0)
        self._check(params.config(1))
        return self._with_context(self._bank.blockhash_valid(blockhash))

    def _fee_for_message(self, params: Params) -> Any:
        text = params.text(0, "the message")
        self._check(params.config(1))
        raw = encoding.decode_transaction(text, "base64")
        try:
            message = from_bytes_versioned(raw)
            if not isinstance(message, Message | MessageV0):
                raise invalid_params("invalid message: this validator takes legacy and v0 messages")
            blank = [Signature.default()] * message.header.num_required_signatures
            transaction = parse_transaction(bytes(VersionedTransaction.populate(message, blank)))
        except RpcError:
            raise
        except Exception as error:
            raise invalid_params(
                f"failed to deserialize solana_message::versions::VersionedMessage: {error}"
            ) from error
        if not self._bank.blockhash_valid(message.recent_blockhash):
            return self._with_context(None)
        return self._with_context(self._bank.fee(transaction))

    def _prioritization_fees(self, params: Params) -> list[Any]:
        if params.get(0) is not None:
            for text in params.texts(0, "the addresses", 128):
                address(text)
        slot = self._whole_slot()
        return [{"slot": number, "prioritizationFee": 0} for number in range(max(0, slot - 149), slot + 1)]

    def _minimum_balance(self, params: Params) -> int:
        params.config(1).commitment()
        size = params.integer(0, "the size")
        if size > MAX_ACCOUNT_SIZE:
            raise RpcError(INVALID_REQUEST, "Invalid request")
        return self._bank.minimum_balance(size)

    # Accounts

    def _balance(self, params: Params) -> Any:
        key = params.address(0)
        self._check(params.config(1))
        account = self._bank.account(key)
        return self._with_context(0 if account is None else account.lamports)

    def _account_info(self, params: Params) -> Any:
        key = params.address(0)
        config = self._check(params.config(1))
        return self._with_context(self._encoded(key, self._bank.account(key), config))

    def _multiple_accounts(self, params: Params) -> Any:
        keys = [address(text) for text in params.texts(0, "the addresses", MAX_ACCOUNTS)]
        config = self._check(params.config(1))
        found = zip(keys, self._bank.accounts(keys), strict=True)
        return self._with_context([self._encoded(key, account, config, "base64") for key, account in found])

    def _program_accounts(self, params: Params) -> Any:
        program = params.address(0)
        config = self._check(params.config(1))
        wanted = filters.parsed(config.get("filters"))
        self._check_format(config)
        chosen = ((key, account) for key, account in self._accounts_of(program) if filters.passes(account, wanted))
        found = self._keyed(program, chosen, config)
        return self._with_context(found) if config.flag("withContext") else found

    def _accounts_of(self, program: Pubkey) -> Iterable[tuple[Pubkey, Account]]:
        return sorted(self._bank.program_accounts(program), key=lambda item: bytes(item[0]))

    def _keyed(
        self, program: Pubkey, accounts: Iterable[tuple[Pubkey, Account]], config: Config
    ) -> list[dict[str, Any]]:
        """A program's accounts with their addresses; parsed ones of tokens only where they could be parsed."""
        parsed = program in tokens.PROGRAM_LABELS and self._check_format(config)[0] == "jsonParsed"
        found = [{"pubkey": str(key), "account": self._encoded(key, account, config)} for key, account in accounts]
        return [each for each in found if not parsed or isinstance(each["account"]["data"], dict)]

    def _largest_accounts(self, params: Params) -> Any:
        config = params.config(0)
        config.commitment()
        wanted = config.choice("filter", ("circulating", "nonCirculating"), "")
        held_back = self._bank.faucet.pubkey()
        largest = [
            {"address": str(key), "lamports": lamports}
            for key, lamports in self._bank.ledger.largest(MAX_LARGEST + 1)
            if not wanted or (key == held_back) == (wanted == "nonCirculating")
        ]
        return self._with_context(largest[:MAX_LARGEST])

    def _supply(self, params: Params) -> Any:
        config = params.config(0)
        config.commitment()
        without_list = config.flag("excludeNonCirculatingAccountsList")
        total = self._bank.ledger.total_lamports()
        faucet = self._bank.account(self._bank.faucet.pubkey())
        held_back = 0 if faucet is None else faucet.lamports
        return self._with_context(
            {
                "total": total,
                "circulating": total - held_back,
                "nonCirculating": held_back,
                "nonCirculatingAccounts": [] if without_list else [str(self._bank.faucet.pubkey())],
            }
        )

    # Tokens

    def _existing(self, key: Pubkey, kind: str) -> Account:
        account = self._bank.account(key)
        if account is None:
            raise invalid_params(f"Invalid param: could not find {kind}")
        return account

    def _mint(self, key: Pubkey) -> tuple[Account, Mint]:
        """The account of a mint that is asked for, and the mint in it."""
        account = self._existing(key, "mint")
        found = tokens.mint(account)
        if found is None:
            raise invalid_params("Invalid param: Token mint could not be unpacked")
        return account, found

    def _token_account_balance(self, params: Params) -> Any:
        key = params.address(0)
        params.config(1).commitment()
        held = tokens.token_account(self._existing(key, "account"))
        found = None if held is None else tokens.mint(self._bank.account(held.mint))
        if held is None or found is None:
            raise invalid_params("Invalid param: not a Token account")
        return self._with_context(tokens.amount(held.amount, found.decimals))

    def _token_supply(self, params: Params) -> Any:
        key = params.address(0)
        params.config(1).commitment()
        account = self._existing(key, "account")
        if account.owner not in tokens.PROGRAM_LABELS:
            raise invalid_params("Invalid param: not a Token mint")
        found = tokens.mint(account)
        if found is None:
            raise invalid_params("Invalid param: mint could not be unpacked")
        return self._with_context(tokens.amount(found.supply, found.decimals))

    def _token_accounts(self, params: Params, *, by_delegate: bool) -> Any:
        owner = params.address(0)
        config = params.config(2)
        wanted_mint = None
        match params.get(1):
            case {"mint": str(text), **rest} if not rest:
                wanted_mint = address(text)
                self._check(config)
                program = self._mint(wanted_mint)[0].owner
            case {"programId": str(text), **rest} if not rest:
                program = address(text)
                self._check(config)
                if program not in tokens.PROGRAM_LABELS:
                    raise invalid_params("Invalid param: unrecognized Token program id")
            case _:
                raise invalid_params("Invalid params: give a mint or a programId")
        self._check_format(config)
        found = []
        for key, account in self._accounts_of(program):
            held = tokens.token_account(account)
            if held is None or (wanted_mint is not None and held.mint != wanted_mint):
                continue
            if (held.delegate if by_delegate else held.owner) == owner:
                found.append((key, account))
        return self._with_context(self._keyed(program, found, config))

    def _token_largest_accounts(self, params: Params) -> Any:
        key = params.address(0)
        params.config(1).commitment()
        mint_account, found = self._mint(key)
        holders = [
            (held.amount, bytes(holder))
            for holder, account in self._accounts_of(mint_account.owner)
            if (held := tokens.token_account(account)) is not None and held.mint == key
        ]
        holders.sort(reverse=True)
        return self._with_context(
            [
                {"address": str(Pubkey.from_bytes(holder)), **tokens.amount(units, found.decimals)}
                for units, holder in holders[:20]
            ]
        )

    # Transactions

    def _parsed(self, params: Params, config: Config) -> VersionedTransaction:
        text = params.text(0, "the transaction")
        name = config.choice("encoding", encoding.TRANSACTION_ENCODINGS, "base58")
        if name in ("json", "jsonParsed"):
            raise invalid_params(f"unsupported encoding: {name}. Supported encodings: base58, base64")
        raw = encoding.decode_transaction(text, "base64" if name == "base64" else "base58")
        try:
            transaction = parse_transaction(raw)
            self._bank.loaded_addresses(transaction)
        except UnsoundTransactionError as error:
            raise invalid_params(str(error)) from error
        except TransactionRefusedError as refusal:
            raise _unsound(refusal.error) from refusal
        return transaction

    def _send_transaction(self, params: Params) -> str:
        config = params.config(1)
        config.choice("preflightCommitment", ("processed", "confirmed", "finalized"), "finalized")
        config.integer("maxRetries")
        self._check(Config({"minContextSlot": config.get("minContextSlot")}))
        transaction = self._parsed(params, config)
        skip_preflight = config.flag("skipPreflight")
        self._bank.check_health()
        return self._land(transaction, preflight=not skip_preflight)

    def land(self, raw: str, *, preflight: bool) -> str:
        """What sendTransaction does, with a transaction (base64) that this process has made: it needs no looking at."""
        with self._bank.lock:
            try:
                self._bank.check_health()
                return self._land(VersionedTransaction.from_bytes(base64.b64decode(raw)), preflight=preflight)
            except UnhealthyError as error:
                raise _unhealthy(error) from error

    def _land(self, transaction: VersionedTransaction, *, preflight: bool) -> str:
        try:
            self._bank.process(transaction, preflight=preflight)
        except SignatureRefusedError as error:
            if preflight:
                raise self._preflight_failure("SignatureFailure", None) from error
            raise RpcError(SIGNATURE_VERIFICATION_FAILURE, str(error)) from error
        except TransactionRefusedError as refusal:
            if refusal.error == "AlreadyProcessed" and not preflight:
                # Clients send again what they have not seen land yet: that it has is not a failure.
                return str(transaction.signatures[0])
            if _budget_unsound(transaction, refusal.error):
                raise _unsound(refusal.error) from refusal
            # A cluster drops what cannot land without a word where preflight is skipped; here the sender is told.
            raise self._preflight_failure(refusal.error, refusal.outcome) from refusal
        return str(transaction.signatures[0])

    @staticmethod
    def _preflight_failure(error: Any, outcome: Outcome | None) -> RpcError:
        """-32002 with what Agave tells of a failed preflight: the error, the logs and the units, but no balances."""
        returned = outcome.return_data if outcome is not None else None
        data = {
            "accounts": None,
            "err": error,
            "fee": None if outcome is None else outcome.fee,
            "innerInstructions": None,
            "loadedAddresses": None,
            "logs": [] if outcome is None else outcome.logs,
            "preBalances": None,
            "postBalances": None,
            "preTokenBalances": None,
            "postTokenBalances": None,
            "replacementBlockhash": None,
            "returnData": None if returned is None else tokens.return_data(*returned),
            "unitsConsumed": 0 if outcome is None else outcome.units,
        }
        return RpcError(PREFLIGHT_FAILURE, f"Transaction simulation failed: {describe(error)}", data)

    @staticmethod
    def _simulated(outcome: Outcome) -> dict[str, Any]:
        returned = None if outcome.return_data is None else tokens.return_data(*outcome.return_data)
        return {
            "accounts": None,
            "err": outcome.error,
            "fee": outcome.fee,
            "innerInstructions": None,
            "loadedAddresses": {
                "writable": [str(key) for key in outcome.loaded.writable],
                "readonly": [str(key) for key in outcome.loaded.readonly],
            },
            "logs": outcome.logs,
            "preBalances": outcome.pre_balances,
            "postBalances": outcome.post_balances,
            "preTokenBalances": outcome.pre_token_balances,
            "postTokenBalances": outcome.post_token_balances,
            "replacementBlockhash": None,
            "returnData": returned,
            "unitsConsumed": outcome.units,
        }

    def _simulate_transaction(self, params: Params) -> Any:
        config = self._check(params.config(1))
        transaction = self._parsed(params, config)
        verify, replace = config.flag("sigVerify"), config.flag("replaceRecentBlockhash")
        if verify and replace:
            raise invalid_params("sigVerify may not be used with replaceRecentBlockhash")
        wanted = config.get("accounts")
        keys: list[Pubkey] = []
        accounts_config = Config({})
        if wanted is not None:
            if not isinstance(wanted, dict):
                raise invalid_params("Invalid params: accounts must be an object")
            accounts_config = Config(wanted)
            keys = [address(text) for text in Params([wanted.get("addresses")], 1).texts(0, "addresses", MAX_ACCOUNTS)]
            if accounts_config.choice("encoding", encoding.ACCOUNT_ENCODINGS, "base64") in ("binary", "base58"):
                raise invalid_params("base58 encoding not supported")
            loaded = self._bank.loaded_addresses(transaction)
            most = len(transaction.message.account_keys) + len(loaded.writable) + len(loaded.readonly)
            if len(keys) > most:
                raise invalid_params(f"Too many accounts provided; max {most}")
        outcome = self._bank.simulate(transaction, verify_signatures=verify, check_blockhash=not replace)
        if _budget_unsound(transaction, outcome.error):
            raise _unsound(outcome.error)
        result = self._simulated(outcome)
        if config.flag("innerInstructions") and outcome.fee is not None:
            result["innerInstructions"] = outcome.inner_instructions
        if replace:
            blockhash, last = self._bank.latest_blockhash()
            result["replacementBlockhash"] = {"blockhash": str(blockhash), "lastValidBlockHeight": last}
        if wanted is not None:
            result["accounts"] = [
                None
                if outcome.error is not None
                else self._encoded(key, outcome.accounts.get(key, self._bank.account(key)), accounts_config, "base64")
                for key in keys
            ]
        return self._with_context(result)

    def _request_airdrop(self, params: Params) -> str:
        if not self._airdrops:
            raise RpcError(INTERNAL_ERROR, "this validator gives no airdrops: start it with --airdrop")
        recipient = params.address(0)
        lamports = params.integer(1, "lamports", 1, MAX_AIRDROP)
        params.config(2).commitment()
        faucet = self._bank.faucet
        blockhash, _ = self._bank.latest_blockhash()
        # The limit differs from one airdrop to the next, so that two alike in one slot are two transactions.
        self._airdrop_count = (self._airdrop_count + 1) % 100_000
        instructions = [
            set_compute_unit_limit(100_000 + self._airdrop_count),
            transfer(TransferParams(from_pubkey=faucet.pubkey(), to_pubkey=recipient, lamports=lamports)),
        ]
        message = MessageV0.try_compile(faucet.pubkey(), instructions, [], blockhash)
        return self._land(VersionedTransaction(message, [faucet]), preflight=True)

    def _signature_statuses(self, params: Params) -> Any:
        texts = params.texts(0, "the signatures", MAX_STATUSES)
        params.config(1).flag("searchTransactionHistory")
        found = [self._bank.ledger.status(bytes(signature(text))) for text in texts]
        return self._with_context(
            [
                None
                if status is None
                else {
                    "slot": status.slot,
                    "confirmations": None,
                    "err": status.error,
                    "status": {"Ok": None} if status.error is None else {"Err": status.error},
                    "confirmationStatus": "finalized",
                }
                for status in found
            ]
        )

    def _signatures_for_address(self, params: Params) -> list[Any]:
        key = params.address(0)
        config = self._check_history(params.config(1))
        asked = config.integer("limit")
        limit = MAX_SIGNATURES if asked is None else _limit(asked, MAX_SIGNATURES, 1)
        before, until = self._bound(config, "before"), self._bound(config, "until")
        if before is None and config.get("before") is not None:
            return []
        return [
            {
                "signature": str(Signature.from_bytes(status.signature)),
                "slot": status.slot,
                "err": status.error,
                "memo": _memo(mention.content),
                "blockTime": status.time,
                "confirmationStatus": "finalized",
            }
            for mention in self._bank.ledger.mentions(key, limit, before, until)
            if (status := mention.status)
        ]

    def _bound(self, config: Config, name: str) -> int | None:
        text = config.get(name)
        status = None if text is None else self._bank.ledger.status(bytes(signature(str(text))))
        return None if status is None else status.number

    def _transaction(self, params: Params) -> Any:
        wanted = params.signature(0)
        config = _encoding_config(params, 1)
        name = config.choice("encoding", encoding.TRANSACTION_ENCODINGS, "json")
        self._at_least_confirmed(config)
        landed = self._bank.ledger.landed(bytes(wanted))
        if landed is None:
            return None
        body = encoding.transaction_with_meta(landed, name, config.integer("maxSupportedTransactionVersion", 0, 255))
        return {"slot": landed.slot, "blockTime": landed.time, **body}

    def _transaction_count(self, params: Params) -> int:
        self._check(params.config(0))
        return self._bank.ledger.count()

    # Blocks

    def _check_block(self, slot: int) -> int:
        if not self._bank.whole_slot(slot):
            raise RpcError(BLOCK_NOT_AVAILABLE, f"Block not available for slot {slot}")
        return slot

    def _block(self, params: Params) -> Any:
        slot = params.integer(0, "the slot")
        config = _encoding_config(params, 1)
        name = config.choice("encoding", encoding.TRANSACTION_ENCODINGS, "json")
        details = config.choice("transactionDetails", ("full", "accounts", "signatures", "none"), "full")
        max_version = config.integer("maxSupportedTransactionVersion", 0, 255)
        self._at_least_confirmed(config)
        self._check_block(slot)
        parent = max(0, slot - 1)
        block: dict[str, Any] = {
            "blockhash": str(self._bank.hashes.blockhash(slot)),
            "previousBlockhash": str(self._bank.hashes.blockhash(parent)),
            "parentSlot": parent,
            "blockTime": self._bank.block_time(slot),
            "blockHeight": slot,
        }
        if details != "none":
            landed = self._bank.ledger.landed_in(slot)
            if details == "signatures":
                block["signatures"] = [str(Signature.from_bytes(item.signature)) for item in landed]
            else:
                shape = encoding.accounts_with_meta if details == "accounts" else encoding.transaction_with_meta
                bodies = [shape(item, name, max_version) for item in landed]
                block["transactions"] = bodies
        if config.flag("rewards", default=True):
            block["rewards"] = []
        return block

    def _blocks(self, params: Params) -> list[int]:
        start = params.integer(0, "the start slot")
        end = params.get(1)
        self._check_history(params.config(1 if isinstance(end, dict) else 2))
        last = self._whole_slot()
        if isinstance(end, dict):
            end = None
        end = last if end is None else min(integer(end, "the end slot"), last)
        if end - start > MAX_BLOCKS:
            raise invalid_params(f"Slot range too large; max {MAX_BLOCKS}")
        return list(range(start, end + 1))

    def _blocks_with_limit(self, params: Params) -> list[int]:
        start = params.integer(0, "the start slot")
        limit = params.integer(1, "the limit")
        self._check_history(params.config(2))
        if limit > MAX_BLOCKS:
            raise invalid_params(f"Limit too large; max {MAX_BLOCKS}")
        return list(range(start, min(start + limit, self._whole_slot() + 1)))

    def _block_commitment(self, params: Params) -> dict[str, Any]:
        params.integer(0, "the slot")
        return {"commitment": None, "totalStake": 0}

    def _block_production(self, params: Params) -> Any:
        """Every slot of the range has its block, all by this validator."""
        config = params.config(0)
        config.commitment()
        last = self._whole_slot()
        first = last - last % SLOTS_PER_EPOCH
        wanted = config.get("range")
        if wanted is not None:
            if not isinstance(wanted, dict):
                raise invalid_params("Invalid params: range must be an object with firstSlot and lastSlot")
            limits = Config(wanted)
            first = integer(limits.get("firstSlot"), "firstSlot")
            end = limits.integer("lastSlot")
            if first > last or (end is not None and not first <= end <= last):
                raise invalid_params(f"Invalid param: the slots are 0 to {last}")
            last = last if end is None else end
        identity = str(self._bank.identity)
        if (asked := config.get("identity")) is not None:
            address(str(asked))
        blocks = last - first + 1
        return self._with_context(
            {
                "byIdentity": {identity: [blocks, blocks]} if asked in (None, identity) else {},
                "range": {"firstSlot": first, "lastSlot": last},
            }
        )

    def _block_time(self, params: Params) -> int:
        return self._bank.block_time(self._check_block(params.integer(0, "the slot")))


def _limit(asked: int, most: int, least: int = 0) -> int:
    """How many of something a client asked for, else -32602."""
    if not least <= asked <= most:
        raise invalid_params(f"Invalid limit; max {most}")
    return asked


def _unsound(error: Any) -> RpcError:
    """-32602 for a TransactionError that a validator finds before it simulates anything."""
    return invalid_params(f"invalid transaction: {describe(error)}")


def _budget_unsound(transaction: VersionedTransaction, error: Any) -> bool:
    """Whether a transaction was refused for what it asks of the compute budget, which is looked at first of all."""
    match error:
        case {"DuplicateInstruction": _}:
            return True
        case {"InstructionError": [int(index), "InvalidInstructionData"]}:
            message = transaction.message
            program = message.account_keys[message.instructions[index].program_id_index]
            return bool(program == COMPUTE_BUDGET)
    return False


def _memo(content: bytes) -> str | None:
    if not any(bytes(program) in content for program in instructions.MEMO_PROGRAMS):
        return None
    message = VersionedTransaction.from_bytes(content).message
    keys = message.account_keys  # a program is never loaded from a lookup table
    return instructions.memo([(keys[item.program_id_index], bytes(item.data)) for item in message.instructions])


def _encoding_config(params: Params, index: int) -> Config:
    """The configuration of calls that once took an encoding's name in its place."""
    value = params.get(index)
    return Config({"encoding": value}) if isinstance(value, str) else params.config(index)


def _unhealthy(error: UnhealthyError) -> RpcError:
    return RpcError(NODE_UNHEALTHY, f"Node is unhealthy: {error}", {"numSlotsBehind": None})
