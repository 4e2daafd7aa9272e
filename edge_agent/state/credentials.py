"""What enrolment leaves on the gateway: who it is, whom it trusts, and which keys sign under which map.

`credentials.json` in the state directory is the whole of it, written in one rename; the PEM files under `tls/` are
copies for the TLS library, which reads files only.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from edge_agent.errors import EdgeError
from edge_agent.state.certificate import validity
from edge_agent.wire.files import make_private_directory, write_atomically
from edge_agent.wire.reading import METER_ID_SIZE, NETWORK_ID_SIZE, PUBLIC_KEY_SIZE, ROLES, SOURCES

CREDENTIALS_VERSION = 1
_FILE = "credentials.json"


class CredentialsError(EdgeError):
    """The credentials cannot be used."""


class CredentialsInvalidError(CredentialsError):
    """What the authority gave, or what is stored, cannot be used."""

    code = "credentials_invalid"


class NotEnrolledError(CredentialsError):
    """This gateway has no credentials, or those of another."""

    code = "not_enrolled"


@dataclass(frozen=True)
class EnrolledMeter:
    """One meter as the authority approved it: its key and map are what the chain holds."""

    name: str
    serial: str
    meter_id: bytes
    role: str
    source: int
    first_sequence: int
    public_key: bytes
    map_hash: bytes


@dataclass(frozen=True)
class Credentials:
    """One gateway's standing with its authority. Certificates are PEM; receipt_key is the pinned Ed25519 key."""

    gateway: str
    network_id: bytes
    epoch_seconds: int
    receipt_key: bytes
    certificate: str
    ca_certificate: str
    mqtt: tuple[str, int] | None
    meters: tuple[EnrolledMeter, ...]

    def meter(self, name: str) -> EnrolledMeter | None:
        """The enrolled meter of that name, None where it is not enrolled."""
        return next((meter for meter in self.meters if meter.name == name), None)

    def certificate_expires(self) -> int:
        """When the client certificate ends, Unix seconds."""
        return validity(self.certificate)[1]

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "version": CREDENTIALS_VERSION,
            "gateway": self.gateway,
            "network_id": self.network_id.hex(),
            "epoch_seconds": self.epoch_seconds,
            "receipt_key": self.receipt_key.hex(),
            "certificate": self.certificate,
            "ca_certificate": self.ca_certificate,
            "mqtt": None if self.mqtt is None else {"host": self.mqtt[0], "port": self.mqtt[1]},
            "meters": [
                {
                    "name": meter.name,
                    "serial": meter.serial,
                    "meter_id": meter.meter_id.hex(),
                    "role": meter.role,
                    "source": SOURCES[meter.source],
                    "first_sequence": meter.first_sequence,
                    "public_key": meter.public_key.hex(),
                    "map_hash": meter.map_hash.hex(),
                }
                for meter in self.meters
            ],
        }

    @classmethod
    def from_dict(cls, data: object) -> Credentials:
        """Check credentials read from JSON; CredentialsInvalidError names the entry that is wrong."""
        table = Answer(data, "credentials")
        if table.integer("version", 1, 2**31) != CREDENTIALS_VERSION:
            raise CredentialsInvalidError("credentials of a version that this agent does not know")
        certificate, ca_certificate = table.text("certificate"), table.text("ca_certificate")
        for name, pem in (("certificate", certificate), ("ca_certificate", ca_certificate)):
            try:
                validity(pem)
            except ValueError as error:
                raise table.error(name, f"is not a certificate: {error}") from error
        return cls(
            gateway=table.text("gateway"),
            network_id=table.hexadecimal("network_id", NETWORK_ID_SIZE),
            epoch_seconds=table.integer("epoch_seconds", 1, 0xFFFF),
            receipt_key=receipt_key(table),
            certificate=certificate,
            ca_certificate=ca_certificate,
            mqtt=broker(table),
            meters=tuple(
                EnrolledMeter(
                    name=meter.text("name"),
                    serial=meter.text("serial"),
                    meter_id=meter.hexadecimal("meter_id", METER_ID_SIZE),
                    role=meter.choice("role", ROLES),
                    source=SOURCES.index(meter.choice("source", SOURCES)),
                    first_sequence=meter.integer("first_sequence", 0, 0xFFFF_FFFF),
                    public_key=meter.hexadecimal("public_key", PUBLIC_KEY_SIZE),
                    map_hash=meter.hexadecimal("map_hash", 32),
                )
                for meter in table.tables("meters")
            ),
        )


