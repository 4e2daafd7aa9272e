"""Is everything at this gateway as `run` needs it? Looks at the machine, the ports and the authority; changes nothing.

What the file says is checked before (edge_agent.config.find_mistakes), what the meters say by `enrol` and by `run`.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from edge_agent.agent.records import CLOCK_ALERT_SECONDS
from edge_agent.agent.run import require_own, secrets_shown, signing_key
from edge_agent.agent.telling import CERTIFICATE_ALERT_SECONDS
from edge_agent.config import GatewayConfig, MeterSettings
from edge_agent.meters.errors import MeterError
from edge_agent.meters.transport import open_line
from edge_agent.state.credentials import Credentials, CredentialsError, CredentialStore, NotEnrolledError
from edge_agent.state.keys import KeyStore, MeterKey
from edge_agent.state.status import LEAST_DISK, StatusError, read_status
from edge_agent.uplinks import UplinkError
from edge_agent.uplinks.https import HttpsClient
from edge_agent.wire import paths

DAY = 86400


class Finding(NamedTuple):
    """What one check found: good, or else what to do. problem: it keeps readings from being signed or sent."""

    subject: str
    good: bool
    message: str
    problem: bool = True


def check_site(config: GatewayConfig, *, now: Callable[[], float] = time.time) -> Iterator[Finding]:
    """Every check in the order in which a person would repair them; nothing is raised."""
    yield _own_state(config.state)
    yield from _secrets(config)
    yield _clock_is_kept()
    running = _runs(config)
    for port in dict.fromkeys(meter.port for meter in config.meters):
        yield from _port(next(meter for meter in config.meters if meter.port == port), running)
    store = CredentialStore(config.state)
    try:
        credentials = store.load()
    except CredentialsError as error:
        yield Finding("enrolment", False, str(error))
        yield _connects("authority", config.authority_address, config.uplink.timeout)
        return
    yield from _enrolment(config, credentials, now())
    yield from _authority(config, store, credentials, now)
    if credentials.mqtt is not None and config.uplink.kind != "https":
        yield _connects("broker", credentials.mqtt, config.uplink.timeout)


def _own_state(state: Path) -> Finding:
    at = next((path for path in (state, *state.parents) if path.exists()), Path("/"))
    if not os.access(at, os.W_OK | os.X_OK):
        return Finding(
            "state",
            False,
            f"this user may not write to {at}: run as the agent's user (sudo -u edge-agent), or chown it",
        )
    free = shutil.disk_usage(at).free
    if free < LEAST_DISK:
        return Finding("state", False, f"{at} has {free} bytes free: make room for the journal")
    made = "" if state.exists() else ", which `edge-agent enrol` will make"
    return Finding("state", True, f"{state}{made}: {free // 1_000_000} MB free")


def _secrets(config: GatewayConfig) -> Iterator[Finding]:
    if secrets_shown(config):
        yield Finding(
            "secrets", False, f"others can read the meters' keys in {config.path}: chmod 600 it", problem=False
        )


def _clock_is_kept() -> Finding:
    """Whether systemd knows the clock to be synchronised; without systemd nothing is known."""
    command = ["timedatectl", "show", "--property=NTPSynchronized", "--value"]
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return Finding("clock", True, "whether it is synchronised cannot be told here (no systemd)", problem=False)
    if said == "yes":
        return Finding("clock", True, "synchronised")
    return Finding(
        "clock", False, "not synchronised: enable systemd-timesyncd or chrony, and reach its server (UDP 123)"
    )


def _runs(config: GatewayConfig) -> bool:
    try:
        return bool(read_status(config.state)["running"])
    except StatusError:
        return False


def _port(meter: MeterSettings, running: bool) -> Iterator[Finding]:
    if running:
        yield Finding(meter.port, True, "in use by edge-agent, which runs: see `edge-agent status`")
        return
    try:
        if meter.udp is None:
            open_line(meter).close()
    except MeterError as error:
        yield Finding(meter.port, False, str(error))
        return
    yield Finding(meter.port, True, "sends no word of itself over UDP" if meter.udp is not None else "opens")
    if meter.port.startswith(("/dev/ttyUSB", "/dev/ttyACM")):
        yield Finding(meter.port, False, _stable_name(Path(meter.port)), problem=False)


def _stable_name(device: Path) -> str:
    """What to write in place of a name that another adapter may get after the next start."""
    by_id = Path("/dev/serial/by-id")
    names = [path for path in by_id.glob("*") if path.resolve() == device.resolve()] if by_id.is_dir() else []
    written = f'write port = "{names[0]}"' if names else "see `ls -l /dev/serial/by-id`"
    return f"its name may be another adapter's after the next start: {written}"


def _enrolment(config: GatewayConfig, credentials: Credentials, now: float) -> Iterator[Finding]:
    try:
        require_own(config, credentials)
    except NotEnrolledError as error:
        yield Finding("enrolment", False, str(error))
        return
    left = credentials.certificate_expires() - now
    days = int(left // DAY)
    if days < 0:
        yield Finding("certificate", False, "has ended: ask for a claim code and run `edge-agent enrol`")
    else:
        soon = left < CERTIFICATE_ALERT_SECONDS
        yield Finding("certificate", not soon, f"ends in {days} days" + (": renew it" if soon else ""), problem=False)
    keys = KeyStore(config.state)
    for meter in config.meters:
        key = signing_key(meter, credentials, keys)
        good = isinstance(key, MeterKey)
        yield Finding(f"meter {meter.name}", good, "enrolled" if isinstance(key, MeterKey) else key[1])


def _authority(
    config: GatewayConfig, store: CredentialStore, credentials: Credentials, now: Callable[[], float]
) -> Iterator[Finding]:
    try:
        client = HttpsClient(config.authority_address, store.tls_context(credentials), timeout=config.uplink.timeout)
    except CredentialsError as error:
        yield Finding("certificate", False, str(error))
        return
    try:
        reply = client.call("GET", paths.CA)
    except UplinkError as error:
        yield Finding("authority", False, str(error))
        return
    finally:
        client.close()
    yield Finding("authority", True, f"{config.authority} answers, and takes this gateway's certificate")
    if reply.date is not None and abs(reply.date - now()) > CLOCK_ALERT_SECONDS:
        yield Finding(
            "clock", False, f"is {now() - reply.date:+.0f} s off the authority's: set it, or the readings are refused"
        )


def _connects(subject: str, address: tuple[str, int], timeout: float) -> Finding:
    host, port = address
    try:
        socket.create_connection(address, timeout=timeout).close()
    except OSError as error:
        message = f"{host}:{port} does not answer ({error.strerror or error}): check the address and the network"
        return Finding(subject, False, message)
    return Finding(subject, True, f"{host}:{port} answers")
