"""Why somebody does something on the pages, fit for the log."""

from __future__ import annotations

from sqlalchemy.orm import Session

from authority import typed
from authority.log.nameless import require_nameless
from authority.people.errors import ActUnclearError

LEAST_REASON, MOST_REASON = 3, 200


def reason_of(session: Session, text: str) -> str:
    """The reason that was typed; ActUnclearError, NamesSomebodyError."""
    reason = typed.line(text)
    if not LEAST_REASON <= len(reason) <= MOST_REASON:
        raise ActUnclearError(f"say why, in {LEAST_REASON} to {MOST_REASON} characters; it is logged")
    typed.require_shown(reason, ActUnclearError)
    require_nameless(session, reason)
    return reason
