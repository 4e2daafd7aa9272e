"""The page of a member's delegates: who acts for it, invited by e-mail, ended at once; and for whom a delegate acts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.gate import Rule
from authority.api.me_delegates import OF_THE_MEMBER, Delegates
from authority.billing.calendar import local
from authority.errors import MailOffError
from authority.people import delegates, invitation_mails, sessions
from authority.people.errors import PeopleError
from authority.people.roles import OF_A_MEMBER
from authority.web import ranges
from authority.web.answers import page, redirect, status_of

RULES: Mapping[str, Rule] = {
    "delegates.shown": Rule(OF_A_MEMBER),
    "delegates.invite": Rule(OF_THE_MEMBER),
    "delegates.end": Rule(OF_THE_MEMBER),
}


def blueprint(its: Delegates) -> Blueprint:
    """The page over the query layer."""
    pages, app = Blueprint("delegates", __name__, url_prefix="/me/delegates"), its.app
    zone = ZoneInfo(app.home.settings.site.zone)

    def answer(message: str = "", status: int = 200, **words: Any) -> Response:
        who = gate.principal()
        with app.store.read() as session:
            fresh = sessions.is_fresh(session, who.session, app.clock())
        text = render_template(
            "delegates.html",
            found=its.of(who),
            fresh=fresh,
            mails=invitation_mails.possible(app.home),
            longest=delegates.LONGEST_DAYS,
            at=lambda seconds: ranges.written(local(seconds, zone), "%-d %b %Y, %H:%M"),
            message=message,
            words=words,
        )
        return page(text, status)

    @pages.get("")
    def shown() -> Response:
        return answer()

    @pages.post("")
    def invite() -> Response:
        """Have somebody act for the member. It takes a sign-in of just now."""
        given = {name: request.form.get(name, "") for name in ("login", "days")}
        days = given["days"]
        length = int(days) if days.isascii() and days.isdigit() and len(days) < 6 else 0
        try:
            its.invite(gate.principal(), given["login"], length)
        except (PeopleError, MailOffError) as error:
            return answer(str(error), status_of(error), **given)
        return redirect(url_for("delegates.shown"))

    @pages.post("/<pseudonym>/end")
    def end(pseudonym: str) -> Response:
        """End a delegate's part; sent twice it is done once."""
        its.end(gate.principal(), pseudonym)
        return redirect(url_for("delegates.shown"))

    return pages
