"""Accounts and transactions in the JSON shapes of Solana's RPC."""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from solders.account import Account
from solders.address_lookup_table_account import AddressLookupTable
from solders.clock import Clock
from solders.hash import Hash
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from authority.validator import base58, instructions, tokens
from authority.validator.errors import INVALID_REQUEST, UNSUPPORTED_TRANSACTION_VERSION, RpcError, invalid_params
from authority.validator.genesis import PROGRAM_DATA_HEADER_SIZE, SYSTEM_PROGRAM, UPGRADEABLE_LOADER
from authority.validator.ledger import Landed

VERSION = "4.1.2"
"""The Agave release whose runtime LiteSVM is built from (solders 0.29)."""
VERSION_INFO = {"solana-core": VERSION, "feature-set": 0}
"""What getVersion tells, at either door."""

RENT_EPOCH = (1 << 64) - 1
"""What every account's rentEpoch is: rent is no longer collected."""

ACCOUNT_ENCODINGS = ("binary", "base58", "base64", "base64+zstd", "jsonParsed")
TRANSACTION_ENCODINGS = ("binary", "base58", "base64", "json", "jsonParsed")
MAX_BASE58_SIZE = 128
NONCE_SIZE = 80

_ACCOUNTS_META = (
    "err",
    "status",
    "fee",
    "preBalances",
    "postBalances",
    "preTokenBalances",
    "postTokenBalances",
    "rewards",
)
_ZSTD_MAX_BLOCK = 128 * 1024


def zstd_stored(data: bytes) -> bytes:
    """A Zstandard frame (RFC 8878) of raw blocks: what `base64+zstd` asks for, without compressing anything."""
    frame = bytearray(struct.pack("<IBQ", 0xFD2FB528, 0b1110_0000, len(data)))  # single segment, 8-byte content size
    starts = range(0, max(len(data), 1), _ZSTD_MAX_BLOCK)
    for start in starts:
        block = data[start : start + _ZSTD_MAX_BLOCK]
        last = start + _ZSTD_MAX_BLOCK >= len(data)
        frame += struct.pack("<I", len(block) << 3 | last)[:3] + block
    return bytes(frame)


def account(
    address: Pubkey,
    found: Account,
    encoding: str,
    data_slice: tuple[int, int] | None,
    lookup: Callable[[Pubkey], Account | None],
) -> dict[str, Any]:
    """An account; `data_slice` is offset and length. RpcError -32600 where base58 would be too long."""
    return {
        "lamports": found.lamports,
        "data": _account_data(address, found, encoding, data_slice, lookup),
        "owner": str(found.owner),
        "executable": found.executable,
        "rentEpoch": RENT_EPOCH,
        "space": len(found.data),
    }


def _account_data(
    address: Pubkey,
    found: Account,
    encoding: str,
    data_slice: tuple[int, int] | None,
    lookup: Callable[[Pubkey], Account | None],
) -> Any:
    data = bytes(found.data)
    if encoding == "jsonParsed":
        parsed = parsed_account(address, found, lookup)
        if parsed is not None:
            return parsed
    if data_slice is not None:
        offset, length = data_slice
        data = data[offset : offset + length]
    if encoding in ("binary", "base58"):
        if len(data) > MAX_BASE58_SIZE:
            raise RpcError(
                INVALID_REQUEST,
                f"Encoded binary (base 58) data should be less than {MAX_BASE58_SIZE} bytes, "
                "please use Base64 encoding.",
            )
        return base58.encode(data) if encoding == "binary" else [base58.encode(data), "base58"]
    if encoding == "base64+zstd":
        return [base64.b64encode(zstd_stored(data)).decode(), "base64+zstd"]
    return [base64.b64encode(data).decode(), "base64"]


def parsed_account(
    address: Pubkey, found: Account, lookup: Callable[[Pubkey], Account | None]
) -> dict[str, Any] | None:
    """The `jsonParsed` data of an account of a kind known here; None for any other."""
    program, parsed = None, None
    if found.owner in tokens.PROGRAM_LABELS:
        program = tokens.PROGRAM_LABELS[found.owner]
        held, its_mint = tokens.token_account(found), tokens.mint(found)
        if held is not None and (mint_of := tokens.mint(lookup(held.mint))) is not None:
            parsed = tokens.parsed_token_account(held, mint_of.decimals)
        elif its_mint is not None:
            parsed = tokens.parsed_mint(its_mint)
        else:
            parsed = tokens.parsed_multisig(found)
    elif found.owner == UPGRADEABLE_LOADER:
        program, parsed = "bpf-upgradeable-loader", _parsed_loader_account(bytes(found.data))
    elif found.owner == instructions.LOOKUP_TABLE_PROGRAM:
        program, parsed = "address-lookup-table", _parsed_lookup_table(bytes(found.data))
    elif found.owner == SYSTEM_PROGRAM and len(found.data) == NONCE_SIZE:
        program, parsed = "nonce", _parsed_nonce(bytes(found.data))
    elif address in _SYSVARS:
        program, parsed = "sysvar", _parsed_sysvar(address, bytes(found.data))
    if program is None or parsed is None:
        return None
    return {"program": program, "parsed": parsed, "space": len(found.data)}


