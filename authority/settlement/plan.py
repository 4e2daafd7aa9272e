"""What settlement does next: a pure function of the chain's state and the store's.

The worker reads the chain, plans, sends what was planned, and begins again. Nothing is remembered between rounds but
what the chain and the store hold, so a worker that was killed plans on from where the chain stands. Actions of one
round do not depend on each other and may be in flight together; but the acts of one member, which follow each other,
are planned each on what the one before leaves, and go in one transaction: all of them are done, or none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

from authority.chain import programs
from authority.chain.accounts import RETIREMENT_GRACE_EPOCHS, BookStatus
from authority.market.clearing import escrow_of_bid
from authority.market.hand_orders import HandOrder
from authority.market.standing_orders import (
    BID,
    Holding,
    ProposedOrder,
    StandingOrder,
    propose,
    retirements,
)
from authority.market.transfers import Transfer
from authority.settlement.actions import (
    Action,
    CancelOrder,
    Checkpoint,
    OpenBillingPeriod,
    OpenBook,
    PayOut,
    PlaceOrder,
    RefundBook,
    Retire,
    SettleIdleMeter,
    SettleSurplus,
    SubmitReading,
    TriggerClearing,
)
from authority.settlement.holdback import MeterQueue, may_go, ready_boundary
from authority.settlement.journal import EpochRow, WaitingFrame
from authority.settlement.snapshot import BookView, ConfigView, MemberView, MeterView, Pause, Payout, Snapshot
from authority.settlement.transfers import moved

ORDER_MARGIN_SECONDS = 1
"""Orders stop this long before their book stops taking them, so that what is sent can still land."""
FAILING_AFTER = 3
"""Refusals of one thing after which it counts as refused for good, until it succeeds."""
MAX_RETIREMENT_WH = 2**32 - 1
"""The most that one retirement takes."""
ORDERS_TOGETHER = 8
"""Orders of a member that are placed in one round, in one transaction; more take another."""
STALLED_AFTER_EPOCHS = 2
"""A member that was not settled for so many epochs whose grace is over is told about."""


@dataclass(frozen=True)
class Situation:
    """All that a plan depends on.

    waiting: frames by meter that the chain has not seen; epochs: those with work left; policies: standing orders by
    member, of members for whom the authority can sign; delegated: those of them for whom it signs as their delegate;
    by_hand: what members asked for by hand and is not sent yet, by member, the oldest first; transfers: the tokens that
    they move by hand, alike;
    refused: how often the programs have refused what an action is about; given_up: the boundary, by member, that the
    chain will not take; paid_out: subjects of payouts that were made in this epoch already.
    """

    chain: Snapshot
    waiting: Mapping[int, Sequence[WaitingFrame]]
    epochs: Sequence[EpochRow]
    policies: Mapping[str, StandingOrder]
    delegated: Set[str] = frozenset()
    by_hand: Mapping[str, Sequence[HandOrder]] = field(default_factory=dict)
    transfers: Mapping[str, Sequence[Transfer]] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    given_up: Mapping[str, int] = field(default_factory=dict)
    paid_out: Set[str] = frozenset()

    def queue(self, meter: MeterView) -> list[WaitingFrame]:
        """A meter's frames that the chain can still take: of its present key, beyond what the chain has."""
        return [
            frame
            for frame in self.waiting.get(meter.meter_pk, ())
            if frame.key == meter.key and (meter.sequence is None or frame.sequence > meter.sequence)
        ]

    @cached_property
    def going(self) -> list[tuple[MeterView, WaitingFrame]]:
        """The readings that may go to the chain now (`next_readings`)."""
        return next_readings(self)

    @cached_property
    def settling(self) -> list[SettleSurplus]:
        """The spans that can be settled now."""
        return list(settlements(self))

    def fails(self, subject: str) -> bool:
        """Whether the programs keep refusing what this is about."""
        return self.refused.get(subject, 0) >= FAILING_AFTER

    def settled(self, member: MemberView) -> int | None:
        """The boundary up to which a member is dealt with: settled, or given up."""
        given_up = self.given_up.get(str(member.member))
        return max((each for each in (member.boundary, given_up) if each is not None), default=None)


