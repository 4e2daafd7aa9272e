"""The web application: pages at /, JSON under /api/v1, its description at /openapi.json and, for people, /docs."""

from __future__ import annotations

from typing import Any

from apiflask import APIFlask
from apiflask.exceptions import HTTPError
from flask import Response, render_template, url_for
from werkzeug.exceptions import HTTPException

from authority import api
from authority.api.campus import Campus, CampusSource, CampusUnavailableError
from authority.api.feed import CampusFeed, TooManyStreamsError
from authority.api.public import blueprint
from authority.api.schemas import Problem, schema_of
from authority.problems import problem
from authority.web import figures, presentation, reference
from edge_agent.wire.problems import CONTENT_TYPE, usual_code

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
RETRY_SECONDS = 5


def create_app(source: CampusSource, *, feed: CampusFeed | None = None) -> APIFlask:
    """The WSGI application over a source of the campus view."""
    feed = feed or CampusFeed(source)
    app = APIFlask(
        __name__,
        title="Campus energy",
        version="1",
        docs_path=None,
        openapi_blueprint_url_prefix=None,
        static_folder="static",
    )
    app.config.update(
        OPENAPI_VERSION="3.1.0",
        SYNC_LOCAL_SPEC=False,
        DESCRIPTION=(api.__doc__ or "")
        + " Energy is in Wh, power in W, prices in micro-credits per kWh, times in Unix seconds.",
        HTTP_ERROR_SCHEMA=schema_of(Problem),
        VALIDATION_ERROR_SCHEMA=schema_of(Problem),
        VALIDATION_ERROR_STATUS_CODE=400,
        SEND_FILE_MAX_AGE_DEFAULT=3600,
        MAX_CONTENT_LENGTH=64 * 1024,
    )
    app.extensions["campus_feed"] = feed
    app.register_blueprint(blueprint(feed))
    app.jinja_env.globals.update(figures=figures, presentation=presentation)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True

    rendered = _Rendered()

    @app.get("/")
    @app.doc(hide=True)
    def campus_page() -> Response:
        try:
            campus = feed.now()
        except CampusUnavailableError as error:
            return Response(render_template("unavailable.html", error=error), 503, {"Retry-After": str(RETRY_SECONDS)})
        return Response(rendered.of(campus))

    @app.get("/docs")
    @app.doc(hide=True)
    def documentation() -> str:
        spec = app.spec
        assert isinstance(spec, dict)  # noqa: S101  (text only where the format is YAML)
        return render_template(
            "docs.html", operations=reference.operations(spec), spec=spec, spec_url=url_for("openapi.spec")
        )

    @app.error_processor
    def api_error(error: HTTPError) -> Any:
        return problem(error.status_code, *_explained(error))

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        status = error.code or 500
        return problem(status, usual_code(status), error.description or "")

    @app.errorhandler(CampusUnavailableError)
    @app.errorhandler(TooManyStreamsError)
    def later(error: CampusUnavailableError | TooManyStreamsError) -> Response:
        return problem(503, error.code, str(error), retry_after=RETRY_SECONDS)

    @app.after_request
    def protect(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if response.mimetype in ("text/html", "application/json", CONTENT_TYPE):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    return app


class _Rendered:
    """The page of the newest view: rendered once, however many read it."""

    def __init__(self) -> None:
        self._newest: tuple[Campus, str] | None = None

    def of(self, campus: Campus) -> str:
        """The view's page; ages in it are those at the view's own time."""
        newest = self._newest
        if newest is None or newest[0] is not campus:
            newest = self._newest = (campus, render_template("campus.html", campus=campus, now=campus.time))
        return newest[1]


def _explained(error: HTTPError) -> tuple[str, str]:
    """(code, detail) of an error that APIFlask raised: for a wrong input, every field and what is wrong with it."""
    found = error.detail if isinstance(error.detail, dict) else {}
    lines = [
        f"{field}: {' '.join(messages) if isinstance(messages, list) else messages}"
        for fields in found.values()
        if isinstance(fields, dict)
        for field, messages in fields.items()
    ]
    if lines:
        return "malformed", "; ".join(lines)
    return usual_code(error.status_code), error.message or ""
