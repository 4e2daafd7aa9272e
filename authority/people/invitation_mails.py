"""Invitations by mail: asked for by an operator, sent by the alerts' process, with a state for each person.

The pages have no relay's password, so they only ask. Whoever sends (authority.monitoring.invitation_mail) makes the
link, and keeps its hash once the relay has taken the mail. So the link is nowhere but in the mail, and the link of a
mail that never left opens nothing. A process that dies in between sends another mail, whose link is then the good one.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from authority.app import App
from authority.billing.mailing import CLAIM_SECONDS, SENT, WAITING, next_due, not_taken
from authority.errors import MailOffError
from authority.home.home import Home
from authority.home.settings import is_mailbox
from authority.people import invitations, secrets
from authority.people.errors import InviteRefusedError
from authority.people.roles import DELEGATE
from authority.store.people import User
from authority.store.persons import Invitation, InvitationMail, Person, PersonRole


@dataclass(frozen=True, slots=True)
class Claimed:
    """A mail that is to leave now; person_id, asked_at and tries make its Message-ID.

    language is the one that the person chose, if any; acts_for the member that named it its delegate, if one did.
    """

    person_id: int
    asked_at: int
    tries: int
    name: str
    address: str
    language: str | None
    acts_for: str | None = None


def possible(home: Home) -> bool:
    """Whether invitations can be mailed: mail can be sent, and the pages have an address that others reach."""
    return home.settings.alerts.mails_bills and bool(home.settings.web.origin)


def ask(session: Session, home: Home, person: Person, *, by: str, now: int) -> bool:
    """Have an invitation mailed to a person; whether none was waiting. MailOffError, InviteRefusedError."""
    if not possible(home):
        raise MailOffError("invitations cannot be mailed: set [alerts] mail_from and [web] origin")
    if not is_mailbox(person.login):
        raise InviteRefusedError(f"{person.login!r} is not an e-mail address: hand out the link instead")
    row = session.get(InvitationMail, person.id)
    if row is not None and row.state == WAITING:
        return False
    row = row or InvitationMail(person_id=person.id)
    row.state, row.asked_at, row.asked_by, row.next_at = WAITING, now, by, now
    row.tries, row.sent_at, row.error = 0, None, ""
    session.add(row)
    session.flush()
    return True


def claim(app: App) -> Claimed | None:
    """The next mail that is due, which nobody else sends meanwhile; None where none is.

    Whoever has accepted an invitation since the mail was asked for gets none.
    """
    while True:
        with app.store.write() as session:
            now = app.clock()
            row = next_due(session, InvitationMail, now)
            if row is None:
                return None
            used = Invitation.person_id == row.person_id, Invitation.used_at >= row.asked_at
            if session.scalar(select(exists().where(*used))):
                session.delete(row)
                continue
            row.next_at = now + CLAIM_SECONDS
            person = session.get_one(Person, row.person_id)
            acts_for = session.scalar(
                select(User.name)
                .join(PersonRole, PersonRole.member_id == User.id)
                .where(PersonRole.person_id == person.id, PersonRole.role == DELEGATE)
            )
            return Claimed(row.person_id, row.asked_at, row.tries, person.name, person.login, person.language, acts_for)


def delivered(app: App, claimed: Claimed, secret: str, now: int) -> None:
    """The relay took the mail with this link, made then: from now on the link is good. Logged, in the asker's name."""
    with app.store.write() as session:
        row = session.get(InvitationMail, claimed.person_id)
        if row is None or row.state != WAITING:
            return
        row.state, row.sent_at, row.error = SENT, now, ""
        person = session.get_one(Person, claimed.person_id)
        invitations.keep(session, person, secrets.kept(secret), by=row.asked_by, now=now)


def failed(app: App, claimed: Claimed, reason: str, *, refused: bool) -> None:
    """The relay did not take a mail."""
    with app.store.write() as session:
        row = session.get(InvitationMail, claimed.person_id)
        if row is not None and row.state == WAITING:
            not_taken(row, reason, app.clock(), refused=refused)
