"""Readings that the chain refused and that wait for a person: sent again, once what was in their way is cleared."""

from __future__ import annotations

from sqlalchemy import select, update

from authority.enrolment.steps import Done
from authority.log import log
from authority.operations.desk import Desk
from authority.store.metering import CHAIN_PENDING, Frame


def retry(desk: Desk) -> Done:
    """Let settlement send them again; logged where there are any."""
    done = desk.begin("retry", "readings")
    blocked = (Frame.chain_status == CHAIN_PENDING) & Frame.chain_error.is_not(None)
    with desk.app.store.trial() if desk.dry_run else desk.app.store.write() as session:
        indexes = list(session.scalars(select(Frame.log_index).where(blocked).order_by(Frame.log_index)))
        if indexes:
            session.execute(update(Frame).where(blocked).values(chain_error=None))
            log.record_act(session, "readings_retried", desk.actor, desk.app.clock(), {"readings": indexes})
    done.facts["readings"] = indexes
    would = "would go" if desk.dry_run else "go"
    desk.note(done, f"{len(indexes)} readings", f"{would} to the chain again", changed=bool(indexes))
    return done
