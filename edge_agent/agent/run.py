"""Putting the parts of a running gateway together, and ending them in good order."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from edge_agent import log
from edge_agent.agent.gateway import EventQueue
from edge_agent.agent.loop import Agent
from edge_agent.agent.renewal import Renewal
from edge_agent.config import GatewayConfig, MeterSettings
from edge_agent.errors import EdgeError
from edge_agent.meters import open_meter
from edge_agent.meters.lines import MeterLine, OpenMeter
from edge_agent.state.credentials import Credentials, CredentialStore, NotEnrolledError
from edge_agent.state.journal import JOURNAL_FILE, Journal
from edge_agent.state.keys import KeyFileError, KeyStore, MeterKey
from edge_agent.state.metrics import metrics
from edge_agent.state.status import StatusBoard
from edge_agent.uplinks.choice import Uplinks
from edge_agent.uplinks.https import HttpsClient, HttpsUplink
from edge_agent.uplinks.mqtt import MqttUplink
from edge_agent.wire.files import make_private_directory

if TYPE_CHECKING:
    from edge_agent.agent.metrics_port import MetricsPort

LOCK_FILE = "agent.lock"


class RunError(EdgeError):
    """The agent cannot start; the message says what to do."""


class AlreadyRunningError(RunError):
    """Another agent runs with this state directory."""

    code = "already_running"


class NoBrokerError(RunError):
    """The configuration asks for MQTT, and the authority named no broker."""

    code = "no_broker"


class NoMeterError(RunError):
    """None of the configured meters can be signed for."""

    code = "no_meter"


class SystemClock:
    """The machine's clock."""

    def time(self) -> float:
        """Unix seconds, UTC."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never jump."""
        return time.monotonic()


def run(config: GatewayConfig, *, open_driver: OpenMeter = open_meter) -> None:
    """Run the gateway until SIGTERM or SIGINT. open_driver opens a meter on its line.

    RunError, CredentialsError, KeyFileError or JournalError where it cannot start.
    """
    make_private_directory(config.state)
    with _only_agent(config.state):
        _run(config, open_driver)


def _run(config: GatewayConfig, open_driver: OpenMeter) -> None:
    store = CredentialStore(config.state)
    credentials = store.load()
    require_own(config, credentials)
    clock, events = SystemClock(), EventQueue()
    board = StatusBoard(config.name, clock.time)
    keys = _usable_keys(config, credentials, KeyStore(config.state), board)
    meters = [meter for meter in config.meters if meter.name in keys]
    if not meters:
        raise NoMeterError(
            "no meter of gateway.toml can be signed for: "
            + "; ".join(f"{name}: {reason}" for name, reason in _reasons(board).items()),
        )
    if config.uplink.kind == "mqtt" and credentials.mqtt is None:
        raise NoBrokerError('uplink.kind is "mqtt", but the authority named no broker; write "auto" or "https"')

    if secrets_shown(config):
        log.warning(
            "others can read the meters' passwords or keys", file=str(config.path), remedy=f"chmod 600 {config.path}"
        )

    contexts = [store.tls_context(credentials)]
    client = HttpsClient(config.authority_address, contexts[0], timeout=config.uplink.timeout)
    https = HttpsUplink(config.name, client, events.emit, clock.time)
    mqtt: MqttUplink | None = None
    if credentials.mqtt is not None and config.uplink.kind != "https":
        contexts.append(store.tls_context(credentials))
        mqtt = MqttUplink(config.name, credentials.mqtt, contexts[1], events.emit, timeout=config.uplink.timeout)
    uplinks = Uplinks(config.uplink.kind, https, mqtt)
    lines = [
        MeterLine(
            name,
            [meter for meter in meters if meter.port == name],
            open_driver,
            events.emit,
            clock.time,
            live_seconds=config.live_seconds,
            observe=board.count,
        )
        for name in dict.fromkeys(meter.port for meter in meters)
    ]
    path = config.state / JOURNAL_FILE
    agent = Agent(
        config,
        credentials,
        keys,
        journal=Journal.open(path, quota=config.quota_frames),
        reopen_journal=lambda: Journal.open(path, quota=config.quota_frames, damaged=True),
        board=board,
        carrier=uplinks,
        lines=lines,
        events=events,
        clock=clock,
        random=random.SystemRandom(),
    )

    renewal = Renewal(
        store,
        KeyStore(config.state),
        config.authority_address,
        credentials,
        contexts,
        agent.telling.take_credentials,
        clock.time,
        timeout=config.uplink.timeout,
    )

    def stop(number: int, frame: FrameType | None) -> None:
        agent.stop()

    previous = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    log.info("started", gateway=config.name, meters=",".join(keys), epoch_seconds=credentials.epoch_seconds)
    for line in lines:
        line.start()
    uplinks.start()
    renewal.start()
    metrics_port = _metrics_port(config, board, clock)
    notify = _service_manager()
    notify("READY=1")
    try:
        agent.run(lambda: notify("WATCHDOG=1"))
    finally:
        notify("STOPPING=1")
        renewal.close()
        for line in lines:
            line.close()
        uplinks.close()
        if metrics_port is not None:
            metrics_port.close()
        agent.close()
        for number, handler in previous.items():
            signal.signal(number, handler)
        log.info("stopped", gateway=config.name)


