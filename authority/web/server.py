"""Serving the web application with gunicorn: some processes, threads for requests, and more for event streams.

Python computes one thing at a time in a process, so more processes answer more; each has the application for itself.
"""

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
from authority.siblings import Siblings

ENDLESS = frozenset({"/api/v1/campus/stream", "/live"})
"""The event streams: answers that go on for as long as their reader does."""
SLOW = {"/api/v1/me/export": 3600.0}
"""Answers that take long, and how long a reader may take for them, seconds."""
AT_FIRST = ("/treasury", "/audit", "/api/v1/billing", "/api/v1/audit", *SLOW)
"""What one process keeps in its memory for all readers: bills in the making, audits that run, exports under way."""


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
        at_first=AT_FIRST,
    )

    def siblings(self) -> Siblings | None:
        """The processes that serve the pages together."""
        served: WebServer = self.app
        return served.siblings


class WebServer(BaseApplication):  # type: ignore[misc]
    """gunicorn without its command line. `make` is called in each process, after the fork, and gives the application.

    In each of the processes, threads: for requests, of which so many are answered at once; streams: more of them, for
    event streams. `make` is given what the processes share.
    """

    def __init__(
        self, make: Callable[[Siblings], Flask], *, host: str, port: int, processes: int, threads: int, streams: int
    ) -> None:
        self._make, self._host, self._port, self._threads, self._streams = make, host, port, threads, streams
        self._processes, self.siblings = processes, Siblings()
        self._app: Flask | None = None
        super().__init__()

    def load_config(self) -> None:
        """gunicorn's settings; nothing is read from files or the environment."""
        address = f"[{self._host}]" if ":" in self._host else self._host
        for name, value in {
            "bind": f"{address}:{self._port}",
            "workers": self._processes,
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
        self._app = self._make(self.siblings)
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
