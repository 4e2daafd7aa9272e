"""Mosquitto's configuration: mutual TLS by the department's CA, and access to topics by certificate name."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
from pathlib import Path

from authority.home.home import COLLECTOR_CLIENT_NAME, Home
from edge_agent.wire import topics

SYSTEM_DIRECTORIES = ("/usr/sbin", "/usr/local/sbin", "/opt/homebrew/sbin", "/sbin")
"""Where distributions put daemons, though an ordinary user's PATH does not lead there."""


def find_mosquitto() -> Path | None:
    """The broker's program, or None."""
    found = shutil.which("mosquitto", path=os.pathsep.join([os.environ.get("PATH", ""), *SYSTEM_DIRECTORIES]))
    return Path(found) if found else None


def _access(line: str, verb: str, kinds: tuple[str, ...], gateway: str) -> list[str]:
    return [f"{line} {verb} {topics.topic(kind, gateway)}" for kind in kinds]


ACL = "\n".join(
    [
        "# A gateway writes and reads what bears its certificate's name; the collector reads all of it and answers.",
        *_access("pattern", "write", topics.FROM_GATEWAYS, "%u"),
        *_access("pattern", "read", topics.TO_GATEWAYS, "%u"),
        "",
        f"user {COLLECTOR_CLIENT_NAME}",
        *_access("topic", "read", topics.FROM_GATEWAYS, topics.ANY),
        *_access("topic", "write", topics.TO_GATEWAYS, topics.ANY),
        "",
    ]
)


def write_configuration(home: Home, directory: Path, port: int, host: str = "127.0.0.1") -> Path:
    """Write mosquitto.conf and its access list into a directory, which also keeps its queues; the file's path.

    The broker listens at host and port with the collector's server certificate, as the user who calls this: it reads
    the home's keys.
    """
    directory.mkdir(parents=True, exist_ok=True)
    acl = directory / "access.acl"
    acl.write_text(ACL, encoding="ascii")
    acl.chmod(0o600)
    configuration = directory / "mosquitto.conf"
    configuration.write_text(
        f"""\
user {pwd.getpwuid(os.geteuid()).pw_name}
listener {port} {host}
protocol mqtt
cafile {home.key_path("ca.pem")}
certfile {home.key_path("server.pem")}
keyfile {home.key_path("server.key")}
require_certificate true
use_identity_as_username true
tls_version tlsv1.2
allow_anonymous false
acl_file {acl}
persistence true
persistence_location {directory}/
max_packet_size 131072
max_queued_messages 10000
persistent_client_expiration 7d
log_dest stdout
log_type error
log_type warning
log_type notice
""",
        encoding="utf-8",
    )
    return configuration


def answers(port: int) -> bool:
    """Whether something listens at a port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0
