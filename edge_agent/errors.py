"""The root of the gateway's typed errors."""

from __future__ import annotations

FAILED, USAGE = 1, 2  # exit statuses, as edge_agent.wire.command has them


class EdgeError(Exception):
    """What stops a command or a part of the agent: `code` names the cause for programs, the message says what to do."""

    exit_status = FAILED

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
