"""The authority appoints people on the pages: it gives and takes the department's roles, and never its own.

Nobody changes its own roles, and who changes another's is of the authority until the change is made: so an authority is
always left. Whoever is given a role signs in anew, so that the session has a department's length and is in the log;
taking a role away ends the sessions at once. Each act is in the log, by pseudonyms.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.log import log
from authority.people import records
from authority.people.errors import AppointmentRefusedError, RoleInvalidError, RoleMissingError
from authority.people.roles import AUTHORITY, OF_THE_DEPARTMENT, Principal
from authority.refusals import NotFoundError
from authority.store.persons import Person


def person_of(session: Session, pseudonym: str) -> Person:
    """The person of a pseudonym; NotFoundError."""
    found = session.scalar(select(Person).where(Person.pseudonym == pseudonym))
    if found is None:
        raise NotFoundError("there is nobody of that pseudonym; see the list of people")
    return found


def appoint(session: Session, who: Principal, pseudonym: str, role: str, *, now: int) -> bool:
    """Give a person a role of the department; whether it is new. NotFoundError, RoleInvalidError, and those of
    `_checked`."""
    person = _checked(session, who, pseudonym, role)
    changed = records.grant(session, person, role, by=who.actor, now=now)
    if changed:
        records.end_all(session, person, now)
    return changed


def dismiss(session: Session, who: Principal, pseudonym: str, role: str, *, now: int) -> bool:
    """Take a role of the department from a person; whether it had it. Errors as `appoint`."""
    return records.withdraw(session, _checked(session, who, pseudonym, role), role, by=who.actor, now=now)


def _checked(session: Session, who: Principal, pseudonym: str, role: str) -> Person:
    """Whom it is about. AppointmentRefusedError for oneself; RoleMissingError where who acts has lost the role."""
    if role not in OF_THE_DEPARTMENT:
        raise RoleInvalidError(f"choose a role of the department: {', '.join(sorted(OF_THE_DEPARTMENT))}")
    log.lock(session)  # of two who take each other's role the second one has lost its own
    person = person_of(session, pseudonym)
    if person.id == who.person_id:
        raise AppointmentRefusedError("nobody changes its own roles: ask another person of the authority")
    acting = session.get_one(Person, who.person_id)
    if AUTHORITY not in {held.role for held in records.roles_of(session, acting)}:
        raise RoleMissingError("you are not of the authority any more")
    return person
