"""The gateways' HTTPS endpoints (docs/PROTOCOL.md, "HTTPS"), a Flask application behind collector.server."""

from __future__ import annotations

import json
import os
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from authority.app import App
from authority.collector.ingest import MAX_FRAMES, Collector, CollectorError, head
from authority.collector.live import Live, LiveError
from authority.enrolment import requests
from authority.enrolment.requests import EnrolmentError
from authority.errors import AuthorityError
from authority.home import certificates
from authority.store.enrolments import Claim
from authority.store.metering import GATEWAY_ENROLLED, Gateway, Meter
from edge_agent.wire.reading import FRAME_SIZE

MAX_BODY = max(MAX_FRAMES * FRAME_SIZE, 256 * 1024)
RETRY_SECONDS = 5
FAILED_CLAIMS = 20
FAILED_CLAIMS_SECONDS = 60

PeerCertificate = Callable[[Mapping[str, Any]], bytes | None]
"""From a WSGI environment, the client certificate (DER) that TLS has verified against the CA; None without one."""

_STATUS = {
    "malformed": 400,
    "unauthorised": 401,
    "not_found": 404,
    "conflict": 409,
    "too_many": 413,
    "rate_limited": 429,
    "busy": 503,
    "unavailable": 503,
}
_TITLES = {
    400: "Malformed request",
    401: "Not authenticated",
    403: "Another gateway's name",
    404: "Not found",
    405: "Method not allowed",
    409: "Conflict",
    413: "Too large",
    415: "Unsupported media type",
    429: "Too many requests",
    500: "Internal error",
    503: "Not available now",
}


class RequestError(AuthorityError):
    """A request that is refused with a status of its own."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code, message)
        self.status = status


def problem(status: int, code: str, detail: str) -> Response:
    """An error as RFC 9457 has it; 429 and 503 say when to try again."""
    title = _TITLES.get(status, "Error")
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code}
    response = Response(json.dumps(body), status, content_type="application/problem+json")
    if status in (429, 503):
        response.headers["Retry-After"] = str(RETRY_SECONDS if status == 503 else FAILED_CLAIMS_SECONDS)
    return response


class _FailedClaims:
    """Slows down whoever guesses claim codes (80 bits: this spares the log and the database, not the secret)."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._times: dict[str, deque[float]] = {}

    def check(self, address: str) -> None:
        with self._lock:
            times = self._times.get(address)
            if times is not None:
                while times and times[0] < self._monotonic() - FAILED_CLAIMS_SECONDS:
                    times.popleft()
                if len(times) >= FAILED_CLAIMS:
                    raise RequestError(429, "rate_limited", "too many wrong claim codes from this address")

    def add(self, address: str) -> None:
        with self._lock:
            if len(self._times) > 1_000:
                self._times.clear()
            self._times.setdefault(address, deque(maxlen=FAILED_CLAIMS)).append(self._monotonic())


def gunicorn_peer_certificate(environ: Mapping[str, Any]) -> bytes | None:
    """The certificate on gunicorn's TLS socket, which asked for one by our CA (authority.collector.server)."""
    connection = environ.get("gunicorn.socket")
    return connection.getpeercert(binary_form=True) if isinstance(connection, ssl.SSLSocket) else None


