"""Payments of bills: taken in from a bank's statement, matched by the reference that a bill has, each counted once.

The log has an act for each, `payment_booked` (bill, wallet, amount, date) and `payment_withdrawn` (payment: the leaf of
that act; bill, wallet, reason). Neither a payer's name nor what a payer wrote is kept anywhere. A payment that names no
bill is left alone, unless the treasurer says which bill it is for.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from authority import typed
from authority.app import App
from authority.billing import views
from authority.billing.errors import (
    AssignmentInvalidError,
    PaymentUnknownError,
    ReasonMissingError,
    StatementOutdatedError,
)
from authority.billing.money import Currency, Named, named_in, reference_of
from authority.billing.statement import Layout, Payment, decoded, parse
from authority.language.reading import marked, spoken
from authority.log import log
from authority.log.nameless import require_nameless
from authority.store.billing import BillPayment, IssuedBill

LONGEST_REASON = 200
BOOKED, WITHDRAWN = "payment_booked", "payment_withdrawn"
OPEN, PART_PAID, PAID, OVERPAID, NOTHING_DUE = "open", "part_paid", "paid", "overpaid", "nothing_due"
"""The states of a bill. Of one whose amount the member gets they say how far the department has paid it."""
WORDS = {
    OPEN: marked("open"),
    PART_PAID: marked("part paid"),
    PAID: marked("paid"),
    OVERPAID: marked("overpaid"),
    NOTHING_DUE: marked("nothing due"),
}
SETTLED = (PAID, NOTHING_DUE)
MATCHED, KNOWN, UNKNOWN = "matched", "known", "unknown"
"""What becomes of a statement's line: it is booked, it was booked before, it is left alone."""


@dataclass(frozen=True, slots=True)
class PaidBill:
    """How far an issued bill is paid, micro-credits: what is to be paid of it, and what was; both negative where the
    department pays.
    """

    number: int
    period: int
    wallet: str
    reference: str
    payable: int
    received: int

    @property
    def state(self) -> str:
        """One of the states above."""
        return state_of(self.payable, self.received)

    @property
    def left(self) -> int:
        """What is still to be paid; of the other sign where too much was."""
        return self.payable - self.received


@dataclass(frozen=True, slots=True)
class Match:
    """A line of a statement and what becomes of it; bill is None where it is left alone. words are for people."""

    payment: Payment
    outcome: str
    words: str
    bill: int | None = None
    wallet: str = ""
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Reading:
    """A statement, tried on the store."""

    rows: tuple[Match, ...]

    def count(self, outcome: str) -> int:
        """How many lines have an outcome."""
        return sum(each.outcome == outcome for each in self.rows)

    @property
    def amount(self) -> int:
        """What is booked together, micro-credits."""
        return sum(each.payment.amount for each in self.rows if each.outcome == MATCHED)

    @property
    def digest(self) -> str:
        """What a person agreed to: lines, bills and states."""
        text = repr([(each.payment.key, each.payment.amount, each.outcome, each.words) for each in self.rows])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def state_of(payable: int, received: int) -> str:
    """How far an amount is paid."""
    if received == payable:
        return PAID if payable else NOTHING_DUE
    sign = -1 if payable < 0 else 1
    if payable and received * sign <= 0:
        return OPEN
    return PART_PAID if payable and received * sign < payable * sign else OVERPAID


# Reading


def paid_bills(session: Session, currency: Currency, network_id: bytes, *which: object) -> list[PaidBill]:
    """Issued bills, by number, with what was paid of each; `which` are conditions on IssuedBill."""
    query = select(IssuedBill.number, IssuedBill.period, IssuedBill.wallet, IssuedBill.due, IssuedBill.left_open).where(
        *which  # type: ignore[arg-type]
    )
    found = [
        PaidBill(number, period, wallet, reference_of(network_id, number), currency.payable(due), due - left)
        for number, period, wallet, due, left in session.execute(query)
    ]
    return sorted(found, key=lambda each: each.number)  # the database would look through all bills for this order


def unsettled(session: Session, currency: Currency, network_id: bytes) -> list[PaidBill]:
    """The bills that are not settled, by number; the database passes over the others.

    What is left rounds down to whole minor units (PaidBill.left): below one, nothing is.
    """
    found = paid_bills(
        session, currency, network_id, or_(IssuedBill.left_open < 0, currency.unit <= IssuedBill.left_open)
    )
    return [each for each in found if each.state not in SETTLED]


