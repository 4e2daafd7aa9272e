"""The treasurer's pages: periods, what is missing, close and issue in two steps, bills and their corrections."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, url_for

from authority import typed
from authority.api import gate
from authority.api.gate import Rule
from authority.api.treasury import CREDITS, GapsNotAcceptedError, ReviewOutdatedError, Treasury
from authority.billing.bank_accounts import masked
from authority.billing.calendar import local, midnight
from authority.billing.credits import LONGEST_REFERENCE
from authority.billing.errors import (
    AssignmentInvalidError,
    BillingError,
    CorrectionAboveLimitError,
    CorrectionAnswersError,
    CorrectionBilledError,
    OwedOtherwiseError,
    PaymentUnknownError,
    ReasonMissingError,
)
from authority.billing.mailing import WAITING, WHY_NOT
from authority.billing.money import spaced
from authority.billing.payment_file import CSV
from authority.billing.payments import LONGEST_REASON, UNKNOWN, WORDS
from authority.billing.statement import decoded
from authority.billing.views import CLOSED, ENDED, ISSUED, OPEN, words_of
from authority.errors import MailOffError
from authority.language.reading import gettext, marked, said
from authority.log.nameless import NamesSomebodyError
from authority.market.credits import AboveLimitError
from authority.people.errors import PeopleError
from authority.people.roles import TREASURER
from authority.web import amounts, answers, figures, ranges
from authority.web.answers import page, redirect

OF_THE_TREASURER = Rule(frozenset({TREASURER}))
RULES: Mapping[str, Rule] = dict.fromkeys(
    (
        "treasurer.overview",
        "treasurer.period",
        "treasurer.period_csv",
        "treasurer.preview",
        "treasurer.look_at_close",
        "treasurer.close",
        "treasurer.look_at_issue",
        "treasurer.issue",
        "treasurer.credits",
        "treasurer.ask_credits",
        "treasurer.mail",
        "treasurer.send_mail",
        "treasurer.bill",
        "treasurer.bill_pdf",
        "treasurer.correct",
        "treasurer.withdraw_correction",
        "treasurer.payments",
        "treasurer.take_in",
        "treasurer.withdraw_payment",
        "treasurer.payouts",
        "treasurer.order_payouts",
        "treasurer.payment_file",
        "treasurer.cancel_payouts",
    ),
    OF_THE_TREASURER,
)
STATES = {
    OPEN: marked("running"),
    ENDED: marked("waits to be closed"),
    CLOSED: marked("closed, waits to be issued"),
    ISSUED: marked("issued"),
}
MOST_SHOWN = 50


class CorrectionInvalidError(BillingError):
    """A correction on the page lacks its line, its amount or its reason."""

    code = "correction_invalid"


class BookingInvalidError(BillingError):
    """A top-up or payout on the page lacks its member, its amount or its reference."""

    code = "booking_invalid"


@dataclass(frozen=True, slots=True)
class Moving:
    """A top-up, or payout (negative), as it was typed: micro-credits; confirmed: the amount as it was typed again."""

    member: str
    amount: int
    reference: str
    confirmed: int | None

    def beyond(self, limit: int) -> bool:
        """Whether the amount is to be typed again."""
        return abs(self.amount) > limit


@dataclass(frozen=True, slots=True)
class Correcting:
    """A correction as it was typed, ready to be entered: micro-credits, positive where the member pays more."""

    line: int
    amount: int
    reason: str

    def beyond(self, amount: int) -> bool:
        """Whether it is of more than an amount of the bill."""
        return abs(self.amount) > abs(amount)


def moment(seconds: int, zone: ZoneInfo) -> str:
    """A time on the site's clock."""
    at = local(seconds, zone)
    return ranges.written(at, "%-d %b %Y, %H:%M:%S" if at.second else "%-d %b %Y, %H:%M")


def plain(text: str) -> str:
    """A message for a person, who counts in credits."""

    def in_credits(found: re.Match[str]) -> str:
        return gettext("%(credits)s credits", credits=figures.credits(int(found[1])))

    return re.sub(r"\b(\d+) micro-credits", in_credits, said(text))


