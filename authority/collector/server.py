"""The collector's process: gunicorn with one threaded worker on TLS, client certificates by the department's CA.

TLS asks every client for a certificate and checks it where there is one; endpoints that need a gateway's look at it
(authority.collector.http). One worker, because the collector is singular; threads, because gateways are many and their
requests wait for the same commit. Where authority.toml has `verifiers`, each of those is such a server, and the
collector serves nobody but them (authority.collector.sequencer).
"""

from __future__ import annotations

import os
import resource
import secrets
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

from authority import heap
from authority.anteroom import AnteroomWorker, Limits, Together
from authority.app import App
from authority.collector import held
from authority.collector.announcing import Announcer
from authority.collector.http import MAX_BODY, READINGS, create_app
from authority.collector.ingest import Collector, Intake
from authority.collector.live import Live
from authority.collector.mqtt import SEQUENCER, WHOLE, BrokerConnection, Part, end_sessions, verifier_part
from authority.collector.sequencer import Sequencer
from authority.collector.verifier import SequencerLink
from authority.enrolment import broker_door, closing
from authority.errors import AuthorityError
from authority.faults import Faults
from authority.home.home import Home
from authority.home.keyring import SERVER_KEY, VERIFIERS
from authority.store.lease import Lease
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)

CLOSE_SECONDS = 30.0
"""How often held readings are looked at for what has settled itself."""
STRANGER_THREADS = 4
"""Threads for connections without a client certificate: enrolment, and the CA's certificate."""


MAX_CONNECTIONS = 16_384
"""Gateways that one process keeps connected, where it may open so many files."""
OTHER_FILES = 256
"""Files that it needs beside them: the store's, the broker's, its own."""


def most_connections() -> int:
    """How many gateways may stay connected; raises this process's limit of open files as far as the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + OTHER_FILES
    limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    return max(limit - OTHER_FILES, 64)


class GatewayWorker(AnteroomWorker):
    """Waits for gateways' requests, and for strangers' apart from them."""

    limits = Limits(max_body=MAX_BODY, stranger_threads=STRANGER_THREADS, per_address=32, strangers=500)

    def together(self) -> Together | None:
        """Readings are taken together."""
        found: Together = self.wsgi.extensions[READINGS]
        return found


class Running:
    """Everything that runs beside the requests: the writing of live power, and the broker's connection."""

    def __init__(self, app: App, intake: Intake, part: Part) -> None:
        self.app = app
        self.intake = intake
        self.live = Live(app)
        self._part = part
        self._stop = threading.Event()
        self._flusher = threading.Thread(target=self._flush, name="live", daemon=True)
        self._broker: BrokerConnection | None = None
        self._faults = Faults(LOG)

    def start(self) -> None:
        """Start; whatever is needed first has been taken."""
        self._flusher.start()
        if self.app.home.settings.mqtt.host:
            self._broker = BrokerConnection(self.app, self.intake, self.live, self._part)
            self._broker.start()
        heap.settle()

    def stop(self) -> None:
        """Stop taking, and write what is left."""
        if self._broker is not None:
            self._broker.stop()
        self._stop.set()
        self._flusher.join()
        self.end()
        self.app.store.close()

    def end(self) -> None:
        """Give back what `start` took."""

    def now_and_then(self) -> None:
        """What is done every CLOSE_SECONDS."""

    def _flush(self) -> None:
        due = time.monotonic()
        while not self._stop.wait(1.0):
            self._flush_once()
            if time.monotonic() >= due:
                due = time.monotonic() + CLOSE_SECONDS
                self.now_and_then()
                if self._broker is not None:
                    self._broker.show_renewed_certificate()
        self._flush_once()

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


class Collecting(Running):
    """The collector's own work, of which there is one: the lease, held readings, and verifiers where it has any."""

    def __init__(self, app: App, *, stop_process: Callable[[], None]) -> None:
        collector, verifiers = Collector(app), app.home.settings.collector.verifiers
        super().__init__(app, collector, SEQUENCER if verifiers else WHOLE)
        self._sequencer = Sequencer(app.home.path, app.home.verifiers_key, collector) if verifiers else None
        self._lease = Lease(app.store, app.clock, "collector", lost=stop_process)
        self._announcer: Announcer | None = None

    def start(self) -> None:
        """Take the lease and start; LeaseError where another collector runs."""
        self._lease.acquire()
        super().start()
        if self._sequencer is not None:
            self._sequencer.start()
        if self._broker is not None:
            self._announcer = Announcer(self.app, self._broker.retain)
            self._announcer.start()

    def stop(self) -> None:
        """Tell buildings no more, stop taking, and write what is left."""
        if self._announcer is not None:
            self._announcer.stop()
        super().stop()

    def end(self) -> None:
        """End the verifiers' channels, and give the lease back."""
        if self._sequencer is not None:
            self._sequencer.stop()
        self._lease.release()

    def now_and_then(self) -> None:
        """See to held readings that have settled themselves, and to verifiers that are no more."""
        end_sessions(self.app.home)
        try:
            with self.app.store.read() as session:
                if not held.held(session):
                    return
            with self.app.store.write() as session:
                closed = held.close_superseded(session, now=self.app.clock())
                let_in = held.let_in(session, now=self.app.clock())
        except SQLAlchemyError:
            return  # the store is away, which others say; it is done next time
        if closed:
            LOG.info("held readings are void: a later reading carries their energy", readings=closed)
        if let_in:
            LOG.info("held readings are released: the chain has their meters now", readings=let_in)


