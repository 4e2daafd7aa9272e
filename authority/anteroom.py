"""Where connections wait until their request is whole: a client that is slow or silent holds a socket, never a thread.

gunicorn's threaded worker gives a new connection to a thread at once, which then waits for the TLS handshake, the
headers and the body; a few clients that send a byte a second take all threads. Here one selector waits for all of them,
with a deadline for each step, and a thread gets a connection whose request lies in memory. The same selector sees to
the end of connections. Strangers (without a client certificate) have threads of their own, so many connections an
address and so many in all; who comes in with a certificate of the department is not counted.

Requests of one kind may be answered together (`Together`): what many clients ask at the same moment then costs one
call, and neither a thread nor a WSGI environment each.

Several processes may serve one port (`authority.siblings`): what only the first of them answers is given to it.
"""

from __future__ import annotations

import contextlib
import http
import ipaddress
import json
import os
import queue
import re
import selectors
import socket
import ssl
import threading
import time
import urllib.parse
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from email.utils import formatdate
from enum import Enum, auto
from functools import partial
from typing import Any, ClassVar, TypeVar

from gunicorn import sock
from gunicorn.http import get_parser
from gunicorn.workers.gthread import TConn, ThreadWorker

from authority.errors import AuthorityError
from authority.siblings import Siblings
from edge_agent.wire import problems

HANDSHAKE_SECONDS = 5.0
HEADER_SECONDS = 5.0
BODY_SECONDS = 15.0
LINGER_SECONDS = 2.0
"""How long a closed connection may take to see its end, so that its last answer is not cut off (RFC 9112, 9.6)."""
STRANGER_IDLE_SECONDS = 5.0
"""How long a stranger's connection may rest between two requests."""
SEND_BUFFER = 512 * 1024
"""Bytes of an answer that the kernel takes over, so that no thread waits for a client that reads slowly."""
ACCEPT_AT_ONCE = 64
LOOK_SECONDS = 0.5
"""How often deadlines are looked at, at the most."""
GAP_SECONDS, LONGEST_SECONDS = 0.01, 0.1
"""How long one request waits for the next, and the first of them for the last."""
TOGETHER_THREADS = 2
"""So that some requests are checked while others wait for the disk."""
_READ = 64 * 1024
Item = TypeVar("Item")
_REFUSALS = {
    503: ("unavailable", "the process that answers this is starting: ask again in a few seconds"),
    413: ("too_large", "the body is larger than anything that is taken here: send less at once"),
    431: ("malformed", "the headers are larger than anything that is taken here"),
}


@dataclass(frozen=True)
class Limits:
    """max_header and max_body in bytes; stranger_threads beside those of the enrolled (0: one pool for all).

    per_address and strangers count open connections without a client certificate. endless are paths whose answer never
    ends by itself; any other may hold a thread for request_seconds, one of `slow` for the seconds that it says.
    trust_loopback: this machine's own connections are not counted by address, since a proxy's come from there. All of
    it is for each of several processes that serve one port, but for paths that begin as one of `at_first`, which the
    first of them answers.
    """

    max_header: int = 16 * 1024
    max_body: int = 256 * 1024
    stranger_threads: int = 0
    per_address: int = 32
    strangers: int = 500
    request_seconds: float = 60.0
    endless: frozenset[str] = frozenset()
    slow: Mapping[str, float] = field(default_factory=dict)
    trust_loopback: bool = False
    at_first: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    """A request that is answered with others: what the pattern's first group found, the body, the certificate (DER)."""

    name: str
    body: bytes
    certificate: bytes | None


