"""One issued bill, computed again for an auditor from the log's leaves and the chain's events, figure by figure.

The rules are written down here a second time (docs/ARCHITECTURE.md has them), so a mistake of billing's own code shows:
- drawn is what the chain booked to the member in the period, span by span; a span that ended before it is late;
- retired energy covers the spans in the chain's order, and the remainder is priced at the retail price of the epoch
  with which its span ended, each price rounded down once;
- bought and sold are the member's filled orders in the period's final books, by the market's rounding;
- fed in, top-ups and payouts are the chain's; estimates and corrections the department's acts in the log.

Only leaves whose hashes the log's tree has are taken, and books whose hashes the chain's checkpoints pin.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.audit.books import Book
from authority.audit.events import SURPLUS_SETTLED, Events, Settled
from authority.audit.verify import NO_BOOK, ChainSource
from authority.errors import AuthorityError
from authority.log import log, merkle
from authority.market.book_leaf import book_of_leaf
from authority.market.clearing import WH_PER_KWH, buyer_pays, seller_gets, seller_gross
from authority.store.billing import IssuedBill
from authority.store.log import Act
from authority.store.settlement import SettlementEpoch

ACTS = (
    "billing_period_closed", "bill_issued", "bill_corrected", "correction_withdrawn", "consumption_estimated",
    "estimate_withdrawn",
)  # fmt: skip
SETTLED_AFTER = 8
"""Epochs after a period's end in which the chain may still book into it."""
TOLD_EACH = 100


class BillNotAuditableError(AuthorityError):
    """A bill that is not there, or whose period the chain does not have to its end."""

    code = "bill_not_auditable"


class Key(NamedTuple):
    """What makes lines of a bill one figure: kind, price (micro-credit per kWh), and the period they are of."""

    kind: str
    price: int | None
    of_period: int | None


