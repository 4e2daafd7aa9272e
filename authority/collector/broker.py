"""Mosquitto's configuration: mutual TLS by the department's CA, and access to topics by certificate name."""

from __future__ import annotations

import ipaddress
import os
import pwd
import shutil
import socket
import ssl
from pathlib import Path

from authority.enrolment import broker_door, revocation
from authority.home.home import Home
from edge_agent.wire import topics
from edge_agent.wire.files import write_atomically

SYSTEM_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/sbin")
"""Where distributions put daemons, though an ordinary user's PATH does not lead there."""


def find_mosquitto() -> Path | None:
    """The broker's program, or None."""
    found = shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_DIRECTORIES]))
    return Path(found) if found else None


def _access(line: str, verb: str, kinds: tuple[str, ...], gateway: str) -> list[str]:
    return [f"{line} {verb} {topics.topic(kind, gateway)}" for kind in kinds]


def _access_list(home: Home) -> str:
    """Gateways write and read what bears their certificate's name; the authority's own clients all of it."""
    lines = [
        "# A gateway writes and reads what bears its certificate's name; the collector reads all of it and answers.",
        "# The market's prices are for every client.",
        *_access("pattern", "write", topics.FROM_GATEWAYS, "%u"),
        *_access("pattern", "read", topics.TO_GATEWAYS, "%u"),
        f"pattern read {topics.MARKET_PRICE}",
        f"pattern read {topics.budget('%u')}",
        "",
    ]
    for name in home.broker_certificates.values():
        lines += [
            f"user {name}",
            *_access("topic", "read", topics.FROM_GATEWAYS, topics.ANY),
            *_access("topic", "write", topics.TO_GATEWAYS, topics.ANY),
            f"topic write {topics.MARKET_PRICE}",
            f"topic write {topics.budget(topics.ANY)}",
            "",
        ]
    return "\n".join(lines)


def listening_address(host: str) -> str:
    """Where a broker of this name listens: at the loopback where its name is there, else at every address."""
    try:
        loopback = host in ("", "localhost") or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    return "127.0.0.1" if loopback else "0.0.0.0"  # noqa: S104 - a name that others dial


def write_configuration(home: Home, directory: Path, port: int, host: str = "127.0.0.1", *, now: int) -> Path:
    """Write mosquitto.conf and its access list into a directory, which also keeps its queues; the file's path.

    The broker listens at host and port with the collector's server certificate, as the user who calls this: it reads
    the home's keys. It refuses certificates on the CA's revocation list, and takes a certificate's name for the client
    id, so that nobody connects under another's.
    """
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    revocation.ensure_list(home, now)
    acl = directory / "access.acl"
    write_atomically(acl, _access_list(home).encode("ascii"))
    configuration = directory / "mosquitto.conf"
    write_atomically(
        configuration,
        f"""\
pid_file {broker_door.pid_path(home)}
user {pwd.getpwuid(os.geteuid()).pw_name}
listener {port} {host}
protocol mqtt
cafile {home.key_path("ca.pem")}
certfile {home.key_path("server.pem")}
keyfile {home.key_path("server.key")}
crlfile {revocation.list_path(home)}
require_certificate true
use_identity_as_username true
use_username_as_clientid true
tls_version tlsv1.2
allow_anonymous false
acl_file {acl}
persistence true
persistence_location {directory}/
max_packet_size 131072
max_queued_messages 10000
max_inflight_messages 1024
persistent_client_expiration 7d
log_dest stdout
log_type error
log_type warning
log_type notice
""".encode(),
    )
    return configuration


_WRONG_NAME = (62, 64)
_OUT_OF_DATE = (9, 10)
"""X509_V_ERR_* of OpenSSL: hostname or address mismatch; not yet valid or expired."""


def why_not(error: BaseException | None, host: str, port: int) -> str:
    """Why a connection to the broker failed, as a sentence that says what to do."""
    where = f"the broker at {host}:{port}"
    match error:
        case ssl.SSLCertVerificationError(verify_code=code) if code in _WRONG_NAME:
            return (
                f"{where} answers, but its certificate is not for the name {host}: authority.toml's [mqtt] host goes "
                "into it when the authority starts; restart the authority, then the broker"
            )
        case ssl.SSLCertVerificationError(verify_code=code) if code in _OUT_OF_DATE:
            return (
                f"{where} answers with a certificate that is out of date ({error.verify_message}): restart the "
                "authority, which renews it, then the broker; see to this machine's clock"
            )
        case ssl.SSLCertVerificationError():
            return (
                f"{where} answers with a certificate that this authority's CA did not sign ({error.verify_message}): "
                "does it run with the configuration that `authority collector broker` wrote?"
            )
        case ssl.SSLError():
            return f"{where} answers, but TLS fails ({error.reason or error}): is this the broker's TLS port?"
        case ConnectionRefusedError():
            return f"nothing listens at {host}:{port}: start the broker, or correct [mqtt] in authority.toml"
        case socket.gaierror():
            return f"the name {host} of the broker cannot be resolved ({error.strerror}): correct [mqtt] host, or DNS"
        case TimeoutError():
            return f"{where} does not answer in time: is it up, and does the firewall let this machine through?"
        case None:
            return f"{where} cannot be reached"
    return f"{where} cannot be reached: {error}"


def answers(port: int) -> bool:
    """Whether something listens at a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
