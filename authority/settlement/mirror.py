"""Accounts of the chain as they were last read, so that a snapshot costs what changed and not what exists.

What this process changes it knows: it forgets what its transactions write to. What others change is seen when
everything is read again, which is due at each epoch's start, after a refusal, and otherwise so often that it takes no
more than a hundredth of the time (`Mirror.is_due`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from solders.account import Account
from solders.pubkey import Pubkey

from authority.chain.client import ChainClient
from authority.chain.layout import ProgramAccount

_A = TypeVar("_A", bound=ProgramAccount)

SHARE = 100
"""Reading everything takes at most one part in so many of the time."""


class Mirror:
    """Accounts by address; safe for several threads that forget, while one reads."""

    def __init__(self, client: ChainClient, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        self._accounts: dict[Pubkey, Account | None] = {}
        self._last: dict[Pubkey, Account | None] = {}
        """As they were read last: what is read again and is the same stays the same object, and is not decoded anew."""
        self._decoded: dict[Pubkey, tuple[Account | None, ProgramAccount]] = {}
        self._read_at = 0.0
        self._took = 0.0

    def is_due(self) -> bool:
        """Whether it is time to read everything again."""
        return self._monotonic() - self._read_at >= SHARE * self._took

    def forget(self, addresses: Iterable[Pubkey]) -> None:
        """Read these anew when they are next asked for."""
        for address in addresses:
            self._accounts.pop(address, None)

    def forget_all(self) -> None:
        """Read everything anew; from now on, that takes what the calls of `accounts` take."""
        self._accounts.clear()
        self._read_at, self._took = self._monotonic(), 0.0

    def accounts(self, addresses: Sequence[Pubkey]) -> list[Account | None]:
        """Accounts in the order asked for; those that are known are not read."""
        known = self._accounts
        missing = [address for address in addresses if address not in known]
        if missing:
            missing = list(dict.fromkeys(missing))
            started = self._monotonic()
            for address, account in zip(missing, self._client.raw_accounts(missing), strict=True):
                last = self._last.get(address)
                if last is None or last != account:
                    last = self._last[address] = account
                self._accounts[address] = last
            self._took += self._monotonic() - started
        return [self._accounts[address] for address in addresses]

    def typed(self, kind: type[_A], address: Pubkey, account: Account | None) -> _A | None:
        """An account as what it is; one that is the same object as the last time is not decoded again.

        None where there is none; AccountMismatchError, LayoutError.
        """
        known = self._decoded.get(address)
        if known is not None and known[0] is account and isinstance(known[1], kind):
            return known[1]
        data = self._client.account_data(kind, address, account)
        if data is None:
            return None
        found = kind.from_account(data)
        self._decoded[address] = (account, found)
        return found
