"""Entity tags: a reader that asks again is told that nothing has changed (304)."""

from __future__ import annotations

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


def of_a_public_page(response: Response) -> Response:
    """A page for everybody: kept by anybody, but by nobody where the browser has a session, for then it shows whose."""
    return response if g.get("has_cookie") else tagged(response, PUBLIC)
