"""The department's own certificate authority: X.509 certificates (RFC 5280) for the collector, the broker and gateways.

Keys are ECDSA P-256, because every TLS library on a gateway takes them; meters' Ed25519 keys never appear here.
Clocks come in as Unix seconds. Certificates are valid from five minutes before `now`, for clocks that lag.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from authority.errors import AuthorityError
from edge_agent.wire.claim import fingerprint_of

CA_DAYS = 20 * 365
SERVER_DAYS = 825
GATEWAY_DAYS = 2 * 365
RENEW_BEFORE_DAYS = 30


class CertificateError(AuthorityError):
    """A certificate or request that cannot be used."""


class CertificateRequestMalformedError(CertificateError):
    """A certificate request that cannot be read, or is not signed by its own key."""

    code = "malformed_request"


class CertificateUnreadableError(CertificateError):
    """A certificate or key file that cannot be read."""

    code = "unreadable"


class WeakKeyError(CertificateError):
    """A certificate request with a key of another kind than P-256."""

    code = "weak_key"


class CertificateNameError(CertificateError):
    """A certificate or request for another name than the one it should be for."""

    code = "wrong_name"


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS #8 in PEM, not encrypted: the file's mode protects it."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def key_from_pem(data: bytes) -> ec.EllipticCurvePrivateKey:
    """Read what key_to_pem wrote; CertificateUnreadableError for anything else."""
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateUnreadableError(f"this is not a private key in PEM: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateUnreadableError("this private key is not an elliptic curve key")
    return key


def certificate_from_pem(data: bytes) -> x509.Certificate:
    """The first certificate in PEM; CertificateUnreadableError where there is none."""
    try:
        return x509.load_pem_x509_certificate(data)
    except ValueError as error:
        raise CertificateUnreadableError(f"this is not a certificate in PEM: {error}") from error


def certificate_to_pem(certificate: x509.Certificate) -> bytes:
    """The certificate in PEM."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def revocation_list_to_pem(revoked: x509.CertificateRevocationList) -> bytes:
    """The revocation list in PEM."""
    return revoked.public_bytes(serialization.Encoding.PEM)


def certificate_hash(certificate: x509.Certificate) -> bytes:
    """SHA-256 of the certificate's DER: how the store names the one certificate that a gateway may use."""
    return der_hash(certificate.public_bytes(serialization.Encoding.DER))


def der_hash(der: bytes) -> bytes:
    """SHA-256 of a certificate as TLS hands it over."""
    return hashlib.sha256(der).digest()


def fingerprint(certificate: x509.Certificate) -> bytes:
    """What a claim code carries of the CA certificate (edge_agent.wire.claim): 10 bytes."""
    return fingerprint_of(certificate.public_bytes(serialization.Encoding.DER))


def _validity(now: int, days: float) -> tuple[datetime, datetime]:
    start = datetime.fromtimestamp(now, UTC) - timedelta(minutes=5)
    return start, start + timedelta(days=days)


def _name(common_name: str, organisation: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organisation:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation))
    return x509.Name(attributes)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def make_ca(key: ec.EllipticCurvePrivateKey, organisation: str, now: int) -> x509.Certificate:
    """The self-signed certificate of the department's CA; it may sign end certificates only."""
    name = _name("Campus energy authority CA", organisation)
    start, end = _validity(now, CA_DAYS)
    public_key = key.public_key()
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .sign(key, hashes.SHA256())
    )


def make_revocation_list(
    ca_key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    revoked: Mapping[int, int],
    now: int,
    before: x509.CertificateRevocationList | None = None,
) -> x509.CertificateRevocationList:
    """The CA's revocation list (RFC 5280, 5): `revoked` gives the serial numbers, each with when it was revoked.

    It is newer than the list `before` it, also within a second: of two lists, OpenSSL believes the newer one. It is
    good until the CA's own end. A list that runs out would shut every gateway out; this one is replaced at each
    revocation instead.
    """
    number, this_update = 1, _validity(now, 0)[0]
    if before is not None:
        number = before.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number + 1
        this_update = max(this_update, before.last_update_utc + timedelta(seconds=1))
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(ca.subject)
        .last_update(this_update)
        .next_update(ca.not_valid_after_utc)
        .add_extension(x509.CRLNumber(number), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    for serial, when in sorted(revoked.items()):
        entry = x509.RevokedCertificateBuilder().serial_number(serial)
        builder = builder.add_revoked_certificate(entry.revocation_date(datetime.fromtimestamp(when, UTC)).build())
    return builder.sign(ca_key, hashes.SHA256())


def _issue(
    ca_key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    public_key: ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey,
    common_name: str,
    now: int,
    days: float,
    usages: Sequence[x509.ObjectIdentifier],
    names: Sequence[str],
    serial: int | None = None,
) -> x509.Certificate:
    start, end = _validity(now, days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(common_name))
        .issuer_name(ca.subject)
        .public_key(public_key)
        .serial_number(x509.random_serial_number() if serial is None else serial)
        .not_valid_before(start)
        .not_valid_after(min(end, ca.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key()), critical=False)
    )
    if names:
        general: list[x509.GeneralName] = []
        for name in names:
            try:
                general.append(x509.IPAddress(ipaddress.ip_address(name)))
            except ValueError:
                general.append(x509.DNSName(name))
        builder = builder.add_extension(x509.SubjectAlternativeName(general), critical=False)
    return builder.sign(ca_key, hashes.SHA256(), ecdsa_deterministic=None if serial is None else True)


