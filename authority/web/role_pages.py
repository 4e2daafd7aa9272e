"""The authority's pages of people and their roles: who may do what for the department, given and taken."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, render_template, request, url_for

from authority.api import gate
from authority.api.gate import Rule
from authority.app import App
from authority.language.reading import marked
from authority.people import appointing, reads, records, sessions
from authority.people.errors import ActUnclearError, PeopleError
from authority.people.roles import AUTHORITY, OF_THE_DEPARTMENT, ROLES
from authority.web.answers import page, redirect, status_of

OF_AUTHORITY = frozenset({AUTHORITY})
RULES: Mapping[str, Rule] = dict.fromkeys(
    ("role_pages.listed", "role_pages.shown", "role_pages.change"), Rule(OF_AUTHORITY)
)
PEOPLE = "people"
"""What the log says that was read."""
WHY = marked("it changes what somebody may do here")
MAY = {
    "operator": marked("looks after meters, readings, enrolments and members"),
    "treasurer": marked("closes periods, issues bills, enters payments and credits"),
    "auditor": marked("reads everything, and has everything computed again"),
    "authority": marked("appoints people, and decides on what takes two people"),
}


def blueprint(app: App) -> Blueprint:
    """The pages over an opened authority."""
    pages = Blueprint("role_pages", __name__, url_prefix="/people")

    def note(subject: str = reads.EVERYBODY) -> None:
        reads.note(app.store, gate.principal(), PEOPLE, subject, app.clock())

    @pages.get("")
    def listed() -> Response:
        note()
        with app.store.read() as session:
            people = records.listed(session, app.clock())
        people.sort(key=lambda each: not {held["role"] for held in each["roles"]} & OF_THE_DEPARTMENT)
        return page(render_template("people.html", people=people, may=MAY))

    def one(pseudonym: str, message: str = "", status: int = 200) -> Response:
        who, now = gate.principal(), app.clock()
        with app.store.read() as session:
            person = records.by_pseudonym(session, pseudonym)
            found = records.listed(session, now, person)[0]
            fresh = sessions.is_fresh(session, who.session, now)
        note(pseudonym)
        has = {held["role"] for held in found["roles"]}
        text = render_template(
            "people_one.html",
            person=found,
            may=MAY,
            held=[role for role in ROLES if role in has & OF_THE_DEPARTMENT],
            others=[role for role in ROLES if role in OF_THE_DEPARTMENT - has],
            is_oneself=who.pseudonym == pseudonym,
            fresh=fresh,
            message=message,
        )
        return page(text, status)

    @pages.get("/<pseudonym>")
    def shown(pseudonym: str) -> Response:
        return one(pseudonym)

    @pages.post("/<pseudonym>")
    def change(pseudonym: str) -> Response:
        """Propose that a role is given, or take one; sent twice it is done once. It takes a sign-in of just now."""
        who, now = gate.principal(), app.clock()
        act, role = request.form.get("act", ""), request.form.get("role", "")
        with app.store.read() as session:
            records.by_pseudonym(session, pseudonym)
        try:
            if act not in ("give", "take"):
                raise ActUnclearError("say whether the role is given or taken")
            if request.form.get("confirm") != "yes":
                raise ActUnclearError("nothing is done yet: tick the box to say that it is meant")
            with app.store.write() as session:
                sessions.require_fresh(session, who.session, now, WHY)
                if act == "take":
                    appointing.dismiss(session, who, pseudonym, role, now=now)
            if act == "give":
                made = appointing.propose(app, who, pseudonym, role)
                return redirect(url_for("approvals.proposal", proposal=made))
        except PeopleError as error:
            return one(pseudonym, str(error), status_of(error))
        return redirect(url_for("role_pages.shown", pseudonym=pseudonym))

    return pages
