"""Enrolling over the collector's endpoints: the whole way, every step twice, and every refusal."""

from __future__ import annotations

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from enrolling_gateway import PLAN, GatewayHand, meter_map, signing_request
from flask.testing import FlaskClient
from solders.keypair import Keypair
from sqlalchemy import select, text

from authority.app import App
from authority.collector.http import create_app
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.enrolment import plan, requests
from authority.home import certificates
from authority.refusals import RefusalError
from authority.store.enrolments import Enrolment
from authority.store.log import Act
from authority.store.metering import Gateway, Meter, MeterKey
from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import Receipt, Record


class Peer:
    """Which client certificate TLS would have verified."""

    der: bytes | None = None

    def __call__(self, _environ: object) -> bytes | None:
        return self.der


@pytest.fixture
def peer() -> Peer:
    return Peer()


@pytest.fixture
def client(app: App, peer: Peer) -> FlaskClient:
    with app.store.write() as session:
        plan.apply(session, plan.parse(PLAN), app.home, actor="operator", now=1, random=os.urandom)
    return create_app(app, Collector(app), Live(app), peer_certificate=peer).test_client()


def claim(app: App, gateway: str = "gw-1") -> str:
    with app.store.write() as session:
        return requests.claim(session, app.home, gateway, actor="operator", now=app.clock(), random=os.urandom)


@pytest.fixture
def hand(app: App, client: FlaskClient) -> GatewayHand:
    return GatewayHand(client, claim(app))


def approve(app: App, name: str = "gw-1") -> None:
    with app.store.write() as session:
        requests.approve(session, app.home, requests.find(session, name), actor="operator", now=app.clock())


def problem_of(response: Any) -> tuple[int, str]:
    assert response.content_type == "application/problem+json"
    body = json.loads(response.data)
    assert set(body) >= {"type", "title", "status", "detail", "code"}
    assert body["status"] == response.status_code
    return response.status_code, body["code"]


def test_the_ca_certificate_is_anybodys(app: App, client: FlaskClient) -> None:
    response = client.get("/api/v1/ca")
    assert response.content_type == "application/x-pem-file"
    assert certificates.certificate_from_pem(response.data) == app.home.ca_certificate


def test_a_gateway_enrols_and_its_readings_are_taken(
    app: App, client: FlaskClient, peer: Peer, hand: GatewayHand
) -> None:
    response = hand.ask()
    assert response.status_code == 201
    asked = response.json
    assert asked["network_id"] == app.home.network_id.hex()
    assert asked["epoch_seconds"] == 900
    assert {meter["name"]: meter["first_sequence"] for meter in asked["meters"]} == {"pv": 1, "load": 1}
    assert hand.show(asked["enrolment"]).json == {"status": "pending"}
    response = hand.prove(asked)
    assert (response.status_code, response.json) == (202, {"status": "pending"})
    approve(app)
    shown = hand.show(asked["enrolment"]).json
    assert shown["status"] == "approved"
    credentials = shown["credentials"]
    certificate = x509.load_pem_x509_certificate(credentials["certificate"].encode())
    certificate.verify_directly_issued_by(app.home.ca_certificate)
    assert certificates.common_name(certificate) == "gw-1"
    assert certificate.public_key() == hand.tls.public_key()
    assert credentials["receipt_key"] == bytes(app.home.receipt_key.pubkey()).hex()
    assert credentials["mqtt"] is None
    assert {(meter["name"], meter["role"], meter["source"]) for meter in credentials["meters"]} == {
        ("pv", "generation", "solar"),
        ("load", "load", "none"),
    }

    peer.der = certificate.public_bytes(serialization.Encoding.DER)
    key = hand.keys["pv"]
    record = Record(
        sequence=1,
        network_id=app.home.network_id,
        interval_end=app.clock(),
        generation=5,
        consumption=0,
        charge=0,
        discharge=0,
        interval_seconds=900,
        source=1,
    ).to_bytes()
    frame = record + bytes(key.pubkey()) + bytes(key.sign_message(record))
    assert client.get("/api/v1/gateways/gw-1/meters/pv/head").status_code == 204
    response = client.post("/api/v1/gateways/gw-1/readings", data=frame)
    assert Receipt.from_bytes(response.data).verdict == 1
    assert client.get("/api/v1/gateways/gw-1/meters/pv/head").data == frame + response.data
    assert problem_of(client.get("/api/v1/gateways/gw-1/meters/nosuch/head")) == (404, "not_found")
    assert problem_of(client.post("/api/v1/gateways/gw-2/readings", data=frame)) == (403, "wrong_gateway")
    assert problem_of(client.post("/api/v1/gateways/gw-1/readings", data=frame[:-1])) == (400, "malformed")
    assert problem_of(client.post("/api/v1/gateways/gw-1/readings", data=b"")) == (400, "malformed")
    assert problem_of(client.post("/api/v1/gateways/gw-1/readings", data=frame * 257)) == (413, "too_many")
    assert problem_of(client.post("/api/v1/gateways/gw-1/readings", data=bytes(2**20))) == (413, "too_large")
    assert problem_of(client.get("/api/v1/gateways/gw-1/readings")) == (405, "method_not_allowed")
    assert problem_of(client.get("/nosuch")) == (404, "not_found")


