"""SPL Token accounts and mints in the JSON shapes of Solana's RPC."""

from __future__ import annotations

import base64
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from solders.account import Account
from solders.pubkey import Pubkey
from solders.token.state import Mint, TokenAccount, TokenAccountState

TOKEN_PROGRAM = Pubkey.from_string("TokenkegQfeZyiNwAJbNbGKPFXCWuBvf9Ss623VQ5DA")
TOKEN_2022_PROGRAM = Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb")
PROGRAM_LABELS = {TOKEN_PROGRAM: "spl-token", TOKEN_2022_PROGRAM: "spl-token-2022"}

NATIVE_MINT = Pubkey.from_string("So11111111111111111111111111111111111111112")
NATIVE_MINT_DATA = bytes(44) + b"\x09\x01" + bytes(36)
"""The mint of wrapped SOL: no authorities, no supply, nine decimals."""

MINT_SIZE = 82
ACCOUNT_SIZE = 165
MULTISIG_SIZE = 355
_KIND_OFFSET = (
    ACCOUNT_SIZE  # Token-2022 says after 165 bytes whether an extended account is a mint (1) or an account (2)
)
_STATE_OFFSET = 108
_MOST_DIVIDED = 19
"""Decimals up to which ten to their power is a u64."""
_PROGRAM_TEXTS = {program: str(program) for program in PROGRAM_LABELS}
_KEPT = 1_024
"""How many token accounts and mints are kept taken apart."""
_STATES = ("uninitialized", "initialized", "frozen")


def token_account(account: Account | None) -> TokenAccount | None:
    """The token account in an account; None where it is none, or not initialized."""
    return None if account is None or account.owner not in PROGRAM_LABELS else _token_account(bytes(account.data))


def _token_account(data: bytes) -> TokenAccount | None:
    if len(data) != ACCOUNT_SIZE and not (len(data) > ACCOUNT_SIZE and data[_KIND_OFFSET] == 2):
        return None
    try:
        found = TokenAccount.from_bytes(data[:ACCOUNT_SIZE])
    except Exception:  # noqa: BLE001 (solders has no public class for it: the data is not a token account)
        return None
    return None if found.state == TokenAccountState.Uninitialized else found


class _Held(NamedTuple):
    """What a token account says that a transaction's balances tell of it."""

    mint: Pubkey
    mint_text: str
    owner_text: str
    amount: int


def _held(data: bytes) -> _Held | None:
    found = _token_account(data)
    return None if found is None else _Held(found.mint, str(found.mint), str(found.owner), found.amount)


_plain_held = lru_cache(_KEPT)(_held)
"""The same for accounts without extensions: most of those that a transaction names it leaves as they were."""


def is_token_account(data: bytes) -> bool:
    """Whether data has the size and the state of an initialized token account."""
    if len(data) != ACCOUNT_SIZE and not (len(data) > ACCOUNT_SIZE and data[_KIND_OFFSET] == 2):
        return False
    return data[_STATE_OFFSET] != 0


def mint(account: Account | None) -> Mint | None:
    """The mint in an account; None where it is none, or not initialized."""
    if account is None or account.owner not in PROGRAM_LABELS:
        return None
    data = bytes(account.data)
    return _plain_mint(data) if len(data) == MINT_SIZE else _mint(data)


def _mint(data: bytes) -> Mint | None:
    if len(data) != MINT_SIZE and not (len(data) > ACCOUNT_SIZE and data[_KIND_OFFSET] == 1):
        return None
    try:
        found = Mint.from_bytes(data[:MINT_SIZE])
    except Exception:  # noqa: BLE001 (as above)
        return None
    return found if found.is_initialized else None


_plain_mint = lru_cache(_KEPT)(_mint)


