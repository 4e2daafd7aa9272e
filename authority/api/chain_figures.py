"""What the page shows of the chain: the open book, and where every energy token is, all read at one slot."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from solders.account import Account
from solders.pubkey import Pubkey

from authority.api.campus import EnergyTokens
from authority.api.campus_source import Book, ChainFigures, without_chain
from authority.audit.chain_state import TOKEN_ACCOUNT_SIZE
from authority.audit.conservation import AMOUNT_AT
from authority.chain import programs
from authority.chain.accounts import Oracle
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.chain.layout import ProgramAccount
from authority.errors import AuthorityError
from authority.home.clock import clock_of
from authority.home.home import Home
from authority.settlement.snapshot import BookView
from authority.settlement.views import book_view

_A = TypeVar("_A", bound=ProgramAccount)
MINT_SUPPLY_AT = 36
HOLDERS_SECONDS = 30
"""How long the list of token accounts is kept; it is renewed at once where the sums do not meet."""
LOOKS = 5
"""How often the chain is read where the sums do not meet: more than a hundred accounts take two calls, and tokens that
move between the two are counted twice or not at all."""
RETRY_SECONDS = 5
"""How long a validator that did not answer is left alone, so that it does not hold up the page."""


def energy_of(minted: int, supply: int, vault: int, held: int) -> EnergyTokens:
    """Minted is the oracle's own lifetime total; retired is that less the supply; the rest is counted."""
    retired = minted - supply
    return EnergyTokens(
        minted_wh=minted,
        held_wh=held,
        escrow_wh=vault,
        retired_wh=retired,
        conserved=retired >= 0 and minted == held + vault + retired,
    )


def counted(book: BookView | None, epoch: int) -> Book | None:
    """An epoch's book; None where that epoch's is not open yet: its place in the ring holds another, or nothing."""
    if book is None or book.epoch != epoch:
        return None
    return Book(epoch=epoch, bids=book.bids, asks=book.asks, orders=book.orders)


def reader_of(home: Home) -> RpcChainReader:
    """The reader of a home's validator."""
    settings = home.settings.validator
    name = "embedded, LiteSVM," if settings.embedded else "Agave"
    return RpcChainReader(settings.url, name, clock=clock_of(home.path))


class RpcChainReader:
    """Reads the validator over JSON-RPC, for one thread at a time; `name` is what to call it."""

    def __init__(
        self,
        url: str,
        name: str,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        client: ChainClient | None = None,
    ) -> None:
        self._client = client or ChainClient(url, timeout=3, attempts=1)
        self._name, self._clock, self._monotonic = name, clock, monotonic
        self._mint, self._vault = programs.energy_mint(), programs.energy_vault()
        self._oracle = programs.oracle_authority()
        self._holders: Sequence[Pubkey] = ()
        self._holders_at = -1e9
        self._away_until = -1e9
        self._version: str | None = None
        self._last = ChainFigures(None, None, None, None, None)

    def figures(self, epoch: int) -> ChainFigures:
        """The chain's figures now, or the last ones without a validator where it does not answer."""
        if self._monotonic() < self._away_until:
            return self._last
        try:
            self._last = self._read(epoch)
        except (ChainError, AuthorityError):
            self._away_until = self._monotonic() + RETRY_SECONDS
            self._version = None
            self._last = without_chain(self._last)
        return self._last

    def _read(self, epoch: int) -> ChainFigures:
        if self._version is None:
            self._version = f"{self._name} {self._client.call('getVersion')['solana-core']}"
        if self._monotonic() - self._holders_at > HOLDERS_SECONDS:
            self._find_holders()
        slot, energy, book = self._look(epoch)
        for _ in range(LOOKS - 1):
            if energy is None or energy.conserved:
                break
            self._find_holders()  # somebody may have opened a token account meanwhile
            slot, energy, book = self._look(epoch)
        return ChainFigures(self._version, slot, int(self._clock()), energy, book)

    def _find_holders(self) -> None:
        filters = [{"dataSize": TOKEN_ACCOUNT_SIZE}, {"memcmp": {"offset": 0, "bytes": str(self._mint)}}]
        config = {"encoding": "base64", "dataSlice": {"offset": 0, "length": 0}, "filters": filters}
        found = self._client.call("getProgramAccounts", str(programs.TOKEN_PROGRAM), config)
        self._holders = [key for key in (Pubkey.from_string(item["pubkey"]) for item in found) if key != self._vault]
        self._holders_at = self._monotonic()

    def _look(self, epoch: int) -> tuple[int, EnergyTokens | None, Book | None]:
        """Slot, conservation and book. All but what is beyond a hundred accounts is read at one slot."""
        addresses = [self._oracle, self._mint, self._vault, programs.book_address(epoch), *self._holders]
        oracle, mint, vault, book, *holders = self._client.raw_accounts(addresses)
        slot = self._client.slot()
        energy = None
        if mint is not None:
            held = sum(_u64(account, AMOUNT_AT) for account in holders)
            energy = energy_of(
                typed_oracle.minted if (typed_oracle := _typed(Oracle, oracle)) else 0,
                _u64(mint, MINT_SUPPLY_AT),
                _u64(vault, AMOUNT_AT),
                held,
            )
        return slot, energy, counted(book_view(bytes(book.data)) if book is not None and book.data else None, epoch)


def _typed(kind: type[_A], account: Account | None) -> _A | None:
    return None if account is None or not account.data else kind.from_account(bytes(account.data))


def _u64(account: Account | None, offset: int) -> int:
    if account is None or len(account.data) < offset + 8:
        return 0
    value: int = struct.unpack_from("<Q", bytes(account.data), offset)[0]
    return value
