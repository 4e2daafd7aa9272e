"""Claims and enrolments: what a gateway asks for, proves, and is given (docs/PROTOCOL.md, "HTTPS").

Every step may be repeated with the same content. What goes to the chain is authority.enrolment.registration's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cryptography.hazmat.primitives import serialization
from solders.pubkey import Pubkey
from solders.signature import Signature
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from authority.enrolment import exchanges, meter_sets
from authority.home import certificates
from authority.home.certificates import CertificateError
from authority.home.home import Home
from authority.log import gate, log
from authority.log.nameless import require_nameless
from authority.refusals import ConflictError, MalformedError, NotFoundError, UnauthorisedError
from authority.store import enrolments, metering
from authority.store.enrolments import CertificateRenewal, Claim, Enrolment, EnrolmentMeter
from authority.store.log import Act
from authority.store.metering import Gateway, Meter, MeterKey
from edge_agent.wire import claim as wire
from edge_agent.wire.meter_map import MeterMap, MeterMapError
from edge_agent.wire.reading import PUBLIC_KEY_SIZE, SIGNATURE_SIZE, possession_message
from edge_agent.wire.rules import ROLE_REGISTERS

CLAIM_SECONDS = 7 * 86_400
MAX_METERS = 64
"""Meters of one gateway."""
FIRST_SEQUENCE = 1
REVOKED_ACT = "gateway_revoked"


# Claims


def claim(session: Session, home: Home, gateway: str, *, actor: str, now: int, random: Callable[[int], bytes]) -> str:
    """A new claim code for a gateway of the plan, good for a week; its older, unused ones are void from now on."""
    if session.get(Gateway, gateway) is None:
        known = ", ".join(session.scalars(select(Gateway.name).order_by(Gateway.name))) or "none yet"
        raise NotFoundError(
            f"the campus plan has no gateway {gateway!r}, it has {known}; add a meter of it to the plan"
        )
    session.execute(
        update(Claim)
        .where(Claim.gateway_name == gateway, Claim.withdrawn_at.is_(None), ~_has_enrolment())
        .values(withdrawn_at=now)
    )
    code = wire.Claim(gateway, random(wire.SECRET_BYTES), certificates.fingerprint(home.ca_certificate))
    session.add(
        Claim(
            gateway_name=gateway,
            secret_hash=hashlib.sha256(code.secret).digest(),
            created_at=now,
            expires_at=now + CLAIM_SECONDS,
        )
    )
    log.lock(session)
    log.record_act(session, "claim_issued", actor, now, {"gateway": gate.gateway_of(session, gateway, random)})
    return code.code


def _has_enrolment() -> Any:
    return select(Enrolment.id).where(Enrolment.claim_id == Claim.id).exists()


def authenticate(session: Session, code: str, now: int) -> Claim:
    """The claim that a code stands for; UnauthorisedError without saying which part was wrong."""
    refused = UnauthorisedError("this claim code is wrong, used up or too old; ask the operator for a new one")
    try:
        said = wire.Claim.parse(code)
    except wire.ClaimError as error:
        raise refused from error
    found = session.scalar(select(Claim).where(Claim.secret_hash == hashlib.sha256(said.secret).digest()))
    if found is None or found.gateway_name != said.gateway or found.withdrawn_at is not None or now >= found.expires_at:
        raise refused
    return found


# What a gateway asks


def _field(body: Mapping[str, object], key: str, kind: type, where: str) -> Any:
    value = body.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        raise MalformedError(f"{where}: {key} is missing or not a {kind.__name__}")
    return value


def _hex(text: str, size: int, where: str) -> bytes:
    try:
        data = bytes.fromhex(text)
    except ValueError:
        data = b""
    if len(data) != size or len(text) != 2 * size:
        raise MalformedError(f"{where} must be {size} bytes in hex")
    return data


def request(
    session: Session, home: Home, claim: Claim, body: object, *, now: int, random: Callable[[int], bytes]
) -> dict[str, object]:
    """A gateway asks with its keys and maps; the enrolment with each meter's id and first sequence.

    The same claim may ask again: with the same keys and maps it gets the same enrolment; with other maps, before the
    operator has decided, the maps and proofs are replaced; with other keys it is a conflict.
    """
    if not isinstance(body, dict):
        raise MalformedError("an enrolment is a JSON object")
    gateway = _field(body, "gateway", str, "enrolment")
    if gateway != claim.gateway_name:
        raise ConflictError(f"this claim is for gateway {claim.gateway_name}, not for {gateway}")
    csr = _field(body, "csr", str, "enrolment")
    try:
        signing_request = certificates.check_request(csr.encode(), gateway)
    except CertificateError as error:
        raise MalformedError(str(error)) from error
    asked = _asked_meters(session, home, gateway, _field(body, "meters", list, "enrolment"))
    keys = hashlib.sha256(
        signing_request.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        + b"".join(sorted(meter.meter_id + key for meter, key, _ in asked))
    ).digest()
    enrolment = session.scalar(select(Enrolment).where(Enrolment.claim_id == claim.id).with_for_update())
    if enrolment is None:
        enrolment = Enrolment(
            id=random(16).hex(),
            gateway_name=gateway,
            claim_id=claim.id,
            request_hash=keys,
            csr=csr,
            state=enrolments.ENROLMENT_STARTED,
            created_at=now,
        )
        session.add(enrolment)
        session.flush()
    elif enrolment.request_hash != keys:
        raise ConflictError("this claim was used with other keys already; ask the operator for a new claim code")
    _keep_meters(session, home, enrolment, asked)
    return {
        "enrolment": enrolment.id,
        "network_id": home.network_id.hex(),
        "epoch_seconds": home.settings.epoch.seconds,
        "meters": [
            {"name": meter.name, "meter_id": planned.meter_id.hex(), "first_sequence": meter.first_sequence}
            for meter, planned in _with_meters(session, enrolment)
        ],
    }


def _asked_meters(
    session: Session, home: Home, gateway: str, entries: Sequence[object]
) -> list[tuple[Meter, bytes, MeterMap]]:
    if not 0 < len(entries) <= MAX_METERS:
        raise MalformedError(f"an enrolment has 1 to {MAX_METERS} meters, not {len(entries)}")
    asked: list[tuple[Meter, bytes, MeterMap]] = []
    for number, entry in enumerate(entries, 1):
        where = f"meter {number}"
        if not isinstance(entry, dict):
            raise MalformedError(f"{where}: expected a JSON object")
        name, serial = _field(entry, "name", str, where), _field(entry, "serial", str, where)
        key = _hex(_field(entry, "public_key", str, where), PUBLIC_KEY_SIZE, f"{where}: public_key")
        try:
            meter_map = MeterMap.from_dict(_field(entry, "map", dict, where))
        except MeterMapError as error:
            raise MalformedError(f"{where}: map: {error}") from error
        meter = session.scalar(select(Meter).where(Meter.serial == serial, Meter.gateway_name == gateway))
        if meter is None:
            raise ConflictError(
                f"the campus plan expects no meter with serial {serial!r} at {gateway}; correct the plan"
            )
        if meter.state == metering.METER_RETIRED:
            raise ConflictError(f"{name} was retired for good; plan a new meter under another name")
        if meter.name != name:
            raise ConflictError(f"the campus plan calls the meter with serial {serial!r} {meter.name!r}, not {name!r}")
        unfit = sorted(set(meter_map.registers) - ROLE_REGISTERS[meter.role])
        if unfit:
            raise ConflictError(
                f"{name} is planned as {meter.role}, where {', '.join(unfit)} must not move; correct its map",
            )
        fault = exchanges.offset_fault(session, meter, meter_map)
        if fault is not None:
            raise ConflictError(fault)
        if home.settings.epoch.seconds % meter_map.capture_period:
            raise ConflictError(
                f"{name} captures every {meter_map.capture_period} s, which does not divide the epoch of "
                f"{home.settings.epoch.seconds} s",
            )
        used = session.get(MeterKey, key)
        if used is not None and (used.meter_pk != meter.id or used.retired_at is not None):
            raise ConflictError(f"the key of {name} was used before; a key is used once, make a new one")
        asked.append((meter, key, meter_map))
    for values in ([meter.id for meter, _, _ in asked], [key for _, key, _ in asked]):
        if len(set(values)) != len(values):
            raise MalformedError("a meter or a key is there twice")
    return asked


def _first_sequence(session: Session, key: bytes) -> int:
    """A key's first sequence: its own where it is in use. A new key numbers its records anew, whatever came before."""
    own = session.get(MeterKey, key)
    return FIRST_SEQUENCE if own is None else own.first_sequence


