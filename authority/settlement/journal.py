"""What settlement writes into the store: progress of epochs, spans, acts in the log, alerts, and what became of frames.

Nothing here decides what happens next; the chain does. Every method is one transaction, and saying the same thing
twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Row, Select, bindparam, func, literal_column, or_, select, true, update
from sqlalchemy.orm import Session, aliased

from authority.log import log
from authority.log.publish import Publish
from authority.market import hand_orders, transfers
from authority.market.book_leaf import book_leaf
from authority.market.hand_orders import HandOrder
from authority.market.transfers import Transfer
from authority.settlement.market_sums import may_be_told
from authority.store import Store
from authority.store.base import table_of
from authority.store.kept import Kept
from authority.store.market import HandOrderRow, PendingTransaction, TransferRow
from authority.store.metering import (
    CHAIN_CONFIRMED,
    CHAIN_PENDING,
    CHAIN_SKIPPED,
    CHAIN_SUBMITTED,
    PASSED,
    CarriedFrame,
    Frame,
    Meter,
    waiting_for_the_chain,
)
from authority.store.people import User
from authority.store.rows import delete_rows, execute, insert_rows, rows_among, set_row, update_rows
from authority.store.settlement import EPOCH_STATES, Alert, SettledSpan, SettlementAct, SettlementEpoch, act_key

ACTOR = "settlement"
QUEUE_DEPTH = 256
"""How many waiting frames of a meter are looked at: a boundary further on is not needed to decide about the next."""
STANDINGS_PER_QUERY = 100
OPEN_EPOCHS = 32
"""How many epochs that are behind are dealt with at a time, however long settlement has stood still."""


@dataclass(frozen=True, slots=True)
class WaitingFrame:
    """A frame on its way to the chain: interval_end in Unix seconds, frame is its 192 bytes.

    key is the public key that signed it, for each key numbers its own records; signature is the transaction it was
    last sent with; error names the refusal for which it, and its meter, wait for a person.
    """

    log_index: int
    meter_pk: int
    sequence: int
    interval_end: int
    record_hash: bytes
    frame: bytes
    key: bytes
    status: str
    signature: str | None = None
    error: str | None = None


EpochRow = SettlementEpoch | Row[Any]
"""An epoch's row, by the names of its columns: read many times a round, and so without an object of the session."""


class Logged(NamedTuple):
    """An act of the authority for the log: the key under which it is logged but once, its kind, its data."""

    key: str
    kind: str
    data: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Departure:
    """A transaction that is about to be sent: signature (base58), last block height where it can land, itself (base64).

    acts are what the log is told of it, frames the readings in it; purposes name what must not be signed a second time
    while this may still land, by_hand (HandOrder.id) and transfers (Transfer.id) which wishes it carries out.
    """

    signature: str
    last_valid_block_height: int
    raw: str
    acts: Sequence[Logged] = ()
    frames: Sequence[WaitingFrame] = ()
    purposes: Sequence[str] = ()
    by_hand: Sequence[int] = ()
    transfers: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class MemberTotals:
    """A member's totals on the chain (Wh) after the span that ended at the boundary (Unix seconds)."""

    wallet: str
    boundary: int
    minted_wh: int
    withdrawn_wh: int


CLEARED = "trigger_clearing"
"""The act that clears an epoch's book, and pays its orders."""