class Sum(NamedTuple):
    """Energy (Wh) and amount (micro-credits)."""

    wh: int
    amount: int


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of the bill as it was issued, and as log and chain make it; None where one of them has none."""

    kind: str
    price: int | None
    of_period: int | None
    issued_wh: int | None
    issued_amount: int | None
    found_wh: int | None
    found_amount: int | None

    @property
    def same(self) -> bool:
        """Whether the two are."""
        return (self.issued_wh, self.issued_amount) == (self.found_wh, self.found_amount)


@dataclass(frozen=True, slots=True)
class Again:
    """A bill computed again; problems are sentences of what does not hold."""

    number: int
    member: str
    period: int
    figures: tuple[Figure, ...]
    issued_due: int
    found_due: int
    problems: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        figures = [{**asdict(each), "same": each.same} for each in self.figures]
        return {**asdict(self), "figures": figures, "ok": not self.problems}


class _Span(NamedTuple):
    to: int
    wh: int


@dataclass
class _Member:
    """What the chain says of one member and period, and of the prices."""

    wallet: str
    period: int
    epoch_seconds: int = 0
    firsts: dict[int, int] = field(default_factory=dict)
    prices: list[tuple[int, int]] = field(default_factory=list)
    index: int | None = None
    open_period: int = 0
    spans: list[_Span] = field(default_factory=list)
    retired: Sum = field(default_factory=lambda: Sum(0, 0))
    fed_in: Sum = field(default_factory=lambda: Sum(0, 0))
    moved: list[int] = field(default_factory=list)
    books: dict[int, bytes] = field(default_factory=dict)
    checkpointed: int = 0

    def take(self, name: str, data: Any, time: int) -> None:
        """The next event."""
        if name == SURPLUS_SETTLED:
            self._settled(data)
        elif name == "Initialized":
            self.epoch_seconds, self.firsts[0] = data["epoch_seconds"], data["first_epoch"]
            self.prices.append((0, data["parameters"]["retail_price"]))
        elif name == "ParametersStaged":
            now = time // self.epoch_seconds
            self.prices = [each for each in self.prices if each[0] <= now]
            self.prices.append((data["from_epoch"], data["parameters"]["retail_price"]))
        elif name == "BillingPeriodOpened":
            self.open_period = data["period"]
            self.firsts[data["period"]] = data["first_epoch"]
        elif name == "Checkpointed":
            self.checkpointed = data["epoch"]
            self.books[data["epoch"]] = bytes(data["book_hash"])
        elif name in _OF_A_MEMBER and str(data["wallet"]) == self.wallet:
            self._own(name, data)

    def _settled(self, span: Settled) -> None:
        if span.withdrawn and span.period == self.period and str(span.wallet) == self.wallet:
            self.spans.append(_Span(span.to, span.withdrawn))

    def _own(self, name: str, data: Mapping[str, Any]) -> None:
        if name == "UserRegistered":
            self.index = data["member_index"]
        elif name == "IdleMeterSettled":
            if data["withdrawn"] and data["period"] == self.period:
                self.spans.append(_Span(data["to"], data["withdrawn"]))
        elif name == "EnergyRetired":
            if data["period"] == self.period:
                wh, credits = data["amount"], data["credits"]
                if data["reason"]:
                    self.fed_in = Sum(self.fed_in.wh + wh, self.fed_in.amount + credits)
                else:
                    self.retired = Sum(self.retired.wh + wh, self.retired.amount + credits)
        elif self.open_period == self.period:
            self.moved.append(data["amount"] if name == "CreditIssued" else -data["amount"])

    @property
    def end(self) -> int | None:
        """The first epoch after the period; None while it is open."""
        return self.firsts.get(self.period + 1)

    @property
    def complete(self) -> bool:
        """Whether nothing more can be booked into the period."""
        return self.end is not None and self.checkpointed >= self.end + SETTLED_AFTER

    def retail(self, epoch: int) -> int:
        """The retail price of an epoch."""
        return next(price for first, price in reversed(self.prices) if first <= epoch)

    def of_period(self, to: int) -> int | None:
        """The earlier period in which a span ended; None for the bill's own."""
        ended = max((period for period, first in self.firsts.items() if first * self.epoch_seconds < to), default=0)
        return ended if ended < self.period else None


_OF_A_MEMBER = frozenset(("UserRegistered", "IdleMeterSettled", "EnergyRetired", "CreditIssued", "CreditRedeemed"))
_TAKEN = _OF_A_MEMBER | {SURPLUS_SETTLED, "Initialized", "ParametersStaged", "BillingPeriodOpened", "Checkpointed"}


class _Figures:
    """Sums by key."""

    def __init__(self) -> None:
        self.found: dict[Key, Sum] = {}

    def add(self, kind: str, wh: int, amount: int, price: int | None = None, of_period: int | None = None) -> None:
        key = Key(kind, price, of_period)
        before = self.found.get(key, Sum(0, 0))
        self.found[key] = Sum(before.wh + wh, before.amount + amount)


