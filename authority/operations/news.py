"""Announcements: what the department tells, as plain text, for a time, to everybody or to some.

They are shown on the pages, and members are mailed them (authority.people.notices).
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority import typed
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
WITHDRAWN, OVER, TO_COME, SHOWN = marked("withdrawn"), marked("over"), marked("to come"), marked("shown now")
LONGEST_TITLE, LONGEST_TEXT, LONGEST_SECONDS, MOST_SHOWN = 120, 2_000, 366 * 86_400, 50


def publish(
    app: App,
    title: str,
    text: str,
    starts_at: int,
    ends_at: int,
    audience: str,
    building: str,
    *,
    actor: str,
    dry_run: bool = False,
) -> tuple[int, bool]:
    """Announce something between two moments; its number, and whether it is new: the same one may be there already.

    The log has for whom and when; the words, which may name somebody, are not in it. NewsInvalidError.
    """
    title, text, now = typed.line(title), _text(text), app.clock()
    if not 0 < len(title) <= LONGEST_TITLE:
        raise NewsInvalidError(f"a title has 1 to {LONGEST_TITLE} characters")
    typed.require_shown(title, NewsInvalidError)
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
                return known.id, False
        made = Announcement(
            title=title, text=text, starts_at=starts_at, ends_at=ends_at, audience=audience, building=of, made_at=now,
            made_by=actor,
        )  # fmt: skip
        session.add(made)
        session.flush()
        data = {"announcement": made.id, "audience": audience, "ends_at": ends_at, "starts_at": starts_at}
        log.record_act(session, "announcement_made", actor, now, data)
        number = made.id
        if dry_run:
            session.rollback()
        return number, True


def _text(text: str) -> str:
    found = typed.lines(text)
    if not 0 < len(found) <= LONGEST_TEXT:
        raise NewsInvalidError(f"a text has 1 to {LONGEST_TEXT} characters")
    typed.require_shown(found, NewsInvalidError)
    return found


def withdraw(app: App, number: int, *, actor: str, dry_run: bool = False) -> bool:
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
        if dry_run:
            session.rollback()
        return True


def buildings(session: Session) -> list[str]:
    """The buildings that an announcement may be for."""
    query = select(User.building).where(User.left_at.is_(None), User.building != "").distinct()
    return sorted(session.scalars(query))


def current(session: Session, now: int, user_id: int | None = None) -> Sequence[Announcement]:
    """What is told now, the newest first: to everybody, and to a member (user_id) what is for it."""
    building = None if user_id is None else session.get_one(User, user_id).building
    return [each for each in running(session, now) if is_for(each, building)]


def running(session: Session, now: int) -> Sequence[Announcement]:
    """All that is told now, whomever it is for, the newest first."""
    its = (Announcement.ends_at > now, Announcement.starts_at <= now, Announcement.withdrawn_at.is_(None))
    found = session.scalars(select(Announcement).where(*its))  # sorted here: few run, and many are over
    return sorted(found, key=lambda each: -each.id)


def is_for(each: Announcement, building: str | None) -> bool:
    """Whether one is for a member of that building; None: for whoever is no member."""
    if building is None or each.audience == EVERYBODY:
        return each.audience == EVERYBODY
    return each.audience == MEMBERS or each.building == building


def state_of(each: Announcement, now: int) -> str:
    """What one is now: WITHDRAWN, OVER, TO_COME, or SHOWN."""
    if each.withdrawn_at is not None:
        return WITHDRAWN
    if each.ends_at <= now:
        return OVER
    return SHOWN if each.starts_at <= now else TO_COME


def listed(session: Session, before: int | None) -> Sequence[Announcement]:
    """All of them, the newest first, MOST_SHOWN at once."""
    query = select(Announcement).order_by(Announcement.id.desc()).limit(MOST_SHOWN)
    return session.scalars(query if before is None else query.where(Announcement.id < before)).all()
