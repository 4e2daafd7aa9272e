"""How the authority refuses over HTTP: application/problem+json (RFC 9457) with a `code` for programs.

{"type": "about:blank", "title": the status in words, "status", "detail": what to do, "code"}
"""

from __future__ import annotations

import http
import json

CONTENT_TYPE = "application/problem+json"

STATUS = {
    "malformed": 400,
    "not_authenticated": 401,
    "wrong_gateway": 403,
    "not_found": 404,
    "conflict": 409,
    "too_many": 413,
    "rate_limited": 429,
    "internal": 500,
    "busy": 503,
    "unavailable": 503,
}
"""The codes with which the collector refuses, and the status of each."""

_USUAL = {
    400: "malformed",
    401: "not_authenticated",
    403: "not_permitted",
    413: "too_large",
    429: "busy",
    503: "busy",
}
MAX_TEXT = 500
"""Characters of a code or detail that are read."""


def problem(status: int, code: str, detail: str) -> dict[str, object]:
    """The document of a refusal."""
    return {"type": "about:blank", "title": title(status), "status": status, "detail": detail, "code": code}


def title(status: int) -> str:
    """A status in words, as RFC 9110 has them."""
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return "Error"


def usual_code(status: int) -> str:
    """The code of a status where nothing says more: `server_error` for what is not a refusal of ours."""
    if status in _USUAL:
        return _USUAL[status]
    return title(status).lower().replace(" ", "_") if 400 <= status < 500 else "server_error"


def read_problem(data: bytes) -> tuple[str, str]:
    """Code and detail of a refusal, as text for a terminal: printable, not endless, empty where missing."""
    try:
        found = json.loads(data)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        return "", ""
    texts = {key: _printable(value) for key, value in found.items() if isinstance(value, str)}
    return texts.get("code", ""), texts.get("detail") or texts.get("title", "")


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text[:MAX_TEXT])
