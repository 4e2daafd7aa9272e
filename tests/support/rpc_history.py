"""One history on a validator, made by the same keys on any: what the embedded one and Agave are compared over.

Addresses, amounts and instructions are the same everywhere; what each validator makes up itself (blockhashes, slots,
times, and so signatures) is named, and stands in calls and answers as `$signature.mint`, `$slot.mint` and so on.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import time
from collections.abc import Callable, Sequence
from typing import Any

from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import (
    CreateAccountParams,
    InitializeNonceAccountParams,
    TransferParams,
    create_account,
    initialize_nonce_account,
    transfer,
)
from solders.transaction import VersionedTransaction

from authority.chain.programs import (
    PROGRAM_IDS,
    TOKEN_PROGRAM,
    associated_token_address,
    config_address,
    create_associated_token_account,
)
from authority.validator import base58
from authority.validator.instructions import LOOKUP_TABLE_PROGRAM, MEMO_PROGRAMS

MEMO = MEMO_PROGRAMS[0]
SYSTEM = Pubkey.default()
ABSENT = Pubkey(bytes(31) + b"\x77")
SOL = 1_000_000_000
DECIMALS = 3
WAIT_SECONDS = 60
POLL_SECONDS = 0.05


def key(name: str) -> Keypair:
    """The key of somebody in the history."""
    return Keypair.from_seed(hashlib.sha256(f"rpc history: {name}".encode()).digest())


ALICE, BOB, CAROL, DAVE, MINT, NONCE = (key(name) for name in ("alice", "bob", "carol", "dave", "mint", "nonce"))
FEW = key("few")
"""Somebody with too few lamports for what they send."""
MINT_ADDRESS = MINT.pubkey()
ALICES, CAROLS, DAVES = (associated_token_address(who.pubkey(), MINT_ADDRESS) for who in (ALICE, CAROL, DAVE))

_SET_PAUSED = bytes([91, 60, 125, 192, 176, 225, 166, 218])
_VARYING = {
    "blockHeight",
    "blockTime",
    "blockhash",
    "contextSlot",
    "lastValidBlockHeight",
    "parentSlot",
    "previousBlockhash",
    "recentBlockhash",
    "slot",
    "apiVersion",
    "parent",
    "root",
    "subscription",
    "lastExtendedSlot",
}
"""What a validator says of its own time; compared in kind."""


class Rpc:
    """A validator's HTTP door, as a client sees it."""

    def __init__(self, url: str) -> None:
        self._host = url.removeprefix("http://")

    def post(self, body: str) -> tuple[int, str, Any]:
        """The status, the content type, and the answer (text where it is not JSON)."""
        connection = http.client.HTTPConnection(self._host, timeout=WAIT_SECONDS)
        try:
            connection.request("POST", "/", body.encode(), {"Content-Type": "application/json"})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        try:
            answer = json.loads(text)
        except ValueError:
            answer = text
        return response.status, response.headers.get("Content-Type", ""), answer

    def call(self, method: str, *params: Any) -> Any:
        """The answer to one call, without what only JSON-RPC needs."""
        _, _, answer = self.post(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}))
        return {name: answer[name] for name in ("result", "error") if name in answer}

    def result(self, method: str, *params: Any) -> Any:
        """The result of a call that must succeed."""
        answer = self.call(method, *params)
        assert "result" in answer, (method, answer)
        return answer["result"]