def _keep_meters(
    session: Session, home: Home, enrolment: Enrolment, asked: list[tuple[Meter, bytes, MeterMap]]
) -> None:
    """Store what was asked; while nobody has decided, a new map or first sequence asks for a new proof."""
    decided = enrolment.state in (enrolments.ENROLMENT_APPROVED, enrolments.ENROLMENT_REJECTED)
    rows = {row.meter_pk: row for row in enrolment.meters}
    for meter, key, meter_map in asked:
        row = rows.get(meter.id)
        if row is None:
            row = EnrolmentMeter(
                enrolment_id=enrolment.id,
                meter_pk=meter.id,
                name=meter.name,
                public_key=key,
                map=meter_map.to_dict(),
                map_hash=meter_map.hash(),
                first_sequence=_first_sequence(session, key),
            )
            enrolment.meters.append(row)
            continue
        if decided:
            if row.map_hash != meter_map.hash():
                raise ConflictError(f"the map of {meter.name} was decided on already; a new map takes a new claim code")
            continue
        first_sequence = _first_sequence(session, key)
        if (row.map_hash, row.first_sequence) != (meter_map.hash(), first_sequence):
            row.map, row.map_hash, row.first_sequence = meter_map.to_dict(), meter_map.hash(), first_sequence
            row.possession = None
            enrolment.state = enrolments.ENROLMENT_STARTED
    session.flush()


