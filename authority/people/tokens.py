"""Tokens with which a person's own programs use the API: named, with scopes and an end, shown once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority.log import log
from authority.people import records, secrets
from authority.people.errors import TokenInvalidError, TokenUnknownError
from authority.people.roles import SCOPES, Principal, usable
from authority.store.persons import Person, ProgramToken

PREFIX = "campus_"
"""By which a token that got lost is known as one, such as by those who search for leaked secrets."""
LONGEST_DAYS, MOST = 366, 20
SEEN_SECONDS = 60


def make(session: Session, owner: Principal, name: str, scopes: Sequence[str], days: int, now: int) -> tuple[str, str]:
    """A token's public id and the secret, which is shown this once. Logged. TokenInvalidError."""
    wanted = sorted(set(scopes))
    if not 0 < len(name.strip()) <= 64 or not name.isprintable():
        raise TokenInvalidError("a token has a name of 1 to 64 characters, which says what it is for")
    if not wanted or not set(wanted) <= set(SCOPES):
        raise TokenInvalidError(f"a token has one scope or more of: {', '.join(SCOPES)}")
    if not 1 <= days <= LONGEST_DAYS:
        raise TokenInvalidError(f"a token holds for 1 to {LONGEST_DAYS} days")
    its = (ProgramToken.person_id == owner.person_id, ProgramToken.ended_at.is_(None), ProgramToken.expires_at > now)
    if (session.scalar(select(func.count()).select_from(ProgramToken).where(*its)) or 0) >= MOST:
        raise TokenInvalidError(f"you have {MOST} tokens already: end one that is not needed")
    secret, _ = secrets.make()
    secret = PREFIX + secret
    made = ProgramToken(
        id=secrets.public_id(),
        token_hash=secrets.kept(secret),
        person_id=owner.person_id,
        name=name.strip(),
        scopes=" ".join(wanted),
        created_at=now,
        expires_at=now + days * 86_400,
    )
    session.add(made)
    session.flush()
    log.record_act(session, "token_made", owner.actor, now, {"scopes": wanted, "token": made.id})
    return made.id, secret


def require_usable(owner: Principal, scopes: Sequence[str]) -> None:
    """TokenInvalidError for a scope that no role of the owner can use: such a token would open nothing."""
    offered = usable(owner.roles)
    if not set(scopes) & set(SCOPES) <= set(offered):
        raise TokenInvalidError(f"your roles can use these scopes alone: {', '.join(offered) or 'none'}")


def look_up(session: Session, secret: str, now: int) -> tuple[Principal, bool] | None:
    """Who a token stands for, and whether its use is to be noted; None where it stands for nobody."""
    found = session.scalar(select(ProgramToken).where(ProgramToken.token_hash == secrets.kept(secret)))
    if found is None or found.ended_at is not None or found.expires_at <= now:
        return None
    person = session.get(Person, found.person_id)
    if person is None:
        return None
    principal = records.principal(session, person, found.id, now, frozenset(found.scopes.split()))
    return principal, (found.last_used_at or 0) + SEEN_SECONDS <= now


def note_use(session: Session, id: str, now: int) -> None:
    """A token was used now."""
    found = session.get(ProgramToken, id)
    if found is not None:
        found.last_used_at = max(now, found.last_used_at or 0)


def listed(session: Session, person_id: int, now: int) -> list[dict[str, Any]]:
    """A person's tokens that hold, without their secrets."""
    query = (
        select(ProgramToken)
        .where(ProgramToken.person_id == person_id, ProgramToken.ended_at.is_(None), ProgramToken.expires_at > now)
        .order_by(ProgramToken.created_at, ProgramToken.id)
    )
    return [
        {
            "token": each.id,
            "name": each.name,
            "scopes": each.scopes.split(),
            "created_at": each.created_at,
            "expires_at": each.expires_at,
            "last_used_at": each.last_used_at,
        }
        for each in session.scalars(query)
    ]


def end(session: Session, owner: Principal, id: str, now: int) -> None:
    """End a token of one's own; TokenUnknownError. Logged."""
    found = session.get(ProgramToken, id)
    if found is None or found.ended_at is not None or found.person_id != owner.person_id:
        raise TokenUnknownError("you have no such token")
    found.ended_at = now
    log.record_act(session, "token_ended", owner.actor, now, {"token": id})