@dataclass(frozen=True, slots=True)
class Answer:
    """Status, headers but for those of the connection, and body."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


class Together(ABC):
    """Answers requests of one kind, many at a time."""

    pattern: re.Pattern[bytes]
    """What the whole head of such a request is; any other takes the usual way, which judges it."""
    most_bytes: int = 256 * 1024
    """Bodies that are taken together; the last may go beyond it."""

    @abstractmethod
    def answer(self, requests: Sequence[Whole]) -> Sequence[Answer]:
        """One answer each, in order. Called from several threads."""


def gather(waiting: queue.SimpleQueue[Item | None], size: Callable[[Item], int], most: int) -> list[Item]:
    """What waits, and what comes soon behind it, up to a total size that the last may go beyond; empty at None.

    It waits for the first, then as long as one follows another within GAP_SECONDS, but not beyond LONGEST_SECONDS: who
    comes alone is not kept waiting, and many who come at the same moment share what is done for them.
    """
    first = waiting.get()
    if first is None:
        return []
    taken, total, end = [first], size(first), time.monotonic() + LONGEST_SECONDS
    while total < most and (left := end - time.monotonic()) > 0:
        try:
            one = waiting.get(timeout=min(GAP_SECONDS, left))
        except queue.Empty:
            break
        if one is None:
            waiting.put(None)
            break
        taken.append(one)
        total += size(one)
    return taken


def plain_head(method: str, path: str) -> re.Pattern[bytes]:
    """The head of a plain HTTP/1.1 request: this path (a pattern), one length, and nothing that asks for more."""
    usual = "host|user-agent|accept|accept-encoding|content-type"
    line = rf"\r\n(?:(?:{usual}): ?[ -~]*|connection: ?keep-alive)"
    return re.compile(
        rf"(?i:{method}) {path} HTTP/1\.1(?i:(?:{line})*\r\ncontent-length: ?[0-9]{{1,9}}(?:{line})*)".encode()
    )


class Step(Enum):
    """What a connection in the anteroom is waiting for."""

    HANDSHAKE = auto()
    IDLE = auto()
    REQUEST = auto()
    ANSWER = auto()
    END = auto()


@dataclass(eq=False)
class Guest:
    """One connection, from its acceptance to its end."""

    conn: Any
    address: str
    stranger: bool = True
    counted: bool = True
    step: Step = Step.HANDSHAKE
    deadline: float = 0.0
    buffer: bytearray = field(default_factory=bytearray)
    body_begun: bool = False
    end: int | None = None
    """How much of the buffer is the first request, once that is whole."""
    watched: int = 0
    path: str = ""
    busy_since: float | None = None
    answer: memoryview = field(default_factory=lambda: memoryview(b""))


_INTERNAL = Answer(
    500,
    [("Content-Type", problems.CONTENT_TYPE)],
    json.dumps(problems.problem(500, "internal", "the authority could not answer; its log says why")).encode(),
)


def _packed(answer: Answer) -> bytes:
    """An answer on a connection that is kept."""
    lines = [
        f"HTTP/1.1 {answer.status} {http.HTTPStatus(answer.status).phrase}",
        f"Date: {formatdate(usegmt=True)}",
        "Connection: keep-alive",
        *(f"{name}: {value}" for name, value in answer.headers),
        f"Content-Length: {len(answer.body)}",
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + answer.body


class TooLargeError(AuthorityError):
    """A request's head, or its body, is larger than the limits: `status` is 431 or 413."""

    code = "too_large"

    def __init__(self, status: int) -> None:
        super().__init__(f"the request is too large (HTTP {status})")
        self.status = status


def request_end(buffer: bytes | bytearray, limits: Limits) -> int | None:
    """How many bytes the first request in a buffer has, or None where more is to come; TooLargeError.

    What is malformed ends where that is seen: gunicorn's parser, which has the last word, refuses it.
    """
    head_end = buffer.find(b"\r\n\r\n")
    if (head_end if head_end >= 0 else len(buffer)) > limits.max_header:
        raise TooLargeError(431)
    if head_end < 0:
        return None
    body = head_end + 4
    headers = _headers(bytes(buffer[:head_end]))
    if b"chunked" in headers.get(b"transfer-encoding", b"").lower():
        end = _chunked_end(buffer, body)
    else:
        length = headers.get(b"content-length", b"0")
        end = body + int(length) if length.isdigit() and len(length) < 19 else body
    if (len(buffer) if end is None else end) - body > limits.max_body:
        raise TooLargeError(413)
    return None if end is None or end > len(buffer) else end


def _headers(head: bytes) -> dict[bytes, bytes]:
    lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
    return {name.strip().lower(): value.strip() for name, _, value in lines}


