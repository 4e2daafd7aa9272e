"""The campus's certificates: which there are and when they end; and the keeper that renews them in time, by itself.

The keeper is the one process that serves with the CA's key. It issues what gateways ask for over mutual TLS, approves
what an operator approved on the pages, renews the collector's and the broker's own certificate, keeps the revocation
list, and has the broker read both.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography import x509
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from authority.app import App
from authority.enrolment import approvals, broker_door, closing, renewal
from authority.home import certificates
from authority.home.home import COLLECTOR_CLIENT_NAME
from authority.store.enrolments import CertificateRenewal
from authority.store.metering import GATEWAY_ENROLLED, Gateway

LOG = logging.getLogger(__name__)
POLL_SECONDS = 2.0
LIST_EVERY = 15
"""In how many rounds the revocation list is looked at once."""


@dataclass(frozen=True)
class Certificate:
    """A certificate in use; times are Unix seconds. renewing: the next one is asked for, or issued and not used yet."""

    name: str
    purpose: str
    begins: int
    ends: int
    renewing: bool = False

    def as_json(self, now: int) -> dict[str, Any]:
        """For programs, with the days that are left."""
        return {
            "name": self.name,
            "purpose": self.purpose,
            "begins": self.begins,
            "ends": self.ends,
            "days_left": (self.ends - now) // 86_400,
            "renewing": self.renewing,
        }


def listed(app: App) -> list[Certificate]:
    """The CA's, the authority's own, and those of all gateways; first to end first."""
    home = app.home
    found = [_of(home.ca_certificate, "the campus's CA", "signs the others")]
    for file, name, purpose in (
        ("server.pem", ", ".join(home.server_names), "collector and broker"),
        *(
            (file, name, "the collector at the broker" if name == COLLECTOR_CLIENT_NAME else "a verifier at the broker")
            for file, name in home.broker_certificates.items()
        ),
    ):
        found.append(_of(certificates.certificate_from_pem(home.key_path(file).read_bytes()), name, purpose))
    with app.store.read() as session:
        asked = set(
            session.scalars(select(CertificateRenewal.gateway_name).where(CertificateRenewal.used_at.is_(None)))
        )
        for gateway in session.scalars(select(Gateway).where(Gateway.state == GATEWAY_ENROLLED)):
            if gateway.certificate is not None:
                parsed = certificates.certificate_from_pem(gateway.certificate.encode())
                found.append(_of(parsed, gateway.name, "gateway", renewing=gateway.name in asked))
    return sorted(found, key=lambda each: each.ends)


def _of(certificate: x509.Certificate, name: str, purpose: str, *, renewing: bool = False) -> Certificate:
    def seconds(time: datetime) -> int:
        return int(time.astimezone(UTC).timestamp())

    begins, ends = seconds(certificate.not_valid_before_utc), seconds(certificate.not_valid_after_utc)
    return Certificate(name, purpose, begins, ends, renewing)


def renew(app: App, *, with_list: bool = True) -> list[str]:
    """Do once what the keeper does: issue, renew, list. What was renewed, by name."""
    now, home = app.clock(), app.home
    with app.store.read() as session:
        waits = session.scalar(
            select(CertificateRenewal.id)
            .where(CertificateRenewal.certificate.is_(None), CertificateRenewal.used_at.is_(None))
            .limit(1)
        )
    renewed = approvals.certify_asked(app)
    if waits is not None:
        with app.store.write() as session:
            renewed += renewal.issue_waiting(session, home, now)
    own = [home.key_path(name) for name in ("server.pem", *home.broker_certificates)]
    before = [path.read_bytes() if path.exists() else b"" for path in own]
    home.renew_certificates(now)
    changed = [path.stem for path, data in zip(own, before, strict=True) if path.read_bytes() != data]
    if changed:
        broker_door.reload(home)  # the collector looks at its file with every connection
    if with_list:
        closing.sync_list(app)
    return renewed + changed


class Keeper:
    """Renews until `stop` is set; a store that is away is tried again, and told once."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._away = False
        self.stop = threading.Event()

    def run(self, poll_seconds: float = POLL_SECONDS) -> None:
        """Round by round; the list is looked at now and then, since it costs more."""
        number = 0
        while not self.stop.is_set():
            try:
                for name in renew(self._app, with_list=number % LIST_EVERY == 0):
                    LOG.info("the certificate of %s is renewed", name)
                if self._away:
                    LOG.info("the store answers again")
                self._away = False
            except SQLAlchemyError as error:
                if not self._away:
                    LOG.warning("the store does not answer, certificates wait: %s", error)
                self._away = True
            number += 1
            self.stop.wait(poll_seconds)
