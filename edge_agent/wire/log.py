"""Structured log lines on stderr, in both packages: an event, then its facts as key=value; or one JSON object a line.

    2026-11-28T12:00:00.000+00:00 warning link down via=mqtt code=unreachable
    {"time": "2026-11-28T12:00:00.000+00:00", "level": "warning", "event": "link down", "via": "mqtt", ...}

Lines of other libraries come out in the same form, with the logger's name as a fact.
"""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import Any

LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("text", "json")
CHATTY = ("alembic", "httpx", "httpcore", "paho")
"""Libraries of which warnings suffice."""


class StructuredLog:
    """The log of one part of a program, by its name."""

    def __init__(self, name: str) -> None:
        self.logger = logging.getLogger(name)

    def log(self, level: int, event: str, **fields: Any) -> None:
        """One event with its facts."""
        self.logger.log(level, event, extra={"fields": fields})

    def debug(self, event: str, **fields: Any) -> None:
        """Of use to whoever looks for a fault."""
        self.log(logging.DEBUG, event, **fields)

    def info(self, event: str, **fields: Any) -> None:
        """Something went as it should, and is worth a line."""
        self.log(logging.INFO, event, **fields)

    def warning(self, event: str, **fields: Any) -> None:
        """Something needs a look, if it stays."""
        self.log(logging.WARNING, event, **fields)

    def error(self, event: str, **fields: Any) -> None:
        """Something needs a person."""
        self.log(logging.ERROR, event, **fields)

    def exception(self, event: str, **fields: Any) -> None:
        """A fault of the program, with the traceback of the exception in hand."""
        self.logger.error(event, exc_info=True, extra={"fields": fields})


def set_up(level: str, form: str) -> None:
    """Send this process's lines from that level on to stderr, in that form. Times are UTC."""
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Stderr)]:
        root.removeHandler(handler)
    handler = _Stderr()
    handler.setFormatter(_Json() if form == "json" else _Text())
    root.addHandler(handler)
    root.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Stderr(logging.Handler):
    """Writes to whatever stderr is at the time."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            sys.stderr.write(self.format(record) + "\n")
            sys.stderr.flush()
        except Exception:  # noqa: BLE001 - as logging asks: a line that cannot be written stops nothing
            self.handleError(record)


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    return {
        "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "event": record.getMessage(),
        **({"logger": record.name} if fields is None else fields),
    }


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = _facts(record)
        line = f"{facts.pop('time')} {facts.pop('level'):<7} {facts.pop('event')}"
        for key, value in facts.items():
            text = str(value)
            if not text or any(character in ' "=\n\r\t' or not character.isprintable() for character in text):
                text = json.dumps(text, ensure_ascii=False)
            line += f" {key}={text}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        return line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = _facts(record)
        if record.exc_info:
            facts["traceback"] = self.formatException(record.exc_info)
        return json.dumps(facts, default=str, ensure_ascii=False)
