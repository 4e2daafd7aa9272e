"""What the authority asks of the broker: read the revocation list, and end a client's connection.

Mosquitto reads its list (`crlfile`) at its start and on SIGHUP, and asks nobody while a client stays connected. So
after a revocation three things happen: the broker is told to read; a certificate that is on the list only for this
purpose is tried until the broker refuses it, which shows that it has read; and the client is thrown off by a
connection under its own name, for a client id belongs to one connection at a time (MQTT 5, 3.1.4) and is the
certificate's name here (`use_username_as_clientid`).
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import struct
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from authority.errors import AuthorityError
from authority.home import certificates
from authority.home.home import Home

PROBE_NAME = "authority-probe"
"""The name of the certificate that is revoked from the start; no gateway's name starts with `authority-`."""
CONNECT_SECONDS = 5.0
READ_SECONDS = 10.0
"""How long the broker may take to read its list."""
_POLL_SECONDS = 0.1
_DAYS = 1


class BrokerError(AuthorityError):
    """The broker cannot be reached, or did not do what it was told."""


class BrokerNotTrustedError(BrokerError):
    """The broker shows a certificate of another CA, or another name."""

    code = "broker_not_trusted"


class BrokerUnreachableError(BrokerError):
    """No connection to the broker."""

    code = "broker_unreachable"


class RevocationListNotReadError(BrokerError):
    """The broker still lets a revoked gateway in: it has not read the new revocation list."""

    code = "list_not_read"


class GatewayNotThrownOffError(BrokerError):
    """The broker has not ended a revoked gateway's session."""

    code = "not_thrown_off"


@dataclass(frozen=True)
class Credentials:
    """A client certificate of the authority's own making, and its key; it never leaves this process but for TLS."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @classmethod
    def make(cls, home: Home, name: str, now: int) -> Credentials:
        """A certificate under any name, good for a day."""
        key = certificates.new_key()
        made = certificates.issue_client(home.ca_key, home.ca_certificate, key, name, now, _DAYS)
        return cls(made, key)

    def context(self, home: Home) -> ssl.SSLContext:
        """TLS with these credentials; the other side must be certified by the department's CA."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(home.key_path("ca.pem"))
        with tempfile.TemporaryDirectory(prefix="authority-") as directory:  # mode 0700; OpenSSL reads files alone
            file = Path(directory) / "client.pem"
            file.write_bytes(certificates.key_to_pem(self.key) + certificates.certificate_to_pem(self.certificate))
            context.load_cert_chain(file)
        return context


def pid_path(home: Home) -> Path:
    """Where the broker of this home writes its process number (mosquitto.conf, `pid_file`)."""
    return home.path / "mosquitto.pid"


def reload(home: Home) -> bool:
    """Send SIGHUP to this home's broker; False where none runs on this machine, or it is another user's."""
    try:
        number = int(pid_path(home).read_text(encoding="ascii"))
        name = Path(f"/proc/{number}/comm").read_text(encoding="utf-8").strip()
        if name != "mosquitto":  # the file outlived a broker that was killed, and the number is another's now
            return False
        os.kill(number, signal.SIGHUP)
    except (OSError, ValueError):
        return False
    return True


def accepts(home: Home, credentials: Credentials, client_id: str) -> bool:
    """Whether the broker lets a client with these credentials connect; it is disconnected at once.

    Whoever was connected under the client id is thrown off, with its session. BrokerError `broker_unreachable` or
    `broker_not_trusted`.
    """
    settings = home.settings.mqtt
    where = f"the broker at {settings.host}:{settings.port}"
    try:
        plain = socket.create_connection((settings.host, settings.port), CONNECT_SECONDS)
    except OSError as error:
        raise BrokerUnreachableError(f"{where} cannot be reached: {error}; does it run?") from error
    try:
        with plain, credentials.context(home).wrap_socket(plain, server_hostname=settings.host) as link:
            link.sendall(_connect(client_id))
            answer = link.recv(4)
            accepted = len(answer) == 4 and answer[0] == 0x20 and answer[3] == 0
            if accepted:
                link.sendall(b"\xe0\x00")  # DISCONNECT: its will, if any, is not meant
            return accepted
    except ssl.SSLCertVerificationError as error:
        raise BrokerNotTrustedError(f"{where} has a certificate that does not fit: {error}") from error
    except TimeoutError as error:
        raise BrokerUnreachableError(f"{where} does not answer") from error
    except OSError:  # an alert in TLS, or a connection that ends: with TLS 1.3 it comes after the handshake
        return False


def _connect(client_id: str) -> bytes:
    """MQTT 3.1.1's CONNECT with a clean session (3.1): the oldest version that every broker takes."""
    name = client_id.encode()
    body = struct.pack(">H4sBBHH", 4, b"MQTT", 4, 0x02, 10, len(name)) + name
    return bytes([0x10, len(body)]) + body


def wait_until_read(
    home: Home,
    probe: Credentials,
    *,
    seconds: float = READ_SECONDS,
    monotonic: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until the broker refuses the probe, which is on the newest list; BrokerError, `list_not_read` at the end."""
    end = monotonic() + seconds
    while accepts(home, probe, PROBE_NAME):
        if monotonic() > end:
            raise RevocationListNotReadError(
                "the broker has not read the new revocation list: have it read its configuration again "
                "(systemctl reload campus-mosquitto, or SIGHUP)",
            )
        sleep(_POLL_SECONDS)


def throw_off(home: Home, name: str, now: int) -> None:
    """End the connection, and the session, of the client with this name. BrokerError."""
    if not accepts(home, Credentials.make(home, name, now), name):
        raise GatewayNotThrownOffError(f"the broker refuses the authority's own certificate for {name}; see its log")
