"""Structured log lines on stderr: a sentence, then key=value pairs; or one JSON object a line."""

from __future__ import annotations

import datetime
import json
import logging
import sys
from typing import Any, Literal

LogFormat = Literal["text", "json"]

logger = logging.getLogger("edge_agent")


def log(level: int, event: str, **fields: Any) -> None:
    """One event with its facts."""
    logger.log(level, event, extra={"fields": fields})


def info(event: str, **fields: Any) -> None:
    """Something went as it should, and is worth a line."""
    log(logging.INFO, event, **fields)


def warning(event: str, **fields: Any) -> None:
    """Something needs a look, if it stays."""
    log(logging.WARNING, event, **fields)


def error(event: str, **fields: Any) -> None:
    """Something needs a person."""
    log(logging.ERROR, event, **fields)


def set_up(level: str, form: LogFormat) -> None:
    """Send the agent's lines to stderr. Times are UTC."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Text())
    logger.handlers[:] = [handler]
    logger.propagate = False
    logger.setLevel(level.upper())


def _facts(record: logging.LogRecord) -> dict[str, Any]:
    return {
        "time": datetime.datetime.fromtimestamp(record.created, datetime.UTC).isoformat(timespec="milliseconds"),
        "level": record.levelname.lower(),
        "event": record.getMessage(),
        **getattr(record, "fields", {}),
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