def _parsed_loader_account(data: bytes) -> dict[str, Any] | None:
    kind = int.from_bytes(data[:4], "little")
    if kind == 2 and len(data) >= 36:
        return {"type": "program", "info": {"programData": str(Pubkey.from_bytes(data[4:36]))}}
    if kind == 3 and len(data) >= PROGRAM_DATA_HEADER_SIZE:
        authority = str(Pubkey.from_bytes(data[13:45])) if data[12] else None
        body = base64.b64encode(data[PROGRAM_DATA_HEADER_SIZE:]).decode()
        slot = int.from_bytes(data[4:12], "little")
        return {"type": "programData", "info": {"slot": slot, "authority": authority, "data": [body, "base64"]}}
    if kind == 1 and len(data) >= 37:
        authority = str(Pubkey.from_bytes(data[5:37])) if data[4] else None
        body = base64.b64encode(data[37:]).decode()
        return {"type": "buffer", "info": {"authority": authority, "data": [body, "base64"]}}
    return {"type": "uninitialized"} if kind == 0 else None


def _parsed_lookup_table(data: bytes) -> dict[str, Any] | None:
    try:
        table = AddressLookupTable.deserialize(data)
    except Exception:  # noqa: BLE001 (solders has no public class for it: a closed or uninitialized table)
        return None
    info: dict[str, Any] = {
        "deactivationSlot": str(table.meta.deactivation_slot),
        "lastExtendedSlot": str(table.meta.last_extended_slot),
        "lastExtendedSlotStartIndex": table.meta.last_extended_slot_start_index,
        "addresses": [str(address) for address in table.addresses],
    }
    if table.meta.authority is not None:
        info["authority"] = str(table.meta.authority)
    return {"type": "lookupTable", "info": info}


def _parsed_nonce(data: bytes) -> dict[str, Any] | None:
    """A nonce account: version, state (1: initialized), authority, nonce, and the fee that it was stored at."""
    _, state, authority, nonce, lamports = struct.unpack("<II32s32sQ", data)
    if state != 1:
        return None
    info = {
        "authority": str(Pubkey.from_bytes(authority)),
        "blockhash": str(Hash.from_bytes(nonce)),
        "feeCalculator": {"lamportsPerSignature": str(lamports)},
    }
    return {"type": "initialized", "info": info}


def _parsed_sysvar(address: Pubkey, data: bytes) -> dict[str, Any] | None:
    name, read = _SYSVARS[address]
    try:
        return {"type": name, "info": read(data)}
    except (ValueError, struct.error):
        return None


def _clock(data: bytes) -> dict[str, Any]:
    clock = Clock.from_bytes(data)
    return {
        "slot": clock.slot,
        "epoch": clock.epoch,
        "epochStartTimestamp": clock.epoch_start_timestamp,
        "leaderScheduleEpoch": clock.leader_schedule_epoch,
        "unixTimestamp": clock.unix_timestamp,
    }


def _rent(data: bytes) -> dict[str, Any]:
    lamports, threshold, burned = struct.unpack("<QdB", data)
    return {"lamportsPerByteYear": str(lamports), "exemptionThreshold": threshold, "burnPercent": burned}


def _epoch_schedule(data: bytes) -> dict[str, Any]:
    slots, offset, warmup, first_epoch, first_slot = struct.unpack("<QQ?QQ", data)
    return {
        "slotsPerEpoch": slots,
        "leaderScheduleSlotOffset": offset,
        "warmup": warmup,
        "firstNormalEpoch": first_epoch,
        "firstNormalSlot": first_slot,
    }


