"""The collector's process: gunicorn with one threaded worker on TLS, client certificates by the department's CA.

TLS asks every client for a certificate and checks it where there is one; endpoints that need a gateway's look at it
(authority.collector.http). One worker, because the collector is singular; threads, because gateways are many and their
requests wait for the same commit.
"""

from __future__ import annotations

import os
import signal
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gunicorn.app.base import BaseApplication
from gunicorn.config import Config
from sqlalchemy.exc import SQLAlchemyError

from authority.anteroom import AnteroomWorker, Limits
from authority.app import App
from authority.collector import held
from authority.collector.faults import Faults
from authority.collector.http import MAX_BODY, create_app
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.enrolment import broker_door, closing
from authority.store.lease import Lease
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)

CLOSE_SECONDS = 30.0
"""How often held readings are looked at for what has settled itself."""
STRANGER_THREADS = 4
"""Threads for connections without a client certificate: enrolment, and the CA's certificate."""


class GatewayWorker(AnteroomWorker):
    """Waits for gateways' requests, and for strangers' apart from them."""

    limits = Limits(max_body=MAX_BODY, stranger_threads=STRANGER_THREADS, per_address=32, strangers=500)


class Running:
    """Everything that runs beside the requests: the lease, the broker's connection, and the writing of live power."""

    def __init__(self, app: App, *, stop_process: Callable[[], None]) -> None:
        self.app = app
        self.collector = Collector(app)
        self.live = Live(app)
        self._lease = Lease(app.store, app.clock, "collector", lost=self._lost)
        self._stop_process = stop_process
        self._stop = threading.Event()
        self._flusher = threading.Thread(target=self._flush, name="live", daemon=True)
        self._broker: Any = None
        self._faults = Faults(LOG)

    def start(self) -> None:
        """Take the lease and start; LeaseError where another collector runs."""
        self._lease.acquire()
        self._flusher.start()
        if self.app.home.settings.mqtt.host:
            from authority.collector.mqtt import BrokerConnection  # noqa: PLC0415 - only where a broker is configured

            self._broker = BrokerConnection(self.app, self.collector, self.live)
            self._broker.start()

    def stop(self) -> None:
        """Stop taking, write what is left, give the lease back."""
        if self._broker is not None:
            self._broker.stop()
        self._stop.set()
        self._flusher.join()
        self._lease.release()
        self.app.store.close()

    def _flush(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(1.0):
            self._flush_once()
            if time.monotonic() >= due:
                due = time.monotonic() + CLOSE_SECONDS
                self._close_superseded()
        self._flush_once()

    def _close_superseded(self) -> None:
        try:
            with self.app.store.read() as session:
                if not held.held(session):
                    return
            with self.app.store.write() as session:
                closed = held.close_superseded(session, now=self.app.clock())
        except SQLAlchemyError:
            return  # the store is away, which others say; it is done next time
        if closed:
            LOG.info("held readings are void: a later reading carries their energy", readings=closed)

    def _flush_once(self) -> None:
        try:
            self.live.flush()
        except SQLAlchemyError as error:
            event = "live power and status cannot be stored; they stay in memory"
            self._faults.met("live", type(error).__name__, event, reason=str(error))
        except Exception as error:  # noqa: BLE001 - the thread must live
            self._faults.met("live", type(error).__name__, "live power and status are not stored", reason=repr(error))
        else:
            self._faults.over("live", "live power and status are stored again")

    def _lost(self) -> None:
        LOG.error("another process has taken the collector's lease; stopping")
        self._stop_process()


class _Server(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured from authority.toml instead of from its own files."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._running: Running | None = None
        super().__init__()

    def load_config(self) -> None:
        app = App.open(self._path)
        home = app.home
        home.renew_certificates(app.clock())
        closing.sync_list(app)
        broker_door.reload(home)  # it presents the same certificate, and reads it then
        app.store.close()
        collector = home.settings.collector
        config: Config = self.cfg
        values: dict[str, Any] = {
            "bind": [
                f"[{collector.host}]:{collector.port}"
                if ":" in collector.host
                else f"{collector.host}:{collector.port}"
            ],
            "workers": 1,
            "worker_class": GatewayWorker,
            "threads": collector.threads,
            "worker_connections": 1_000,
            "keepalive": 75,
            "timeout": 120,
            "graceful_timeout": 20,
            "certfile": str(home.key_path("server.pem")),
            "keyfile": str(home.key_path("server.key")),
            "ca_certs": str(home.key_path("ca.pem")),
            "cert_reqs": ssl.CERT_OPTIONAL,
            "ssl_context": _tls,
            "limit_request_line": 1_024,
            "limit_request_fields": 32,
            "limit_request_field_size": 4_096,
            "when_ready": lambda _arbiter: signal.signal(signal.SIGHUP, _ignore_hangup),
            "worker_exit": self._exit,
            "proc_name": "authority-collector",
            "control_socket_disable": True,
        }
        for name, value in values.items():
            if name in config.settings:
                config.set(name, value)

    def load(self) -> Any:
        """In the worker, after the fork: nothing that holds threads or connections may cross it."""
        app = App.open(self._path, process="collector")
        arbiter = os.getppid()

        def stop_process() -> None:
            os.kill(arbiter if os.getppid() == arbiter else os.getpid(), signal.SIGTERM)

        self._running = Running(app, stop_process=stop_process)
        self._running.start()
        return create_app(app, self._running.collector, self._running.live)

    def _exit(self, _arbiter: Any, _worker: Any) -> None:
        if self._running is not None:
            self._running.stop()


def _ignore_hangup(*_: object) -> None:
    LOG.info("SIGHUP changes nothing here: authority.toml is read at the start; restart the collector to read it")


def _tls(_config: Config, default: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    context = default()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def run(path: Path) -> None:
    """Serve until told to stop (SIGTERM, SIGINT); HomeError, StoreError or LeaseError where it cannot start."""
    app = App.open(path)
    probe = Lease(app.store, app.clock, "collector", lost=lambda: None)
    try:
        probe.acquire()  # said here, a running collector is a message; said in gunicorn's worker it is a trace
        probe.release()
    finally:
        app.store.close()
    _Server(path).run()
