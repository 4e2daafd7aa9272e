"""What the chain says at one moment, as far as settlement needs it. Wh, micro-credit, Unix seconds throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, IntFlag

from solders.pubkey import Pubkey

from authority.market.standing_orders import Limits

ORDERS_PER_SIDE = 512
"""Bids are orders 0 to 511 of a book, asks 512 to 1023, both from the best."""


class Pause(IntFlag):
    """Governance's pause bits that concern settlement."""

    READINGS = 1 << 1
    SETTLEMENT = 1 << 2
    ORDERS = 1 << 3
    CLEARING = 1 << 4


class BookStatus(IntEnum):
    """Where an epoch's book stands."""

    GROWING = 0
    OPEN = 1
    CLEARED = 2
    REFUNDING = 3
    FINAL = 4


@dataclass(frozen=True, slots=True)
class ConfigView:
    """Governance's Config, with the parameters in force in the current epoch."""

    epoch_seconds: int
    pause: Pause
    grace_seconds: int
    clock_skew_seconds: int
    limits: Limits
    billing_period: int
    billing_period_end: int
    """The epoch with which the next billing period begins."""

    def epoch_at(self, time: int) -> int:
        """The epoch that a time lies in."""
        return time // self.epoch_seconds

    def start_of(self, epoch: int) -> int:
        """When an epoch begins."""
        return epoch * self.epoch_seconds

    def end_of(self, epoch: int) -> int:
        """When an epoch ends: the boundary at which its energy is read."""
        return (epoch + 1) * self.epoch_seconds


@dataclass(frozen=True, slots=True)
class MeterView:
    """A Meter of the registry and its MeterState. sequence and standing are None before the first accepted reading."""

    meter_pk: int
    address: Pubkey
    state_address: Pubkey
    wallet: Pubkey
    settles: bool
    slot: int
    sequence: int | None
    standing: int | None
    hash: bytes


@dataclass(frozen=True, slots=True)
class MemberView:
    """A User of the registry, its EnergyAccount (boundary None before the baseline) and its token accounts."""

    name: str
    wallet: Pubkey
    address: Pubkey
    member_index: int
    active: bool
    settling_meters: int
    energy_token_account: Pubkey
    credit_token_account: Pubkey
    held_wh: int | None
    credit: int | None
    boundary: int | None
    minted_wh: int
    withdrawn_wh: int
    open_withdrawal_wh: int
    retired_wh: int


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order in a book, with its number; settled where it has been paid out."""

    number: int
    price: int
    quantity: int
    filled: int
    member: int
    settled: bool

    @property
    def is_bid(self) -> bool:
        """Whether it buys."""
        return self.number < ORDERS_PER_SIDE


@dataclass(frozen=True, slots=True)
class BookView:
    """An EpochBook. data is the account's whole data, whose SHA-256 a checkpoint pins once the book is final."""

    epoch: int
    status: BookStatus
    closes_at: int
    refundable_from: int
    price: int
    volume: int
    rent_payer: Pubkey
    orders: tuple[OrderView, ...]
    data: bytes = field(repr=False)

    @property
    def bids(self) -> int:
        """How many bids it holds."""
        return sum(order.is_bid for order in self.orders)

    @property
    def asks(self) -> int:
        """How many asks it holds."""
        return len(self.orders) - self.bids

    def may_bring_wh(self, member: int) -> int:
        """What the member's bids in this book may still bring it."""
        mine = [order for order in self.orders if order.is_bid and order.member == member and not order.settled]
        if self.status in (BookStatus.GROWING, BookStatus.OPEN):
            return sum(order.quantity for order in mine)
        return sum(order.filled for order in mine) if self.status is BookStatus.CLEARED else 0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One reading of the chain. last_checkpoint is the epoch of the last EpochCheckpoint, None before the first."""

    now: int
    config: ConfigView
    meters: tuple[MeterView, ...]
    members: tuple[MemberView, ...]
    books: Mapping[int, BookView]
    last_checkpoint: int | None

    @property
    def epoch(self) -> int:
        """The current epoch, by the chain's clock."""
        return self.config.epoch_at(self.now)

    def settling_meters(self, member: MemberView) -> list[MeterView]:
        """A member's settling meters by slot: the pairs that settle_surplus takes."""
        return sorted((m for m in self.meters if m.settles and m.wallet == member.wallet), key=lambda m: m.slot)