def span(start: int, end: int, zone: ZoneInfo) -> str:
    """A period in words: by days where it begins and ends at midnight."""
    first, after = local(start, zone), local(end, zone)
    if all(midnight(each.date(), zone) == at for each, at in ((first, start), (after, end))):
        form, last = "%-d %b %Y", after.date() - timedelta(days=1)
        return gettext("%(starts)s to %(ends)s", starts=ranges.written(first, form), ends=ranges.written(last, form))
    return gettext("%(starts)s to %(ends)s", starts=moment(start, zone), ends=moment(end, zone))


def blueprint(treasury: Treasury) -> Blueprint:
    """The pages over the treasurer's services."""
    treasurer = Blueprint("treasurer", __name__, url_prefix="/treasury")
    zone = treasury.zone

    @treasurer.context_processor
    def shared() -> dict[str, Any]:
        seconds = treasury.epoch_seconds
        return {
            "states": STATES,
            "words_of": words_of,
            "plain": plain,
            "moment": lambda at: moment(at, zone),
            "span": lambda first, end: span(first * seconds, end * seconds, zone),
            "ends_at": lambda each: each.end_epoch * seconds,
            "ends": lambda each: moment(each.end_epoch * seconds, zone),
            "zone": zone,
            "currency": treasury.currency,
            "payment_states": WORDS,
            "spaced": spaced,
        }

    @treasurer.get("")
    def overview() -> Response:
        treasury.note(gate.principal())
        shown = {
            "overview": treasury.overview(),
            "names": treasury.names(),
            "compared": treasury.compared(),
            "disputes": treasury.disputes(),
        }
        return page(render_template("treasury.html", **shown))

    @treasurer.get("/periods/<int:period>")
    def period(period: int) -> Response:
        treasury.note(gate.principal())
        text = render_template(
            "treasury_period.html",
            review=treasury.review(period),
            names=treasury.names(),
            standings=treasury.standings(period),
        )
        return page(text)

    @treasurer.get("/periods/<int:period>.csv")
    def period_csv(period: int) -> Response:
        treasury.note(gate.principal())
        headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="period-{period}.csv"'}
        return Response(treasury.csv(period), 200, headers, content_type="text/csv; charset=utf-8")

    @treasurer.get("/periods/<int:period>/members/<wallet>")
    def preview(period: int, wallet: str) -> Response:
        review, document = treasury.previewed(period, wallet)
        treasury.note(gate.principal(), wallet)
        name = treasury.names().get(wallet, wallet)
        return page(render_template("treasury_preview.html", review=review, document=document, name=name))

    # Acts on a period, in two steps

    def act_page(act: str, period: int, message: str = "", status: int = 200) -> Response:
        treasury.note(gate.principal())
        review = treasury.review(period)
        expected = ENDED if act == "close" else CLOSED
        if review.period.state != expected:
            return to_period(period)
        text = render_template("treasury_act.html", act=act, review=review, names=treasury.names(), message=message)
        return page(text, status)

    def to_period(period: int) -> Response:
        return redirect(url_for("treasurer.period", period=period))

    @treasurer.get("/periods/<int:period>/close")
    def look_at_close(period: int) -> Response:
        return act_page("close", period)

    @treasurer.post("/periods/<int:period>/close")
    def close(period: int) -> Response:
        try:
            accepted = request.form.get("with_gaps") == "yes"
            treasury.close(gate.principal(), period, request.form.get("seen", ""), with_gaps=accepted)
        except (ReviewOutdatedError, GapsNotAcceptedError) as error:
            return act_page("close", period, str(error), 409)
        return to_period(period)

    @treasurer.get("/periods/<int:period>/issue")
    def look_at_issue(period: int) -> Response:
        return act_page("issue", period)

    @treasurer.post("/periods/<int:period>/issue")
    def issue(period: int) -> Response:
        try:
            treasury.issue(gate.principal(), period, request.form.get("seen", ""))
        except ReviewOutdatedError as error:
            return act_page("issue", period, str(error), 409)
        return to_period(period)

    # Mail

    @treasurer.get("/periods/<int:period>/mail")
    def mail(period: int) -> Response:
        treasury.note(gate.principal())
        found, letters = treasury.letters(period)
        text = render_template(
            "treasury_mail.html",
            period=found,
            letters=letters,
            names=treasury.names(),
            possible=treasury.mails_bills,
            new=sum(1 for each in letters if each.person_id is not None and each.state is None),
            unsent=any(each.state == WAITING for each in letters),
            why_not=WHY_NOT,
        )
        return page(text)

    @treasurer.post("/periods/<int:period>/mail")
    def send_mail(period: int) -> Response:
        who, bill, person = gate.principal(), request.form.get("bill", ""), request.form.get("person", "")
        if not treasury.mails_bills:
            raise MailOffError("bills cannot be mailed: no address is set that they come from ([alerts] mail_from)")
        if request.form.get("act") == "all":
            treasury.mail(who, period)
        elif all(each.isascii() and each.isdigit() and len(each) < 10 for each in (bill, person)):
            treasury.mail_again(who, int(bill), int(person))
        return redirect(url_for("treasurer.mail", period=period))

    # Credits

    def credits_page(
        form: Mapping[str, str] | None = None,
        moving: Moving | None = None,
        message: str = "",
        status: int = 200,
        has: int | None = None,
    ) -> Response:
        treasury.note(gate.principal(), what=CREDITS)
        text = render_template(
            "treasury_credits.html",
            found=treasury.bookings(answers.place("before")),
            members=treasury.members(),
            names=treasury.names(),
            form=form or {},
            moving=moving,
            message=message,
            limit=treasury.credit_limit,
            needs_two=treasury.needs_two,
            has=has,
        )
        return page(text, status)

    @treasurer.get("/credits")
    def credits() -> Response:
        return credits_page()

    @treasurer.post("/credits")
    def ask_credits() -> Response:
        form = request.form
        try:
            moving = _moving(form)
            if moving.beyond(treasury.credit_limit) and form.get("act") == "save" and moving.confirmed is None:
                raise BookingInvalidError("this is above the limit: type the amount again")
            confirmed = abs(moving.amount) if form.get("act") != "save" else moving.confirmed
            treasury.check_credits(moving.member, moving.amount, moving.reference, confirmed)
            has = treasury.free_credits(moving.member, -moving.amount) if moving.amount < 0 else None
            if form.get("act") != "save":
                return credits_page(form, moving, has=has)
            if treasury.needs_two(moving.amount):
                proposal = treasury.propose_credits(gate.principal(), moving.member, moving.amount, moving.reference)
                return redirect(url_for("approvals.proposal", proposal=proposal))
            treasury.ask_credits(gate.principal(), moving.member, moving.amount, moving.reference, confirmed)
        except AboveLimitError:
            return credits_page(form, _moving(form), gettext("the two amounts are not the same: look again"), 409)
        except (BillingError, PeopleError, amounts.AmountInvalidError) as error:
            return credits_page(form, message=plain(str(error)), status=409)
        return redirect(url_for("treasurer.credits"))

    # Payments

    def payments_page(message: str = "", status: int = 200, **shown: Any) -> Response:
        treasury.note(gate.principal())
        text = render_template(
            "treasury_payments.html",
            unsettled=treasury.unsettled(),
            newest=treasury.newest_payments(MOST_SHOWN),
            most=MOST_SHOWN,
            names=treasury.names(),
            unknown=UNKNOWN,
            message=message,
            **shown,
        )
        return page(text, status)

    @treasurer.get("/payments")
    def payments() -> Response:
        return payments_page()

    @treasurer.post("/payments")
    def take_in() -> Response:
        """Try a statement, or book what was shown when it was tried."""
        form, file = request.form, request.files.get("file")
        data = (b"" if file is None else file.read()) or form.get("csv", "").encode("utf-8", "surrogatepass")
        shown: dict[str, Any] = {"assigned": {}}
        message, status = "", 200
        try:
            shown["csv"] = decoded(data)
            shown["assigned"] = _assigned(form)
            if form.get("act") == "save":
                treasury.take_in(gate.principal(), data, shown["assigned"], form.get("seen", ""))
                return redirect(url_for("treasurer.payments"))
        except BillingError as error:
            message, status = str(error), 409
        try:
            shown["reading"] = treasury.try_statement(data, shown["assigned"])
        except BillingError as error:
            message, status = str(error), 409
        return payments_page(message, status, **shown)

    @treasurer.post("/bills/<int:number>/payments/<int:log_index>")
    def withdraw_payment(number: int, log_index: int) -> Response:
        try:
            if log_index not in {each.log_index for each in treasury.bill(number).payments}:
                raise PaymentUnknownError(f"bill {number} has no such payment")
            treasury.withdraw_payment(gate.principal(), log_index, request.form.get("reason", ""))
        except (ReasonMissingError, NamesSomebodyError) as error:
            return bill_page(number, unpaid=str(error), status=answers.status_of(error))
        return redirect(url_for("treasurer.bill", number=number, _anchor="payments"))

    # Payouts

    def payouts_page(message: str = "", status: int = 200) -> Response:
        treasury.note(gate.principal())
        text = render_template(
            "treasury_payouts.html",
            owed=treasury.owed() if treasury.currency.code else [],
            batches=treasury.batches(MOST_SHOWN),
            most=MOST_SHOWN,
            names=treasury.names(),
            form=treasury.payment_format,
            masked=masked,
            message=message,
        )
        return page(text, status)

    @treasurer.get("/payouts")
    def payouts() -> Response:
        return payouts_page()

    @treasurer.post("/payouts")
    def order_payouts() -> Response:
        """Order what was ticked, just as it was shown, or say that it was paid in another way."""
        try:
            chosen = [_owed_of(each) for each in request.form.getlist("owed")]
            treasury.order(gate.principal(), chosen, otherwise=request.form.get("act") == "otherwise")
        except BillingError as error:
            return payouts_page(str(error), 409)
        return redirect(url_for("treasurer.payouts", _anchor="files"))

    @treasurer.get("/payouts/<int:number>")
    def payment_file(number: int) -> Response:
        treasury.note(gate.principal())
        data, form = treasury.payment_file(number)
        kind, ending = ("text/csv; charset=utf-8", "csv") if form == CSV else ("application/xml", "xml")
        name = f"payments-{number}.{ending}"
        headers = {"Cache-Control": "no-store", "Content-Disposition": f'attachment; filename="{name}"'}
        return Response(data, 200, headers, content_type=kind)

    @treasurer.post("/payouts/<int:number>/cancel")
    def cancel_payouts(number: int) -> Response:
        treasury.cancel_batch(gate.principal(), number)
        return redirect(url_for("treasurer.payouts", _anchor="files"))

    # Bills

    def bill_page(
        number: int,
        form: Mapping[str, str] | None = None,
        correcting: Correcting | None = None,
        message: str = "",
        status: int = 200,
        unpaid: str = "",
        takes_two: bool = False,
        kept: str = "",
    ) -> Response:
        view = treasury.bill(number)
        treasury.note(gate.principal(), view.bill.wallet)
        text = render_template(
            "treasury_bill.html",
            view=view,
            form=form or {},
            correcting=correcting,
            message=message,
            unpaid=unpaid,
            takes_two=takes_two,
            limit=treasury.credit_limit,
            kept=kept,
            longest=LONGEST_REASON,
        )
        return page(text, status)

    @treasurer.get("/bills/<int:number>")
    def bill(number: int) -> Response:
        return bill_page(number)

    @treasurer.get("/bills/<int:number>.pdf")
    def bill_pdf(number: int) -> Response:
        view = treasury.bill(number)
        treasury.note(gate.principal(), view.bill.wallet)
        return answers.bill_pdf(treasury.pdf(view), number)

    @treasurer.post("/bills/<int:number>")
    def correct(number: int) -> Response:
        form = request.form
        try:
            correcting = _correcting(form, len(treasury.bill(number).document["lines"]))
            said_of = (number, correcting.line, correcting.amount, correcting.reason)
            if form.get("act") != "save":
                return bill_page(number, form, correcting, takes_two=treasury.correction_takes_two(*said_of))
            try:
                treasury.correct(gate.principal(), *said_of)
            except CorrectionAboveLimitError:
                proposal = treasury.propose_correction(gate.principal(), *said_of)
                return redirect(url_for("approvals.proposal", proposal=proposal))
        except (CorrectionInvalidError, amounts.AmountInvalidError, NamesSomebodyError, PeopleError) as error:
            return bill_page(number, form, message=str(error), status=409)
        return redirect(url_for("treasurer.bill", number=number, _anchor="corrections"))

    @treasurer.post("/bills/<int:number>/corrections/<int:log_index>")
    def withdraw_correction(number: int, log_index: int) -> Response:
        """Take a correction back that no bill has yet; sent twice it is done once."""
        reason = typed.line(request.form.get("reason", ""))
        try:
            if not 0 < len(reason) <= LONGEST_REASON or not reason.isprintable():
                raise ReasonMissingError(f"say why, in 1 to {LONGEST_REASON} characters")
            treasury.withdraw_correction(gate.principal(), number, log_index, reason)
        except (
            CorrectionAboveLimitError, CorrectionAnswersError, CorrectionBilledError, ReasonMissingError,
            NamesSomebodyError,
        ) as error:  # fmt: skip
            return bill_page(number, kept=str(error), status=409)
        return redirect(url_for("treasurer.bill", number=number, _anchor="corrections"))

    return treasurer


