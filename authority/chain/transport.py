"""JSON-RPC 2.0 over HTTP to a validator: connections kept alive, retried with backoff while the validator is away."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from authority.chain.errors import ChainError, RpcError, TransportError

_BUSY_STATUSES = {429, 500, 502, 503, 504}
NODE_UNHEALTHY = -32005
_MAX_ANSWER = 256 * 1024 * 1024


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
        body = json.dumps({"jsonrpc": "2.0", "id": next(self._numbers), "method": method, "params": list(params)})
        attempts = self._attempts if retry else 1
        attempt = 0
        while True:
            attempt += 1
            kept = getattr(self._local, "connection", None) is not None
            try:
                return self._result(method, self._post(body.encode()))
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

    def _result(self, method: str, data: bytes) -> Any:
        try:
            answer = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise TransportError(f"the validator at {self.url} answers {method} with what is not JSON") from error
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
