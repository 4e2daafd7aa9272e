"""What settlement writes into the store: progress of epochs, spans, acts in the log, alerts, and what became of frames.

Nothing here decides what happens next; the chain does. Every method is one transaction, and saying the same thing
twice changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import Select, and_, delete, func, or_, select, true, update
from sqlalchemy.orm import Session, aliased

from authority.log import log
from authority.market.book_leaf import book_leaf
from authority.store import Store
from authority.store.market import PendingTransaction
from authority.store.metering import (
    CHAIN_CONFIRMED,
    CHAIN_PENDING,
    CHAIN_SKIPPED,
    CHAIN_SUBMITTED,
    DISPOSITION_ACCEPTED,
    DISPOSITION_RELEASED,
    Frame,
    Meter,
    waiting_for_the_chain,
)
from authority.store.settlement import EPOCH_STATES, Alert, SettledSpan, SettlementAct, SettlementEpoch

ACTOR = "settlement"
QUEUE_DEPTH = 256
"""How many waiting frames of a meter are looked at: a boundary further on is not needed to decide about the next."""
PASSED = (DISPOSITION_ACCEPTED, DISPOSITION_RELEASED)
"""What became of a reading that may go to the chain."""
STANDINGS_PER_QUERY = 100


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


class Journal:
    """Settlement's side of the store; clock_ms gives Unix milliseconds."""

    def __init__(self, store: Store, clock_ms: Callable[[], int]) -> None:
        self.store = store
        self.clock_ms = clock_ms

    def _seconds(self) -> int:
        return self.clock_ms() // 1000

    # Epochs

    def ensure_epochs(self, current: int, after: int | None = None) -> None:
        """Have a row for every epoch from the last one known to the current.

        Where none is known, the first is the one after `after` (the chain's last checkpoint), else the current.
        """
        with self.store.read() as session:
            last = session.scalar(select(func.max(SettlementEpoch.epoch)))
        if last is None:
            last = after if after is not None else current - 1
        if last >= current:
            return
        with self.store.write() as session:
            for epoch in range(last + 1, current + 1):
                session.add(SettlementEpoch(epoch=epoch, state=EPOCH_STATES[0], first_seen_ms=self.clock_ms()))

    def open_epochs(self) -> list[SettlementEpoch]:
        """Epochs with something left to do, oldest first."""
        with self.store.read() as session:
            return list(
                session.scalars(
                    select(SettlementEpoch)
                    .where(SettlementEpoch.state != EPOCH_STATES[-1])
                    .order_by(SettlementEpoch.epoch)
                )
            )

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
            row = session.get(SettlementEpoch, epoch)
            if row is None:
                row = SettlementEpoch(epoch=epoch, state=EPOCH_STATES[0], first_seen_ms=self.clock_ms())
                session.add(row)
            for stage in stages:
                if getattr(row, f"{stage}_ms") is None:
                    setattr(row, f"{stage}_ms", self.clock_ms())
            for name, value in figures.items():
                setattr(row, name, value)
            row.state = _state_of(row)

    # Acts and the log

    def act(self, key: str, kind: str, data: Mapping[str, object]) -> int:
        """Log an act of the authority once for its key, before its transaction is first sent; its log index."""
        with self.store.write() as session:
            return self._act(session, key, kind, data)

    def _act(self, session: Session, key: str, kind: str, data: Mapping[str, object]) -> int:
        known = session.get(SettlementAct, key)
        if known is not None:
            return known.log_index
        index = log.record_act(session, kind, ACTOR, self._seconds(), data)
        session.add(SettlementAct(key=key, log_index=index))
        return index

    def log_book(self, epoch: int, data: bytes) -> int:
        """Log an epoch's final book once; its log index."""
        key = f"book:{epoch}"
        with self.store.write() as session:
            known = session.get(SettlementAct, key)
            if known is not None:
                return known.log_index
            index = log.append(session, book_leaf(data))
            session.add(SettlementAct(key=key, log_index=index))
            return index

    def log_head(self) -> tuple[int, bytes]:
        """The log's size and root now."""
        with self.store.read() as session:
            size = log.size(session)
            return size, log.root(session, size)

    # Spans

    def record_span(self, wallet: str, boundary: int, lifetime_minted_wh: int, lifetime_withdrawal_wh: int) -> int:
        """Keep a user's totals after the span that ended at the boundary; what was minted in it (Wh).

        Settlement settles one span of a user at a time and records it before the next, so the difference to the last
        row is that span's, also when the row is written only after a restart.
        """
        with self.store.write() as session:
            known = session.get(SettledSpan, (wallet, boundary))
            if known is not None:
                return known.minted_wh
            before = session.scalar(
                select(SettledSpan)
                .where(SettledSpan.wallet == wallet, SettledSpan.boundary < boundary)
                .order_by(SettledSpan.boundary.desc())
                .limit(1)
            )
            minted = lifetime_minted_wh - (before.lifetime_minted_wh if before else 0)
            session.add(
                SettledSpan(
                    wallet=wallet,
                    boundary=boundary,
                    minted_wh=minted,
                    withdrawal_wh=lifetime_withdrawal_wh - (before.lifetime_withdrawal_wh if before else 0),
                    lifetime_minted_wh=lifetime_minted_wh,
                    lifetime_withdrawal_wh=lifetime_withdrawal_wh,
                )
            )
            return minted

    # Frames

    def waiting(self) -> dict[int, list[WaitingFrame]]:
        """Frames that may go to the chain and have not been seen there, by meter, in the order of the log.

        At most QUEUE_DEPTH of a meter are read, however long it has been waiting.
        """
        found: dict[int, list[WaitingFrame]] = {}
        with self.store.read() as session:
            for row in session.execute(_waiting(session)):
                found.setdefault(row.meter_pk, []).append(WaitingFrame(*row))
        for frames in found.values():
            frames.sort(key=lambda frame: frame.log_index)
        return dict(sorted(found.items()))

    def passed(self, standing: Mapping[int, int]) -> dict[int, set[bytes]]:
        """Hashes (32 bytes) of the records that the log let pass, by meter: those of the given interval ends."""
        found: dict[int, set[bytes]] = {}
        wanted = list(standing.items())
        with self.store.read() as session:
            for start in range(0, len(wanted), STANDINGS_PER_QUERY):
                some = wanted[start : start + STANDINGS_PER_QUERY]
                rows = session.execute(
                    select(Frame.meter_pk, Frame.record_hash).where(
                        Frame.disposition.in_(PASSED),
                        or_(*(and_(Frame.meter_pk == pk, Frame.interval_end == end) for pk, end in some)),
                    )
                )
                for pk, record_hash in rows:
                    found.setdefault(pk, set()).add(record_hash)
        return found

    def frames_submitted(self, frames: Sequence[WaitingFrame], signature: str) -> None:
        """A transaction with these frames is about to be sent."""
        self._set(frames, chain_status=CHAIN_SUBMITTED, chain_signature=signature)

    def frames_confirmed(self, frames: Sequence[WaitingFrame], epoch_seconds: int) -> None:
        """The chain has accepted these frames: they count for the epochs at whose ends they were read."""
        if not frames:
            return
        with self.store.write() as session:
            _set_frames(session, frames, chain_status=CHAIN_CONFIRMED, chain_error=None)
            for end in sorted({frame.interval_end for frame in frames}):
                # Transactions are confirmed side by side: the epoch is locked before counting, so that the last count
                # written is of all of them, on every database.
                row = session.scalar(
                    select(SettlementEpoch)
                    .where(SettlementEpoch.epoch == end // epoch_seconds - 1)
                    .with_for_update()
                    .execution_options(populate_existing=True)
                )
                if row is not None:
                    row.readings_on_chain = _readings_on_chain(session, end)

    def frames_skipped(self, frames: Sequence[WaitingFrame], error: str | None = None) -> None:
        """These frames never go: the chain refused them with this error, or a later reading carries their energy."""
        self._set(frames, chain_status=CHAIN_SKIPPED, chain_error=error)

    def frames_blocked(self, frames: Sequence[WaitingFrame], error: str) -> None:
        """These frames, and those behind them, wait until a person has dealt with the refusal."""
        self._set(frames, chain_status=CHAIN_PENDING, chain_error=error)

    def _set(self, frames: Sequence[WaitingFrame], **values: object) -> None:
        if not frames:
            return
        with self.store.write() as session:
            _set_frames(session, frames, **values)

    def readings_on_chain(self, interval_end: int) -> int:
        """How many readings of the interval that ends then the chain has accepted."""
        with self.store.read() as session:
            return _readings_on_chain(session, interval_end)

    # Transactions that must not be signed twice

    def pending(
        self,
        purpose: str,
        signature: str,
        last_valid_block_height: int,
        raw: str,
        kind: str,
        data: Mapping[str, object],
    ) -> None:
        """A transaction for this purpose is about to be sent: keep it, and log the act (kind, data), in one.

        There is one row for each purpose; the last one counts.
        """
        with self.store.write() as session:
            self._act(session, f"{kind}:{signature}", kind, data)
            session.merge(
                PendingTransaction(
                    purpose=purpose,
                    signature=signature,
                    last_valid_block_height=last_valid_block_height,
                    raw=raw,
                    sent_at=self._seconds(),
                )
            )

    def pending_for(self, purpose: str) -> PendingTransaction | None:
        """What may be on its way for this purpose."""
        with self.store.read() as session:
            return session.get(PendingTransaction, purpose)

    def not_pending(self, purpose: str) -> None:
        """What was sent for this purpose has landed, was refused, or can no longer land."""
        with self.store.write() as session:
            session.execute(delete(PendingTransaction).where(PendingTransaction.purpose == purpose))

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


def _waiting(session: Session) -> Select[Any]:
    """The first waiting frames of each meter; each database has its own way to say "of each" by an index."""
    names = [_COLUMNS.get(field.name, field.name) for field in fields(WaitingFrame)]
    inner = aliased(Frame)
    queue = (
        select(inner.log_index)
        .where(inner.meter_pk == Meter.id, waiting_for_the_chain(inner))
        .order_by(inner.log_index)
        .limit(QUEUE_DEPTH)
    )
    columns = [getattr(Frame, name) for name in names]
    if session.get_bind().dialect.name == "postgresql":
        first = queue.lateral()
        return select(*columns).select_from(Meter).join(first, true()).join(Frame, Frame.log_index == first.c.log_index)
    return select(*columns).select_from(Meter).join(Frame, Frame.log_index.in_(queue.correlate(Meter)))


_COLUMNS = {"key": "public_key", "status": "chain_status", "signature": "chain_signature", "error": "chain_error"}
"""WaitingFrame's names of a frame's columns, where they differ."""


def _resolve(session: Session, subject: str, now: int) -> None:
    session.execute(update(Alert).where(Alert.subject == subject, Alert.resolved_at.is_(None)).values(resolved_at=now))


def _state_of(row: SettlementEpoch) -> str:
    state = EPOCH_STATES[0]
    for name, moment in zip(
        EPOCH_STATES[1:],
        (row.submitted_ms, row.minted_ms, row.cleared_ms, row.settled_ms, row.checkpointed_ms),
        strict=True,
    ):
        if moment is None:
            break
        state = name
    return state


def _set_frames(session: Session, frames: Sequence[WaitingFrame], **values: object) -> None:
    session.execute(update(Frame).where(Frame.log_index.in_([frame.log_index for frame in frames])).values(**values))


def _readings_on_chain(session: Session, interval_end: int) -> int:
    counted = select(func.count()).select_from(Frame)
    return session.scalar(counted.where(Frame.interval_end == interval_end, Frame.chain_status == CHAIN_CONFIRMED)) or 0