def _with_meters(session: Session, enrolment: Enrolment) -> list[tuple[EnrolmentMeter, Meter]]:
    meters = {
        meter.id: meter for meter in session.scalars(select(Meter).where(Meter.gateway_name == enrolment.gateway_name))
    }
    return [(row, meters[row.meter_pk]) for row in sorted(enrolment.meters, key=lambda row: row.name)]


def of_claim(session: Session, claim: Claim, enrolment_id: str) -> Enrolment:
    """A claim's enrolment; NotFoundError for any other, so that ids of others tell nothing."""
    enrolment = session.get(Enrolment, enrolment_id)
    if enrolment is None or enrolment.claim_id != claim.id:
        raise NotFoundError("this claim has no such enrolment")
    return enrolment


def prove(session: Session, home: Home, enrolment: Enrolment, body: object) -> str:
    """Take the possession proofs (`AMK1`) of every meter; the enrolment's state as the gateway sees it."""
    session.refresh(enrolment, with_for_update=True)
    proofs = body.get("proofs") if isinstance(body, dict) else None
    if not isinstance(proofs, dict):
        raise MalformedError('send {"proofs": {meter name: signature in hex}}')
    rows = _with_meters(session, enrolment)
    if set(proofs) != {row.name for row, _ in rows}:
        raise MalformedError(f"a proof is needed for each of {', '.join(row.name for row, _ in rows)}, and of no other")
    for row, meter in rows:
        proof = proofs[row.name]
        signature = _hex(proof if isinstance(proof, str) else "", SIGNATURE_SIZE, f"the proof of {row.name}")
        message = possession_message(
            first_sequence=row.first_sequence,
            network_id=home.network_id,
            meter_id=meter.meter_id,
            map_hash=row.map_hash,
        )
        if not Signature(signature).verify(Pubkey(row.public_key), message):
            raise MalformedError(
                f"the proof of {row.name} does not verify under its key: sign AMK1 as docs/PROTOCOL.md says",
            )
        if enrolment.state == enrolments.ENROLMENT_STARTED:
            row.possession = signature
    if enrolment.state == enrolments.ENROLMENT_STARTED:
        enrolment.state = enrolments.ENROLMENT_PENDING
    return shown_state(enrolment)


def shown_state(enrolment: Enrolment) -> str:
    """pending, approved or rejected: a gateway that has not proved yet is pending too."""
    started = enrolment.state == enrolments.ENROLMENT_STARTED
    return enrolments.ENROLMENT_PENDING if started else enrolment.state


def answer(session: Session, home: Home, enrolment: Enrolment) -> dict[str, object]:
    """What the gateway is told of its enrolment; its credentials once approved."""
    told: dict[str, object] = {"status": shown_state(enrolment)}
    if enrolment.reason:
        told["reason"] = enrolment.reason
    if enrolment.state != enrolments.ENROLMENT_APPROVED:
        return told
    mqtt = home.settings.mqtt
    told["credentials"] = {
        "certificate": enrolment.certificate,
        "ca_certificate": certificates.certificate_to_pem(home.ca_certificate).decode(),
        "receipt_key": bytes(home.receipt_key.pubkey()).hex(),
        "mqtt": {"host": mqtt.host, "port": mqtt.port} if mqtt.host else None,
        "meters": [
            {
                "name": row.name,
                "meter_id": meter.meter_id.hex(),
                "role": meter.role,
                "source": meter.source,
                "first_sequence": row.first_sequence,
            }
            for row, meter in _with_meters(session, enrolment)
        ],
    }
    return told


