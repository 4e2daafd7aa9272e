"""Facts that are kept folded in the store, so that a billing command reads one period and no history.

The chain's events are folded as they come, many at a time: what each member drew and retired goes into rows by period
and member, the rest (members, meters, prices, when periods began) is the fold's state, and the events go. What came
since the last fold is folded in memory, on top. All integers are little-endian:

    withdrawal   since i64, until i64, Wh u64, which meters u32 (a place in the state's list of sets)
    retirement   Wh u64, micro-credits u64, fed in u8, epoch u32, signature (64 bytes)
"""

from __future__ import annotations

import json
import struct
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from authority.billing.facts import CreditMoved, Facts, Retirement, Share, Withdrawal
from authority.chain import programs
from authority.chain.idl import Event
from authority.store import Store
from authority.store.base import table_of
from authority.store.billing import ChainEvents, FoldedCredit, FoldedFacts, FoldedHistory, HistoryCursor
from edge_agent.wire.canonical import canonical_json

FOLD_AT = 4_096
"""Transactions that wait to be folded; fewer are folded in memory by whoever asks."""
ROWS_AT_ONCE = 4_096
_WITHDRAWAL, _RETIREMENT = struct.Struct("<qqQI"), struct.Struct("<QQBI64s")
_ONE_ROW = 1
_NO_ROWS: tuple[int | None, Iterator[Any]] = (None, iter(()))

Decode = Callable[[bytes], Iterator[Event]]
"""The events of a row (authority.billing.history.events_of)."""


