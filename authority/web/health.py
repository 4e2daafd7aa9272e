"""For monitoring, not for readers: /healthz, /readyz, and /metrics for whoever has the token.

/metrics names gateways and meters, also those of members who keep to themselves: it takes `Authorization: Bearer` with
what stands in HOME/keys/metrics-token.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import dataclass

from flask import Blueprint, Response, request
from sqlalchemy.exc import SQLAlchemyError

from authority.status.metrics import CONTENT_TYPE, Metrics


@dataclass(frozen=True)
class Health:
    """What the endpoints ask: `ready` gives what is wrong, or nothing."""

    ready: Callable[[], str | None]
    metrics: Metrics
    token: str


def blueprint(health: Health) -> Blueprint:
    """The three endpoints."""
    made = Blueprint("health", __name__)

    @made.get("/healthz")
    def alive() -> Response:
        """The process serves."""
        return Response("ok\n", mimetype="text/plain")

    @made.get("/readyz")
    def ready() -> Response:
        """The store and the validator answer; else 503, and which does not."""
        wrong = health.ready()
        return Response(f"{wrong or 'ok'}\n", 503 if wrong else 200, mimetype="text/plain")

    @made.get("/metrics")
    def metrics() -> Response:
        """Prometheus's text."""
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {health.token}".encode()):
            return Response(
                "a token is needed: docs/OPERATIONS.md\n", 401, {"WWW-Authenticate": "Bearer"}, mimetype="text/plain"
            )
        try:
            return Response(health.metrics.text(), content_type=CONTENT_TYPE)
        except SQLAlchemyError:
            return Response("the store does not answer\n", 503, mimetype="text/plain")

    return made
