"""The treasurer's page of estimates: what a dead meter would have measured, until it is measured or for good."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, url_for

from authority import typed
from authority.api import gate
from authority.api.gate import Rule
from authority.api.treasury import Treasury
from authority.billing.calendar import local
from authority.billing.errors import BillingError, EstimateInvalidError
from authority.billing.payments import LONGEST_REASON
from authority.errors import MeterUnknownError
from authority.language.reading import marked
from authority.log.nameless import NamesSomebodyError
from authority.people.roles import TREASURER
from authority.web import amounts, answers, ranges
from authority.web.answers import page, redirect
from authority.web.treasurer_pages import span

RULES: Mapping[str, Rule] = dict.fromkeys(
    ("estimates.listed", "estimates.enter", "estimates.withdraw"), Rule(frozenset({TREASURER}))
)
MOST_EPOCHS = 366 * 96
FIELD = "%Y-%m-%dT%H:%M"


@dataclass(frozen=True, slots=True)
class Entering:
    """An estimate as it was typed: epochs [first_epoch, end_epoch), Wh."""

    meter: str
    first_epoch: int
    end_epoch: int
    wh: int
    reason: str


def blueprint(treasury: Treasury) -> Blueprint:
    """The page over the treasurer's services."""
    made = Blueprint("estimates", __name__, url_prefix="/treasury/estimates")
    zone, seconds = treasury.zone, treasury.epoch_seconds

    def shown(
        form: Mapping[str, str], entering: Entering | None = None, message: str = "", status: int = 200
    ) -> Response:
        treasury.note(gate.principal())
        text = render_template(
            "treasury_estimates.html",
            estimates=treasury.estimates(),
            meters=treasury.estimated_meters(),
            names=treasury.names(),
            span=lambda first, end: span(first * seconds, end * seconds, zone),
            moment=lambda at: ranges.written(local(at, zone), "%-d %b %Y, %H:%M"),
            form=form,
            entering=entering,
            message=message,
            longest=LONGEST_REASON,
            zone=zone,
        )
        return page(text, status)

    @made.get("")
    def listed() -> Response:
        """The page; a link may name a meter, and from when until when (Unix seconds) nothing was heard of it."""
        form = {"meter": request.args.get("meter", "")}
        for name in ("since", "until"):
            at = request.args.get(name, "")
            if at.isascii() and at.isdigit() and len(at) < 12:
                form[name] = local(int(at), zone).strftime(FIELD)
        return shown(form)

    @made.post("")
    def enter() -> Response:
        form = request.form
        try:
            entering = _entering(form, zone, seconds)
            treasury.check_reason(entering.reason)
            if form.get("act") != "save":
                return shown(form, entering)
            treasury.estimate(gate.principal(), **_said(entering))
        except (BillingError, amounts.AmountInvalidError, MeterUnknownError, NamesSomebodyError) as error:
            return shown(form, message=str(error), status=409)
        return redirect(url_for("estimates.listed", _anchor="entered"))

    @made.post("/<int:log_index>")
    def withdraw(log_index: int) -> Response:
        try:
            treasury.withdraw_estimate(gate.principal(), log_index, _reason(request.form))
        except (EstimateInvalidError, NamesSomebodyError) as error:
            return shown({}, message=str(error), status=answers.status_of(error))
        return redirect(url_for("estimates.listed", _anchor="entered"))

    return made


def _said(entering: Entering) -> dict[str, Any]:
    names = ("meter", "first_epoch", "end_epoch", "wh", "reason")
    return {name: getattr(entering, name) for name in names}


def _entering(form: Mapping[str, str], zone: ZoneInfo, seconds: int) -> Entering:
    """The estimate that a form says; EstimateInvalidError, AmountInvalidError."""
    if not form.get("meter"):
        raise EstimateInvalidError("choose the meter")
    starts, ends = _moment(form.get("since", ""), zone), _moment(form.get("until", ""), zone)
    first, end = starts // seconds, -(-ends // seconds)
    if not 0 < end - first <= MOST_EPOCHS:
        raise EstimateInvalidError("it begins before it ends, and lasts a year at most")
    wh = amounts.parse(form.get("energy", ""), 3, marked("Energy"))
    if not wh:
        raise EstimateInvalidError("say how many kWh were drawn: more than 0")
    return Entering(form["meter"], first, end, wh, _reason(form))


def _reason(form: Mapping[str, str]) -> str:
    reason = typed.line(form.get("reason", ""))
    if not 0 < len(reason) <= LONGEST_REASON or not reason.isprintable():
        raise EstimateInvalidError(f"say why, in 1 to {LONGEST_REASON} characters: it is printed on the bill")
    return reason


def _moment(text: str, zone: ZoneInfo) -> int:
    """A time of the site's clock in Unix seconds; one that the clock shows twice is the first."""
    try:
        return int(datetime.strptime(text, FIELD).replace(tzinfo=zone).timestamp())
    except ValueError as error:
        raise EstimateInvalidError("say from when and until when, as a date and a time") from error
