"""What the chain says at one moment, as far as settlement needs it. Wh, micro-credit, Unix seconds throughout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import IntFlag
from functools import cached_property

from solders.pubkey import Pubkey

from authority.chain.accounts import BookStatus
from authority.market.standing_orders import Limits


class Pause(IntFlag):
    """Governance's pause bits that concern settlement."""

    READINGS = 1 << 1
    SETTLEMENT = 1 << 2
    ORDERS = 1 << 3
    CLEARING = 1 << 4
    RETIREMENT = 1 << 6


class Payout(IntFlag):
    """What a member lets anybody pay out of its seat to its own account."""

    ENERGY = 1
    CREDIT = 2


@dataclass(frozen=True, slots=True)
class ConfigView:
    """Governance's Config, with the parameters in force in the current epoch."""

    epoch_seconds: int
    pause: Pause
    grace_seconds: int
    clock_skew_seconds: int
    limits: Limits
    billing_period: int
    billing_period_start: int
    """The epoch with which the open billing period began."""
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
    """A Meter of the registry and its MeterState.

    name is what people call it (gateway, meter, serial number), key the public key whose records it takes. sequence is
    the last accepted record's under that key, None before the first; standing is the interval end of the last accepted
    record under any key, settled that of the last settled one, None before the first; hash is the standing record's,
    truncated, and passed says whether the log let that record pass. active: it takes part; a meter that was suspended
    or closed is settled by itself. current_key: no newer key is approved and on its way to the chain.
    """

    meter_pk: int
    name: str
    address: Pubkey
    state_address: Pubkey
    member: Pubkey
    settles: bool
    active: bool
    slot: int
    key: bytes
    sequence: int | None
    standing: int | None
    settled: int | None
    hash: bytes
    passed: bool = True
    current_key: bool = True


@dataclass(frozen=True, slots=True)
class MemberView:
    """A User of the registry, its EnergyAccount (boundary None before the baseline), its seat and token accounts.

    member is its name forever, wallet the key that signs for it now. held_wh and credit are in its token accounts,
    None where one is missing, frozen or no longer the wallet's. seat_wh and seat_credit are free in its seat, None
    where there is no seat for it yet. The previous_ figures are those of the period before the open one. delegate may
    place orders and retire for it until delegate_until (Unix seconds); the allowances are what may be taken out of its
    token accounts by that.
    """

    name: str
    member: Pubkey
    wallet: Pubkey
    address: Pubkey
    member_index: int
    active: bool
    closed: bool
    settling_meters: int
    energy_token_account: Pubkey
    credit_token_account: Pubkey
    held_wh: int | None
    credit: int | None
    seat_wh: int | None
    seat_credit: int | None
    payout: Payout
    boundary: int | None
    minted_wh: int
    withdrawn_wh: int
    open_withdrawal_wh: int
    previous_withdrawal_wh: int
    retired_wh: int
    previous_retired_wh: int
    fed_in_wh: int
    delegate: Pubkey | None = None
    delegate_until: int = 0
    energy_allowance: int = 0
    credit_allowance: int = 0

    def as_delegate(self) -> MemberView:
        """The member as its delegate reaches it: what the market is allowed to take out of its token accounts."""
        return replace(
            self,
            held_wh=None if self.held_wh is None else min(self.held_wh, self.energy_allowance),
            credit=None if self.credit is None else min(self.credit, self.credit_allowance),
        )

    def locking(self, *, wh: int = 0, credit: int = 0, deposit: int = 0) -> MemberView:
        """The member after an order that locks so much of its seat, and puts `deposit` of the same into it before."""
        if wh:
            return replace(self, seat_wh=(self.seat_wh or 0) + deposit - wh, held_wh=(self.held_wh or 0) - deposit)
        free = (self.seat_credit or 0) + deposit - credit
        return replace(self, seat_credit=free, credit=(self.credit or 0) - deposit)

    @property
    def all_wh(self) -> int:
        """What it can dispose of, in its seat and its token account."""
        return (self.seat_wh or 0) + (self.held_wh or 0)

    @property
    def all_credit(self) -> int:
        """What it can dispose of, in its seat and its token account."""
        return (self.seat_credit or 0) + (self.credit or 0)


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order in a book; paid where what it locked and brought is in the member's seat again."""

    is_bid: bool
    price: int
    number: int
    quantity: int
    filled: int
    member: int
    paid: bool


@dataclass(frozen=True)
class BookView:
    """An epoch's book; bids and asks are how many it holds.

    data is what a checkpoint pins the SHA-256 of once the book is final: head and live orders. Of a book that is final
    and pinned, orders and data are not read.
    """

    epoch: int
    status: BookStatus
    cutoff_at: int
    closes_at: int
    refundable_from: int
    price: int
    volume: int
    bids: int
    asks: int
    orders: tuple[OrderView, ...]
    data: bytes = field(repr=False)

    @property
    def is_priced(self) -> bool:
        """Whether the auction, or a refund in its place, has been held."""
        return self.status in (BookStatus.CLEARING, BookStatus.REFUNDING, BookStatus.FINAL)

    def of(self, member: int) -> Sequence[OrderView]:
        """A member's orders in this book."""
        return self._by_member.get(member, ())

    @cached_property
    def _by_member(self) -> Mapping[int, Sequence[OrderView]]:
        found: dict[int, list[OrderView]] = {}
        for order in self.orders:
            found.setdefault(order.member, []).append(order)
        return found

    @cached_property
    def unpaid(self) -> int:
        """How many orders are still to be paid."""
        return sum(not order.paid for order in self.orders)

    def may_bring_wh(self, member: int) -> int:
        """What the member's bids in this book may still bring it."""
        mine = [order for order in self.of(member) if order.is_bid and not order.paid]
        if self.status is BookStatus.OPEN:
            return sum(order.quantity for order in mine)
        return sum(order.filled for order in mine) if self.status is BookStatus.CLEARING else 0


@dataclass(frozen=True)
class Snapshot:
    """One reading of the chain. last_checkpoint is the epoch of the last EpochCheckpoint, None before the first.

    books are by epoch: every book that lies in the ring, also of epochs that are long over.
    """

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

    @cached_property
    def bringing(self) -> Sequence[BookView]:
        """The books that may still bring somebody something: those that are open, or being paid."""
        return [book for book in self.books.values() if book.status in (BookStatus.OPEN, BookStatus.CLEARING)]

    def settling_meters(self, member: MemberView) -> list[MeterView]:
        """A member's settling meters by slot: the pairs that settle_surplus takes."""
        return self._settling.get(member.member, [])

    @cached_property
    def _settling(self) -> dict[Pubkey, list[MeterView]]:
        found: dict[Pubkey, list[MeterView]] = {}
        for meter in sorted((each for each in self.meters if each.settles and each.active), key=lambda each: each.slot):
            found.setdefault(meter.member, []).append(meter)
        return found
