"""The calls over which the embedded validator and Agave are compared, on the history of `rpc_history`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from rpc_history import ABSENT, ALICE, ALICES, BOB, CAROL, CAROLS, DAVE, DAVES, FEW, MEMO, MINT_ADDRESS, NONCE
from solders.signature import Signature

from authority.chain.programs import PROGRAM_IDS, TOKEN_PROGRAM, program_data_address

CONFIRMED = {"commitment": "confirmed"}
LEVELS = ("processed", "confirmed", "finalized")
NOBODY = str(ABSENT)
NO_SIGNATURE = str(Signature.default())
ALICE_ADDRESS, BOB_ADDRESS, CAROL_ADDRESS, DAVE_ADDRESS, NONCE_ADDRESS, FEW_ADDRESS = (
    str(who.pubkey()) for who in (ALICE, BOB, CAROL, DAVE, NONCE, FEW)
)
MINT, OF_ALICE, OF_CAROL, OF_DAVE = (str(each) for each in (MINT_ADDRESS, ALICES, CAROLS, DAVES))
TOKEN = str(TOKEN_PROGRAM)
GOVERNANCE = str(PROGRAM_IDS["governance"])
GOVERNANCE_DATA = str(program_data_address(PROGRAM_IDS["governance"]))
SYSVARS = (
    "SysvarC1ock11111111111111111111111111111111",
    "SysvarRent111111111111111111111111111111111",
    "SysvarEpochSchedu1e111111111111111111111111",
)
ENCODINGS = ("base58", "base64", "base64+zstd", "jsonParsed", "binary")
WRONG: tuple[Any, ...] = (7, -1, 1.5, True, "nonsense", [], {}, None)
LANDED = (
    "fund",
    "transfer",
    "memo",
    "mint",
    "accounts",
    "minted",
    "sent",
    "approved",
    "opened",
    "closed",
    "frozen",
    "token failed",
    "program failed",
    "second failed",
    "nonce",
    "version 0",
    "version 0 with a table",
)
SENT = (
    "unsigned",
    "old",
    "wrong signature",
    "poor",
    "below rent",
    "no payer",
    "token failure",
    "frozen",
    "program failure",
    "no program",
    "no table",
    "large",
)

Call = tuple[str, list[Any]]


def accounts() -> Iterator[Call]:
    """Calls about accounts."""
    everything = (ALICE_ADDRESS, CAROL_ADDRESS, NOBODY, MINT, OF_ALICE, OF_CAROL, OF_DAVE, NONCE_ADDRESS, "$table")
    for address in everything:
        yield "getBalance", [address]
        for encoding in ENCODINGS:
            yield "getAccountInfo", [address, {"encoding": encoding}]
        yield "getAccountInfo", [address]
    for address in (*SYSVARS, GOVERNANCE, TOKEN, str(MEMO), "11111111111111111111111111111111"):
        yield "getAccountInfo", [address, {"encoding": "jsonParsed"}]
        yield "getAccountInfo", [address, {"encoding": "base64", "dataSlice": {"offset": 0, "length": 0}}]
    for data_slice in ({"offset": 0, "length": 32}, {"offset": 32, "length": 40}, {"offset": 160, "length": 40}):
        for encoding in ENCODINGS:
            yield "getAccountInfo", [OF_ALICE, {"encoding": encoding, "dataSlice": data_slice}]
    for data_slice in ({"offset": 0, "length": 0}, {"offset": 500, "length": 1}, {"offset": 0, "length": 10**6}):
        yield "getAccountInfo", [OF_ALICE, {"encoding": "base64", "dataSlice": data_slice}]
    for data_slice in (
        {"offset": 1},
        {"length": 1},
        {},
        [],
        7,
        "1",
        {"offset": -1, "length": 1},
        {"offset": "0", "length": 1},
    ):
        yield "getAccountInfo", [OF_ALICE, {"encoding": "base64", "dataSlice": data_slice}]
    for encoding in ("BASE64", "json", "base63", 7, "", None, ["base64"], {}):
        yield "getAccountInfo", [ALICE_ADDRESS, {"encoding": encoding}]
    for level in (*LEVELS, "recent", "single", "singleGossip", "root", "max", "Confirmed", "", 7, None, {}):
        yield "getBalance", [CAROL_ADDRESS, {"commitment": level}]
    for slot in (0, 1, 10**12, -1, "5", 1.5, None, 2**64):
        yield "getBalance", [CAROL_ADDRESS, {"minContextSlot": slot}]
        yield "getAccountInfo", [CAROL_ADDRESS, {"minContextSlot": slot, "encoding": "base64"}]
    for wrong in (*WRONG, "1" * 31, "1" * 33, "l" * 32, "1" * 200, CAROL_ADDRESS + " ", CAROL_ADDRESS[:-1]):
        yield "getBalance", [wrong]
        yield "getAccountInfo", [wrong]
    for config in (7, "base64", [], True, {"unknown": 1}, {"encoding": "base64", "unknown": []}):
        yield "getBalance", [CAROL_ADDRESS, config]
        yield "getAccountInfo", [CAROL_ADDRESS, config]
    for params in ([], [CAROL_ADDRESS, None], [CAROL_ADDRESS, None, None], [CAROL_ADDRESS, {}, {}]):
        yield "getBalance", params
        yield "getAccountInfo", params
    some = [MINT, NOBODY, OF_ALICE, MINT]
    for encoding in ENCODINGS:
        yield "getMultipleAccounts", [[MINT, NOBODY], {"encoding": encoding, "dataSlice": {"offset": 0, "length": 8}}]
        yield "getMultipleAccounts", [[ALICE_ADDRESS, NOBODY, ALICE_ADDRESS], {"encoding": encoding}]
    yield "getMultipleAccounts", [some, {"encoding": "jsonParsed"}]
    yield "getMultipleAccounts", [[OF_ALICE], {"encoding": "base58"}]
    for params in (
        [some],
        [[]],
        [],
        [MINT],
        [[7]],
        [["x"]],
        [[MINT], 7],
        [[NOBODY] * 100],
        [[NOBODY] * 101],
        [[None]],
        [{}],
    ):
        yield "getMultipleAccounts", params


def program_accounts() -> Iterator[Call]:
    """Calls about the accounts of a program."""
    of_mint = {"memcmp": {"offset": 0, "bytes": MINT}}
    for encoding in (*ENCODINGS, None, "json"):
        yield "getProgramAccounts", [TOKEN, {"encoding": encoding, "filters": [of_mint]}]
    for more in (
        {"withContext": True},
        {"withContext": False},
        {"withContext": None},
        {"withContext": 1},
        {"sortResults": True},
        {"sortResults": False},
        {"sortResults": 7},
        {"dataSlice": {"offset": 64, "length": 8}},
        {"dataSlice": {"offset": 64, "length": 8}, "encoding": "base58"},
        {"minContextSlot": 10**12},
        {"minContextSlot": 1, "withContext": True},
        *({"commitment": level} for level in LEVELS),
    ):
        yield "getProgramAccounts", [TOKEN, {"encoding": "base64", "filters": [of_mint], **more}]
    raw = bytes(MINT_ADDRESS)
    chosen: list[Any] = [
        [{"dataSize": 165}],
        [{"dataSize": 82}],
        [{"dataSize": 7}],
        [{"dataSize": -1}],
        [{"dataSize": "165"}],
        [{"dataSize": 165}, of_mint],
        [{"dataSize": 165}, of_mint, {"memcmp": {"offset": 32, "bytes": ALICE_ADDRESS}}],
        [{"memcmp": {"offset": 0, "bytes": list(raw)}}],
        [{"memcmp": {"offset": 0, "bytes": list(raw), "encoding": "bytes"}}],
        [{"memcmp": {"offset": 0, "bytes": MINT, "encoding": "base58"}}],
        [{"memcmp": {"offset": 0, "bytes": MINT, "encoding": "bytes"}}],
        [{"memcmp": {"offset": 0, "bytes": MINT, "encoding": None}}],
        [{"memcmp": {"offset": 0, "bytes": MINT, "encoding": "binary"}}],
        [{"memcmp": {"offset": 0, "bytes": _base64(raw), "encoding": "base64"}}],
        [{"memcmp": {"offset": 0, "bytes": _base64(raw)}}],
        [{"memcmp": {"offset": 0, "bytes": "!", "encoding": "base64"}}],
        [{"memcmp": {"offset": 0, "bytes": "0OIl"}}],
        [{"memcmp": {"offset": 0, "bytes": ""}}, of_mint],
        [{"memcmp": {"offset": 0, "bytes": [256]}}],
        [{"memcmp": {"offset": 0, "bytes": [1] * 128}}],
        [{"memcmp": {"offset": 0, "bytes": [1] * 129}}],
        [{"memcmp": {"offset": 0, "bytes": "1" * 128}}],
        [{"memcmp": {"offset": 0, "bytes": "1" * 129}}],
        [{"memcmp": {"offset": 0, "bytes": "1" * 176}}],
        [{"memcmp": {"offset": 0, "bytes": "A" * 173, "encoding": "base64"}}],
        [{"memcmp": {"offset": 10**6, "bytes": "2"}}],
        [{"memcmp": {"offset": -1, "bytes": "2"}}],
        [{"memcmp": {"bytes": "2"}}],
        [{"memcmp": {"offset": 0}}],
        [{"memcmp": {}}],
        [{"memcmp": []}],
        [{"memcmp": {"offset": 0, "bytes": MINT, "unknown": 1}}],
        ["tokenAccountState", of_mint],
        [{"tokenAccountState": None}, of_mint],
        [{"tokenAccountState": {}}, of_mint],
        ["dataSize"],
        [{"unknown": 1}],
        [{}],
        [7],
        [None],
        [of_mint] * 4,
        [of_mint] * 5,
        [],
        {},
        7,
        "tokenAccountState",
    ]
    for filters in chosen:
        yield "getProgramAccounts", [NOBODY if filters == [] else TOKEN, {"encoding": "base64", "filters": filters}]
    yield "getProgramAccounts", [NOBODY]
    yield "getProgramAccounts", [ALICE_ADDRESS, {"encoding": "base64", "withContext": True}]
    for params in ([], [7], ["nonsense"], [TOKEN, 7], [TOKEN, "base64"], [TOKEN, {}, {}], [[TOKEN]]):
        yield "getProgramAccounts", params


def tokens() -> Iterator[Call]:
    """Calls about tokens."""
    for address in (OF_ALICE, OF_CAROL, OF_DAVE, MINT, ALICE_ADDRESS, NOBODY, "nonsense", 7):
        yield "getTokenAccountBalance", [address]
        yield "getTokenSupply", [address]
        yield "getTokenLargestAccounts", [address]
    for method in ("getTokenAccountBalance", "getTokenSupply", "getTokenLargestAccounts"):
        good = OF_ALICE if method == "getTokenAccountBalance" else MINT
        for level in LEVELS:
            yield method, [good, {"commitment": level}]
        for more in ([{"minContextSlot": 10**12}], [7], [{"unknown": 1}], [{}, {}], ["confirmed"]):
            yield method, [good, *more]
        yield method, []
    for method, owner in (("getTokenAccountsByOwner", ALICE_ADDRESS), ("getTokenAccountsByDelegate", DAVE_ADDRESS)):
        for encoding in (*ENCODINGS, None, "json"):
            for wanted in ({"mint": MINT}, {"programId": TOKEN}):
                yield method, [owner, wanted, {"encoding": encoding}]
        yield method, [owner, {"mint": MINT}, {"encoding": "base58", "dataSlice": {"offset": 64, "length": 8}}]
        yield method, [owner, {"mint": MINT}, {"encoding": "base64", "minContextSlot": 10**12}]
        yield method, [owner, {"mint": MINT}, {"encoding": "jsonParsed", "commitment": "processed"}]
        for wanted in (
            {"mint": NOBODY},
            {"mint": ALICE_ADDRESS},
            {"mint": "nonsense"},
            {"programId": NOBODY},
            {"programId": GOVERNANCE},
            {"programId": "TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"},
            {"mint": MINT, "programId": TOKEN},
            {},
            {"unknown": MINT},
            {"mint": 7},
            7,
            MINT,
            None,
        ):
            yield method, [owner, wanted, {"encoding": "jsonParsed"}]
        for who in (NOBODY, "nonsense", 7, None, CAROL_ADDRESS):
            yield method, [who, {"mint": MINT}, {"encoding": "jsonParsed"}]
        for params in (
            [],
            [owner],
            [owner, {"mint": MINT}],
            [owner, {"mint": MINT}, 7],
            [owner, {"mint": MINT}, {}, {}],
        ):
            yield method, params


def transactions() -> Iterator[Call]:
    """Calls about what has landed."""
    for name in LANDED:
        for encoding in ("json", "jsonParsed", "base64", "base58", "binary"):
            config = {"encoding": encoding, "maxSupportedTransactionVersion": 0}
            yield "getTransaction", [f"$signature.{name}", config]
    for version in (None, 0, 1, 255, 256, -1, "0", "legacy", True):
        for name in ("transfer", "version 0"):
            yield "getTransaction", [f"$signature.{name}", {"maxSupportedTransactionVersion": version}]
    for name in ("transfer", "version 0"):
        yield "getTransaction", [f"$signature.{name}"]
        for config in ("json", "jsonParsed", "base64", "base58", "binary", "nonsense", 7, [], {}, {"unknown": 1}, None):
            yield "getTransaction", [f"$signature.{name}", config]
    for encoding in ("base64+zstd", "JSON", 7, None):
        yield "getTransaction", ["$signature.transfer", {"encoding": encoding}]
    for level in (*LEVELS, "max", "x"):
        yield "getTransaction", ["$signature.transfer", {"commitment": level}]
    for wrong in (*WRONG, NO_SIGNATURE, "1" * 63, "1" * 65, "1" * 200, ALICE_ADDRESS):
        yield "getTransaction", [wrong]
    yield "getTransaction", []
    yield "getTransaction", ["$signature.transfer", {}, {}]
    three = ["$signature.transfer", "$signature.token failed", NO_SIGNATURE]
    for params in (
        [three],
        [three, {"searchTransactionHistory": True}],
        [three, {"searchTransactionHistory": False}],
        [three, {"searchTransactionHistory": "yes"}],
        [three, {"unknown": 1}],
        [three, 7],
        [three, {}, {}],
        [[]],
        [],
        [NO_SIGNATURE],
        [["nonsense"]],
        [[7]],
        [[NO_SIGNATURE] * 256],
        [[NO_SIGNATURE] * 257],
        [
            ["$signature.program failed", "$signature.second failed", "$signature.version 0"],
            {"searchTransactionHistory": True},
        ],
    ):
        yield "getSignatureStatuses", params
    for config in (
        {},
        {"limit": 3},
        {"limit": 1},
        {"limit": 1000},
        {"limit": 0},
        {"limit": 1001},
        {"limit": -1},
        {"limit": "3"},
        {"limit": None},
        {"before": "$signature.sent"},
        {"until": "$signature.sent"},
        {"before": "$signature.frozen", "until": "$signature.sent"},
        {"before": "$signature.sent", "until": "$signature.frozen"},
        {"before": "$signature.frozen", "limit": 2},
        {"before": "$signature.airdrop", "limit": 2},
        {"until": NO_SIGNATURE, "limit": 2},
        {"before": NO_SIGNATURE, "limit": 2},
        {"before": "nonsense"},
        {"until": 7},
        {"before": 7},
        {"minContextSlot": 10**12},
        {"unknown": 1},
        *({"commitment": level} for level in LEVELS),
    ):
        yield "getSignaturesForAddress", [ALICE_ADDRESS, config]
    for address in (
        CAROL_ADDRESS,
        MINT,
        OF_CAROL,
        NOBODY,
        FEW_ADDRESS,
        NONCE_ADDRESS,
        str(MEMO),
        GOVERNANCE,
        DAVE_ADDRESS,
    ):
        yield "getSignaturesForAddress", [address]
    for params in ([], [7], ["nonsense"], [ALICE_ADDRESS, 7], [ALICE_ADDRESS, "x"], [NOBODY, {}, {}], [NOBODY, None]):
        yield "getSignaturesForAddress", params


def blocks() -> Iterator[Call]:
    """Calls about blocks."""
    for name in ("sent", "version 0 with a table", "program failed"):
        for details in ("full", "accounts", "signatures", "none"):
            for encoding in ("json", "jsonParsed", "base64"):
                config = {"encoding": encoding, "transactionDetails": details, "maxSupportedTransactionVersion": 0}
                yield "getBlock", [f"$slot.{name}", {**config, "rewards": False}]
    for rewards in (True, False, None, 1):
        yield "getBlock", ["$slot.sent", {"transactionDetails": "none", "rewards": rewards}]
    for config in (
        {"transactionDetails": "all"},
        {"transactionDetails": 7},
        {"transactionDetails": None, "rewards": False, "maxSupportedTransactionVersion": 0},
        {"encoding": "x"},
        {"commitment": "processed"},
        {"commitment": "confirmed", "transactionDetails": "none", "rewards": False},
        {"maxSupportedTransactionVersion": "0"},
        {"unknown": 1, "transactionDetails": "none", "rewards": False},
        7,
        "nonsense",
        [],
    ):
        yield "getBlock", ["$slot.sent", config]
    yield "getBlock", ["$slot.version 0", {"transactionDetails": "full", "rewards": False}]
    yield "getBlock", ["$slot.version 0", {"transactionDetails": "accounts", "rewards": False}]
    yield "getBlock", ["$slot.version 0", {"transactionDetails": "signatures", "rewards": False}]
    for wrong in (*WRONG, 10**9, 2**64):
        yield "getBlock", [wrong]
        yield "getBlockTime", [wrong]
        yield "getBlockCommitment", [wrong]
    for method in ("getBlock", "getBlockTime", "getBlocks", "getBlocksWithLimit", "getBlockCommitment"):
        yield method, []
    yield "getBlockTime", ["$slot.sent"]
    yield "getBlockTime", ["$slot.sent", {}]
    for params in (
        [10**9],
        [10**9, 10**9 + 1],
        ["$slot.sent", 10**9],
        ["$slot.sent", 0],
        ["x"],
        [0, "x"],
        [0, 500_001],
        ["$slot.sent", "$slot.sent"],
        ["$slot.sent", "$slot.sent", {"commitment": "processed"}],
        ["$slot.sent", "$slot.sent", {"commitment": "confirmed"}],
        ["$slot.sent", "$slot.sent", 7],
        ["$slot.sent", "$slot.sent", {}, {}],
        ["$slot.sent", {"commitment": "processed"}],
    ):
        yield "getBlocks", params
    for params in (
        [0],
        [10**9, 5],
        ["$slot.sent", 0],
        ["$slot.sent", 500_001],
        ["$slot.sent", "x"],
        ["$slot.sent", 1, {"commitment": "processed"}],
        ["$slot.sent", 1, 7],
    ):
        yield "getBlocksWithLimit", params


def sending() -> Iterator[Call]:
    """Calls that send or simulate."""
    checked = {"encoding": "base64", "preflightCommitment": "confirmed"}
    quiet = {"encoding": "base64", "commitment": "confirmed"}
    for name in SENT:
        yield "sendTransaction", [f"$made.{name}", checked]
        yield "simulateTransaction", [f"$made.{name}", quiet]
    for name in ("unsigned", "wrong signature", "large"):
        yield "sendTransaction", [f"$made.{name}", {**checked, "skipPreflight": True}]
    for name in ("no payer", "poor", "old"):
        yield "sendTransaction", [f"$made.{name}", {**checked, "skipPreflight": True}]
    yield "sendTransaction", ["$landed.transfer", checked]
    yield "sendTransaction", ["$landed.transfer", {**checked, "skipPreflight": True}]
    yield "simulateTransaction", ["$landed.transfer", quiet]
    more: tuple[dict[str, Any], ...] = (
        {"encoding": "base63"},
        {"encoding": "json"},
        {"encoding": 7},
        {"encoding": None},
        {"encoding": "base64", "skipPreflight": "yes"},
        {"encoding": "base64", "preflightCommitment": "x"},
        {"encoding": "base64", "maxRetries": -1},
        {"encoding": "base64", "maxRetries": "1"},
        {"encoding": "base64", "minContextSlot": 10**12},
        {"encoding": "base64", "minContextSlot": "1"},
    )
    for config in more:
        yield "sendTransaction", ["$made.poor", config]
        yield "simulateTransaction", ["$made.poor", config]
    for text in (*WRONG, "", "AAAA", "!!!!", "A" * 1_644, "A" * 1_648, "1" * 1_683, "1" * 1_684):
        for encoding in ("base64", "base58"):
            yield "sendTransaction", [text, {"encoding": encoding}]
            yield "simulateTransaction", [text, {"encoding": encoding}]
    for method in ("sendTransaction", "simulateTransaction"):
        yield method, []
        yield method, ["$made.poor", 7]
        yield method, ["$made.poor", "base64"]
        yield method, ["$base58.poor"]
        yield (
            method,
            ["$base58.poor", {"encoding": "base58", "preflightCommitment": "confirmed", "commitment": "confirmed"}],
        )
        yield (
            method,
            ["$made.poor", {"encoding": "base64", "preflightCommitment": "confirmed", "commitment": "confirmed"}, {}],
        )
    for name in ("transfer", "inner", "version 0", "unsigned", "wrong signature", "old", "program failure", "poor"):
        for config in (
            {},
            {"sigVerify": True},
            {"replaceRecentBlockhash": True},
            {"replaceRecentBlockhash": True, "sigVerify": True},
            {"innerInstructions": True},
            {"innerInstructions": False},
            {"accounts": {"encoding": "base64", "addresses": [CAROL_ADDRESS, NOBODY]}},
        ):
            yield "simulateTransaction", [f"$made.{name}", {**quiet, **config}]
    for wanted in (
        {"addresses": [CAROL_ADDRESS], "encoding": "jsonParsed"},
        {"addresses": [OF_ALICE], "encoding": "jsonParsed"},
        {"addresses": [OF_ALICE], "encoding": "base64+zstd"},
        {"addresses": [CAROL_ADDRESS], "encoding": "base58"},
        {"addresses": [CAROL_ADDRESS], "encoding": "binary"},
        {"addresses": [CAROL_ADDRESS]},
        {"addresses": []},
        {"addresses": ["nonsense"]},
        {"addresses": [7]},
        {"addresses": [CAROL_ADDRESS] * 3, "encoding": "base64"},
        {"addresses": [CAROL_ADDRESS] * 4, "encoding": "base64"},
        {"encoding": "base64"},
        {},
        [],
        7,
        None,
    ):
        yield "simulateTransaction", ["$made.transfer", {**quiet, "accounts": wanted}]
    for config in ({"sigVerify": 1}, {"replaceRecentBlockhash": "x"}, {"innerInstructions": 7}, {"unknown": 1}):
        yield "simulateTransaction", ["$made.transfer", {**quiet, **config}]
    for params in (
        [],
        [BOB_ADDRESS],
        ["nonsense", 1],
        [BOB_ADDRESS, -1],
        [BOB_ADDRESS, "1"],
        [BOB_ADDRESS, 1.5],
        [7, 1],
    ):
        yield "requestAirdrop", params
    yield "requestAirdrop", [BOB_ADDRESS, 1, 7]
    for name in ("transfer", "version 0", "memo"):
        if name != "memo":
            yield "getFeeForMessage", [f"$message.{name}", CONFIRMED]
    for params in (
        ["$message.old", CONFIRMED],
        ["nonsense"],
        ["AAAA"],
        [7],
        [],
        ["$message.transfer", {"minContextSlot": 10**12}],
    ):
        yield "getFeeForMessage", params
    yield "getFeeForMessage", ["$message.inner", CONFIRMED]
    yield "getFeeForMessage", ["A" * 1_648]
    yield "isBlockhashValid", ["$blockhash", CONFIRMED]
    for params in (
        ["11111111111111111111111111111111"],
        ["nonsense"],
        [7],
        [],
        ["$blockhash", {"minContextSlot": 10**12}],
    ):
        yield "isBlockhashValid", params


def node() -> Iterator[Call]:
    """Calls about the validator itself; only their shape is compared."""
    for method in (
        "getHealth",
        "getVersion",
        "getIdentity",
        "getGenesisHash",
        "getSlot",
        "getBlockHeight",
        "getEpochInfo",
        "getEpochSchedule",
        "getSlotLeader",
        "getLatestBlockhash",
        "getRecentPrioritizationFees",
        "getLargestAccounts",
        "getSupply",
        "getTransactionCount",
        "getFirstAvailableBlock",
        "minimumLedgerSlot",
        "getMaxRetransmitSlot",
        "getMaxShredInsertSlot",
        "getInflationRate",
        "getInflationGovernor",
        "getBlockProduction",
        "getClusterNodes",
        "getVoteAccounts",
        "getStakeMinimumDelegation",
        "getRecentPerformanceSamples",
        "getHighestSnapshotSlot",
        "getLeaderSchedule",
        "getSlotLeaders",
        "getMinimumBalanceForRentExemption",
        "getInflationReward",
    ):
        yield method, []
        yield method, [7]
        yield method, [{}]
        yield method, ["x"]
        yield method, [None]
        yield method, [{}, {}, {}, {}]
        for level in (*LEVELS, "x"):
            yield method, [{"commitment": level}]
        yield method, [{"minContextSlot": 10**12}]
    yield "getSupply", [{"excludeNonCirculatingAccountsList": True}]
    yield "getSupply", [{"excludeNonCirculatingAccountsList": 7}]
    for which in ("circulating", "nonCirculating", "x", 7):
        yield "getLargestAccounts", [{"filter": which}]
    yield "getSlotLeaders", [1, 2]
    yield "getSlotLeaders", [1, 5_000]
    yield "getSlotLeaders", [1, 5_001]
    yield "getSlotLeaders", [1, 0]
    yield "getSlotLeaders", ["x", 1]
    yield "getLeaderSchedule", [None, {"identity": NOBODY}]
    yield "getLeaderSchedule", [None, {"identity": "x"}]
    yield "getLeaderSchedule", [10**12]
    yield "getVoteAccounts", [{"votePubkey": NOBODY}]
    yield "getVoteAccounts", [{"votePubkey": "x"}]
    yield "getBlockProduction", [{"range": {"firstSlot": 0}}]
    yield "getBlockProduction", [{"range": {"firstSlot": 0, "lastSlot": 10**9}}]
    yield "getBlockProduction", [{"range": {"lastSlot": 1}}]
    yield "getBlockProduction", [{"range": 7}]
    for size in (0, 82, 165, 10_485_760, 10_485_761, -1, "x", 1.5):
        yield "getMinimumBalanceForRentExemption", [size]
        yield "getMinimumBalanceForRentExemption", [size, CONFIRMED]
    for fees in ([], [ALICE_ADDRESS], ["x"], [NOBODY] * 128, [NOBODY] * 129):
        yield "getRecentPrioritizationFees", [fees]
    for limit in (0, 1, 720, 721, -1):
        yield "getRecentPerformanceSamples", [limit]
    for params in ([[ALICE_ADDRESS], {"epoch": 10**6}], [["x"]], [[ALICE_ADDRESS], 7]):
        yield "getInflationReward", params
    for method in (
        "getConfirmedTransaction",
        "getRecentBlockhash",
        "getFees",
        "getSnapshotSlot",
        "getStakeActivation",
        "getNothing",
        "",
        "accountSubscribe",
        "GETHEALTH",
    ):
        yield method, []


HEALTH = '{"jsonrpc":"2.0","id":%s,"method":"getHealth"%s}'
BODIES = (
    *(
        HEALTH % (each, "")
        for each in ("1", "0", "-1", "1.5", '"a"', '""', "null", "true", "[]", "{}", "18446744073709551615")
    ),
    *(HEALTH % (each, "") for each in ("18446744073709551616", "1e3", '"é\\u0000"')),
    *(
        HEALTH % ("1", f',"params":{each}')
        for each in ("null", "[]", "{}", "7", '"x"', "true", "[1]", '{"a":1}', "[null]", "[[]]")
    ),
    '{"jsonrpc":"2.0","method":"getHealth"}',
    '{"jsonrpc":"2.0","method":"getNothing"}',
    '{"jsonrpc":"1.0","id":1,"method":"getHealth"}',
    '{"jsonrpc":2.0,"id":1,"method":"getHealth"}',
    '{"jsonrpc":null,"id":1,"method":"getHealth"}',
    '{"id":1,"method":"getHealth"}',
    '{"method":"getHealth"}',
    '{"jsonrpc":"2.0","id":1}',
    '{"jsonrpc":"2.0","id":1,"method":7}',
    '{"jsonrpc":"2.0","id":1,"method":null}',
    '{"jsonrpc":"2.0","id":1,"method":"getHealth","more":1}',
    '{"jsonrpc":"2.0","id":1,"id":2,"method":"getHealth"}',
    '{"jsonrpc":"2.0","id":1,"result":1}',
    "",
    " ",
    "[]",
    "{}",
    "7",
    "null",
    "true",
    '"getHealth"',
    "{",
    "[",
    "[1]",
    "[{}]",
    "[[]]",
    "[null]",
    '[1,"x"]',
    "nonsense",
    "NaN",
    " " + HEALTH % ("1", "") + "\n",
    HEALTH % ("1", "") + "x",
    HEALTH % ("1", "") + HEALTH % ("2", ""),
    f"[{HEALTH % ('1', '')}]",
    f"[{HEALTH % ('1', '')},{HEALTH % ('1', '')}]",
    f'[{HEALTH % ("1", "")},{{"jsonrpc":"2.0","method":"getHealth"}}]',
    '[{"jsonrpc":"2.0","method":"getHealth"}]',
    f"[{HEALTH % ('1', '')},7]",
    f'[{HEALTH % ("1", "")},{{"jsonrpc":"2.0","id":2,"method":"getNothing"}}]',
    f'[{HEALTH % ("1", "")},{{"jsonrpc":"2.0","id":2,"method":"getBalance"}}]',
    '{"jsonrpc":"2.0","id":1,"method":"getBalance","params":{"address":"x"}}',
    '{"jsonrpc":"2.0","id":1,"method":"getBalance","params":"x"}',
)
"""Bodies of a POST, as they are sent."""

KIND_ONLY = {method for method, _ in node()} | {
    "getBlocks",
    "getBlocksWithLimit",
    "getBlockTime",
    "getBlockCommitment",
}
"""Methods whose results are compared in kind alone."""


def calls() -> list[Call]:
    """All of them, each once."""
    found = {}
    for group in (accounts, program_accounts, tokens, transactions, blocks, node, sending):
        for method, params in group():
            found[json.dumps([method, params], sort_keys=True)] = (method, params)
    return list(found.values())


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
