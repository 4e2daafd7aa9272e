"""/api/v1/billing: periods, what they lack, bills, payments and credits, as the treasurer's pages show them.

The query layer is the pages' own (authority.api.treasury). Each reading is an entry of the log. Energies are Wh,
amounts micro-credits, positive where the member pays, times Unix seconds.
"""

# ruff: noqa: RUF009  (`described` is dataclasses.field with a sentence: it makes no shared default)

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from apiflask import APIBlueprint
from flask import Response

from authority.api import gate, tags
from authority.api.campus import described
from authority.api.gate import Rule
from authority.api.me import NOT_YOURS
from authority.api.paging import AT_ONCE, NEXT, ONWARD, OnwardQuery, PageQuery, cut
from authority.api.schemas import schema_of
from authority.api.treasury import CREDITS, BillView, Review, Treasury
from authority.billing.payments import PaidBill
from authority.billing.views import BillSum, Period, Totals
from authority.people.roles import READ_BILLING, TREASURER

OF_THE_TREASURER = Rule(frozenset({TREASURER}), READ_BILLING)
RULES: Mapping[str, Rule] = dict.fromkeys(
    (
        "billing.periods",
        "billing.period",
        "billing.bills",
        "billing.bill",
        "billing.payments",
        "billing.credits",
    ),
    OF_THE_TREASURER,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingPeriod:
    """A billing period in short."""

    period: int = described("Its number.")
    starts_at: int = described("Its beginning.")
    ends_at: int = described("Its end; where it still runs, when it will end.")
    state: Literal["open", "ended", "closed", "issued"] = described(
        "open: it runs; ended: it waits to be closed; closed: its bills wait to be issued; issued."
    )
    bills: int = described("Bills that were issued.")
    due_micro_credits: int = described("What is due by those bills over all.")
    closed_at: int | None = described("When it was closed; null before.")
    issued_at: int | None = described("When its bills were issued; null before.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingPeriods:
    """Billing periods, the newest first."""

    periods: tuple[BillingPeriod, ...] = described("At most 50.")
    next: str | None = described(NEXT)
    due: int | None = described("The period that is closed or issued next; null where none is.")
    chain_away: bool = described("Whether the validator does not answer: then those alone that were closed.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingGap:
    """Something that a period's bills do not hold yet."""

    code: Literal["member_unsettled", "readings_held", "estimate_overtaken"] = described("What it is.")
    subject: str = described("Whom or what it is about: a wallet, GATEWAY/METER, an estimate.")
    message: str = described("What that means.")
    settled_until: int | None = described("Until when a member is settled; null: never, or about something else.")
    readings_held: int = described("Readings that wait for an operator.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingChecklist:
    """What keeps a period from being closed, and what its bills would lack."""

    can_close: bool = described("Whether it can be closed, with gaps or without.")
    blocking: tuple[str, ...] = described("Why it cannot be closed at all, in sentences.")
    open_until: int | None = described("Until when the chain books in it; null where that is over.")
    pinned: bool = described("Whether its last epoch has a checkpoint.")
    gaps: tuple[BillingGap, ...] = described("What is missing.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingTotals:
    """A period's bills together."""

    bills: int = described("Bills.")
    drawn_wh: int = described("Drawn from the campus.")
    covered_wh: int = described("Covered by own and bought energy.")
    estimated_wh: int = described("Estimated.")
    corrected_micro_credits: int = described("Corrections of earlier bills.")
    moved_micro_credits: int = described("What the chain has moved already.")
    to_pay_micro_credits: int = described("What members are to pay.")
    to_be_paid_micro_credits: int = described("What members are to be paid; negative.")
    due_micro_credits: int = described("Both together.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillingPeriodView:
    """A period with what it lacks and what it comes to: as issued, or as its bills would be now."""

    period: BillingPeriod = described("In short.")
    checklist: BillingChecklist | None = described("Before it is closed; null while it runs, and once it is closed.")
    totals: BillingTotals = described("Its bills together.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodBill:
    """A bill of a period in one row."""

    number: int | None = described("Its number; null before it is issued.")
    wallet: str = described("The member's wallet, its pseudonym.")
    member: str = described("The member's name; the wallet where the member was erased.")
    drawn_wh: int = described("Drawn from the campus.")
    covered_wh: int = described("Covered by own and bought energy.")
    estimated_wh: int = described("Estimated.")
    corrected_micro_credits: int = described("Corrections of earlier bills.")
    moved_micro_credits: int = described("What the chain has moved already.")
    due_micro_credits: int = described("What is due; negative where the member is paid.")
    payment_state: str | None = described(
        "open, part_paid, paid, overpaid or nothing_due; null before the bill is issued."
    )
    paid_micro_credits: int | None = described("What was paid by bank; null before the bill is issued.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PeriodBills:
    """The bills of a period, issued or as they would be now."""

    bills: tuple[PeriodBill, ...] = described("At most 50, by number; before they are issued, by wallet.")
    next: str | None = described(ONWARD)
    issued: bool = described("Whether they are issued.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillCorrection:
    """A correction of a bill."""

    number: int = described("Its place among the bill's corrections, from 1.")
    line: int = described("The line that it corrects.")
    micro_credits: int = described("By how much; positive where the member pays more.")
    reason: str = described("Why.")
    entered_at: int = described("When.")
    entered_by: str = described("By whom: a pseudonym.")
    log_leaf: int = described("Its entry in the log.")
    on_bill: int | None = described("The bill that has it; null: the member's next one will.")
    withdrawn_at: int | None = described("When it was taken back, so that no bill has it; null where it was not.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BankPayment:
    """A payment of a bill, out of a bank's statement."""

    bill: int = described("The bill.")
    micro_credits: int = described("How much; negative where the department paid.")
    booked_on: str = described("The bank's day, YYYY-MM-DD.")
    entered_at: int = described("When it was entered.")
    entered_by: str = described("By whom: a pseudonym.")
    log_leaf: int = described("Its entry in the log.")
    withdrawn_at: int | None = described("Since when it no longer counts; null where it does.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BillStanding:
    """How far a bill is paid by bank."""

    bill: int = described("Its number.")
    period: int = described("Its billing period.")
    wallet: str = described("The member's wallet.")
    member: str = described("The member's name; the wallet where the member was erased.")
    reference: str = described("What a payment names (ISO 11649).")
    payable_micro_credits: int = described("What is to be paid by bank, in whole minor units of money.")
    paid_micro_credits: int = described("What was paid.")
    state: str = described("open, part_paid, paid, overpaid or nothing_due.")


@dataclass(frozen=True, slots=True, kw_only=True)
class TreasurerBill:
    """An issued bill, with what was corrected and paid of it."""

    standing: BillStanding = described("How far it is paid.")
    issued_at: int = described("When it was issued.")
    sha256: str = described("SHA-256 of its document, which is in the log.")
    log_leaf: int = described("The leaf of the log that has it.")
    document: Mapping[str, Any] = described("The document as it was issued.")
    corrections: tuple[BillCorrection, ...] = described("Corrections, as they were entered.")
    payments: tuple[BankPayment, ...] = described("Payments, withdrawn ones too.")


@dataclass(frozen=True, slots=True, kw_only=True)
class BankPayments:
    """What is not settled, and what came by bank."""

    unsettled: tuple[BillStanding, ...] = described("Bills that are not settled, by number.")
    newest: tuple[BankPayment, ...] = described("The 50 payments that were entered last.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditBooking:
    """A top-up or payout of credits."""

    reference: str = described("The bank's reference.")
    wallet: str = described("The member's wallet.")
    member: str = described("The member's name; the wallet where the member was erased.")
    micro_credits: int = described("How much; negative: paid out.")
    state: Literal["waiting", "booked", "refused"] = described("How far it is.")
    told: str = described("Why it was refused, or what it waits for; empty otherwise.")
    at: int = described("When it was asked for, or booked.")
    by: str = described("By whom: a pseudonym, or a command.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CreditBookings:
    """Top-ups and payouts, the newest first."""

    bookings: tuple[CreditBooking, ...] = described("About 50: those of one second stand together.")
    next: str | None = described(NEXT)


WALLET = "7yFvX1tmc6YqC5rV3tS9sM2n1dUo8QGk4hEJbZpWaLcR"
EXAMPLE_PERIOD = {
    "period": 3,
    "starts_at": 1_780_272_000,
    "ends_at": 1_782_864_000,
    "state": "ended",
    "bills": 0,
    "due_micro_credits": 0,
    "closed_at": None,
    "issued_at": None,
}
EXAMPLE_GAP = {
    "code": "readings_held",
    "subject": "gw-1/pv",
    "message": "2 readings of the period are held: authority collector held",
    "settled_until": None,
    "readings_held": 2,
}
EXAMPLE_VIEW = {
    "period": EXAMPLE_PERIOD,
    "checklist": {"can_close": True, "blocking": [], "open_until": None, "pinned": True, "gaps": [EXAMPLE_GAP]},
    "totals": {
        "bills": 2,
        "drawn_wh": 61_200,
        "covered_wh": 40_000,
        "estimated_wh": 0,
        "corrected_micro_credits": 0,
        "moved_micro_credits": -1_200_000,
        "to_pay_micro_credits": 6_360_000,
        "to_be_paid_micro_credits": 0,
        "due_micro_credits": 6_360_000,
    },
}
EXAMPLE_BILL = {
    "number": 17,
    "wallet": WALLET,
    "member": "Dormitory A",
    "drawn_wh": 61_200,
    "covered_wh": 40_000,
    "estimated_wh": 0,
    "corrected_micro_credits": 0,
    "moved_micro_credits": -1_200_000,
    "due_micro_credits": 6_360_000,
    "payment_state": "open",
    "paid_micro_credits": 0,
}
EXAMPLE_STANDING = {
    "bill": 17,
    "period": 3,
    "wallet": WALLET,
    "member": "Dormitory A",
    "reference": "RF18000000017",
    "payable_micro_credits": 6_360_000,
    "paid_micro_credits": 0,
    "state": "open",
}
EXAMPLE_PAYMENT = {
    "bill": 16,
    "micro_credits": 5_000_000,
    "booked_on": "2026-07-02",
    "entered_at": 1_783_000_000,
    "entered_by": "person-4d1f00c2a7e9b318",
    "log_leaf": 90_311,
    "withdrawn_at": None,
}
EXAMPLE_ISSUED = {
    "standing": EXAMPLE_STANDING,
    "issued_at": 1_782_867_600,
    "sha256": "5d" * 32,
    "log_leaf": 90_210,
    "document": {"number": 17, "period": 3, "member": WALLET, "due": 6_360_000, "lines": []},
    "corrections": [
        {
            "number": 1, "line": 3, "micro_credits": -360_000, "reason": "the meter was read wrongly",
            "entered_at": 1_782_990_000, "entered_by": "person-4d1f00c2a7e9b318", "log_leaf": 90_300, "on_bill": None,
            "withdrawn_at": None,
        }
    ],
    "payments": [],
}  # fmt: skip
EXAMPLE_CREDIT = {
    "reference": "2026-07-02/114",
    "wallet": WALLET,
    "member": "Dormitory A",
    "micro_credits": 20_000_000,
    "state": "booked",
    "told": "",
    "at": 1_783_000_000,
    "by": "person-4d1f00c2a7e9b318",
}
OF_A_PERIOD: Mapping[int | str, Any] = {
    409: "The books of the chain are not complete: the message says what to do.",
    503: "The validator does not answer, or the bills are being made: wait as long as Retry-After says.",
    **dict[int | str, Any](NOT_YOURS.items()),
}


def _period(found: Period, epoch_seconds: int) -> BillingPeriod:
    return BillingPeriod(
        period=found.period,
        starts_at=found.first_epoch * epoch_seconds,
        ends_at=found.end_epoch * epoch_seconds,
        state=found.state,  # type: ignore[arg-type]  # one of the views' states
        bills=found.bills,
        due_micro_credits=found.due,
        closed_at=None if found.row is None else found.row.closed_at,
        issued_at=None if found.row is None else found.row.issued_at,
    )


def _totals(found: Totals) -> BillingTotals:
    return BillingTotals(
        bills=found.bills,
        drawn_wh=found.drawn_wh,
        covered_wh=found.covered_wh,
        estimated_wh=found.estimated_wh,
        corrected_micro_credits=found.corrected,
        moved_micro_credits=found.moved,
        to_pay_micro_credits=found.to_pay,
        to_be_paid_micro_credits=found.to_be_paid,
        due_micro_credits=found.due,
    )


def _reviewed(review: Review, epoch_seconds: int) -> BillingPeriodView:
    checklist = review.checklist
    return BillingPeriodView(
        period=_period(review.period, epoch_seconds),
        checklist=None
        if checklist is None
        else BillingChecklist(
            can_close=review.can_close,
            blocking=checklist.blocking,
            open_until=checklist.open_until,
            pinned=checklist.pinned,
            gaps=tuple(
                BillingGap(
                    code=gap.code,  # type: ignore[arg-type]  # one of the checklist's
                    subject=gap.subject,
                    message=gap.message,
                    settled_until=gap.until or None,
                    readings_held=gap.held,
                )
                for gap in checklist.gaps
            ),
        ),
        totals=_totals(review.totals),
    )


def _bill(found: BillSum, names: Mapping[str, str], standing: PaidBill | None) -> PeriodBill:
    return PeriodBill(
        number=found.number,
        wallet=found.wallet,
        member=names.get(found.wallet, found.wallet),
        drawn_wh=found.drawn_wh,
        covered_wh=found.covered_wh,
        estimated_wh=found.estimated_wh,
        corrected_micro_credits=found.corrected,
        moved_micro_credits=found.moved,
        due_micro_credits=found.due,
        payment_state=None if standing is None else standing.state,
        paid_micro_credits=None if standing is None else standing.received,
    )


def _standing(found: PaidBill, name: str) -> BillStanding:
    return BillStanding(
        bill=found.number,
        period=found.period,
        wallet=found.wallet,
        member=name,
        reference=found.reference,
        payable_micro_credits=found.payable,
        paid_micro_credits=found.received,
        state=found.state,
    )


def _payment(row: Any) -> BankPayment:
    return BankPayment(
        bill=row.bill,
        micro_credits=row.amount,
        booked_on=row.booked_on,
        entered_at=row.entered_at,
        entered_by=row.entered_by,
        log_leaf=row.log_index,
        withdrawn_at=row.withdrawn_at,
    )


def _issued(found: BillView) -> TreasurerBill:
    return TreasurerBill(
        standing=_standing(found.standing, found.name),
        issued_at=found.bill.issued_at,
        sha256=found.bill.sha256.hex(),
        log_leaf=found.bill.log_index,
        document=found.document,
        corrections=tuple(
            BillCorrection(
                number=each.number,
                line=each.line,
                micro_credits=each.amount,
                reason=each.reason,
                entered_at=each.entered_at,
                entered_by=each.entered_by,
                log_leaf=each.log_index,
                on_bill=each.on_bill,
                withdrawn_at=each.withdrawn_at,
            )
            for each in found.corrections
        ),
        payments=tuple(map(_payment, found.payments)),
    )


def blueprint(treasury: Treasury) -> APIBlueprint:
    """The resources over the treasurer's services."""
    billing = APIBlueprint("billing", __name__, url_prefix="/api/v1/billing", tag="Billing")

    @billing.after_request
    def tag(response: Response) -> Response:
        return tags.tagged(response, tags.PRIVATE)

    @billing.get("/periods")
    @billing.input(PageQuery, location="query", arg_name="query")
    @billing.output(
        schema_of(BillingPeriods),
        description="The periods.",
        example={"periods": [EXAMPLE_PERIOD], "next": None, "due": 3, "chain_away": False},
    )
    @billing.doc(
        operation_id="list_billing_periods",
        summary="Billing periods, the newest first",
        responses={400: "The query is wrong.", **OF_A_PERIOD},
    )
    def periods(query: dict[str, Any]) -> dict[str, Any]:
        treasury.note(gate.principal())
        found, before = treasury.overview(), query["cursor"]
        rows, more = cut(
            [each for each in found.periods if before is None or each.period < before], lambda row: row.period
        )
        return asdict(
            BillingPeriods(
                periods=tuple(_period(each, treasury.epoch_seconds) for each in rows),
                next=more,
                due=None if found.due is None else found.due.period,
                chain_away=found.chain_away,
            )
        )

    @billing.get("/periods/<int:period>")
    @billing.output(schema_of(BillingPeriodView), description="The period.", example=EXAMPLE_VIEW)
    @billing.doc(
        operation_id="get_billing_period",
        summary="One billing period: what it lacks before it is closed, and what it comes to",
        description="Before its bills are issued the totals are those of the bills as they would be now.",
        responses=dict(OF_A_PERIOD),
    )
    def period(period: int) -> dict[str, Any]:
        treasury.note(gate.principal())
        return asdict(_reviewed(treasury.review(period), treasury.epoch_seconds))

    @billing.get("/periods/<int:period>/bills")
    @billing.input(OnwardQuery, location="query", arg_name="query")
    @billing.output(
        schema_of(PeriodBills),
        description="The bills.",
        example={"bills": [EXAMPLE_BILL], "next": None, "issued": True},
    )
    @billing.doc(
        operation_id="list_period_bills",
        summary="A billing period's bills, issued or as they would be now",
        responses={400: "The query is wrong.", **OF_A_PERIOD},
    )
    def bills(period: int, query: dict[str, Any]) -> dict[str, Any]:
        treasury.note(gate.principal())
        review, names, standings = treasury.review(period), treasury.names(), treasury.standings(period)
        start = query["cursor"] or 0
        rows = review.bills[start : start + AT_ONCE]
        return asdict(
            PeriodBills(
                bills=tuple(_bill(each, names, standings.get(each.number or 0)) for each in rows),
                next=str(start + AT_ONCE) if len(review.bills) > start + AT_ONCE else None,
                issued=review.period.row is not None and review.period.row.issued_at is not None,
            )
        )

    @billing.get("/bills/<int:number>")
    @billing.output(schema_of(TreasurerBill), description="The bill.", example=EXAMPLE_ISSUED)
    @billing.doc(
        operation_id="get_issued_bill",
        summary="An issued bill of any member, with its corrections and payments",
        responses={409: "Its document is not the one that was issued.", **NOT_YOURS},
    )
    def bill(number: int) -> dict[str, Any]:
        found = treasury.bill(number)
        treasury.note(gate.principal(), found.bill.wallet)
        return asdict(_issued(found))

    @billing.get("/payments")
    @billing.output(
        schema_of(BankPayments),
        description="Payments.",
        example={"unsettled": [EXAMPLE_STANDING], "newest": [EXAMPLE_PAYMENT]},
    )
    @billing.doc(
        operation_id="get_bank_payments",
        summary="Bills that are not settled, and the payments that came last",
        responses={409: "No currency is set.", **NOT_YOURS},
    )
    def payments() -> dict[str, Any]:
        treasury.note(gate.principal())
        names = treasury.names()
        return asdict(
            BankPayments(
                unsettled=tuple(_standing(each, names.get(each.wallet, each.wallet)) for each in treasury.unsettled()),
                newest=tuple(map(_payment, treasury.newest_payments(AT_ONCE))),
            )
        )

    @billing.get("/credits")
    @billing.input(PageQuery, location="query", arg_name="query")
    @billing.output(
        schema_of(CreditBookings), description="The bookings.", example={"bookings": [EXAMPLE_CREDIT], "next": None}
    )
    @billing.doc(
        operation_id="list_credit_bookings",
        summary="Top-ups and payouts of credits, the newest first",
        responses={400: "The query is wrong.", **NOT_YOURS},
    )
    def credits(query: dict[str, Any]) -> dict[str, Any]:
        treasury.note(gate.principal(), what=CREDITS)
        found, names = treasury.bookings(query["cursor"]), treasury.names()
        rows = tuple(
            CreditBooking(
                reference=each.reference,
                wallet=each.wallet,
                member=names.get(each.wallet, each.wallet),
                micro_credits=each.amount,
                state=each.state,  # type: ignore[arg-type]  # one of credit_requests' states
                told=each.told,
                at=each.at,
                by=each.by,
            )
            for each in found.rows
        )
        return asdict(CreditBookings(bookings=rows, next=None if found.older is None else str(found.older)))

    return billing
