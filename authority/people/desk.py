"""What the commands and the pages do with people: each act looks at what is there, and may be tried first (dry run)."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from authority.enrolment.steps import Done
from authority.home.home import Home
from authority.operations.desk import Desk
from authority.people import invitation_mails, invitations, records, sessions
from authority.people.errors import PersonUnknownError, RoleInvalidError
from authority.store.persons import Person


def address(home: Home) -> str:
    """The pages' address, without a slash at its end: [web] origin, else this machine's own."""
    web = home.settings.web
    host = f"[{web.host}]" if ":" in web.host else web.host
    return web.origin or f"http://{host}:{web.port}"


def invite(
    desk: Desk,
    login: str,
    name: str,
    role: str | None,
    member: str | None,
    *,
    until: int | None = None,
    mail: bool = False,
) -> Done:
    """Add a person, give it a role where one is named, and make an invitation; `link` is in the facts, or it is mailed.

    Who is there already gets a new invitation (a lost passkey, a forgotten password); the earlier one is void.
    """
    done, now = desk.begin("invite", login), desk.app.clock()
    with desk.app.store.write() as session:
        known = _known(session, login)
        if known is None and role is None:
            raise RoleInvalidError(f"{login!r} is new here: say with --role as what it is invited")
        person = known or records.add(session, login, name or login, now=now)
        if role is not None:
            of = None if member is None else records.member_named(session, member)
            records.grant(session, person, role, by=desk.actor, now=now, member=of, until=until)
        if mail:
            invitation_mails.ask(session, desk.app.home, person, by=desk.actor, now=now)
        secret = "" if mail else invitations.make(session, person, by=desk.actor, now=now)
        done.facts["pseudonym"] = person.pseudonym
        if desk.dry_run:
            session.rollback()
    if desk.dry_run:
        del done.facts["pseudonym"]
        desk.note(done, login, "would be invited" if known is None else "would get a new invitation")
        return done
    if mail:
        desk.note(done, login, "gets its invitation by mail", changed=True)
        return done
    done.facts["link"] = f"{address(desk.app.home)}/invite/{secret}"
    done.facts["expires_at"] = now + invitations.INVITATION_SECONDS
    desk.note(done, login, "is invited" if known is None else "has a new invitation", changed=True)
    return done


def _known(session: Session, login: str) -> Person | None:
    try:
        return records.find(session, login)
    except PersonUnknownError:
        return None


def grant(desk: Desk, login: str, role: str, member: str | None, *, until: int | None = None) -> Done:
    """Give a role to a person."""
    done, now = desk.begin("grant", login), desk.app.clock()
    with desk.app.store.write() as session:
        person = records.find(session, login)
        of = None if member is None else records.member_named(session, member)
        changed = records.grant(session, person, role, by=desk.actor, now=now, member=of, until=until)
        if desk.dry_run:
            session.rollback()
    words = ("would be" if desk.dry_run else "is now") if changed else "was"
    desk.note(done, login, f"{words} {role}{'' if changed else ' before'}", changed=changed)
    return done


def withdraw(desk: Desk, login: str, role: str) -> Done:
    """Take a role from a person, and end its sessions."""
    done, now = desk.begin("withdraw", login), desk.app.clock()
    with desk.app.store.write() as session:
        changed = records.withdraw(session, records.find(session, login), role, by=desk.actor, now=now)
        if desk.dry_run:
            session.rollback()
    words = ("would be no" if desk.dry_run else "is no") if changed else "was no"
    desk.note(done, login, f"{words} {role}{' any more' if changed else ' before'}", changed=changed)
    return done


def end_session(desk: Desk, session_id: str) -> Done:
    """End an open session; SessionUnknownError."""
    done, now = desk.begin("end-session", session_id), desk.app.clock()
    with desk.app.store.write() as session:
        sessions.end(session, session_id, by=desk.actor, now=now)
        if desk.dry_run:
            session.rollback()
    desk.note(done, f"session {session_id}", "would be ended" if desk.dry_run else "is ended", changed=True)
    return done


def erase(desk: Desk, login: str) -> Done:
    """Erase a person; the log keeps a pseudonym that leads to nobody. TwoPeopleNeededError where one is not enough."""
    desk.app.home.settings.people.refuse_alone("erase")
    done, now = desk.begin("erase", login), desk.app.clock()
    with desk.app.store.write() as session:
        person = records.find(session, login)
        done.facts["pseudonym"] = person.pseudonym
        records.erase(session, person, by=desk.actor, now=now)
        if desk.dry_run:
            session.rollback()
    desk.note(done, login, "would be erased" if desk.dry_run else "is erased", changed=True)
    return done


def listed(desk: Desk) -> list[dict[str, Any]]:
    """Everybody who may sign in."""
    with desk.app.store.read() as session:
        return records.listed(session, desk.app.clock())


def open_sessions(desk: Desk, login: str | None) -> list[dict[str, Any]]:
    """Open sessions, of one person or of all."""
    with desk.app.store.read() as session:
        person_id = None if login is None else records.find(session, login).id
        return sessions.listed(session, person_id, desk.app.clock())
