"""Ways from the gateway to the authority: the same frames up, the same receipts down, over MQTT or HTTPS.

An uplink does not store: it takes a batch, tries, and tells what came of it through events. What must not be lost is in
the journal, and leaves it on a verified receipt only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from edge_agent.errors import EdgeError
from edge_agent.wire.reading import Frame


class UplinkError(EdgeError):
    """The authority could not be reached, or refused; retry_after is in seconds where it said so."""

    retry_after: float | None = None


class AuthorityRefusedError(UplinkError):
    """The authority refused; `code` is that of its answer (edge_agent.wire.problems)."""

    def __init__(self, code: str, message: str, retry_after: float | None) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after


class BrokerRefusedError(UplinkError):
    """The broker does not let this gateway in, or does not take its readings."""

    code = "broker_refused"


class CertificateRefusedError(UplinkError):
    """The server does not take this gateway's certificate."""

    code = "certificate_refused"


class MalformedAnswerError(UplinkError):
    """The server's answer is not what was asked for."""

    code = "malformed_answer"


class ServerNotTrustedError(UplinkError):
    """The server's certificate is not one of our authority's CA."""

    code = "server_not_trusted"


class TlsFailedError(UplinkError):
    """TLS with the server failed."""

    code = "tls_failed"


class UnreachableError(UplinkError):
    """The server or broker does not answer."""

    code = "unreachable"


@dataclass(frozen=True)
class Batch:
    """Frames as they go, those of one meter in order; with each its meter's name and its number in the journal."""

    meters: tuple[str, ...]
    ids: tuple[int, ...]
    frames: tuple[Frame, ...]

    @property
    def ids_by_meter(self) -> dict[str, list[int]]:
        """The numbers in the journal of each meter's frames."""
        found: dict[str, list[int]] = {}
        for meter, number in zip(self.meters, self.ids, strict=True):
            found.setdefault(meter, []).append(number)
        return found

    def to_bytes(self) -> bytes:
        """The frames, concatenated."""
        return b"".join(frame.to_bytes() for frame in self.frames)


@dataclass(frozen=True)
class ReceiptsArrived:
    """Bytes that claim to be receipts; not verified yet."""

    data: bytes
    via: str


@dataclass(frozen=True)
class CommandArrived:
    """Bytes that claim to be a command; not checked yet."""

    data: bytes


@dataclass(frozen=True)
class BatchSent:
    """A batch left the gateway (a broker or the authority took it), which proves nothing yet."""

    batch: Batch
    via: str


@dataclass(frozen=True)
class BatchFailed:
    """A batch did not leave the gateway."""

    batch: Batch
    via: str
    error: UplinkError


@dataclass(frozen=True)
class LinkChanged:
    """A link came up (error None) or went down."""

    via: str
    connected: bool
    error: UplinkError | None


@dataclass(frozen=True)
class HeadArrived:
    """The authority's head of a meter (frame and receipt, not verified yet), or None where it has none."""

    meter: str
    data: bytes | None


@dataclass(frozen=True)
class HeadFailed:
    """The head of a meter could not be had."""

    meter: str
    error: UplinkError


@dataclass(frozen=True)
class AuthorityTime:
    """The authority's clock minus the gateway's, in seconds, as its last answer told."""

    deviation: int


UplinkEvent = (
    ReceiptsArrived | CommandArrived | BatchSent | BatchFailed | LinkChanged | HeadArrived | HeadFailed | AuthorityTime
)


class Uplink(Protocol):
    """One way to the authority. Calls return at once; what comes of them arrives as events."""

    @property
    def connected(self) -> bool:
        """Whether the last exchange went well."""

    def start(self) -> None:
        """Begin; may be called once."""

    def close(self) -> None:
        """End in good order, within a few seconds."""

    def send(self, batch: Batch) -> None:
        """Send a batch: BatchSent or BatchFailed follows."""

    def live(self, powers: Mapping[str, Mapping[str, int]]) -> None:
        """Tell live power, {meter: {"power_w", "time"}}; lost where the link is down."""

    def status(self, status: Mapping[str, Any]) -> None:
        """Tell the gateway's status; lost where the link is down."""
