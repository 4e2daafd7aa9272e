"""The authority takes roles of the department on the pages, never its own; giving one takes two people.

Whoever can give a role alone can give it to a second login of its own, and be the two people that everything dangerous
takes: so a role is given by a proposal (authority.people.dangerous.APPOINT). Taking one holds at once and is one
person's, for it may have to be quick. Nobody changes its own roles, and who takes another's is of the authority until
that is done: so an authority is always left. Each act is in the log, by pseudonyms.
"""

from __future__ import annotations

from sqlalchemy.orm import Session

from authority.app import App
from authority.language.reading import marked
from authority.log import log
from authority.people import dangerous, proposals, records
from authority.people.errors import AppointmentRefusedError, RoleMissingError
from authority.people.roles import AUTHORITY, Principal
from authority.store.persons import Person

WHY_GIVEN = marked("somebody is to do more for the department")
"""Why a role is proposed, as a page says it: who it is stands in the proposal, and is not logged."""
NOT_ONES_OWN = marked("nobody changes its own roles: ask another person of the authority")


def propose(app: App, who: Principal, pseudonym: str, role: str) -> str:
    """Propose that a person gets a role; the proposal's id.

    AppointmentRefusedError for oneself; those of `dangerous.appointment` and `proposals.propose`.
    """
    if pseudonym == who.pseudonym:
        raise AppointmentRefusedError(NOT_ONES_OWN)
    with app.store.read() as session:
        data = dangerous.appointment(session, pseudonym, role)
    return proposals.propose(app, who, dangerous.APPOINT, data, WHY_GIVEN, via=proposals.ON_PAGE).id


def dismiss(session: Session, who: Principal, pseudonym: str, role: str, *, now: int) -> bool:
    """Take a role of the department from a person; whether it had it.

    NotFoundError, RoleInvalidError; AppointmentRefusedError for oneself; RoleMissingError where who acts has lost the
    role.
    """
    dangerous.require_of_the_department(role)
    log.lock(session)  # of two who take each other's role the second one has lost its own
    person = records.by_pseudonym(session, pseudonym)
    if person.id == who.person_id:
        raise AppointmentRefusedError(NOT_ONES_OWN)
    acting = session.get_one(Person, who.person_id)
    if AUTHORITY not in {held.role for held in records.roles_of(session, acting)}:
        raise RoleMissingError("you are not of the authority any more")
    return records.withdraw(session, person, role, by=who.actor, now=now)