class Answer:
    """A JSON object from outside, read key by key; every fault is a CredentialsInvalidError that says
    where it came from."""

    def __init__(self, data: object, where: str) -> None:
        self.where = where
        if not isinstance(data, Mapping):
            raise CredentialsInvalidError(f"{where}: should be a JSON object")
        self._data = data

    def error(self, key: str, message: str) -> CredentialsError:
        """A fault of this object's entry `key`."""
        return CredentialsInvalidError(f"{self.where}: {key} {message}")

    def get(self, key: str) -> object:
        """The entry as it is, None where it is missing."""
        return self._data.get(key)

    def text(self, key: str) -> str:
        """Text that is not empty."""
        value = self._data.get(key)
        if not isinstance(value, str) or not value:
            raise self.error(key, "is missing or not text")
        return value

    def integer(self, key: str, low: int, high: int) -> int:
        """A whole number from low to high."""
        value = self._data.get(key)
        if type(value) is not int or not low <= value <= high:
            raise self.error(key, f"is {value!r}, not a whole number from {low} to {high}")
        return value

    def hexadecimal(self, key: str, size: int) -> bytes:
        """Exactly `size` bytes in hexadecimal."""
        value = self._data.get(key)
        if not isinstance(value, str) or not re.fullmatch(rf"[0-9a-fA-F]{{{2 * size}}}", value):
            raise self.error(key, f"is not {size} bytes in hexadecimal")
        return bytes.fromhex(value)

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of `choices`, by name or by its number."""
        value = self._data.get(key)
        if type(value) is int and 0 <= value < len(choices):
            return choices[value]
        if not isinstance(value, str) or value not in choices:
            raise self.error(key, f"is {value!r}, not one of {', '.join(choices)}")
        return value

    def table(self, key: str) -> Answer:
        """A JSON object."""
        return Answer(self._data.get(key), f"{self.where}.{key}")

    def tables(self, key: str) -> list[Answer]:
        """A list of JSON objects."""
        value = self._data.get(key)
        if not isinstance(value, list):
            raise self.error(key, "is missing or not a list")
        return [Answer(item, f"{self.where}.{key}[{index}]") for index, item in enumerate(value)]


def receipt_key(table: Answer) -> bytes:
    """The entry `receipt_key`: an Ed25519 public key."""
    key = table.hexadecimal("receipt_key", PUBLIC_KEY_SIZE)
    try:
        Ed25519PublicKey.from_public_bytes(key)
    except ValueError as error:
        raise table.error("receipt_key", "is not an Ed25519 public key") from error
    return key


def broker(table: Answer) -> tuple[str, int] | None:
    """The entry `mqtt`: host and port of the broker, or null."""
    if table.get("mqtt") is None:
        return None
    mqtt = table.table("mqtt")
    return (mqtt.text("host"), mqtt.integer("port", 1, 65535))


class CredentialStore:
    """Credentials under a state directory."""

    def __init__(self, state: Path) -> None:
        self.path = state / _FILE
        self.certificate = state / "tls" / "certificate.pem"
        self.key = state / "tls" / "key.pem"
        self.next_certificate = state / "tls" / "next-certificate.pem"

    def load(self) -> Credentials:
        """The stored credentials; NotEnrolledError where there are none.

        A next certificate that was tried, and may be the only one that the authority takes now, is taken over.
        """
        stored = self._load()
        try:
            following = self.next_certificate.read_text(encoding="utf-8")
            credentials = replace(stored, certificate=following)
            self.tls_context(credentials)
        except (FileNotFoundError, CredentialsError):
            return stored
        self.save(credentials)
        return credentials

    def _load(self) -> Credentials:
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise NotEnrolledError(
                f"this gateway is not enrolled ({self.path} is missing); ask the authority for a claim code and run "
                "`edge-agent enrol --config FILE --claim CODE`",
            ) from error
        except (OSError, UnicodeDecodeError) as error:
            raise CredentialsInvalidError(f"{self.path} cannot be read: {error}") from error
        try:
            return Credentials.from_dict(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise CredentialsInvalidError(f"{self.path} is damaged ({error}); enrol again") from error
        except CredentialsInvalidError as error:
            raise CredentialsInvalidError(f"{self.path}: {error}; enrol again") from error

    def save(self, credentials: Credentials) -> None:
        """Store credentials durably; the certificate's copy first, `credentials.json` last, so a cut leaves the old."""
        make_private_directory(self.path.parent)
        make_private_directory(self.certificate.parent)
        write_atomically(self.certificate, credentials.certificate.encode())
        write_atomically(self.path, json.dumps(credentials.to_dict(), indent=2).encode())
        self.next_certificate.unlink(missing_ok=True)

    def trial_context(self, credentials: Credentials) -> ssl.SSLContext:
        """The same as tls_context with a certificate that was not used yet: it is kept beside the present one.

        Both are good at the authority until the new one was used, so a gateway that is cut off here comes back with it.
        """
        write_atomically(self.next_certificate, credentials.certificate.encode())
        try:
            context = server_context(credentials.ca_certificate)
            context.load_cert_chain(self.next_certificate, self.key)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            self.next_certificate.unlink(missing_ok=True)
            raise CredentialsInvalidError(
                f"the certificate that the authority issued cannot be used: {error}"
            ) from error
        return context

    def tls_context(self, credentials: Credentials) -> ssl.SSLContext:
        """Mutual TLS: the server checked against the department's CA (host name too), and our certificate shown.

        CredentialsInvalidError where certificate and key do not belong together.
        """
        try:
            if self.certificate.read_text(encoding="utf-8") != credentials.certificate:
                write_atomically(self.certificate, credentials.certificate.encode())
            context = server_context(credentials.ca_certificate)
            context.load_cert_chain(self.certificate, self.key)
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
            raise CredentialsInvalidError(
                f"the certificate {self.certificate} or its key cannot be used: {error}; enrol again",
            ) from error
        return context


def server_context(ca_certificate: str) -> ssl.SSLContext:
    """TLS 1.2 or later to a server whose certificate chains to this CA alone, host name checked."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=ca_certificate)
    return context
