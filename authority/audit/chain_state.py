"""The chain's accounts at one moment, as an audit reads them and as a bundle keeps them.

As bytes: for each account its address (32), its owner (32), the length of its data (u32 little-endian), the data; in
the order of the addresses. Kept are all accounts of the five programs, and all accounts of SPL Token for both mints.
"""

from __future__ import annotations

import base64
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from solders.pubkey import Pubkey

from authority.chain import programs
from authority.chain.artifacts import PROGRAM_NAMES
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.chain.layout import LayoutError, ProgramAccount
from authority.errors import AuthorityError

ATTEMPTS = 20
PAUSE = 0.02
"""Seconds by which each wait for a quiet moment is longer than the one before."""
TOKEN_ACCOUNT_SIZE = 165
_HEAD = struct.Struct("<32s32sI")

_A = TypeVar("_A", bound=ProgramAccount)


class ChainMovingError(ChainError):
    """The chain changed during every attempt to read it as a whole: try again when it is quieter."""

    code = "chain_moving"


class SnapshotError(AuthorityError):
    """Bytes that are no snapshot of accounts."""

    code = "snapshot_malformed"


@dataclass(frozen=True)
class ChainState:
    """Accounts by address (owner, data), and the chain's clock (Unix seconds) when they were read."""

    now: int
    accounts: dict[Pubkey, tuple[Pubkey, bytes]]

    def account(self, kind: type[_A], address: Pubkey) -> _A | None:
        """One account, typed; None where there is none such, or a malformed one."""
        owner, data = self.accounts.get(address, (None, b""))
        if owner != programs.PROGRAM_IDS[kind.PROGRAM] or not kind.is_in(data):
            return None
        try:
            return kind.from_account(data)
        except LayoutError:
            return None

    def all(self, kind: type[_A]) -> Iterator[tuple[Pubkey, _A]]:
        """All accounts of one type but the malformed ones, in the order of their addresses."""
        for address, account in self._read(kind):
            if not isinstance(account, LayoutError):
                yield address, account

    def malformed(self) -> Iterator[tuple[Pubkey, str]]:
        """Accounts that are not what their type allows, such as one with a status that there is not, and why."""
        for kind in ProgramAccount.__subclasses__():
            for address, account in self._read(kind):
                if isinstance(account, LayoutError):
                    yield address, f"{kind.__name__}: {account}"

    def _read(self, kind: type[_A]) -> Iterator[tuple[Pubkey, _A | LayoutError]]:
        program = programs.PROGRAM_IDS[kind.PROGRAM]
        for address, (owner, data) in self.accounts.items():
            if owner != program or not kind.is_in(data):
                continue
            try:
                yield address, kind.from_account(data)
            except LayoutError as error:
                yield address, error

    def to_bytes(self) -> bytes:
        """The accounts as a bundle keeps them."""
        return b"".join(
            _HEAD.pack(bytes(address), bytes(owner), len(data)) + data
            for address, (owner, data) in sorted(self.accounts.items(), key=lambda item: bytes(item[0]))
        )

    @classmethod
    def from_bytes(cls, now: int, raw: bytes) -> ChainState:
        """Read what to_bytes wrote; SnapshotError."""
        accounts: dict[Pubkey, tuple[Pubkey, bytes]] = {}
        offset = 0
        while offset < len(raw):
            if offset + _HEAD.size > len(raw):
                raise SnapshotError("the accounts end in the middle of one")
            address, owner, size = _HEAD.unpack_from(raw, offset)
            offset += _HEAD.size
            if offset + size > len(raw):
                raise SnapshotError("the accounts end in the middle of one")
            accounts[Pubkey(address)] = (Pubkey(owner), raw[offset : offset + size])
            offset += size
        return cls(now, accounts)


def followed() -> tuple[Pubkey, Pubkey]:
    """The accounts whose transactions are the history: governance's Config, and the market's Seats.

    What the authority and the meters do names the first; what members do in the market alone, the second.
    """
    return programs.config_address(), programs.seats_address()


def read_chain_state(client: ChainClient) -> tuple[ChainState, list[str | None]]:
    """Every account that the audit asks about, at one state of the chain, and the last transactions that led to it.

    These are the newest of each account in `followed` (base58), None before the first. ChainMovingError where there
    was no quiet moment; other ChainErrors.
    """
    before = None
    for attempt in range(ATTEMPTS):
        now, newest = client.clock().unix_timestamp, _newest(client)
        seen = _read(client), newest
        if seen == before:
            return ChainState(now, seen[0]), newest
        before = seen
        time.sleep(min(0.5, PAUSE * attempt))
    raise ChainMovingError(f"the chain changed during {ATTEMPTS} readings: try again when it is quieter")


def _newest(client: ChainClient) -> list[str | None]:
    config = {"commitment": "confirmed", "limit": 1}
    newest = [client.call("getSignaturesForAddress", str(address), config) for address in followed()]
    return [str(found[0]["signature"]) if found else None for found in newest]


def _read(client: ChainClient) -> dict[Pubkey, tuple[Pubkey, bytes]]:
    found: dict[Pubkey, tuple[Pubkey, bytes]] = {}
    for name in PROGRAM_NAMES:
        found |= _accounts_of(client, programs.PROGRAM_IDS[name], [])
    for mint in (programs.energy_mint(), programs.credit_mint()):
        account = client.raw_account(mint)
        if account is not None:
            found[mint] = (account.owner, bytes(account.data))
        filters = [{"dataSize": TOKEN_ACCOUNT_SIZE}, {"memcmp": {"offset": 0, "bytes": str(mint)}}]
        found |= _accounts_of(client, programs.TOKEN_PROGRAM, filters)
    return dict(sorted(found.items(), key=lambda item: bytes(item[0])))


def _accounts_of(client: ChainClient, program: Pubkey, filters: list[Any]) -> dict[Pubkey, tuple[Pubkey, bytes]]:
    config: dict[str, Any] = {"commitment": "confirmed", "encoding": "base64"}
    if filters:
        config["filters"] = filters
    return {
        Pubkey.from_string(item["pubkey"]): (program, base64.b64decode(item["account"]["data"][0]))
        for item in client.call("getProgramAccounts", str(program), config)
    }