_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", re.IGNORECASE)


def check_server_name(name: str) -> None:
    """CertificateNameError where a name is neither an IP address nor a host name (RFC 1123, 2.1)."""
    with contextlib.suppress(ValueError):
        ipaddress.ip_address(name)
        return
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels) or labels[-1].isdigit():
        raise CertificateNameError(
            f"{name!r} is neither a host name nor an IP address: write it like energy.campus.example or 10.1.2.3"
        )


def issue_server(
    ca_key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    names: Sequence[str],
    now: int,
) -> x509.Certificate:
    """The certificate of the collector's listener, and of the broker beside it: `names` are DNS names and addresses.

    CertificateNameError where one is neither.
    """
    for name in names:
        check_server_name(name)
    return _issue(ca_key, ca, key.public_key(), names[0], now, SERVER_DAYS, [ExtendedKeyUsageOID.SERVER_AUTH], names)


def issue_client(
    ca_key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    name: str,
    now: int,
    days: float = SERVER_DAYS,
) -> x509.Certificate:
    """A client certificate for one of the authority's own processes, such as the collector at the broker."""
    return _issue(ca_key, ca, key.public_key(), name, now, days, [ExtendedKeyUsageOID.CLIENT_AUTH], [])


def check_request(pem: bytes, gateway: str) -> x509.CertificateSigningRequest:
    """Read a gateway's signing request (PKCS #10, PEM) and check it before anything is stored.

    CertificateError: `malformed_request` where it is not a request or its own signature fails, `wrong_name` where its
    common name is not the gateway's, `weak_key` where the key is not P-256 or stronger.
    """
    try:
        request = x509.load_pem_x509_csr(pem)
        valid = request.is_signature_valid
        key = request.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, InvalidSignature) as error:
        raise CertificateRequestMalformedError(f"this is not a certificate signing request: {error}") from error
    if not valid:
        raise CertificateRequestMalformedError("the signing request is not signed by the key in it")
    names = request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if [attribute.value for attribute in names] != [gateway]:
        raise CertificateNameError(f"the signing request's common name must be the gateway's: {gateway}")
    strong = (
        isinstance(key, ed25519.Ed25519PublicKey)
        or (isinstance(key, ec.EllipticCurvePublicKey) and key.curve.key_size >= 256)
        or (isinstance(key, rsa.RSAPublicKey) and key.key_size >= 2048)
    )
    if not strong:
        raise WeakKeyError("the signing request's key must be P-256, Ed25519 or RSA of 2048 bits or more")
    return request


def issue_gateway(
    ca_key: ec.EllipticCurvePrivateKey,
    ca: x509.Certificate,
    pem: bytes,
    gateway: str,
    now: int,
    *,
    serial: int | None = None,
) -> x509.Certificate:
    """The client certificate of a gateway, from its checked signing request; only its key is taken from the request.

    With a serial number given, the same request always gets the same certificate, byte for byte (RFC 6979).
    """
    key = check_request(pem, gateway).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey | rsa.RSAPublicKey)  # noqa: S101
    return _issue(ca_key, ca, key, gateway, now, GATEWAY_DAYS, [ExtendedKeyUsageOID.CLIENT_AUTH], [], serial)


def common_name(certificate: x509.Certificate) -> str | None:
    """The certificate's only common name; None where there is none or more than one."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        return None
    value = names[0].value
    return value if isinstance(value, str) else None


def covers(certificate: x509.Certificate, names: Sequence[str], now: int) -> bool:
    """Whether a server certificate has exactly these names and is good for at least another 30 days."""
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    held = {str(value) for value in extension.get_values_for_type(x509.IPAddress)}
    held |= set(extension.get_values_for_type(x509.DNSName))
    return held == set(names) and not expires_soon(certificate, now)


def expires_soon(certificate: x509.Certificate, now: int) -> bool:
    """Whether a certificate has 30 days or less left, or a third of its life where that is less."""
    third = (certificate.not_valid_after_utc - certificate.not_valid_before_utc) / 3
    return certificate.not_valid_after_utc <= datetime.fromtimestamp(now, UTC) + min(
        third, timedelta(days=RENEW_BEFORE_DAYS)
    )
