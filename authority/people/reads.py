"""Who read whose data: a leaf of the log for each reader, kind and subject, at most one in a quarter of an hour."""

from __future__ import annotations

from sqlalchemy.orm import Session

from authority.log import log
from authority.people.roles import Principal
from authority.store import Store
from authority.store.persons import LoggedRead

DATA_READ = "data_read"
"""The act."""
QUIET_SECONDS = 900
EVERYBODY = "everybody"
"""The subject of a page that shows many members."""


def note(store: Store, reader: Principal, what: str, subject: str, now: int) -> None:
    """Log that somebody else's data are read; before they are given out, so that nothing is read unlogged.

    subject is the wallet by which the member is known for ever, or EVERYBODY.
    """
    with store.read() as session:
        if _lately(session, reader, what, subject, now):
            return
    with store.write() as session:
        if not _lately(session, reader, what, subject, now):
            log.record_act(session, DATA_READ, reader.actor, now, {"subject": subject, "what": what})
            session.merge(LoggedRead(pseudonym=reader.pseudonym, what=what, subject=subject, at=now))


def _lately(session: Session, reader: Principal, what: str, subject: str, now: int) -> bool:
    known = session.get(LoggedRead, (reader.pseudonym, what, subject))
    return known is not None and 0 <= now - known.at < QUIET_SECONDS  # before that, the clock was set back