class Journal:
    """Settlement's side of the store; clock_ms gives Unix milliseconds.

    publish signs the log as it stands and gives it out; without it, the log's head is pinned unsigned.
    """

    def __init__(self, store: Store, clock_ms: Callable[[], int], publish: Publish | None = None) -> None:
        self.store = store
        self.clock_ms = clock_ms
        self._publish = publish
        self._open_epochs = Kept(store, (SettlementEpoch.__tablename__,), _unfinished)
        self._waiting = Kept(
            store, (Frame.__tablename__, CarriedFrame.__tablename__, Meter.__tablename__), _waiting_by_meter
        )
        self._by_hand = Kept(store, (HandOrderRow.__tablename__, User.__tablename__), hand_orders.open_orders)
        self._moving = Kept(store, (TransferRow.__tablename__, User.__tablename__), transfers.open_transfers)

    def _seconds(self) -> int:
        return self.clock_ms() // 1000

    # Epochs

    def ensure_epochs(self, current: int, after: int | None = None) -> None:
        """Have a row for every epoch from the last one known to the current.

        Where none is known, the first is the one after `after` (the chain's last checkpoint), else the current.
        """
        with self.store.read() as session:
            last = execute(session, _LAST_EPOCH).scalar()
        if last is None:
            last = after if after is not None else current - 1
        if last >= current:
            return
        with self.store.write() as session:
            now = self.clock_ms()
            new = [(epoch, EPOCH_STATES[0], now, *_NONE_YET) for epoch in range(last + 1, current + 1)]
            insert_rows(session, _epochs, _EPOCH_COLUMNS, new)

    def open_epochs(self) -> list[EpochRow]:
        """Epochs with something left to do, oldest first: at most OPEN_EPOCHS, and the newest two."""
        return self._open_epochs.get()

    def epoch(self, epoch: int) -> SettlementEpoch | None:
        """An epoch's row."""
        with self.store.read() as session:
            return session.get(SettlementEpoch, epoch)

    def mark(self, epoch: int, *stages: str, **figures: object) -> None:
        """Note that stages (names of the `_ms` columns without the suffix) are complete, and figures of the epoch.

        A stage keeps the time at which it was first noted. The state follows: the last stage of EPOCH_STATES that is
        complete together with all before it.
        """
        with self.store.write() as session:
            self._mark(session, epoch, stages, figures)

    def _mark(self, session: Session, epoch: int, stages: Sequence[str], figures: Mapping[str, object]) -> None:
        now = self.clock_ms()
        row = execute(session, _EPOCH, {"of": epoch}).mappings().one_or_none()
        if row is None:
            session.add(SettlementEpoch(epoch=epoch, state=EPOCH_STATES[0], first_seen_ms=now))
            session.flush()
        known = dict(row or {})
        noted = {f"{stage}_ms": now for stage in stages if known.get(f"{stage}_ms") is None}
        changed: dict[str, object] = {**noted, **figures}
        changed["state"] = _state_of(known | changed)
        set_row(session, _epochs, "epoch", epoch, changed)

    # Acts and the log

    def act(self, key: str, kind: str, data: Mapping[str, object]) -> int:
        """Log an act of the authority once for its key, before its transaction is first sent; its log index."""
        with self.store.write() as session:
            return self._acts(session, [Logged(key, kind, data)])[key]

    def _acts(self, session: Session, acts: Sequence[Logged]) -> dict[str, int]:
        """Log those acts that are not logged yet; the index of each."""
        keys = {act_key(act.key): act.key for act in acts}
        if not keys:
            return {}
        rows = rows_among(session, _ACTS, _act_rows.c.key, list(keys))
        found = {keys[row.key]: row.log_index for row in rows}
        new = [act for act in acts if act.key not in found]
        indexes = log.record_acts(session, [(act.kind, act.data) for act in new], ACTOR, self._seconds())
        if new:
            made = [(act_key(act.key), index) for act, index in zip(new, indexes, strict=True)]
            insert_rows(session, _act_rows, ("key", "log_index"), made)
        return found | {act.key: index for act, index in zip(new, indexes, strict=True)}

    def departing(self, departures: Sequence[Departure]) -> None:
        """Transactions are about to be sent: log their acts, note what carries which frames, keep what counts twice.

        There is one row for each purpose; the last one counts.
        """
        with self.store.write() as session:
            self._acts(session, [act for departure in departures for act in departure.acts])
            carried = {frame.log_index: departure.signature for departure in departures for frame in departure.frames}
            if carried:
                set_frames(session, list(carried), chain_status=CHAIN_SUBMITTED)
                insert_rows(session, _carried, ("log_index", "signature"), list(carried.items()))
            purposes = {purpose: departure for departure in departures for purpose in departure.purposes}
            if purposes:
                delete_rows(session, _pending, "purpose", list(purposes))
                now = self._seconds()
                kept = [
                    (purpose, each.signature, each.last_valid_block_height, each.raw, now)
                    for purpose, each in purposes.items()
                ]
                insert_rows(session, _pending, _PENDING_COLUMNS, kept)
            for departure in departures:
                if departure.by_hand:
                    hand_orders.mark(session, departure.by_hand, hand_orders.SENT, signature=departure.signature)
                if departure.transfers:
                    transfers.mark(session, departure.transfers, transfers.SENT, signature=departure.signature)

    def arrived(self, departures: Sequence[Departure], epoch_seconds: int) -> None:
        """The chain has taken these transactions: their frames count for the epochs at whose ends they were read."""
        frames = [frame for departure in departures for frame in departure.frames]
        purposes = [purpose for departure in departures for purpose in departure.purposes]
        by_hand = [each for departure in departures for each in departure.by_hand]
        moved = [each for departure in departures for each in departure.transfers]
        cleared = {
            int(str(act.data["epoch"])): departure.signature
            for departure in departures
            for act in departure.acts
            if act.kind == CLEARED
        }
        if frames or purposes or cleared:
            with self.store.write() as session:
                if cleared:  # all epochs in one order: two waves side by side would else wait for each other
                    its_epochs = {frame.interval_end // epoch_seconds - 1 for frame in frames}
                    for epoch in sorted(its_epochs | cleared.keys()):
                        execute(session, _LOCKED_EPOCH, {"of": epoch})
                _confirm(session, frames, epoch_seconds)
                for epoch, signature in sorted(cleared.items()):
                    its = update(SettlementEpoch).where(SettlementEpoch.epoch == epoch)
                    session.execute(its.values(clearing_signature=signature))
                if by_hand:
                    hand_orders.mark(session, by_hand, hand_orders.DONE)
                if moved:
                    transfers.mark(session, moved, transfers.DONE)
                delete_rows(session, _pending, "purpose", purposes)

    def checkpointing(self, epoch: int, book_hash: bytes, book: bytes | None) -> tuple[int, bytes]:
        """Log an epoch's final book (None where it had none) and its checkpoint, each once, before that is first sent.

        The log's size and root after it: what the checkpoint pins, and what is given out with it.
        """
        figures: dict[str, object] = {"book_hash": book_hash}
        said = {"epoch": epoch, "book_hash": book_hash.hex()}
        with self.store.write() as session:
            if book is not None:
                figures["book_log_index"] = self._book(session, epoch, book)
                figures["publishable"] = may_be_told(session, book)
            self._mark(session, epoch, (), figures)
            self._acts(session, [Logged(f"checkpoint_epoch:{epoch}", "checkpoint_epoch", said)])
            if self._publish is not None:
                signed = self._publish(session, epoch)
                return signed.size, signed.root
            size = log.size(session)
            return size, log.root(session, size)

    @staticmethod
    def _book(session: Session, epoch: int, data: bytes) -> int:
        key = act_key(f"book:{epoch}")
        for row in rows_among(session, _ACTS, _act_rows.c.key, [key]):
            return int(row.log_index)
        index = log.append(session, book_leaf(data))
        insert_rows(session, _act_rows, ("key", "log_index"), [(key, index)])
        return index

    # Spans

    def record_spans(self, totals: Sequence[MemberTotals], recorded: Mapping[str, MemberTotals] = {}) -> None:
        """Keep members' totals, each with what was minted and withdrawn in the span that ended at its boundary.

        Settlement settles one span of a member at a time and records it before the next, so the difference to the last
        row is that span's, also when the row is written only after a restart. recorded has, by wallet, the last row of
        those of whom the caller knows it.
        """
        with self.store.write() as session:
            made = []
            for total in totals:
                last = recorded.get(total.wallet) or _last_span(session, total)
                if last.boundary == total.boundary:
                    continue
                minted, withdrawn = total.minted_wh - last.minted_wh, total.withdrawn_wh - last.withdrawn_wh
                made.append((total.wallet, total.boundary, minted, withdrawn, total.minted_wh, total.withdrawn_wh))
            if made:
                insert_rows(session, _spans, _SPAN_COLUMNS, made)

    # Frames

    def waiting(self) -> dict[int, list[WaitingFrame]]:
        """Frames that may go to the chain and have not been seen there, by meter, in the order of the log.

        At most QUEUE_DEPTH of a meter are read, however long it has been waiting.
        """
        return self._waiting.get()

    def passed(self, standing: Mapping[int, int]) -> dict[int, set[bytes]]:
        """Hashes (32 bytes) of the records that the log let pass, by meter: those of the given interval ends."""
        found: dict[int, set[bytes]] = {}
        meters: dict[int, list[int]] = {}
        for pk, end in standing.items():
            meters.setdefault(end, []).append(pk)
        with self.store.read() as session:
            for end, wanted in meters.items():
                for start in range(0, len(wanted), STANDINGS_PER_QUERY):
                    some = wanted[start : start + STANDINGS_PER_QUERY]
                    for pk, record_hash in rows_among(session, _PASSED_AT, _frames.c.meter_pk, some, {"at_end": end}):
                        found.setdefault(pk, set()).add(record_hash)
        return found

    def frames_confirmed(self, frames: Sequence[WaitingFrame], epoch_seconds: int) -> None:
        """The chain has accepted these frames: they count for the epochs at whose ends they were read."""
        if frames:
            with self.store.write() as session:
                _confirm(session, frames, epoch_seconds)

    def frames_skipped(self, frames: Sequence[WaitingFrame], error: str | None = None) -> None:
        """These frames never go: the chain refused them with this error, or a later reading carries their energy."""
        self._set(frames, chain_status=CHAIN_SKIPPED, chain_error=error)

    def frames_blocked(self, frames: Sequence[WaitingFrame], error: str) -> None:
        """These frames, and those behind them, wait until a person has dealt with the refusal."""
        self._set(frames, chain_status=CHAIN_PENDING, chain_error=error)

    def _set(self, frames: Sequence[WaitingFrame], **values: str | None) -> None:
        if not frames:
            return
        with self.store.write() as session:
            set_frames(session, [frame.log_index for frame in frames], **values)

    def readings_on_chain(self, interval_end: int) -> int:
        """How many readings of the interval that ends then the chain has accepted."""
        with self.store.read() as session:
            return _readings_on_chain(session, interval_end)

    # Transactions that must not be signed twice

    def pending(self, purposes: Sequence[str]) -> dict[str, Row[Any]]:
        """What may be on its way for these purposes, as PendingTransaction's columns have it."""
        if not purposes:
            return {}
        with self.store.read() as session:
            return {row.purpose: row for row in rows_among(session, _PENDING, _pending.c.purpose, list(purposes))}

    def not_pending(self, purposes: Sequence[str]) -> None:
        """What was sent for these purposes has landed, was refused, or can no longer land."""
        if purposes:
            with self.store.write() as session:
                delete_rows(session, _pending, "purpose", purposes)

    # Orders by hand

    def by_hand(self) -> list[HandOrder]:
        """What members asked for by hand and is not decided yet, the oldest first."""
        return self._by_hand.get()

    def mark_by_hand(self, orders: Sequence[int], state: str, told: str = "") -> None:
        """What became of orders by hand."""
        if orders:
            with self.store.write() as session:
                hand_orders.mark(session, orders, state, told=told)

    def moving(self) -> list[Transfer]:
        """The tokens that members move by hand and of which it is not decided yet, the oldest first."""
        return self._moving.get()

    # Alerts

    def alert(self, code: str, subject: str, message: str) -> None:
        """Note what could not be done; the same cause and subject is one alert that counts."""
        now = self._seconds()
        with self.store.write() as session:
            known = session.get(Alert, (code, subject))
            if known is None:
                session.add(Alert(code=code, subject=subject, message=message, first_at=now, last_at=now, count=1))
                return
            known.message, known.last_at, known.count, known.resolved_at = message, now, known.count + 1, None

    def open_alerts(self) -> set[str]:
        """The subjects of alerts that have not gone away."""
        with self.store.read() as session:
            return set(session.scalars(select(Alert.subject).where(Alert.resolved_at.is_(None))))

    def resolve(self, subject: str) -> None:
        """What was alerted about this subject has gone away."""
        with self.store.write() as session:
            _resolve(session, subject, self._seconds())


_epochs = table_of(SettlementEpoch)
_EPOCH_COLUMNS = ("epoch", "state", "first_seen_ms", "readings_on_chain", "bids", "asks", "traded_wh")
_NONE_YET = (0, 0, 0, 0)
_EPOCH = select(_epochs).where(_epochs.c.epoch == bindparam("of"))
_LOCKED_EPOCH = select(_epochs.c.epoch).where(_epochs.c.epoch == bindparam("of")).with_for_update()
_COUNTED = update(_epochs).where(_epochs.c.epoch == bindparam("of")).values(readings_on_chain=bindparam("counted"))
_LAST_EPOCH = select(func.max(_epochs.c.epoch))
_UNFINISHED = (
    select(_epochs)
    .where(or_(*(_epochs.c.state == bindparam(f"state_{state}", state) for state in EPOCH_STATES[:-1])))
    .order_by(_epochs.c.epoch)
    .limit(OPEN_EPOCHS)
)
_NEWEST = select(_epochs).order_by(_epochs.c.epoch.desc()).limit(2)


def _unfinished(session: Session) -> list[EpochRow]:
    rows = {row.epoch: row for row in execute(session, _UNFINISHED)}
    if len(rows) == OPEN_EPOCHS:
        rows |= {row.epoch: row for row in execute(session, _NEWEST) if row.state != EPOCH_STATES[-1]}
    return [rows[epoch] for epoch in sorted(rows)]


_act_rows = table_of(SettlementAct)
_ACTS = select(_act_rows.c.key, _act_rows.c.log_index)
_spans = table_of(SettledSpan)
_SPAN_COLUMNS = tuple(_spans.columns.keys())
_LAST_SPAN = (
    select(_spans.c.boundary, _spans.c.lifetime_minted_wh, _spans.c.lifetime_withdrawal_wh)
    .where(_spans.c.wallet == bindparam("of"), _spans.c.boundary <= bindparam("by"))
    .order_by(_spans.c.boundary.desc())
    .limit(1)
)


def _last_span(session: Session, total: MemberTotals) -> MemberTotals:
    """The last totals kept of a member by then; nothing at no boundary where there are none."""
    found = execute(session, _LAST_SPAN, {"of": total.wallet, "by": total.boundary}).one_or_none()
    return MemberTotals(total.wallet, *found) if found is not None else MemberTotals(total.wallet, 0, 0, 0)


_frames, _carried = table_of(Frame), table_of(CarriedFrame)
_PASSED_AT = select(_frames.c.meter_pk, _frames.c.record_hash).where(
    or_(*(_frames.c.disposition == literal_column(f"'{passed}'") for passed in PASSED)),
    _frames.c.interval_end == bindparam("at_end"),
)


@lru_cache
def _waiting(dialect: str) -> Select[Any]:
    """The first waiting frames of each meter; each database has its own way to say "of each" by an index."""
    inner = aliased(Frame)
    queue = (
        select(inner.log_index)
        .where(inner.meter_pk == Meter.id, waiting_for_the_chain(inner))
        .order_by(inner.log_index)
        .limit(QUEUE_DEPTH)
    )
    columns = [_COLUMNS.get(field.name) or getattr(Frame, field.name) for field in fields(WaitingFrame)]
    found = select(*columns).select_from(Meter)
    if dialect == "postgresql":
        first = queue.lateral()
        found = found.join(first, true()).join(Frame, Frame.log_index == first.c.log_index)
    else:
        found = found.join(Frame, Frame.log_index.in_(queue.correlate(Meter)))
    return found.outerjoin(CarriedFrame, CarriedFrame.log_index == Frame.log_index)


def _waiting_by_meter(session: Session) -> dict[int, list[WaitingFrame]]:
    found: dict[int, list[WaitingFrame]] = {}
    for row in execute(session, _waiting(session.get_bind().dialect.name)):
        found.setdefault(row.meter_pk, []).append(WaitingFrame(*row))
    for frames in found.values():
        frames.sort(key=lambda frame: frame.log_index)
    return dict(sorted(found.items()))


_COLUMNS = {
    "key": Frame.public_key,
    "status": Frame.chain_status,
    "signature": CarriedFrame.signature,
    "error": Frame.chain_error,
}
"""Where WaitingFrame's values are, where a frame's column has another name."""


def _resolve(session: Session, subject: str, now: int) -> None:
    session.execute(update(Alert).where(Alert.subject == subject, Alert.resolved_at.is_(None)).values(resolved_at=now))


def _state_of(row: Mapping[str, object]) -> str:
    state = EPOCH_STATES[0]
    stages = ("submitted", "minted", "cleared", "settled", "checkpointed")
    for name, stage in zip(EPOCH_STATES[1:], stages, strict=True):
        if row.get(f"{stage}_ms") is None:
            break
        state = name
    return state


def _confirm(session: Session, frames: Sequence[WaitingFrame], epoch_seconds: int) -> None:
    if not frames:
        return
    set_frames(session, [frame.log_index for frame in frames], chain_status=CHAIN_CONFIRMED, chain_error=None)
    for end in sorted({frame.interval_end for frame in frames}):
        # Transactions are confirmed side by side: the epoch is locked before counting, so that the last count
        # written is of all of them, on every database.
        which = {"of": end // epoch_seconds - 1}
        if execute(session, _LOCKED_EPOCH, which).one_or_none() is not None:
            counted = {**which, "counted": _readings_on_chain(session, end)}
            execute(session, _COUNTED, counted)


_pending = table_of(PendingTransaction)
_PENDING = select(_pending)
_PENDING_COLUMNS = ("purpose", "signature", "last_valid_block_height", "raw", "sent_at")


def set_frames(session: Session, indexes: Sequence[int], **values: str | None) -> None:
    """Set columns of frames, and forget what carried them before."""
    session.flush()
    update_rows(session, _frames, "log_index", tuple(values), [(index, *values.values()) for index in indexes])
    delete_rows(session, _carried, "log_index", indexes)


def _readings_on_chain(session: Session, interval_end: int) -> int:
    return execute(session, _CONFIRMED_AT, {"end": interval_end}).scalar() or 0


_CONFIRMED_AT = (
    select(func.count())
    .select_from(_frames)
    .where(_frames.c.interval_end == bindparam("end"), _frames.c.chain_status == CHAIN_CONFIRMED)
)