def _epoch_rewards(data: bytes) -> dict[str, Any]:
    height, partitions, parent = struct.unpack_from("<QQ32s", data)
    points, total, distributed = data[48:64], *struct.unpack_from("<QQ", data, 64)
    return {
        "distributionStartingBlockHeight": height,
        "numPartitions": partitions,
        "parentBlockhash": str(Hash.from_bytes(parent)),
        "totalPoints": str(int.from_bytes(points, "little")),
        "totalRewards": str(total),
        "distributedRewards": str(distributed),
        "active": bool(data[80]),
    }


def _entries(form: str, data: bytes) -> list[tuple[Any, ...]]:
    """The entries of a sysvar that is a list, after their number."""
    form, size = "<" + form, struct.calcsize("<" + form)
    count = int.from_bytes(data[:8], "little")
    return [struct.unpack_from(form, data, 8 + index * size) for index in range(count)]


def _slot_hashes(data: bytes) -> list[dict[str, Any]]:
    return [{"slot": slot, "hash": str(Hash.from_bytes(content))} for slot, content in _entries("Q32s", data)]


def _recent_blockhashes(data: bytes) -> list[dict[str, Any]]:
    return [
        {"blockhash": str(Hash.from_bytes(content)), "feeCalculator": {"lamportsPerSignature": str(lamports)}}
        for content, lamports in _entries("32sQ", data)
    ]


def _stake_history(data: bytes) -> list[dict[str, Any]]:
    names = ("effective", "activating", "deactivating")
    return [
        {"epoch": epoch, "stakeHistory": dict(zip(names, stakes, strict=True))}
        for epoch, *stakes in _entries("QQQQ", data)
    ]


_SYSVARS: dict[Pubkey, tuple[str, Callable[[bytes], Any]]] = {
    Pubkey.from_string("SysvarC1ock11111111111111111111111111111111"): ("clock", _clock),
    Pubkey.from_string("SysvarRent111111111111111111111111111111111"): ("rent", _rent),
    Pubkey.from_string("SysvarEpochSchedu1e111111111111111111111111"): ("epochSchedule", _epoch_schedule),
    Pubkey.from_string("SysvarEpochRewards1111111111111111111111111"): ("epochRewards", _epoch_rewards),
    Pubkey.from_string("SysvarS1otHashes111111111111111111111111111"): ("slotHashes", _slot_hashes),
    Pubkey.from_string("SysvarRecentB1ockHashes11111111111111111111"): ("recentBlockhashes", _recent_blockhashes),
    Pubkey.from_string("SysvarStakeHistory1111111111111111111111111"): ("stakeHistory", _stake_history),
    Pubkey.from_string("SysvarLastRestartS1ot1111111111111111111111"): (
        "lastRestartSlot",
        lambda data: {"lastRestartSlot": struct.unpack("<Q", data)[0]},
    ),
}
"""What can be read of the sysvars; SlotHistory, a megabit that nobody reads as text, stays base64."""


def version(transaction: VersionedTransaction) -> str | int:
    """`legacy` or 0."""
    return 0 if isinstance(transaction.message, MessageV0) else "legacy"


def transaction_with_meta(landed: Landed, encoding: str, max_version: int | None) -> dict[str, Any]:
    """`transaction`, `meta` and `version` of a landed transaction; RpcError -32015 for a version not asked for."""
    parsed = VersionedTransaction.from_bytes(landed.content)
    its_version = version(parsed)
    if isinstance(its_version, int) and (max_version is None or its_version > max_version):
        raise RpcError(
            UNSUPPORTED_TRANSACTION_VERSION,
            f"Transaction version ({its_version}) is not supported by the requesting client. Please try the request "
            f'again with the following configuration parameter: "maxSupportedTransactionVersion": {its_version}',
        )
    meta = {**landed.meta}
    for name in ("preTokenBalances", "postTokenBalances"):
        meta[name] = [tokens.stored(balance) for balance in meta[name]]
    if encoding == "jsonParsed":
        keys = [*(str(key) for key in parsed.message.account_keys)]
        loaded = meta["loadedAddresses"]
        keys += [*loaded["writable"], *loaded["readonly"]]
        meta = {key: value for key, value in meta.items() if key != "loadedAddresses"}
        meta["innerInstructions"] = [
            {
                "index": group["index"],
                "instructions": [
                    _parsed_instruction(
                        keys,
                        item["programIdIndex"],
                        item["accounts"],
                        base58.decode(item["data"]),
                        item["stackHeight"],
                    )
                    for item in group["instructions"]
                ],
            }
            for group in meta["innerInstructions"]
        ]
    result = {"transaction": transaction(parsed, landed, encoding), "meta": meta}
    if max_version is not None:
        result["version"] = its_version
    return result


