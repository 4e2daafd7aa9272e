"""Logging of the authority's processes: one line each to standard error, which the supervisor or systemd keeps."""

from __future__ import annotations

import logging


def configure(level: int = logging.INFO) -> None:
    """Set up the process's logging; libraries that chat are kept to warnings."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in ("alembic", "httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
