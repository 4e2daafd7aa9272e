"""Who a subject of the OpenID provider is here. Nobody is let in who was not invited.

A subject is tied to a person once: with an open invitation to just the e-mail address that the provider has verified.
From then on the subject alone counts, whatever address it has. A sign-in belongs to the browser that began it, is good
once, and for ten minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from authority.log import log
from authority.people import invitations, records, secrets, sessions
from authority.people.errors import OidcRefusedError, OnlyWayInError
from authority.people.oidc import Provider, Subject
from authority.store import Store
from authority.store.persons import Invitation, OidcLink, OidcSignIn, Passkey, Person, PersonSession

SIGN_IN_SECONDS = 600
VIA_OIDC = "oidc"
"""How a session began that the OpenID provider vouched for."""
LINKS = "link:"
"""What `where` begins with in the place of a path, where a signed-in person links its account at the provider: the
session that asked for it follows."""
MOST_WHERE = 2048
"""Characters of the address where a browser goes in the end."""


@dataclass(frozen=True)
class Begun:
    """A sign-in that begins: where the browser goes, and the secret that its cookie keeps meanwhile."""

    url: str
    browser: str


@dataclass(frozen=True)
class Returned:
    """A sign-in that came back to the browser that began it: what the provider is asked with, and where to go then."""

    nonce: str
    verifier: str
    where: str

    @property
    def linking(self) -> str | None:
        """The session that asked for a link; None for a sign-in."""
        return self.where.removeprefix(LINKS) if self.where.startswith(LINKS) else None


def begin(store: Store, provider: Provider, redirect_uri: str, where: str, now: int) -> Begun:
    """Keep what the answer is checked by. The provider is asked before the store is. OidcAwayError."""
    state, state_hash = secrets.make()
    browser, browser_hash = secrets.make()
    nonce, verifier = secrets.make()[0], secrets.make()[0]
    url = provider.authorization_url(redirect_uri, state, nonce, verifier)
    with store.write() as session:
        session.execute(delete(OidcSignIn).where(OidcSignIn.expires_at <= now))
        session.add(
            OidcSignIn(
                state_hash=state_hash,
                browser_hash=browser_hash,
                nonce=nonce,
                verifier=verifier,
                where=where if len(where) <= MOST_WHERE else "",
                expires_at=now + SIGN_IN_SECONDS,
            )
        )
    return Begun(url, browser)


def returned(session: Session, state: str, browser: str, now: int) -> Returned:
    """Take a sign-in that came back, which uses it up; OidcRefusedError for one that is old, used, or another's."""
    found = session.get(OidcSignIn, secrets.kept(state), with_for_update=True)
    if found is None or found.browser_hash != secrets.kept(browser) or found.expires_at <= now:
        raise OidcRefusedError("this sign-in was begun in another browser, is used up, or is too old: begin again")
    session.delete(found)
    return Returned(found.nonce, found.verifier, found.where)


def enter(session: Session, subject: Subject, now: int) -> int:
    """The person who a subject is here; tied to it now where an open invitation is to its verified e-mail address.

    OidcRefusedError where the subject is nobody here. Being tied uses the invitation up, and is logged.
    """
    link = session.get(OidcLink, (subject.issuer, subject.subject), with_for_update=True)
    if link is not None:
        link.last_used_at = now
        return link.person_id
    if not subject.email:
        raise OidcRefusedError("the provider names no e-mail address of yours that it has verified: have it verified")
    person = session.scalar(select(Person).where(Person.login == records.as_login(subject.email)))
    invitation = None if person is None else _open_invitation(session, person, now)
    if person is None or invitation is None:
        raise OidcRefusedError(
            "no open invitation is to your e-mail address; ask the Engineering Department for one, or sign in as before"
        )
    session.execute(delete(OidcLink).where(OidcLink.person_id == person.id))
    session.add(
        OidcLink(issuer=subject.issuer, subject=subject.subject, person_id=person.id, linked_at=now, last_used_at=now)
    )
    log.record_act(session, "oidc_linked", person.pseudonym, now, {"person": person.pseudonym})
    invitations.use(session, invitation, person, now)
    records.end_all(session, person, now)
    return person.id


def linked(session: Session, person_id: int) -> OidcLink | None:
    """A person's link to the provider; None where it has none."""
    return session.scalar(select(OidcLink).where(OidcLink.person_id == person_id))


def link(session: Session, person_id: int, subject: Subject, now: int) -> None:
    """Tie a subject to a person who is signed in and asked for it; the earlier one is untied. Logged.

    OidcRefusedError where the subject is somebody else here: an account at the provider opens one account.
    """
    known = session.get(OidcLink, (subject.issuer, subject.subject), with_for_update=True)
    if known is not None and known.person_id != person_id:
        raise OidcRefusedError("that account is somebody else's here: sign out of the provider, and choose your own")
    if known is not None:
        return
    session.execute(delete(OidcLink).where(OidcLink.person_id == person_id))
    person = session.get_one(Person, person_id)
    session.add(
        OidcLink(issuer=subject.issuer, subject=subject.subject, person_id=person_id, linked_at=now, last_used_at=now)
    )
    log.record_act(session, "oidc_linked", person.pseudonym, now, {"person": person.pseudonym})


def unlink(session: Session, person_id: int, keep: str, now: int) -> None:
    """Untie a person, whose other sessions that began there end; `keep` is the session that asks. Logged.

    OnlyWayInError where it has neither passkey nor password. One without a link stays as it is.
    """
    person = session.get_one(Person, person_id, with_for_update=True)  # no two ways in go at once
    if linked(session, person_id) is None:
        return
    if person.password_hash is None and session.scalar(select(Passkey).where(Passkey.person_id == person_id)) is None:
        raise OnlyWayInError("it is your only way in: add a passkey first, or ask for an invitation to set a password")
    session.execute(delete(OidcLink).where(OidcLink.person_id == person_id))
    log.record_act(session, "oidc_unlinked", person.pseudonym, now, {"person": person.pseudonym})
    others = select(PersonSession).where(
        PersonSession.person_id == person_id,
        PersonSession.via == VIA_OIDC,
        PersonSession.ended_at.is_(None),
        PersonSession.id != keep,
    )
    for each in session.scalars(others):
        sessions.end(session, each.id, by=person.pseudonym, now=now)


def _open_invitation(session: Session, person: Person, now: int) -> Invitation | None:
    return session.scalar(
        select(Invitation)
        .where(
            Invitation.person_id == person.id,
            Invitation.used_at.is_(None),
            Invitation.withdrawn_at.is_(None),
            Invitation.expires_at > now,
            Invitation.enters.is_(False),
        )
        .order_by(Invitation.id.desc())
        .limit(1)
        .with_for_update()
    )
