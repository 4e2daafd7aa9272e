"""HTTPS to the collector's listener (docs/PROTOCOL.md, "HTTPS"): mutual TLS, keep-alive, standard library alone."""

from __future__ import annotations

import email.utils
import http.client
import json
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from edge_agent.log import logger
from edge_agent.uplinks import (
    AuthorityRefusedError,
    AuthorityTime,
    Batch,
    BatchFailed,
    BatchSent,
    CertificateRefusedError,
    HeadArrived,
    HeadFailed,
    LinkChanged,
    MalformedAnswerError,
    ReceiptsArrived,
    ServerNotTrustedError,
    TlsFailedError,
    UnreachableError,
    UplinkError,
    UplinkEvent,
)
from edge_agent.wire import paths, problems
from edge_agent.wire.reading import FRAME_SIZE, MAX_FRAMES, RECEIPT_SIZE

MAX_ANSWER = 1 << 20
"""The largest answer read; the largest honest one is 256 receipts, 43 kB."""

_STALE = (
    http.client.RemoteDisconnected,
    BrokenPipeError,
    ConnectionResetError,
    ConnectionAbortedError,
    ssl.SSLEOFError,
    ssl.SSLZeroReturnError,
)


@dataclass(frozen=True)
class Reply:
    """An answer with status 200 to 299."""

    status: int
    body: bytes
    date: int | None

    def json(self) -> Any:
        """The body as JSON; UplinkError `malformed_answer`."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError) as error:
            raise MalformedAnswerError(f"the authority's answer is not JSON: {error}") from error


class HttpsClient:
    """One kept-alive connection to the authority, for one thread.

    Every call that we make may be made twice without harm, so a connection that the server closed while it was idle is
    opened again and the call repeated, once.
    """

    def __init__(self, address: tuple[str, int], context: ssl.SSLContext, *, timeout: float) -> None:
        self._address = address
        self._context = context
        self._timeout = timeout
        self._connection: http.client.HTTPSConnection | None = None

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *,
        content_type: str = "application/json",
        authorization: str | None = None,
    ) -> Reply:
        """One call; UplinkError with a code for everything that is not an answer of 200 to 299."""
        headers = {"Accept": "application/json, application/octet-stream, " + problems.CONTENT_TYPE}
        if body is not None:
            headers["Content-Type"] = content_type
        if authorization is not None:
            headers["Authorization"] = authorization
        fresh = self._connection is None
        try:
            try:
                return self._call(method, path, body, headers)
            except _STALE:
                if fresh:
                    raise
                self.close()
                return self._call(method, path, body, headers)
        except UplinkError:
            raise
        except ssl.SSLError as error:
            self.close()
            raise _tls_error(error, self._address) from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise UnreachableError(
                f"https://{self._address[0]}:{self._address[1]} does not answer: {_plain(error)}. Check `authority` in "
                "gateway.toml, this gateway's network, and that the authority runs",
            ) from error

    def _call(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        if self._connection is None:
            self._connection = http.client.HTTPSConnection(*self._address, context=self._context, timeout=self._timeout)
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            data = self._read(response)
        except BaseException:
            self.close()
            raise
        if response.will_close:
            self.close()
        if not 200 <= response.status < 300:
            raise _status_error(response, data)
        return Reply(response.status, data, _date(response.getheader("Date")))

    def _read(self, response: http.client.HTTPResponse) -> bytes:
        """The body, bounded in size and in total time (a server that drips bytes must not hold us)."""
        deadline = time.monotonic() + 4 * self._timeout
        data = bytearray()
        while chunk := response.read1(65536):
            data += chunk
            if len(data) > MAX_ANSWER:
                raise MalformedAnswerError(f"the authority's answer is longer than {MAX_ANSWER} bytes")
            if time.monotonic() > deadline:
                raise UnreachableError("the authority's answer does not end")
        if response.length:
            raise http.client.IncompleteRead(bytes(data), response.length)
        response.close()  # read1 does not notice the end of a body of known length; the connection stays open
        return bytes(data)


def _date(value: str | None) -> int | None:
    if value is None:
        return None
    try:
        return int(email.utils.parsedate_to_datetime(value).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None


def _plain(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, http.client.HTTPException):
        return f"its answer is cut short or not HTTP ({type(error).__name__})"
    return str(error)


def _tls_error(error: ssl.SSLError, address: tuple[str, int]) -> UplinkError:
    where = f"https://{address[0]}:{address[1]}"
    if isinstance(error, ssl.SSLCertVerificationError):
        hint = ""
        if "expired" in error.verify_message or "not yet valid" in error.verify_message:
            hint = "; is this gateway's clock right?"
        return ServerNotTrustedError(f"{where} is not our authority: {error.verify_message}{hint}")
    reason = error.reason or str(error)
    if "ALERT" in reason:
        return CertificateRefusedError(
            f"{where} refuses this gateway's certificate ({reason}); was it revoked, did it expire?",
        )
    return TlsFailedError(f"TLS with {where} failed: {reason}")


def _status_error(response: http.client.HTTPResponse, data: bytes) -> UplinkError:
    code, detail = problems.read_problem(data)
    retry_after: float | None = None
    header = response.getheader("Retry-After")
    if header is not None and header.strip().isascii() and header.strip().isdigit():
        retry_after = min(float(header.strip()), 3600.0)
    text = f"the authority answers {response.status} {response.reason}"
    if code:
        text += f" ({code})"
    if detail:
        text += f": {detail}"
    return AuthorityRefusedError(problems.usual_code(response.status), text, retry_after)


_TELLING: Mapping[str, Callable[[str], str]] = {"live": paths.live, "status": paths.status}
"""What is told without a journal, and the path to which."""


CHECK_SECONDS = 20.0
"""While the authority is not reached and there is nothing to say, it is tried again so often."""


class HttpsUplink:
    """The HTTPS uplink of a running agent: one thread, one connection, jobs in order.

    Heads are fetched here whichever link carries the readings. Of live power and status only the newest waits.
    """

    name = "https"

    def __init__(
        self, gateway: str, client: HttpsClient, emit: Callable[[UplinkEvent], None], clock: Callable[[], float]
    ) -> None:
        self._gateway = gateway
        self._client = client
        self._emit = emit
        self._clock = clock
        self._jobs: queue.SimpleQueue[Batch | str | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._telling: dict[str, dict[str, Any]] = {}
        self._last_status: bytes | None = None
        self._connected = False
        self._told = False
        self._thread = threading.Thread(target=self._run, name="uplink-https", daemon=True)
        self._closing = threading.Event()

    @property
    def connected(self) -> bool:
        """Whether the last call was answered."""
        return self._connected

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def close(self) -> None:
        """Stop after the job in hand."""
        self._closing.set()
        self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout=5.0)

    def send(self, batch: Batch) -> None:
        """Post a batch."""
        self._jobs.put(batch)

    def request_head(self, meter: str) -> None:
        """Fetch a meter's head: HeadArrived or HeadFailed follows."""
        self._jobs.put(f"head {meter}")

    def live(self, powers: Mapping[str, Mapping[str, int]]) -> None:
        """Post live power."""
        with self._lock:
            waiting = "live" in self._telling
            self._telling.setdefault("live", {"meters": {}})["meters"].update(powers)
        if not waiting:
            self._jobs.put("tell live")

    def status(self, status: Mapping[str, Any]) -> None:
        """Post the gateway's status."""
        with self._lock:
            waiting = "status" in self._telling
            self._telling["status"] = dict(status)
        if not waiting:
            self._jobs.put("tell status")

    def _run(self) -> None:
        while (job := self._next_job()) is not None and not self._closing.is_set():
            try:
                self.handle(job)
            except Exception as error:  # noqa: BLE001 - whatever one answer does to us, the next job is done
                logger.exception("an exchange with the authority failed unexpectedly")
                self._client.close()
                cause = MalformedAnswerError(f"the exchange failed: {type(error).__name__}")
                if isinstance(job, Batch):
                    self._emit(BatchFailed(job, self.name, cause))
                elif job.startswith("head "):
                    self._emit(HeadFailed(job.removeprefix("head "), cause))
        self._client.close()

    def _next_job(self) -> Batch | str | None:
        """What is to be done next. While the authority does not answer, that is asking whether it does again: a link on
        which nothing happens would be called down forever."""
        while True:
            try:
                return self._jobs.get(timeout=None if self._connected or not self._told else CHECK_SECONDS)
            except queue.Empty:
                return "check"

    def _check(self) -> None:
        with self._lock:
            status = self._last_status
        try:
            if status is None:
                self._reply(self._client.call("GET", paths.CA))
            else:
                self._reply(self._client.call("POST", paths.status(self._gateway), status))
        except UplinkError as error:
            self._failed(error)

    def handle(self, job: Batch | str) -> None:
        """Do one job. The thread calls it; a test may, in its own."""
        if isinstance(job, Batch):
            self._post(job)
        elif job == "check":
            self._check()
        elif job.startswith("head "):
            self._head(job.removeprefix("head "))
        else:
            what = job.removeprefix("tell ")
            with self._lock:
                data = json.dumps(self._telling.pop(what), separators=(",", ":")).encode()
                if what == "status":
                    self._last_status = data
            try:
                self._reply(self._client.call("POST", _TELLING[what](self._gateway), data))
            except UplinkError as error:
                self._failed(error)

    def _post(self, batch: Batch) -> None:
        if len(batch.frames) > MAX_FRAMES:
            raise ValueError(f"a batch has at most {MAX_FRAMES} frames, this one {len(batch.frames)}")
        try:
            reply = self._client.call(
                "POST", paths.readings(self._gateway), batch.to_bytes(), content_type=paths.FRAMES_TYPE
            )
        except UplinkError as error:
            self._emit(BatchFailed(batch, self.name, error))
            self._failed(error)
            return
        self._reply(reply)
        self._emit(BatchSent(batch, self.name))
        self._emit(ReceiptsArrived(reply.body, self.name))

    def _head(self, meter: str) -> None:
        try:
            reply = self._client.call("GET", paths.head(self._gateway, meter))
            self._reply(reply)
            if reply.status == 204:
                self._emit(HeadArrived(meter, None))
                return
            if len(reply.body) < FRAME_SIZE + RECEIPT_SIZE:
                raise MalformedAnswerError(
                    f"a head has {FRAME_SIZE} + {RECEIPT_SIZE} bytes or more, the authority sent {len(reply.body)}",
                )
        except UplinkError as error:
            self._emit(HeadFailed(meter, error))
            self._failed(error)
            return
        self._emit(HeadArrived(meter, reply.body))

    def _reply(self, reply: Reply) -> None:
        if reply.date is not None:
            self._emit(AuthorityTime(reply.date - int(self._clock())))
        if not self._connected or not self._told:
            self._connected = self._told = True
            self._emit(LinkChanged(self.name, True, None))

    def _failed(self, error: UplinkError) -> None:
        # An authority that refuses one call is still there; one that is not reached, or does not let us in, is not.
        down = error.code in {
            "unreachable",
            "server_not_trusted",
            "certificate_refused",
            "tls_failed",
            "not_authenticated",
            "busy",
            "server_error",
        }
        if down and (self._connected or not self._told):
            self._connected, self._told = False, True
            self._emit(LinkChanged(self.name, False, error))
