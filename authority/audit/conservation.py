"""Whether every token that was ever made is accounted for, read from the chain alone.

minted = held + escrow + retired, where escrow is what the market's vault holds, held is all other token accounts, and
retired is lifetime minted less the supply (so a holder's own burn counts). Energy's lifetime total is the oracle's own
count, and the sum of the members' too. Credits have no such count on the chain: their supply must be held or in escrow.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey

from authority.chain import programs
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.settlement.chain import BOOK_SIZE

TOKEN_ACCOUNT_SIZE = 165
AMOUNT_AT = 64
ATTEMPTS = 20
_AMOUNT = struct.Struct("<Q")


class ChainMovingError(ChainError):
    """The chain changed during every attempt to read it as a whole: try again when it is quieter."""

    cause = "chain_moving"


@dataclass(frozen=True, slots=True)
class TokenTotals:
    """One token, in base units (Wh, micro-credit).

    in_books is what the books say that the vault holds for them; 0, which claims nothing, where they were not read.
    """

    minted: int
    supply: int
    held: int
    escrow: int
    in_books: int = 0

    @property
    def retired(self) -> int:
        """Lifetime minted less the supply."""
        return self.minted - self.supply

    @property
    def ok(self) -> bool:
        """Whether all of it is accounted for, and the vault holds what the books owe (gifts to it may come on top)."""
        return (
            self.retired >= 0 and self.minted == self.held + self.escrow + self.retired and self.escrow >= self.in_books
        )


@dataclass(frozen=True, slots=True)
class Conservation:
    """Energy (Wh) and credits (micro-credit) of the whole chain; minted_to_members is the sum of the EnergyAccounts."""

    energy: TokenTotals
    credit: TokenTotals
    minted_to_members: int

    @property
    def ok(self) -> bool:
        """Whether energy and credits conserve, and the members' totals are the oracle's."""
        return self.energy.ok and self.credit.ok and self.minted_to_members == self.energy.minted

    def energy_json(self) -> dict[str, object]:
        """Where the energy tokens are, and whether all of the chain conserves: the keys of the demo's report."""
        return {
            "minted_wh": self.energy.minted,
            "held_wh": self.energy.held,
            "escrow_wh": self.energy.escrow,
            "retired_wh": self.energy.retired,
            "ok": self.ok,
        }

    def as_json(self) -> dict[str, object]:
        """energy_json, and the credits besides."""
        return {
            **self.energy_json(),
            "credit_supply": self.credit.supply,
            "credit_held": self.credit.held,
            "credit_escrow": self.credit.escrow,
        }


def conservation(client: ChainClient) -> Conservation:
    """Read all of it at one state of the chain; ChainMovingError where there was no quiet moment, other ChainErrors."""
    for _ in range(ATTEMPTS):
        before = _sums(client)
        if before == _sums(client):
            return before
    raise ChainMovingError(f"the chain changed during {ATTEMPTS} readings: try again when it is quieter")


def _sums(client: ChainClient) -> Conservation:
    oracle = client.account("oracle", programs.oracle_authority())
    minted = int(oracle["minted"]) if oracle else 0
    members = sum(int(account["minted"]) for _, account in client.accounts("oracle", "EnergyAccount"))
    books = [book for _, book in client.accounts("trading", "EpochBook", [{"dataSize": BOOK_SIZE}])]
    energy_supply = client.token_supply(programs.energy_mint()) or 0
    credit_supply = client.token_supply(programs.credit_mint()) or 0
    energy = _accounts(client, programs.energy_mint())
    credit = _accounts(client, programs.credit_mint())
    energy_escrow = energy.pop(programs.energy_vault(), 0)
    credit_escrow = credit.pop(programs.credit_vault(), 0)
    return Conservation(
        energy=TokenTotals(
            minted=minted,
            supply=energy_supply,
            held=sum(energy.values()),
            escrow=energy_escrow,
            in_books=sum(int(book["energy_escrow"]) for book in books),
        ),
        credit=TokenTotals(
            minted=credit_supply,
            supply=credit_supply,
            held=sum(credit.values()),
            escrow=credit_escrow,
            in_books=sum(int(book["credit_escrow"]) for book in books),
        ),
        minted_to_members=members,
    )


def _accounts(client: ChainClient, mint: Pubkey) -> dict[Pubkey, int]:
    """What every token account of a mint holds, read at one slot."""
    filters: list[Mapping[str, Any]] = [
        {"dataSize": TOKEN_ACCOUNT_SIZE},
        {"memcmp": {"offset": 0, "bytes": str(mint)}},
    ]
    config = {
        "commitment": "confirmed",
        "encoding": "base64",
        "dataSlice": {"offset": AMOUNT_AT, "length": _AMOUNT.size},
        "filters": filters,
    }
    return {
        Pubkey.from_string(item["pubkey"]): _AMOUNT.unpack(base64.b64decode(item["account"]["data"][0]))[0]
        for item in client.call("getProgramAccounts", str(programs.TOKEN_PROGRAM), config)
    }
