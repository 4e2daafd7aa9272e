"""Announcements: what the department tells on the pages, as plain text, for a time, to everybody or to some."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from authority.app import App
from authority.language.reading import marked
from authority.log import log
from authority.operations.errors import NewsInvalidError
from authority.refusals import NotFoundError
from authority.store.desk import Announcement
from authority.store.people import User

EVERYBODY, MEMBERS, BUILDING = AUDIENCES = ("everybody", "members", "building")
AUDIENCE_WORDS = {
    EVERYBODY: marked("everybody"),
    MEMBERS: marked("members"),
    BUILDING: marked("one building"),
}
LONGEST_TITLE, LONGEST_TEXT, LONGEST_SECONDS, MOST_SHOWN = 120, 2_000, 366 * 86_400, 50


def publish(
    app: App, title: str, text: str, starts_at: int, ends_at: int, audience: str, building: str, *, actor: str
) -> int:
    """Announce something between two moments; its number, and that of the same one that is there. NewsInvalidError.

    The log has for whom and when; the words, which may name somebody, are not in it.
    """
    title, text, now = " ".join(title.split()), _text(text), app.clock()
    if not 0 < len(title) <= LONGEST_TITLE or not title.isprintable():
        raise NewsInvalidError(f"a title has 1 to {LONGEST_TITLE} characters")
    if not max(starts_at, now) < ends_at <= starts_at + LONGEST_SECONDS:
        raise NewsInvalidError("it has to end after it begins, in the future, and within a year")
    if audience not in AUDIENCES:
        raise NewsInvalidError("say for whom it is")
    with app.store.write() as session:
        log.lock(session)
        if audience == BUILDING and building not in buildings(session):
            raise NewsInvalidError("there is no such building: choose one of the list")
        of = building if audience == BUILDING else None
        same = select(Announcement).where(
            Announcement.title == title, Announcement.text == text, Announcement.starts_at == starts_at,
            Announcement.ends_at == ends_at, Announcement.withdrawn_at.is_(None),
        )  # fmt: skip
        for known in session.scalars(same):
            if (known.audience, known.building) == (audience, of):
                return known.id
        made = Announcement(
            title=title, text=text, starts_at=starts_at, ends_at=ends_at, audience=audience, building=of, made_at=now,
            made_by=actor,
        )  # fmt: skip
        session.add(made)
        session.flush()
        data = {"announcement": made.id, "audience": audience, "ends_at": ends_at, "starts_at": starts_at}
        log.record_act(session, "announcement_made", actor, now, data)
        return made.id


def _text(text: str) -> str:
    found = "\n".join(" ".join(line.split()) for line in text.strip().splitlines())
    if not 0 < len(found) <= LONGEST_TEXT or not found.replace("\n", "").isprintable():
        raise NewsInvalidError(f"a text has 1 to {LONGEST_TEXT} characters")
    return found


def withdraw(app: App, number: int, *, actor: str) -> bool:
    """Take an announcement back; whether that is new. NotFoundError."""
    with app.store.write() as session:
        log.lock(session)
        found = session.get(Announcement, number)
        if found is None:
            raise NotFoundError(f"there is no announcement {number}")
        if found.withdrawn_at is not None:
            return False
        found.withdrawn_at, found.withdrawn_by = app.clock(), actor
        log.record_act(session, "announcement_withdrawn", actor, app.clock(), {"announcement": number})
        return True


def buildings(session: Session) -> list[str]:
    """The buildings that an announcement may be for."""
    query = select(User.building).where(User.left_at.is_(None), User.building != "").distinct()
    return sorted(session.scalars(query))


def current(session: Session, now: int, user_id: int | None = None) -> Sequence[Announcement]:
    """What is told now, the newest first: to everybody, and to a member (user_id) what is for it."""
    whom = Announcement.audience == EVERYBODY
    if user_id is not None:
        of_its = (Announcement.audience == BUILDING) & (
            Announcement.building == session.get_one(User, user_id).building
        )
        whom = or_(whom, Announcement.audience == MEMBERS, of_its)
    running = (Announcement.ends_at > now, Announcement.starts_at <= now, Announcement.withdrawn_at.is_(None))
    found = session.scalars(select(Announcement).where(*running, whom))  # sorted here: few run, and many are over
    return sorted(found, key=lambda each: -each.id)


def listed(session: Session, before: int | None) -> Sequence[Announcement]:
    """All of them, the newest first, MOST_SHOWN at once."""
    query = select(Announcement).order_by(Announcement.id.desc()).limit(MOST_SHOWN)
    return session.scalars(query if before is None else query.where(Announcement.id < before)).all()
