"""HTTP for the client: a token, time limits, tries again where the service says when, and answers that are kept.

A call is tried again after 429 and 503, when Retry-After has passed, and where no answer came; one that changes
something only if doing it twice is doing it once: by its method, or by its Idempotency-Key. What was answered to a GET
is kept with its ETag, and taken from there where the service says that it did not change (304).
"""

from __future__ import annotations

import email.utils
import gzip
import http.client
import json
import secrets
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from email.message import Message
from typing import Any, TypeVar

from authority.client.errors import AnswerMalformedError, AuthorityAwayError, ProblemError
from authority.client.values import decoded, encoded

Answer = TypeVar("Answer")
TIMEOUT_SECONDS = 30.0
TRIES = 5
LONGEST_WAIT_SECONDS = 120.0
"""A longer Retry-After is not waited for: the problem is raised, and says how long it is."""
FIRST_WAIT_SECONDS = 0.5
"""Before the second try where the service names no time; before each further one twice as long."""
MOST_KEPT, LARGEST_KEPT = 256, 256 * 1024
"""How many answers are kept with their tags, and up to how many bytes."""
LATER = (429, 503)
"""What is refused for now, before anything was done."""
STILL_UNDER_WAY = "idempotency_key_in_flight"
"""The code of a refusal (409): an earlier try of the same call is not done yet, or its process died."""
UNHARMED_TWICE = ("GET", "PUT", "DELETE")
ONLY_HERE = ("localhost", "127.0.0.1", "::1")
PROBLEM, JSON = "application/problem+json", "application/json"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The API sends nobody elsewhere; a token must not follow anybody who does."""

    def redirect_request(self, *_: Any) -> None:
        return None


@dataclass(frozen=True, slots=True)
class _Got:
    """An answer: status, headers, body."""

    status: int
    headers: Message
    body: bytes


@dataclass
class Transport:
    """Calls of one service. address is its origin, such as https://energy.campus.example; ValueError where it is none.

    token is sent with every call, over HTTPS alone, or to this machine. For one thread at a time.
    """

    address: str
    token: str = field(default="", repr=False)
    timeout: float = TIMEOUT_SECONDS
    tries: int = TRIES
    longest_wait: float = LONGEST_WAIT_SECONDS
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    _kept: OrderedDict[str, tuple[str, _Got]] = field(default_factory=OrderedDict, init=False, repr=False)

    def __post_init__(self) -> None:
        parts = urllib.parse.urlsplit(self.address)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{self.address!r} is no address: name the service's, such as https://energy.example")
        if parts.scheme == "http" and parts.hostname not in ONLY_HERE and self.token:
            raise ValueError("a token goes over https alone: without it everybody on the way could take it")
        self.address = self.address.rstrip("/")
        self._opener = urllib.request.build_opener(_NoRedirect)

    def ask(
        self,
        method: str,
        path: str,
        kind: Any,
        *,
        query: Mapping[str, Any] | None = None,
        body: Any = None,
        key: str | None = None,
    ) -> Any:
        """Do a call; what its answer says, as `kind`: a schema, Any, bytes, or None where it says nothing.

        key is its Idempotency-Key. ProblemError, AuthorityAwayError, AnswerMalformedError.
        """
        url = self.address + path + _query(query or {})
        headers = {"Accept": f"{JSON}, {PROBLEM}, */*;q=0.5", "Accept-Encoding": "gzip"}
        data = None
        if body is not None:
            data, headers["Content-Type"] = json.dumps(encoded(body)).encode(), JSON
        if key is not None:
            headers["Idempotency-Key"] = key
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        known = self._kept.get(url) if method == "GET" else None
        if known is not None:
            headers["If-None-Match"] = known[0]
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310  (http or https, as checked)
        got = self._tried(request, method, key)
        if got.status == http.client.NOT_MODIFIED and known is not None:
            got = known[1]
        elif method == "GET" and len(got.body) <= LARGEST_KEPT and (tag := got.headers.get("ETag")):
            self._keep(url, tag, got)
        return _said(kind, got)

    def _keep(self, url: str, tag: str, got: _Got) -> None:
        self._kept[url] = (tag, got)
        self._kept.move_to_end(url)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def _tried(self, request: urllib.request.Request, method: str, key: str | None) -> _Got:
        again = method in UNHARMED_TWICE or key is not None
        for tried in range(self.tries):
            wait, is_last = FIRST_WAIT_SECONDS * 2**tried, tried + 1 == self.tries
            try:
                got = self._once(request)
            except AuthorityAwayError:
                if is_last or not again:
                    raise
            else:
                if got.status < http.client.BAD_REQUEST:
                    return got
                problem = self._problem(got)
                tell = problem.retry_after
                is_later = got.status in LATER or problem.code == STILL_UNDER_WAY
                if is_last or not is_later or (got.status != LATER[0] and not again):
                    raise problem
                if tell is not None and tell > self.longest_wait:
                    raise problem
                wait = wait if tell is None else tell
            self.sleep(wait)
        raise AssertionError("the last try returns or raises")

    def _once(self, request: urllib.request.Request) -> _Got:
        try:
            try:
                with self._opener.open(request, timeout=self.timeout) as answer:
                    return _Got(answer.status, answer.headers, _plain(answer.headers, answer.read()))
            except urllib.error.HTTPError as error:
                with error:
                    return _Got(error.code, error.headers, _plain(error.headers, error.read()))
        except (OSError, http.client.HTTPException) as error:
            why = getattr(error, "reason", None) or error
            raise AuthorityAwayError(f"{request.host} gave no answer: {why}") from error

    def _problem(self, got: _Got) -> ProblemError:
        try:
            said = json.loads(got.body)
        except (ValueError, RecursionError):
            said = {}
        said = said if isinstance(said, dict) else {}
        title = http.client.responses.get(got.status, "")
        return ProblemError(
            got.status,
            str(said.get("code", f"http_{got.status}")),
            str(said.get("title", title)),
            str(said.get("detail", "")),
            self._seconds(got.headers.get("Retry-After")),
        )

    def _seconds(self, said: str | None) -> float | None:
        """Retry-After (RFC 9110, 10.2.3): seconds, or a date."""
        if said is None:
            return None
        if said.strip().isdigit():
            return float(said)
        try:
            moment: datetime = email.utils.parsedate_to_datetime(said)
        except ValueError:
            return None
        return max(0.0, moment.timestamp() - self.clock())


class Service:
    """What the calls are made with: `CampusClient("https://energy.campus.example", token="campus_...")`.

    timeout is how many seconds the service may be silent, tries how often a call is tried, longest_wait how many
    seconds are waited between two tries at most. ValueError for an address that is none.
    """

    def __init__(
        self,
        address: str,
        token: str = "",
        *,
        timeout: float = TIMEOUT_SECONDS,
        tries: int = TRIES,
        longest_wait: float = LONGEST_WAIT_SECONDS,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._transport = Transport(address, token, timeout, tries, longest_wait, sleep)


def fresh_key() -> str:
    """An Idempotency-Key that was never used."""
    return secrets.token_urlsafe(24)


def pages(page: Callable[[int | None], Any], rows: str) -> Iterator[Any]:
    """The rows of a list, a page at a time as they are asked for; `rows` is the field of a page that has them."""
    cursor: int | None = None
    while True:
        found = page(cursor)
        yield from getattr(found, rows)
        if found.next is None:
            return
        cursor = int(found.next)


def path(template: str, **parts: str | int) -> str:
    """A path with its parts filled in; each is one segment, whatever characters it has."""
    return template.format(**{name: urllib.parse.quote(str(part), safe="") for name, part in parts.items()})


def _query(given: Mapping[str, Any]) -> str:
    told = [
        (name, each.isoformat() if isinstance(each, date) else str(each))
        for name, value in given.items()
        if value is not None
        for each in (value if isinstance(value, (list, tuple)) else (value,))
    ]
    return f"?{urllib.parse.urlencode(told)}" if told else ""


def _plain(headers: Message, body: bytes) -> bytes:
    if headers.get("Content-Encoding") != "gzip":
        return body
    try:
        return gzip.decompress(body)
    except (OSError, EOFError) as error:
        raise AuthorityAwayError(f"the answer broke off: {error}") from error


def _said(kind: Any, got: _Got) -> Any:
    if kind is None:
        return None
    if kind is bytes:
        return got.body
    try:
        value = json.loads(got.body)
    except (ValueError, RecursionError) as error:
        raise AnswerMalformedError("the answer is no JSON: is this the address of the service?") from error
    return decoded(kind, value)
