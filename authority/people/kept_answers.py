"""How long the API's answers are kept for their Idempotency-Key (authority.api.idempotency), and that they go then.

They are deleted round after round by the process that settles, so that what was shown once is not kept because nobody
writes any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from authority.app import App
from authority.chain.client import ChainClient
from authority.rounds import rounds
from authority.store.persons import KeptAnswer
from edge_agent.wire.log import StructuredLog

KEPT_SECONDS = 2 * 86_400
ROUND_SECONDS = 600.0
LOG = StructuredLog(__name__)


def forget(session: Session, now: int) -> None:
    """Delete the answers whose time is over."""
    session.execute(delete(KeptAnswer).where(KeptAnswer.at < now - KEPT_SECONDS))


def look(app: App) -> bool:
    """Do so where there are any, so that nothing is written in vain; whether there were."""
    with app.store.read() as session:
        oldest = session.scalar(select(KeptAnswer.at).order_by(KeptAnswer.at).limit(1))
    if oldest is None or oldest >= app.clock() - KEPT_SECONDS:
        return False
    with app.store.write() as session:
        forget(session, app.clock())
    return True


def run(app: App, _: Callable[[], ChainClient], stop: threading.Event) -> None:
    """Look every ten minutes, until `stop` is set."""
    rounds(lambda: look(app), stop, ROUND_SECONDS, LOG, "kept answers are not deleted in time")