def plan(situation: Situation) -> list[Action]:
    """Everything that can be done now."""
    config = situation.chain.config
    periods: list[Action] = []
    if situation.chain.epoch >= config.billing_period_end:
        opening = OpenBillingPeriod(config.billing_period + 1)
        if not situation.fails(opening.subject):
            return [opening]  # spans that end in it cannot be settled before
        periods.append(opening)
    return [
        *periods,
        *_readings(situation),
        *situation.settling,
        *_idle_meters(situation),
        *_books(situation),
        *_members(situation),
    ]


def _queues(situation: Situation, meters: Sequence[MeterView]) -> list[MeterQueue]:
    return [
        MeterQueue(meter.standing, tuple(frame.interval_end for frame in situation.queue(meter))) for meter in meters
    ]


def next_readings(situation: Situation) -> list[tuple[MeterView, WaitingFrame]]:
    """The readings that may go to the chain now: at most one of each meter, none that must be held back."""
    chain = situation.chain
    if chain.config.pause & Pause.READINGS or not any(situation.waiting.values()):
        return []
    ready = [meter for meter in chain.meters if meter.active and not meter.settles]
    for member in chain.members:
        meters = chain.settling_meters(member)
        goes = may_go(_queues(situation, meters), situation.settled(member))
        ready += [meter for meter, may in zip(meters, goes, strict=True) if may]
    latest = chain.now + chain.config.clock_skew_seconds
    found = []
    for meter in ready:
        queue = situation.queue(meter)
        if queue and queue[0].error is None and queue[0].interval_end <= latest:
            found.append((meter, queue[0]))
    return sorted(found, key=lambda item: (item[1].interval_end, item[1].log_index))


def _readings(situation: Situation) -> Iterator[Action]:
    for meter, frame in situation.going:
        yield SubmitReading(meter, frame)


def settlements(situation: Situation) -> Iterator[SettleSurplus]:
    """The spans that can be settled now."""
    chain = situation.chain
    if chain.config.pause & Pause.SETTLEMENT:
        return
    for member in chain.members:
        meters = chain.settling_meters(member)
        first = meters[0].standing if meters else None
        if first is None or (member.boundary is not None and first <= member.boundary):
            continue  # wherever the other ones stand
        if member.closed or sum(1 << meter.slot for meter in meters) != member.settling_meters:
            continue  # the second: a meter was registered while the chain was being read
        boundary = ready_boundary([MeterQueue(meter.standing) for meter in meters], member.boundary)
        # Nothing is signed for a boundary at which a meter stands by a record that the log did not let pass.
        if boundary is not None and all(meter.passed for meter in meters):
            yield SettleSurplus(member, tuple(meters), boundary)


def _idle_meters(situation: Situation) -> Iterator[Action]:
    chain = situation.chain
    if chain.config.pause & Pause.SETTLEMENT:
        return
    members = {member.member: member for member in chain.members}
    for meter in chain.meters:
        if meter.active or not meter.settles or meter.standing is None or not meter.passed:
            continue
        if meter.standing != meter.settled and meter.member in members:
            yield SettleIdleMeter(members[meter.member], meter)


def _books(situation: Situation) -> Iterator[Action]:
    chain = situation.chain
    unfinished = [book for _, book in sorted(chain.books.items()) if book.epoch < chain.epoch]
    unfinished = [book for book in unfinished if book.status is not BookStatus.FINAL]
    if unfinished:
        yield from _finish(situation, unfinished[0])  # books are cleared in the order of their epochs
    for row in situation.epochs:
        if row.epoch == chain.epoch:
            yield from _open(situation, row.epoch)
        elif (
            row.epoch < chain.epoch
            and row.minted_ms is not None
            and row.settled_ms is not None
            and row.checkpointed_ms is None
            and chain.last_checkpoint in (None, row.epoch - 1)
            and all(other.checkpointed_ms is not None for other in situation.epochs if other.epoch < row.epoch)
        ):
            yield Checkpoint(row.epoch, chain.books.get(row.epoch))


def _open(situation: Situation, epoch: int) -> Iterator[Action]:
    chain = situation.chain
    if epoch in chain.books or chain.config.pause & Pause.ORDERS:
        return
    before = next((each for each in chain.books if programs.book_slot(each) == programs.book_slot(epoch)), None)
    if before is None or (chain.last_checkpoint is not None and chain.last_checkpoint >= before):
        yield OpenBook(epoch, before)


