"""The settlement worker: reads the chain, plans, acts, and begins again.

It may be killed at any instruction. What was done is on the chain; what may still be on its way is either refused by
the programs when it comes twice, or (an order) kept in the store before it was sent. So the first round after a start
is a round like any other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from threading import Event, Lock
from typing import TypeVar

from solders.keypair import Keypair
from solders.pubkey import Pubkey
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
from authority.settlement.chain import SettlementChain, book_hash
from authority.settlement.journal import Journal, WaitingFrame
from authority.settlement.plan import (
    Action,
    Checkpoint,
    CloseBook,
    OpenBillingPeriod,
    OpenBook,
    PlaceOrder,
    RefundBook,
    SettleOrders,
    SettleSurplus,
    Situation,
    SubmitReadings,
    TriggerClearing,
    plan,
    reading_subject,
    stages_complete,
)
from authority.settlement.snapshot import BookStatus, MeterView, Snapshot
from authority.store import Store
from authority.store.metering import CHAIN_SUBMITTED
from authority.store.people import User
from authority.store.settlement import SettlementEpoch

LOG = logging.getLogger(__name__)
_Item = TypeVar("_Item")

SKIPPED_REFUSALS = frozenset(
    {
        "WrongKey",
        "RecordMagic",
        "RecordNetwork",
        "SequenceBelowFirst",
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

REFUSALS = (TransactionFailedError, TransactionTooLargeError, SignerMissingError)
"""What is wrong with one action; other errors of the chain concern all."""
FAILING_AFTER = 3
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
    figures; what is due is judged by the chain's own clock.
    """

    def __init__(
        self,
        store: Store,
        chain: SettlementChain,
        unseal: Callable[[User], Keypair],
        clock_ms: Callable[[], int],
        *,
        in_flight: int = 8,
    ) -> None:
        self.store = store
        self.chain = chain
        self.unseal = unseal
        self.journal = Journal(store, clock_ms)
        self.clock_ms = clock_ms
        self.in_flight = in_flight
        self._lock = Lock()
        self._failures: dict[str, _Failures] = {}
        self._alone: set[int] = set()
        self._recorded: dict[str, int] = {}
        self._alerted = self.journal.open_alerts()

    # The loop

    def run(self, stop: Event, keep: Callable[[], bool] = lambda: True) -> None:
        """Work until stop is set or keep() (the lease) says no; rounds without anything to do are spaced out."""
        delay = FIRST_DELAY_MS
        while not stop.is_set() and keep():
            try:
                busy = self.round()
                delay = FIRST_DELAY_MS
            except (ChainError, OperationalError) as error:
                LOG.warning("the validator or the store does not answer, again in %s ms: %s", delay, error)
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
        if not actions:
            return False
        with ThreadPoolExecutor(self.in_flight, thread_name_prefix="settlement") as pool:
            return any(list(pool.map(self._perform, actions)))

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
        snapshot = self.chain.snapshot([row.epoch for row in rows])
        waiting = self._reconcile(snapshot)
        self._record_spans(snapshot)
        situation = Situation(
            chain=snapshot,
            waiting=waiting,
            epochs=rows,
            policies=self._policies(),
            alone=frozenset(self._alone),
            failing=frozenset(subject for subject, failed in self._failures.items() if failed.count >= FAILING_AFTER),
        )
        marked = [self._mark(situation, row) for row in rows]
        return replace(situation, epochs=self.journal.open_epochs()) if any(marked) else situation

    def _policies(self) -> dict[str, StandingOrder]:
        with self.store.read() as session:
            return {user.wallet: policy for user, policy in standing_orders(session) if user.sealed_key is not None}

    def _reconcile(self, snapshot: Snapshot) -> dict[int, list[WaitingFrame]]:
        """Take out of the waiting frames what the chain already has, and note what became of it."""
        waiting = self.journal.waiting()
        confirmed: list[WaitingFrame] = []
        passed_over: list[WaitingFrame] = []
        for meter in snapshot.meters:
            queue = waiting.get(meter.meter_pk, [])
            for frame in queue:
                if meter.sequence is None or frame.sequence > meter.sequence:
                    break
                if _is_standing(meter, frame) or (frame.sequence < meter.sequence and self._has_landed(frame)):
                    confirmed.append(frame)
                else:
                    passed_over.append(frame)
        self.journal.frames_confirmed(confirmed, snapshot.config.epoch_seconds)
        self.journal.frames_skipped(passed_over)
        for frame in confirmed:
            self._gone(reading_subject([frame]))
        done = {frame.log_index for frame in (*confirmed, *passed_over)}
        return {pk: [frame for frame in queue if frame.log_index not in done] for pk, queue in waiting.items()}

    def _has_landed(self, frame: WaitingFrame) -> bool:
        return frame.status == CHAIN_SUBMITTED and frame.signature is not None and self.chain.landed(frame.signature)

    def _record_spans(self, snapshot: Snapshot) -> None:
        for member in snapshot.members:
            wallet = str(member.wallet)
            if member.boundary is not None and self._recorded.get(wallet) != member.boundary:
                self.journal.record_span(wallet, member.boundary, member.minted_wh, member.withdrawn_wh)
                self._recorded[wallet] = member.boundary

    def _mark(self, situation: Situation, row: SettlementEpoch) -> bool:
        """Note newly complete stages and figures of an epoch; whether there were any."""
        stages = [stage for stage in stages_complete(situation, row) if getattr(row, f"{stage}_ms") is None]
        figures: dict[str, object] = {}
        book = situation.chain.books.get(row.epoch)
        if book is not None and book.status in (BookStatus.CLEARED, BookStatus.FINAL):
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
            and not any(isinstance(action, PlaceOrder | SettleSurplus) for action in actions)
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
        self._gone(action.subject)
        return done

    def _alert(self, code: str, subject: str, message: str) -> None:
        with self._lock:
            self._alerted.add(subject)
        self.journal.alert(code, subject, message)

    def _gone(self, subject: str) -> None:
        """What was alerted about this subject, by this worker or by one before it, is over."""
        with self._lock:
            if subject not in self._alerted:
                return
            self._alerted.remove(subject)
        self.journal.resolve(subject)

    def _do(self, action: Action) -> bool:
        """Log the act, send it and wait for it; False where it has to wait for an earlier transaction first."""
        match action:
            case SubmitReadings(readings):
                self._in_parts(self._submit, readings)
            case SettleSurplus(member, meters, boundary):
                wallet = str(member.wallet)
                self.journal.act(
                    f"settle_surplus:{wallet}:{boundary}", "settle_surplus", {"wallet": wallet, "boundary": boundary}
                )
                self.chain.settle_surplus(member, meters, boundary)
            case OpenBillingPeriod(period):
                self.journal.act(f"open_billing_period:{period}", "open_billing_period", {"period": period})
                self.chain.open_billing_period()
            case OpenBook(epoch, half_made):
                self.journal.act(f"open_epoch:{epoch}", "open_epoch", {"epoch": epoch})
                self.chain.open_book(epoch, half_made=half_made)
            case PlaceOrder():
                return self._place(action)
            case TriggerClearing(book):
                self.journal.act(f"trigger_clearing:{book.epoch}", "trigger_clearing", {"epoch": book.epoch})
                self.chain.trigger_clearing(book)
            case RefundBook(book):
                self.journal.act(f"refund_epoch:{book.epoch}", "refund_epoch", {"epoch": book.epoch})
                self.chain.refund(book)
                self._gone(TriggerClearing(book).subject)
            case SettleOrders(cleared, orders):
                key = f"settle_orders:{cleared.epoch}:{','.join(map(str, orders))}"
                self.journal.act(key, "settle_orders", {"epoch": cleared.epoch, "orders": list(orders)})
                self._in_parts(partial(self.chain.settle_orders, cleared), orders)
            case Checkpoint(epoch, book):
                pinned = book_hash(book)
                figures: dict[str, object] = {"book_hash": pinned}
                if book is not None:
                    figures["book_log_index"] = self.journal.log_book(epoch, book.data)
                self.journal.mark(epoch, **figures)
                self.journal.act(
                    f"checkpoint_epoch:{epoch}", "checkpoint_epoch", {"epoch": epoch, "book_hash": pinned.hex()}
                )
                size, root = self.journal.log_head()
                self.chain.checkpoint(epoch, size, root, pinned)
            case CloseBook(book):
                self.journal.act(f"close_epoch:{book.epoch}", "close_epoch", {"epoch": book.epoch})
                self.chain.close_book(book)
        return True

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
        wallet, book, order = str(action.member.wallet), action.book, action.order
        purpose = f"order:{wallet}"
        pending = self.journal.pending_for(purpose)
        if pending is not None:
            if not self.chain.decide(pending.signature, pending.last_valid_block_height, pending.raw):
                return False
            self.journal.not_pending(purpose)
            return True  # the next round plans with what became of it

        def keep(signature: str, last_valid_block_height: int, raw: str) -> None:
            data = {
                "epoch": book.epoch,
                "price": order.price,
                "quantity": order.quantity,
                "side": SIDES[order.side],
                "signature": signature,
                "wallet": wallet,
            }
            self.journal.pending(purpose, signature, last_valid_block_height, raw, "place_order", data)

        self.chain.place_order(action.member, self._signer(wallet), book, order, keep)
        self.journal.not_pending(purpose)
        return True

    def _recreate(self, wallets: Sequence[Pubkey], reason: str) -> None:
        """A member who closed a token account keeps nobody waiting, and loses nothing: it is made again."""
        for wallet in wallets:
            key = f"recreate_token_accounts:{wallet}:{reason}"
            self.journal.act(key, "recreate_token_accounts", {"wallet": str(wallet), "for": reason})
            self.chain.recreate_token_accounts(wallet)

    def _signer(self, wallet: str) -> Keypair:
        with self.store.read() as session:
            user = session.scalars(select(User).where(User.wallet == wallet)).one()
        return self.unseal(user)

    def _refused(self, action: Action, error: AuthorityError) -> None:
        """A program said no, or a key did not open: the next round sees where the chain stands; again, later."""
        LOG.warning("%s: %s", action.subject, error)
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
                self._alert(name, action.subject, str(error))
                return
        if isinstance(action, SettleOrders) and name == "NothingSettled":
            self._recreate(self.chain.unpaid_members(action.book), f"book {action.book.epoch}")
        if isinstance(action, SettleSurplus) and action.member.held_wh is None:
            self._recreate([action.member.wallet], f"boundary {action.boundary}")
        if isinstance(action, PlaceOrder):
            purpose = f"order:{action.member.wallet}"
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
            self._alert(name, action.subject, str(error))


def _is_standing(meter: MeterView, frame: WaitingFrame) -> bool:
    return frame.sequence == meter.sequence and frame.record_hash[: len(meter.hash)] == meter.hash
