"""The page by which a person leaves: what happens then, asking for it after a fresh sign-in, and the way back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate, me_leaving
from authority.api.gate import Rule
from authority.app import App
from authority.billing.calendar import local
from authority.billing.payouts import LONGEST_KEPT_SECONDS
from authority.people import leave_requests
from authority.people.errors import (
    ActUnclearError,
    LeaveDayInvalidError,
    LeaveRefusedError,
    PeopleError,
    SignInAgainError,
)
from authority.web.answers import page, redirect, status_of

RULES: Mapping[str, Rule] = {"leave.page": Rule(frozenset()), "leave.decide": Rule(frozenset())}


def blueprint(app: App) -> Blueprint:
    """The page over an opened authority."""
    leave = Blueprint("leave", __name__, url_prefix="/account/leave")
    zone = ZoneInfo(app.home.settings.site.zone)

    def shown(message: str = "", status: int = 200) -> Response:
        who, refused, again = gate.principal(), "", ""
        state, (first, last) = me_leaving.state_of(app, who), leave_requests.days(app)
        day = None if state.leaves_on is None else date.fromisoformat(state.leaves_on)
        try:
            with app.store.read() as session:
                leave_requests.require_may_ask(session, who, app.clock())
        except LeaveRefusedError as error:
            refused = str(error)
        except SignInAgainError as error:
            again = str(error)
        text = render_template(
            "leave.html",
            state=state,
            is_open=state.state in leave_requests.OPEN,
            leave_words=leave_requests.WORDS,
            asked_on=None if state.asked_at is None else local(state.asked_at, zone),
            day=day,
            to_come=day is not None and day > first and state.may_take_back,
            days=(first, last),
            form=request.form if message else {},
            zone=zone.key,
            longest_days=LONGEST_KEPT_SECONDS // 86_400,
            refused=refused,
            again=again,
            message=message,
        )
        return page(text, status)

    @leave.get("", endpoint="page")
    def look() -> Response:
        return shown()

    @leave.post("")
    def decide() -> Response:
        """Ask to leave, or take that back."""
        who, act = gate.principal(), request.form.get("act", "")
        try:
            if act == "take-back":
                leave_requests.take_back(app, who)
            elif act == "ask" and request.form.get("confirm") == "yes":
                day = _day(request.form.get("day", ""))
                leave_requests.ask(app, who, forfeit=request.form.get("forfeit") == "yes", day=day)
            else:
                raise ActUnclearError("nothing is done yet: tick the box to say that it is meant")
        except PeopleError as error:
            return shown(str(error), status_of(error))
        return redirect(url_for("leave.page"))

    return leave


def _day(text: str) -> date | None:
    """The day that a field has; None where it is empty. LeaveDayInvalidError."""
    try:
        return date.fromisoformat(text) if text.strip() else None
    except ValueError as error:
        raise LeaveDayInvalidError("write the day like 2026-12-31, or leave it empty") from error
