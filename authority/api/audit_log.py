"""What an auditor's pages show: the log by kind and time, checkpoints beside the chain's, epochs and their books.

Pages go from the newest back: each has at most PAGE rows, and says from where the next goes on. Nothing here names a
person or a building: the log does not. Times are Unix seconds, energies Wh, prices micro-credits per kWh.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority.api import days
from authority.app import App
from authority.audit.books import Book
from authority.billing.calendar import midnight
from authority.chain import programs
from authority.chain.accounts import EpochCheckpoint
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.log import log
from authority.market.book_leaf import book_of_leaf
from authority.refusals import NotFoundError
from authority.store import comparisons
from authority.store.billing import IssuedBill
from authority.store.comparisons import BooksComparison
from authority.store.log import Act, Checkpoint, KeptCosignature, PublishedCheckpoint
from authority.store.metering import Frame, Meter
from authority.store.settlement import SettlementEpoch
from edge_agent.wire.reading import RECORD_SIZE, Record
from edge_agent.wire.rules import REGISTERS

PAGE = 50
READING, BOOK = "reading", "book"
"""Kinds of entries that are no acts."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of the log: its place, kind, when the authority took it, who acted (a pseudonym), and what it says."""

    log_index: int
    kind: str
    time: int
    actor: str
    text: str


@dataclass(frozen=True, slots=True)
class Entries:
    """A page of entries, the newest first; older is where the next page goes on, None at the end."""

    entries: tuple[Entry, ...]
    older: int | None
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckpointRow:
    """A published checkpoint: what was signed, whether that verifies, who cosigned, and what the chain has of it.

    pinned: True where the chain has the same, False where another, None where it has none or does not answer.
    """

    size: int
    epoch: int
    root: str
    signed: bool
    cosignatures: int
    pinned: bool | None


@dataclass(frozen=True, slots=True)
class EpochRow:
    """An epoch: its state, and the figures of its book."""

    epoch: int
    state: str
    bids: int
    asks: int
    traded_wh: int
    price: int | None
    log_size: int | None
    has_book: bool


@dataclass(frozen=True, slots=True)
class BookView:
    """A final book out of the log, what the rule finds wrong with it, and whether the chain pins it.

    pinned_hash is the chain's own word (hex); None where it has none or does not answer.
    """

    epoch: int
    log_index: int
    book: Book
    faults: tuple[str, ...]
    sha256: str
    pinned_hash: str | None