def again(session: Session, chain: ChainSource, number: int, tell: Callable[[int, int], None]) -> Again:
    """The bill of this number computed again. BillNotAuditableError. tell: epochs taken, and how many there are."""
    bill = session.get(IssuedBill, number)
    if bill is None:
        raise BillNotAuditableError(f"there is no bill {number}")
    document = json.loads(bill.document)
    member = _chain_of(chain, _Member(str(document["member"]), int(document["period"])), document, tell)
    problems: list[str] = []
    acts = list(_acts(session, problems))
    issued = [data for _, kind, data in acts if kind == "bill_issued" and data["number"] == number]
    digest = hashlib.sha256(bill.document).hexdigest()
    if [data["sha256"] for data in issued] != [digest]:
        problems.append("its document is not the one whose hash is in the log")
    figures = _Figures()
    _energy(member, figures)
    _trades(session, member, figures, problems)
    _entered(member, acts, figures)
    if member.fed_in.wh:
        figures.add("fed_in", member.fed_in.wh, -member.fed_in.amount)
    for kind, some in (
        ("top_up", [amount for amount in member.moved if amount > 0]),
        ("pay_out", [amount for amount in member.moved if amount < 0]),
    ):
        if some:
            figures.add(kind, 0, -sum(some))
    said = _Figures()
    for line in document["lines"]:
        priced = line["kind"] in ("remainder", "estimate", "estimate_withdrawn")
        said.add(line["kind"], line["wh"], line["amount"], line["price"] if priced else None, line["of_period"])
    compared = tuple(_compared(said.found, figures.found))
    problems += [_sentence(each) for each in compared if not each.same]
    due = sum(
        total.amount for key, total in figures.found.items() if key.kind in _DUE
    )  # fmt: skip
    if due != document["due"]:
        problems.append(f"{document['due']} micro-credits are said to be due, and {due} are")
    return Again(
        number, member.wallet, member.period, compared, int(document["due"]), due, tuple(dict.fromkeys(problems))
    )


_DUE = frozenset(("remainder", "estimate", "estimate_withdrawn", "correction"))
"""Kinds that are still to be paid when a bill is issued; all others moved on the chain."""


def _compared(said: Mapping[Key, Sum], found: Mapping[Key, Sum]) -> Iterator[Figure]:
    for key in [*said, *(key for key in found if key not in said)]:
        one, other = said.get(key), found.get(key)
        yield Figure(
            *key,
            issued_wh=None if one is None else one.wh,
            issued_amount=None if one is None else one.amount,
            found_wh=None if other is None else other.wh,
            found_amount=None if other is None else other.amount,
        )


def _sentence(each: Figure) -> str:
    price = "" if each.price is None else f" at {each.price}"
    return (
        f"{each.kind}{price}: the bill says {each.issued_wh} Wh and {each.issued_amount} micro-credits, by log and "
        f"chain it is {each.found_wh} Wh and {each.found_amount}"
    )


def _chain_of(
    chain: ChainSource, member: _Member, document: Mapping[str, Any], tell: Callable[[int, int], None]
) -> _Member:
    """What the chain says, until nothing more can be booked into the period."""
    read, until = Events(chain.idls), int(document["end_epoch"]) + SETTLED_AFTER
    told = 0
    for landed in chain.history:
        for name, data in read.of(landed):
            if name not in _TAKEN:
                continue
            if not member.epoch_seconds and name != "Initialized":
                raise BillNotAuditableError(
                    "the chain's history does not reach back to the deployment: audit a bundle that does"
                )
            member.take(name, data, landed.time)
        first = member.firsts.get(0, 0)
        if member.checkpointed - told >= TOLD_EACH:
            told = member.checkpointed
            tell(told - first, max(1, until - first))
        if member.complete:
            return member
    if member.end is None:
        raise BillNotAuditableError(f"billing period {member.period} is not over on the chain")
    return member


def _leaf(session: Session, index: int, problems: list[str]) -> bytes:
    """A leaf; a problem where the log's tree has another hash for it."""
    for found in log.leaves(session, index, index + 1):
        if merkle.leaf_hash(found.data) != found.hash or found.fault:
            problems.append(f"leaf {index} is not the one that the log's tree was made of")
        return found.data
    problems.append(f"the log has no leaf {index}")
    return b""


def _acts(session: Session, problems: list[str]) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """The acts that make bills, as their leaves have them: place, kind, data."""
    for index in session.scalars(select(Act.log_index).where(Act.kind.in_(ACTS)).order_by(Act.log_index)).all():
        if leaf := _leaf(session, index, problems):
            try:
                said = log.act_of(leaf)
            except log.LeafMalformedError as error:
                problems.append(f"leaf {index}: {error}")
                continue
            yield index, said["kind"], said["data"]