def owed_to_members(session: Session, currency: Currency, network_id: bytes, *which: object) -> list[PaidBill]:
    """The bills of which the member still gets something (`left` is negative), by number; `which` as above."""
    return [
        each for each in paid_bills(session, currency, network_id, IssuedBill.left_open < 0, *which) if each.left < 0
    ]


def of_bill(session: Session, number: int) -> list[BillPayment]:
    """The payments of a bill, the first one first; those that were withdrawn too."""
    query = select(BillPayment).where(BillPayment.bill == number)
    return list(session.scalars(query.order_by(BillPayment.booked_on, BillPayment.log_index)))


def newest(session: Session, most: int | None = None) -> list[BillPayment]:
    """Payments, the last entered first; those that were withdrawn too."""
    return list(session.scalars(select(BillPayment).order_by(BillPayment.log_index.desc()).limit(most)))


# Taking in


def try_statement(app: App, data: bytes, assigned: Mapping[int, int] | None = None) -> Reading:
    """What a statement would book; assigned gives lines to bills by hand. Nothing is kept.

    BillingErrors `currency_unset`, `statement_invalid`, `assignment_invalid`.
    """
    layout = Layout.of(app.home.settings.billing)
    lines = parse(decoded(data), layout)
    with app.store.read() as session:
        return _plan(session, app, layout.currency, lines, assigned or {})


def take_in(
    app: App, data: bytes, assigned: Mapping[int, int] | None = None, *, actor: str, agreed: str | None = None
) -> Reading:
    """Book what a statement has, all of it or nothing; each payment is logged, and one that is known changes nothing.

    With `agreed` (a reading's digest) only if it still says the same. BillingErrors `statement_outdated`, and those of
    `try_statement`.
    """
    layout = Layout.of(app.home.settings.billing)
    lines = parse(decoded(data), layout)
    with app.store.write() as session:
        log.lock(session)
        reading = _plan(session, app, layout.currency, lines, assigned or {})
        if agreed is not None and reading.digest != agreed:
            raise StatementOutdatedError("the statement would now book something else than was shown: look at it again")
        booked = [each for each in reading.rows if each.outcome == MATCHED]
        now = app.clock()
        acts = [
            (
                BOOKED,
                {
                    "amount": each.payment.amount, "bill": each.bill, "date": each.payment.booked_on.isoformat(),
                    "wallet": each.wallet,
                },
            )
            for each in booked
        ]  # fmt: skip
        indexes = log.record_acts(session, acts, actor, now)
        before = {row.key: row for row in _known(session, [each.payment.key for each in booked])}
        for each, index in zip(booked, indexes, strict=True):
            row = before.get(each.payment.key) or BillPayment(key=each.payment.key)
            row.bill, row.amount = int(each.bill or 0), each.payment.amount
            row.booked_on, row.log_index = each.payment.booked_on.isoformat(), index
            row.entered_at, row.entered_by, row.withdrawn_at = now, actor, None
            session.add(row)
        keep_left(session, {int(each.bill or 0) for each in booked})
        return reading


def reason_of(session: Session, text: str) -> str:
    """Why a payment is withdrawn, fit for the log; BillingError `reason_missing`, NamesSomebodyError."""
    reason = typed.line(text)
    if not 0 < len(reason) <= LONGEST_REASON:
        raise ReasonMissingError(f"say why, in 1 to {LONGEST_REASON} characters: it is logged")
    typed.require_shown(reason, ReasonMissingError)
    require_nameless(session, reason)
    return reason


def withdraw(app: App, log_index: int, reason: str, *, actor: str) -> bool:
    """Take a payment off the bill that it was booked for, by the leaf of its act; whether anything changed. Logged.

    The same statement does not book it again by itself; by hand it may be given to another bill. BillingErrors
    `payment_unknown`, `reason_missing`; NamesSomebodyError.
    """
    with app.store.write() as session:
        log.lock(session)
        words = reason_of(session, reason)
        row = session.scalar(select(BillPayment).where(BillPayment.log_index == log_index))
        if row is None:
            raise PaymentUnknownError(f"leaf {log_index} is no payment: authority billing payments list")
        if row.withdrawn_at is not None:
            return False
        wallet = session.get_one(IssuedBill, row.bill).wallet
        row.withdrawn_at = app.clock()
        data = {"bill": row.bill, "payment": log_index, "reason": words, "wallet": wallet}
        log.record_act(session, WITHDRAWN, actor, app.clock(), data)
        keep_left(session, {row.bill})
        return True


