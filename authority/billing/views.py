"""Periods and bills as they are looked at: by the command, by the treasurer's pages and on paper alike.

Whatever is shown of a bill is read from its document, or from the same document as it would be issued now; what is
added up here are the document's own lines. Energies are Wh, amounts micro-credits, positive where the member pays.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.billing.bill import CORRECTED, CORRECTION_WITHDRAWN, ESTIMATE_WITHDRAWN, hash_of
from authority.billing.bill import ESTIMATED as ENTERED
from authority.billing.errors import BillChangedError
from authority.billing.issuing import Book
from authority.language.reading import gettext, marked
from authority.store.billing import BillingPeriod, IssuedBill
from authority.store.log import Act
from authority.store.metering import Meter
from authority.store.people import User

OPEN, ENDED, CLOSED, ISSUED = "open", "ended", "closed", "issued"
"""What a period goes through: it runs; it has ended on the chain; it was closed here; its bills are out."""
DRAWN, COVERED = ("withdrawn", "late_withdrawal"), ("retired",)
ESTIMATED = ("estimate", "estimate_withdrawn")
WORDS = {
    "withdrawn": marked("drawn from the campus"),
    "late_withdrawal": marked("drawn in period %(of_period)s, measured late"),
    "retired": marked("covered by own and bought energy"),
    "remainder": marked("not covered: at the grid's price"),
    "estimate": marked("estimated consumption"),
    "estimate_withdrawn": marked("estimate taken back"),
    "correction": marked("correction of bill %(bill)s, line %(of_line)s"),
    "bought": marked("bought on the market"),
    "wheeling": marked("wheeling for it"),
    "sold": marked("sold on the market"),
    "fee": marked("market fee for it"),
    "fed_in": marked("fed in"),
    "top_up": marked("credits topped up"),
    "pay_out": marked("credits paid out"),
}
"""Each kind of line in words; the names in brackets are the line's own."""


def words_of(line: Mapping[str, Any]) -> str:
    """What a line is for."""
    if line["kind"] == "remainder" and line["of_period"] is not None:
        return gettext("not covered in period %(of_period)s: at the grid's price", of_period=line["of_period"])
    return gettext(WORDS[line["kind"]], **line)


@dataclass(frozen=True, slots=True)
class Period:
    """A billing period, epochs [first_epoch, end_epoch), and how far it has come; due: of its issued bills together."""

    period: int
    first_epoch: int
    end_epoch: int
    state: str
    bills: int
    due: int
    row: BillingPeriod | None


def periods(session: Session, book: Book | None) -> list[Period]:
    """Every billing period, the first one first. Without a book (the chain is away) those that were closed."""
    rows = {row.period: row for row in session.scalars(select(BillingPeriod).order_by(BillingPeriod.period))}
    first_epochs = (
        {period: row.first_epoch for period, row in rows.items()} if book is None else book.facts.first_epochs
    )
    found = []
    for period, first in sorted(first_epochs.items()):
        row = rows.get(period)
        if row is not None:
            end, state = row.end_epoch, CLOSED if row.issued_at is None else ISSUED
        elif book is not None:
            following = first_epochs.get(period + 1)
            end, state = (book.config.billing_period_end, OPEN) if following is None else (following, ENDED)
        bills, due = (0, 0) if row is None else (row.bills, row.due)
        found.append(Period(period, first, end, state, bills, due, row))
    return found


def names(session: Session) -> dict[str, str]:
    """The members' names, by the wallets that name them in bills."""
    return {user.wallet: user.name for user in session.scalars(select(User))}


def issued_in(session: Session, period: int) -> list[IssuedBill]:
    """The issued bills of a period, by number."""
    return list(session.scalars(select(IssuedBill).where(IssuedBill.period == period).order_by(IssuedBill.number)))


def document_of(bill: IssuedBill) -> dict[str, Any]:
    """An issued bill's document; BillingError `bill_changed`."""
    found: dict[str, Any] = json.loads(verified(bill))
    return found


def verified(bill: IssuedBill) -> bytes:
    """An issued bill's document as it is kept; BillingError `bill_changed` where it is not the one that was issued."""
    if hash_of(bill.document) != bill.sha256.hex():
        raise BillChangedError(
            f"bill {bill.number} is not as it was issued: its hash is in leaf {bill.log_index} of the log; restore it "
            "from a backup",
        )
    return bill.document


@dataclass(frozen=True, slots=True)
class BillSum:
    """A bill in one row. number is None before it is issued; moved: what the chain has moved already."""

    number: int | None
    wallet: str
    drawn_wh: int
    covered_wh: int
    estimated_wh: int
    corrected: int
    moved: int
    due: int


def sum_of(document: Mapping[str, Any]) -> BillSum:
    """A bill's document in one row."""
    lines = document["lines"]

    def wh(kinds: Iterable[str]) -> int:
        return sum(line["wh"] for line in lines if line["kind"] in kinds)

    return BillSum(
        number=document.get("number") or None,  # a preview is numbered 0
        wallet=document["member"],
        drawn_wh=wh(DRAWN),
        covered_wh=wh(COVERED),
        estimated_wh=wh(ESTIMATED),
        corrected=sum(line["amount"] for line in lines if line["kind"] == "correction"),
        moved=sum(line["amount"] for line in lines if line["paid"]),
        due=document["due"],
    )