def _metrics_port(config: GatewayConfig, board: StatusBoard, clock: SystemClock) -> MetricsPort | None:
    """The port for Prometheus where one is wanted; a port that cannot be had is told, and keeps no reading back."""
    if config.metrics_listen is None:
        return None
    from edge_agent.agent.metrics_port import MetricsPort  # noqa: PLC0415 - it brings a web server along

    try:
        return MetricsPort(config.metrics_listen, lambda: metrics({**board.snapshot(), "running": True}, clock.time()))
    except OSError as error:
        message = f"cannot listen on {config.metrics_listen[0]}:{config.metrics_listen[1]}: {error.strerror or error}"
        board.error("metrics", "metrics_port", message)
        log.error("no port for metrics", code="metrics_port", reason=message)
        return None


@contextlib.contextmanager
def _only_agent(state: Path) -> Iterator[None]:
    """Hold the state directory: two agents on one journal would sign one sequence twice."""
    descriptor = os.open(state / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise AlreadyRunningError(f"another agent runs with {state}; stop it first") from error
        yield
    finally:
        os.close(descriptor)


def _usable_keys(
    config: GatewayConfig, credentials: Credentials, store: KeyStore, board: StatusBoard
) -> dict[str, MeterKey]:
    """The keys of the meters that may sign; why the others may not goes on the board, and they stop nobody else."""
    keys: dict[str, MeterKey] = {}
    for meter in config.meters:
        board.add_meter(meter.name, port=meter.port)
        key = signing_key(meter, credentials, store)
        if isinstance(key, MeterKey):
            keys[meter.name] = key
            continue
        board.error("enrolment", *key, meter=meter.name)
        log.error("a meter is left out", meter=meter.name, code=key[0], reason=key[1])
    return keys


def signing_key(meter: MeterSettings, credentials: Credentials, store: KeyStore) -> MeterKey | tuple[str, str]:
    """The key with which the gateway may sign for a meter; code and reason where it may not."""
    fault = _not_signable(meter, credentials)
    if fault is not None:
        return fault
    try:
        key = store.load(meter.name)
    except KeyFileError as error:
        return error.code, str(error)
    enrolled = credentials.meter(meter.name)
    if enrolled is None or key.public_key != enrolled.public_key:
        return "key_not_enrolled", "its key is not the enrolled one; restore it, or enrol again"
    return key


def require_own(config: GatewayConfig, credentials: Credentials) -> None:
    """NotEnrolledError where the state directory is another gateway's."""
    if credentials.gateway != config.name:
        raise NotEnrolledError(
            f"{config.state} holds the credentials of {credentials.gateway!r}, gateway.toml says {config.name!r}; "
            "give each gateway its own state directory",
        )


def secrets_shown(config: GatewayConfig) -> bool:
    """Whether others than the file's owner can read the meters' passwords or keys in it."""
    secret = any(value is not None for meter in config.meters for value in (meter.password, meter.key, meter.auth_key))
    return secret and bool(config.path.stat().st_mode & 0o077)


def _not_signable(meter: MeterSettings, credentials: Credentials) -> tuple[str, str] | None:
    """Code and reason why the gateway may not sign for a meter; None where it may, as far as the credentials say."""
    enrolled = credentials.meter(meter.name)
    if enrolled is None:
        return ("not_enrolled", "the authority has not enrolled it; ask for a claim code and run `edge-agent enrol`")
    if enrolled.map_hash != meter.map.hash():
        return (
            "map_not_approved",
            "its map in gateway.toml is not the one that the authority approved; put the old one back, or enrol again",
        )
    if enrolled.serial != meter.serial:
        return (
            "serial_changed",
            f"its serial was enrolled as {enrolled.serial!r}: where the meter was exchanged, have the authority record "
            "that (authority meters exchange), and enrol anew with a claim code",
        )
    if credentials.epoch_seconds % meter.map.capture_period:
        return (
            "capture_period_unfit",
            f"its capture period does not divide the epoch of {credentials.epoch_seconds} s",
        )
    return None


def _reasons(board: StatusBoard) -> dict[str, str]:
    meters = board.snapshot()["meters"]
    return {name: error["message"] for name, meter in meters.items() for error in meter["errors"].values()}


def _service_manager() -> Callable[[str], None]:
    """Tell systemd how we are (sd_notify(3): a datagram to NOTIFY_SOCKET); nothing where there is none."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return lambda message: None
    if address.startswith("@"):
        address = "\0" + address[1:]
    channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)

    def notify(message: str) -> None:
        with contextlib.suppress(OSError):
            channel.sendto(message.encode(), address)

    return notify
