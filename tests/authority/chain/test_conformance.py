"""The embedded validator's answers have the shape of Agave's: the same calls to both, compared key by key.

Values differ, of course; what must agree is which keys there are and of which JSON type, and the codes of errors.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest
from solders.compute_budget import set_compute_unit_limit
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import CreateAccountParams, TransferParams, create_account, transfer
from solders.transaction import VersionedTransaction

from authority.chain.client import ChainClient, sign_transaction
from authority.chain.errors import ChainError, RpcError
from authority.chain.programs import (
    CLOCK_SYSVAR,
    PROGRAM_IDS,
    TOKEN_PROGRAM,
    associated_token_address,
    create_associated_token_account,
    program_data_address,
)

pytestmark = [pytest.mark.agave, pytest.mark.slow]

MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")
NATIVE_MINT = "So11111111111111111111111111111111111111112"
ABSENT = Pubkey(bytes(31) + b"\x77")
CONFIRMED = {"commitment": "confirmed"}
V0 = {**CONFIRMED, "maxSupportedTransactionVersion": 0}

# What Agave says more, or otherwise, and why the embedded validator does not.
DIFFERENCES = {
    "costUnits": "the scheduler's cost model, which LiteSVM does not have",
    "loadedAccountsDataSize": "LiteSVM does not tell it",
}


class Scene:
    """The same history on a validator: a transfer, a failure that landed, a mint and a token account."""

    def __init__(self, url: str, payer: Keypair) -> None:
        self.client = ChainClient(url)
        self.payer = payer
        self.target = Keypair().pubkey()
        self.transfer = self.client.send([self.pay(7_000_000)], [], payer=payer)
        with pytest.raises(ChainError) as caught:
            self.client.send([self.pay(2**63)], [], payer=payer, preflight=False)
        self.failure: Signature = caught.value.signature  # type: ignore[attr-defined]
        mint = Keypair()
        self.mint = mint.pubkey()
        self.account = associated_token_address(self.target, self.mint)
        rent = self.client.call("getMinimumBalanceForRentExemption", 82)
        create = CreateAccountParams(
            from_pubkey=payer.pubkey(), to_pubkey=self.mint, lamports=rent, space=82, owner=TOKEN_PROGRAM
        )
        minted = [
            AccountMeta(self.mint, is_signer=False, is_writable=True),
            AccountMeta(self.account, is_signer=False, is_writable=True),
            AccountMeta(payer.pubkey(), is_signer=True, is_writable=False),
        ]
        self.minting = self.client.send(
            [
                create_account(create),
                Instruction(TOKEN_PROGRAM, bytes([20, 3]) + bytes(payer.pubkey()) + b"\x00", minted[:1]),
                create_associated_token_account(payer.pubkey(), self.target, self.mint),
                Instruction(TOKEN_PROGRAM, b"\x07" + (1_500).to_bytes(8, "little"), minted),
            ],
            [mint],
            payer=payer,
        )

    def pay(self, lamports: int) -> Instruction:
        return transfer(TransferParams(from_pubkey=self.payer.pubkey(), to_pubkey=self.target, lamports=lamports))

    def encoded(self, *instructions: Instruction, sign: bool = True, blockhash: Hash | None = None) -> str:
        recent = self.client.latest_blockhash()[0] if blockhash is None else blockhash
        signed = sign_transaction(instructions, [], self.payer, [], recent)
        if not sign:
            signed = VersionedTransaction.populate(signed.message, [Signature.default()])
        return base64.b64encode(bytes(signed)).decode()

    def message(self) -> str:
        message = MessageV0.try_compile(self.payer.pubkey(), [self.pay(1)], [], self.client.latest_blockhash()[0])
        return base64.b64encode(bytes([0x80]) + bytes(message)).decode()

    def slot_of(self, signature: Signature) -> int:
        record = self.client.transaction(signature)
        assert record is not None
        return record.slot

    def answer(self, method: str, params: list[Any]) -> Any:
        """The answer; of a block's transactions only our minting: Agave's votes stand before it or behind it."""
        try:
            result = self.client.call(method, *params)
            if method == "getBlock" and "transactions" in result:
                ours = [
                    entry for entry in result["transactions"] if str(self.minting) in entry["transaction"]["signatures"]
                ]
                assert len(ours) == 1, "the block holds the minting exactly once"
                result["transactions"] = ours
            return {"result": result}
        except RpcError as error:
            return {"error": {"code": error.number, "data": error.data}}


@pytest.fixture(scope="module")
def scenes(embedded_url: str, agave_url: str, payer: Keypair) -> tuple[Scene, Scene]:
    return Scene(embedded_url, payer), Scene(agave_url, payer)


BASE64 = {**CONFIRMED, "encoding": "base64"}
PARSED = {**CONFIRMED, "encoding": "jsonParsed"}
SIMULATED = {**BASE64, "replaceRecentBlockhash": True, "innerInstructions": True}

CALLS: dict[str, tuple[str, Callable[[Scene], list[Any]]]] = {
    "health": ("getHealth", lambda _: []),
    "version": ("getVersion", lambda _: []),
    "identity": ("getIdentity", lambda _: []),
    "genesis": ("getGenesisHash", lambda _: []),
    "slot": ("getSlot", lambda _: []),
    "height": ("getBlockHeight", lambda _: [CONFIRMED]),
    "epoch": ("getEpochInfo", lambda _: []),
    "schedule": ("getEpochSchedule", lambda _: []),
    "blockhash": ("getLatestBlockhash", lambda _: [CONFIRMED]),
    "blockhash is old": ("isBlockhashValid", lambda _: [str(Hash.default())]),
    "fee": ("getFeeForMessage", lambda scene: [scene.message(), CONFIRMED]),
    "fees": ("getRecentPrioritizationFees", lambda _: []),
    "rent": ("getMinimumBalanceForRentExemption", lambda _: [165]),
    "balance": ("getBalance", lambda scene: [str(scene.target), CONFIRMED]),
    "no balance": ("getBalance", lambda _: [str(ABSENT)]),
    "account": ("getAccountInfo", lambda scene: [str(scene.target), CONFIRMED]),
    "account in base58": ("getAccountInfo", lambda scene: [str(scene.target), {**CONFIRMED, "encoding": "base58"}]),
    "account in zstd": ("getAccountInfo", lambda scene: [str(scene.mint), {**CONFIRMED, "encoding": "base64+zstd"}]),
    "account too long for base58": (
        "getAccountInfo",
        lambda scene: [str(scene.account), {**CONFIRMED, "encoding": "base58"}],
    ),
    "no account": ("getAccountInfo", lambda _: [str(ABSENT), BASE64]),
    "parsed mint": ("getAccountInfo", lambda scene: [str(scene.mint), PARSED]),
    "parsed token account": ("getAccountInfo", lambda scene: [str(scene.account), PARSED]),
    "parsed program": ("getAccountInfo", lambda _: [str(PROGRAM_IDS["governance"]), PARSED]),
    "parsed program data": ("getAccountInfo", lambda _: [str(program_data_address(PROGRAM_IDS["governance"])), PARSED]),
    "parsed clock": ("getAccountInfo", lambda _: [str(CLOCK_SYSVAR), PARSED]),
    **{
        f"parsed sysvar {name}": ("getAccountInfo", lambda _, name=name: [name, PARSED])
        for name in (
            "SysvarRent111111111111111111111111111111111",
            "SysvarEpochSchedu1e111111111111111111111111",
            "SysvarEpochRewards1111111111111111111111111",
            "SysvarS1otHashes111111111111111111111111111",
            "SysvarRecentB1ockHashes11111111111111111111",
            "SysvarStakeHistory1111111111111111111111111",
            "SysvarLastRestartS1ot1111111111111111111111",
        )
    },
    "parsed mint of wrapped SOL": ("getAccountInfo", lambda _: [NATIVE_MINT, PARSED]),
    "account too long for the oldest encoding": ("getAccountInfo", lambda scene: [str(scene.account), CONFIRMED]),
    "parsed wallet": ("getAccountInfo", lambda scene: [str(scene.target), PARSED]),
    "accounts": ("getMultipleAccounts", lambda scene: [[str(scene.mint), str(ABSENT)], BASE64]),
    "program accounts": (
        "getProgramAccounts",
        lambda scene: [
            str(TOKEN_PROGRAM),
            {**BASE64, "filters": [{"memcmp": {"offset": 0, "bytes": str(scene.mint)}}]},
        ],
    ),
    "program accounts in context": (
        "getProgramAccounts",
        lambda scene: [
            str(TOKEN_PROGRAM),
            {**PARSED, "withContext": True, "filters": [{"memcmp": {"offset": 0, "bytes": str(scene.mint)}}]},
        ],
    ),
    "largest accounts": ("getLargestAccounts", lambda _: []),
    "supply": ("getSupply", lambda _: []),
    "token balance": ("getTokenAccountBalance", lambda scene: [str(scene.account), CONFIRMED]),
    "token supply": ("getTokenSupply", lambda scene: [str(scene.mint), CONFIRMED]),
    "token accounts": ("getTokenAccountsByOwner", lambda scene: [str(scene.target), {"mint": str(scene.mint)}, PARSED]),
    "token accounts of a program": (
        "getTokenAccountsByOwner",
        lambda scene: [str(scene.target), {"programId": str(TOKEN_PROGRAM)}, BASE64],
    ),
    "largest token accounts": ("getTokenLargestAccounts", lambda scene: [str(scene.mint), CONFIRMED]),
    "token accounts by state": (
        "getProgramAccounts",
        lambda scene: [
            str(TOKEN_PROGRAM),
            {**BASE64, "filters": ["tokenAccountState", {"memcmp": {"offset": 0, "bytes": str(scene.mint)}}]},
        ],
    ),
    "filter in no encoding": (
        "getProgramAccounts",
        lambda _: [str(TOKEN_PROGRAM), {"filters": [{"memcmp": {"offset": 0, "bytes": "1", "encoding": "hex"}}]}],
    ),
    "no token account": ("getTokenAccountBalance", lambda _: [str(ABSENT), CONFIRMED]),
    "not a token": ("getTokenSupply", lambda _: [str(MEMO), CONFIRMED]),
    "statuses": ("getSignatureStatuses", lambda scene: [[str(scene.failure), str(Signature.default())]]),
    "signatures": ("getSignaturesForAddress", lambda scene: [str(scene.target), {**CONFIRMED, "limit": 5}]),
    "transaction": ("getTransaction", lambda scene: [str(scene.transfer), V0]),
    "minting": ("getTransaction", lambda scene: [str(scene.minting), V0]),
    "failed transaction": ("getTransaction", lambda scene: [str(scene.failure), V0]),
    "transaction in base64": ("getTransaction", lambda scene: [str(scene.minting), {**V0, "encoding": "base64"}]),
    "parsed transfer": ("getTransaction", lambda scene: [str(scene.transfer), {**V0, "encoding": "jsonParsed"}]),
    "parsed minting": ("getTransaction", lambda scene: [str(scene.minting), {**V0, "encoding": "jsonParsed"}]),
    "parsed failure": ("getTransaction", lambda scene: [str(scene.failure), {**V0, "encoding": "jsonParsed"}]),
    "processed transaction": (
        "getTransaction",
        lambda scene: [str(scene.transfer), {"commitment": "processed", "maxSupportedTransactionVersion": 0}],
    ),
    "processed signatures": ("getSignaturesForAddress", lambda _: [str(MEMO), {"commitment": "processed"}]),
    "transaction without a version": ("getTransaction", lambda scene: [str(scene.transfer), CONFIRMED]),
    "no transaction": ("getTransaction", lambda _: [str(Signature.default()), V0]),
    "transaction count": ("getTransactionCount", lambda _: []),
    "block": ("getBlock", lambda scene: [scene.slot_of(scene.minting), V0]),
    "block's accounts": (
        "getBlock",
        lambda scene: [scene.slot_of(scene.minting), {**V0, "transactionDetails": "accounts"}],
    ),
    "block's signatures": (
        "getBlock",
        lambda scene: [scene.slot_of(scene.minting), {**V0, "transactionDetails": "signatures", "rewards": False}],
    ),
    "block time": ("getBlockTime", lambda scene: [scene.slot_of(scene.minting)]),
    "future block": ("getBlock", lambda _: [10**9]),
    "blocks": ("getBlocks", lambda scene: [scene.slot_of(scene.transfer), scene.slot_of(scene.minting), CONFIRMED]),
    "first block": ("getFirstAvailableBlock", lambda _: []),
    "minimum slot": ("minimumLedgerSlot", lambda _: []),
    "nodes": ("getClusterNodes", lambda _: []),
    "votes": ("getVoteAccounts", lambda _: []),
    "inflation": ("getInflationRate", lambda _: []),
    "inflation governor": ("getInflationGovernor", lambda _: []),
    "production of another": ("getBlockProduction", lambda _: [{"identity": str(ABSENT)}]),
    "production of nobody": ("getBlockProduction", lambda _: [{"identity": "nonsense"}]),
    "rewards of an epoch that is not over": ("getInflationReward", lambda _: [[str(ABSENT)]]),
    "votes of nobody": ("getVoteAccounts", lambda _: [7]),
    "commitment of no block": ("getBlockCommitment", lambda _: []),
    "samples": ("getRecentPerformanceSamples", lambda _: [721]),
    "leader": ("getSlotLeader", lambda _: []),
    "simulation": ("simulateTransaction", lambda scene: [scene.encoded(scene.pay(1_000_000), sign=False), SIMULATED]),
    "failing simulation": (
        "simulateTransaction",
        lambda scene: [scene.encoded(scene.pay(2**63), sign=False), SIMULATED],
    ),
    "simulation's accounts": (
        "simulateTransaction",
        lambda scene: [
            scene.encoded(scene.pay(1_000_000), sign=False),
            {**SIMULATED, "accounts": {"encoding": "base64", "addresses": [str(scene.target), str(ABSENT)]}},
        ],
    ),
    "preflight": (
        "sendTransaction",
        lambda scene: [scene.encoded(scene.pay(2**63)), {**BASE64, "preflightCommitment": "confirmed"}],
    ),
    "unsigned": ("sendTransaction", lambda scene: [scene.encoded(scene.pay(1), sign=False), BASE64]),
    "old blockhash": ("sendTransaction", lambda scene: [scene.encoded(scene.pay(1), blockhash=Hash.default()), BASE64]),
    "simulation with a wrong signature": (
        "simulateTransaction",
        lambda scene: [scene.encoded(scene.pay(1), sign=False), {**BASE64, "sigVerify": True}],
    ),
    "simulation with an old blockhash": (
        "simulateTransaction",
        lambda scene: [scene.encoded(scene.pay(1), blockhash=Hash.default()), BASE64],
    ),
    "program that is not there": (
        "sendTransaction",
        lambda scene: [scene.encoded(Instruction(ABSENT, b"", [])), {**BASE64, "preflightCommitment": "confirmed"}],
    ),
    "budget twice": (
        "simulateTransaction",
        lambda scene: [scene.encoded(set_compute_unit_limit(1), set_compute_unit_limit(1)), BASE64],
    ),
    "more accounts than there are": (
        "simulateTransaction",
        lambda scene: [
            scene.encoded(scene.pay(1)),
            {**SIMULATED, "accounts": {"encoding": "base64", "addresses": [str(ABSENT)] * 4}},
        ],
    ),
    "too large": ("sendTransaction", lambda _: [base64.b64encode(bytes(1_233)).decode(), BASE64]),
    "nonsense": ("sendTransaction", lambda _: ["nonsense", BASE64]),
    "both of two": (
        "simulateTransaction",
        lambda scene: [scene.encoded(scene.pay(1)), {**SIMULATED, "sigVerify": True}],
    ),
    "no such method": ("getNothing", lambda _: []),
    "no address": ("getBalance", lambda _: ["nonsense"]),
    "no parameter": ("getBalance", lambda _: []),
    "context slot": ("getBalance", lambda _: [str(ABSENT), {"minContextSlot": 10**12}]),
}

NULLABLE = {
    "confirmations": "a number until the slot is final, then null; here every slot is final at once",
    **dict.fromkeys(
        ("gossip", "serveRepair", "tpu", "tpuForwards", "tpuForwardsQuic", "tpuQuic", "tpuVote", "tvu"),
        "the embedded validator has no other ports than those of its RPC and its subscriptions",
    ),
    **dict.fromkeys(("rpc", "pubsub"), "told by `authority validator`, not by a bank alone"),
}
"""Keys that are null on one side only, by the nature of the two."""


def differences(mine: Any, theirs: Any, path: str = "") -> list[str]:
    """Where two answers differ in keys or types; numbers are one type, and an empty list fits every list."""
    if isinstance(mine, dict) and isinstance(theirs, dict):
        found = [f"{path}.{key}: only here" for key in mine.keys() - theirs.keys()]
        found += [f"{path}.{key}: only Agave has it" for key in theirs.keys() - mine.keys() if key not in DIFFERENCES]
        for key in mine.keys() & theirs.keys():
            if key in NULLABLE and None in (mine[key], theirs[key]):
                continue
            found += differences(mine[key], theirs[key], f"{path}.{key}")
        return found
    if isinstance(mine, list) and isinstance(theirs, list):
        return differences(mine[0], theirs[0], f"{path}[0]") if mine and theirs else []
    kinds = [
        "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__
        for value in (mine, theirs)
    ]
    return [] if kinds[0] == kinds[1] else [f"{path}: {kinds[0]} here, {kinds[1]} on Agave"]


@pytest.mark.parametrize("name", CALLS)
def test_answers_have_agaves_shape(scenes: tuple[Scene, Scene], name: str) -> None:
    method, params = CALLS[name]
    mine, theirs = (scene.answer(method, params(scene)) for scene in scenes)
    if "error" in theirs:
        assert mine.get("error", {}).get("code") == theirs["error"]["code"]
    assert differences(mine, theirs) == []
