"""Serving the web application with gunicorn: one process, threads for requests, and more of them for event streams."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Container, Iterable
from types import FrameType
from typing import Any

from flask import Flask
from gunicorn.app.base import BaseApplication

from authority import heap
from authority.anteroom import AnteroomWorker, Limits

ENDLESS = frozenset({"/api/v1/campus/stream", "/live"})
"""The event streams: answers that go on for as long as their reader does."""
SLOW = {"/api/v1/me/export": 3600.0}
"""Answers that take long, and how long a reader may take for them, seconds."""


Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class Turns:
    """An application of which so many requests are answered at once; the others wait, the first one first or nearly.

    Python computes one request at a time anyway, and hundreds of threads that want to compute take turns so often that
    each request costs twice as much. Answers that go on for long (`endless`) are not counted.
    """

    def __init__(self, app: Wsgi, at_once: int, endless: Container[str]) -> None:
        self._app, self._endless = app, endless
        self._turns = threading.BoundedSemaphore(at_once)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request (PEP 3333) when it is its turn."""
        if environ.get("PATH_INFO") in self._endless:
            return self._app(environ, start_response)
        with self._turns:
            return self._app(environ, start_response)


class PageWorker(AnteroomWorker):
    """Waits for readers' requests; a proxy on this machine brings those of many, and counts them itself."""

    limits = Limits(
        max_body=64 * 1024,
        per_address=64,
        strangers=800,
        request_seconds=20.0,
        endless=ENDLESS,
        slow=SLOW,
        trust_loopback=True,
    )


class WebServer(BaseApplication):  # type: ignore[misc]
    """gunicorn without its command line. `make` is called in the worker, after the fork, and gives the application.

    threads: for requests, of which so many are answered at once; streams: more of them, for event streams.
    """

    def __init__(self, make: Callable[[], Flask], *, host: str, port: int, threads: int, streams: int) -> None:
        self._make, self._host, self._port, self._threads, self._streams = make, host, port, threads, streams
        self._app: Flask | None = None
        super().__init__()

    def load_config(self) -> None:
        """gunicorn's settings; nothing is read from files or the environment."""
        address = f"[{self._host}]" if ":" in self._host else self._host
        for name, value in {
            "bind": f"{address}:{self._port}",
            "workers": 1,
            "worker_class": PageWorker,
            "threads": self._threads + self._streams,
            "graceful_timeout": 3,
            "timeout": 60,
            "keepalive": 5,
            "limit_request_line": 4094,
            "limit_request_fields": 50,
            "proc_name": "authority-web",
            "loglevel": "warning",
            "control_socket_disable": True,
            "post_worker_init": self._end_streams_on_exit,
        }.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)

    def load(self) -> Turns:
        """The application, in the worker."""
        self._app = self._make()
        heap.settle()
        return Turns(self._app, self._threads, ENDLESS | SLOW.keys())

    def _end_streams_on_exit(self, worker: Any) -> None:
        """Event streams never end by themselves; a worker that is told to stop ends them, so that it can."""
        usual = signal.getsignal(signal.SIGTERM)

        def stop(number: int, frame: FrameType | None) -> None:
            if self._app is not None:
                self._app.extensions["campus_feed"].stop()
            if callable(usual):
                usual(number, frame)

        signal.signal(signal.SIGTERM, stop)
