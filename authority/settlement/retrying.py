"""Readings that the chain refused and that wait for a person: sent again, such as after a rebase."""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, select, update
from sqlalchemy.orm import Session

from authority.log import log
from authority.store import Store
from authority.store.metering import CHAIN_PENDING, Frame, waiting_for_the_chain


def blocked() -> ColumnElement[bool]:
    """That a reading waits for a person, in the words of the index on those that wait for the chain."""
    return and_(waiting_for_the_chain(Frame), Frame.chain_status == CHAIN_PENDING, Frame.chain_error.is_not(None))


def waiting(session: Session) -> list[tuple[int, str]]:
    """The log entries of those that wait for a person, with what the chain answered."""
    query = select(Frame.log_index, Frame.chain_error).where(blocked())
    return sorted((index, str(error)) for index, error in session.execute(query))


def retry(store: Store, *, actor: str, now: int) -> list[int]:
    """Send them again; their log entries. Logged where there are any."""
    with store.write() as session:
        indexes = [index for index, _ in waiting(session)]
        if indexes:
            session.execute(update(Frame).where(blocked()).values(chain_error=None))
            log.record_act(session, "readings_retried", actor, now, {"readings": indexes})
    return indexes
