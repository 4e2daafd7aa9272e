"""JSON-RPC 2.0 over HTTP/1.1: one POST per call or batch, connections kept alive, one thread per connection."""

from __future__ import annotations

import json
import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from authority.validator.errors import INTERNAL_ERROR, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, RpcError
from authority.validator.methods import Methods

MAX_BODY = 50 * 1024
MAX_BATCH = 1_000
MAX_BATCH_ANSWER = 64 * 1024 * 1024
"""Characters of a batch's answers after which its further calls are refused."""
MAX_CONNECTIONS = 256
IDLE_SECONDS = 75
"""How long a connection may stay silent, between calls and within one."""

_log = logging.getLogger(__name__)


def answer(methods: Methods, body: bytes) -> str | None:
    """The answer to a request's body: an object, a list for a batch, or None where only notifications came."""
    one = _answer(methods, body)
    return one if one is None or isinstance(one, str) else _text(one)


def _text(answered: dict[str, Any]) -> str:
    return json.dumps(answered, separators=(",", ":"))


def _answer(methods: Methods, body: bytes) -> dict[str, Any] | str | None:
    try:
        request = json.loads(body.decode(), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return _failure(None, RpcError(PARSE_ERROR, "Parse error"))
    if not isinstance(request, list):
        return _answer_one(methods, request)
    if not request:
        return _failure(None, RpcError(INVALID_REQUEST, "Invalid request"))
    if len(request) > MAX_BATCH:
        return _failure(None, RpcError(INVALID_REQUEST, f"Invalid request: a batch has at most {MAX_BATCH} calls"))
    answers: list[str] = []
    size = 0
    for item in request:
        if size > MAX_BATCH_ANSWER:
            one: dict[str, Any] | None = _too_much(item)
        else:
            one = _answer_one(methods, item)
        if one is not None:
            answers.append(_text(one))
            size += len(answers[-1])
    return f"[{','.join(answers)}]" if answers else None


def _too_much(request: Any) -> dict[str, Any] | None:
    """The refusal of a call whose batch has been answered at too great a length already."""
    if isinstance(request, dict) and "id" not in request:
        return None
    call_id = request.get("id") if isinstance(request, dict) else None
    named = call_id if isinstance(call_id, str | int | float) and not isinstance(call_id, bool) else None
    message = f"the batch's answers have more than {MAX_BATCH_ANSWER} bytes: ask for less at once"
    return _failure(named, RpcError(INVALID_REQUEST, message))


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _answer_one(methods: Methods, request: Any) -> dict[str, Any] | None:
    if not isinstance(request, dict):
        return _failure(None, RpcError(INVALID_REQUEST, "Invalid request"))
    known = "id" in request
    call_id = request.get("id")
    if isinstance(call_id, bool) or not isinstance(call_id, str | int | float | None):
        return _failure(None, RpcError(INVALID_REQUEST, "Invalid request: id must be a string, a number or null"))
    method = request.get("method")
    if request.get("jsonrpc") != "2.0" or not isinstance(method, str):
        return _failure(call_id, RpcError(INVALID_REQUEST, "Invalid request"))
    params = request.get("params")
    if not isinstance(params, list | dict | None):
        return _failure(call_id, RpcError(INVALID_REQUEST, "Invalid request: params must be a list"))
    try:
        if params is not None and not isinstance(params, list):
            raise RpcError(INVALID_PARAMS, "`params` should be an array")
        result = methods.call(method, params or [])
    except RpcError as error:
        return _failure(call_id, error) if known else None
    except Exception:  # noqa: BLE001 (a fault of ours is -32603 to the client and a traceback in the log)
        _log.exception("a call failed", extra={"fields": {"method": method}})
        return _failure(call_id, RpcError(INTERNAL_ERROR, "Internal error")) if known else None
    return {"jsonrpc": "2.0", "result": result, "id": call_id} if known else None


def _failure(call_id: Any, error: RpcError) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "error": error.to_json(), "id": call_id}


