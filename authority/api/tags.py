"""Entity tags: a reader that asks again is told that nothing has changed (304)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from flask import Response, g, request

PUBLIC = "public, max-age=30"
PRIVATE = "private, no-cache"
ASKED_AGAIN = "public, no-cache"
"""Of what changes at any moment: whoever keeps it asks whether it is the same still."""


def tagged(response: Response, cache_control: str) -> Response:
    """The answer to a GET with its tag; whoever keeps it may do so as `cache_control` says."""
    if request.method == "GET" and response.status_code == 200:
        response.headers["Cache-Control"] = cache_control
        if cache_control == PRIVATE:
            response.vary.add("Cookie")
            response.vary.add("Authorization")
        response.add_etag(weak=True)  # it stands for the content, compressed or not
        response.make_conditional(request)
    return response


def of_lines(lines: Iterable[str]) -> str:
    """A tag of a text, line by line: for files that are never written twice to the byte, such as one with a time."""
    found = hashlib.sha256()
    for line in lines:
        found.update(line.encode())
    return found.hexdigest()[:32]


def unchanged(tag: str, cache_control: str) -> Response | None:
    """The answer to who has what this tag is of already (304), before it is made; None where it has not."""
    response = Response()
    response.set_etag(tag, weak=True)
    return response if tagged(response, cache_control).status_code == 304 else None


def of_a_public_page(response: Response) -> Response:
    """A page for everybody: kept by anybody, but by nobody where the browser has a session, for then it shows whose."""
    return response if g.get("has_cookie") else tagged(response, PUBLIC)
