"""What settlement does next: a pure function of the chain's state and the store's.

The worker reads the chain, plans, sends what was planned, and begins again. Nothing is remembered between rounds but
what the chain and the store hold, so a worker that was killed plans on from where the chain stands. Actions of one
round do not depend on each other and may be in flight together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

from authority.market.standing_orders import SIDES, Holding, ProposedOrder, StandingOrder, propose
from authority.settlement.holdback import MeterQueue, may_go, ready_boundary
from authority.settlement.journal import WaitingFrame
from authority.settlement.snapshot import BookStatus, BookView, MemberView, MeterView, Pause, Snapshot
from authority.store.settlement import SettlementEpoch

READINGS_PER_TRANSACTION = 4
ORDERS_PER_TRANSACTION = 16
"""With a lookup table, so many orders of different members keep within a transaction's 64 accounts."""
ORDER_MARGIN_SECONDS = 1
"""Orders stop this long before their book closes, so that what is sent can still land."""


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
        return f"surplus {self.member.wallet}"


@dataclass(frozen=True, slots=True)
class OpenBillingPeriod:
    """Close the open billing period, whose last epoch is over, and open the next."""

    period: int

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"billing period {self.period}"


@dataclass(frozen=True, slots=True)
class OpenBook:
    """Make the epoch's book, or complete it where half of it is there."""

    epoch: int
    half_made: bool = False

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"open book {self.epoch}"


@dataclass(frozen=True, slots=True)
class PlaceOrder:
    """One order of a member's standing order."""

    member: MemberView
    book: BookView
    order: ProposedOrder

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"{SIDES[self.order.side]} of {self.member.wallet}"


@dataclass(frozen=True, slots=True)
class TriggerClearing:
    """Clear the book of an epoch that is over."""

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
class SettleOrders:
    """Pay out orders of a cleared or refunded book, by number; none where only the fees are unpaid."""

    book: BookView
    orders: tuple[int, ...]

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"orders {self.book.epoch} from {self.orders[0] if self.orders else 'none'}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Pin the log and the final book (None where the epoch had none)."""

    epoch: int
    book: BookView | None

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"checkpoint {self.epoch}"


@dataclass(frozen=True, slots=True)
class CloseBook:
    """Give back the rent of a book that is final and checkpointed."""

    book: BookView

    @property
    def subject(self) -> str:
        """What it is about, for alerts and retries."""
        return f"close book {self.book.epoch}"


Action = (
    SubmitReadings
    | SettleSurplus
    | OpenBillingPeriod
    | OpenBook
    | PlaceOrder
    | TriggerClearing
    | RefundBook
    | SettleOrders
    | Checkpoint
    | CloseBook
)


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a plan depends on.

    waiting: frames by meter that the chain has not seen; epochs: those with work left; policies: standing orders by
    wallet, of members for whom the authority can sign; alone: meters whose readings go in transactions of their own,
    because one of theirs was refused together with others; failing: subjects of actions that the programs keep
    refusing, which an epoch does not wait for once its grace is over.
    """

    chain: Snapshot
    waiting: Mapping[int, Sequence[WaitingFrame]]
    epochs: Sequence[SettlementEpoch]
    policies: Mapping[str, StandingOrder]
    alone: Set[int] = frozenset()
    failing: Set[str] = frozenset()

    def queue(self, meter: MeterView) -> list[WaitingFrame]:
        """A meter's frames beyond what the chain has."""
        return [
            frame
            for frame in self.waiting.get(meter.meter_pk, ())
            if meter.sequence is None or frame.sequence > meter.sequence
        ]


def plan(situation: Situation) -> list[Action]:
    """Everything that can be done now."""
    config = situation.chain.config
    periods: list[Action] = []
    if situation.chain.epoch >= config.billing_period_end:
        opening = OpenBillingPeriod(config.billing_period + 1)
        if opening.subject not in situation.failing:
            return [opening]  # spans that end in it cannot be settled before
        periods.append(opening)
    return [
        *periods,
        *_readings(situation),
        *_surplus(situation),
        *_books(situation),
        *_orders(situation),
    ]


def _queues(situation: Situation, meters: Sequence[MeterView]) -> list[MeterQueue]:
    return [
        MeterQueue(meter.standing, tuple(frame.interval_end for frame in situation.queue(meter))) for meter in meters
    ]


def next_readings(situation: Situation) -> list[tuple[MeterView, WaitingFrame]]:
    """The readings that may go to the chain now: at most one of each meter, none that must be held back."""
    chain = situation.chain
    if chain.config.pause & Pause.READINGS:
        return []
    ready = [meter for meter in chain.meters if not meter.settles]
    for member in chain.members:
        meters = chain.settling_meters(member)
        goes = may_go(_queues(situation, meters), member.boundary)
        ready += [meter for meter, may in zip(meters, goes, strict=True) if may]
    latest = chain.now + chain.config.clock_skew_seconds
    found = []
    for meter in ready:
        queue = situation.queue(meter)
        if queue and queue[0].error is None and queue[0].interval_end <= latest:
            found.append((meter, queue[0]))
    return sorted(found, key=lambda item: (item[1].interval_end, item[1].log_index))


def _readings(situation: Situation) -> Iterator[Action]:
    together: list[tuple[MeterView, WaitingFrame]] = []
    for meter, frame in next_readings(situation):
        if meter.meter_pk in situation.alone:
            yield SubmitReadings(((meter, frame),))
        else:
            together.append((meter, frame))
    for start in range(0, len(together), READINGS_PER_TRANSACTION):
        yield SubmitReadings(tuple(together[start : start + READINGS_PER_TRANSACTION]))