class RpcServer(ThreadingHTTPServer):
    """The listening server; `serve_forever` runs it, `shutdown` from another thread ends it.

    Without `browsers` it refuses what a web page's script sends: any page that a browser on this machine shows could
    otherwise speak to it, also one whose name was made to point here.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], methods: Methods, *, browsers: bool = False) -> None:
        self.methods = methods
        self.browsers = browsers
        self._places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, _Handler)

    @property
    def url(self) -> str:
        """Where clients reach it."""
        host, port = self.server_address[:2]
        name = str(host)
        return f"http://{f'[{name}]' if ':' in name else name}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give a connection its thread, or turn it away where there are too many."""
        if not self._places.acquire(blocking=False):
            try:
                request.settimeout(1)
                request.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            except OSError:
                pass
            finally:
                self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Serve one connection, then free its place."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._places.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is not worth a traceback."""
        _log.debug("a connection ended", exc_info=True, extra={"fields": {"peer": str(client_address)}})


class _Handler(BaseHTTPRequestHandler):
    server: RpcServer
    protocol_version = "HTTP/1.1"
    server_version = "authority-validator"
    sys_version = ""
    timeout = IDLE_SECONDS
    wbufsize = 64 * 1024  # one packet for headers and body; flushed after each request
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """/health, as Agave answers it; everything else is a POST."""
        if self.path == "/health":
            try:
                text = str(self.server.methods.call("getHealth", []))
            except RpcError:
                text = "unknown"
            self._reply(HTTPStatus.OK, text.encode(), "text/plain")
        else:
            self._no_such_method()

    def do_HEAD(self) -> None:
        """Refused, with the header alone."""
        self._no_such_method()

    def do_PUT(self) -> None:
        """Refused."""
        self._no_such_method()

    def do_DELETE(self) -> None:
        """Refused."""
        self._no_such_method()

    def _no_such_method(self) -> None:
        self._refuse(HTTPStatus.METHOD_NOT_ALLOWED, "Used HTTP Method is not allowed. POST or OPTIONS is required\n")

    def do_OPTIONS(self) -> None:
        """CORS preflight: explorers run in a browser."""
        if not self._is_of_a_page():
            self._reply(HTTPStatus.OK, b"", None)

    def _is_of_a_page(self) -> bool:
        """Refuse a web page's request (the one thing that sends an Origin) where browsers are not served."""
        if self.server.browsers or self.headers.get("Origin") is None:
            return False
        self._refuse(HTTPStatus.FORBIDDEN, "web pages are not answered here: authority validator --browsers\n")
        return True

    def do_POST(self) -> None:
        """One call or one batch."""
        if self._is_of_a_page():
            return
        kind = self.headers.get("Content-Type", "").split(";")[0].strip().lower()
        if kind != "application/json":
            self._refuse(
                HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                "Supplied content type is not allowed. Content-Type: application/json is required\n",
            )
            return
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()) or self.headers.get("Transfer-Encoding"):
            self._refuse(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is required\n")
            return
        if len(length) > 9 or int(length) > MAX_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {MAX_BODY} bytes\n")
            return
        body = self.rfile.read(int(length))
        if len(body) != int(length):
            self.close_connection = True
            return
        answered = answer(self.server.methods, body)
        reply = b"" if answered is None else answered.encode()
        self._reply(HTTPStatus.OK, reply, "application/json; charset=utf-8")

    def _refuse(self, status: HTTPStatus, text: str) -> None:
        """An HTTP error; the connection ends, since its body was not read."""
        self.close_connection = True
        self._reply(status, text.encode(), "text/plain")

    def _reply(self, status: HTTPStatus, body: bytes, kind: str | None) -> None:
        self.send_response(status)
        if kind is not None:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        if self.server.browsers:
            self.send_header("Access-Control-Allow-Origin", "*")
        if self.server.browsers and self.command == "OPTIONS":
            self.send_header("Access-Control-Allow-Methods", "POST, GET, OPTIONS")
            self.send_header("Access-Control-Allow-Headers", "*")
            self.send_header("Access-Control-Max-Age", "86400")
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests go to the debug log."""
        _log.debug("a request", extra={"fields": {"peer": self.address_string(), "request": format % args}})