class History:
    """The history, made once on the validator at a URL, where `payer` has lamports; None makes none."""

    def __init__(self, url: str, payer: Keypair | None) -> None:
        self.rpc = Rpc(url)
        self.signatures: dict[str, str] = {}
        self.slots: dict[str, int] = {}
        self._names: dict[str, str] = {}
        self._made: dict[str, str] = {}
        if payer is None:
            return
        self._begin(payer)
        self._tokens()
        self._failures()
        self._versions()
        self._wait_until_final()

    # The steps

    def _begin(self, payer: Keypair) -> None:
        self.land("fund", [pay(payer, ALICE.pubkey(), 100 * SOL)], payer)
        self._seen("airdrop", self.rpc.result("requestAirdrop", str(BOB.pubkey()), 2 * SOL))
        self.land("transfer", [pay(ALICE, CAROL.pubkey(), SOL)], ALICE)
        self.land("few", [pay(ALICE, FEW.pubkey(), 1_000_000)], ALICE)
        self.land("memo", [memo(b"first", ALICE), pay(ALICE, CAROL.pubkey(), 1), memo(b"second")], ALICE)

    def _tokens(self) -> None:
        alice, carol, dave = (who.pubkey() for who in (ALICE, CAROL, DAVE))
        create = CreateAccountParams(
            from_pubkey=alice, to_pubkey=MINT_ADDRESS, lamports=1_461_600, space=82, owner=TOKEN_PROGRAM
        )
        begin = bytes([20, DECIMALS]) + bytes(alice) + b"\x01" + bytes(alice)
        self.land("mint", [create_account(create), token(begin, [MINT_ADDRESS])], ALICE, MINT)
        self.land(
            "accounts", [create_associated_token_account(alice, who, MINT_ADDRESS) for who in (alice, carol)], ALICE
        )
        self.land("minted", [token(b"\x07" + u64(1_000_000), [MINT_ADDRESS, ALICES], ALICE)], ALICE)
        checked = token(b"\x0c" + u64(1_234) + bytes([DECIMALS]), [ALICES, MINT_ADDRESS, CAROLS], ALICE)
        self.land("sent", [checked, token(b"\x03" + u64(66), [ALICES, CAROLS], ALICE)], ALICE)
        self.land("approved", [token(b"\x04" + u64(500), [ALICES, dave], ALICE, read_only={dave})], ALICE)
        opened = create_associated_token_account(alice, dave, MINT_ADDRESS)
        self.land("opened", [opened, token(b"\x03" + u64(7), [ALICES, DAVES], DAVE)], ALICE, DAVE)
        emptied = token(b"\x03" + u64(7), [DAVES, ALICES], DAVE)
        self.land("closed", [emptied, token(b"\x09", [DAVES, alice], DAVE)], ALICE, DAVE)
        self.land("frozen", [token(b"\x0a", [CAROLS, MINT_ADDRESS], ALICE)], ALICE)

    def _failures(self) -> None:
        self.land("token failed", [token(b"\x03" + u64(10**9), [ALICES, CAROLS], ALICE)], ALICE, preflight=False)
        self.land("program failed", [set_paused()], ALICE, preflight=False)
        self.land(
            "second failed", [pay(ALICE, CAROL.pubkey(), 5), pay(ALICE, CAROL.pubkey(), 10**15)], ALICE, preflight=False
        )

    def _versions(self) -> None:
        self.land("nonce", list(open_nonce()), ALICE, NONCE)
        self.land("version 0", [pay(ALICE, CAROL.pubkey(), 3)], ALICE, version=0)
        table = self._lookup_table()
        self.land("version 0 with a table", [pay(ALICE, CAROL.pubkey(), 4)], ALICE, version=0, tables=[table])

    def _lookup_table(self) -> AddressLookupTableAccount:
        alice = ALICE.pubkey()
        slot = self.rpc.result("getSlot", {"commitment": "finalized"})
        table, bump = Pubkey.find_program_address([bytes(alice), slot.to_bytes(8, "little")], LOOKUP_TABLE_PROGRAM)
        self.name(str(table), "$table")
        signer = AccountMeta(alice, is_signer=True, is_writable=True)
        accounts = [AccountMeta(table, is_signer=False, is_writable=True), signer, signer]
        accounts.append(AccountMeta(SYSTEM, is_signer=False, is_writable=False))
        create = Instruction(LOOKUP_TABLE_PROGRAM, bytes(4) + u64(slot) + bytes([bump]), accounts)
        addresses = [CAROL.pubkey(), SYSTEM, ABSENT]
        data = (2).to_bytes(4, "little") + u64(len(addresses)) + b"".join(bytes(each) for each in addresses)
        self.land("table", [create, Instruction(LOOKUP_TABLE_PROGRAM, data, accounts)], ALICE)
        until = self.slots["table"] + 1
        self._wait(lambda: self.rpc.result("getSlot", {"commitment": "confirmed"}) > until)
        return AddressLookupTableAccount(table, addresses)

    def _wait_until_final(self) -> None:
        last = self.signatures["version 0 with a table"]
        self._wait(lambda: self._status(last, "finalized") is not None)
        for name, signature in self.signatures.items():
            found = self.rpc.result("getTransaction", signature, {"maxSupportedTransactionVersion": 0})
            self.slots[name] = found["slot"]

    # Making and sending

    def land(
        self,
        name: str,
        instructions: Sequence[Instruction],
        *signers: Keypair,
        preflight: bool = True,
        version: int | None = None,
        tables: Sequence[AddressLookupTableAccount] = (),
    ) -> None:
        """Send a transaction under a name, and wait until it is confirmed."""
        text = self.made(instructions, *signers, version=version, tables=tables)
        self._made[name] = text
        config = {"encoding": "base64", "skipPreflight": not preflight, "preflightCommitment": "confirmed"}
        self._seen(name, self.rpc.result("sendTransaction", text, config))

    def made(
        self,
        instructions: Sequence[Instruction],
        *signers: Keypair,
        version: int | None = None,
        tables: Sequence[AddressLookupTableAccount] = (),
        blockhash: Hash | None = None,
        sign: bool = True,
    ) -> str:
        """A transaction in base64; the first signer pays."""
        if blockhash is None:
            latest = self.rpc.result("getLatestBlockhash", {"commitment": "confirmed"})
            blockhash = Hash.from_string(latest["value"]["blockhash"])
        payer = signers[0].pubkey()
        message: Message | MessageV0
        if version is None:
            message = Message.new_with_blockhash(instructions, payer, blockhash)
        else:
            message = MessageV0.try_compile(payer, instructions, list(tables), blockhash)
        if sign:
            signed = VersionedTransaction(message, list(signers))
        else:
            count = message.header.num_required_signatures
            signed = VersionedTransaction.populate(message, [Signature.default()] * count)
        return base64.b64encode(bytes(signed)).decode()

    def _seen(self, name: str, signature: str) -> None:
        self.signatures[name] = signature
        self.name(signature, f"$signature.{name}")
        self._wait(lambda: self._status(signature, "confirmed") is not None)
        self.slots[name] = self._status(signature, "confirmed")["slot"]

    def _status(self, signature: str, least: str) -> Any:
        (status,) = self.rpc.result("getSignatureStatuses", [signature])["value"]
        levels = ("processed", "confirmed", "finalized")
        if status is None or levels.index(status["confirmationStatus"]) < levels.index(least):
            return None
        return status

    @staticmethod
    def _wait(done: Callable[[], bool]) -> None:
        until = time.monotonic() + WAIT_SECONDS
        while not done():
            assert time.monotonic() < until, "the validator did not come so far"
            time.sleep(POLL_SECONDS)

    # Names

    def name(self, value: str, name: str) -> None:
        """From now on this value is told by that name."""
        self._names[value] = name

    def resolved(self, value: Any) -> Any:
        """A call's parameters, with what the names in them stand for."""
        if isinstance(value, dict):
            return {name: self.resolved(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.resolved(each) for each in value]
        if not isinstance(value, str) or not value.startswith("$"):
            return value
        kind, _, rest = value.partition(".")
        match kind:
            case "$signature":
                return self.signatures[rest]
            case "$slot":
                return self.slots[rest]
            case "$table":
                return next(each for each, name in self._names.items() if name == "$table")
            case "$landed":
                return self._made[rest]
            case "$base58":
                return base58.encode(base64.b64decode(self.resolved(f"$made.{rest}")))
            case "$made":
                return self._fresh(rest)
            case "$message":
                made = VersionedTransaction.from_bytes(base64.b64decode(self._fresh(rest)))
                head = b"\x80" if isinstance(made.message, MessageV0) else b""
                return base64.b64encode(head + bytes(made.message)).decode()
            case "$blockhash":
                return self.rpc.result("getLatestBlockhash", {"commitment": "confirmed"})["value"]["blockhash"]
        raise AssertionError(f"nothing is named {value}")

    def _fresh(self, name: str) -> str:
        """A transaction that a call sends or simulates, made now."""
        alice, carol = ALICE.pubkey(), CAROL.pubkey()
        match name:
            case "transfer":
                text = self.made([pay(ALICE, carol, 1_000)], ALICE)
            case "version 0":
                text = self.made([pay(ALICE, carol, 1_000)], ALICE, version=0)
            case "unsigned":
                text = self.made([pay(ALICE, carol, 1_000)], ALICE, sign=False)
            case "old":
                text = self.made([pay(ALICE, carol, 1_000)], ALICE, blockhash=Hash.default())
            case "wrong signature":
                raw = bytearray(base64.b64decode(self.made([pay(ALICE, carol, 1_000)], ALICE)))
                raw[5] ^= 1
                text = base64.b64encode(bytes(raw)).decode()
            case "poor":
                text = self.made([pay(FEW, carol, SOL)], FEW)
            case "below rent":
                text = self.made([pay(FEW, carol, 500_000)], FEW)
            case "no payer":
                text = self.made([pay(key("nobody"), carol, 1)], key("nobody"))
            case "token failure":
                text = self.made([memo(b"before"), token(b"\x03" + u64(10**9), [ALICES, carol], ALICE)], ALICE)
            case "frozen":
                text = self.made([token(b"\x03" + u64(1), [ALICES, CAROLS], ALICE)], ALICE)
            case "program failure":
                text = self.made([set_paused()], ALICE)
            case "inner":
                text = self.made([create_associated_token_account(alice, key("new").pubkey(), MINT_ADDRESS)], ALICE)
            case "no program":
                text = self.made([Instruction(ABSENT, b"", [])], ALICE)
            case "no table":
                table = AddressLookupTableAccount(ABSENT, [carol])
                text = self.made([pay(ALICE, carol, 1)], ALICE, version=0, tables=[table])
            case "large":
                text = self.made([memo(bytes(1_100).replace(b"\0", b"x"))] * 2, ALICE)
            case _:
                raise AssertionError(f"there is no transaction {name}")
        signature = VersionedTransaction.from_bytes(base64.b64decode(text)).signatures[0]
        self.name(str(signature), f"$signature.{name}")
        return text

    def normal(self, value: Any, name: str = "") -> Any:
        """An answer as it is the same on every validator: what it made up itself is told by name or in kind."""
        if isinstance(value, dict):
            return {each: self.normal(value[each], each) for each in sorted(value)}
        if isinstance(value, list):
            return [self.normal(each) for each in value]
        if name in _VARYING:
            return kind(value)
        if isinstance(value, str):
            for known, its_name in self._names.items():
                value = value.replace(known, its_name)
        return value


def kind(value: Any) -> str | None:
    """The JSON type of a value; null stays null."""
    if value is None:
        return None
    return {bool: "<boolean>", int: "<number>", float: "<number>", str: "<string>"}[type(value)]


def kinds(value: Any) -> Any:
    """The shape of a value: keys, types, and the first of a list."""
    if isinstance(value, dict):
        return {name: kinds(value[name]) for name in sorted(value)}
    if isinstance(value, list):
        return [kinds(value[0])] if value else []
    return kind(value)


# Instructions


def u64(number: int) -> bytes:
    """Eight bytes, the least significant first."""
    return number.to_bytes(8, "little")


def pay(source: Keypair, target: Pubkey, lamports: int) -> Instruction:
    """A transfer of lamports."""
    return transfer(TransferParams(from_pubkey=source.pubkey(), to_pubkey=target, lamports=lamports))


def memo(text: bytes, signer: Keypair | None = None) -> Instruction:
    """A memo, signed or not."""
    accounts = [] if signer is None else [AccountMeta(signer.pubkey(), is_signer=True, is_writable=False)]
    return Instruction(MEMO, text, accounts)


def token(
    data: bytes, accounts: Sequence[Pubkey], signer: Keypair | None = None, read_only: set[Pubkey] | None = None
) -> Instruction:
    """An instruction of SPL Token, with who signs it at its end."""
    fixed = read_only or set()
    metas = [AccountMeta(each, is_signer=False, is_writable=each not in fixed) for each in accounts]
    if signer is not None:
        metas.append(AccountMeta(signer.pubkey(), is_signer=True, is_writable=False))
    return Instruction(TOKEN_PROGRAM, data, metas)


def set_paused() -> Instruction:
    """Governance's set_paused, which fails where governance is not initialized."""
    accounts = [
        AccountMeta(ALICE.pubkey(), is_signer=True, is_writable=False),
        AccountMeta(config_address(), is_signer=False, is_writable=True),
    ]
    return Instruction(PROGRAM_IDS["governance"], _SET_PAUSED + b"\x01\x00", accounts)


def open_nonce() -> tuple[Instruction, Instruction]:
    """A nonce account of Alice's."""
    create = CreateAccountParams(
        from_pubkey=ALICE.pubkey(), to_pubkey=NONCE.pubkey(), lamports=1_447_680, space=80, owner=SYSTEM
    )
    begin = InitializeNonceAccountParams(nonce_pubkey=NONCE.pubkey(), authority=ALICE.pubkey())
    return create_account(create), initialize_nonce_account(begin)