class AuditLog:
    """The query layer over an opened authority; `client` makes a chain client for one question."""

    def __init__(self, app: App, client: Callable[[], ChainClient]) -> None:
        self._app, self._client = app, client
        self.zone = ZoneInfo(app.home.settings.site.zone)

    def entries(self, kind: str, first: date | None, last: date | None, before: int | None) -> Entries:
        """A page of entries of a kind ("": of every), of the days first to last, below the place `before`."""
        with self._app.store.read() as session:
            start, end = 0, log.size(session)
            if first is not None:
                start = place_at(session, midnight(days.clamped(first), self.zone))
            if last is not None:
                end = place_at(session, midnight(days.clamped(last) + timedelta(days=1), self.zone))
            end = end if before is None else min(end, before)
            found: list[Entry] = []
            if kind not in (READING, BOOK):
                found += _acts(session, kind, start, end)
            if kind in ("", READING):
                found += _readings(session, start, end)
            if kind in ("", BOOK):
                found += _books(session, start, end)
            kinds = _kinds(session)
        found.sort(key=lambda entry: -entry.log_index)
        page = tuple(found[:PAGE])
        return Entries(page, page[-1].log_index if len(found) > PAGE else None, (READING, BOOK, *kinds))

    def compared(self) -> BooksComparison | None:
        """The last comparison of books and chain."""
        with self._app.store.read() as session:
            return comparisons.newest(session)

    def bills(self, before: int | None) -> tuple[tuple[IssuedBill, ...], int | None]:
        """A page of issued bills below a number, the newest first, and where the next goes on."""
        query = select(IssuedBill).order_by(IssuedBill.number.desc()).limit(PAGE + 1)
        if before is not None:
            query = query.where(IssuedBill.number < before)
        with self._app.store.read() as session:
            rows = session.scalars(query).all()
        shown = tuple(rows[:PAGE])
        return shown, shown[-1].number if len(rows) > PAGE else None

    def bill(self, number: int) -> IssuedBill:
        """An issued bill; NotFoundError."""
        with self._app.store.read() as session:
            found = session.get(IssuedBill, number)
        if found is None:
            raise NotFoundError(f"there is no bill {number}")
        return found

    def checkpoints(self, before: int | None) -> tuple[tuple[CheckpointRow, ...], int | None]:
        """A page of published checkpoints below a size, the newest first, and where the next goes on."""
        query = (
            select(Checkpoint, PublishedCheckpoint)
            .join(PublishedCheckpoint, PublishedCheckpoint.size == Checkpoint.size)
            .order_by(Checkpoint.size.desc())
            .limit(PAGE + 1)
        )
        if before is not None:
            query = query.where(Checkpoint.size < before)
        with self._app.store.read() as session:
            network_id = log.network_id(session)
            found = [(kept, published) for kept, published in session.execute(query)]
            shown = found[:PAGE]
            counted = select(KeptCosignature.size, func.count()).group_by(KeptCosignature.size)
            sizes = [kept.size for kept, _ in shown]
            cosigned = dict[int, int]()
            for size, count in session.execute(counted.where(KeptCosignature.size.in_(sizes))):
                cosigned[size] = count
            pins = self._pins([published.epoch for _, published in shown])
            rows = tuple(
                CheckpointRow(
                    size=kept.size,
                    epoch=published.epoch,
                    root=kept.root.hex(),
                    signed=log.checkpoint_of(kept, network_id).verify(published.public_key),
                    cosignatures=cosigned.get(kept.size, 0),
                    pinned=None if pin is None else (pin.log_size, pin.log_root) == (kept.size, kept.root),
                )
                for (kept, published), pin in zip(shown, pins, strict=True)
            )
        return rows, rows[-1].size if len(found) > PAGE else None

    def epochs(self, before: int | None) -> tuple[tuple[EpochRow, ...], int | None]:
        """A page of epochs below a number, the newest first, and where the next goes on."""
        query = select(SettlementEpoch).order_by(SettlementEpoch.epoch.desc()).limit(PAGE + 1)
        if before is not None:
            query = query.where(SettlementEpoch.epoch < before)
        with self._app.store.read() as session:
            found = list(session.scalars(query))
        rows = tuple(
            EpochRow(
                epoch=row.epoch,
                state=row.state,
                bids=row.bids,
                asks=row.asks,
                traded_wh=row.traded_wh,
                price=row.clearing_price,
                log_size=row.log_size,
                has_book=row.book_log_index is not None,
            )
            for row in found[:PAGE]
        )
        return rows, rows[-1].epoch if len(found) > PAGE else None

    def book(self, epoch: int) -> BookView:
        """An epoch's final book, cleared again by the rule; NotFoundError where the log has none."""
        index, data = self._book(epoch)
        (pin,) = self._pins([epoch])
        book = Book.from_bytes(data)
        return BookView(
            epoch=epoch,
            log_index=index,
            book=book,
            faults=tuple(book.faults()),
            sha256=hashlib.sha256(data).hexdigest(),
            pinned_hash=None if pin is None else pin.book_hash.hex(),
        )

    def book_bytes(self, epoch: int) -> bytes:
        """The book's data as the checkpoint's hash is of it; NotFoundError."""
        return self._book(epoch)[1]

    def _book(self, epoch: int) -> tuple[int, bytes]:
        with self._app.store.read() as session:
            row = session.get(SettlementEpoch, epoch)
            if row is None or row.book_log_index is None:
                raise NotFoundError(
                    f"the log has no final book of epoch {epoch}: nobody ordered, or it is not final yet"
                )
            return row.book_log_index, book_of_leaf(log.leaf(session, row.book_log_index))

    def _pins(self, epochs: Sequence[int]) -> Sequence[EpochCheckpoint | None]:
        """The chain's checkpoints of epochs; None each where there is none, or the validator does not answer."""
        client = self._client()
        try:
            return client.accounts_at(EpochCheckpoint, [programs.checkpoint_address(epoch) for epoch in epochs])
        except ChainError:
            return [None] * len(epochs)
        finally:
            client.close()


