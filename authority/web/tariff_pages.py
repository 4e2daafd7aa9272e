"""The page of tariffs: what holds, what is staged, a change previewed and proposed, and what was in force when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.asking import ChainAwayError
from authority.api.gate import Rule
from authority.api.tariffs import TariffBook, TariffPreview
from authority.billing.calendar import local
from authority.chain.errors import NotDeployedError
from authority.errors import AuthorityError, OutOfRangeError
from authority.governance import acts
from authority.people.errors import ActUnclearError, PeopleError
from authority.people.roles import AUDITOR, AUTHORITY, SEES_WHAT_WAITS
from authority.refusals import RefusalError
from authority.web import amounts, parameters, ranges, wording
from authority.web.answers import page, redirect, status_of

RULES: Mapping[str, Rule] = {
    "tariff_pages.shown": Rule(SEES_WHAT_WAITS),
    "tariff_pages.propose": Rule(frozenset({AUTHORITY})),
}
_REFUSED = (
    PeopleError,
    RefusalError,
    ChainAwayError,
    acts.GovernanceError,
    OutOfRangeError,
    amounts.AmountInvalidError,
)
FIRST = ("feed_in_price", "retail_price", "wheeling", "fee_bps")
"""What most changes are of; the others are below."""


def blueprint(book: TariffBook) -> Blueprint:
    """The page over the query layer."""
    tariffs = Blueprint("tariff_pages", __name__, url_prefix="/op/tariffs")

    def at(seconds: int) -> str:
        return ranges.written(local(seconds, book.zone), "%-d %b %Y, %H:%M")

    def refusal(error: AuthorityError) -> str:
        return parameters.refusal(str(error), book.epoch_seconds, at)

    def render(form: Mapping[str, str], message: str = "", status: int = 200, **words: Any) -> Response:
        who = gate.principal()
        book.note(who)
        found, away = None, ""
        try:
            found = book.shown()
        except (ChainAwayError, NotDeployedError) as error:
            away = str(error)
        text = render_template(
            "op_tariffs.html",
            found=found,
            away=away,
            history=found.history if found else book.history(),
            form=form,
            message=message,
            at=at,
            typed=parameters.written,
            with_unit=parameters.told,
            unit_of=parameters.unit_of,
            zone=book.zone.key,
            first=FIRST,
            usual_day=book.usual_day(),
            needs_two=book.needs_two,
            may_propose=AUTHORITY in who.roles,
            sees_proposals=bool({AUTHORITY, AUDITOR} & who.roles),
            **{"preview": None, **words},
        )
        return page(text, status)

    @tariffs.get("")
    def shown() -> Response:
        """The page; with a change in its address, previewed."""
        form = request.args
        if "preview" not in form:
            return render({})
        try:
            preview: TariffPreview | None = book.preview(changes_of(form), _day(form))
        except _REFUSED as error:
            return render(form, refusal(error), status_of(error))
        return render(form, preview=preview)

    @tariffs.post("")
    def propose() -> Response:
        """Propose the change that was previewed, or that what is staged is taken back."""
        who, form = gate.principal(), request.form
        try:
            if form.get("act") == "cancel":
                made = book.propose_cancel(who, form.get("reason", ""))
            elif form.get("act") == "propose":
                made = book.propose(who, changes_of(form), _day(form), form.get("reason", ""))
            else:
                raise ActUnclearError("say whether a change is proposed, or what is staged is to be taken back")
        except _REFUSED as error:
            preview = _previewed(book, form) if form.get("act") == "propose" else None
            return render(form, refusal(error), status_of(error), preview=preview)
        return redirect(url_for("approvals.proposal", proposal=made))

    return tariffs


def _previewed(book: TariffBook, form: Mapping[str, str]) -> TariffPreview | None:
    """The preview again, beside what is wrong; None where that is the change itself."""
    try:
        return book.preview(changes_of(form), _day(form))
    except AuthorityError:
        return None


def changes_of(form: Mapping[str, str]) -> dict[str, int]:
    """The parameters that a form changes; AmountInvalidError."""
    found = {
        name: amounts.parse(form.get(name, ""), parameters.decimals_of(name), wording.parameter(name))
        for name in acts.PARAMETER_NAMES
    }
    return {name: value for name, value in found.items() if value is not None}


def _day(form: Mapping[str, str]) -> date | None:
    """The day that a form names; None where it names none. ActUnclearError."""
    text = form.get("day", "")
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        raise ActUnclearError("choose the day with which it is to hold") from None
