"""People's records: adding, roles, finding, erasing. Each act is a leaf of the log that names a pseudonym alone."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from sqlalchemy import delete, exists, select, update
from sqlalchemy.orm import Session, joinedload

from authority.log import gate, log
from authority.people.errors import PersonInvalidError, PersonUnknownError, RoleInvalidError
from authority.people.roles import (
    DELEGATE,
    FORMER,
    MEMBER,
    OF_A_MEMBER,
    OF_THE_DEPARTMENT,
    ROLES,
    MemberAccount,
    Principal,
)
from authority.refusals import NotFoundError
from authority.store.billing import BankAccount, BillMail
from authority.store.desk import TicketWords
from authority.store.log import LogName
from authority.store.people import User, user_named
from authority.store.persons import (
    Invitation,
    InvitationMail,
    KeptAnswer,
    LeaveRequest,
    LoggedRead,
    NoticeChoice,
    NoticeMail,
    NoticeState,
    OidcLink,
    Passkey,
    PasskeyChallenge,
    Person,
    PersonRole,
    PersonSession,
    ProgramToken,
    ProofLink,
    Webhook,
    WebhookDelivery,
)

MAX_TEXT = 128
OPEN, ACCEPTED, EXPIRED = "open", "accepted", "expired"
"""What becomes of an invitation."""
_OWNED = (
    PersonRole,
    Invitation,
    InvitationMail,
    Passkey,
    PasskeyChallenge,
    PersonSession,
    ProgramToken,
    KeptAnswer,
    OidcLink,
    ProofLink,
    BillMail,
    LeaveRequest,
    NoticeChoice,
    NoticeState,
    NoticeMail,
    TicketWords,
    WebhookDelivery,
    Webhook,
)


def as_login(text: str) -> str:
    """A login as it is kept and compared: without spaces around it, in lower case.

    A letter that a capital one is not alone in having for its small one stays as it is: a login is an address too, and
    to take the Kelvin sign for k, or a sharp s for two, would send somebody's mail to another mailbox.
    """
    return "".join(map(_lower, text.strip()))


def _lower(letter: str) -> str:
    small = letter.lower()
    return small if small.upper() == letter else letter


def find(session: Session, login: str) -> Person:
    """The person with this login; PersonUnknownError."""
    found = session.scalar(select(Person).where(Person.login == as_login(login)))
    if found is None:
        raise PersonUnknownError(f"nobody signs in as {login!r}; see: authority people list")
    return found


def add(session: Session, login: str, name: str, *, now: int) -> Person:
    """A new person without a role; PersonInvalidError for a login or name that is empty, too long or taken."""
    require_sound(login, name)
    login, name = as_login(login), name.strip()
    if session.scalar(select(Person.id).where(Person.login == login)) is not None:
        raise PersonInvalidError(f"somebody signs in as {login!r} already")
    person = Person(
        pseudonym=f"person-{secrets.token_hex(8)}",
        login=login,
        name=name,
        handle=secrets.token_bytes(32),
        created_at=now,
    )
    session.add(person)
    session.flush()
    return person


def require_sound(login: str, name: str) -> None:
    """PersonInvalidError for a login or a name that nobody can have."""
    for what, text in (("login", as_login(login)), ("name", name.strip())):
        if not 0 < len(text) <= MAX_TEXT or not text.isprintable():
            raise PersonInvalidError(f"a {what} is 1 to {MAX_TEXT} printable characters")


def note_changed(session: Session, person: Person, *, by: str, now: int) -> None:
    """Log that a person's name or id in a list is another; what they are is not said."""
    log.record_act(session, "person_changed", by, now, {"person": person.pseudonym})


def member_named(session: Session, name: str) -> User:
    """The member of the market with this name; RoleInvalidError where there is none or it has left."""
    found = user_named(session, name)
    if found is None or found.left_at is not None:
        raise RoleInvalidError(f"there is no member {name!r} in the market; see: authority members list")
    return found


