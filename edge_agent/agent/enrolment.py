"""How a gateway comes to its authority: a claim code, possession proofs, a person's approval (docs/PROTOCOL.md).

Every step may be repeated: keys that exist are used, the authority answers the same claim with the same enrolment, and
the credentials are stored in one rename at the very end.
"""

from __future__ import annotations

import hmac
import json
import ssl
from collections.abc import Callable, Mapping
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes
from cryptography.x509.oid import NameOID

from edge_agent.config import GatewayConfig
from edge_agent.errors import EdgeError
from edge_agent.state.credentials import (
    Answer,
    Credentials,
    CredentialStore,
    EnrolledMeter,
    broker,
    receipt_key,
    server_context,
)
from edge_agent.state.keys import KeyStore, MeterKey
from edge_agent.uplinks import UplinkError
from edge_agent.uplinks.https import HttpsClient
from edge_agent.wire import paths
from edge_agent.wire.claim import Claim, ClaimError, fingerprint_of, fingerprint_text
from edge_agent.wire.files import make_private_directory
from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import METER_ID_SIZE, NETWORK_ID_SIZE, ROLES, SOURCES, possession_message
from edge_agent.wire.rules import ROLE_REGISTERS


class EnrolmentError(EdgeError):
    """Enrolling cannot go on; the message says what to do."""


class AuthorityNotTrustedError(EnrolmentError):
    """The server's CA is not the one that the claim code names."""

    code = "authority_not_trusted"


class CapturePeriodError(EnrolmentError):
    """A meter's capture period does not fit the authority's epoch."""

    code = "capture_period_unfit"


class ClaimRefusedError(EnrolmentError):
    """The authority does not take the claim code: used, expired, or not its own."""

    code = "claim_refused"


class EnrolmentRejectedError(EnrolmentError):
    """A person at the authority rejected the enrolment."""

    code = "enrolment_rejected"


class MapRoleError(EnrolmentError):
    """The map feeds registers that the meter's role does not have, or lacks some."""

    code = "map_does_not_fit_role"


class MeterUnknownError(EnrolmentError):
    """The campus plan does not expect this meter."""

    code = "meter_unknown"


class MeterUnreachableError(EnrolmentError):
    """A meter could not be read before enrolling."""

    code = "meter_unreachable"


class Pending(NamedTuple):
    """The authority has the request, and a person there has yet to approve it."""

    enrolment: str


