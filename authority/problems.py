"""The answer of a refusal over HTTP, the same in the collector's listener and the web process (RFC 9457)."""

from __future__ import annotations

import json

from flask import Response

from edge_agent.wire import problems


def problem(status: int, code: str, detail: str, *, retry_after: int | None = None) -> Response:
    """application/problem+json: a code for programs, a detail that says what to do, and after how many seconds."""
    response = Response(json.dumps(problems.problem(status, code, detail)), status, content_type=problems.CONTENT_TYPE)
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response
