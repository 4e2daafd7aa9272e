"""What anyone may read: the campus now, as JSON and as a stream of server-sent events."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from apiflask import APIBlueprint, Schema, fields
from apiflask.validators import Range
from flask import Response

from authority.api import tags
from authority.api.campus import Campus
from authority.api.feed import CampusFeed
from authority.api.schemas import schema_of

MAX_HISTORY = 96
RETRY_MILLISECONDS = 3000
STREAM_ANSWERS: dict[int | str, Any] = {
    200: {"description": "An endless stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}},
    503: "Every stream is taken, or nothing can be shown yet.",
}


class HistoryQuery(Schema):
    """How much of the past to give."""

    history = fields.Integer(
        load_default=48,
        validate=Range(min=0, max=MAX_HISTORY),
        metadata={"description": "How many past epochs to give, newest last."},
    )


def event(campus: Campus | None) -> str:
    """One server-sent event: the view as `campus`, or a `beat` that says: nothing has changed, and the line is up."""
    if campus is None:
        return "event: beat\ndata: {}\n\n"
    data = json.dumps(campus.as_json(), separators=(",", ":"))
    return f"event: campus\nid: {campus.time}\ndata: {data}\n\n"


@dataclass(frozen=True)
class _Events:
    """The body of an event stream; Werkzeug calls close() when the reader has gone, wherever the stream stands."""

    views: Any

    def __iter__(self) -> Iterator[str]:
        yield f"retry: {RETRY_MILLISECONDS}\n\n"
        for view in self.views:
            yield event(view)

    def close(self) -> None:
        self.views.close()


def blueprint(feed: CampusFeed) -> APIBlueprint:
    """The public part of /api/v1 over a feed."""
    public = APIBlueprint("public", __name__, url_prefix="/api/v1", tag="Public")

    @public.after_request
    def tag(response: Response) -> Response:
        return response if response.is_streamed else tags.tagged(response, tags.ASKED_AGAIN)

    @public.get("/campus")
    @public.input(HistoryQuery, location="query", arg_name="query")
    @public.output(schema_of(Campus), description="The campus now.")
    @public.doc(
        operation_id="get_campus",
        summary="The campus now",
        description="Buildings, the running epoch, tokens, market and recent epochs. Made at most once a second.",
        responses={400: "The query is wrong.", 503: "Nothing can be shown yet."},
    )
    def campus(query: dict[str, int]) -> dict[str, Any]:
        view = feed.now().as_json()
        kept = query["history"]
        view["history"] = view["history"][-kept:] if kept else ()
        return view

    @public.get("/campus/stream")
    @public.doc(
        operation_id="stream_campus",
        summary="The campus now, whenever it changes",
        description=(
            "Server-sent events named `campus`, whose data is what GET /api/v1/campus gives; "
            "`beat` every five seconds otherwise. At most a few dozen readers at a time."
        ),
        responses=STREAM_ANSWERS,
    )
    def stream() -> Response:
        feed.now()  # an error now is an answer; later it could only be a broken stream
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return Response(_Events(feed.stream()), mimetype="text/event-stream", headers=headers)

    return public
