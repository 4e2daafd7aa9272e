"""The log as bills go by it, read from the store by its indexes: what is read does not grow with the log."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import TypeVar

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from authority.billing.bill import ACTS, RETIRED, LoggedAct
from authority.log import log
from authority.market.book_leaf import book_of_leaf
from authority.store.base import table_of
from authority.store.billing import CreditEntry
from authority.store.log import Act
from authority.store.metering import DISPOSITION_ACCEPTED, DISPOSITION_RELEASED, Frame, Meter
from authority.store.rows import execute, rows_among
from authority.store.settlement import SettlementAct, SettlementEpoch, act_key

ROWS_AT_ONCE = 500
BOOKS_AT_ONCE = 32
"""A book may have 164 kB."""
_acts, _credits, _frames = table_of(SettlementAct), table_of(CreditEntry), table_of(Frame)
_ACTS = select(_acts.c.key, _acts.c.log_index)
_BOOKED = select(_credits.c.signature, _credits.c.wallet, _credits.c.log_index)
_READINGS = select(
    _frames.c.interval_end, _frames.c.log_index, _frames.c.disposition, _frames.c.resolution_log_index
).where(_frames.c.meter_pk == bindparam("meter"))
_SPANNED = (
    select(_frames.c.meter_pk, *_READINGS.selected_columns)
    .where(_frames.c.interval_end > bindparam("since"), _frames.c.interval_end <= bindparam("until"))
    .order_by(_frames.c.interval_end)
)
SPANNED_AT_ONCE = 10_000
_FIELDS = 3
_BOOKS = (
    select(SettlementEpoch.book_log_index)
    .where(
        SettlementEpoch.epoch >= bindparam("first"),
        SettlementEpoch.epoch < bindparam("end"),
        SettlementEpoch.book_log_index.is_not(None),
    )
    .order_by(SettlementEpoch.epoch)
)
_NONE = array("q")
_T = TypeVar("_T")


class StoreEvidence:
    """The evidence of one state of the store (authority.billing.bill.Evidence).

    span: after which and up to which Unix second the intervals end whose readings will be asked for, of every meter;
    those are read at once, in the order in which they lie, instead of meter by meter.
    """

    def __init__(self, session: Session, span: tuple[int, int] = (0, 0)) -> None:
        self._session = session
        self._span = span

    def books(self, first_epoch: int, end_epoch: int) -> Iterator[tuple[int, bytes]]:
        """The final books of those epochs: place in the log, and the book's data."""
        yield from self.books_at(self.book_leaves(first_epoch, end_epoch))

    def book_leaves(self, first_epoch: int, end_epoch: int) -> list[int]:
        """Where the final books of those epochs are in the log, in the order of the epochs."""
        indexes = self._session.scalars(_BOOKS, {"first": first_epoch, "end": end_epoch})
        return [index for index in indexes if index is not None]

    def books_at(self, leaves: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """The books at these places in the log: place, and the book's data."""
        for some in _parts(leaves, BOOKS_AT_ONCE):
            found = log.leaves_at(self._session, some)
            for index in some:
                yield index, book_of_leaf(found[index])

    def acts(self) -> Sequence[LoggedAct]:
        """The acts that make bills, in the order of the log."""
        rows = self._session.execute(
            select(Act.log_index, Act.kind, Act.data).where(Act.kind.in_(ACTS)).order_by(Act.log_index)
        )
        return [LoggedAct(*row) for row in rows]

    def sent(self, wanted: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
        """The leaves of the acts that stand for transactions, by signature and member."""
        missing = set(wanted)
        found = self._retired({act_key(f"{RETIRED}:{each[0]}:{each[1]}"): each for each in missing})
        missing -= found.keys()
        found |= self._retired({act_key(f"{RETIRED}:{each[0]}"): each for each in missing})  # of earlier releases
        missing -= found.keys()
        for some in _parts([*{signature for signature, _ in missing}]):
            for signature, wallet, index in rows_among(self._session, _BOOKED, _credits.c.signature, some):
                if (signature, wallet) in missing:
                    found[signature, wallet] = index
        return found

    def _retired(self, keys: Mapping[bytes, tuple[str, str]]) -> dict[tuple[str, str], int]:
        """The leaves of the acts that have these keys."""
        found = {}
        for some in _parts([*keys]):
            rows = rows_among(self._session, _ACTS, _acts.c.key, some).all()
            found.update({keys[key]: index for key, index in rows})
        return found

    def readings(
        self, wanted: Iterable[tuple[bytes, int]], before: int | None
    ) -> Mapping[tuple[bytes, int], list[int]]:
        """The leaves of readings that the log had let pass, by meter id and interval end."""
        ends: dict[bytes, list[int]] = defaultdict(list)
        for meter_id, end in set(wanted):
            ends[meter_id].append(end)
        found: dict[tuple[bytes, int], list[int]] = defaultdict(list)
        since, until = self._span
        for meter_id, some in ends.items():
            if (meter_pk := self._meters.get(meter_id)) is None:
                continue
            spanned, asked = self._spanned.get(meter_pk, _NONE), set(some)
            for end, index, counts in zip(spanned[::_FIELDS], spanned[1::_FIELDS], spanned[2::_FIELDS], strict=True):
                if end in asked and (before is None or counts < before):
                    found[meter_id, end].append(index)
            for part in _parts([end for end in some if not since < end <= until]):
                rows = rows_among(self._session, _READINGS, _frames.c.interval_end, part, {"meter": meter_pk})
                for end, index, disposition, released in rows.all():
                    at = _counts_from(index, disposition, released)
                    if at is not None and (before is None or at < before):
                        found[meter_id, end].append(index)
        return found

    @cached_property
    def _spanned(self) -> dict[int, array[int]]:
        """The readings in the span, by meter: interval's end, leaf, and the leaf from which on it counts, and so on."""
        found: dict[int, array[int]] = defaultdict(lambda: array("q"))
        since, until = self._span
        if until > since:
            rows = execute(self._session, _SPANNED, {"since": since, "until": until})
            for some in rows.partitions(SPANNED_AT_ONCE):
                for meter_pk, end, index, disposition, released in some:
                    if (counts := _counts_from(index, disposition, released)) is not None:
                        found[meter_pk].extend((end, index, counts))
        return found

    @cached_property
    def _meters(self) -> dict[bytes, int]:
        return {row.meter_id: row.id for row in self._session.execute(select(Meter.meter_id, Meter.id))}


def _counts_from(index: int, disposition: str, released: int | None) -> int | None:
    """From which leaf on a reading counts; None where it does not."""
    if disposition == DISPOSITION_ACCEPTED:
        return index
    return released if disposition == DISPOSITION_RELEASED else None


def _parts(values: Sequence[_T], size: int = ROWS_AT_ONCE) -> Iterator[Sequence[_T]]:
    """The values in parts that a statement takes."""
    for start in range(0, len(values), size):
        yield values[start : start + size]
