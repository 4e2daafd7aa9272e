"""Faults that recur: a sentence in the log when one begins and when it is over, however often it is met meanwhile."""

from __future__ import annotations

import logging
import threading
from typing import Any

from edge_agent.wire.log import StructuredLog


class Faults:
    """The faults that last, by what they are about. For any thread."""

    def __init__(self, log: StructuredLog, most: int = 1_000) -> None:
        self._log = log
        self._most = most
        self._lock = threading.Lock()
        self._lasting: dict[str, tuple[str, int]] = {}

    def met(self, about: str, cause: str, event: str, level: int = logging.ERROR, **fields: Any) -> None:
        """Log the event unless the last one about this had the same cause; cause is a word or an exception's type."""
        with self._lock:
            known, count = self._lasting.get(about, ("", 0))
            if known == cause:
                self._lasting[about] = (cause, count + 1)
                return
            if len(self._lasting) >= self._most:
                self._lasting.clear()
            self._lasting[about] = (cause, 1)
        self._log.log(level, event, cause=cause, **fields)

    def over(self, about: str, event: str, **fields: Any) -> None:
        """Log the event, and how often the fault was met, if there was one about this."""
        if about not in self._lasting:
            return
        with self._lock:
            known = self._lasting.pop(about, None)
        if known is not None:
            self._log.info(event, times=known[1], **fields)