def _finish(situation: Situation, book: BookView) -> Iterator[Action]:
    chain = situation.chain
    if book.status is BookStatus.REFUNDING:
        yield RefundBook(book)
        return
    clearing = TriggerClearing(book)
    refundable = book.status is BookStatus.OPEN and chain.now >= book.refundable_from
    paused = bool(chain.config.pause & Pause.CLEARING)
    if refundable and (paused or situation.fails(clearing.subject)):
        # Anybody may do it now: neither what members locked nor the books behind this one wait for the end of a pause.
        yield RefundBook(book)
    elif not paused:
        yield clearing


def _members(situation: Situation) -> Iterator[Action]:
    """What is done for members: what they move or order by hand, else a retirement and then orders, else payouts.

    Of transfers one a round: what follows goes by what it leaves, as the chain says.
    """
    chain = situation.chain
    book = chain.books.get(chain.epoch)
    takes_orders = (
        book is not None
        and book.status is BookStatus.OPEN
        and not chain.config.pause & Pause.ORDERS
        and chain.now < book.cutoff_at - ORDER_MARGIN_SECONDS
    )
    taking = book if takes_orders else None
    start = chain.config.start_of(chain.epoch)
    before = next((row for row in situation.epochs if row.epoch == chain.epoch - 1), None)
    waited = before is None or before.minted_ms is not None
    members = {str(member.member): member for member in chain.members} if situation.transfers else {}
    for member in chain.members:
        name = str(member.member)
        if name in situation.transfers:
            yield moved(member, members, situation.transfers[name][0])
            continue
        reached = member.as_delegate() if name in situation.delegated else member
        acts: list[Action] = []
        if taking is not None:
            acts += _by_hand(chain, reached, taking, situation.by_hand.get(name, ()))
        policy = situation.policies.get(name)
        if not acts and policy is not None and member.active:
            # A member's own surplus of the last epoch comes first; the wait for it ends with that epoch's.
            ready = waited or (member.boundary or 0) >= start
            acts += _by_policy(situation, reached, policy, taking if ready else None)
        yield from acts or _payouts(situation, member)


def _by_policy(
    situation: Situation, member: MemberView, policy: StandingOrder, book: BookView | None
) -> Iterator[Action]:
    """What a member's standing order does now, each act of the member as the one before leaves it.

    One retirement, for the log tells of it by transaction and member; where another is due, or book is None, nothing
    is ordered.
    """
    holding = holding_of(situation.chain, member)
    retirement = next(_retirements(situation, member, policy, holding), None)
    if retirement is not None:
        yield retirement
        member = _retired(member, retirement, situation.chain.config)
        holding = holding_of(situation.chain, member)
        if next(_retirements(situation, member, policy, holding), None) is not None:
            return
    if book is not None:
        for order in propose(policy, holding, situation.chain.config.limits)[:ORDERS_TOGETHER]:
            placed = _order(situation.chain, member, book, order)
            yield placed
            member = _ordered(situation.chain, placed)


def holding_of(chain: Snapshot, member: MemberView) -> Holding:
    """Where a member stands, as standing orders see it."""
    config = chain.config
    left = config.billing_period_start + RETIREMENT_GRACE_EPOCHS - chain.epoch
    previous = member.previous_withdrawal_wh if left > 0 and config.billing_period > 0 else 0
    if left == 1:
        # what is bought now comes too late for it: it is covered by what is held, or no more
        previous = min(previous, member.previous_retired_wh + member.all_wh)
    book = chain.books.get(chain.epoch)
    return Holding(
        held_wh=member.all_wh,
        credit=member.all_credit,
        withdrawal_wh=member.open_withdrawal_wh,
        retired_wh=member.retired_wh,
        bid_for_wh=sum(each.may_bring_wh(member.member_index) for each in chain.bringing),
        orders=0 if book is None else len(book.of(member.member_index)),
        previous_withdrawal_wh=previous,
        previous_retired_wh=member.previous_retired_wh,
        own_surplus_wh=max(0, member.minted_wh - member.fed_in_wh),
    )