def _correcting(form: Mapping[str, str], lines: int) -> Correcting:
    """The correction that a form says; CorrectionInvalidError, AmountInvalidError."""
    line, reason = form.get("line", ""), typed.line(form.get("reason", ""))
    if not (line.isascii() and line.isdigit() and len(line) < 6 and 1 <= int(line) <= lines):
        raise CorrectionInvalidError("choose the line that is wrong")
    amount = amounts.parse(form.get("amount", ""), 6, marked("Amount"))
    if not amount:
        raise CorrectionInvalidError("say by how many credits the line is wrong: more than 0")
    if form.get("way") not in ("more", "less"):
        raise CorrectionInvalidError("say whether the member pays more or less")
    if not 0 < len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise CorrectionInvalidError(f"say why, in 1 to {LONGEST_REASON} characters: it is printed on the bill")
    return Correcting(int(line), amount if form["way"] == "more" else -amount, reason)


def _owed_of(text: str) -> tuple[str, int]:
    """What a ticked box stands for: the name of something owed, and its amount; OwedOtherwiseError."""
    name, _, amount = text.partition(":")
    if not (amount.isascii() and amount.isdigit() and len(amount) < 20):
        raise OwedOtherwiseError("tick what is to be paid")
    return name, int(amount)


def _assigned(form: Mapping[str, str]) -> dict[int, int]:
    """The bills that a form gives to lines of a statement by hand; AssignmentInvalidError."""
    found = {}
    for name, value in form.items():
        line = name.removeprefix("bill-")
        if line == name or not value.strip():
            continue
        if not all(each.isascii() and each.isdigit() and len(each) < 9 for each in (line, value.strip())):
            raise AssignmentInvalidError(f"{value.strip()!r} is no bill's number")
        found[int(line)] = int(value)
    return found


def _moving(form: Mapping[str, str]) -> Moving:
    """The top-up or payout that a form says; BookingInvalidError, AmountInvalidError."""
    member, reference = form.get("member", ""), typed.line(form.get("reference", ""))
    amount = amounts.parse(form.get("amount", ""), 6, "Amount")
    if not member:
        raise BookingInvalidError("choose the member")
    if form.get("way") not in ("in", "out"):
        raise BookingInvalidError("say whether the member paid or is paid")
    if not amount:
        raise BookingInvalidError("say how many credits: more than 0")
    if not 0 < len(reference) <= LONGEST_REFERENCE or not reference.isprintable():
        raise BookingInvalidError(f"say the bank transfer's reference, in 1 to {LONGEST_REFERENCE} characters")
    confirmed = amounts.parse(form.get("again", ""), 6, marked("Amount again"))
    return Moving(member, amount if form["way"] == "in" else -amount, reference, confirmed)
