"""What settlement can do, each as a value: a plan is a list of these, and the worker does them.

`subject` is what an action is about, for alerts and retries.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from authority.market.standing_orders import SIDES, ProposedOrder
from authority.settlement.journal import WaitingFrame
from authority.settlement.snapshot import BookView, MemberView, MeterView, Payout


def reading_subject(frames: Sequence[WaitingFrame]) -> str:
    """What alerts about readings are called."""
    return "reading " + ",".join(str(frame.log_index) for frame in frames)


@dataclass(frozen=True, slots=True)
class SubmitReadings:
    """Readings of different meters, one transaction."""

    readings: tuple[tuple[MeterView, WaitingFrame], ...]

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return reading_subject([frame for _, frame in self.readings])


@dataclass(frozen=True, slots=True)
class SettleSurplus:
    """A member's span that ends at boundary; the meters by slot."""

    member: MemberView
    meters: tuple[MeterView, ...]
    boundary: int

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"surplus {self.member.member}"


@dataclass(frozen=True, slots=True)
class OpenBillingPeriod:
    """Close the open billing period, whose last epoch is over, and open the next."""

    period: int

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"billing period {self.period}"


@dataclass(frozen=True, slots=True)
class SettleIdleMeter:
    """What a suspended or closed meter drew since it was last settled."""

    member: MemberView
    meter: MeterView

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"idle meter {self.meter.name}"


@dataclass(frozen=True, slots=True)
class OpenBook:
    """Open the epoch's book, in the place of the one whose epoch is `before` (None: the place was never used)."""

    epoch: int
    before: int | None

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"open book {self.epoch}"


@dataclass(frozen=True, slots=True)
class Retire:
    """Retire a member's energy: for a billing period's withdrawals, or (feed_in) for credits.

    from_seat says whether the energy is taken out of its seat or out of its token account.
    """

    member: MemberView
    period: int
    amount: int
    from_seat: bool
    feed_in: bool = False

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"{'feed-in' if self.feed_in else 'retirement'} of {self.member.member}"


@dataclass(frozen=True, slots=True)
class PayOut:
    """Pay what a member has free in its seat out to its own token account, as it asked for."""

    member: MemberView
    asset: Payout
    amount: int

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"{str(self.asset.name).lower()} of {self.member.member}"


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """One order of a member's standing order; deposit is what its seat lacks for it, out of its token account."""

    member: MemberView
    book: BookView
    order: ProposedOrder
    deposit: int

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"{SIDES[self.order.side]} of {self.member.member}"


@dataclass(frozen=True, slots=True)
class TriggerClearing:
    """Clear the book of an epoch that is over, or go on paying its orders."""

    book: BookView

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"clearing {self.book.epoch}"


@dataclass(frozen=True, slots=True)
class RefundBook:
    """Give back everything in a book that could not be cleared for eight epochs."""

    book: BookView

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"refund {self.book.epoch}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Pin the log and the final book (None where the epoch had none)."""

    epoch: int
    book: BookView | None

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"checkpoint {self.epoch}"


Action = (
    SubmitReadings
    | SettleSurplus
    | SettleIdleMeter
    | OpenBillingPeriod
    | OpenBook
    | Retire
    | PlaceOrder
    | PayOut
    | TriggerClearing
    | RefundBook
    | Checkpoint
)
