"""Sessions of people at browsers: kept here, listed, ended; the cookie holds a random secret and nothing else.

A session is made at each sign-in and never taken from what a browser brings, so nobody can plant one. Sessions of
people with a role of the department end after an hour without use, and after twelve hours in any case.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from authority.language.reading import marked
from authority.log import log
from authority.people import records, secrets
from authority.people.errors import SessionUnknownError, SignInAgainError
from authority.people.roles import OF_THE_DEPARTMENT, ROLES, Principal
from authority.store.people import User
from authority.store.persons import Person, PersonRole, PersonSession

IDLE_SECONDS, LONGEST_SECONDS = 14 * 86_400, 30 * 86_400
STAFF_IDLE_SECONDS, STAFF_LONGEST_SECONDS = 3600, 12 * 3600
SEEN_SECONDS = 60
"""How often it is noted that a session was used: not with every request."""
MAX_BROWSER = 64
FRESH_SECONDS = 300
"""How long ago somebody may have signed in who changes how it signs in."""
HOW_ONE_SIGNS_IN = marked("it changes how you sign in")
BY_LINK = "link"
"""How a session began by a demonstration's link, which proves nothing."""


_OF_A_SECRET = (
    select(PersonSession, Person, PersonRole, User)
    .join(Person, Person.id == PersonSession.person_id)
    .outerjoin(PersonRole, PersonRole.person_id == Person.id)
    .outerjoin(User, User.id == PersonRole.member_id)  # which a role's member is then found among
    .where(PersonSession.token_hash == bindparam("kept"))
)
"""A session, its person and the person's roles at once, for every page asks for them."""


def begin(session: Session, person: Person, via: str, browser: str, now: int) -> str:
    """Sign a person in; the cookie's secret. Logged for people with a role of the department."""
    secret, kept = secrets.make()
    roles = {held.role for held in records.roles_of(session, person)}
    staff = bool(roles & OF_THE_DEPARTMENT)
    made = PersonSession(
        id=secrets.public_id(),
        token_hash=kept,
        person_id=person.id,
        via=via,
        browser="".join(each for each in browser if each.isprintable())[:MAX_BROWSER],
        created_at=now,
        seen_at=now,
        expires_at=now + (STAFF_LONGEST_SECONDS if staff else LONGEST_SECONDS),
    )
    session.add(made)
    session.flush()
    if staff:
        data = {"person": person.pseudonym, "session": made.id, "via": via}
        log.record_act(session, "signed_in", person.pseudonym, now, data)
    return secret


def look_up(session: Session, secret: str, now: int) -> tuple[Principal, bool] | None:
    """Who a cookie's secret stands for, and whether its use is to be noted; None where it stands for nobody."""
    rows = session.execute(_OF_A_SECRET, {"kept": secrets.kept(secret)}).all()
    if not rows:
        return None
    found, person = rows[0][:2]
    if found.ended_at is not None or found.expires_at <= now:
        return None
    roles = [held for _, _, held, _ in rows if held is not None]
    principal = records.principal_with(sorted(roles, key=lambda held: ROLES.index(held.role)), person, found.id, now)
    idle = STAFF_IDLE_SECONDS if principal.roles & OF_THE_DEPARTMENT else IDLE_SECONDS
    if found.seen_at + idle <= now:
        return None
    return principal, found.seen_at + SEEN_SECONDS <= now


def note_use(session: Session, id: str, now: int) -> None:
    """A session was used now."""
    found = session.get(PersonSession, id)
    if found is not None and found.seen_at < now:
        found.seen_at = now


def listed(session: Session, person_id: int | None, now: int) -> list[dict[str, Any]]:
    """Open sessions, of one person or of all, the newest first."""
    query = (
        select(PersonSession, Person)
        .join(Person, Person.id == PersonSession.person_id)
        .where(PersonSession.ended_at.is_(None), PersonSession.expires_at > now)
        .order_by(PersonSession.created_at.desc(), PersonSession.id)
    )
    if person_id is not None:
        query = query.where(PersonSession.person_id == person_id)
    return [
        {
            "session": each.id,
            "login": person.login,
            "via": each.via,
            "browser": each.browser,
            "created_at": each.created_at,
            "seen_at": each.seen_at,
            "ends": each.expires_at,
        }
        for each, person in session.execute(query)
    ]


def require_fresh(session: Session, id: str, now: int, why: str = HOW_ONE_SIGNS_IN) -> None:
    """SignInAgainError where a session did not begin just now: whoever finds an open browser changes nothing by it."""
    if not is_fresh(session, id, now):
        raise SignInAgainError(f"for this, sign in once more: {why}")


def is_fresh(session: Session, id: str, now: int) -> bool:
    """Whether a session began just now, and by more than a link."""
    found = session.get_one(PersonSession, id)
    return found.via != BY_LINK and 0 <= now - found.created_at < FRESH_SECONDS


def end(session: Session, id: str, *, by: str, now: int, person_id: int | None = None) -> None:
    """End an open session, of this person where one is named; SessionUnknownError. Logged."""
    found = session.get(PersonSession, id)
    if found is None or found.ended_at is not None or person_id not in (None, found.person_id):
        raise SessionUnknownError(f"there is no open session {id!r}; see: authority people sessions")
    found.ended_at = now
    pseudonym = session.get_one(Person, found.person_id).pseudonym
    log.record_act(session, "session_ended", by, now, {"person": pseudonym, "session": id})


def form_token(secret: str) -> str:
    """What the forms of a session's pages carry: known to the session's own pages alone."""
    return hmac.new(secret.encode(), b"campus form", hashlib.sha256).hexdigest()


def is_form_token(secret: str, given: str) -> bool:
    """Whether a form came from the session's own pages."""
    return hmac.compare_digest(form_token(secret).encode(), given.encode("utf-8", "surrogatepass"))
