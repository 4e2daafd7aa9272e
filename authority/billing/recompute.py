"""Issued bills, computed again from the log's leaves and the chain's events alone: what an audit calls.

Hand every leaf to `Recomputation.leaf`, in order, and every transaction to `Recomputation.apply`, in the chain's order;
events may come after the leaves that were logged while they happened, and not before. Call `differences` whenever a
step is done, and `finish` at the end: each gives what does not hold of the bills that can be judged by then. A period's
bills can be judged once the events of the eight epochs after its end were applied, which closing it waits for.

What is kept is what bills not yet judged go by: it grows with the time since the last period that was billed.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from solders.signature import Signature

from authority.billing.bill import ACTS, CLOSED, ISSUED, SENT, Bill, LoggedAct, bills_of, hash_of
from authority.billing.errors import BillingError, HistoryIncompleteError
from authority.billing.facts import CreditMoved, Facts, Retirement
from authority.chain.accounts import RETIREMENT_GRACE_EPOCHS, EpochBook
from authority.chain.idl import Event
from authority.log.log import LEAF_ACT, LEAF_BOOK, LEAF_READING, act_of
from authority.log.reading_leaf import KEY_END, READING_SIZE, RECORD_END, interval_end
from authority.market.book_leaf import book_of_leaf
from edge_agent.wire.reading import VERDICT_ACCEPTED

APPROVED, RELEASED = "gateway_approved", "reading_released"


@dataclass(frozen=True, slots=True)
class Difference:
    """A bill that is not what log and chain make of it: a code, which bill or period, and what was found.

    bill_differs, bill_missing, bill_twice, bill_number, period_not_closed, period_not_computed.
    """

    code: str
    where: str
    message: str


class LeafEvidence:
    """The evidence of a log whose leaves are handed in one by one (authority.billing.bill.Evidence)."""

    def __init__(self) -> None:
        self._acts: list[LoggedAct] = []
        self._books: dict[int, tuple[int, bytes]] = {}
        self._meters: dict[bytes, bytes] = {}
        self._passed: dict[bytes, array[int]] = {}
        """By meter id: interval end, leaf, and the leaf by which it passed, three numbers a reading."""
        self._held: dict[int, tuple[bytes, int]] = {}
        self._sent: dict[tuple[str, str], int] = {}

    def add(self, index: int, leaf: bytes) -> LoggedAct | None:
        """Take a leaf in; the act, where it is one that bills go by. What is malformed the audit names by itself."""
        kind = leaf[0] if leaf else None
        if kind == LEAF_READING:
            if len(leaf) != READING_SIZE:
                return None
            self.reading(index, leaf[RECORD_END:KEY_END], interval_end(leaf), leaf[1])
        elif kind == LEAF_BOOK:
            data = book_of_leaf(leaf)
            self._books[EpochBook.from_account(data).epoch] = (index, data)
        elif kind == LEAF_ACT:
            return self._act(index, act_of(leaf))
        return None

    def reading(self, index: int, public_key: bytes, end: int, verdict: int) -> None:
        """Take in a reading whose interval ended then: the key that signed it, and what the log decided."""
        meter = self._meters.get(public_key, b"")
        if verdict == VERDICT_ACCEPTED:
            self._pass(meter, end, index, index)
        else:
            self._held[index] = (meter, end)

    def _act(self, index: int, said: Mapping[str, Any]) -> LoggedAct | None:
        kind, data = said["kind"], said["data"]
        if kind == APPROVED:
            for meter in data["meters"]:
                self._meters.setdefault(bytes.fromhex(meter["key"]), bytes.fromhex(meter["meter_id"]))
        elif kind == RELEASED and (held := self._held.pop(int(data["log_index"]), None)) is not None:
            self._pass(*held, int(data["log_index"]), index)
        elif kind in SENT and "signature" in data:
            self._sent[str(data["signature"]), str(data["wallet"])] = index
        elif kind in ACTS:
            act = LoggedAct(index, kind, data)
            self._acts.append(act)
            return act
        return None

    def _pass(self, meter: bytes, end: int, index: int, at: int) -> None:
        passed = self._passed.get(meter)
        if passed is None:
            passed = self._passed[meter] = array("q")
        passed.extend((end, index, at))

    def books(self, first_epoch: int, end_epoch: int) -> Iterator[tuple[int, bytes]]:
        """The final books of those epochs: place in the log, and the book's data."""
        for epoch in range(first_epoch, end_epoch):
            if epoch in self._books:
                yield self._books[epoch]

    def acts(self) -> Sequence[LoggedAct]:
        """The acts that make bills, in the order of the log."""
        return self._acts

    def sent(self, wanted: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
        """The leaves of the acts that stand for transactions, by signature and member."""
        return {pair: self._sent[pair] for pair in wanted if pair in self._sent}

    def readings(
        self, wanted: Iterable[tuple[bytes, int]], before: int | None
    ) -> Mapping[tuple[bytes, int], list[int]]:
        """The leaves of readings that the log had let pass, by meter id and interval end."""
        pairs = set(wanted)
        found: dict[tuple[bytes, int], list[int]] = {}
        for meter in {meter for meter, _ in pairs}:
            kept = self._passed.get(meter, array("q"))
            for end, index, at in zip(kept[0::3], kept[1::3], kept[2::3], strict=True):
                if (meter, end) in pairs and (before is None or at < before):
                    found.setdefault((meter, end), []).append(index)
        return found

    def forget(
        self,
        settled: Mapping[bytes, int],
        needed: set[tuple[bytes, int]],
        before_epoch: int,
        sent: Iterable[tuple[str, str]],
    ) -> None:
        """Drop the readings of spans that were settled (by meter id, up to when) but for those that are needed still,
        the books of earlier epochs, and the acts of these transactions.
        """
        for pair in sent:
            self._sent.pop(pair, None)
        for meter, until in settled.items():
            kept = self._passed.get(meter, array("q"))
            left = (
                kept[at : at + 3] for at in range(0, len(kept), 3) if kept[at] > until or (meter, kept[at]) in needed
            )
            self._passed[meter] = array("q", (number for three in left for number in three))
        self._books = {epoch: book for epoch, book in self._books.items() if epoch >= before_epoch}


@dataclass
class Recomputation:
    """The state of one pass over log and chain. computed: how many bills were found to be right or wrong."""

    network_id: bytes
    facts: Facts = field(default_factory=Facts)
    evidence: LeafEvidence = field(default_factory=LeafEvidence)
    computed: int = 0
    hashes: dict[int, str] = field(default_factory=dict)
    """What the log says of each issued bill: the SHA-256 of its document, by number."""
    _waiting: dict[int, list[LoggedAct]] = field(default_factory=dict)
    _time: int = 0
    _incomplete: bool = False

    def leaf(self, index: int, data: bytes) -> None:
        """Take the next leaf of the log in."""
        act = self.evidence.add(index, data)
        if act is not None and act.kind == ISSUED:
            self._waiting.setdefault(int(act.data["period"]), []).append(act)
            self.hashes.setdefault(int(act.data["number"]), str(act.data["sha256"]))

    def apply(self, time: int, signature: bytes, events: Iterable[Event]) -> None:
        """Take in what the next transaction logged."""
        self._time = time
        if self._incomplete:
            return
        try:
            self.facts.apply(time, signature, events)
        except HistoryIncompleteError:
            self._incomplete = True

    def differences(self) -> Iterator[Difference]:
        """What does not hold of the bills that can be judged now."""
        for period in sorted(self._waiting):
            if self._ready(period):
                yield from self._judge(period, self._waiting.pop(period))
                self._forget(period)

    def finish(self) -> Iterator[Difference]:
        """What does not hold of the others, when log and chain are at their ends."""
        yield from self.differences()
        for period, acts in sorted(self._waiting.items()):
            numbers = f"bills {acts[0].data['number']} to {acts[-1].data['number']}"
            if self._incomplete or not self.facts.epoch_seconds:
                message = f"{numbers} were not computed: the chain's history does not reach back to the deployment"
                yield Difference("period_not_computed", f"billing period {period}", message)
            else:
                message = f"{numbers} were issued before the period was over"
                yield Difference("period_not_closed", f"billing period {period}", message)
        self._waiting.clear()

    def _ready(self, period: int) -> bool:
        end = self.facts.first_epochs.get(period + 1)
        if end is None or self._incomplete:
            return False
        return self._time >= (end + RETIREMENT_GRACE_EPOCHS) * self.facts.epoch_seconds

    def _judge(self, period: int, acts: Sequence[LoggedAct]) -> Iterator[Difference]:
        where = f"billing period {period}"
        closed = [act for act in self.evidence.acts() if act.kind == CLOSED and act.data["period"] == period]
        if len(closed) != 1 or closed[0].log_index > acts[0].log_index:
            yield Difference(
                "period_not_closed", where, f"its bills were issued, and it was closed {len(closed)} times"
            )
        try:
            bills = {bill.member: bill for bill in bills_of(period, self.facts, self.evidence)}
        except BillingError as error:
            yield Difference("period_not_computed", where, str(error))
            return
        seen: set[str] = set()
        for act in acts:
            number, member = int(act.data["number"]), str(act.data["wallet"])
            bill, name = bills.get(member), f"bill {number}"
            self.computed += 1
            if member in seen:
                yield Difference("bill_twice", name, f"is a second bill of {member} for period {period}")
            seen.add(member)
            if bill is None:
                yield Difference("bill_differs", name, f"{member} has nothing to be billed for period {period}")
            elif (said := str(act.data["sha256"])) != (found := hash_of(bill.document(number, self.network_id))):
                yield Difference("bill_differs", name, self._how(bill, act, said, found))
        for member in bills:
            if member not in seen:
                yield Difference("bill_missing", where, f"{member} has a bill by log and chain, and none was issued")
        numbers = [int(act.data["number"]) for act in acts]
        if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            yield Difference("bill_number", where, "its bills are not numbered one after another")

    @staticmethod
    def _how(bill: Bill, act: LoggedAct, said: str, found: str) -> str:
        due = act.data.get("due")
        what = f"says that {due} micro-credits are due, by log and chain it is {bill.due}; " if due != bill.due else ""
        return f"{what}its hash is {said[:16]}…, of what log and chain make it is {found[:16]}…"

    def _forget(self, period: int) -> None:
        """Drop what no later bill goes by."""
        facts = self.facts
        moves: list[Retirement | CreditMoved] = [each for each in facts.retirements if each.period <= period]
        moves += [each for each in facts.credits if each.period <= period]
        sent = [(str(Signature.from_bytes(each.signature)), each.member) for each in moves]
        facts.withdrawals = [each for each in facts.withdrawals if each.period > period]
        facts.retirements = [each for each in facts.retirements if each.period > period]
        facts.credits = [each for each in facts.credits if each.period > period]
        settled = {meter: facts.boundaries.get(owner, 0) for meter, owner in facts.meters.items()}
        needed = {(meter, each.until) for each in facts.withdrawals for meter in each.meters}
        self.evidence.forget(settled, needed, facts.end_epoch(period), sent)
