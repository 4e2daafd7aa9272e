"""Readings that the chain refused and that wait for a person: sent again, once what was in their way is cleared."""

from __future__ import annotations

from authority.enrolment.steps import Done
from authority.operations.desk import Desk
from authority.settlement import retrying


def retry(desk: Desk) -> Done:
    """Let settlement send them again; logged where there are any."""
    done = desk.begin("retry", "readings")
    indexes = retrying.retry(desk.app.store, actor=desk.actor, now=desk.app.clock(), dry_run=desk.dry_run)
    done.facts["readings"] = indexes
    would = "would go" if desk.dry_run else "go"
    desk.note(done, f"{len(indexes)} readings", f"{would} to the chain again", changed=bool(indexes))
    return done
