"""The authority's pages of people and their roles: who may do what for the department, given and taken.

They show people of the department. Anybody else is found by the login, which whoever types it knows: by a pseudonym out
of the log nobody is shown here, for that takes two people.
"""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Response, render_template, request, url_for
from sqlalchemy.orm import Session

from authority.api import gate
from authority.api.gate import Rule
from authority.app import App
from authority.language.reading import marked
from authority.people import appointing, reads, records, sessions
from authority.people.errors import ActUnclearError, PeopleError, PersonUnknownError, TooOftenError
from authority.people.limits import Bucket
from authority.people.roles import AUTHORITY, OF_THE_DEPARTMENT, ROLES
from authority.refusals import NotFoundError
from authority.store.persons import Person
from authority.web.answers import page, redirect, status_of

OF_AUTHORITY = frozenset({AUTHORITY})
RULES: Mapping[str, Rule] = dict.fromkeys(
    ("role_pages.listed", "role_pages.find", "role_pages.shown", "role_pages.change"), Rule(OF_AUTHORITY)
)
NOBODY = marked("nobody signs in with that login: look at it again")
FINDS_AT_ONCE, FIND_SECONDS = 20, 60.0
"""How many logins one person looks up at once, and how long until one more: a directory is not read through here."""
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

    finds = Bucket(app.tries, "finds", FINDS_AT_ONCE, FIND_SECONDS)

    def note(subject: str = reads.EVERYBODY) -> None:
        reads.note(app.store, gate.principal(), PEOPLE, subject, app.clock())

    def list_page(message: str = "", status: int = 200, login: str = "") -> Response:
        note()
        with app.store.read() as session:
            people = records.of_the_department(session, app.clock())
        return page(render_template("people.html", people=people, may=MAY, message=message, login=login), status)

    @pages.get("")
    def listed() -> Response:
        return list_page()

    @pages.post("")
    def find() -> Response:
        """Somebody by its login, of the department or not; nothing is kept in an address."""
        login = request.form.get("login", "")
        if (wait := finds.wait(gate.principal().pseudonym)) > 0:
            raise TooOftenError(wait)
        try:
            with app.store.read() as session:
                pseudonym = records.find(session, login).pseudonym
        except PersonUnknownError:
            return list_page(NOBODY, 404, login)
        return one(pseudonym, login=login)

    def person_of(session: Session, pseudonym: str, login: str) -> Person:
        """Who is meant; NotFoundError for who is not of the department and whose login was not typed."""
        person = records.by_pseudonym(session, pseudonym)
        is_named = bool(login) and records.as_login(login) == person.login
        if not is_named and not records.is_of_the_department(session, person):
            raise NotFoundError("there is nobody of that pseudonym; see the list of people")
        return person

    def one(pseudonym: str, message: str = "", status: int = 200, login: str = "") -> Response:
        who, now = gate.principal(), app.clock()
        with app.store.read() as session:
            person = person_of(session, pseudonym, login)
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
            login=login,
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
        act, role, login = (request.form.get(name, "") for name in ("act", "role", "login"))
        with app.store.read() as session:
            person_of(session, pseudonym, login)
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
            return one(pseudonym, str(error), status_of(error), login)
        return redirect(url_for("role_pages.listed"))

    return pages
