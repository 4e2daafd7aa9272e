"""Forms whose act gives something out once, such as a claim: the same form sent again does nothing."""

from __future__ import annotations

from sqlalchemy import delete
from sqlalchemy.orm import Session

from authority.people import secrets
from authority.people.errors import FormSentError
from authority.store.persons import SentForm

KEPT_SECONDS = 2 * 86_400
"""Longer than any session of somebody who has such forms."""


def fresh() -> str:
    """What makes a form a new one."""
    return secrets.make()[0]


def spend(session: Session, text: str, now: int) -> None:
    """Note that a form is sent, with the act itself; FormSentError where it was sent before, or is no form of ours."""
    session.execute(delete(SentForm).where(SentForm.at < now - KEPT_SECONDS))
    kept = secrets.kept(text)
    if not text or session.get(SentForm, kept) is not None:
        raise FormSentError
    session.add(SentForm(token_hash=kept, at=now))
    session.flush()
