"""The settlement worker: reads the chain, plans, acts, and begins again.

It may be killed at any instruction. What was done is on the chain; what may still be on its way is either refused by
the programs when it comes twice, or (an order) kept in the store before it was sent. So the first round after a start
is a round like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event, Lock
from typing import TypeVar

from solders.keypair import Keypair
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from authority.chain.errors import (
    ChainError,
    ProgramError,
    SignerMissingError,
    TransactionFailedError,
    TransactionTooLargeError,
)
from authority.errors import AuthorityError
from authority.market.policies import standing_orders
from authority.market.standing_orders import SIDES, StandingOrder
from authority.settlement.actions import (
    Action,
    Checkpoint,
    OpenBillingPeriod,
    OpenBook,
    PayOut,
    PlaceOrder,
    RefundBook,
    Retire,
    SettleIdleMeter,
    SettleSurplus,
    SubmitReadings,
    TriggerClearing,
    reading_subject,
)
from authority.settlement.chain import SettlementChain, Signed
from authority.settlement.journal import Journal, WaitingFrame
from authority.settlement.plan import FAILING_AFTER, Situation, plan, settlements, stages_complete
from authority.settlement.snapshot import BookView, MemberView, MeterView, Snapshot
from authority.settlement.views import book_hash
from authority.settlement.watch import Watch
from authority.store import Store
from authority.store.metering import CHAIN_SUBMITTED
from authority.store.people import User
from authority.store.settlement import SettlementEpoch
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)
_Item = TypeVar("_Item")

SKIPPED_REFUSALS = frozenset(
    {
        "WrongKey",
        "RecordMagic",
        "RecordNetwork",
        "SequenceBelowFirst",
        "SequenceTooFar",
        "PreviousHash",
        "IntervalNotRising",
        "IntervalNotAligned",
        "RegisterDecreased",
        "RegisterNotPermitted",
        "ExceedsNameplate",
        "ExceedsStorage",
        "SourceMismatch",
        "UnknownFlags",
    }
)
"""The oracle's refusals of one record for good: it is left out, alerted, and the next one carries its energy.

SequenceNotRising is not among them: the record, or a later one, is on the chain, and the next round sees which.
"""
BLOCKING_REFUSALS = frozenset({"RegisterEpoch", "NeedsRebase"})
"""Refusals after which nothing of the meter can be right until a person has dealt with it."""

BILLING = "billing"
"""What alerts of billing's own step are about."""
REFUSALS = (TransactionFailedError, TransactionTooLargeError, SignerMissingError)
"""What is wrong with one action; other errors of the chain concern all."""
FIRST_DELAY_MS = 500
LONGEST_DELAY_MS = 60_000
LONGEST_LINE_DELAY_MS = 5_000
"""How long to leave a validator or a database alone that does not answer."""


@dataclass
class _Failures:
    count: int
    not_before_ms: int

    def is_over(self, now_ms: int) -> bool:
        """Whether the wait is over; one that seems longer than any is a clock that was set back meanwhile."""
        return not 0 < self.not_before_ms - now_ms <= LONGEST_DELAY_MS