def fetch_ca(address: tuple[str, int], fingerprint: bytes, *, timeout: float) -> str:
    """The department's CA certificate in PEM, as the server offers it and the claim code's fingerprint confirms.

    The connection is not verified and nothing secret is said on it; what it brings is believed only for its hash.
    AuthorityNotTrustedError where the hash is another.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    client = HttpsClient(address, context, timeout=timeout)
    try:
        pem = client.call("GET", paths.CA).body
    finally:
        client.close()
    try:
        certificate = x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise AuthorityNotTrustedError(
            f"https://{address[0]}:{address[1]} sends no CA certificate; is it the authority?"
        ) from error
    found = fingerprint_of(certificate.public_bytes(serialization.Encoding.DER))
    if not hmac.compare_digest(found, fingerprint):
        raise AuthorityNotTrustedError(
            f"https://{address[0]}:{address[1]} shows a CA other than the claim code's (fingerprint "
            f"{fingerprint_text(found)}); nothing was sent to it. Check the address in "
            "gateway.toml and the claim code",
        )
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


def enrol(
    config: GatewayConfig,
    claim: Claim,
    *,
    wait: bool,
    sleep: Callable[[float], None],
    tell: Callable[[str], None],
    poll_seconds: float = 5.0,
    rotate: str | None = None,
) -> Credentials | Pending:
    """Enrol this gateway with all its meters; the credentials once approved (stored by then), Pending before.

    rotate names a meter that gets a new key, which takes the present one's place when it is approved.

    With `wait`, asks again, soon at first and then every poll_seconds, until a person has decided. `tell` takes lines
    for the person.
    EnrolmentError, UplinkError, KeyFileError or CredentialsError where it cannot go on.
    """
    if claim.gateway != config.name:
        raise ClaimError(
            f"the claim code is for {claim.gateway!r}, gateway.toml says {config.name!r}; ask for a code of this name",
        )
    make_private_directory(config.state)
    keys = KeyStore(config.state)
    meter_keys = {
        meter.name: _rotated(config, keys, meter.name) if meter.name == rotate else keys.load_or_make(meter.name)
        for meter in config.meters
    }
    request = keys.certificate_request(config.name)

    ca_certificate = fetch_ca(config.authority_address, claim.fingerprint, timeout=config.uplink.timeout)
    client = HttpsClient(config.authority_address, server_context(ca_certificate), timeout=config.uplink.timeout)
    try:
        enrolment, asked = _ask(client, claim, config, request, meter_keys)
        tell(f"the authority has enrolment {enrolment} of {config.name} with {len(config.meters)} meter(s)")
        for meter in config.meters:
            tell(f"  {meter.name}: {key_digits(meter_keys[meter.name].public_key, meter.map)}")
        tell("compare these digits by telephone with those that `authority enrol list` shows, before anybody approves")
        pause = min(1.0, poll_seconds)
        while True:
            answer = _poll(client, claim, enrolment)
            status = answer.choice("status", ("pending", "approved", "rejected"))
            if status == "rejected":
                raise EnrolmentRejectedError(f"the authority rejected it: {_reason(answer)}")
            if status == "approved":
                break
            if not wait:
                return Pending(enrolment)
            sleep(pause)
            pause = min(2 * pause, poll_seconds)
    finally:
        client.close()
    credentials = _credentials(answer.table("credentials"), config, asked, meter_keys, ca_certificate, keys)
    if rotate is not None:
        keys.take_next(rotate)
    CredentialStore(config.state).save(credentials)
    return credentials


def _rotated(config: GatewayConfig, keys: KeyStore, name: str) -> MeterKey:
    """The key that follows a meter's present one; the present one where it took its place in a run that was
    interrupted before the credentials were stored."""
    enrolled = CredentialStore(config.state).load().meter(name)
    present = keys.load_or_make(name)
    if enrolled is not None and enrolled.public_key != present.public_key:
        return present
    return keys.load_or_make_next(name)


def key_digits(public_key: bytes, meter_map: MeterMap) -> str:
    """A meter's key and map by their first digits, as the authority shows them: two people compare them by
    telephone."""
    return f"key {public_key.hex()[:16]}… map {meter_map.hash().hex()[:16]}…"


class _Asked(NamedTuple):
    """What the authority said when it was asked, before anybody approved."""

    network_id: bytes
    epoch_seconds: int
    meters: Mapping[str, tuple[bytes, int]]  # name: meter id, first sequence


def _ask(
    client: HttpsClient, claim: Claim, config: GatewayConfig, request: str, keys: Mapping[str, MeterKey]
) -> tuple[str, _Asked]:
    body = {
        "gateway": config.name,
        "csr": request,
        "meters": [
            {
                "name": meter.name,
                "serial": meter.serial,
                "public_key": keys[meter.name].public_key.hex(),
                "map": meter.map.to_dict(),
            }
            for meter in config.meters
        ],
    }
    authorization = f"{paths.CLAIM_SCHEME} {claim.code}"
    answer = Answer(_call(client, "POST", paths.ENROLMENTS, body, authorization), "the authority's answer")
    enrolment = answer.get("enrolment")
    if type(enrolment) is int:
        enrolment = str(enrolment)
    if not isinstance(enrolment, str) or not enrolment or not all(c.isalnum() or c in "-_" for c in enrolment):
        raise answer.error("enrolment", "is missing or not an identifier")
    asked = _Asked(
        network_id=answer.hexadecimal("network_id", NETWORK_ID_SIZE),
        epoch_seconds=answer.integer("epoch_seconds", 1, 0xFFFF),
        meters={
            meter.text("name"): (
                meter.hexadecimal("meter_id", METER_ID_SIZE),
                meter.integer("first_sequence", 0, 0xFFFF_FFFF),
            )
            for meter in answer.tables("meters")
        },
    )
    proofs = {}
    for meter in config.meters:
        if meter.name not in asked.meters:
            raise MeterUnknownError(
                f"the authority does not expect meter {meter.name!r} at this gateway; have it added to the campus plan",
            )
        meter_id, first_sequence = asked.meters[meter.name]
        message = possession_message(
            first_sequence=first_sequence,
            network_id=asked.network_id,
            meter_id=meter_id,
            map_hash=meter.map.hash(),
        )
        proofs[meter.name] = keys[meter.name].sign(message).hex()
        if asked.epoch_seconds % meter.map.capture_period:
            raise CapturePeriodError(
                f"meter {meter.name!r} captures every {meter.map.capture_period} s, which does not divide the epoch of "
                f"{asked.epoch_seconds} s; set the meter's capture period, then the map's",
            )
    _call(client, "POST", paths.proofs(enrolment), {"proofs": proofs}, authorization)
    return enrolment, asked


def _call(client: HttpsClient, method: str, path: str, body: object, authorization: str) -> object:
    data = None if body is None else json.dumps(body).encode()
    try:
        return client.call(method, path, data, authorization=authorization).json()
    except UplinkError as error:
        if error.code == "not_authenticated":
            raise ClaimRefusedError(
                f"{error}; a claim code holds for one gateway and for a limited time: ask for a new one",
            ) from error
        raise


def _poll(client: HttpsClient, claim: Claim, enrolment: str) -> Answer:
    path = paths.enrolment(enrolment)
    return Answer(_call(client, "GET", path, None, f"{paths.CLAIM_SCHEME} {claim.code}"), "the authority's answer")


def _reason(answer: Answer) -> str:
    reason = answer.get("reason")
    return "".join(c for c in reason if c.isprintable()) if isinstance(reason, str) and reason else "it gives no reason"


def _credentials(
    answer: Answer,
    config: GatewayConfig,
    asked: _Asked,
    keys: Mapping[str, MeterKey],
    ca_certificate: str,
    store: KeyStore,
) -> Credentials:
    """Check what the authority hands out against what was asked and proven; only then is it ours."""
    certificate = answer.text("certificate")
    try:
        parsed = x509.load_pem_x509_certificate(certificate.encode())
        offered_ca = x509.load_pem_x509_certificate(answer.text("ca_certificate").encode())
    except ValueError as error:
        raise answer.error("certificate", f"cannot be read: {error}") from error
    if offered_ca != x509.load_pem_x509_certificate(ca_certificate.encode()):
        raise answer.error("ca_certificate", "is not the claim code's")
    names = [str(name.value) for name in parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [config.name]:
        raise answer.error("certificate", f"is made out to {names}, not to {config.name!r}")
    if _spki(parsed.public_key()) != _spki(store.load_or_make_tls().public_key()):
        raise answer.error("certificate", "is for another key than this gateway's")
    meters = []
    approved = {meter.text("name"): meter for meter in answer.tables("meters")}
    for settings in config.meters:
        meter = approved.get(settings.name)
        if meter is None:
            raise answer.error("meters", f"do not hold {settings.name!r}")
        meter_id, first_sequence = asked.meters[settings.name]
        if meter.hexadecimal("meter_id", METER_ID_SIZE) != meter_id:
            raise meter.error("meter_id", "is not the one whose possession was proved")
        if meter.integer("first_sequence", 0, 0xFFFF_FFFF) != first_sequence:
            raise meter.error("first_sequence", "is not the one whose possession was proved")
        role = meter.choice("role", ROLES)
        unfit = sorted(set(settings.map.registers) - ROLE_REGISTERS[role])
        if unfit:
            raise MapRoleError(
                f"meter {settings.name!r} was approved as {role}, where {', '.join(unfit)} must not move; take it out "
                "of its map and enrol again",
            )
        meters.append(
            EnrolledMeter(
                name=settings.name,
                serial=settings.serial,
                meter_id=meter_id,
                role=role,
                source=SOURCES.index(meter.choice("source", SOURCES)),
                first_sequence=first_sequence,
                public_key=keys[settings.name].public_key,
                map_hash=settings.map.hash(),
            )
        )
    return Credentials(
        gateway=config.name,
        network_id=asked.network_id,
        epoch_seconds=asked.epoch_seconds,
        receipt_key=receipt_key(answer),
        certificate=certificate,
        ca_certificate=ca_certificate,
        mqtt=broker(answer),
        meters=tuple(meters),
    )


def _spki(key: PublicKeyTypes) -> bytes:
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
