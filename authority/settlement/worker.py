"""The settlement worker: reads the chain, plans, acts, and begins again.

It may be killed at any instruction. What was done is on the chain; what may still be on its way is either refused by
the programs when it comes twice, or (an order) kept in the store before it was sent. So the first round after a start
is a round like any other.

One long file: a round is read from its top to its end, and each step says what a kill between it and the next leaves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import takewhile
from threading import Event, Lock

from solders.keypair import Keypair
from solders.pubkey import Pubkey
from sqlalchemy.exc import OperationalError

from authority.chain.client import Outgoing, Signed
from authority.chain.errors import (
    ChainError,
    ProgramError,
    SignerMissingError,
    TransactionFailedError,
    TransactionTooLargeError,
)
from authority.enrolment import wallets
from authority.errors import AuthorityError
from authority.faults import Faults
from authority.log.publish import Publish
from authority.market.policies import standing_orders_by_wallet
from authority.market.standing_orders import StandingOrder
from authority.settlement import went_back
from authority.settlement.actions import (
    Action,
    Bundle,
    CancelOrder,
    Checkpoint,
    ForMember,
    MoveTokens,
    PayOut,
    PlaceOrder,
    RefundBook,
    Retire,
    SettleSurplus,
    SubmitReading,
    TriggerClearing,
    acts_of,
    bundled,
    turns,
)
from authority.settlement.by_hand import ByHand
from authority.settlement.chain import SettlementChain
from authority.settlement.journal import Departure, EpochRow, Journal, MemberTotals, WaitingFrame
from authority.settlement.plan import FAILING_AFTER, Situation, plan, stages_complete
from authority.settlement.snapshot import MeterView, Snapshot
from authority.settlement.transfers import Transfers
from authority.settlement.views import book_hash
from authority.settlement.watch import Watch
from authority.store import Store
from authority.store.engine import in_a_line
from authority.store.kept import Kept
from authority.store.market import StandingOrderPolicy
from authority.store.metering import CHAIN_SUBMITTED
from authority.store.people import User, WalletKey
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)

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

SETTLEMENT = "settlement"
BILLING = "billing"
"""What alerts of billing's own step are about."""
REFUSALS = (TransactionFailedError, TransactionTooLargeError, SignerMissingError)
"""What is wrong with one action; other errors of the chain concern all."""
FIRST_DELAY_MS = 500
LONGEST_DELAY_MS = 60_000
LONGEST_LINE_DELAY_MS = 5_000
"""How long to leave a validator or a database alone that does not answer."""
LONGEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS = 5.0, 0.1
"""Between rounds with nothing to do."""
WAVE = 24
"""Transactions that are signed, kept, sent and noted together."""


