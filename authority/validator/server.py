"""JSON-RPC 2.0 over HTTP/1.1: one POST per call or batch, connections kept alive, one thread per connection.

A body comes with its length or in chunks (RFC 9112, 7.1), and a client that asks first (`Expect: 100-continue`) is told
to send it once its headers are found good.
"""

from __future__ import annotations

import logging
import socket
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from authority.errors import AuthorityError
from authority.validator.errors import RpcError
from authority.validator.jsonrpc import answer
from authority.validator.methods import Methods

MAX_BODY = 50 * 1024
MAX_CHUNK_LINE = 1_024
"""Bytes of a chunk's size with its extensions, or of a trailer's field."""
MAX_TRAILER_LINES = 32
MAX_CONNECTIONS = 256
IDLE_SECONDS = 75
"""How long a connection may stay silent, between calls and within one."""

_log = logging.getLogger(__name__)


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


class BodyRefusedError(AuthorityError):
    """A request's body is not taken; `status` is HTTP's word for it."""

    code = "body_refused"

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status


def _too_large() -> BodyRefusedError:
    return BodyRefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a request has at most {MAX_BODY} bytes")


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
        try:
            body = self._body()
        except BodyRefusedError as refused:
            self._refuse(refused.status, f"{refused}\n")
            return
        if body is None:
            self.close_connection = True
            return
        answered = answer(self.server.methods, body)
        reply = b"" if answered is None else answered.encode()
        self._reply(HTTPStatus.OK, reply, "application/json; charset=utf-8")

    def handle_expect_100(self) -> bool:
        """Nothing yet: whether the body is wanted is known when the headers have been looked at."""
        return True

    def _body(self) -> bytes | None:
        """The request's body; None where the connection ends within it. BodyRefusedError."""
        lengths = self.headers.get_all("Content-Length", [])
        codings = ", ".join(self.headers.get_all("Transfer-Encoding", [])).strip().lower()
        if codings and (lengths or self.request_version != "HTTP/1.1"):
            raise BodyRefusedError(HTTPStatus.BAD_REQUEST, "a body has a length or a transfer coding, not both")
        if codings not in ("", "chunked"):
            raise BodyRefusedError(HTTPStatus.NOT_IMPLEMENTED, "the only transfer coding taken is chunked")
        if codings:
            self._invite()
            return self._chunks()
        length = lengths[0] if len(set(lengths)) == 1 else ""
        if not (length.isascii() and length.isdigit()):
            raise BodyRefusedError(HTTPStatus.LENGTH_REQUIRED, "a Content-Length is required, or chunks")
        if len(length) > 9 or int(length) > MAX_BODY:
            raise _too_large()
        self._invite()
        body = self.rfile.read(int(length))
        return body if len(body) == int(length) else None

    def _invite(self) -> None:
        """Tell a client that waits for it to send its body (RFC 9110, 10.1.1)."""
        if self.headers.get("Expect", "").lower() == "100-continue" and self.request_version == "HTTP/1.1":
            self.wfile.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self.wfile.flush()

    def _chunks(self) -> bytes | None:
        """A body in chunks, without their extensions and the trailer; None where the connection ends within it."""
        body = bytearray()
        while (line := self._line()) is not None:
            digits = line.split(b";")[0].strip()
            if not digits or digits.strip(b"0123456789abcdefABCDEF"):
                raise BodyRefusedError(HTTPStatus.BAD_REQUEST, "a chunk begins with its size in hexadecimal digits")
            if len(digits.lstrip(b"0")) > 8 or len(body) + (size := int(digits, 16)) > MAX_BODY:
                raise _too_large()
            if size == 0:
                return bytes(body) if self._pass_trailer() else None
            chunk = self.rfile.read(size)
            if len(chunk) != size:
                return None
            body += chunk
            if (end := self._line()) is None:
                return None
            if end:
                raise BodyRefusedError(HTTPStatus.BAD_REQUEST, "a chunk is longer than it says")
        return None

    def _pass_trailer(self) -> bool:
        """Read the fields behind the last chunk, which say nothing here; whether their end was reached."""
        for _ in range(MAX_TRAILER_LINES):
            line = self._line()
            if not line:
                return line is not None
        raise BodyRefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the trailer is too long")

    def _line(self) -> bytes | None:
        """A line of a chunked body without its end; None where the connection ends within it."""
        line = self.rfile.readline(MAX_CHUNK_LINE + 2)
        if line.endswith(b"\r\n"):
            return line[:-2]
        if len(line) < MAX_CHUNK_LINE + 2 and not line.endswith(b"\n"):
            return None
        raise BodyRefusedError(
            HTTPStatus.BAD_REQUEST, "a line of the chunked body is too long, or does not end in CR LF"
        )

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
