"""The log as bills go by it, read from the store by its indexes: what is read does not grow with the log."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.billing.bill import ACTS, RETIRED, LoggedAct
from authority.log import log
from authority.market.book_leaf import book_of_leaf
from authority.store.billing import CreditEntry
from authority.store.log import Act
from authority.store.metering import DISPOSITION_ACCEPTED, DISPOSITION_RELEASED, Frame, Meter
from authority.store.settlement import SettlementAct, SettlementEpoch, act_key

ROWS_AT_ONCE = 500


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
        found: dict[tuple[str, str], int] = {}
        pairs = sorted(set(wanted))
        for start in range(0, len(pairs), ROWS_AT_ONCE):
            some = pairs[start : start + ROWS_AT_ONCE]
            keys = {act_key(f"{RETIRED}:{each[0]}"): each for each in some}  # of earlier releases
            keys |= {act_key(f"{RETIRED}:{each[0]}:{each[1]}"): each for each in some}
            retired = select(SettlementAct.key, SettlementAct.log_index).where(SettlementAct.key.in_(keys))
            found |= {keys[key]: index for key, index in self._session.execute(retired)}
            booked = select(CreditEntry.signature, CreditEntry.wallet, CreditEntry.log_index)
            signatures = {signature for signature, _ in some}
            for signature, wallet, index in self._session.execute(booked.where(CreditEntry.signature.in_(signatures))):
                found[signature, wallet] = index
        return {pair: found[pair] for pair in pairs if pair in found}

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
            for start in range(0, len(some), ROWS_AT_ONCE):
                rows = self._session.execute(
                    select(Frame.interval_end, Frame.log_index, Frame.disposition, Frame.resolution_log_index).where(
                        Frame.meter_pk == meter_pk, Frame.interval_end.in_(some[start : start + ROWS_AT_ONCE])
                    )
                )
                for end, index, disposition, released in rows:
                    at = {DISPOSITION_ACCEPTED: index, DISPOSITION_RELEASED: released}.get(disposition)
                    if at is not None and (before is None or at < before):
                        found[meter_id, end].append(index)
        return found

    @cached_property
    def _meters(self) -> dict[bytes, int]:
        return {row.meter_id: row.id for row in self._session.execute(select(Meter.meter_id, Meter.id))}
