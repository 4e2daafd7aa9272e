"""Whether a gateway may speak: the one rule, for HTTPS and MQTT, readings, live power, status and heads alike.

A gateway speaks while it is enrolled, with the one certificate that it was given last. Over HTTPS the certificate is
shown with each request. Over MQTT the broker has checked it, and ties the topics to its name
(authority.collector.broker); what it cannot know is that the gateway was revoked since, so that is asked here for
every message.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from authority.refusals import NotAuthenticatedError, RefusalError, WrongGatewayError
from authority.store.base import table_of
from authority.store.enrolments import CertificateRenewal
from authority.store.metering import GATEWAY_ENROLLED, Gateway
from authority.store.rows import Asked, rows_of_all


@dataclass(frozen=True, slots=True)
class Standing:
    """What the store says of a gateway: its state, and the SHA-256 of the certificate (DER) that it may use.

    next_hashes are those of certificates that were issued to follow it and were not used yet.
    """

    state: str
    certificate_hash: bytes | None
    next_hashes: frozenset[bytes] = frozenset()


@dataclass(frozen=True, slots=True)
class Shown:
    """The certificate that came with a request: the SHA-256 of its DER, None where the client showed none."""

    certificate_hash: bytes | None


_gateway = table_of(Gateway).c
_STANDINGS = select(_gateway.name, _gateway.state, _gateway.certificate_hash)
_renewal = table_of(CertificateRenewal).c
_NEXT = select(_renewal.gateway_name, _renewal.certificate_hash).where(
    _renewal.certificate_hash.is_not(None),
    _renewal.used_at.is_(None),
)
NO_CERTIFICATE = Shown(None)
NEEDS_CERTIFICATE = "this needs the gateway's current client certificate; enrol to get one"


def standings(session: Session, gateways: Collection[str]) -> Mapping[str, Standing]:
    """The standings of those gateways that the store knows."""
    return standings_of(*rows_of_all(session, asked(gateways)))


def asked(gateways: Collection[str]) -> tuple[Asked, Asked]:
    """What `standings_of` is made of, for who asks more with it."""
    return Asked(_STANDINGS, _gateway.name, gateways), Asked(_NEXT, _renewal.gateway_name, gateways)


def standings_of(gateways: Sequence[Any], renewals: Sequence[Any]) -> Mapping[str, Standing]:
    """The standings, of the rows that `asked` brings."""
    following: dict[str, set[bytes]] = {}
    for name, next_hash in renewals:
        following.setdefault(name, set()).add(next_hash)
    return {
        name: Standing(state, certificate_hash, frozenset(following.get(name, ())))
        for name, state, certificate_hash in gateways
    }


def refusal(gateway: str, standing: Standing | None, shown: Shown | None) -> RefusalError | None:
    """Why this gateway may not speak; None where it may.

    shown is None where the transport has checked the certificate.
    """
    if standing is None or standing.state != GATEWAY_ENROLLED:
        return NotAuthenticatedError(f"gateway {gateway} is not enrolled, or was revoked; enrol it again")
    good = {standing.certificate_hash, *standing.next_hashes}
    if shown is not None and (shown.certificate_hash is None or shown.certificate_hash not in good):
        return NotAuthenticatedError(NEEDS_CERTIFICATE)
    return None


def require(session: Session, gateway: str, shown: Shown) -> None:
    """Raise RefusalError unless the gateway in the request's path may speak with the certificate that was shown.

    `wrong_gateway` where the certificate is another enrolled gateway's.
    """
    owner = None
    if shown.certificate_hash is not None:
        follows = select(CertificateRenewal.gateway_name).where(
            CertificateRenewal.certificate_hash == shown.certificate_hash, CertificateRenewal.used_at.is_(None)
        )
        owner = session.execute(
            select(Gateway.name, Gateway.state).where(
                or_(Gateway.certificate_hash == shown.certificate_hash, Gateway.name.in_(follows))
            )
        ).one_or_none()
    if owner is not None and owner.state == GATEWAY_ENROLLED and owner.name != gateway:
        raise WrongGatewayError(f"this certificate is {owner.name}'s, not {gateway}'s")
    if owner is None or owner.state != GATEWAY_ENROLLED:
        raise NotAuthenticatedError(NEEDS_CERTIFICATE)
