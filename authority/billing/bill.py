"""A member's bill for a billing period, made of what the chain did and what stands in the log.

A pure function of the chain's facts, the final books and the department's acts: whoever has the log and the chain makes
the same bill, byte for byte. Energies are Wh, prices micro-credit per kWh, amounts micro-credits; an amount is positive
where the member pays or paid, negative where it is paid or was. `paid` says that the amount moved on the chain already;
what is due is the sum of the others.

Retired energy covers the period's withdrawals in the order in which the chain booked them, and what is left is priced
at the retail price of the epoch with which its span ended, so no price is changed afterwards.

Rounding: what is priced by a bill (the remainder, estimates) is rounded down once a line, to the member's favour by
less than one micro-credit; `rounded_off` is the sum of it in thousandths of a micro-credit. What was bought and sold is
what the market moved: a buyer's payment rounded up and a seller's proceeds and its fee rounded down, once an order.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, Protocol

from solders.signature import Signature

from authority.billing.errors import RetiredTooMuchError
from authority.billing.facts import CreditMoved, Facts, Retirement, Share, Withdrawal
from authority.chain.accounts import EpochBook, Order
from authority.market.clearing import WH_PER_KWH, buyer_pays, escrow_of_bid, seller_gets, seller_gross
from edge_agent.wire.canonical import canonical_json

FORMAT = "campus-bill-1"
CLOSED, ISSUED = "billing_period_closed", "bill_issued"
CORRECTED, ESTIMATED, ESTIMATE_WITHDRAWN = "bill_corrected", "consumption_estimated", "estimate_withdrawn"
CORRECTION_WITHDRAWN = "correction_withdrawn"
RETIRED, CREDIT_ISSUED, CREDIT_REDEEMED = "retire_energy", "credit_issued", "credit_redeemed"
KINDS = (
    "withdrawn",
    "late_withdrawal",
    "retired",
    "remainder",
    "estimate",
    "estimate_withdrawn",
    "correction",
    "bought",
    "wheeling",
    "sold",
    "fee",
    "fed_in",
    "top_up",
    "pay_out",
)
"""The kinds of lines, in the order in which they stand on a bill."""

Ranges = list[list[int]]


def ranges(numbers: Iterable[int]) -> Ranges:
    """Whole numbers as [first, last] of each run, in order, each number once."""
    ordered = sorted(set(numbers))
    if not ordered or ordered[-1] - ordered[0] == len(ordered) - 1:
        return [[ordered[0], ordered[-1]]] if ordered else []
    breaks = [(before, after) for before, after in pairwise(ordered) if after != before + 1]
    firsts, lasts = [ordered[0], *(after for _, after in breaks)], [*(before for before, _ in breaks), ordered[-1]]
    return [[first, last] for first, last in zip(firsts, lasts, strict=True)]


@dataclass(frozen=True, slots=True)
class LoggedAct:
    """An act of the authority: its place in the log, and what it says."""

    log_index: int
    kind: str
    data: Mapping[str, Any]


class Part(NamedTuple):
    """What a line has of the epochs [first, last]: Wh, and micro-credits; None where the line alone is priced."""

    first: int
    last: int
    wh: int
    amount: int | None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a bill. epochs and leaves are [first, last] ranges; what does not apply is None or empty.

    of_period: the period in which a late span ended; bill and of_line: what a correction corrects. parts are what the
    line is the sum of, where they were asked for; they are no part of the document.
    """

    kind: str
    wh: int = 0
    price: int | None = None
    amount: int = 0
    paid: bool = False
    epochs: Ranges = field(default_factory=list)
    leaves: Ranges = field(default_factory=list)
    of_period: int | None = None
    bill: int | None = None
    of_line: int | None = None
    reason: str | None = None
    parts: tuple[Part, ...] = field(default=(), compare=False, repr=False)

    def as_json(self, number: int) -> dict[str, Any]:
        """The line as it stands in the bill's document."""
        return {
            "line": number,
            "kind": self.kind,
            "wh": self.wh,
            "price": self.price,
            "amount": self.amount,
            "paid": self.paid,
            "epochs": self.epochs,
            "leaves": self.leaves,
            "of_period": self.of_period,
            "bill": self.bill,
            "of_line": self.of_line,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Bill:
    """A member's bill, without the number that it gets when it is issued."""

    member: str
    period: int
    first_epoch: int
    end_epoch: int
    epoch_seconds: int
    lines: tuple[Line, ...]
    rounded_off: int

    @property
    def due(self) -> int:
        """What the member is to pay, micro-credits; negative where it is to be paid."""
        return sum(line.amount for line in self.lines if not line.paid)

    def as_json(self, number: int, network_id: bytes) -> dict[str, Any]:
        """The bill as it stands in its document."""
        return {
            "format": FORMAT,
            "network": network_id.hex(),
            "number": number,
            "member": self.member,
            "period": self.period,
            "first_epoch": self.first_epoch,
            "end_epoch": self.end_epoch,
            "epoch_seconds": self.epoch_seconds,
            "lines": [line.as_json(place) for place, line in enumerate(self.lines, 1)],
            "due": self.due,
            "rounded_off": self.rounded_off,
        }

    def document(self, number: int, network_id: bytes) -> bytes:
        """The bill as it is issued: canonical JSON; its SHA-256 is in the log."""
        return canonical_json(self.as_json(number, network_id))


def numbered(document: bytes, number: int) -> bytes:
    """A bill's document that has no number yet (0), with one. No line has this key, and text cannot hold its quotes."""
    before, after = document.split(b',"number":0,')
    return b'%b,"number":%d,%b' % (before, number, after)


def hash_of(document: bytes) -> str:
    """What the log keeps of an issued bill: the SHA-256 of its document, in hex."""
    return hashlib.sha256(document).hexdigest()


class Evidence(Protocol):
    """The log, as far as bills go by it; from a store, or from the leaves alone."""

    def books(self, first_epoch: int, end_epoch: int) -> Iterable[tuple[int, bytes]]:
        """The final books of those epochs: place in the log, and the book's data."""
        ...

    def acts(self) -> Sequence[LoggedAct]:
        """The acts that make bills (ACTS), in the order of the log."""
        ...

    def sent(self, wanted: Iterable[tuple[str, str]]) -> Mapping[tuple[str, str], int]:
        """The leaves of the acts (SENT) that stand for transactions, by signature and member, both in base58."""
        ...

    def readings(
        self, wanted: Iterable[tuple[bytes, int]], before: int | None
    ) -> Mapping[tuple[bytes, int], list[int]]:
        """The leaves of readings that the log had let pass, by meter id and interval end; of those before a leaf."""
        ...


ACTS = (CLOSED, ISSUED, CORRECTED, CORRECTION_WITHDRAWN, ESTIMATED, ESTIMATE_WITHDRAWN)
"""The kinds of acts that make bills."""
SENT = (RETIRED, CREDIT_ISSUED, CREDIT_REDEEMED)
"""The kinds of acts that stand for a transaction, which they name: `signature`, `wallet`."""


@dataclass(frozen=True, slots=True)
class Window:
    """The part of the log that a period's bill takes its corrections from: leaves after `after` and before `before`.

    It ends with the act that closed the period (None: not closed yet), and begins after the one that closed the period
    before, so that each correction is on exactly one bill.
    """

    after: int
    before: int | None

    @classmethod
    def of(cls, acts: Iterable[LoggedAct], period: int) -> Window:
        """The window of a period by the acts in the log."""
        closed = {int(act.data["period"]): act.log_index for act in acts if act.kind == CLOSED}
        return cls(max((at for of, at in closed.items() if of < period), default=-1), closed.get(period))

    def holds(self, act: LoggedAct) -> bool:
        """Whether an act is in it."""
        return act.log_index > self.after and (self.before is None or act.log_index < self.before)


def withdrawn_of(acts: Iterable[LoggedAct], window: Window) -> set[tuple[int, str]]:
    """The corrections that were taken back in the same window, before a bill had them: no bill has these.

    Each by its leaf and its wallet: an entry that names another member's correction takes nothing back.
    """
    its = (act.data for act in acts if act.kind == CORRECTION_WITHDRAWN and window.holds(act))
    return {(int(data["correction"]), str(data["wallet"])) for data in its}


def bills_of(period: int, facts: Facts, evidence: Evidence) -> Iterator[Bill]:
    """The bills of a period that has ended on the chain, one by one in the order of the members' indexes.

    BillingError `period_open` or `period_unknown`. What the chain still books in it is not in them before it is over.
    """
    return _Maker(period, facts, evidence, facts.end_epoch(period)).bills()


def bills_so_far(
    period: int, facts: Facts, evidence: Evidence, member: str | None = None, *, parts: bool = False
) -> Iterator[Bill]:
    """The same of a period that may be open still, as far as the chain has come; or one member's alone.

    With `parts` each line has those that it is the sum of.
    """
    if period not in facts.first_epochs:
        facts.end_epoch(period)  # says which there are
    end = facts.first_epochs.get(period + 1)
    if end is None:
        latest = max(facts.boundaries.values(), default=0)
        end = max(facts.first_epochs[period], facts.last_epoch(latest) + 1)
    return _Maker(period, facts, evidence, end, member, parts=parts).bills()


def _is_entered_earlier(acts: Iterable[LoggedAct], period: int, facts: Facts, member: str | None) -> bool:
    """Whether what is entered now goes on an earlier period's bill: one member's bill so far then has none of it."""
    closed = {int(act.data["period"]) for act in acts if act.kind == CLOSED}
    return member is not None and period not in closed and period - 1 in facts.first_epochs and period - 1 not in closed


@dataclass(frozen=True, slots=True)
class Trade:
    """What an order came to: Wh, and micro-credits: of the energy, and of wheeling (a bid) or the fee (an ask).

    returned is what of it came back when the book was paid: micro-credits that a bid had locked and did not cost, or
    the Wh of an ask that were not sold.
    """

    epoch: int
    member: int
    is_bid: bool
    wh: int
    amount: int
    charge: int
    returned: int


def trades_of(data: bytes, *, paid_only: bool = False, member: int | None = None) -> Iterator[Trade]:
    """The trades of a book, as its leaf holds it: head, bids, asks; of one that is being paid, those that are paid.

    With `member` (an index of the registry) those of that member alone.
    """
    head = EpochBook.from_account(data)
    for place, order in orders_in(data, head.bid_count + head.ask_count, member):
        if not order.filled or (paid_only and place >= head.paid):
            continue
        if place < head.bid_count:
            paid = buyer_pays(order.filled, head.price, head.wheeling)
            energy = buyer_pays(order.filled, head.price)
            returned = escrow_of_bid(order.quantity, order.price, head.wheeling) - paid
            yield Trade(head.epoch, order.member, True, order.filled, energy, paid - energy, returned)
        else:
            gross = seller_gross(order.filled, head.price)
            fee = gross - seller_gets(order.filled, head.price, head.fee_bps)
            returned = order.quantity - order.filled
            yield Trade(head.epoch, order.member, False, order.filled, -gross, fee, returned)


def orders_in(data: bytes, count: int, member: int | None) -> Iterator[tuple[int, Order]]:
    """The first `count` orders of a book, as its leaf holds it, by their place; of one member, without the others."""
    start, size = EpochBook.size(), Order.FORMAT.size
    if member is None:
        yield from enumerate(Order.array(data, start, count))
        return
    its = member.to_bytes(_MEMBER, "little")
    at = data.find(its, start)
    while at >= 0:
        place, inside = divmod(at - start, size)
        if inside == size - _MEMBER and place < count:
            yield place, Order.array(data, start + place * size, 1)[0]
        at = data.find(its, at + 1)


_MEMBER = 4
"""An order's last bytes are its member's index, u32 LE."""
_NOBODY = 2 ** (8 * _MEMBER) - 1
"""No member's index."""


@dataclass
class _Trades:
    wh: int = 0
    amount: int = 0
    charge: int = 0
    epochs: array[int] = field(default_factory=lambda: array("q"))
    leaves: array[int] = field(default_factory=lambda: array("q"))
    single: list[Trade] = field(default_factory=list)


@dataclass(slots=True)
class _Drawn:
    """A withdrawal, the leaves of its readings, and the period in which its span ended (at latest the bill's)."""

    withdrawal: Withdrawal
    leaves: list[int]
    of_period: int


class _Maker:
    """Makes the bills of one period; with a member its alone."""

    def __init__(
        self,
        period: int,
        facts: Facts,
        evidence: Evidence,
        end_epoch: int,
        member: str | None = None,
        *,
        parts: bool = False,
    ) -> None:
        self.period = period
        self.parts = parts
        self.member = member
        self.facts = facts
        self.end_epoch = end_epoch
        self.evidence = evidence
        acts = evidence.acts()
        window = Window.of(acts, period)
        self.estimates = {act.log_index: act for act in acts if act.kind == ESTIMATED}
        withdrawn = withdrawn_of(acts, window)
        self.entered: dict[str, list[LoggedAct]] = {}
        for act in acts:
            if (act.log_index, str(act.data.get("wallet"))) in withdrawn:
                continue
            if act.kind in (CORRECTED, ESTIMATED, ESTIMATE_WITHDRAWN) and window.holds(act):
                self.entered.setdefault(str(act.data["wallet"]), []).append(act)
        if _is_entered_earlier(acts, period, facts, member):
            self.entered = {}
        self.before = window.before
        self.bought: dict[str, _Trades] = {}
        self.sold: dict[str, _Trades] = {}
        its = None if member is None else next((number for number, _ in facts.indexed(member)), _NOBODY)
        for log_index, data in evidence.books(facts.first_epochs[period], end_epoch):
            self._book(log_index, data, its)

    def bills(self) -> Iterator[Bill]:
        """The bills, made member by member: no more than one member's facts are at hand at a time."""
        for member, share in self.facts.shares(self.period, self.member):
            lines, rounded_off = self._lines(member, share)
            if lines:
                first = self.facts.first_epochs[self.period]
                yield Bill(
                    member, self.period, first, self.end_epoch, self.facts.epoch_seconds, tuple(lines), rounded_off
                )

    def _book(self, log_index: int, data: bytes, member: int | None) -> None:
        for trade in trades_of(data, member=member):
            side = self.bought if trade.is_bid else self.sold
            kept = side.setdefault(self.facts.members[trade.member], _Trades())
            kept.wh += trade.wh
            kept.amount += trade.amount
            kept.charge += trade.charge
            kept.epochs.append(trade.epoch)
            kept.leaves.append(log_index)
            if self.parts:
                kept.single.append(trade)

    def _lines(self, member: str, share: Share) -> tuple[list[Line], int]:
        moves: list[Retirement | CreditMoved] = [*share.retirements, *share.credits]
        signatures = {each.signature: _base58(each.signature) for each in moves}
        sent = self.evidence.sent([(signature, member) for signature in signatures.values()]) if moves else {}
        acts = {raw: sent[text, member] for raw, text in signatures.items() if (text, member) in sent}
        drawn = [*self._drawn(share.withdrawals)]
        lines = [
            *self._energy(drawn, share.retirements, acts),
            *self._estimates(member),
            *self._corrections(member),
            *self._traded(member),
            *self._moved(share.credits, acts),
        ]
        lines.sort(key=lambda line: KINDS.index(line.kind))
        off = sum(line.wh * line.price % WH_PER_KWH for line in lines if line.price is not None and line.wh > 0)
        return lines, off

    # What was drawn, and what of it is left to pay

    def _drawn(self, withdrawals: Sequence[Withdrawal]) -> Iterable[_Drawn]:
        """The withdrawals with the leaves of the readings that they were measured by."""
        if not withdrawals:
            return
        wanted = {(meter, each.until) for each in withdrawals for meter in each.meters}
        found = self.evidence.readings(wanted, self.before)
        for each in withdrawals:
            leaves = [leaf for meter in each.meters for leaf in found.get((meter, each.until), ())]
            yield _Drawn(each, leaves, min(self.period, self.facts.period_of(each.until)))

    def _energy(
        self, drawn: Sequence[_Drawn], retired: Sequence[Retirement], acts: Mapping[bytes, int]
    ) -> Iterable[Line]:
        by_period: dict[int, list[_Drawn]] = {}
        for each in drawn:
            by_period.setdefault(each.of_period, []).append(each)
        for of_period, some in sorted(by_period.items()):
            late = of_period != self.period
            yield Line(
                "late_withdrawal" if late else "withdrawn",
                wh=sum(each.withdrawal.wh for each in some),
                epochs=ranges(epoch for each in some for epoch in self._epochs(each.withdrawal)),
                leaves=ranges(leaf for each in some for leaf in each.leaves),
                of_period=of_period if late else None,
                parts=self._parts(self._part(each.withdrawal, each.withdrawal.wh) for each in some),
            )
        yield from self._retired("retired", [each for each in retired if not each.fed_in], acts)
        yield from self._retired("fed_in", [each for each in retired if each.fed_in], acts)
        yield from self._remainder(drawn, sum(each.wh for each in retired if not each.fed_in))

    def _retired(self, kind: str, retired: Sequence[Retirement], acts: Mapping[bytes, int]) -> Iterable[Line]:
        if retired:
            yield Line(
                kind,
                wh=sum(each.wh for each in retired),
                amount=-sum(each.credits for each in retired),
                paid=True,
                epochs=ranges(each.epoch for each in retired),
                leaves=_acts_of(retired, acts),
                parts=self._parts(Part(each.epoch, each.epoch, each.wh, -each.credits) for each in retired),
            )

    def _remainder(self, drawn: Sequence[_Drawn], covered: int) -> Iterable[Line]:
        """What is left of the withdrawals, a line for each price and each period in which it was drawn."""
        left: dict[tuple[int, int], list[tuple[_Drawn, int]]] = {}
        for each in drawn:
            wh = each.withdrawal.wh
            rest = max(0, wh - covered)
            covered = max(0, covered - wh)
            if rest:
                price = self.facts.retail_price(self.facts.last_epoch(each.withdrawal.until))
                left.setdefault((each.of_period, price), []).append((each, rest))
        if covered:
            raise RetiredTooMuchError(f"more was retired in billing period {self.period} than withdrawn")
        for (of_period, price), some in sorted(left.items()):
            wh = sum(rest for _, rest in some)
            yield Line(
                "remainder",
                wh=wh,
                price=price,
                amount=wh * price // WH_PER_KWH,
                epochs=ranges(epoch for each, _ in some for epoch in self._epochs(each.withdrawal)),
                leaves=ranges(leaf for each, _ in some for leaf in each.leaves),
                of_period=None if of_period == self.period else of_period,
                parts=self._parts(self._part(each.withdrawal, rest) for each, rest in some),
            )

    def _epochs(self, span: Withdrawal) -> range:
        last = self.facts.last_epoch(span.until)
        return range(min(last, span.since // self.facts.epoch_seconds), last + 1)

    def _parts(self, found: Iterable[Part]) -> tuple[Part, ...]:
        return tuple(found) if self.parts else ()

    def _part(self, span: Withdrawal, wh: int) -> Part:
        epochs = self._epochs(span)
        return Part(epochs[0], epochs[-1], wh, None)

    # What the department entered

    def _estimates(self, member: str) -> Iterable[Line]:
        for act in self.entered.get(member, ()):
            if act.kind == ESTIMATED:
                yield self._estimate("estimate", act, act, 1)
            elif act.kind == ESTIMATE_WITHDRAWN and int(act.data["estimate"]) in self.estimates:
                yield self._estimate("estimate_withdrawn", self.estimates[int(act.data["estimate"])], act, -1)

    def _estimate(self, kind: str, estimate: LoggedAct, act: LoggedAct, sign: int) -> Line:
        data = estimate.data
        first, end, wh = int(data["first_epoch"]), int(data["end_epoch"]), int(data["wh"])
        price = self.facts.retail_price(end - 1)
        amount = sign * (wh * price // WH_PER_KWH)
        return Line(
            kind,
            wh=sign * wh,
            price=price,
            amount=amount,
            epochs=[[first, end - 1]],
            leaves=ranges({estimate.log_index, act.log_index}),
            reason=str(act.data["reason"]),
            parts=self._parts([Part(first, end - 1, sign * wh, amount)]),
        )

    def _corrections(self, member: str) -> Iterable[Line]:
        for act in self.entered.get(member, ()):
            if act.kind == CORRECTED:
                yield Line(
                    "correction",
                    amount=int(act.data["amount"]),
                    leaves=[[act.log_index, act.log_index]],
                    bill=int(act.data["bill"]),
                    of_line=int(act.data["line"]),
                    reason=str(act.data["reason"]),
                )

    # What moved on the chain already

    def _traded(self, member: str) -> Iterable[Line]:
        for kind, charge, trade in (
            ("bought", "wheeling", self.bought.get(member)),
            ("sold", "fee", self.sold.get(member)),
        ):
            if trade is not None:
                epochs, leaves = ranges(trade.epochs), ranges(trade.leaves)
                energy = tuple(Part(each.epoch, each.epoch, each.wh, each.amount) for each in trade.single)
                charges = tuple(Part(each.epoch, each.epoch, each.wh, each.charge) for each in trade.single)
                yield Line(kind, trade.wh, None, trade.amount, True, epochs, leaves, parts=energy)
                yield Line(charge, trade.wh, None, trade.charge, True, epochs, leaves, parts=charges)

    def _moved(self, moved: Sequence[CreditMoved], acts: Mapping[bytes, int]) -> Iterable[Line]:
        for kind, some in (
            ("top_up", [each for each in moved if each.amount > 0]),
            ("pay_out", [each for each in moved if each.amount < 0]),
        ):
            if some:
                total = sum(each.amount for each in some)
                epochs = ranges(each.epoch for each in some)
                parts = self._parts(Part(each.epoch, each.epoch, 0, -each.amount) for each in some)
                yield Line(kind, amount=-total, paid=True, epochs=epochs, leaves=_acts_of(some, acts), parts=parts)


def _acts_of(moves: Iterable[Retirement | CreditMoved], acts: Mapping[bytes, int]) -> Ranges:
    """The acts by which the authority sent these transactions; a member's own have none."""
    return ranges(acts[each.signature] for each in moves if each.signature in acts)


def _base58(signature: bytes) -> str:
    return str(Signature.from_bytes(signature))
