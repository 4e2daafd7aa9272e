"""Whether every token that was ever made is accounted for, read from the chain alone.

minted = in wallets + in seats + locked in books + retired (+ fees, for credits). What is in seats, locked in books and
waiting as fees lies in the market's vaults, and Seats counts it as a whole; a vault holds that and no less. It holds
more only where somebody sent tokens to it without a deposit: those belong to nobody. retired is lifetime minted less
the supply (so a holder's own burn counts). Energy's lifetime total is the oracle's own count, and the sum of the
members' too. Credits have no such count on the chain: their supply must be in wallets or in the market.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from solders.pubkey import Pubkey

from authority.audit.chain_state import TOKEN_ACCOUNT_SIZE, ChainState, read_chain_state
from authority.chain import programs
from authority.chain.accounts import EnergyAccount, EpochBook, Oracle, Seat, Seats
from authority.chain.client import ChainClient

AMOUNT_AT = 64
SUPPLY_AT = 36
_AMOUNT = struct.Struct("<Q")


@dataclass(frozen=True, slots=True)
class TokenTotals:
    """One token, in base units (Wh, micro-credit).

    held is in wallets: all token accounts but the vault; escrow is what the vault holds. The market says what that is:
    in_seats is free in members' seats, in_books is locked by orders that are not paid, fees wait for the fee account,
    and counted is its own sum of these, None where it was not asked.
    """

    minted: int
    supply: int
    held: int
    escrow: int
    in_seats: int = 0
    in_books: int = 0
    fees: int = 0
    counted: int | None = None

    @property
    def retired(self) -> int:
        """Lifetime minted less the supply."""
        return self.minted - self.supply

    @property
    def owed(self) -> int:
        """What of the vault belongs to somebody."""
        return self.in_seats + self.in_books + self.fees

    @property
    def ok(self) -> bool:
        """Whether all of it is accounted for, and the vault holds what the market owes (gifts to it may be on top)."""
        return (
            self.retired >= 0
            and self.minted == self.held + self.escrow + self.retired
            and self.counted in (None, self.owed)
            and self.owed <= self.escrow
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
        """energy_json, what escrow consists of, and the credits besides."""
        return {
            **self.energy_json(),
            "seats_wh": self.energy.in_seats,
            "books_wh": self.energy.in_books,
            "credit_supply": self.credit.supply,
            "credit_held": self.credit.held,
            "credit_escrow": self.credit.escrow,
            "credit_seats": self.credit.in_seats,
            "credit_books": self.credit.in_books,
            "credit_fees": self.credit.fees,
        }


def conservation(client: ChainClient) -> Conservation:
    """Read all of it at one state of the chain; ChainMovingError where there was no quiet moment, other ChainErrors."""
    return conservation_of(read_chain_state(client)[0])


def conservation_of(state: ChainState) -> Conservation:
    """Count all tokens of one state of the chain."""
    oracle = state.account(Oracle, programs.oracle_authority())
    minted = oracle.minted if oracle else 0
    members = sum(account.minted for _, account in state.all(EnergyAccount))
    books = [book for _, book in state.all(EpochBook)]
    head, seats = seats_of(state)
    energy, energy_supply = _token(state, programs.energy_mint())
    credit, credit_supply = _token(state, programs.credit_mint())
    energy_escrow = energy.pop(programs.energy_vault(), 0)
    credit_escrow = credit.pop(programs.credit_vault(), 0)
    return Conservation(
        energy=TokenTotals(
            minted=minted,
            supply=energy_supply,
            held=sum(energy.values()),
            escrow=energy_escrow,
            in_seats=sum(seat.energy for seat in seats),
            in_books=sum(book.energy_locked for book in books),
            counted=head.energy_held if head else 0,
        ),
        credit=TokenTotals(
            minted=credit_supply,
            supply=credit_supply,
            held=sum(credit.values()),
            escrow=credit_escrow,
            in_seats=sum(seat.credit for seat in seats),
            in_books=sum(book.credit_locked for book in books),
            fees=head.fees if head else 0,
            counted=head.credit_held if head else 0,
        ),
        minted_to_members=members,
    )


def seats_of(state: ChainState) -> tuple[Seats | None, list[Seat]]:
    """The head of the seats, and the seats; none before the market is made."""
    head = state.account(Seats, programs.seats_address())
    if head is None:
        return None, []
    _, data = state.accounts[programs.seats_address()]
    return head, Seat.array(data, Seats.size(), head.capacity)


def _token(state: ChainState, mint: Pubkey) -> tuple[dict[Pubkey, int], int]:
    """What every token account of a mint holds, and the mint's supply; none before it is made."""
    holds = {
        address: _AMOUNT.unpack_from(data, AMOUNT_AT)[0]
        for address, (owner, data) in state.accounts.items()
        if owner == programs.TOKEN_PROGRAM and len(data) == TOKEN_ACCOUNT_SIZE and data.startswith(bytes(mint))
    }
    return holds, supply_of(state, mint)


def supply_of(state: ChainState, mint: Pubkey) -> int:
    """A mint's supply; none before it is made."""
    _, data = state.accounts.get(mint, (None, b""))
    return int(_AMOUNT.unpack_from(data, SUPPLY_AT)[0]) if data else 0