def grant(
    session: Session,
    person: Person,
    role: str,
    *,
    by: str,
    now: int,
    member: User | None = None,
    until: int | None = None,
) -> bool:
    """Give a person a role; whether anything changed. Logged.

    RoleInvalidError: no such role, a member's or delegate's without a member, another's with one, or a person who sees
    another member's account already.
    """
    if role not in ROLES:
        raise RoleInvalidError(f"{role!r} is no role: {', '.join(ROLES)}")
    if (role in OF_A_MEMBER) != (member is not None):
        raise RoleInvalidError(
            "a member or delegate needs the member of the market whose account it sees; other roles have none"
        )
    if until is not None and (role != DELEGATE or until <= now):
        raise RoleInvalidError("only a delegate's role has an end, and it lies ahead")
    log.lock(session)  # of two that are given at once the second one is there already
    for held in roles_of(session, person):
        if held.role == role and held.member_id == (member.id if member else None) and held.until == until:
            return False
        if role in OF_A_MEMBER and held.role in OF_A_MEMBER and held.role != role:
            raise RoleInvalidError(f"this person is a {held.role} already: withdraw that role first")
    session.merge(
        PersonRole(
            person_id=person.id,
            role=role,
            member_id=member.id if member else None,
            until=until,
            granted_at=now,
        )
    )
    session.flush()
    data: dict[str, object] = {"person": person.pseudonym, "role": role}
    if member is not None:
        data["wallet"] = member.wallet
    log.record_act(session, "role_granted", by, now, data)
    return True


def withdraw(session: Session, person: Person, role: str, *, by: str, now: int) -> bool:
    """Take a role away, and end the person's sessions, so that it holds at once; whether the person had it. Logged."""
    held = session.get(PersonRole, (person.id, role))
    if held is None:
        return False
    session.delete(held)
    session.flush()
    end_all(session, person, now)
    log.record_act(session, "role_withdrawn", by, now, {"person": person.pseudonym, "role": role})
    return True


def end_all(session: Session, person: Person, now: int, *, besides: str = "") -> None:
    """End a person's open sessions, but for the one with this id."""
    its = (PersonSession.person_id == person.id, PersonSession.ended_at.is_(None), PersonSession.id != besides)
    session.execute(update(PersonSession).where(*its).values(ended_at=now))


def roles_of(session: Session, person: Person) -> list[PersonRole]:
    """A person's roles, with the members that they are about."""
    query = select(PersonRole).where(PersonRole.person_id == person.id).options(joinedload(PersonRole.member))
    return sorted(session.scalars(query), key=lambda held: ROLES.index(held.role))


def choose_language(session: Session, person_id: int, code: str | None) -> None:
    """Keep the language in which a person reads pages, mails and bills; None: as the browser asks, mails in English."""
    session.get_one(Person, person_id).language = code


def principal(session: Session, person: Person, name: str, now: int, scopes: frozenset[str] | None = None) -> Principal:
    """What a person is now, asking by the session or token of this name."""
    return principal_with(roles_of(session, person), person, name, now, scopes)


def principal_with(
    given: Iterable[PersonRole], person: Person, name: str, now: int, scopes: frozenset[str] | None = None
) -> Principal:
    """The same of a person of these roles. A delegate's part ends with its term.

    What hangs on a member that has left is gone, but for the bills: who was its member sees them as FORMER.
    """
    roles, member, former = set(), None, None
    for held in given:
        if held.until is not None and held.until <= now:
            continue
        if held.role in OF_A_MEMBER:
            if held.member is None:
                continue
            if held.member.left_at is not None:
                if held.role == MEMBER:
                    former = MemberAccount(held.member.id, person.name, held.member.wallet)
                    roles.add(FORMER)
                continue
            member = MemberAccount(held.member.id, held.member.name, held.member.wallet)
        roles.add(held.role)
    its = person.id, person.pseudonym, person.name, frozenset(roles)
    return Principal(*its, member, name, scopes, person.language, former)


