"""The gateways' HTTPS endpoints (docs/PROTOCOL.md, "HTTPS"), a Flask application behind collector.server."""

from __future__ import annotations

import os
import ssl
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session
from werkzeug.exceptions import HTTPException

from authority.anteroom import Answer, Together, Whole, counted_by, plain_head
from authority.app import App
from authority.collector import standing
from authority.collector.documents import read_json
from authority.collector.frames import Ingested, Sent
from authority.collector.ingest import MAX_GROUP, Intake
from authority.collector.live import Live
from authority.collector.receipts import head
from authority.collector.standing import Shown
from authority.enrolment import renewal, requests
from authority.errors import AuthorityError
from authority.faults import Faults
from authority.home import certificates
from authority.problems import problem
from authority.refusals import NotFoundError, RateLimitedError, RefusalError, UnauthorisedError
from authority.store.enrolments import Claim
from authority.store.metering import Meter
from edge_agent.wire import paths, problems
from edge_agent.wire.log import StructuredLog
from edge_agent.wire.reading import FRAME_SIZE, MAX_FRAMES

MAX_BODY = max(MAX_FRAMES * FRAME_SIZE, 256 * 1024)
RETRY_SECONDS = 5
FAILED_CLAIMS = 20
FAILED_CLAIMS_SECONDS = 60

READINGS = "readings"
"""Under this name the application has its Readings among its extensions, for the worker that serves it."""

PeerCertificate = Callable[[Mapping[str, Any]], bytes | None]
"""From a WSGI environment, the client certificate (DER) that TLS has verified against the CA; None without one."""


_ASK_THE_STORE = (
    "enrol", "prove", "show", "live_power", "status", "head_of", "next_certificate", "use_certificate",
)  # fmt: skip
"""Endpoints whose success says that the store answers."""

LOG = StructuredLog(__name__)


def _problem(code: str, detail: str, status: int | None = None) -> Response:
    """A refusal; 429 and 503 say when to try again."""
    status = status or problems.STATUS[code]
    return problem(status, code, detail, retry_after={429: FAILED_CLAIMS_SECONDS, 503: RETRY_SECONDS}.get(status))


def _shown(certificate: bytes | None) -> Shown:
    """What a connection's client certificate (DER) says of it; None: it has none."""
    return Shown(None if certificate is None else certificates.der_hash(certificate))


def _refusal(error: AuthorityError, method: str, path: str) -> Response:
    """The answer to what was refused; what should not have been is told in the log."""
    code = "not_authenticated" if error.code == "unauthorised" else error.code
    if not isinstance(error, RefusalError) or code not in problems.STATUS:
        LOG.error("a request failed", method=method, path=path, code=error.code, reason=str(error))
        return _problem("internal", "the authority could not answer; its log says why")
    return _problem(code, str(error))