# What the operator decides


def pending(session: Session) -> list[Enrolment]:
    """Enrolments that wait for the operator, oldest first."""
    return list(
        session.scalars(
            select(Enrolment)
            .where(Enrolment.state.in_((enrolments.ENROLMENT_STARTED, enrolments.ENROLMENT_PENDING)))
            .order_by(Enrolment.created_at)
        )
    )


def find(session: Session, name: str, *, decided: str | None = None) -> Enrolment:
    """The enrolment with this id, or the one that waits of this gateway; NotFoundError.

    Where none waits, the gateway's last one where that was decided so, so that a decision may be typed twice.
    """
    found = session.get(Enrolment, name)
    if found is None:
        waiting = [enrolment for enrolment in pending(session) if enrolment.gateway_name == name]
        found = waiting[-1] if waiting else None
    if found is None and decided is not None:
        own = select(Enrolment).where(Enrolment.gateway_name == name).order_by(Enrolment.claim_id.desc()).limit(1)
        if decided == enrolments.ENROLMENT_APPROVED:  # and the gateway was not shut out since
            own = own.join(Gateway, Gateway.name == name).where(Gateway.state == metering.GATEWAY_ENROLLED)
        last = session.scalar(own)
        found = last if last is not None and last.state == decided else None
    if found is None:
        raise NotFoundError(f"no enrolment {name!r} waits; see: authority enrol list")
    return found


def approve(
    session: Session, home: Home, enrolment: Enrolment, *, actor: str, now: int, serial: int | None = None
) -> None:
    """Give the gateway its certificate and put its meters' keys to use; logged. Approving twice changes nothing.

    serial is the certificate's number, a random one where it is None.
    The gateway's former certificate and its meters' former keys end here. Meters of this enrolment that the gateway's
    revocation suspended are active again.
    """
    log.lock(session)  # no frame of a former key may slip in between
    session.refresh(enrolment, with_for_update=True)  # what is asked again meanwhile is decided on by nobody
    if enrolment.state == enrolments.ENROLMENT_APPROVED:
        return
    if enrolment.state != enrolments.ENROLMENT_PENDING:
        raise ConflictError(
            f"enrolment {enrolment.id} is {enrolment.state}: only one that is proved and undecided can be approved",
        )
    certificate = certificates.issue_gateway(
        home.ca_key, home.ca_certificate, enrolment.csr.encode(), enrolment.gateway_name, now, serial=serial
    )
    gateway = session.get_one(Gateway, enrolment.gateway_name)
    _end_renewals(session, gateway.name, now)
    back = suspended_by_revocation(session, gateway.name) if gateway.state == metering.GATEWAY_REVOKED else set()
    meters: list[dict[str, object]] = []
    for row, meter in _with_meters(session, enrolment):
        _put_to_use(session, row, meter, now)
        if meter.state == metering.METER_SUSPENDED and meter.meter_id.hex() in back:
            meter.state = metering.METER_ACTIVE
        meters.append(
            {
                "first_sequence": row.first_sequence,
                "key": row.public_key.hex(),
                "map_hash": row.map_hash.hex(),
                "meter_id": meter.meter_id.hex(),
                "role": meter.role,
                "source": meter.source,
            }
        )
    gateway.state = metering.GATEWAY_ENROLLED
    gateway.certificate = certificates.certificate_to_pem(certificate).decode()
    gateway.certificate_hash = certificates.certificate_hash(certificate)
    enrolment.state = enrolments.ENROLMENT_APPROVED
    enrolment.certificate = gateway.certificate
    enrolment.decided_at, enrolment.decided_by = now, actor
    data = {
        "certificate": gateway.certificate_hash.hex(),
        "enrolment": enrolment.id,
        "gateway": gate.gateway_of(session, gateway.name),
        "meters": meters,
    }
    log.record_act(session, "gateway_approved", actor, now, data)


