"""A member names its delegates on the pages: somebody who uses them for it until a day, invited by e-mail.

Whoever is invited gets the link by mail alone. Somebody who takes part here in another way cannot be named so: one
account is not seen through another. Ending a delegate's part ends its sessions at once, and its tokens see nothing any
more; who never came in is erased. The chain's delegate, a key that signs orders, is another thing.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.home.home import Home
from authority.home.settings import is_mailbox
from authority.log import log
from authority.people import invitation_mails, records
from authority.people.errors import DelegateRefusedError
from authority.people.roles import DELEGATE, MemberAccount, Principal
from authority.store.people import User
from authority.store.persons import InvitationMail, Person, PersonRole

MOST = 5
"""How many act for one member at once."""
LONGEST_DAYS = 366
INVITES_AT_ONCE, INVITE_SECONDS = 10, 8_640.0
"""How many a member may invite at once, and how long until one more: so nobody finds or mails people by trying."""
DAY_SECONDS = 86_400


@dataclass(frozen=True, slots=True)
class Delegate:
    """Somebody who acts for a member, from when until when (Unix seconds; None: without an end).

    mail is the state of its last invitation's mail (authority.store.persons.InvitationMail); None: there was none.
    """

    pseudonym: str
    name: str
    login: str
    since: int
    until: int | None
    signed_in: bool
    mail: str | None


def of_member(session: Session, member_id: int, now: int) -> list[Delegate]:
    """Who acts for a member now, by name."""
    return [
        Delegate(
            person.pseudonym,
            person.name,
            person.login,
            held.granted_at,
            held.until,
            records.has_signed_in(session, person),
            None if (mail := session.get(InvitationMail, person.id)) is None else mail.state,
        )
        for held, person in _held(session, member_id, now)
    ]


def term(session: Session, who: Principal) -> int | None:
    """When a delegate's own part ends; None where it has no end."""
    held = session.get(PersonRole, (who.person_id, DELEGATE))
    return None if held is None else held.until


def invite(
    session: Session, home: Home, who: Principal, member: MemberAccount, login: str, days: int, *, now: int
) -> bool:
    """Have somebody act for a member for so many days, and mail the link to who has not come in; whether it is mailed.

    Its name is its address: names keep words out of the log's reasons (authority.log.nameless), and stand in mails, so
    no member chooses them. Invited again, the part ends at the new day. DelegateRefusedError, PersonInvalidError, and
    those of `invitation_mails.ask`.
    """
    login = records.as_login(login)
    if not is_mailbox(login):
        raise DelegateRefusedError("write the e-mail address of whom you invite")
    if not 1 <= days <= LONGEST_DAYS:
        raise DelegateRefusedError(f"a delegate acts for 1 to {LONGEST_DAYS} days")
    log.lock(session)  # of two invitations at once the second one sees the first
    person = session.scalar(select(Person).where(Person.login == login))
    mine = False
    if person is not None:
        others = [held for held in records.roles_of(session, person) if held.until is None or held.until > now]
        mine = any(held.role == DELEGATE and held.member_id == member.id for held in others)
        if any(held.role != DELEGATE or held.member_id != member.id for held in others):
            raise DelegateRefusedError("somebody of this address takes part here already: ask the department")
    if not mine and len(_held(session, member.id, now)) >= MOST:
        raise DelegateRefusedError(f"at most {MOST} act for you at once: end one first")
    if person is None:
        person = records.add(session, login, login, now=now)
    user = session.get_one(User, member.id)
    records.grant(session, person, DELEGATE, by=who.actor, now=now, member=user, until=now + days * DAY_SECONDS)
    if records.has_signed_in(session, person):
        return False
    return invitation_mails.ask(session, home, person, by=who.actor, now=now)


def end(session: Session, who: Principal, member: MemberAccount, pseudonym: str, *, now: int) -> bool:
    """End a delegate's part at once; whether there was such a one."""
    log.lock(session)
    for _, person in _held(session, member.id, now):
        if person.pseudonym == pseudonym:
            came_in = records.has_signed_in(session, person)
            records.withdraw(session, person, DELEGATE, by=who.actor, now=now)
            if not came_in and not records.roles_of(session, person):
                records.erase(session, person, by=who.actor, now=now)
            return True
    return False


def _held(session: Session, member_id: int, now: int) -> list[tuple[PersonRole, Person]]:
    """Delegates' roles of a member that have not ended, with their persons."""
    rows = session.execute(
        select(PersonRole, Person)
        .join(Person, Person.id == PersonRole.person_id)
        .where(
            PersonRole.role == DELEGATE,
            PersonRole.member_id == member_id,
            (PersonRole.until.is_(None)) | (PersonRole.until > now),
        )
        .order_by(Person.name, Person.id)
    )
    return [(held, person) for held, person in rows]
