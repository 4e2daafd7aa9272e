"""The log as bills go by it, read from the store by its indexes: what is read does not grow with the log."""

from __future__ import annotations

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
from authority.store.rows import rows_among
from authority.store.settlement import SettlementAct, SettlementEpoch, act_key

ROWS_AT_ONCE = 500
_acts, _credits, _frames = table_of(SettlementAct), table_of(CreditEntry), table_of(Frame)
_ACTS = select(_acts.c.key, _acts.c.log_index)
_BOOKED = select(_credits.c.signature, _credits.c.wallet, _credits.c.log_index)
_READINGS = select(
    _frames.c.interval_end, _frames.c.log_index, _frames.c.disposition, _frames.c.resolution_log_index
).where(_frames.c.meter_pk == bindparam("meter"))
_T = TypeVar("_T")


class StoreEvidence:
    """The evidence of one state of the store (authority.billing.bill.Evidence)."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def books(self, first_epoch: int, end_epoch: int) -> Iterator[tuple[int, bytes]]:
        """The final books of those epochs: place in the log, and the book's data."""
        indexes = self._session.scalars(
            select(SettlementEpoch.book_log_index)
            .where(
                SettlementEpoch.epoch >= first_epoch,
                SettlementEpoch.epoch < end_epoch,
                SettlementEpoch.book_log_index.is_not(None),
            )
            .order_by(SettlementEpoch.epoch)
        )
        for index in indexes:
            if index is not None:
                yield index, book_of_leaf(log.leaf(self._session, index))

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
            found.update({keys[key]: index for key, index in rows_among(self._session, _ACTS, _acts.c.key, some)})
        return found

    def readings(
        self, wanted: Iterable[tuple[bytes, int]], before: int | None
    ) -> Mapping[tuple[bytes, int], list[int]]:
        """The leaves of readings that the log had let pass, by meter id and interval end."""
        ends: dict[bytes, list[int]] = defaultdict(list)
        for meter_id, end in set(wanted):
            ends[meter_id].append(end)
        found: dict[tuple[bytes, int], list[int]] = defaultdict(list)
        for meter_id, some in ends.items():
            if (meter_pk := self._meters.get(meter_id)) is None:
                continue
            for part in _parts(some):
                rows = rows_among(self._session, _READINGS, _frames.c.interval_end, part, {"meter": meter_pk})
                for end, index, disposition, released in rows:
                    if disposition == DISPOSITION_ACCEPTED:
                        at = index
                    elif disposition == DISPOSITION_RELEASED:
                        at = released
                    else:
                        continue
                    if before is None or at < before:
                        found[meter_id, end].append(index)
        return found

    @cached_property
    def _meters(self) -> dict[bytes, int]:
        return {row.meter_id: row.id for row in self._session.execute(select(Meter.meter_id, Meter.id))}


def _parts(values: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """The values in parts that a statement takes."""
    for start in range(0, len(values), ROWS_AT_ONCE):
        yield values[start : start + ROWS_AT_ONCE]