class Verifying(Running):
    """A verifier: everything that gateways talk to, with the sequencer behind it."""

    def __init__(self, app: App, number: int) -> None:
        self._link = SequencerLink(app.store, app.home.path, app.home.verifiers_key, number)
        super().__init__(app, self._link, verifier_part(number))

    def start(self) -> None:
        """Connect to the sequencer, which may be there or not yet, and start."""
        self._link.connect()
        super().start()

    def end(self) -> None:
        """End the link."""
        self._link.close()


class _Server(BaseApplication):  # type: ignore[misc]
    """gunicorn, configured from authority.toml instead of from its own files; with a number it is that verifier's."""

    def __init__(self, path: Path, verifier: int | None = None) -> None:
        self._path = path
        self._verifier = verifier
        self._running: Running | None = None
        super().__init__()

    def load_config(self) -> None:
        home = Home.open(self._path)
        collector = home.settings.collector
        config: Config = self.cfg
        values: dict[str, Any] = {
            "bind": [
                f"[{collector.host}]:{collector.port}"
                if ":" in collector.host
                else f"{collector.host}:{collector.port}"
            ],
            "workers": 1,
            "reuse_port": self._verifier is not None,  # the kernel shares connections out among the verifiers
            "worker_class": GatewayWorker,
            "threads": collector.threads,
            "worker_connections": most_connections(),
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
            "proc_name": "authority-collector" if self._verifier is None else f"authority-verifier-{self._verifier}",
            "control_socket_disable": True,
        }
        for name, value in values.items():
            if name in config.settings:
                config.set(name, value)

    def load(self) -> Any:
        """In the worker, after the fork: nothing that holds threads or connections may cross it."""
        arbiter = os.getppid()

        def stop_process() -> None:
            os.kill(arbiter if os.getppid() == arbiter else os.getpid(), signal.SIGTERM)

        if self._verifier is None:
            self._running = Collecting(App.open(self._path, process="collector"), stop_process=stop_process)
        else:
            self._running = Verifying(App.open(self._path, process="verifier"), self._verifier)
        self._running.start()
        return create_app(self._running.app, self._running.intake, self._running.live)

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
        if app.home.settings.collector.verifiers:
            app.home.keys.make(VERIFIERS, secrets.token_hex(32).encode())  # a home of an earlier release has none
        app.home.renew_certificates(app.clock())
        closing.sync_list(app)
        broker_door.reload(app.home)  # it presents the same certificate, and reads it then
    finally:
        app.store.close()
    if app.home.settings.collector.verifiers:
        _sequence(path)
    else:
        _Server(path).run()


def _sequence(path: Path) -> None:
    """Be the sequencer until told to stop: no gateway talks to this process."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, _ignore_hangup)
    running = Collecting(App.open(path, process="collector"), stop_process=stop.set)
    running.start()
    try:
        stop.wait()
    finally:
        running.stop()


class VerifierUnknownError(AuthorityError):
    """A verifier with a number that authority.toml does not have."""

    code = "verifier_unknown"


def run_verifier(path: Path, number: int) -> None:
    """Serve as a verifier until told to stop; VerifierUnknownError, HomeError or StoreError where it cannot start."""
    app = App.open(path, process="verifier")
    try:
        verifiers = app.home.settings.collector.verifiers
        if not 1 <= number <= verifiers:
            raise VerifierUnknownError(
                f"[collector] verifiers is {verifiers}, so there is no verifier {number}: raise it, then run the "
                "collector and `authority collector broker` again"
            )
        for file in (SERVER_KEY, "server.pem", VERIFIERS, verifier_part(number).certificate):
            app.home.keys.read(file)
    finally:
        app.store.close()
    _Server(path, number).run()
