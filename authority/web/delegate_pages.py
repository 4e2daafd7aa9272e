"""The page of a member's delegates: who acts for it, invited by e-mail, ended at once; and for whom a delegate acts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.gate import Rule
from authority.app import App
from authority.billing.calendar import local
from authority.errors import MailOffError
from authority.language.reading import marked
from authority.people import delegates, invitation_mails, sessions
from authority.people.errors import PeopleError, TooOftenError
from authority.people.limits import Bucket
from authority.people.roles import MEMBER, OF_A_MEMBER, MemberAccount
from authority.refusals import NotFoundError
from authority.web import ranges
from authority.web.answers import page, redirect, status_of

RULES: Mapping[str, Rule] = {
    "delegates.shown": Rule(OF_A_MEMBER),
    "delegates.invite": Rule(frozenset({MEMBER})),
    "delegates.end": Rule(frozenset({MEMBER})),
}
WHY = marked("it lets somebody act for you")


def _member() -> MemberAccount:
    found = gate.principal().member
    if found is None:
        raise NotFoundError("you are no member of the market")
    return found


def blueprint(app: App) -> Blueprint:
    """The page over an opened authority."""
    pages = Blueprint("delegates", __name__, url_prefix="/me/delegates")
    zone = ZoneInfo(app.home.settings.site.zone)
    invites = Bucket(delegates.INVITES_AT_ONCE, delegates.INVITE_SECONDS)

    def answer(message: str = "", status: int = 200, **words: Any) -> Response:
        who, now, member = gate.principal(), app.clock(), _member()
        with app.store.read() as session:
            text = render_template(
                "delegates.html",
                delegates=delegates.of_member(session, member.id, now) if who.is_own else [],
                until=delegates.term(session, who),
                fresh=sessions.is_fresh(session, who.session, now),
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
        who, now, form = gate.principal(), app.clock(), request.form
        days = form.get("days", "")
        length = int(days) if days.isascii() and days.isdigit() and len(days) < 6 else 0
        try:
            with app.store.read() as session:
                sessions.require_fresh(session, who.session, now, WHY)
            if (wait := invites.wait(who.pseudonym)) > 0:
                raise TooOftenError(wait)
            with app.store.write() as session:
                delegates.invite(
                    session, app.home, who, _member(), form.get("login", ""), form.get("name", ""), length, now=now
                )
        except (PeopleError, MailOffError) as error:
            given = {"login": form.get("login", ""), "name": form.get("name", ""), "days": days}
            return answer(str(error), status_of(error), **given)
        return redirect(url_for("delegates.shown"))

    @pages.post("/<pseudonym>/end")
    def end(pseudonym: str) -> Response:
        """End a delegate's part; sent twice it is done once."""
        with app.store.write() as session:
            delegates.end(session, gate.principal(), _member(), pseudonym, now=app.clock())
        return redirect(url_for("delegates.shown"))

    return pages