class Worker:
    """One settlement worker. round() does what can be done once; run() goes on until told to stop.

    unseal gives the key of a custodial member. clock_ms gives Unix milliseconds and times only retries and the stages'
    figures; what is due is judged by the chain's own clock. bill is what billing does once an epoch, when there is
    nothing else to do.
    """

    def __init__(
        self,
        store: Store,
        chain: SettlementChain,
        unseal: Callable[[User], Keypair],
        clock_ms: Callable[[], int],
        *,
        in_flight: int = 8,
        bill: Callable[[], object] = lambda: None,
    ) -> None:
        self.store = store
        self.chain = chain
        self.unseal = unseal
        self.journal = Journal(store, clock_ms)
        self.clock_ms = clock_ms
        self.in_flight = in_flight
        self.bill = bill
        self._billed_in = -1
        self._lock = Lock()
        self._failures: dict[str, _Failures] = {}
        self._alone: set[int] = set()
        self._recorded: dict[str, int] = {}
        self._given_up: dict[str, int] = {}
        self._paid_out: set[str] = set()
        self._paid_out_in = -1
        self._watch = Watch(self.journal)

    # The loop

    def run(self, stop: Event, keep: Callable[[], bool] = lambda: True) -> None:
        """Work until stop is set or keep() (the lease) says no; rounds without anything to do are spaced out."""
        delay = FIRST_DELAY_MS
        while not stop.is_set() and keep():
            try:
                busy = self.round()
                delay = FIRST_DELAY_MS
            except (ChainError, OperationalError) as error:
                LOG.warning("the validator or the store does not answer", again_in_ms=delay, reason=str(error))
                stop.wait(delay / 1000)
                delay = min(delay * 2, LONGEST_LINE_DELAY_MS)
                continue
            if not busy:
                stop.wait(self.pause_seconds())

    def pause_seconds(self) -> float:
        """How long to wait after a round with nothing to do."""
        return min(2.0, self.chain.epoch_seconds() / 40)

    def round(self) -> bool:
        """Read the chain, do everything that can be done now, and return whether anything was done.

        Raises ChainError where the validator does not answer; nothing is lost by calling again.
        """
        situation = self.observe()
        now = self.clock_ms()
        actions = [
            action
            for action in plan(situation)
            if (failed := self._failures.get(action.subject)) is None or failed.is_over(now)
        ]
        self._note_orders(situation, actions)
        self._watch.tell_of_stalled(situation)
        if not actions:
            self._bill(situation)
            return False
        with ThreadPoolExecutor(self.in_flight, thread_name_prefix="settlement") as pool:
            return any(list(pool.map(self._perform, actions)))

    def _bill(self, situation: Situation) -> None:
        """Once an epoch; what cannot be done is alerted, and tried again in the next."""
        if self._billed_in == situation.chain.epoch:
            return
        try:
            self.bill()
            self._watch.gone(BILLING)
        except AuthorityError as error:
            if isinstance(error, ChainError) and not isinstance(error, REFUSALS):
                raise  # the line or the validator: everything waits
            LOG.warning("%s: %s", BILLING, error)
            self._watch.alert(error.code, BILLING, str(error))
        self._billed_in = situation.chain.epoch

    def settle_down(self, rounds: int = 100) -> None:
        """Rounds until there is nothing to do; for tests and for `--once`."""
        for _ in range(rounds):
            if not self.round():
                return

    # Reading

    def observe(self) -> Situation:
        """What the chain and the store say now, with the store brought up to date with the chain."""
        self.chain.refresh(self.store)
        head = self.chain.head()
        self.journal.ensure_epochs(head.epoch, after=head.last_checkpoint)
        rows = self.journal.open_epochs()
        snapshot = self._watch.with_passed(self.chain.snapshot())
        waiting = self._reconcile(snapshot)
        self._record_spans(snapshot)
        if self._paid_out_in != snapshot.epoch:
            self._paid_out, self._paid_out_in = set(), snapshot.epoch
        situation = Situation(
            chain=snapshot,
            waiting=waiting,
            epochs=rows,
            policies=self._policies(snapshot),
            alone=frozenset(self._alone),
            refused={subject: failed.count for subject, failed in self._failures.items()},
            given_up=dict(self._given_up),
            paid_out=frozenset(self._paid_out),
        )
        self._give_up(situation)
        marked = [self._mark(situation, row) for row in rows]
        return replace(situation, epochs=self.journal.open_epochs()) if any(marked) else situation

    def _policies(self, snapshot: Snapshot) -> dict[str, StandingOrder]:
        """Standing orders, by member, of those whose present wallet's key is in custody here."""
        with self.store.read() as session:
            held = {user.wallet: policy for user, policy in standing_orders(session) if user.sealed_key is not None}
        return {
            str(member.member): held[str(member.member)]
            for member in snapshot.members
            if str(member.member) in held and member.wallet == member.member
        }

    def _give_up(self, situation: Situation) -> None:
        """What the chain refuses of a member again and again, beyond its grace, keeps its later readings no longer."""
        chain = situation.chain
        for action in settlements(situation):
            if situation.fails(action.subject):
                member = str(action.member.member)
                if chain.now >= action.boundary + chain.config.grace_seconds:
                    self._given_up[member] = max(action.boundary, self._given_up.get(member, 0))

    def _reconcile(self, snapshot: Snapshot) -> dict[int, list[WaitingFrame]]:
        """Take out of the waiting frames what the chain already has, or can never take, and note what became of it."""
        waiting = self.journal.waiting()
        confirmed: list[WaitingFrame] = []
        passed_over: list[WaitingFrame] = []
        outdated: list[WaitingFrame] = []
        for meter in snapshot.meters:
            queue = waiting.get(meter.meter_pk, [])
            for frame in queue:
                if frame.key != meter.key:
                    if meter.current_key:
                        outdated.append(frame)  # its key was replaced; else it waits for its key to come
                    continue
                if meter.sequence is None or frame.sequence > meter.sequence:
                    break
                if _is_standing(meter, frame) or (frame.sequence < meter.sequence and self._has_landed(frame)):
                    confirmed.append(frame)
                else:
                    passed_over.append(frame)
        self.journal.frames_confirmed(confirmed, snapshot.config.epoch_seconds)
        self.journal.frames_skipped(passed_over)
        self.journal.frames_skipped(outdated, "WrongKey")
        for frame in confirmed:
            self._watch.gone(reading_subject([frame]))
        done = {frame.log_index for frame in (*confirmed, *passed_over, *outdated)}
        return {pk: [frame for frame in queue if frame.log_index not in done] for pk, queue in waiting.items()}

    def _has_landed(self, frame: WaitingFrame) -> bool:
        return frame.status == CHAIN_SUBMITTED and frame.signature is not None and self.chain.landed(frame.signature)

    def _record_spans(self, snapshot: Snapshot) -> None:
        for member in snapshot.members:
            wallet = str(member.member)
            if member.boundary is not None and self._recorded.get(wallet) != member.boundary:
                self.journal.record_span(wallet, member.boundary, member.minted_wh, member.withdrawn_wh)
                self._recorded[wallet] = member.boundary

    def _mark(self, situation: Situation, row: SettlementEpoch) -> bool:
        """Note newly complete stages and figures of an epoch; whether there were any."""
        stages = [stage for stage in stages_complete(situation, row) if getattr(row, f"{stage}_ms") is None]
        figures: dict[str, object] = {}
        book = situation.chain.books.get(row.epoch)
        if book is not None and book.is_priced:
            figures |= {
                "bids": book.bids,
                "asks": book.asks,
                "traded_wh": book.volume,
                "clearing_price": book.price if book.volume else None,
            }
        if "checkpointed" in stages:
            figures |= self.chain.checkpoint_figures(row.epoch)
        changed = {name: value for name, value in figures.items() if getattr(row, name) != value}
        if stages or changed:
            self.journal.mark(row.epoch, *stages, **changed)
        return bool(stages or changed)

    def _note_orders(self, situation: Situation, actions: Sequence[Action]) -> None:
        """The current epoch's standing orders are placed when its book is open and no order is left to place."""
        chain = situation.chain
        row = next((row for row in situation.epochs if row.epoch == chain.epoch), None)
        before = next((row for row in situation.epochs if row.epoch == chain.epoch - 1), None)
        if (
            row is not None
            and row.orders_placed_ms is None
            and row.opened_ms is not None
            and (before is None or before.minted_ms is not None)
            and not any(isinstance(action, PlaceOrder | Retire | SettleSurplus) for action in actions)
        ):
            self.journal.mark(row.epoch, "orders_placed")

    # Acting

    def _perform(self, action: Action) -> bool:
        try:
            done = self._do(action)
        except AuthorityError as error:
            if isinstance(error, ChainError) and not isinstance(error, REFUSALS):
                raise  # the line or the validator: everything waits
            self._refused(action, error)
            return True
        with self._lock:
            self._failures.pop(action.subject, None)
        self._watch.gone(action.subject)
        return done

    def _do(self, action: Action) -> bool:
        """Log the act, send it and wait for it; False where it has to wait for an earlier transaction first."""
        match action:
            case SubmitReadings(readings):
                self._in_parts(self._submit, readings)
            case SettleSurplus(member, meters, boundary):
                wallet = str(member.member)
                self.journal.act(
                    f"settle_surplus:{wallet}:{boundary}", "settle_surplus", {"wallet": wallet, "boundary": boundary}
                )
                self.chain.settle_surplus(member, meters, boundary)
            case SettleIdleMeter(member, meter):
                self.journal.act(
                    f"settle_idle_meter:{meter.address}:{meter.standing}",
                    "settle_idle_meter",
                    {"meter": str(meter.address), "wallet": str(member.member)},
                )
                self.chain.settle_idle_meter(member, meter)
            case OpenBillingPeriod(period):
                self.journal.act(f"open_billing_period:{period}", "open_billing_period", {"period": period})
                self.chain.open_billing_period()
            case OpenBook(epoch, before):
                self.journal.act(f"open_epoch:{epoch}", "open_epoch", {"epoch": epoch})
                self.chain.open_book(epoch, before)
            case Retire():
                return self._retire(action)
            case PlaceOrder():
                return self._place(action)
            case PayOut(member, asset, amount):
                key = f"withdraw:{member.member}:{asset.value}:{self._paid_out_in}"
                self.journal.act(
                    key, "withdraw", {"amount": amount, "asset": str(asset.name).lower(), "wallet": str(member.member)}
                )
                with self._lock:
                    self._paid_out.add(action.subject)
                self.chain.pay_out(member, asset, amount)
            case TriggerClearing(book):
                self.journal.act(f"trigger_clearing:{book.epoch}", "trigger_clearing", {"epoch": book.epoch})
                self.chain.trigger_clearing(book)
            case RefundBook(book):
                self.journal.act(f"refund_epoch:{book.epoch}", "refund_epoch", {"epoch": book.epoch})
                self.chain.refund(book)
                self._watch.gone(TriggerClearing(book).subject)
            case Checkpoint(epoch, book):
                self._checkpoint(epoch, book)
        return True

    def _checkpoint(self, epoch: int, book: BookView | None) -> None:
        pinned = book_hash(book)
        figures: dict[str, object] = {"book_hash": pinned}
        if book is not None:
            figures["book_log_index"] = self.journal.log_book(epoch, book.data)
        self.journal.mark(epoch, **figures)
        self.journal.act(f"checkpoint_epoch:{epoch}", "checkpoint_epoch", {"epoch": epoch, "book_hash": pinned.hex()})
        size, root = self.journal.log_head()
        self.chain.checkpoint(epoch, size, root, pinned)

    def _in_parts(self, send: Callable[[Sequence[_Item]], None], items: Sequence[_Item]) -> None:
        """Send in one transaction, or in halves where it is too large: lookup tables are not usable at once."""
        try:
            send(items)
        except TransactionTooLargeError:
            if len(items) < 2:
                raise
            self._in_parts(send, items[: len(items) // 2])
            self._in_parts(send, items[len(items) // 2 :])

    def _submit(self, readings: Sequence[tuple[MeterView, WaitingFrame]]) -> None:
        frames = [frame for _, frame in readings]
        indexes = [frame.log_index for frame in frames]
        self.journal.act(
            f"submit_readings:{','.join(map(str, indexes))}", "submit_readings", {"readings": list(indexes)}
        )
        self.chain.submit_readings(readings, lambda signature: self.journal.frames_submitted(frames, signature))
        self.journal.frames_confirmed(frames, self.chain.epoch_seconds())
        with self._lock:
            self._alone.difference_update(frame.meter_pk for frame in frames)

    def _place(self, action: PlaceOrder) -> bool:
        book, order = action.book, action.order
        data: dict[str, object] = {
            "epoch": book.epoch,
            "price": order.price,
            "quantity": order.quantity,
            "side": SIDES[order.side],
        }
        if action.deposit:
            data["deposit"] = action.deposit
        return self._once(
            action.member,
            "place_order",
            data,
            lambda signer, keep: self.chain.place_order(action.member, signer, book, order, action.deposit, keep),
        )

    def _retire(self, action: Retire) -> bool:
        data: dict[str, object] = {
            "amount": action.amount,
            "period": action.period,
            "reason": "feed_in" if action.feed_in else "consumption",
        }
        return self._once(
            action.member,
            "retire_energy",
            data,
            lambda signer, keep: self.chain.retire(
                action.member,
                signer,
                action.period,
                action.amount,
                keep,
                from_seat=action.from_seat,
                feed_in=action.feed_in,
            ),
        )

    def _once(
        self, member: MemberView, kind: str, data: dict[str, object], send: Callable[[Keypair, Signed], None]
    ) -> bool:
        """Send in a member's name what counts twice if it lands twice; one such transaction of a member at a time.

        False where it is not yet known what became of the last one.
        """
        wallet = str(member.member)
        purpose = f"member:{wallet}"
        pending = self.journal.pending_for(purpose)
        if pending is not None:
            if not self.chain.decide(pending.signature, pending.last_valid_block_height, pending.raw):
                return False
            self.journal.not_pending(purpose)
            return True  # the next round plans with what became of it

        def keep(signature: str, last_valid_block_height: int, raw: str) -> None:
            logged = {**data, "signature": signature, "wallet": wallet}
            self.journal.pending(purpose, signature, last_valid_block_height, raw, kind, logged)

        send(self._signer(wallet), keep)
        self.journal.not_pending(purpose)
        return True

    def _signer(self, wallet: str) -> Keypair:
        with self.store.read() as session:
            user = session.scalars(select(User).where(User.wallet == wallet)).one()
        return self.unseal(user)

    def _refused(self, action: Action, error: AuthorityError) -> None:
        """A program said no, or a key did not open: the next round sees where the chain stands; again, later."""
        LOG.warning("an action was refused", subject=action.subject, code=error.code, reason=str(error))
        name = error.name if isinstance(error, ProgramError) else error.code
        if isinstance(action, SubmitReadings):
            frames = [frame for _, frame in action.readings]
            if len(frames) > 1:
                with self._lock:
                    self._alone.update(frame.meter_pk for frame in frames)
                return
            if name in SKIPPED_REFUSALS | BLOCKING_REFUSALS:
                if name in SKIPPED_REFUSALS:
                    self.journal.frames_skipped(frames, name)
                else:
                    self.journal.frames_blocked(frames, name)
                self._watch.alert(name, action.subject, str(error))
                return
        if isinstance(action, PlaceOrder | Retire):
            purpose = f"member:{action.member.member}"
            pending = self.journal.pending_for(purpose)
            if pending is not None and not self.chain.is_known(pending.signature):
                self.journal.not_pending(purpose)
        with self._lock:
            failed = self._failures.setdefault(action.subject, _Failures(0, 0))
            failed.count += 1
            longest = min(LONGEST_DELAY_MS, self.chain.epoch_seconds() * 1000 // 4)
            delay = min(FIRST_DELAY_MS << min(failed.count, 10), longest)
            failed.not_before_ms = self.clock_ms() + delay
        if failed.count >= FAILING_AFTER:
            self._watch.alert(name, action.subject, str(error))


def _is_standing(meter: MeterView, frame: WaitingFrame) -> bool:
    return frame.sequence == meter.sequence and frame.record_hash[: len(meter.hash)] == meter.hash
