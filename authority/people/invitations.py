"""Invitations: a link that is good once and for a time, with which a person chooses how to sign in."""

from __future__ import annotations

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from authority.log import log
from authority.people import secrets
from authority.people.errors import InvitationInvalidError
from authority.store.persons import Invitation, InvitationMail, Person

INVITATION_SECONDS = 7 * 86_400


def make(session: Session, person: Person, *, by: str, now: int, seconds: int = INVITATION_SECONDS) -> str:
    """A new invitation's secret; earlier ones that were not used are void from now on. Logged.

    A mail of one that waits to be sent is not sent any more.
    """
    session.execute(
        delete(InvitationMail).where(InvitationMail.person_id == person.id, InvitationMail.sent_at.is_(None))
    )
    secret, kept = secrets.make()
    keep(session, person, kept, by=by, now=now, seconds=seconds)
    return secret


def keep(
    session: Session, person: Person, kept: bytes, *, by: str, now: int, seconds: int = INVITATION_SECONDS
) -> None:
    """Keep an invitation whose secret was given out; earlier ones that were not used are void from now on. Logged."""
    _add(session, person, kept, now, seconds, enters=False)
    log.record_act(session, "person_invited", by, now, {"person": person.pseudonym})


def make_entrance(session: Session, person: Person, *, by: str, now: int, seconds: int) -> str:
    """A secret that signs the person in by itself, as often as wanted: for demonstrations on one machine. Logged."""
    secret, kept = secrets.make()
    _add(session, person, kept, now, seconds, enters=True)
    log.record_act(session, "entrance_made", by, now, {"person": person.pseudonym})
    return secret


def _add(session: Session, person: Person, kept: bytes, now: int, seconds: int, *, enters: bool) -> None:
    open_ = (Invitation.person_id == person.id, Invitation.used_at.is_(None), Invitation.withdrawn_at.is_(None))
    session.execute(update(Invitation).where(*open_).values(withdrawn_at=now))
    session.add(
        Invitation(token_hash=kept, person_id=person.id, created_at=now, expires_at=now + seconds, enters=enters)
    )
    session.flush()


def open_one(session: Session, secret: str, now: int, *, enters: bool = False) -> tuple[Invitation, Person]:
    """The invitation behind a secret, and whom it invites; InvitationInvalidError. Looking at it uses nothing up."""
    query = select(Invitation).where(Invitation.token_hash == secrets.kept(secret)).with_for_update()
    found = session.scalar(query)
    if found is None or found.enters != enters or found.used_at is not None or found.withdrawn_at is not None:
        raise InvitationInvalidError
    if found.expires_at <= now:
        raise InvitationInvalidError
    return found, session.get_one(Person, found.person_id)


def use(session: Session, invitation: Invitation, person: Person, now: int) -> None:
    """The person has chosen how to sign in: the invitation is used up. Logged."""
    invitation.used_at = now
    log.record_act(session, "invitation_accepted", person.pseudonym, now, {"person": person.pseudonym})