def place_at(session: Session, time: int) -> int:
    """The place of the first entry that was taken at a time or later; the log's size where none was.

    Entries are in the order in which they were taken, so halving finds it. Where the clock was set back, about there.
    """
    low, high = 0, log.size(session)
    while low < high:
        middle = (low + high) // 2
        taken = _time_from(session, middle)
        if taken is None or taken >= time:
            high = middle
        else:
            low = middle + 1
    return low


def _time_from(session: Session, place: int) -> int | None:
    """When the first reading or act from a place on was taken."""
    act = session.execute(
        select(Act.log_index, Act.time).where(Act.log_index >= place).order_by(Act.log_index).limit(1)
    ).first()
    reading = session.execute(
        select(Frame.log_index, Frame.received_at).where(Frame.log_index >= place).order_by(Frame.log_index).limit(1)
    ).first()
    found = [row for row in (act, reading) if row is not None]
    return int(min(found)[1]) if found else None


def _acts(session: Session, kind: str, start: int, end: int) -> list[Entry]:
    query = select(Act).where(Act.log_index >= start, Act.log_index < end).order_by(Act.log_index.desc())
    if kind:
        query = query.where(Act.kind == kind)
    return [
        Entry(act.log_index, act.kind, act.time, act.actor, json.dumps(act.data, sort_keys=True))
        for act in session.scalars(query.limit(PAGE + 1))
    ]


def _kinds(session: Session) -> list[str]:
    """The kinds of acts in the log, by name: each is looked up after the one before, however many acts there are."""
    first = select(func.min(Act.kind).label("kind")).cte("kinds", recursive=True)
    after = select(func.min(Act.kind)).where(Act.kind > first.c.kind).scalar_subquery()
    kinds = first.union_all(select(after).where(first.c.kind.is_not(None)))
    return [kind for kind in session.scalars(select(kinds.c.kind)) if kind is not None]


def _readings(session: Session, start: int, end: int) -> list[Entry]:
    query = (
        select(Frame, Meter.meter_id)
        .join(Meter, Meter.id == Frame.meter_pk)
        .where(Frame.log_index >= start, Frame.log_index < end)
        .order_by(Frame.log_index.desc())
        .limit(PAGE + 1)
    )
    found = []
    for frame, meter_id in session.execute(query):
        record = Record.from_bytes(frame.frame[:RECORD_SIZE])
        said = {
            "meter_id": meter_id.hex(),
            "sequence": record.sequence,
            "interval_end": record.interval_end,
            **dict(zip(REGISTERS, record.registers, strict=True)),
            "verdict": frame.verdict,
            "code": frame.code,
            "disposition": frame.disposition,
        }
        found.append(Entry(frame.log_index, READING, frame.received_at, "", json.dumps(said)))
    return found


def _books(session: Session, start: int, end: int) -> list[Entry]:
    query = (
        select(SettlementEpoch)
        .where(SettlementEpoch.book_log_index >= start, SettlementEpoch.book_log_index < end)
        .order_by(SettlementEpoch.book_log_index.desc())
        .limit(PAGE + 1)
    )
    return [
        Entry(
            row.book_log_index or 0,
            BOOK,
            (row.cleared_ms or row.first_seen_ms) // 1_000,
            "",
            json.dumps({"epoch": row.epoch, "bids": row.bids, "asks": row.asks, "traded_wh": row.traded_wh}),
        )
        for row in session.scalars(query)
    ]