def test_what_a_gateway_asks_anew_while_it_is_being_approved_is_not_approved_unseen(
    app: App, hand: GatewayHand
) -> None:
    hand.prove(hand.ask().json)
    hand.maps["pv"] = meter_map("pv", clock="utc")
    code = hand.headers["Authorization"].removeprefix("Claim ")
    with ThreadPoolExecutor(1) as pool:
        with app.store.write() as session:
            claimed = requests.authenticate(session, code, app.clock())
            requests.request(session, app.home, claimed, hand.body(), now=app.clock(), random=os.urandom)
            approving = pool.submit(approve, app)
            wait_for_a_waiting_transaction(app)
        with pytest.raises(RefusalError, match="is started"):
            approving.result()
    with app.store.read() as session:
        assert session.scalars(select(Enrolment.state)).all() == ["started"]
        assert session.scalars(select(MeterKey)).all() == []


def wait_for_a_waiting_transaction(app: App) -> None:
    """SQLite's wait at their very beginning."""
    if app.store.engine.dialect.name == "sqlite":
        return
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type='Lock'"
    )
    with app.store.engine.connect() as connection:
        while not connection.execute(waiting).scalar():
            connection.rollback()
            time.sleep(0.02)


@pytest.mark.parametrize("der", [None, b"", b"some other certificate"])
def test_without_the_current_certificate_nothing_is_taken(client: FlaskClient, peer: Peer, der: bytes | None) -> None:
    peer.der = der
    for call in (
        client.post("/api/v1/gateways/gw-1/readings", data=b""),
        client.post("/api/v1/gateways/gw-1/live", json={}),
        client.post("/api/v1/gateways/gw-1/status", json={}),
        client.get("/api/v1/gateways/gw-1/meters/pv/head"),
    ):
        assert problem_of(call) == (401, "not_authenticated")


def test_every_step_may_be_repeated(app: App, hand: GatewayHand) -> None:
    first, again = hand.ask().json, hand.ask().json  # the signing request's own signature differs
    assert first == again
    for _ in range(2):
        assert hand.prove(first).status_code == 202
    approve(app)
    approve(app, first["enrolment"])
    shown = hand.show(first["enrolment"]).json
    assert hand.ask().json == first
    assert hand.prove(first).json == {"status": "approved"}
    assert hand.show(first["enrolment"]).json == shown
    with app.store.read() as session:
        assert len(session.scalars(select(Act).where(Act.kind == "gateway_approved")).all()) == 1
        assert len(session.scalars(select(MeterKey)).all()) == 2


def test_the_same_claim_with_other_keys_is_a_conflict(hand: GatewayHand) -> None:
    hand.ask()
    hand.keys["pv"] = Keypair()
    assert problem_of(hand.ask()) == (409, "conflict")
    other = GatewayHand(hand.client, hand.headers["Authorization"].removeprefix("Claim "))
    assert problem_of(other.ask()) == (409, "conflict")


