"""The page on which a person chooses which mails it gets. Every mail has a link to it."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.gate import Rule
from authority.app import App
from authority.errors import OutOfRangeError
from authority.home.settings import is_mailbox
from authority.language.reading import marked
from authority.people import notices
from authority.people.notices import CREDIT_LOW
from authority.store.persons import Person
from authority.web import amounts
from authority.web.answers import page, redirect, status_of

RULES: Mapping[str, Rule] = {"mails.page": Rule(frozenset()), "mails.choose": Rule(frozenset())}


def blueprint(app: App) -> Blueprint:
    """The page over an opened authority."""
    mails = Blueprint("mails", __name__, url_prefix="/account/mails")

    def shown(message: str = "", status: int = 200, typed: str | None = None) -> Response:
        who = gate.principal()
        with app.store.read() as session:
            its = notices.choices(session, who.person_id)
            login = session.get_one(Person, who.person_id).login
        text = render_template(
            "mails.html",
            choices=its,
            words=notices.KINDS,
            credit_low=CREDIT_LOW,
            least=amounts.written(its[CREDIT_LOW].least, 6) if typed is None else typed,
            usual=amounts.written(notices.LEAST_CREDIT, 6),
            login=login,
            possible=is_mailbox(login) and app.home.settings.alerts.mails_bills,
            message=message,
        )
        return page(text, status)

    @mails.get("", endpoint="page")
    def look() -> Response:
        return shown()

    @mails.post("")
    def choose() -> Response:
        """Keep what is ticked."""
        who, typed = gate.principal(), request.form.get("least", "")
        try:
            least = amounts.parse(typed, 6, marked("Credits"))
            wanted = {kind: kind in request.form.getlist("wanted") for kind in notices.KINDS}
            notices.choose(app, who.person_id, wanted, notices.LEAST_CREDIT if least is None else least)
        except (amounts.AmountInvalidError, OutOfRangeError) as error:
            return shown(str(error), status_of(error), typed)
        return redirect(url_for("mails.page"))

    return mails