def _energy(member: _Member, figures: _Figures) -> None:
    covered = member.retired.wh
    left: dict[tuple[int, int | None], int] = {}
    for span in member.spans:
        of_period = member.of_period(span.to)
        figures.add("withdrawn" if of_period is None else "late_withdrawal", span.wh, 0, None, of_period)
        rest = max(0, span.wh - covered)
        covered = max(0, covered - span.wh)
        if rest:
            key = (member.retail(-(-span.to // member.epoch_seconds) - 1), of_period)
            left[key] = left.get(key, 0) + rest
    if member.retired.wh or member.retired.amount:
        figures.add("retired", member.retired.wh, -member.retired.amount)
    for (price, of_period), wh in left.items():
        figures.add("remainder", wh, wh * price // WH_PER_KWH, price, of_period)


def _trades(session: Session, member: _Member, figures: _Figures, problems: list[str]) -> None:
    first, end = member.firsts[member.period], member.end or 0
    rows = session.execute(
        select(SettlementEpoch.epoch, SettlementEpoch.book_log_index)
        .where(SettlementEpoch.epoch >= first, SettlementEpoch.epoch < end)
        .order_by(SettlementEpoch.epoch)
    ).all()
    logged = {epoch for epoch, index in rows if index is not None}
    for epoch in range(first, end):
        if epoch not in logged and member.books.get(epoch, NO_BOOK) != NO_BOOK:
            problems.append(f"the book of epoch {epoch} is on the chain, and the log has none")
    for epoch, index in rows:
        if index is None or not (leaf := _leaf(session, index, problems)):
            continue
        data = book_of_leaf(leaf)
        if hashlib.sha256(data).digest() != member.books.get(epoch):
            problems.append(f"the book of epoch {epoch} is not the one that the chain pins")
        book = Book.from_bytes(data)
        for order in _filled(book.bids, member.index):
            paid = buyer_pays(order.filled, book.head.price, book.head.wheeling)
            energy = buyer_pays(order.filled, book.head.price)
            figures.add("bought", order.filled, energy)
            figures.add("wheeling", order.filled, paid - energy)
        for order in _filled(book.asks, member.index):
            gross = seller_gross(order.filled, book.head.price)
            figures.add("sold", order.filled, -gross)
            figures.add("fee", order.filled, gross - seller_gets(order.filled, book.head.price, book.head.fee_bps))


def _filled(orders: Iterable[Any], index: int | None) -> Iterator[Any]:
    return (order for order in orders if order.member == index and order.filled)


def _entered(member: _Member, acts: Iterable[tuple[int, str, Mapping[str, Any]]], figures: _Figures) -> None:
    """What the department entered between the closing of the period before and this one's."""
    listed = list(acts)
    closed = {int(data["period"]): index for index, kind, data in listed if kind == "billing_period_closed"}
    after = max((index for period, index in closed.items() if period < member.period), default=-1)
    before = closed.get(member.period, after)
    estimates = {index: data for index, kind, data in listed if kind == "consumption_estimated"}
    taken_back = {
        int(data["correction"])
        for index, kind, data in listed
        if kind == "correction_withdrawn" and after < index < before and str(data["wallet"]) == member.wallet
    }
    for index, kind, data in listed:
        if not after < index < before or str(data.get("wallet")) != member.wallet:
            continue
        if kind == "bill_corrected" and index not in taken_back:
            figures.add("correction", 0, int(data["amount"]))
        elif kind == "consumption_estimated":
            _estimate(member, figures, "estimate", data, 1)
        elif kind == "estimate_withdrawn" and int(data["estimate"]) in estimates:
            _estimate(member, figures, "estimate_withdrawn", estimates[int(data["estimate"])], -1)


def _estimate(member: _Member, figures: _Figures, kind: str, data: Mapping[str, Any], sign: int) -> None:
    wh, price = int(data["wh"]), member.retail(int(data["end_epoch"]) - 1)
    figures.add(kind, sign * wh, sign * (wh * price // WH_PER_KWH), price)
