"""The operator's pages of the accounts in the market: who takes part, as what, and suspending or restoring one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.accounts import Accounts
from authority.api.gate import Rule
from authority.billing.calendar import local
from authority.operations import suspensions
from authority.people import reads
from authority.people.errors import ActUnclearError, PeopleError
from authority.people.reasons import reason_of
from authority.people.roles import OPERATES, SEES_WHAT_WAITS
from authority.refusals import RefusalError
from authority.web import ranges
from authority.web.answers import page, place, redirect, status_of

RULES: Mapping[str, Rule] = {
    "account_pages.listed": Rule(SEES_WHAT_WAITS),
    "account_pages.shown": Rule(SEES_WHAT_WAITS),
    "account_pages.decide": Rule(OPERATES),
}


def blueprint(its: Accounts, zone: ZoneInfo) -> Blueprint:
    """The pages over the query layer."""
    pages = Blueprint("account_pages", __name__, url_prefix="/op/accounts")

    def render(template: str, status: int = 200, whose: str = reads.EVERYBODY, **words: Any) -> Response:
        who = gate.principal()
        its.note(who, whose)
        text = render_template(
            template,
            at=lambda seconds: ranges.written(local(seconds, zone), "%-d %b %Y, %H:%M:%S"),
            may_act=bool(OPERATES & who.roles),
            sees_names=who.sees_names,
            request_words=suspensions.WORDS,
            zone=zone.key,
            **words,
        )
        return page(text, status)

    @pages.get("")
    def listed() -> Response:
        named = request.args.get("q", "")[:64]
        return render("op_accounts.html", found=its.listed(gate.principal(), named, place("after")), q=named)

    def account(wallet: str, message: str = "", status: int = 200, reason: str = "") -> Response:
        return render(
            "op_account.html", status, wallet, found=its.one(gate.principal(), wallet), message=message, reason=reason
        )

    @pages.get("/<wallet>")
    def shown(wallet: str) -> Response:
        return account(wallet)

    @pages.post("/<wallet>")
    def decide(wallet: str) -> Response:
        """Suspend a member, or restore it, with a reason; it has to be confirmed."""
        form, actor = request.form, gate.principal().actor
        given = form.get("reason", "")
        its.one(gate.principal(), wallet)
        try:
            if form.get("status") not in suspensions.ASKED:
                raise ActUnclearError("say whether it is suspended or restored")
            if form.get("confirm") != "yes":
                raise ActUnclearError("nothing is done yet: tick the box to say that it is meant")
            with its.app.store.read() as session:
                reason = reason_of(session, given)
            suspensions.ask(its.app, wallet, form["status"], reason, actor=actor)
        except (PeopleError, RefusalError) as error:
            return account(wallet, str(error), status_of(error), given)
        return redirect(url_for("account_pages.shown", wallet=wallet))

    return pages