def _retirements(situation: Situation, member: MemberView, policy: StandingOrder, holding: Holding) -> Iterator[Retire]:
    config = situation.chain.config
    if config.pause and config.pause & Pause.RETIREMENT:
        return
    proposed = retirements(policy, holding, config.limits.feed_in_price)
    open_period = config.billing_period
    for amount, period, feed_in in (
        (proposed.previous_wh, open_period - 1, False),
        (proposed.open_wh, open_period, False),
        (proposed.feed_in_wh, open_period, True),
    ):
        if amount > 0:
            from_seat = bool(member.seat_wh)
            available = (member.seat_wh if from_seat else member.held_wh) or 0
            taken = min(amount, available, MAX_RETIREMENT_WH)
            # a delegate retires out of the seat alone: what lies in the token account is deposited first
            deposit = taken if not from_seat and str(member.member) in situation.delegated else 0
            retirement = Retire(member, period, taken, from_seat or bool(deposit), feed_in, deposit)
            if taken and not situation.fails(retirement.subject):
                yield retirement


def _order(
    chain: Snapshot, member: MemberView, book: BookView, order: ProposedOrder, by_hand: int | None = None
) -> PlaceOrder:
    if order.side == BID:
        needed = escrow_of_bid(order.quantity, order.price, chain.config.limits.wheeling)
        return PlaceOrder(member, book, order, max(0, needed - (member.seat_credit or 0)), by_hand)
    return PlaceOrder(member, book, order, max(0, order.quantity - (member.seat_wh or 0)), by_hand)


def _by_hand(
    chain: Snapshot, member: MemberView, book: BookView, wished: Sequence[HandOrder]
) -> Iterator[PlaceOrder | CancelOrder]:
    """What a member asks for by hand in this book, in its order; what it has after a cancellation only the chain says.

    Nothing of another book's is passed over.
    """
    for order in wished[:ORDERS_TOGETHER]:
        wish = order.wish
        if wish.epoch != book.epoch:
            return
        if wish.number is not None:
            yield CancelOrder(member, book, wish.side, wish.price, wish.number, order.id)
            return
        placed = _order(chain, member, book, ProposedOrder(wish.side, wish.price, wish.quantity), order.id)
        yield placed
        member = _ordered(chain, placed)


def _ordered(chain: Snapshot, placed: PlaceOrder) -> MemberView:
    """The member after its order."""
    order = placed.order
    if order.side == BID:
        locked = escrow_of_bid(order.quantity, order.price, chain.config.limits.wheeling)
        return placed.member.locking(credit=locked, deposit=placed.deposit)
    return placed.member.locking(wh=order.quantity, deposit=placed.deposit)


def _retired(member: MemberView, retirement: Retire, config: ConfigView) -> MemberView:
    """The member after a retirement; what feed-in brings it is left to the next round."""
    amount = retirement.amount
    if retirement.from_seat:
        kept = (member.seat_wh or 0) + retirement.deposit - amount
        after = replace(member, seat_wh=kept, held_wh=(member.held_wh or 0) - retirement.deposit)
    else:
        after = replace(member, held_wh=(member.held_wh or 0) - amount)
    if retirement.feed_in:
        return replace(after, fed_in_wh=member.fed_in_wh + amount)
    if retirement.period == config.billing_period:
        return replace(after, retired_wh=member.retired_wh + amount)
    return replace(after, previous_retired_wh=member.previous_retired_wh + amount)


def _payouts(situation: Situation, member: MemberView) -> Iterator[Action]:
    for asset, amount, into in (
        (Payout.ENERGY, member.seat_wh, member.held_wh),
        (Payout.CREDIT, member.seat_credit, member.credit),
    ):
        if member.payout and member.payout & asset and amount and into is not None:
            payout = PayOut(member, asset, amount, situation.chain.epoch)
            if payout.subject not in situation.paid_out:
                yield payout