class LogBehindError(AuthorityError):
    """The store is older than its chain: nothing is settled before the log is refilled."""

    code = "log_behind"


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
    figures; what is due is judged by the chain's own clock. publish signs an epoch's checkpoint and gives it out.
    bill is what billing does once an epoch, when there is nothing else to do.
    """

    def __init__(
        self,
        store: Store,
        chain: SettlementChain,
        unseal: Callable[[wallets.Custodial], Keypair],
        clock_ms: Callable[[], int],
        *,
        in_flight: int = 4,
        publish: Publish | None = None,
        bill: Callable[[], object] = lambda: None,
    ) -> None:
        self.store = store
        self.chain = chain
        self.unseal = unseal
        self.journal = Journal(store, clock_ms, publish)
        self.clock_ms = clock_ms
        self.in_flight = in_flight
        self.bill = bill
        self._billed_in = -1
        self._lock = Lock()
        self._custody: dict[Pubkey, wallets.Sealed] = {}
        tables = (StandingOrderPolicy.__tablename__, User.__tablename__, WalletKey.__tablename__)
        self._asked = Kept(
            store, tables, lambda session: (standing_orders_by_wallet(session), wallets.custody(session))
        )
        self._fresh = True
        self._failures: dict[str, _Failures] = {}
        self._recorded: dict[str, MemberTotals] = {}
        self._given_up: dict[str, int] = {}
        self._paid_out: set[str] = set()
        self._paid_out_in = -1
        self._watch = Watch(self.journal)
        self._by_hand = ByHand(self.journal, chain)
        self._transfers = Transfers(self.journal, chain)
        self._compared = False
        self._slot = 0
        self.last_actions: Sequence[Action] = ()

    # The loop

    def run(self, stop: Event, keep: Callable[[], bool] = lambda: True) -> None:
        """Work until stop is set or keep() (the lease) says no; rounds without anything to do are spaced out."""
        delay, faults = FIRST_DELAY_MS, Faults(LOG)
        while not stop.is_set() and keep():
            try:
                busy = self.round()
                delay = FIRST_DELAY_MS
                faults.over("round", "settlement goes on")
            except (ChainError, OperationalError, LogBehindError) as error:
                cause, reason = f"{type(error).__name__} {getattr(error, 'name', '')}".strip(), in_a_line(error)
                faults.met("round", cause, "settlement waits", logging.WARNING, again_in_ms=delay, reason=reason)
                self._fresh = True
                stop.wait(delay / 1000)
                delay = min(delay * 2, LONGEST_LINE_DELAY_MS)
                continue
            if not busy:
                stop.wait(self.pause_seconds())

    def pause_seconds(self) -> float:
        """How long to wait after a round with nothing to do: the longer the last boundary is past, up to the next."""
        seconds = self.chain.epoch_seconds()
        past = self.clock_ms() / 1000 % seconds
        longest = min(LONGEST_PAUSE_SECONDS, seconds / 40)
        return min(max(past / 10, longest / 5), longest, max(seconds - past, SHORTEST_PAUSE_SECONDS))

    def round(self) -> bool:
        """Read the chain, do everything that can be done now, and return whether anything was done.

        Raises ChainError where the validator does not answer; nothing is lost by calling again.
        """
        situation = self.observe()
        self.last_actions = actions = self._due(plan(situation))
        self._note_orders(situation, actions)
        self._watch.tell_of_stalled(situation)
        if not actions:
            self._bill(situation)
            return False
        bundles = bundled(actions, self._failures.keys())
        waves = [bundles[start : start + WAVE] for start in range(0, len(bundles), WAVE)]
        if len(waves) == 1 or self.in_flight == 1:
            carried = [self._carry(wave) for wave in waves]
        else:  # while the validator runs one wave, the next is signed and kept
            with ThreadPoolExecutor(self.in_flight, thread_name_prefix="settlement") as pool:
                carried = list(pool.map(self._carry, waves))
        return any(carried)

    def _due(self, actions: Sequence[Action]) -> list[Action]:
        """Those whose time is come; where one of a member waits for its second try, so does what would follow it."""
        if not self._failures:
            return list(actions)
        now = self.clock_ms()

        def is_due(action: Action) -> bool:
            failed = self._failures.get(action.subject)
            return failed is None or failed.is_over(now)

        return [action for turn in turns(actions) for action in takewhile(is_due, turn)]

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
            LOG.warning("billing is refused", code=error.code, reason=str(error))
            self._watch.alert(error.code, BILLING, str(error))
        self._billed_in = situation.chain.epoch

    def settle_down(self, rounds: int = 100) -> None:
        """Rounds until there is nothing to do; for tests and for `--once`."""
        for _ in range(rounds):
            self._fresh = True
            if not self.round():
                return

    # Reading

    def observe(self) -> Situation:
        """What the chain and the store say now, with the store brought up to date with the chain."""
        self._compare()
        self.chain.refresh(self.store)
        fresh, self._fresh = self._fresh, False
        snapshot = self._watch.with_passed(self.chain.snapshot(fresh=fresh))
        rows = self.journal.open_epochs()
        if not rows or rows[-1].epoch < snapshot.epoch:
            self.journal.ensure_epochs(snapshot.epoch, after=snapshot.last_checkpoint)
            rows = self.journal.open_epochs()
        waiting = self._reconcile(snapshot)
        self._record_spans(snapshot)
        if self._paid_out_in != snapshot.epoch:
            self._paid_out, self._paid_out_in = set(), snapshot.epoch
        policies, delegated, mine = self._wishes(snapshot)
        situation = Situation(
            chain=snapshot,
            waiting=waiting,
            epochs=rows,
            policies=policies,
            delegated=frozenset(delegated),
            by_hand=self._by_hand.open(snapshot, mine | delegated),
            transfers=self._transfers.open(snapshot, mine),
            refused={subject: failed.count for subject, failed in self._failures.items()},
            given_up=dict(self._given_up),
            paid_out=frozenset(self._paid_out),
        )
        self._give_up(situation)
        marked = [self._mark(situation, row) for row in rows]
        return replace(situation, epochs=self.journal.open_epochs()) if any(marked) else situation

    def _compare(self) -> None:
        """At the start, and whenever the chain's slot falls: a chain that went back is followed back.

        LogBehindError where it is the log that is behind: nothing is done before it is refilled.
        """
        slot = self.chain.client.slot()
        fell, self._slot = slot < self._slot, slot
        if self._compared and not fell:
            return
        network_id = self.chain.network_id(self.store)
        stands = went_back.standing(self.store, self.chain.client, network_id)
        with self.store.read() as session:
            log_is_behind = went_back.log_is_behind(session, stands)
            behind = fell or went_back.is_behind(session, stands)
        if log_is_behind:
            message = (
                f"this store is older than its chain, which pins a log of {stands.log_size} leaves that this log does "
                "not extend; nothing is settled until what was lost is taken back or given up: authority recover run"
            )
            self._watch.alert(LogBehindError.code, "log", message)
            raise LogBehindError(message)
        self._watch.gone("log")
        if behind:
            now = self.clock_ms() // 1000
            client = self.chain.client
            found = went_back.go_back(self.store, client, network_id, actor=SETTLEMENT, now=now)
            if found.any:
                LOG.warning(
                    "the chain went back, and what it lost is done again",
                    last_checkpoint=found.last_checkpoint,
                    epochs=len(found.epochs),
                    readings=found.readings,
                    undone=len(found.acts),
                )
                self.chain.forget()
                self._recorded, self._given_up, self._failures = {}, {}, {}
                self._fresh = True
            if found.unregistered or found.acts:
                kinds = ", ".join(sorted({kind for _, kind in found.acts})) or "registrations"
                message = f"the chain went back, and {kinds} were undone with it: authority recover run"
                self._watch.alert("chain_went_back", went_back.WENT_BACK, message)
        self._compared = True

    def _wishes(self, snapshot: Snapshot) -> tuple[dict[str, StandingOrder], set[str], set[str]]:
        """Standing orders of those members for whom a key is in custody here; for whom as delegate, for whom itself.

        That is the key of the present wallet, else of the delegate, as long as that is in office.
        """
        orders, custody = self._asked.get()
        self._custody = custody
        mine = {str(member.member) for member in snapshot.members if member.wallet in custody}
        delegated = {
            str(member.member)
            for member in snapshot.members
            if member.wallet not in custody and member.delegate in custody and snapshot.now < member.delegate_until
        }
        policies = {name: order for name, order in orders.items() if name in mine | delegated}
        return policies, delegated, mine

    def _give_up(self, situation: Situation) -> None:
        """What the chain refuses of a member again and again, beyond its grace, keeps its later readings no longer."""
        chain = situation.chain
        for action in situation.settling if situation.refused else ():
            if situation.fails(action.subject):
                member = str(action.member.member)
                due = chain.now >= action.boundary + chain.config.grace_seconds
                if due and action.boundary > self._given_up.get(member, 0):
                    given_up = {"boundary": action.boundary, "wallet": member}
                    self.journal.act(f"boundary_given_up:{member}:{action.boundary}", "boundary_given_up", given_up)
                    self._given_up[member] = action.boundary

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
            self._watch.gone(f"reading {frame.log_index}")
        done = {frame.log_index for frame in (*confirmed, *passed_over, *outdated)}
        return {pk: [frame for frame in queue if frame.log_index not in done] for pk, queue in waiting.items()}

    def _has_landed(self, frame: WaitingFrame) -> bool:
        return frame.status == CHAIN_SUBMITTED and frame.signature is not None and self.chain.landed(frame.signature)

    def _record_spans(self, snapshot: Snapshot) -> None:
        new = []
        for member in snapshot.members:
            wallet = str(member.member)
            recorded = self._recorded.get(wallet)
            if member.boundary is not None and (recorded is None or recorded.boundary != member.boundary):
                new.append(MemberTotals(wallet, member.boundary, member.minted_wh, member.withdrawn_wh))
        if new:
            self.journal.record_spans(new, self._recorded)
            self._recorded.update({total.wallet: total for total in new})

    def _mark(self, situation: Situation, row: EpochRow) -> bool:
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
            and not any(isinstance(action, PlaceOrder | MoveTokens | Retire | SettleSurplus) for action in actions)
        ):
            self.journal.mark(row.epoch, "orders_placed")

    # Acting

    def _carry(self, bundles: Sequence[Bundle]) -> bool:
        """Do bundles of actions side by side; whether anything was done.

        Each is one transaction. One that is refused is done again in parts, so that what the programs refuse of one
        member holds nobody else (`_parts`). Errors of the line are raised once all else is noted.
        """
        outgoing: list[Outgoing] = []
        sent: list[Bundle] = []
        left, done = self._decided(bundles)
        for bundle in left:
            signers, locked = self._signers(bundle)
            done = done or bool(locked)
            if ready := tuple(action for action in bundle if action not in locked):
                sent.append(ready)
                outgoing.append(self._transaction(ready, signers))
        departures: dict[int, Departure] = {}

        def departing(signed: Sequence[Signed]) -> None:
            new = {each.index: _departure(sent[each.index], each) for each in signed}
            self.journal.departing(list(new.values()))
            departures.update(new)

        outcomes = self.chain.send_all(outgoing, departing) if outgoing else []
        arrived = [departures[at] for at, outcome in enumerate(outcomes) if not isinstance(outcome, ChainError)]
        self.journal.arrived(arrived, self.chain.epoch_seconds())
        again: list[Bundle] = []
        broken: ChainError | None = None
        for at, (bundle, outcome) in enumerate(zip(sent, outcomes, strict=True)):
            if not isinstance(outcome, ChainError):
                self._arrived(bundle)
                done = True
            elif not isinstance(outcome, REFUSALS):
                broken = broken or outcome  # the line or the validator: everything waits
            else:
                self._fresh = done = True
                self._withdrawn(departures.get(at), outcome)
                if len(bundle) > 1:
                    self._by_hand.undone(bundle)
                    self._transfers.undone(bundle)
                    again += _parts(bundle, halves=isinstance(outcome, TransactionTooLargeError))
                else:
                    self._refused(bundle[0], outcome)
        if broken is not None:
            raise broken
        return (self._carry(again) if again else False) or done

    def _decided(self, bundles: Sequence[Bundle]) -> tuple[list[Bundle], bool]:
        """Bundles without the members of whom it is not yet known, or only now, what became of their last transaction.

        What they do next, the next round plans with what became of it; whether there are such of whom it is known now.
        """
        purposes = [action.purpose for bundle in bundles for action in bundle if isinstance(action, ForMember)]
        pending = self.journal.pending(purposes)
        over = {
            purpose
            for purpose, kept in pending.items()
            if self.chain.decide(kept.signature, kept.last_valid_block_height, kept.raw)
        }
        self.journal.not_pending(sorted(over))
        if pending:
            self._fresh = True
        left = [
            tuple(each for each in bundle if not (isinstance(each, ForMember) and each.purpose in pending))
            for bundle in bundles
        ]
        return [bundle for bundle in left if bundle], bool(over)

    def _signers(self, bundle: Bundle) -> tuple[dict[Pubkey, Keypair], list[Action]]:
        """The keys that sign for a bundle's members, and the actions for which there is none."""
        signers: dict[Pubkey, Keypair] = {}
        locked: list[Action] = []
        for turn in turns(bundle):
            first = turn[0]
            if isinstance(first, ForMember):
                member = first.member
                try:
                    key = self._custody.get(member.wallet) or self._custody[member.delegate or member.wallet]
                    signers[member.member] = self.unseal(key)
                except wallets.WalletError as error:
                    self._refused(first, error)
                    locked += turn
        return signers, locked

    def _transaction(self, bundle: Bundle, signers: Mapping[Pubkey, Keypair]) -> Outgoing:
        first = bundle[0]
        if isinstance(first, Checkpoint):
            return self._checkpoint(first)
        if isinstance(first, PayOut):
            with self._lock:  # whatever becomes of it, it is tried once in an epoch
                self._paid_out.add(first.subject)
        return self.chain.transaction(bundle, signers)

    def _checkpoint(self, action: Checkpoint) -> Outgoing:
        epoch, book = action.epoch, action.book
        pinned = book_hash(book)
        size, root = self.journal.checkpointing(epoch, pinned, None if book is None else book.data)
        return self.chain.checkpoint(epoch, size, root, pinned)

    def _arrived(self, bundle: Bundle) -> None:
        with self._lock:
            for action in bundle if self._failures else ():
                self._failures.pop(action.subject, None)
        for action in bundle if self._watch.is_open else ():
            self._watch.gone(action.subject)
            if isinstance(action, RefundBook):
                self._watch.gone(TriggerClearing(action.book).subject)

    def _withdrawn(self, departure: Departure | None, error: ChainError) -> None:
        """What was refused counts no longer as on its way, unless it may have landed after all."""
        if departure is None or not departure.purposes:
            return
        if getattr(error, "signature", None) is not None or not self.chain.is_known(departure.signature):
            self.journal.not_pending(departure.purposes)

    def _refused(self, action: Action, error: AuthorityError) -> None:
        """A program said no, or a key did not open: the next round sees where the chain stands; again, later."""
        LOG.warning("an action was refused", subject=action.subject, code=error.code, reason=str(error))
        if isinstance(action, PlaceOrder | CancelOrder) and action.by_hand is not None:
            self._by_hand.refused(action, action.by_hand, error)
            return
        if isinstance(action, MoveTokens):
            self._transfers.refused(action, error)
            return
        name = error.name if isinstance(error, ProgramError) else error.code
        if isinstance(action, SubmitReading) and name in SKIPPED_REFUSALS | BLOCKING_REFUSALS:
            if name in SKIPPED_REFUSALS:
                index = action.frame.log_index
                refused = {"error": name, "reading": index}
                self.journal.act(f"reading_refused:{index}", "reading_refused", refused)
                self.journal.frames_skipped([action.frame], name)
            else:
                self.journal.frames_blocked([action.frame], name)
            self._watch.alert(name, action.subject, str(error))
            return
        with self._lock:
            failed = self._failures.setdefault(action.subject, _Failures(0, 0))
            failed.count += 1
            longest = min(LONGEST_DELAY_MS, self.chain.epoch_seconds() * 1000 // 4)
            delay = min(FIRST_DELAY_MS << min(failed.count, 10), longest)
            failed.not_before_ms = self.clock_ms() + delay
        if failed.count >= FAILING_AFTER:
            self._watch.alert(name, action.subject, str(error))


def _parts(bundle: Bundle, *, halves: bool) -> list[Bundle]:
    """What is sent in a refused bundle's place: each turn by itself; halves where it was too large.

    Of one member's acts the first alone, or the first half; what would follow is planned anew when that is done.
    """
    found = turns(bundle)
    if len(found) == 1:
        return [bundle[: len(bundle) // 2 if halves else 1]]
    if not halves:
        return found
    middle = len(found) // 2
    return [sum(found[:middle], ()), sum(found[middle:], ())]


def _departure(bundle: Bundle, signed: Signed) -> Departure:
    signature = str(signed.signature)
    return Departure(
        signature,
        signed.last_valid_block_height,
        signed.raw,
        acts_of(bundle, signature),
        [action.frame for action in bundle if isinstance(action, SubmitReading)],
        list(dict.fromkeys(action.purpose for action in bundle if isinstance(action, ForMember))),
        [
            action.by_hand
            for action in bundle
            if isinstance(action, PlaceOrder | CancelOrder) and action.by_hand is not None
        ],
        [action.transfer for action in bundle if isinstance(action, MoveTokens)],
    )


def _is_standing(meter: MeterView, frame: WaitingFrame) -> bool:
    return frame.sequence == meter.sequence and frame.record_hash[: len(meter.hash)] == meter.hash
