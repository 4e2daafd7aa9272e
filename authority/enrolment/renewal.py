"""A gateway's next certificate, without a person: asked for over its mutual-TLS door, issued, used.

Whoever asks has shown the gateway's present certificate; the new one has the same name, and the key of the request.
The process that takes requests has no CA key: it keeps them, and the one that has it issues. Until the new certificate
is used for the first time, both are good, so that a gateway that loses power in between comes back with either.
"""

from __future__ import annotations

from cryptography.hazmat.primitives import serialization
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authority.home import certificates
from authority.home.certificates import CertificateError
from authority.home.home import Home
from authority.log import gate, log
from authority.refusals import MalformedError
from authority.store.enrolments import CertificateRenewal
from authority.store.metering import GATEWAY_ENROLLED, Gateway

ACTOR = "authority"
RENEWED_ACT = "certificate_renewed"


def ask(session: Session, gateway: str, csr: object, shown: bytes | None, now: int) -> dict[str, object]:
    """Take a request, and answer with the certificate once it is issued; the same request again is the same one.

    shown is the hash of the certificate that came with it: where it is a new one, it is in use.

    MalformedError for what is no signing request of this gateway's.
    """
    if not isinstance(csr, str):
        raise MalformedError('send {"csr": a signing request in PEM}')
    try:
        key = _public_key(csr, gateway)
    except CertificateError as error:
        raise MalformedError(str(error)) from error
    use(session, gateway, shown, now)
    for waiting in _open(session, gateway):
        if _public_key(waiting.csr, gateway) == key:
            if waiting.certificate is None:
                return {"status": "pending"}
            return {"status": "issued", "certificate": waiting.certificate}
    unused = (CertificateRenewal.gateway_name == gateway) & CertificateRenewal.used_at.is_(None)
    # a request with another key takes the place of what nobody has used
    session.execute(update(CertificateRenewal).where(unused).values(used_at=now))
    session.add(CertificateRenewal(gateway_name=gateway, csr=csr, asked_at=now))
    return {"status": "pending"}


def _public_key(csr: str, gateway: str) -> bytes:
    return (
        certificates.check_request(csr.encode(), gateway)
        .public_key()
        .public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    )


def _open(session: Session, gateway: str) -> list[CertificateRenewal]:
    query = select(CertificateRenewal).where(CertificateRenewal.gateway_name == gateway)
    return list(session.scalars(query.where(CertificateRenewal.used_at.is_(None)).order_by(CertificateRenewal.id)))


def issue_waiting(session: Session, home: Home, now: int) -> list[str]:
    """Issue what was asked for; the gateways' names. Each is an act in the log, by the certificate's hash."""
    waiting = select(CertificateRenewal).where(
        CertificateRenewal.certificate.is_(None), CertificateRenewal.used_at.is_(None)
    )
    names = []
    for renewal in session.scalars(waiting.order_by(CertificateRenewal.id)).all():
        gateway = session.get_one(Gateway, renewal.gateway_name)
        if gateway.state != GATEWAY_ENROLLED:
            renewal.used_at = now
            continue
        made = certificates.issue_gateway(
            home.ca_key, home.ca_certificate, renewal.csr.encode(), renewal.gateway_name, now
        )
        renewal.certificate = certificates.certificate_to_pem(made).decode()
        renewal.certificate_hash = certificates.certificate_hash(made)
        data = {
            "certificate": renewal.certificate_hash.hex(),
            "gateway": gate.gateway_of(session, renewal.gateway_name),
        }
        log.record_act(session, RENEWED_ACT, ACTOR, now, data)
        names.append(renewal.gateway_name)
    return names


def use(session: Session, gateway_name: str, certificate_hash: bytes | None, now: int) -> bool:
    """A gateway has shown its new certificate: it is the gateway's from now on. Whether it is this one now."""
    gateway = session.get_one(Gateway, gateway_name)
    if certificate_hash is None or gateway.state != GATEWAY_ENROLLED:
        return False
    if gateway.certificate_hash == certificate_hash:
        return True
    for renewal in _open(session, gateway_name):
        if renewal.certificate_hash == certificate_hash:
            gateway.certificate, gateway.certificate_hash = renewal.certificate, certificate_hash
            renewal.used_at = now
            return True
    return False