def _may_wait(situation: Situation, row: EpochRow, subject: str) -> bool:
    """Whether an ended epoch may still wait for what an action is about.

    Within the grace it waits for whatever is not refused again and again. For a while beyond it, it waits for what was
    not refused at all, so that what came in time is carried on a slow machine too; then for nothing.
    """
    config = situation.chain.config
    late = situation.chain.now - (config.end_of(row.epoch) + config.grace_seconds)
    if late < 0:
        return not situation.fails(subject)
    return late < min(config.grace_seconds, config.epoch_seconds // 2) and subject not in situation.refused


def stages_complete(situation: Situation, row: EpochRow) -> list[str]:
    """Which stages of an epoch are complete, by what the chain shows; names as in SettlementEpoch without `_ms`.

    submitted: every settling meter stands at the epoch's end or beyond, or the grace is over and nothing that belongs
    to the epoch waits to be sent. minted: and every span that could be settled at its end is. Neither waits, beyond
    the grace, for anything that a member, a gateway, a meter or a wallet can withhold (`_may_wait`).
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
    if row.submitted_ms is not None or _all_in(chain, end) or (grace_over and not _sendable(situation, row, end)):
        stages.append("submitted")
        if row.minted_ms is not None or ((grace_over or not _held(chain, end)) and not _unsettled(situation, row, end)):
            stages.append("minted")
    if book is None or book.is_priced:
        stages.append("cleared")
    if book is None or book.status is BookStatus.FINAL:
        stages.append("settled")
    if chain.last_checkpoint is not None and chain.last_checkpoint >= row.epoch:
        stages.append("checkpointed")
    return stages


def _all_in(chain: Snapshot, end: int) -> bool:
    """Whether there are settling meters, and all of them stand at an epoch's end or beyond."""
    settling = [meter for meter in chain.meters if meter.settles and meter.active]
    return bool(settling) and all(meter.standing is not None and meter.standing >= end for meter in settling)


def _held(chain: Snapshot, end: int) -> bool:
    """Whether a member is not yet settled up to an epoch's end."""
    return any(
        member.boundary is None or member.boundary < end
        for member in chain.members
        if member.settling_meters and not member.closed
    )


def _sendable(situation: Situation, row: EpochRow, end: int) -> bool:
    """Whether a reading of the epoch can still go, and is waited for."""
    return any(
        frame.interval_end <= end and _may_wait(situation, row, SubmitReading(meter, frame).subject)
        for meter, frame in situation.going
    )


def _unsettled(situation: Situation, row: EpochRow, end: int) -> bool:
    """Whether a span of the epoch can be settled, and is waited for."""
    return any(action.boundary <= end and _may_wait(situation, row, action.subject) for action in situation.settling)


@dataclass(frozen=True, slots=True)
class Stalled:
    """A member that is not settled, though its time is over; awaited are the meters that keep it.

    since is its last settled boundary, None before the first; waiting is how many of its readings wait behind it.
    """

    PREFIX: ClassVar[str] = "member "

    member: MemberView
    awaited: tuple[MeterView, ...]
    since: int | None
    waiting: int

    @property
    def subject(self) -> str:
        """What it is about, for alerts."""
        return f"{self.PREFIX}{self.member.member}"


def stalled_members(situation: Situation) -> list[Stalled]:
    """Members that were not settled for two epochs and more, and for which there is nothing to do but wait.

    A member of whose meters nothing was read since it was settled is not told about: nothing of it waits.
    """
    chain = situation.chain
    epoch = chain.config.epoch_at(chain.now - chain.config.grace_seconds) - 1  # the last whose grace is over
    due = chain.config.end_of(epoch - STALLED_AFTER_EPOCHS + 1)
    late = [
        member for member in chain.members if not member.closed and (member.boundary is None or member.boundary < due)
    ]
    if not late:
        return []
    going = {meter.meter_pk for meter, _ in situation.going}
    settling = {action.member.member for action in situation.settling if not situation.fails(action.subject)}
    found = []
    for member in late:
        meters = chain.settling_meters(member)
        if member.member in settling or any(meter.meter_pk in going for meter in meters):
            continue
        ends = {meter.meter_pk: _read_until(situation, meter) for meter in meters}
        if max(ends.values(), default=0) <= max(member.boundary or 0, due):
            continue
        latest = max(ends.values())
        awaited = tuple(meter for meter in meters if ends[meter.meter_pk] < latest)
        waiting = sum(len(situation.queue(meter)) for meter in meters)
        found.append(Stalled(member, awaited, member.boundary, waiting))
    return found


def _read_until(situation: Situation, meter: MeterView) -> int:
    """The last interval end of a meter that the chain or the store has; 0 before the first."""
    return max([meter.standing or 0, *(frame.interval_end for frame in situation.queue(meter))])