def path_of(line: bytes) -> str:
    """The path that a request line asks for, as an application reads it, however it is written (RFC 9112, 3.2)."""
    target = line.partition(b" ")[2].partition(b" ")[0].partition(b"?")[0]
    if not target.startswith(b"/"):  # the absolute form
        target = b"/" + target.partition(b"://")[2].partition(b"/")[2]
    return re.sub("//+", "/", urllib.parse.unquote(target.decode("latin-1")))


def _chunked_end(buffer: bytes | bytearray, at: int) -> int | None:
    """Where a chunked body ends (RFC 9112, 7.1), or, beyond the buffer, does not end before; None is anywhere."""
    while True:
        line_end = buffer.find(b"\r\n", at)
        if line_end < 0:
            return None
        try:
            size = int(bytes(buffer[at:line_end]).split(b";")[0].strip(), 16)
        except ValueError:
            return len(buffer)
        if size < 0:
            return len(buffer)
        if size == 0:
            if buffer[line_end : line_end + 4] == b"\r\n\r\n":
                return line_end + 4
            trailer_end = buffer.find(b"\r\n\r\n", line_end)
            return None if trailer_end < 0 else trailer_end + 4
        at = line_end + 2 + size + 2
        if at > len(buffer):
            return at


def counted_by(address: str) -> str:
    """What somebody at an address is counted by: an IPv4 address, or an IPv6 network of 64 bits, which one host has.

    Empty for what is no address.
    """
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