class KeptFacts(Facts):
    """Facts of which the folded part lies in the store, and is read a member at a time: as it is when this is made.

    fed_in: all credits for feed-in, by member. taken_in: the last row of the chain's history that is in them.
    """

    def __init__(self, store: Store, session: Session, only: int | None = None) -> None:
        super().__init__(only)
        self._store = store
        self.fed_in: dict[str, int] = defaultdict(int)
        self._sets: list[tuple[bytes, ...]] = []
        row = session.get(FoldedHistory, _ONE_ROW, populate_existing=True)
        self.folded = self.taken_in = 0 if row is None else row.n
        self._credits_up_to = session.scalar(select(func.max(FoldedCredit.n))) or 0
        if row is not None:
            self._load(json.loads(row.state))

    def _load(self, state: Mapping[str, Any]) -> None:
        self.epoch_seconds = state["epoch_seconds"]
        self.first_epochs = dict(enumerate(state["first_epochs"]))
        self.members = dict(enumerate(state["members"]))
        self.boundaries = {self.members[index]: until for index, until in state["boundaries"]}
        self.fed_in.update({self.members[index]: credits for index, credits in state["fed_in"]})
        self._prices = [(first, price) for first, price in state["prices"]]
        for meter, index in state["meters"]:
            self._know(bytes.fromhex(meter), self.members[index])
        self._sets = [tuple(bytes.fromhex(meter) for meter in some) for some in state["sets"]]

    def _know(self, meter_id: bytes, member: str) -> None:
        self._give(meter_id, member)
        self._addresses[str(programs.meter_address(meter_id))] = meter_id

    def _state(self) -> bytes:
        """What the next fold goes on from."""
        index = {member: number for number, member in self.members.items()}
        return canonical_json(
            {
                "epoch_seconds": self.epoch_seconds,
                "first_epochs": [self.first_epochs[period] for period in range(len(self.first_epochs))],
                "members": [self.members[number] for number in range(len(self.members))],
                "boundaries": sorted([index[member], until] for member, until in self.boundaries.items()),
                "fed_in": sorted([index[member], credits] for member, credits in self.fed_in.items()),
                "prices": [list(each) for each in self._prices],
                "meters": sorted([meter.hex(), index[member]] for meter, member in self.meters.items()),
                "sets": [[meter.hex() for meter in some] for some in self._sets],
            }
        )

    def _on_EnergyRetired(self, data: Mapping[str, Any], time: int, signature: bytes) -> None:  # noqa: N802
        super()._on_EnergyRetired(data, time, signature)
        self.fed_in[str(data["wallet"])] += data["credits"]

    # Reading

    def catch_up(self, session: Session, decode: Decode, upto: int | None = None) -> int:
        """Take in what was not folded yet, up to a row; the last row's number. The session is that of the making."""
        last = self.folded
        while True:
            query = select(ChainEvents.n, ChainEvents.time, ChainEvents.signature, ChainEvents.events)
            query = query.where(ChainEvents.n > last).order_by(ChainEvents.n).limit(ROWS_AT_ONCE)
            rows = session.execute(query if upto is None else query.where(ChainEvents.n <= upto)).all()
            for n, time, signature, events in rows:
                self.apply(time, signature, decode(events))
                last = self.taken_in = n
            if len(rows) < ROWS_AT_ONCE:
                return last

    def shares(self, period: int, member: str | None = None) -> Iterator[tuple[str, Share]]:
        """What there is of each member in a period, in the order of the members' indexes; or of one member alone."""
        indexed = self.indexed(member)
        query = (
            select(FoldedFacts.member_index, FoldedFacts.withdrawals, FoldedFacts.retirements)
            .where(FoldedFacts.period == period, FoldedFacts.n <= self.folded)
            .order_by(FoldedFacts.member_index, FoldedFacts.n)
            .execution_options(yield_per=64)
        )
        if member is not None:
            query = query.where(FoldedFacts.member_index.in_([number for number, _ in indexed]))
        credits = self._folded_credits(FoldedCredit.period == period)
        with self._store.read() as session:
            folded = groupby(session.execute(query), key=lambda row: int(row[0]))
            at, rows = next(folded, _NO_ROWS)
            for (number, each), (_, fresh) in zip(indexed, super().shares(period, member), strict=True):
                share = Share(credits=[*credits.get(each, ()), *fresh.credits])
                if at == number:
                    for _, withdrawals, retirements in rows:
                        share.withdrawals += self._withdrawals(period, each, withdrawals)
                        share.retirements += _retirements(period, each, retirements)
                    at, rows = next(folded, _NO_ROWS)
                share.withdrawals += fresh.withdrawals
                share.retirements += fresh.retirements
                yield each, share

    def drawn(self, period: int, member: str) -> Iterator[Withdrawal]:
        """What a member withdrew in a period."""
        number = next((number for number, name in self.members.items() if name == member), None)
        query = select(FoldedFacts.withdrawals).where(
            FoldedFacts.period == period, FoldedFacts.member_index == number, FoldedFacts.n <= self.folded
        )
        with self._store.read() as session:
            folded = session.scalars(query.order_by(FoldedFacts.n)).all()
        for packed in folded:
            yield from self._withdrawals(period, member, packed)
        yield from super().drawn(period, member)

    def all_credits(self) -> list[CreditMoved]:
        """Every issue of credits and every return of them, ever."""
        return [*(each for some in self._folded_credits().values() for each in some), *self.credits]

    def _withdrawals(self, period: int, member: str, packed: bytes) -> Iterator[Withdrawal]:
        for since, until, wh, meters in _WITHDRAWAL.iter_unpack(packed):
            yield Withdrawal(member, period, since, until, wh, self._sets[meters])

    def _folded_credits(self, *which: Any) -> dict[str, list[CreditMoved]]:
        found: dict[str, list[CreditMoved]] = {}
        query = select(FoldedCredit).where(FoldedCredit.n <= self._credits_up_to, *which).order_by(FoldedCredit.n)
        with self._store.read() as session:
            rows = session.scalars(query).all()
        for row in rows:
            member = self.members[row.member_index]
            moved = CreditMoved(member, row.period, row.amount, row.epoch, row.signature)
            found.setdefault(member, []).append(moved)
        return found

    # Folding

    def write(self, session: Session, last: int) -> None:
        """Write what was taken in into rows, and drop the events that it was made of, up to the last row."""
        index = {member: number for number, member in self.members.items()}
        sets = {meters: number for number, meters in enumerate(self._sets)}
        packed: dict[tuple[int, int], tuple[bytearray, bytearray]] = defaultdict(lambda: (bytearray(), bytearray()))
        for each in self.withdrawals:
            place = sets.setdefault(each.meters, len(sets))
            packed[each.period, index[each.member]][0].extend(_WITHDRAWAL.pack(each.since, each.until, each.wh, place))
        for retired in self.retirements:
            packed[retired.period, index[retired.member]][1].extend(
                _RETIREMENT.pack(retired.wh, retired.credits, retired.fed_in, retired.epoch, retired.signature)
            )
        self._sets = list(sets)
        facts = [
            {
                "period": period,
                "member_index": member,
                "n": last,
                "withdrawals": bytes(drawn),
                "retirements": bytes(out),
            }
            for (period, member), (drawn, out) in packed.items()
        ]
        if facts:
            session.execute(insert(table_of(FoldedFacts)), facts)
        credits = [
            {
                "period": moved.period, "member_index": index[moved.member], "amount": moved.amount,
                "epoch": moved.epoch, "signature": moved.signature,
            }
            for moved in self.credits
        ]  # fmt: skip
        if credits:
            session.execute(insert(table_of(FoldedCredit)), credits)
        session.merge(FoldedHistory(id=_ONE_ROW, n=last, state=self._state()))
        session.execute(delete(ChainEvents).where(ChainEvents.n < last))


def _retirements(period: int, member: str, packed: bytes) -> Iterator[Retirement]:
    for wh, credits, fed_in, epoch, signature in _RETIREMENT.iter_unpack(packed):
        yield Retirement(member, period, wh, credits, bool(fed_in), epoch, signature)


def fold(store: Store, session: Session, decode: Decode, at_least: int = FOLD_AT) -> int:
    """Fold what waits, where there is enough of it; how many transactions. Within the caller's transaction."""
    session.get(HistoryCursor, _ONE_ROW, with_for_update=True)  # whoever takes events in, or folds, has it
    row = session.get(FoldedHistory, _ONE_ROW)
    folded = 0 if row is None else row.n
    last = session.scalar(select(func.max(ChainEvents.n))) or 0
    if last - folded < at_least:
        return 0
    for upto in _steps(folded, last):
        facts = KeptFacts(store, session)
        facts.write(session, facts.catch_up(session, decode, upto))
        session.flush()
    return last - folded


def _steps(folded: int, last: int) -> Sequence[int]:
    return [*range(folded + ROWS_AT_ONCE, last, ROWS_AT_ONCE), last]