def accounts_with_meta(landed: Landed, _: str, max_version: int | None) -> dict[str, Any]:
    """A landed transaction as getBlock's `accounts` has it: who signed and what was touched, without instructions."""
    full = transaction_with_meta(landed, "jsonParsed", max_version)
    result: dict[str, Any] = {
        "transaction": {
            "signatures": full["transaction"]["signatures"],
            "accountKeys": full["transaction"]["message"]["accountKeys"],
        },
        "meta": {key: full["meta"][key] for key in _ACCOUNTS_META},
    }
    if "version" in full:
        result["version"] = full["version"]
    return result


def transaction(parsed: VersionedTransaction, landed: Landed, encoding: str) -> Any:
    """A transaction in one of TRANSACTION_ENCODINGS."""
    if encoding in ("json", "jsonParsed"):
        message = _parsed_message if encoding == "jsonParsed" else _message
        return {
            "signatures": [str(signature) for signature in parsed.signatures],
            "message": message(parsed, landed.meta["loadedAddresses"]),
        }
    if encoding == "base64":
        return [base64.b64encode(landed.content).decode(), "base64"]
    text = base58.encode(landed.content)
    return [text, "base58"] if encoding == "base58" else text


def _message(parsed: VersionedTransaction, _: dict[str, list[str]]) -> dict[str, Any]:
    message = parsed.message
    result: dict[str, Any] = {
        "header": {
            "numRequiredSignatures": message.header.num_required_signatures,
            "numReadonlySignedAccounts": message.header.num_readonly_signed_accounts,
            "numReadonlyUnsignedAccounts": message.header.num_readonly_unsigned_accounts,
        },
        "accountKeys": [str(key) for key in message.account_keys],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [
            {
                "programIdIndex": item.program_id_index,
                "accounts": list(item.accounts),
                "data": base58.encode(bytes(item.data)),
                "stackHeight": 1,
            }
            for item in message.instructions
        ],
    }
    if isinstance(message, MessageV0):
        result["addressTableLookups"] = _lookups(message)
    return result


def _parsed_message(parsed: VersionedTransaction, loaded: dict[str, list[str]]) -> dict[str, Any]:
    message = parsed.message
    static = [str(key) for key in message.account_keys]
    keys = [*static, *loaded["writable"], *loaded["readonly"]]
    signed = message.header.num_required_signatures
    fixed = signed - message.header.num_readonly_signed_accounts
    unsigned = len(static) - message.header.num_readonly_unsigned_accounts
    result: dict[str, Any] = {
        "accountKeys": [
            {
                "pubkey": key,
                "signer": index < signed,
                "writable": index < fixed
                or signed <= index < unsigned
                or len(static) <= index < len(static) + len(loaded["writable"]),
                "source": "transaction" if index < len(static) else "lookupTable",
            }
            for index, key in enumerate(keys)
        ],
        "recentBlockhash": str(message.recent_blockhash),
        "instructions": [
            _parsed_instruction(keys, item.program_id_index, bytes(item.accounts), bytes(item.data), 1)
            for item in message.instructions
        ],
    }
    if isinstance(message, MessageV0):
        result["addressTableLookups"] = _lookups(message)
    return result


def _parsed_instruction(
    keys: Sequence[str], program_index: int, accounts: Iterable[int], data: bytes, height: int
) -> dict[str, Any]:
    program, named = keys[program_index], [keys[index] for index in accounts]
    parsed = instructions.parsed(program, named, data)
    if parsed is None:
        return {"programId": program, "accounts": named, "data": base58.encode(data), "stackHeight": height}
    return {**parsed, "programId": program, "stackHeight": height}


def _lookups(message: MessageV0) -> list[dict[str, Any]]:
    return [
        {
            "accountKey": str(lookup.account_key),
            "writableIndexes": list(lookup.writable_indexes),
            "readonlyIndexes": list(lookup.readonly_indexes),
        }
        for lookup in message.address_table_lookups
    ]


def decode_transaction(text: str, encoding: str) -> bytes:
    """The bytes of a transaction or message as a client sent them; RpcError -32602."""
    limit = 1_644 if encoding == "base64" else 1_683
    if len(text) > limit:
        raise invalid_params(
            f"{encoding} encoded solana_transaction::versioned::VersionedTransaction too large: {len(text)} bytes "
            f"(max: encoded/raw {limit}/1232)"
        )
    try:
        return base64.b64decode(text, validate=True) if encoding == "base64" else base58.decode(text)
    except ValueError as error:
        raise invalid_params(f"invalid {encoding} encoding: {error}") from error
