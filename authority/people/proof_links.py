"""Links to the proof of a span of a member's energy: random, with an end, and ended by who gave them out."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from authority.log import log
from authority.people import secrets
from authority.people.errors import ProofLinkInvalidError, ProofLinkUnknownError
from authority.people.roles import MEMBER, MemberAccount, Principal
from authority.store.people import User
from authority.store.persons import PersonRole, ProofLink

DAYS, MOST = 90, 50
LONGEST_SECONDS = 25 * 3_600
"""A day when summer time ends: what one link may show."""


@dataclass(frozen=True, slots=True)
class OpenLink:
    """A link that holds: whose energy it shows, and between which boundaries (Unix seconds)."""

    id: str
    member_id: int
    wallet: str
    starts_at: int
    ends_at: int
    expires_at: int


def check_span(starts_at: int, ends_at: int, now: int) -> None:
    """ProofLinkInvalidError for a span that no link may have."""
    if not 0 < starts_at < ends_at <= now:
        raise ProofLinkInvalidError("a proof is of a time that has passed, from its beginning to its end")
    if ends_at - starts_at > LONGEST_SECONDS:
        raise ProofLinkInvalidError("a proof shows one day at most: choose a day, or a part of one")


def make(session: Session, owner: Principal, member: MemberAccount, starts_at: int, ends_at: int, now: int) -> str:
    """A new link's secret. Logged, by its id alone. ProofLinkInvalidError."""
    check_span(starts_at, ends_at, now)
    its = (ProofLink.person_id == owner.person_id, ProofLink.ended_at.is_(None), ProofLink.expires_at > now)
    if (session.scalar(select(func.count()).select_from(ProofLink).where(*its)) or 0) >= MOST:
        raise ProofLinkInvalidError(f"you have {MOST} links already: end one that is not needed")
    secret, kept = secrets.make()
    made = ProofLink(
        id=secrets.public_id(),
        token_hash=kept,
        person_id=owner.person_id,
        member_id=member.id,
        starts_at=starts_at,
        ends_at=ends_at,
        created_at=now,
        expires_at=now + DAYS * 86_400,
    )
    session.add(made)
    session.flush()
    log.record_act(session, "proof_link_made", owner.actor, now, {"link": made.id})
    return secret


def open_one(session: Session, secret: str, now: int) -> OpenLink:
    """The link behind a secret; ProofLinkUnknownError where it is wrong, ended or expired.

    It ends too where the member has left, or who made it is no longer the member.
    """
    found = session.scalar(select(ProofLink).where(ProofLink.token_hash == secrets.kept(secret)))
    if found is None or found.ended_at is not None or found.expires_at <= now:
        raise ProofLinkUnknownError
    user, role = session.get_one(User, found.member_id), session.get(PersonRole, (found.person_id, MEMBER))
    if user.left_at is not None or role is None or role.member_id != user.id:
        raise ProofLinkUnknownError
    return OpenLink(found.id, user.id, user.wallet, found.starts_at, found.ends_at, found.expires_at)


def listed(session: Session, person_id: int, now: int) -> list[ProofLink]:
    """A person's links that hold, the newest first."""
    query = (
        select(ProofLink)
        .where(ProofLink.person_id == person_id, ProofLink.ended_at.is_(None), ProofLink.expires_at > now)
        .order_by(ProofLink.created_at.desc(), ProofLink.id)
    )
    return list(session.scalars(query))


def end(session: Session, owner: Principal, id: str, now: int) -> None:
    """End a link of one's own; ProofLinkUnknownError. Logged."""
    found = session.get(ProofLink, id)
    if found is None or found.ended_at is not None or found.person_id != owner.person_id:
        raise ProofLinkUnknownError
    found.ended_at = now
    log.record_act(session, "proof_link_ended", owner.actor, now, {"link": id})