def amount(units: int, decimals: int) -> dict[str, Any]:
    """A uiTokenAmount. Its uiAmount is a float because the RPC has it so, and null where it divides by more than a u64
    holds; nothing of the project reads that.
    """
    whole, rest = divmod(units, 10**decimals)
    text = f"{whole}.{rest:0{decimals}d}".rstrip("0") if rest else str(whole)
    divided = float(units) / float(10**decimals) if decimals <= _MOST_DIVIDED else None
    return {"amount": str(units), "decimals": decimals, "uiAmount": divided, "uiAmountString": text}


def balances(
    keys: Sequence[Pubkey],
    accounts: Sequence[Account | None],
    lookup: Callable[[Pubkey], Account | None],
) -> list[dict[str, Any]]:
    """preTokenBalances or postTokenBalances of a transaction's accounts, which have these keys, by index."""
    named: Mapping[Pubkey, Account | None] | None = None
    found = []
    for index, account in enumerate(accounts):
        if account is None or (program := _PROGRAM_TEXTS.get(account.owner)) is None:
            continue
        data = bytes(account.data)
        held = _plain_held(data) if len(data) == ACCOUNT_SIZE else _held(data)
        if held is None:
            continue
        if named is None:
            named = dict(zip(keys, accounts, strict=True))
        its_mint = mint(named[held.mint] if held.mint in named else lookup(held.mint))
        if its_mint is None:
            continue
        found.append(
            {
                "accountIndex": index,
                "mint": held.mint_text,
                "uiTokenAmount": amount(held.amount, its_mint.decimals),
                "owner": held.owner_text,
                "programId": program,
            }
        )
    return found


def parsed_token_account(held: TokenAccount, decimals: int) -> dict[str, Any]:
    """A token account as `jsonParsed` has it."""
    info: dict[str, Any] = {
        "isNative": held.is_native is not None,
        "mint": str(held.mint),
        "owner": str(held.owner),
        "state": _STATES[int(held.state)],
        "tokenAmount": amount(held.amount, decimals),
    }
    if held.delegate is not None:
        info["delegate"] = str(held.delegate)
        info["delegatedAmount"] = amount(held.delegated_amount, decimals)
    if held.is_native is not None:
        info["rentExemptReserve"] = amount(held.is_native, decimals)
    if held.close_authority is not None:
        info["closeAuthority"] = str(held.close_authority)
    return {"type": "account", "info": info}


def parsed_mint(found: Mint) -> dict[str, Any]:
    """A mint as `jsonParsed` has it."""
    return {
        "type": "mint",
        "info": {
            "mintAuthority": None if found.mint_authority is None else str(found.mint_authority),
            "supply": str(found.supply),
            "decimals": found.decimals,
            "isInitialized": found.is_initialized,
            "freezeAuthority": None if found.freeze_authority is None else str(found.freeze_authority),
        },
    }


def parsed_multisig(account: Account) -> dict[str, Any] | None:
    """A multisig as `jsonParsed` has it: m, n, whether it is initialized, eleven keys; None where it is none."""
    data = bytes(account.data)
    if account.owner not in PROGRAM_LABELS or len(data) != MULTISIG_SIZE or data[2] != 1:
        return None
    keys = [Pubkey.from_bytes(data[at : at + 32]) for at in range(3, MULTISIG_SIZE, 32)]
    return {
        "type": "multisig",
        "info": {
            "numRequiredSigners": data[0],
            "numValidSigners": data[1],
            "isInitialized": True,
            "signers": [str(key) for key in keys if key != Pubkey.default()],
        },
    }


def stored(balance: dict[str, Any]) -> dict[str, Any]:
    """A token balance as it comes back from a ledger, where a uiAmount of nothing is null."""
    shown = balance["uiTokenAmount"]
    if shown["uiAmount"] is not None and shown["uiAmount"] <= sys.float_info.epsilon:
        shown = {**shown, "uiAmount": None}
    return {**balance, "uiTokenAmount": shown}


def return_data(program: Pubkey, data: bytes) -> dict[str, Any]:
    """What a program returned, as the RPC has it."""
    return {"programId": str(program), "data": [base64.b64encode(data).decode(), "base64"]}