SUMS_KEPT = 20_000


class _Sums:
    """The rows of issued bills, by their documents' hashes: a document of a month takes long to read, and stays."""

    def __init__(self) -> None:
        self._lock, self._kept = threading.Lock(), dict[bytes, BillSum]()

    def of(self, bill: IssuedBill) -> BillSum:
        """A bill's row; BillingError `bill_changed`."""
        document = verified(bill)
        with self._lock:
            if (known := self._kept.get(bill.sha256)) is not None:
                return known
        found = sum_of(json.loads(document))
        with self._lock:
            if len(self._kept) >= SUMS_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[bill.sha256] = found
        return found


_SUMS = _Sums()


def sums_of(bills: Iterable[IssuedBill]) -> tuple[BillSum, ...]:
    """Issued bills, each in one row; BillingError `bill_changed`."""
    return tuple(_SUMS.of(bill) for bill in bills)


@dataclass(frozen=True, slots=True)
class Totals:
    """Bills together: what members are to pay (positive) and to be paid (negative), apart, and the rest added up."""

    bills: int
    drawn_wh: int
    covered_wh: int
    estimated_wh: int
    corrected: int
    moved: int
    to_pay: int
    to_be_paid: int

    @property
    def due(self) -> int:
        """What is due over all."""
        return self.to_pay + self.to_be_paid


def totals_of(bills: Iterable[BillSum]) -> Totals:
    """Bills added up."""
    some = list(bills)
    return Totals(
        bills=len(some),
        drawn_wh=sum(each.drawn_wh for each in some),
        covered_wh=sum(each.covered_wh for each in some),
        estimated_wh=sum(each.estimated_wh for each in some),
        corrected=sum(each.corrected for each in some),
        moved=sum(each.moved for each in some),
        to_pay=sum(max(0, each.due) for each in some),
        to_be_paid=sum(min(0, each.due) for each in some),
    )


@dataclass(frozen=True, slots=True)
class Estimate:
    """What was entered for a dead meter: its act in the log, epochs [first_epoch, end_epoch), Wh; taken_back: why it
    was withdrawn, None where it was not.
    """

    log_index: int
    wallet: str
    meter_id: str
    meter: str
    first_epoch: int
    end_epoch: int
    wh: int
    reason: str
    entered_at: int
    entered_by: str
    taken_back: str | None


def estimates(session: Session) -> list[Estimate]:
    """Every estimate, the newest first."""
    taken = {
        act.data["estimate"]: str(act.data["reason"])
        for act in session.scalars(select(Act).where(Act.kind == ESTIMATE_WITHDRAWN))
    }
    meters = {meter.meter_id.hex(): f"{meter.gateway_name}/{meter.name}" for meter in session.scalars(select(Meter))}
    return [
        Estimate(
            log_index=act.log_index,
            wallet=str(act.data["wallet"]),
            meter_id=str(act.data["meter_id"]),
            meter=meters.get(str(act.data["meter_id"]), str(act.data["meter_id"])),
            first_epoch=int(str(act.data["first_epoch"])),
            end_epoch=int(str(act.data["end_epoch"])),
            wh=int(str(act.data["wh"])),
            reason=str(act.data["reason"]),
            entered_at=act.time,
            entered_by=act.actor,
            taken_back=taken.get(act.log_index),
        )
        for act in session.scalars(select(Act).where(Act.kind == ENTERED).order_by(Act.log_index.desc()))
    ]


@dataclass(frozen=True, slots=True)
class Correction:
    """A correction of an issued bill: its place among those of that bill, from 1; on_bill: which bill has it (None: the
    member's next one). log_index is its act in the log. withdrawn_at: it was taken back before a bill had it.
    """

    number: int
    line: int
    amount: int
    reason: str
    entered_at: int
    entered_by: str
    log_index: int
    on_bill: int | None
    withdrawn_at: int | None = None


def corrections_of(session: Session, bill: IssuedBill, *, withdrawn: bool = False) -> list[Correction]:
    """The corrections of a bill, in the order in which they were entered; with those that were withdrawn, or without.

    A correction keeps its number where another one is withdrawn.
    """
    acts = [
        act
        for act in session.scalars(select(Act).where(Act.kind == CORRECTED).order_by(Act.log_index))
        if act.data["bill"] == bill.number
    ]
    later = select(IssuedBill).where(IssuedBill.wallet == bill.wallet, IssuedBill.number > bill.number)
    carried = {
        leaf: each.number
        for each in (session.scalars(later) if acts else ())
        for line in document_of(each)["lines"]
        if line["kind"] == "correction"
        for leaf, _ in line["leaves"]
    }
    taken_back = {
        int(str(act.data["correction"])): act.time
        for act in (session.scalars(select(Act).where(Act.kind == CORRECTION_WITHDRAWN)) if acts else ())
    }
    return [
        Correction(
            number=place,
            line=int(str(act.data["line"])),
            amount=int(str(act.data["amount"])),
            reason=str(act.data["reason"]),
            entered_at=act.time,
            entered_by=act.actor,
            log_index=act.log_index,
            on_bill=carried.get(act.log_index),
            withdrawn_at=taken_back.get(act.log_index),
        )
        for place, act in enumerate(acts, 1)
        if withdrawn or act.log_index not in taken_back
    ]