class Readings(Together):
    """Answers gateways that post frames at the same moment, as all do at a boundary, with one commit."""

    pattern = plain_head("POST", paths.readings("([A-Za-z0-9._-]{1,64})"))
    most_bytes = MAX_GROUP * FRAME_SIZE

    def __init__(self, collector: Intake, live: Live) -> None:
        self._collector, self._live = collector, live

    def answer(self, requests: Sequence[Whole]) -> list[Answer]:
        """The same answers as the endpoint gives, one by one."""
        sent = [Sent(whole.body, whole.name, None, "https", _shown(whole.certificate)) for whole in requests]
        return [
            self._answer(one.gateway, done) for one, done in zip(sent, self._collector.ingest_all(sent), strict=True)
        ]

    def _answer(self, gateway: str, done: Ingested | RefusalError) -> Answer:
        if isinstance(done, RefusalError):
            response = _refusal(done, "POST", paths.readings(gateway))
            kept = [(name, value) for name, value in response.headers if name.lower() != "content-length"]
            return Answer(response.status_code, kept, response.get_data())
        self._live.seen(gateway)
        return Answer(200, [("Content-Type", paths.FRAMES_TYPE)], b"".join(done.receipts))


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
                    raise RateLimitedError("too many wrong claim codes from this address")

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
    collector: Intake,
    live: Live,
    *,
    peer_certificate: PeerCertificate = gunicorn_peer_certificate,
    random: Callable[[int], bytes] = os.urandom,
    monotonic: Callable[[], float] = time.monotonic,
) -> Flask:
    """The application; every answer that is not a success is application/problem+json."""
    app = Flask("authority.collector")
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY
    home, store, clock = authority.home, authority.store, authority.clock
    failed = _FailedClaims(monotonic)
    faults = Faults(LOG)
    ca_pem = certificates.certificate_to_pem(home.ca_certificate)

    def shown() -> Shown:
        """The certificate of the request's connection."""
        return _shown(peer_certificate(request.environ))

    def claim_of(session: Session) -> Claim:
        address = counted_by(request.remote_addr or "")
        failed.check(address)
        scheme, _, code = request.headers.get("Authorization", "").partition(" ")
        try:
            if scheme.lower() != paths.CLAIM_SCHEME.lower():
                raise UnauthorisedError("send the claim code: Authorization: Claim CODE")
            return requests.authenticate(session, code, clock())
        except RefusalError:
            failed.add(address)
            raise

    @app.before_request
    def refuse_nul() -> ResponseReturnValue | None:
        """No name has a NUL, and not every database takes one in a question."""
        return _problem("not_found", "there is nothing of that name") if "\0" in request.path else None

    @app.get(paths.CA)
    def ca() -> ResponseReturnValue:
        return Response(ca_pem, content_type=paths.CERTIFICATE_TYPE)

    @app.post(paths.ENROLMENTS)
    def enrol() -> ResponseReturnValue:
        body = read_json(request.get_data())
        with store.write() as session:
            asked = requests.request(session, home, claim_of(session), body, now=clock(), random=random)
        return asked, 201

    @app.post(paths.proofs("<enrolment>"))
    def prove(enrolment: str) -> ResponseReturnValue:
        body = read_json(request.get_data())
        with store.write() as session:
            state = requests.prove(session, home, requests.of_claim(session, claim_of(session), enrolment), body)
        return {"status": state}, 202

    @app.get(paths.enrolment("<enrolment>"))
    def show(enrolment: str) -> ResponseReturnValue:
        with store.read() as session:
            return requests.answer(session, home, requests.of_claim(session, claim_of(session), enrolment))

    @app.post(paths.readings("<gateway>"))
    def readings(gateway: str) -> ResponseReturnValue:
        ingested = collector.ingest(request.get_data(), gateway=gateway, meter=None, over="https", shown=shown())
        live.seen(gateway)
        return Response(b"".join(ingested.receipts), content_type=paths.FRAMES_TYPE)

    @app.post(paths.live("<gateway>"))
    def live_power(gateway: str) -> ResponseReturnValue:
        with store.read() as session:
            standing.require(session, gateway, shown())
        body = read_json(request.get_data())
        live.power(gateway, body.get("meters") if isinstance(body, dict) else None)
        return "", 204

    @app.post(paths.status("<gateway>"))
    def status(gateway: str) -> ResponseReturnValue:
        with store.read() as session:
            standing.require(session, gateway, shown())
        live.status(gateway, read_json(request.get_data()))
        return "", 204

    @app.post(paths.certificate("<gateway>"))
    def next_certificate(gateway: str) -> ResponseReturnValue:
        body = read_json(request.get_data())
        csr = body.get("csr") if isinstance(body, dict) else None
        with store.write() as session:
            standing.require(session, gateway, shown())
            answer = renewal.ask(session, gateway, csr, shown().certificate_hash, clock())
        return answer, 200 if "certificate" in answer else 202

    @app.put(paths.certificate("<gateway>"))
    def use_certificate(gateway: str) -> ResponseReturnValue:
        with store.write() as session:
            standing.require(session, gateway, shown())
            used = renewal.use(session, gateway, shown().certificate_hash, clock())
        return {"status": "used" if used else "unknown"}

    @app.get(paths.head("<gateway>", "<meter>"))
    def head_of(gateway: str, meter: str) -> ResponseReturnValue:
        with store.read() as session:
            standing.require(session, gateway, shown())
            row = session.scalar(select(Meter).where(Meter.gateway_name == gateway, Meter.name == meter))
            if row is None:
                raise NotFoundError(f"{gateway} has no meter {meter}")
            found = head(session, row)
        return ("", 204) if found is None else Response(found, content_type=paths.FRAMES_TYPE)

    @app.after_request
    def recovered(response: Response) -> Response:
        if request.endpoint in _ASK_THE_STORE and response.status_code < 400:
            faults.over("store", "the store answers again")
        return response

    app.extensions[READINGS] = Readings(collector, live)

    @app.errorhandler(AuthorityError)
    def refused(error: AuthorityError) -> ResponseReturnValue:
        return _refusal(error, request.method, request.path)

    @app.errorhandler(SQLAlchemyError)
    def store_failed(error: SQLAlchemyError) -> ResponseReturnValue:
        faults.met(
            "store",
            type(error).__name__,
            "the store failed",
            method=request.method,
            path=request.path,
            reason=str(error),
        )
        return _problem("unavailable", "the store does not answer; try again")

    @app.errorhandler(HTTPException)
    def failed_request(error: HTTPException) -> ResponseReturnValue:
        status = error.code or 500
        return _problem(problems.usual_code(status), error.description or error.name, status)

    @app.errorhandler(Exception)
    def broken(error: Exception) -> ResponseReturnValue:
        LOG.exception("a request failed", method=request.method, path=request.path)
        return _problem("internal", "the authority could not answer; its log says why")

    return app
