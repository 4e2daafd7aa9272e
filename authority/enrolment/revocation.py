"""The CA's revocation list: which client certificates are no longer valid, as the broker reads it for its TLS listener.

What is true is in the store: of the certificates that a gateway was ever given, the one whose hash is in its row is
good, and all others are revoked. The list is made of that, so it can be made again at any time.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.home import certificates
from authority.home.home import Home
from authority.store.enrolments import ENROLMENT_APPROVED, Enrolment
from authority.store.metering import Gateway
from edge_agent.wire.files import write_atomically

FILE_NAME = "crl.pem"


def list_path(home: Home) -> Path:
    """Where the list is, beside the certificates: the broker's `crlfile`."""
    return home.key_path(FILE_NAME)


def revoked_certificates(session: Session, now: int) -> list[x509.Certificate]:
    """The gateways' certificates that are good no more, though their dates say otherwise."""
    current = set(session.scalars(select(Gateway.certificate_hash).where(Gateway.certificate_hash.is_not(None))))
    given = session.scalars(select(Enrolment.certificate).where(Enrolment.state == ENROLMENT_APPROVED))
    found = [certificates.certificate_from_pem(pem.encode()) for pem in given if pem is not None]
    return [
        certificate
        for certificate in found
        if certificates.certificate_hash(certificate) not in current
        and certificate.not_valid_after_utc.timestamp() > now
    ]


def read_list(home: Home) -> x509.CertificateRevocationList | None:
    """The list as this CA wrote it last; None before the first, and for a file that is not a list of this CA's."""
    key = home.ca_key.public_key()
    try:
        found = x509.load_pem_x509_crl(list_path(home).read_bytes())
        return found if found.is_signature_valid(key) else None
    except (FileNotFoundError, ValueError):
        return None


def write_list(home: Home, revoked: Iterable[x509.Certificate], now: int) -> bool:
    """Write the list where it is not what it should be; whether it was written.

    A certificate that was on the list keeps the time at which it came there. More on the list than is asked for does no
    harm, and is left out at the next writing.
    """
    before = read_list(home)
    since = {} if before is None else {entry.serial_number: entry.revocation_date_utc.timestamp() for entry in before}
    serials = {certificate.serial_number: int(since.get(certificate.serial_number, now)) for certificate in revoked}
    if before is not None and set(serials) <= set(since):
        return False
    made = certificates.make_revocation_list(home.ca_key, home.ca_certificate, serials, now, before)
    write_atomically(list_path(home), certificates.revocation_list_to_pem(made))
    return True


def ensure_list(home: Home, now: int) -> None:
    """Have a list, an empty one if need be: a broker does not start without the file that it is told to read."""
    if not list_path(home).exists():
        write_list(home, [], now)
