"""The root of the gateway's typed errors. docs/CODES.md has all codes."""

from __future__ import annotations

FAILED, USAGE = 1, 2  # exit statuses, as edge_agent.wire.command has them


class EdgeError(Exception):
    """What stops a command or a part of the agent; the message says what to do.

    Each cause is a class, which says its `code` for programs. A class that other errors derive from is a family: it has
    no code of its own and is never raised.
    """

    code: str
    exit_status = FAILED

    def __init__(self, message: str) -> None:
        super().__init__(message)