def _put_to_use(session: Session, row: EnrolmentMeter, meter: Meter, now: int) -> None:
    assert row.possession is not None  # noqa: S101 - a pending enrolment has every proof
    if meter.public_key != row.public_key:
        if session.get(MeterKey, row.public_key) is not None:
            raise ConflictError(f"the key of {row.name} was used before; a key is used once")
        if meter.public_key is not None:
            session.get_one(MeterKey, meter.public_key).retired_at = now
        session.add(
            MeterKey(
                public_key=row.public_key,
                meter_pk=meter.id,
                first_sequence=row.first_sequence,
                next_sequence=row.first_sequence,
                possession=row.possession,
                approved_at=now,
            )
        )
    elif meter.map_hash != row.map_hash:
        session.get_one(MeterKey, row.public_key).possession = row.possession
    meter.public_key, meter.map, meter.map_hash = row.public_key, row.map, row.map_hash
    if meter.state == metering.METER_EXPECTED:
        # What the registry would refuse beside the meters that are there waits for the chain's word; its readings too.
        roles = [meter.role, *(other.role for other in meter_sets.beside(session, meter))]
        refused = meter_sets.conflict(roles) is not None
        meter.state = metering.METER_APPROVED if refused else metering.METER_ACTIVE
    session.flush()


def reject(session: Session, enrolment: Enrolment, *, actor: str, reason: str, now: int) -> None:
    """Refuse an enrolment, with the words that the gateway's person will read; logged. NamesSomebodyError for these."""
    require_nameless(session, reason)
    log.lock(session)
    session.refresh(enrolment, with_for_update=True)
    if enrolment.state not in (enrolments.ENROLMENT_STARTED, enrolments.ENROLMENT_PENDING):
        raise ConflictError(f"enrolment {enrolment.id} is {enrolment.state} already")
    enrolment.state, enrolment.reason = enrolments.ENROLMENT_REJECTED, reason
    enrolment.decided_at, enrolment.decided_by = now, actor
    log.record_act(
        session,
        "enrolment_rejected",
        actor,
        now,
        {"enrolment": enrolment.id, "gateway": gate.gateway_of(session, enrolment.gateway_name), "reason": reason},
    )


def revoke(session: Session, gateway_name: str, *, actor: str, reason: str, now: int) -> bool:
    """End a gateway's certificate and its claims, and suspend its meters; False where that was done before. Logged.

    A new claim and approval bring all of it back. The broker and the chain are told by authority.enrolment.closing.
    NotFoundError for a gateway that was never enrolled, NamesSomebodyError for the reason.
    """
    require_nameless(session, reason)
    log.lock(session)  # no frame of its meters may slip in between
    gateway = session.get(Gateway, gateway_name, with_for_update=True)
    if gateway is None or gateway.state == metering.GATEWAY_EXPECTED:
        raise NotFoundError(f"{gateway_name!r} has no certificate to revoke; see: authority enrol list")
    if gateway.state == metering.GATEWAY_REVOKED:
        return False
    suspended = []
    for meter in gateway.meters:
        if meter.state == metering.METER_ACTIVE:
            meter.state = metering.METER_SUSPENDED
            suspended.append(meter.meter_id.hex())
    data = {
        "certificate": None if gateway.certificate_hash is None else gateway.certificate_hash.hex(),
        "gateway": gate.gateway_of(session, gateway_name),
        "meters": suspended,
        "reason": reason,
    }
    gateway.state, gateway.certificate, gateway.certificate_hash = metering.GATEWAY_REVOKED, None, None
    _end_renewals(session, gateway_name, now)
    session.execute(
        update(Claim).where(Claim.gateway_name == gateway_name, Claim.withdrawn_at.is_(None)).values(withdrawn_at=now)
    )
    log.record_act(session, REVOKED_ACT, actor, now, data)
    return True


def _end_renewals(session: Session, gateway_name: str, now: int) -> None:
    """What was asked for as the next certificate, and was not used, is good no more."""
    unused = (CertificateRenewal.gateway_name == gateway_name) & CertificateRenewal.used_at.is_(None)
    session.execute(update(CertificateRenewal).where(unused).values(used_at=now))


def suspended_by_revocation(session: Session, gateway_name: str) -> set[str]:
    """The ids (hex) of the meters that the gateway's last revocation suspended."""
    for act in session.scalars(select(Act).where(Act.kind == REVOKED_ACT).order_by(Act.log_index.desc())):
        if gate.is_gateway(session, act.data["gateway"], gateway_name):
            meters = act.data.get("meters", [])
            return set(meters) if isinstance(meters, list) else set()
    return set()
