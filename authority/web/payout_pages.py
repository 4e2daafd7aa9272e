"""A member's page of the bank account to which it is paid. A delegate does not see it."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.gate import Rule
from authority.app import App
from authority.billing import bank_accounts
from authority.billing.errors import AccountInvalidError
from authority.people.roles import MEMBER
from authority.web.answers import page, redirect

RULES: Mapping[str, Rule] = dict.fromkeys(("payout.account", "payout.change"), Rule(frozenset({MEMBER})))


def blueprint(app: App) -> Blueprint:
    """The page over an opened authority."""
    payout = Blueprint("payout", __name__, url_prefix="/me/payout")

    def shown(message: str = "", status: int = 200) -> Response:
        its = gate.own_member(app, "bank account")
        with app.store.read() as session:
            kept = bank_accounts.of_member(session, its.id)
        text = render_template(
            "payout.html",
            account=its.name,
            kept=kept,
            masked=bank_accounts.masked,
            form=request.form if message else {},
            message=message,
        )
        return page(text, status)

    @payout.get("")
    def account() -> Response:
        return shown()

    @payout.post("")
    def change() -> Response:
        its, actor = gate.own_member(app, "bank account"), gate.principal().actor
        form = {name: request.form.get(name, "") for name in ("holder", "number", "bank")}
        try:
            if request.form.get("act") == "forget":
                bank_accounts.remove(app, its.id, actor=actor)
            else:
                bank_accounts.set_account(app, its.id, **form, actor=actor)
        except AccountInvalidError as error:
            return shown(str(error), 409)
        return redirect(url_for("payout.account"))

    return payout