def keep_left(session: Session, bills: set[int]) -> None:
    """Keep what is open of these bills, after their payments changed: summed anew, so that no error of it stays."""
    session.flush()
    for number in bills:
        paid = select(func.sum(BillPayment.amount)).where(
            BillPayment.bill == number, BillPayment.withdrawn_at.is_(None)
        )
        bill = session.get_one(IssuedBill, number)
        bill.left_open = bill.due - int(session.scalar(paid) or 0)


def _plan(
    session: Session, app: App, currency: Currency, lines: Sequence[Payment], assigned: Mapping[int, int]
) -> Reading:
    network = app.home.network_id
    numbers = [each.line for each in lines]
    for line, given in assigned.items():
        if line not in numbers:
            raise AssignmentInvalidError(f"line {line} has no payment")
        if session.get(IssuedBill, given) is None:
            raise AssignmentInvalidError(f"line {line}: there is no bill {given}")
    known = {row.key: row for row in _known(session, [each.key for each in lines])}
    named = {each.line: named_in(each.text, network) for each in lines}
    wanted = {*assigned.values(), *(bill for each in named.values() for bill in each.bills)}
    bills = {each.number: each for each in paid_bills(session, currency, network, IssuedBill.number.in_(wanted))}
    names = views.names(session)
    received: dict[int, int] = defaultdict(int, {number: each.received for number, each in bills.items()})
    rows = []
    for each in lines:
        row, chosen = known.get(each.key), assigned.get(each.line)
        if row is not None and row.withdrawn_at is None:
            if chosen is not None and chosen != row.bill:
                raise AssignmentInvalidError(f"line {each.line} is booked for bill {row.bill}: withdraw it there first")
            rows.append(Match(each, KNOWN, spoken(f"booked before, for bill {row.bill}"), row.bill))
            continue
        bill, why = _bill_of(each, named[each.line], currency, bills, row, chosen)
        if bill is None:
            rows.append(Match(each, UNKNOWN, why))
            continue
        standing, before = bills[bill], received[bill]
        received[bill] += each.amount
        words = _told(standing, before, received[bill], currency)
        name = names.get(standing.wallet, standing.wallet)
        state = state_of(standing.payable, received[bill])
        rows.append(Match(each, MATCHED, spoken(f"bill {bill}, {name}: {words}"), bill, standing.wallet, state))
    return Reading(tuple(rows))


def _bill_of(
    payment: Payment,
    named: Named,
    currency: Currency,
    bills: Mapping[int, PaidBill],
    row: BillPayment | None,
    chosen: int | None,
) -> tuple[int | None, str]:
    """The bill that a payment is for, or why there is none."""
    if not payment.amount:
        return None, marked("it moved nothing")
    if payment.currency not in ("", currency.code):
        return None, spoken(f"it is in {payment.currency}, and bills are in {currency.code}")
    if chosen is not None:
        return chosen, ""
    if row is not None:
        return None, spoken(f"withdrawn from bill {row.bill}: say for which bill it is")
    if named.mistyped:
        return None, marked("its reference has a wrong digit")
    if len(named.bills) > 1:
        return None, spoken(f"it names bills {', '.join(map(str, named.bills))}: say for which it is")
    if not named.bills:
        return None, marked("it names no bill")
    (bill,) = named.bills
    return (bill, "") if bill in bills else (None, spoken(f"there is no bill {bill}"))


def _told(bill: PaidBill, before: int, after: int, currency: Currency) -> str:
    """What a payment makes of a bill."""
    state = state_of(bill.payable, after)
    left = currency.text(abs(bill.payable - after))
    if state in (PAID, NOTHING_DUE):
        return marked("paid")
    if state == OVERPAID:
        if before == bill.payable and after == 2 * bill.payable and after:
            return marked("paid before, now twice")
        return spoken(f"overpaid by {left}")
    return spoken(f"part paid, {left} left") if state == PART_PAID else spoken(f"open, {left} left")


def _known(session: Session, keys: Iterable[bytes]) -> list[BillPayment]:
    """The payments of these keys, withdrawn ones too; asked for in parts, for a statement may have thousands."""
    wanted, found, most = list(keys), [], 500
    for start in range(0, len(wanted), most):
        query = select(BillPayment).where(BillPayment.key.in_(wanted[start : start + most]))
        found += list(session.scalars(query))
    return found