class AnteroomWorker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, whose threads never wait for a client's bytes. Subclasses set `limits`."""

    limits: ClassVar[Limits] = Limits()

    def __init__(self, *arguments: Any, **keywords: Any) -> None:
        super().__init__(*arguments, **keywords)
        self._together: Together | None = None
        self._wholes: queue.SimpleQueue[tuple[Guest, Whole] | None] = queue.SimpleQueue()
        self._gathering = threading.Lock()
        self._look_at = 0.0
        self._guests: dict[Any, Guest] = {}
        self._by_address: dict[str, int] = {}
        self._strangers = 0
        self._stranger_pool: ThreadPoolExecutor | None = None
        self._tls: tuple[int, ssl.SSLContext] | None = None
        self._is_first = False

    def init_process(self) -> None:
        """Make the strangers' threads, in the worker."""
        if self.limits.stranger_threads:
            self._stranger_pool = ThreadPoolExecutor(self.limits.stranger_threads, thread_name_prefix="stranger")
        super().init_process()

    def together(self) -> Together | None:
        """What answers several requests together, where anything does; asked once, with the application loaded."""
        return None

    def siblings(self) -> Siblings | None:
        """The processes that serve the port with this one, where there are others."""
        return None

    def run(self) -> None:
        """Serve until told to stop."""
        self._together = self.together()
        for n in range(TOGETHER_THREADS if self._together is not None else 0):
            threading.Thread(target=self._answer_together, name=f"together-{n}", daemon=True).start()
        super().run()
        if self._stranger_pool is not None:
            self._stranger_pool.shutdown(wait=False)

    # Coming in

    def accept(self, listener: socket.socket) -> None:
        """Take what waits at the listener, as far as there is room."""
        for _ in range(ACCEPT_AT_ONCE if self.siblings() is None else 1):  # with others, each takes what it can answer
            try:
                client, address = listener.accept()
            except OSError:  # nobody more, or gone already
                return
            self._admit(client, address, listener.getsockname())
            if self.nr_conns >= self.worker_connections:
                return

    def _look_for_given(self) -> None:
        """Become the first of the processes where there is none, and take from then on what they give it."""
        siblings = self.siblings()
        if siblings is None or self._is_first or not siblings.is_first():
            return
        self._is_first = True

        def take(_socket: object) -> None:
            while (given := siblings.take()) is not None:
                client, read = given
                try:
                    client.setblocking(False)
                    self._admit(client, client.getpeername(), client.getsockname(), read)
                except OSError:  # it has gone
                    client.close()

        self.poller.register(siblings.inbox, selectors.EVENT_READ, take)

    def _give_to_first(self, guest: Guest) -> bool:
        """Give a connection with a whole request to the first process where that answers it; whether it is gone.

        Its answer there is its last: a proxy's connections would all come together there otherwise.
        """
        siblings = self.siblings()
        if siblings is None or self._is_first:
            return False
        line, _, rest = bytes(guest.buffer).partition(b"\r\n")
        if not path_of(line).startswith(self.limits.at_first):
            return False
        if siblings.give(guest.conn.sock, line + b"\r\nConnection: close\r\n" + rest):
            self._drop(guest)
        else:
            self._refuse(guest, 503)
        return True

    def _admit(self, client: socket.socket, address: Any, server: Any, read: bytes = b"") -> None:
        where = counted_by(str(address[0])) if isinstance(address, tuple) else ""  # else it is a Unix socket
        if self.limits.trust_loopback and where and ipaddress.ip_network(where).is_loopback:
            where = ""
        crowded = where and self._by_address.get(where, 0) >= self.limits.per_address
        full = self._strangers >= self.limits.strangers
        if (crowded and not self._make_room(where)) or (full and not self._make_room()):
            client.close()
            return
        with contextlib.suppress(OSError):
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        conn = TConn(self.cfg, client, address, server)
        guest = Guest(conn, where, buffer=bytearray(read))
        try:
            if self.cfg.is_ssl:
                conn.sock = self._context().wrap_socket(
                    client, server_side=True, do_handshake_on_connect=False, suppress_ragged_eofs=True
                )
        except OSError:  # it has gone
            client.close()
            return
        self.nr_conns += 1
        self._strangers += 1
        self._by_address[where] = self._by_address.get(where, 0) + 1
        self._guests[conn] = guest
        if self.cfg.is_ssl:
            self._wait(guest, Step.HANDSHAKE, HANDSHAKE_SECONDS)
        else:
            self._wait(guest, Step.REQUEST, HEADER_SECONDS)
        self._go_on(guest)

    def _context(self) -> ssl.SSLContext:
        """TLS with the certificate as it is on the disk: a renewed one is taken without a restart."""
        changed = os.stat(self.cfg.certfile).st_mtime_ns
        if self._tls is None or self._tls[0] != changed:
            self._tls = changed, sock.ssl_context(self.cfg)
        return self._tls[1]

    def _make_room(self, address: str | None = None) -> bool:
        """End the stranger, of an address or of all, that came first and is waiting; whether there was one."""
        for guest in self._guests.values():
            if guest.counted and guest.watched and address in (None, guest.address):
                self._drop(guest)
                return True
        return False

    # Waiting

    def _wait(self, guest: Guest, step: Step, seconds: float) -> None:
        guest.step, guest.deadline = step, time.monotonic() + seconds

    def _watch(self, guest: Guest, events: int) -> None:
        """Have the selector call `_go_on` when the socket is ready for these events; 0 leaves it alone."""
        if events == guest.watched:
            return
        if not guest.watched:
            self.poller.register(guest.conn.sock, events, partial(self._ready, guest))
        elif not events:
            self.poller.unregister(guest.conn.sock)
        else:
            self.poller.modify(guest.conn.sock, events, partial(self._ready, guest))
        guest.watched = events

    def _ready(self, guest: Guest, _socket: object) -> None:
        self._go_on(guest)

    def _go_on(self, guest: Guest) -> None:
        """Do what can be done without waiting."""
        try:
            if guest.step is Step.HANDSHAKE:
                guest.conn.sock.do_handshake()
                self._recognise(guest)
                self._wait(guest, Step.REQUEST, HEADER_SECONDS)
            if guest.step is Step.ANSWER:
                self._send_answer(guest)
            if guest.step is Step.END:
                while guest.conn.sock.recv(_READ):
                    pass
                self._drop(guest)
                return
            self._read(guest)
        except TooLargeError as error:
            self._refuse(guest, error.status)
        except (BlockingIOError, ssl.SSLWantReadError):
            self._watch(guest, selectors.EVENT_READ)
        except ssl.SSLWantWriteError:
            self._watch(guest, selectors.EVENT_WRITE)
        except (OSError, ValueError, RuntimeError):  # TLS fails, it is reset or closed, or the worker stops
            self._drop(guest)

    def _recognise(self, guest: Guest) -> None:
        """Whoever has shown a certificate of the department is not a stranger, and is counted no more."""
        if guest.conn.sock.getpeercert(binary_form=True) is not None:
            self._uncount(guest)
            guest.stranger = False

    def _read(self, guest: Guest) -> None:
        while not self._is_whole(guest):
            some = guest.conn.sock.recv(_READ)
            if not some:
                self._drop(guest)
                return
            if guest.step is Step.IDLE:
                self._wait(guest, Step.REQUEST, HEADER_SECONDS)
            guest.buffer += some
            if not guest.body_begun and b"\r\n\r\n" in guest.buffer:
                guest.body_begun = True
                self._wait(guest, Step.REQUEST, BODY_SECONDS)
                if not self._is_whole(guest):  # what is too large is refused before it is sent
                    self._invite(guest)
        self._watch(guest, 0)
        self._hand_over(guest)

    def _is_whole(self, guest: Guest) -> bool:
        while guest.buffer.startswith(b"\r\n"):  # before a request line, an empty one is passed over (RFC 9112, 2.2)
            del guest.buffer[:2]
        guest.end = request_end(guest.buffer, self.limits)
        return guest.end is not None

    def _invite(self, guest: Guest) -> None:
        """Send 100 Continue to a client that waits for it before its body (RFC 9110, 10.1.1)."""
        sent = bytes(guest.buffer.partition(b"\r\n\r\n")[0])
        if b"100-continue" in sent.lower() and _headers(sent).get(b"expect", b"").lower() == b"100-continue":
            guest.conn.sock.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _hand_over(self, guest: Guest) -> None:
        """Give a connection with a whole request to a thread; what came behind it is given back by the parser."""
        if self._give_to_first(guest):
            return
        if self._together is not None and not guest.stranger and self._joins(guest, self._together):
            return
        conn = guest.conn
        if conn.parser is None:
            conn.parser = get_parser(self.cfg, conn.sock, conn.client)
        conn.parser.unreader.unread(bytes(guest.buffer))
        guest.path = guest.buffer.partition(b"\r\n")[0].decode("latin-1").partition(" ")[2].partition(" ")[0]
        guest.buffer.clear()
        guest.body_begun = False
        conn.initialized = conn.data_ready = True
        pool = self._stranger_pool if guest.stranger and self._stranger_pool is not None else self.tpool
        future = pool.submit(self.handle, conn)
        future.add_done_callback(lambda done: self.method_queue.defer(self.finish_request, conn, done))

    def _joins(self, guest: Guest, together: Together) -> bool:
        """Take a connection's request to those that are answered together, where it is one of them."""
        head = guest.buffer.find(b"\r\n\r\n")
        found = together.pattern.fullmatch(guest.buffer, 0, head)
        end = guest.end
        if found is None or end is None:
            return False
        whole = Whole(
            found[1].decode(), bytes(guest.buffer[head + 4 : end]), guest.conn.sock.getpeercert(binary_form=True)
        )
        del guest.buffer[:end]
        guest.body_begun = False
        self._wholes.put((guest, whole))
        return True

    def _answer_together(self) -> None:
        """Answer what waits, as many at once as come within a moment; in a thread of its own."""
        together = self._together
        assert together is not None  # noqa: S101
        while True:
            with self._gathering:
                taken = gather(self._wholes, lambda one: len(one[1].body), together.most_bytes)
            try:
                answers = together.answer([whole for _, whole in taken])
            except Exception:
                self.log.exception("requests could not be answered")
                answers = [_INTERNAL] * len(taken)
            packed = [(guest, _packed(answer)) for (guest, _), answer in zip(taken, answers, strict=True)]
            self.method_queue.defer(self._answered, packed)

    def _answered(self, answers: Sequence[tuple[Guest, bytes]]) -> None:
        """Send answers, each as fast as its client takes it. In the main thread."""
        for guest, data in answers:
            if guest.conn in self._guests:
                guest.answer = memoryview(data)
                self._wait(guest, Step.ANSWER, self.limits.request_seconds)
                self._go_on(guest)

    def _send_answer(self, guest: Guest) -> None:
        while guest.answer:
            guest.answer = guest.answer[guest.conn.sock.send(guest.answer) :]
        self._rest(guest)

    def _rest(self, guest: Guest) -> None:
        """Wait for a connection's next request, of which something may be there."""
        idle = STRANGER_IDLE_SECONDS if guest.stranger else float(self.cfg.keepalive)
        if guest.buffer:
            self._wait(guest, Step.REQUEST, HEADER_SECONDS)
        else:
            self._wait(guest, Step.IDLE, idle if self.alive else min(idle, LINGER_SECONDS))

    def handle(self, conn: Any) -> object:
        """One request, in a thread."""
        guest = self._guests.get(conn)
        if guest is None:
            return False
        guest.busy_since = time.monotonic()
        try:
            return super().handle(conn)
        finally:
            guest.busy_since = None

    def finish_request(self, conn: Any, done: Future[object]) -> None:
        """A request was answered: back to waiting, or to the end. In the main thread."""
        guest = self._guests.get(conn)
        if guest is None:
            return
        try:
            kept = bool(done.result()) and not done.cancelled()
            conn.sock.setblocking(False)
        except Exception:  # noqa: BLE001 - whatever it was, it ended this connection and no other
            self._drop(guest)
            return
        if not kept:
            self._end(guest)
            return
        guest.buffer += conn.parser.unreader.take_buffered()
        self._rest(guest)
        self._go_on(guest)

    # Ending

    def _refuse(self, guest: Guest, status: int) -> None:
        """Answer what no thread is to see, as a problem (RFC 9457)."""
        code, detail = _REFUSALS[status]
        body = json.dumps(problems.problem(status, code, detail))
        title = http.HTTPStatus(status).phrase
        head = f"HTTP/1.1 {status} {title}\r\nContent-Type: {problems.CONTENT_TYPE}\r\nConnection: close\r\n"
        with contextlib.suppress(OSError):
            guest.conn.sock.send(f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())
        self._end(guest)

    def _end(self, guest: Guest) -> None:
        """Say that nothing more comes, and wait a little until the client has read it all."""
        self._wait(guest, Step.END, LINGER_SECONDS)
        try:
            guest.conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(guest)
            return
        self._go_on(guest)

    def _drop(self, guest: Guest) -> None:
        if self._guests.pop(guest.conn, None) is None:
            return
        with contextlib.suppress(OSError, KeyError, ValueError):
            self._watch(guest, 0)
        guest.conn.close()
        self.nr_conns -= 1
        self._uncount(guest)

    def _uncount(self, guest: Guest) -> None:
        if not guest.counted:
            return
        guest.counted = False
        self._strangers -= 1
        left = self._by_address[guest.address] - 1
        if left:
            self._by_address[guest.address] = left
        else:
            del self._by_address[guest.address]

    def murder_keepalived(self, force: bool = False) -> None:
        """End what is past its deadline; gunicorn's main loop calls this after whatever happened."""
        now = time.monotonic()
        if now < self._look_at and not force:  # it looks at everybody, so not for each that comes
            return
        self._look_at = now + LOOK_SECONDS
        self._look_for_given()
        for guest in list(self._guests.values()):
            if guest.busy_since is not None:
                if guest.path.partition("?")[0] not in self.limits.endless:
                    self._end_overdue(guest, now)
            elif guest.watched and (force or guest.deadline < now):
                self._drop(guest)

    def _end_overdue(self, guest: Guest, now: float) -> None:
        """Take its connection from a thread that has waited for a client too long; the thread then ends by itself."""
        seconds = self.limits.slow.get(guest.path.partition("?")[0], self.limits.request_seconds)
        if guest.busy_since is not None and guest.busy_since < now - seconds:
            with contextlib.suppress(OSError):
                guest.conn.sock.shutdown(socket.SHUT_RDWR)

    def _cap_keepalive(self, deadline: float) -> None:
        for guest in self._guests.values():
            guest.deadline = min(guest.deadline, deadline)
