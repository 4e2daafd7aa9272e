"""What a process does beside its main work, round after round, in a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from sqlalchemy.exc import SQLAlchemyError

from authority.errors import AuthorityError
from authority.faults import Faults
from edge_agent.wire.log import StructuredLog


def rounds(
    once: Callable[[], object], stop: threading.Event, pause_seconds: float, log: StructuredLog, waits: str
) -> None:
    """Do it again after each pause until stop is set.

    What goes wrong ends nothing; it is told once while it lasts, by `waits`: a sentence of what is held up.
    """
    faults = Faults(log)
    while not stop.is_set():
        try:
            once()
            faults.over(waits, f"no longer: {waits}")
        except (AuthorityError, SQLAlchemyError) as error:
            faults.met(waits, type(error).__name__, waits, logging.WARNING, reason=str(error))
        except Exception:
            log.exception(waits)
        stop.wait(pause_seconds)