def test_a_map_may_be_corrected_until_it_is_decided_on(app: App, hand: GatewayHand) -> None:
    asked = hand.ask().json
    hand.prove(asked)
    hand.maps["pv"] = meter_map("pv", ratio=[40, 1])
    assert hand.ask().json == asked
    with app.store.read() as session:
        assert session.get_one(Enrolment, asked["enrolment"]).state == "started"
    with pytest.raises(RefusalError, match="started"):
        approve(app)
    hand.prove(asked)
    approve(app)
    with app.store.read() as session:
        meter = session.scalars(select(Meter).where(Meter.serial == "S1")).one()
        assert meter.map_hash == MeterMap.from_dict(hand.maps["pv"]).hash()
        assert meter.state == "active"
    hand.maps["pv"] = meter_map("pv", ratio=[50, 1])
    assert problem_of(hand.ask()) == (409, "conflict")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gateway": "gw-2"}, (409, "conflict")),
        ({"gateway": 5}, (400, "malformed")),
        ({"csr": "nonsense"}, (400, "malformed")),
        ({"csr": None}, (400, "malformed")),
        ({"meters": []}, (400, "malformed")),
        ({"meters": {}}, (400, "malformed")),
        ({"meters": ["pv"]}, (400, "malformed")),
        ({"meters": [{"name": "pv"}]}, (400, "malformed")),
    ],
)
def test_a_wrong_request_is_refused(hand: GatewayHand, changes: dict[str, Any], expected: tuple[int, str]) -> None:
    assert problem_of(hand.ask(**changes)) == expected


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("serial", "S9", (409, "conflict")),
        ("serial", "S3", (409, "conflict")),  # another gateway's
        ("name", "solar", (409, "conflict")),
        ("public_key", "00", (400, "malformed")),
        ("public_key", "zz" * 32, (400, "malformed")),
        ("map", {}, (400, "malformed")),
        ("map", meter_map("pv", surprise=1), (400, "malformed")),
        ("map", meter_map("pv", capture_period=700), (409, "conflict")),
        ("map", meter_map("pv", registers={"consumption": ["1-0:1.8.0.255", 1]}), (409, "conflict")),
    ],
)
def test_a_meter_that_does_not_fit_the_plan_is_refused(
    hand: GatewayHand, field: str, value: Any, expected: tuple[int, str]
) -> None:
    meters = hand.body()["meters"]
    meters[0][field] = value
    assert problem_of(hand.ask(meters=meters)) == expected


def test_a_meter_or_a_key_twice_is_refused(hand: GatewayHand) -> None:
    meters = hand.body()["meters"]
    assert problem_of(hand.ask(meters=[meters[0], meters[0]])) == (400, "malformed")
    meters[1]["public_key"] = meters[0]["public_key"]
    assert problem_of(hand.ask(meters=meters)) == (400, "malformed")


def test_a_signing_request_must_be_this_gateways_and_strong(hand: GatewayHand) -> None:
    for csr in (
        signing_request(hand.tls, "gw-2"),
        signing_request(ec.generate_private_key(ec.SECP192R1())),
        signing_request(rsa.generate_private_key(65537, 1024)),  # noqa: S505
    ):
        assert problem_of(hand.ask(csr=csr)) == (400, "malformed")


@pytest.mark.parametrize("bad", ["missing", "extra", "flipped", "swapped", "short", "number", "none"])
def test_a_proof_that_proves_nothing_is_refused(app: App, hand: GatewayHand, bad: str) -> None:
    asked = hand.ask().json
    proofs: Any = hand.proofs(asked)
    if bad == "missing":
        del proofs["pv"]
    elif bad == "extra":
        proofs["x"] = proofs["pv"]
    elif bad == "flipped":
        proofs["pv"] = ("0" if proofs["pv"][0] != "0" else "1") + proofs["pv"][1:]
    elif bad == "swapped":
        proofs["pv"], proofs["load"] = proofs["load"], proofs["pv"]
    elif bad == "short":
        proofs["pv"] = proofs["pv"][:-2]
    elif bad == "number":
        proofs["pv"] = 5
    else:
        proofs = "none"
    assert problem_of(hand.prove(asked, proofs)) == (400, "malformed")
    with pytest.raises(RefusalError):
        approve(app)


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Claim",
        "Claim x",
        "Bearer gw-1-AAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAA",
        "Claim gw-1-AAAAAAAAAAAAAAAA-AAAAAAAAAAAAAAAA",
        "Claim gw-1-!!!-!!!",
        "Claim gw-1-AAAA-AAAA",
    ],
)
def test_a_wrong_claim_says_nothing_more(client: FlaskClient, header: str) -> None:
    response = client.post("/api/v1/enrolments", json={}, headers={"Authorization": header} if header else {})
    assert problem_of(response) == (401, "not_authenticated")


def test_guessing_claims_is_slowed_down(client: FlaskClient) -> None:
    for _ in range(20):
        assert client.get("/api/v1/enrolments/x", headers={"Authorization": "Claim a-b-c"}).status_code == 401
    response = client.get("/api/v1/enrolments/x", headers={"Authorization": "Claim a-b-c"})
    assert problem_of(response) == (429, "rate_limited")
    assert int(response.headers["Retry-After"]) > 0


def test_a_claim_ends_after_a_week_and_by_a_newer_one(app: App, client: FlaskClient, hand: GatewayHand) -> None:
    newer = GatewayHand(client, claim(app))
    assert problem_of(hand.ask()) == (401, "not_authenticated")
    asked = newer.ask().json
    claim(app)
    assert newer.show(asked["enrolment"]).status_code == 200  # in use: a newer code does not end it
    app.clock.now += 7 * 86_400  # type: ignore[attr-defined]
    assert problem_of(newer.show(asked["enrolment"])) == (401, "not_authenticated")