def _surplus(situation: Situation) -> Iterator[Action]:
    chain = situation.chain
    if chain.config.pause & Pause.SETTLEMENT:
        return
    for member in chain.members:
        meters = chain.settling_meters(member)
        if sum(1 << meter.slot for meter in meters) != member.settling_meters:
            continue  # a meter was registered while the chain was being read
        boundary = ready_boundary([MeterQueue(meter.standing) for meter in meters], member.boundary)
        if boundary is not None:
            yield SettleSurplus(member, tuple(meters), boundary)


def _books(situation: Situation) -> Iterator[Action]:
    chain = situation.chain
    for row in situation.epochs:
        book = chain.books.get(row.epoch)
        if row.epoch == chain.epoch:
            if not chain.config.pause & Pause.ORDERS and (book is None or book.status is BookStatus.GROWING):
                yield OpenBook(row.epoch, half_made=book is not None)
        elif row.epoch < chain.epoch:
            if book is not None:
                yield from _finish(situation, book, checkpointed=row.checkpointed_ms is not None)
            if (
                row.minted_ms is not None
                and row.settled_ms is not None
                and row.checkpointed_ms is None
                and chain.last_checkpoint in (None, row.epoch - 1)
                and all(other.checkpointed_ms is not None for other in situation.epochs if other.epoch < row.epoch)
            ):
                yield Checkpoint(row.epoch, book)


def _finish(situation: Situation, book: BookView, *, checkpointed: bool) -> Iterator[Action]:
    chain = situation.chain
    match book.status:
        case BookStatus.GROWING:
            yield OpenBook(book.epoch, half_made=True)
        case BookStatus.OPEN:
            clearing = TriggerClearing(book)
            if clearing.subject in situation.failing and chain.now >= book.refundable_from:
                yield RefundBook(book)
            elif not chain.config.pause & Pause.CLEARING:
                yield clearing
        case BookStatus.CLEARED | BookStatus.REFUNDING:
            # in the order of members, so that neighbours share accounts
            unpaid = sorted((o for o in book.orders if not o.settled), key=lambda o: (o.member, o.number))
            numbers = tuple(order.number for order in unpaid)
            if not numbers:
                yield SettleOrders(book, ())
            for first in range(0, len(numbers), ORDERS_PER_TRANSACTION):
                yield SettleOrders(book, numbers[first : first + ORDERS_PER_TRANSACTION])
        case BookStatus.FINAL:
            if checkpointed:
                yield CloseBook(book)


def _orders(situation: Situation) -> Iterator[Action]:
    chain = situation.chain
    book = chain.books.get(chain.epoch)
    if book is None or book.status is not BookStatus.OPEN or chain.config.pause & Pause.ORDERS:
        return
    if chain.now >= book.closes_at - ORDER_MARGIN_SECONDS:
        return
    start = chain.config.start_of(chain.epoch)
    before = next((row for row in situation.epochs if row.epoch == chain.epoch - 1), None)
    settled = before is None or before.minted_ms is not None
    for member in chain.members:
        policy = situation.policies.get(str(member.wallet))
        if policy is None or not member.active or member.held_wh is None or member.credit is None:
            continue
        # A member's own surplus of the last epoch comes first; the wait for it ends with that epoch's.
        if not settled and (member.boundary is None or member.boundary < start):
            continue
        holding = Holding(
            held_wh=member.held_wh,
            credit=member.credit,
            withdrawal_wh=member.open_withdrawal_wh,
            retired_wh=member.retired_wh,
            bid_for_wh=sum(each.may_bring_wh(member.member_index) for each in chain.books.values()),
            orders=sum(order.member == member.member_index for order in book.orders),
        )
        for order in propose(policy, holding, chain.config.limits)[:1]:
            yield PlaceOrder(member, book, order)


def stages_complete(situation: Situation, row: SettlementEpoch) -> list[str]:
    """Which stages of an epoch are complete, by what the chain shows; names as in SettlementEpoch without `_ms`.

    submitted: every settling meter stands at the epoch's end or beyond, or the grace is over and nothing that belongs
    to the epoch waits to be sent. minted: and every span that could be settled at its end is.
    """
    chain = situation.chain
    end = chain.config.end_of(row.epoch)
    book = chain.books.get(row.epoch)
    stages = []
    if book is not None or row.book_hash is not None:
        stages.append("opened")
    if chain.now < end:
        return stages
    stages.append("ended")
    grace_over = chain.now >= end + chain.config.grace_seconds
    settling = [meter for meter in chain.meters if meter.settles]
    all_in = bool(settling) and all(meter.standing is not None and meter.standing >= end for meter in settling)
    sendable = any(
        frame.interval_end <= end and SubmitReadings(((meter, frame),)).subject not in situation.failing
        for meter, frame in next_readings(situation)
    )
    if row.submitted_ms is not None or all_in or (grace_over and not sendable):
        stages.append("submitted")
        unsettled = any(isinstance(action, SettleSurplus) and action.boundary <= end for action in _surplus(situation))
        held = any(
            member.boundary is None or member.boundary < end
            for member in chain.members
            if member.settling_meters and member.active
        )
        if row.minted_ms is not None or (not unsettled and (grace_over or not held)):
            stages.append("minted")
    if book is None or book.status in (BookStatus.CLEARED, BookStatus.FINAL, BookStatus.REFUNDING):
        stages.append("cleared")
    if book is None or book.status is BookStatus.FINAL:
        stages.append("settled")
    if chain.last_checkpoint is not None and chain.last_checkpoint >= row.epoch:
        stages.append("checkpointed")
        if book is None:
            stages.append("closed")
    return stages
