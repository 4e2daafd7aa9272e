"""JSON-RPC 2.0 over HTTP to a validator: connections kept alive, retried with backoff while the validator is away."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import urlsplit

from authority.chain.errors import ChainError, RpcError, TransportError

_T = TypeVar("_T")

_BUSY_STATUSES = {429, 500, 502, 503, 504}
NODE_UNHEALTHY = -32005
_MAX_ANSWER = 256 * 1024 * 1024
_MAX_BATCH_BODY = 40 * 1024
"""Bytes of calls that are sent as one batch; validators take at most 50 KiB a request."""


class UrlError(ChainError):
    """The validator's address is not an http or https URL."""

    code = "validator_url"


class _BusyError(ChainError):
    """The validator asked to come again."""

    code = "validator_busy"


class Transport:
    """Calls one validator; safe for several threads, each of which keeps a connection of its own.

    A call is tried `attempts` times, with pauses that double from 0.1 s up to 5 s, each by a random share shorter.
    """

    def __init__(
        self,
        url: str,
        *,
        timeout: float = 30,
        attempts: int = 8,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise UrlError(f"{url!r} is not the address of a validator: give one like http://127.0.0.1:8899")
        self.url = url
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port
        self._path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        self._timeout = timeout
        self._attempts = attempts
        self._sleep = sleep
        self._jitter = jitter
        self._local = threading.local()
        self._numbers = itertools.count(1)

    def call(self, method: str, params: Sequence[Any] = (), *, retry: bool = True) -> Any:
        """The result of a call. RpcError where the validator refuses it, TransportError where it cannot be reached.

        `retry=False` for a call that must not be made twice.
        """
        body = self._body(method, params, next(self._numbers))
        return self._repeated(method, body, lambda data: self._result(method, data), retry=retry)

    def call_all(self, method: str, calls: Sequence[Sequence[Any]], *, retry: bool = True) -> list[Any | RpcError]:
        """The results of several calls of one method, in order, in as few requests as they fit into.

        A call that the validator refuses has its RpcError in its place. TransportError as `call`; where one request of
        several fails, what the validator did with the others is not known.
        """
        found: list[Any | RpcError] = []
        batch: list[tuple[int, str]] = []
        size = 0
        for params in calls:
            number = next(self._numbers)
            body = self._body(method, params, number)
            if batch and size + len(body) > _MAX_BATCH_BODY:
                found += self._batch(method, batch, retry=retry)
                batch, size = [], 0
            batch.append((number, body))
            size += len(body)
        return found + self._batch(method, batch, retry=retry) if batch else found

    def _batch(self, method: str, batch: Sequence[tuple[int, str]], *, retry: bool) -> list[Any | RpcError]:
        if len(batch) > 1:
            whole = f"[{','.join(body for _, body in batch)}]"
            numbers = [number for number, _ in batch]
            return self._repeated(method, whole, lambda data: self._results(method, numbers, data), retry=retry)
        try:
            return [self._repeated(method, batch[0][1], lambda data: self._result(method, data), retry=retry)]
        except RpcError as refusal:
            return [refusal]

    @staticmethod
    def _body(method: str, params: Sequence[Any], number: int) -> str:
        return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)})

    def _repeated(self, method: str, body: str, read: Callable[[bytes], _T], *, retry: bool) -> _T:
        attempts = self._attempts if retry else 1
        attempt = 0
        while True:
            attempt += 1
            kept = getattr(self._local, "connection", None) is not None
            try:
                return read(self._post(body.encode()))
            except (OSError, http.client.HTTPException, _BusyError) as error:
                self._drop()
                if retry and kept and not isinstance(error, _BusyError | TimeoutError):
                    attempt -= 1  # the validator ends idle connections; a new one tells whether it is there
                    continue
                if attempt == attempts:
                    raise TransportError(
                        f"the validator at {self.url} does not answer {method} ({error or type(error).__name__}): "
                        "is it running (`authority validator` starts the embedded one), and is the address right?"
                    ) from error
                pause = min(0.05 * 2**attempt, 5.0)
                self._sleep(pause * (1 - self._jitter() / 2))

    def close(self) -> None:
        """Close this thread's connection."""
        self._drop()

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            connection = self._local.connection = kind(self._host, self._port, timeout=self._timeout)
        return connection

    def _drop(self) -> None:
        connection: http.client.HTTPConnection | None = getattr(self._local, "connection", None)
        if connection is not None:
            connection.close()
            self._local.connection = None

    def _post(self, body: bytes) -> bytes:
        connection = self._connection()
        connection.request("POST", self._path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        data = response.read(_MAX_ANSWER)
        if response.status in _BUSY_STATUSES:
            raise _BusyError(f"HTTP {response.status} {response.reason}")
        if response.status != 200:
            self._drop()
            raise TransportError(
                f"the validator at {self.url} answers HTTP {response.status} {response.reason}: is this a Solana RPC?"
            )
        return data

    def _answer(self, method: str, data: bytes) -> Any:
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise TransportError(f"the validator at {self.url} answers {method} with what is not JSON") from error

    def _results(self, method: str, numbers: Sequence[int], data: bytes) -> list[Any | RpcError]:
        """A batch's answers, which may come in any order."""
        answers = self._answer(method, data)
        if not isinstance(answers, list):
            raise TransportError(f"the validator at {self.url} does not answer {method} as a batch of calls")
        by_number = {answer.get("id"): answer for answer in answers if isinstance(answer, dict)}
        found: list[Any | RpcError] = []
        for number in numbers:
            try:
                found.append(self._value(method, by_number.get(number)))
            except RpcError as refusal:
                found.append(refusal)
        return found

    def _result(self, method: str, data: bytes) -> Any:
        return self._value(method, self._answer(method, data))

    def _value(self, method: str, answer: Any) -> Any:
        if not isinstance(answer, dict):
            raise TransportError(f"the validator at {self.url} answers {method}, but not in JSON-RPC")
        refusal = answer.get("error")
        if refusal is not None:
            number = refusal.get("code") if isinstance(refusal, dict) else None
            if not isinstance(number, int):
                raise TransportError(f"the validator at {self.url} answers {method} with a damaged error")
            if number == NODE_UNHEALTHY:
                raise _BusyError(str(refusal.get("message")))
            raise RpcError(method, number, str(refusal.get("message")), refusal.get("data"))
        if "result" not in answer:
            raise TransportError(f"the validator at {self.url} answers {method} without a result")
        return answer["result"]