def test_a_claim_sees_its_own_enrolment_only(app: App, client: FlaskClient, hand: GatewayHand) -> None:
    asked = hand.ask().json
    other = GatewayHand(client, claim(app, "gw-2"))
    assert problem_of(other.show(asked["enrolment"])) == (404, "not_found")
    assert problem_of(hand.show("nosuch")) == (404, "not_found")


def test_a_rejected_gateway_is_told_why(app: App, hand: GatewayHand) -> None:
    asked = hand.ask().json
    hand.prove(asked)
    with app.store.write() as session:
        enrolment = requests.find(session, "gw-1")
        requests.reject(session, enrolment, actor="operator", reason="wrong building", now=5)
    assert hand.show(asked["enrolment"]).json == {"status": "rejected", "reason": "wrong building"}
    with pytest.raises(RefusalError):
        approve(app, asked["enrolment"])


@pytest.mark.parametrize("last", [7, 2**32 - 1])
def test_after_a_lost_disk_a_new_key_numbers_its_own_records(
    app: App, client: FlaskClient, hand: GatewayHand, last: int
) -> None:
    """Whatever the old key's last number was, and although it goes on sending while the new one waits."""
    asked = hand.ask().json
    hand.prove(asked)
    approve(app)
    old_key = bytes(hand.keys["pv"].pubkey())
    with app.store.write() as session:
        session.get_one(MeterKey, old_key).next_sequence = last
        old_certificate = session.get_one(Gateway, "gw-1").certificate_hash
    new = GatewayHand(client, claim(app))
    asked = new.ask().json
    assert {meter["name"]: meter["first_sequence"] for meter in asked["meters"]} == {"pv": 1, "load": 1}
    new.prove(asked)
    with app.store.write() as session:
        session.get_one(MeterKey, old_key).next_sequence = last + 1  # the old gateway still speaks
    approve(app)
    with app.store.read() as session:
        assert session.get_one(MeterKey, old_key).retired_at is not None
        meter = session.scalars(select(Meter).where(Meter.serial == "S1")).one()
        assert meter.public_key == bytes(new.keys["pv"].pubkey())
        assert session.get_one(MeterKey, meter.public_key).first_sequence == 1
        assert session.get_one(Gateway, "gw-1").certificate_hash != old_certificate
    back = GatewayHand(client, claim(app))
    back.keys = hand.keys
    assert problem_of(back.ask()) == (409, "conflict")  # a key is used once


def test_a_revoked_certificate_ends_at_once(app: App, client: FlaskClient, peer: Peer, hand: GatewayHand) -> None:
    asked = hand.ask().json
    hand.prove(asked)
    approve(app)
    certificate = x509.load_pem_x509_certificate(
        hand.show(asked["enrolment"]).json["credentials"]["certificate"].encode()
    )
    peer.der = certificate.public_bytes(serialization.Encoding.DER)
    assert client.post("/api/v1/gateways/gw-1/status", json={"x": 1}).status_code == 204
    with app.store.write() as session:
        assert requests.revoke(session, "gw-1", actor="operator", reason="stolen", now=5)
    assert problem_of(client.post("/api/v1/gateways/gw-1/status", json={"x": 1})) == (401, "not_authenticated")
    assert hand.show(asked["enrolment"]).status_code == 401  # its claim ended too
    with app.store.write() as session:
        assert not requests.revoke(session, "gw-1", actor="operator", reason="stolen", now=5)
    with pytest.raises(RefusalError), app.store.write() as session:
        requests.revoke(session, "gw-2", actor="operator", reason="stolen", now=5)


@pytest.mark.finding("ops-1")
def test_meters_that_a_revocation_suspended_are_active_after_the_next_approval(
    app: App, client: FlaskClient, hand: GatewayHand
) -> None:
    def states() -> dict[str, str]:
        with app.store.read() as session:
            return {meter.name: meter.state for meter in session.scalars(select(Meter).order_by(Meter.name))}

    hand.prove(hand.ask().json)
    approve(app)
    with app.store.write() as session:
        session.scalars(select(Meter).where(Meter.name == "load")).one().state = "suspended"  # by a person, before
    with app.store.write() as session:
        requests.revoke(session, "gw-1", actor="operator", reason="stolen", now=5)
    assert states() == {"load": "suspended", "other": "expected", "pv": "suspended"}
    back = GatewayHand(client, claim(app))
    back.prove(back.ask().json)
    approve(app)
    assert states() == {"load": "suspended", "other": "expected", "pv": "active"}


def test_a_gateway_that_the_plan_does_not_know_gets_no_claim(app: App, client: FlaskClient) -> None:
    with pytest.raises(RefusalError, match="plan"):
        claim(app, "gw-9")