def erase(session: Session, person: Person, *, by: str, now: int) -> None:
    """Delete a person's record with all that hangs on it. Logged.

    The log keeps the pseudonym, which then leads to nobody. The member's account in the market is another thing:
    `authority members leave` ends that.
    """
    pseudonym = person.pseudonym
    its = select(PersonRole.member_id).where(PersonRole.person_id == person.id, PersonRole.role == MEMBER)
    by_command = BankAccount.set_by.not_in(select(Person.pseudonym))  # so it may be the person's too
    named = (BankAccount.set_by == pseudonym) | (BankAccount.member_id.in_(its) & by_command)
    session.execute(delete(BankAccount).where(named))
    for table in _OWNED:
        session.execute(delete(table).where(table.person_id == person.id))
    session.execute(delete(LoggedRead).where(LoggedRead.pseudonym == pseudonym))
    session.execute(delete(LogName).where(LogName.kind == gate.OPERATOR, LogName.name == person.login))
    session.delete(person)
    session.flush()
    log.record_act(session, "person_erased", by, now, {"person": pseudonym})


def has_signed_in(session: Session, person: Person) -> bool:
    """Whether a person has chosen a way to sign in, or was ever signed in."""
    ways = select(exists().where(Passkey.person_id == person.id) | exists().where(PersonSession.person_id == person.id))
    return person.password_hash is not None or bool(session.scalar(ways))


def by_pseudonym(session: Session, pseudonym: str) -> Person:
    """The person of a pseudonym; NotFoundError."""
    found = session.scalar(select(Person).where(Person.pseudonym == pseudonym))
    if found is None:
        raise NotFoundError("there is nobody of that pseudonym; see the list of people")
    return found


def is_of_the_department(session: Session, person: Person) -> bool:
    """Whether a person has a role of the department."""
    return any(held.role in OF_THE_DEPARTMENT for held in roles_of(session, person))


def of_the_department(session: Session, now: int) -> list[dict[str, Any]]:
    """People with a role of the department, as `listed`, by login."""
    its = select(PersonRole.person_id).where(PersonRole.role.in_(OF_THE_DEPARTMENT))
    people = session.scalars(select(Person).where(Person.id.in_(its)).order_by(Person.login)).all()
    return [told for person in people for told in listed(session, now, person)]


def listed(session: Session, now: int, only: Person | None = None) -> list[dict[str, Any]]:
    """Everybody, by login: roles, ways to sign in, open sessions and an invitation that still holds; or one alone."""
    told: list[dict[str, Any]] = []
    for person in session.scalars(select(Person).order_by(Person.login)) if only is None else (only,):
        open_ = session.scalars(
            select(PersonSession.id).where(
                PersonSession.person_id == person.id,
                PersonSession.ended_at.is_(None),
                PersonSession.expires_at > now,
            )
        ).all()
        invitation = session.scalar(
            select(Invitation)
            .where(Invitation.person_id == person.id, Invitation.withdrawn_at.is_(None))
            .order_by(Invitation.id.desc())
            .limit(1)
        )
        state = _state_of(invitation, now)
        mail = session.get(InvitationMail, person.id)
        passkeys = session.scalars(select(Passkey.credential_id).where(Passkey.person_id == person.id)).all()
        told.append(
            {
                "login": person.login,
                "name": person.name,
                "pseudonym": person.pseudonym,
                "roles": [
                    {"role": held.role, "member": held.member.name if held.member else None, "until": held.until}
                    for held in roles_of(session, person)
                ],
                "password": person.password_hash is not None,
                "passkeys": len(passkeys),
                "sessions": len(open_),
                "list_id": person.list_id,
                "signed_in": has_signed_in(session, person),
                "invitation": state,
                "invited_until": invitation.expires_at if invitation is not None and state == OPEN else None,
                "mail": None if mail is None else {"state": mail.state, "at": mail.sent_at, "error": mail.error},
            }
        )
    return told


def _state_of(invitation: Invitation | None, now: int) -> str | None:
    """What became of a person's last invitation; None where it has none."""
    if invitation is None:
        return None
    if invitation.used_at is not None:
        return ACCEPTED
    return OPEN if invitation.expires_at > now else EXPIRED