def create_app(
    authority: App,
    collector: Collector,
    live: Live,
    *,
    peer_certificate: PeerCertificate = gunicorn_peer_certificate,
    random: Callable[[int], bytes] = os.urandom,
    monotonic: Callable[[], float] = time.monotonic,
) -> Flask:
    """The application; every answer that is no success is application/problem+json."""
    app = Flask("authority.collector")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    home, store, clock = authority.home, authority.store, authority.clock
    failed = _FailedClaims(monotonic)
    ca_pem = certificates.certificate_to_pem(home.ca_certificate)

    def gateway_of(session: Session, name: str) -> Gateway:
        """The gateway in the path, which must be the certificate's."""
        der = peer_certificate(request.environ)
        gateway = None
        if der is not None:
            digest = certificates.der_hash(der)
            gateway = session.scalar(select(Gateway).where(Gateway.certificate_hash == digest))
        if gateway is None or gateway.state != GATEWAY_ENROLLED:
            raise RequestError(
                401, "not_authenticated", "this needs the gateway's current client certificate; enrol to get one"
            )
        if gateway.name != name:
            raise RequestError(403, "wrong_gateway", f"this certificate is {gateway.name}'s, not {name}'s")
        return gateway

    def claim_of(session: Session) -> Claim:
        address = request.remote_addr or ""
        failed.check(address)
        scheme, _, code = request.headers.get("Authorization", "").partition(" ")
        try:
            if scheme.lower() != "claim":
                raise EnrolmentError("unauthorised", "send the claim code: Authorization: Claim CODE")
            return requests.authenticate(session, code, clock())
        except EnrolmentError:
            failed.add(address)
            raise

    def json_body() -> object:
        try:
            return json.loads(request.get_data())
        except (ValueError, RecursionError) as error:
            raise RequestError(400, "malformed", f"the body is no JSON: {error}") from error

    @app.get("/api/v1/ca")
    def ca() -> ResponseReturnValue:
        return Response(ca_pem, content_type="application/x-pem-file")

    @app.post("/api/v1/enrolments")
    def enrol() -> ResponseReturnValue:
        body = json_body()
        with store.write() as session:
            asked = requests.request(session, home, claim_of(session), body, now=clock(), random=random)
        return asked, 201

    @app.post("/api/v1/enrolments/<enrolment>/proofs")
    def prove(enrolment: str) -> ResponseReturnValue:
        body = json_body()
        with store.write() as session:
            state = requests.prove(session, home, requests.of_claim(session, claim_of(session), enrolment), body)
        return {"status": state}, 202

    @app.get("/api/v1/enrolments/<enrolment>")
    def show(enrolment: str) -> ResponseReturnValue:
        with store.read() as session:
            return requests.answer(session, home, requests.of_claim(session, claim_of(session), enrolment))

    @app.post("/api/v1/gateways/<gateway>/readings")
    def readings(gateway: str) -> ResponseReturnValue:
        with store.read() as session:
            gateway_of(session, gateway)
        live.seen(gateway)
        ingested = collector.ingest(request.get_data(), gateway=gateway, meter=None, over="https")
        return Response(b"".join(ingested.receipts), content_type="application/octet-stream")

    @app.post("/api/v1/gateways/<gateway>/live")
    def live_power(gateway: str) -> ResponseReturnValue:
        with store.read() as session:
            gateway_of(session, gateway)
        body = json_body()
        live.power(gateway, body.get("meters") if isinstance(body, dict) else None)
        return "", 204

    @app.post("/api/v1/gateways/<gateway>/status")
    def status(gateway: str) -> ResponseReturnValue:
        with store.read() as session:
            gateway_of(session, gateway)
        live.status(gateway, json_body())
        return "", 204

    @app.get("/api/v1/gateways/<gateway>/meters/<meter>/head")
    def head_of(gateway: str, meter: str) -> ResponseReturnValue:
        with store.read() as session:
            gateway_of(session, gateway)
            row = session.scalar(select(Meter).where(Meter.gateway_name == gateway, Meter.name == meter))
            if row is None:
                raise RequestError(404, "not_found", f"{gateway} has no meter {meter}")
            found = head(session, row)
        return ("", 204) if found is None else Response(found, content_type="application/octet-stream")

    @app.errorhandler(AuthorityError)
    def refused(error: AuthorityError) -> ResponseReturnValue:
        if isinstance(error, RequestError):
            return problem(error.status, error.code, str(error))
        known = isinstance(error, CollectorError | EnrolmentError | LiveError)
        status = _STATUS.get(error.code, 500) if known else 500
        if status == 500:
            app.logger.error("%s %s: %s", request.method, request.path, error)
            return problem(500, "internal", "the authority could not answer; its log says why")
        code = "not_authenticated" if error.code == "unauthorised" else error.code
        return problem(status, code, str(error))

    @app.errorhandler(SQLAlchemyError)
    def store_failed(error: SQLAlchemyError) -> ResponseReturnValue:
        app.logger.error("%s %s: the store failed: %s", request.method, request.path, error)
        return problem(503, "unavailable", "the store does not answer; try again")

    @app.errorhandler(HTTPException)
    def failed_request(error: HTTPException) -> ResponseReturnValue:
        status = error.code or 500
        code = {404: "not_found", 405: "method_not_allowed", 413: "too_large"}.get(status, "malformed")
        return problem(status, code, error.description or error.name)

    @app.errorhandler(Exception)
    def broken(error: Exception) -> ResponseReturnValue:
        app.logger.exception("%s %s", request.method, request.path, exc_info=error)
        return problem(500, "internal", "the authority could not answer; its log says why")

    return app
