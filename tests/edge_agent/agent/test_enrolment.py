"""Enrolling against an authority on a real TLS socket, honest and otherwise."""

import base64
import json
import shutil
import ssl
import time

import pytest

from edge_agent.agent.enrolment import EnrolmentError, Pending, enrol, fetch_ca
from edge_agent.state.credentials import Credentials, CredentialsError, CredentialStore
from edge_agent.state.keys import KeyStore
from edge_agent.uplinks import UplinkError
from edge_agent.wire.claim import Claim, ClaimError

FINGERPRINT = base64.b32encode(bytes(10)).decode()


def test_an_approved_gateway_has_its_credentials(authority, make_gateway):
    gateway = make_gateway(meters=("solar", "load"))
    credentials = gateway.enrol()
    assert CredentialStore(gateway.config.state).load() == credentials
    assert credentials.network_id == authority.network_id
    assert [meter.name for meter in credentials.meters] == ["solar", "load"]
    assert credentials.meters[0].map_hash == gateway.config.meters[0].map.hash()
    assert credentials.certificate_expires() > time.time()
    CredentialStore(gateway.config.state).tls_context(credentials)


def test_enrolling_again_changes_nothing(authority, make_gateway):
    gateway = make_gateway()
    first = gateway.enrol()
    second = gateway.enrol()
    assert first.meters == second.meters
    assert KeyStore(gateway.config.state).load("solar").public_key == first.meters[0].public_key


def test_it_resumes_after_a_cut_at_any_step(authority, make_gateway):
    gateway = make_gateway()
    authority.approved = False
    assert isinstance(gateway.enrol(), Pending)
    assert isinstance(gateway.enrol(), Pending)
    with pytest.raises(CredentialsError, match="not enrolled"):
        CredentialStore(gateway.config.state).load()
    authority.approved = True
    assert isinstance(gateway.enrol(), Credentials)


def test_waiting_ends_with_the_decision(authority, make_gateway):
    gateway = make_gateway()
    authority.approved = False
    slept = []

    def sleep(seconds):
        slept.append(seconds)
        authority.approved = len(slept) >= 3

    claim = Claim.parse(authority.claim("dormitory-a"))
    outcome = enrol(gateway.config, claim, wait=True, sleep=sleep, tell=lambda text: None)
    assert isinstance(outcome, Credentials)
    assert len(slept) == 3


def test_a_rejection_gives_the_reason(authority, make_gateway):
    gateway = make_gateway()
    authority.approved = "no such meter\x1b[31m here"
    with pytest.raises(EnrolmentError, match=r"no such meter\[31m here"):
        gateway.enrol()


def test_the_secret_is_only_said_on_the_verified_connection(authority, make_gateway):
    gateway = make_gateway()
    gateway.enrol()
    assert authority.requests[0] == "GET /api/v1/ca None"
    assert all("Claim" in request for request in authority.requests[1:])


def test_an_impostor_hears_no_secret(tmp_path, authority, make_gateway):
    """Another server on the authority's address, with a CA of its own."""
    gateway = make_gateway()
    claim = Claim.parse(f"dormitory-a-{authority.secret}-{FINGERPRINT}")
    with pytest.raises(EnrolmentError) as caught:
        enrol(gateway.config, claim, wait=False, sleep=time.sleep, tell=lambda text: None)
    assert caught.value.code == "authority_not_trusted"
    assert authority.requests == ["GET /api/v1/ca None"]


def test_an_impostor_that_shows_the_right_ca_hears_no_secret(tmp_path, authority, make_gateway):
    """The CA certificate is public: whoever shows it must also hold a certificate that it signed."""
    (tmp_path / "impostor").mkdir()
    impostor = type(authority)(tmp_path / "impostor")
    real, impostor.ca.pem = authority.ca.pem, authority.ca.pem
    assert real == impostor.ca.pem
    impostor.start()
    try:
        gateway = make_gateway()
        gateway.file.write_text(gateway.file.read_text().replace(authority.url, impostor.url))
        with pytest.raises(UplinkError) as caught:
            gateway.enrol()
        assert caught.value.code == "server_not_trusted"
        assert impostor.requests == ["GET /api/v1/ca None"]
    finally:
        impostor.stop()


def test_a_used_claim_is_told(authority, make_gateway):
    gateway = make_gateway()
    gateway.enrol()
    shutil.rmtree(gateway.config.state / "keys")
    with pytest.raises(UplinkError) as caught:
        gateway.enrol()
    assert caught.value.code == "conflict"
    assert "other keys" in str(caught.value)


def test_a_claim_of_another_name_is_not_sent(authority, make_gateway):
    gateway = make_gateway()
    with pytest.raises(ClaimError, match="dormitory-b"):
        enrol(
            gateway.config,
            Claim.parse(authority.claim("dormitory-b")),
            wait=False,
            sleep=time.sleep,
            tell=lambda text: None,
        )
    assert authority.requests == []


@pytest.mark.parametrize(
    "ca", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_ca_that_is_none(authority, ca):
    class Text(str):
        def encode(self):
            return ca

    authority.ca.pem = Text()
    with pytest.raises(EnrolmentError) as caught:
        fetch_ca(("127.0.0.1", authority.port), bytes(10), timeout=5)
    assert caught.value.code == "authority_not_trusted"


def test_a_capture_period_that_does_not_divide_the_epoch(authority, make_gateway):
    gateway = make_gateway()
    gateway.file.write_text(gateway.file.read_text().replace("capture_period = 900", "capture_period = 700"))
    with pytest.raises(EnrolmentError) as caught:
        gateway.enrol()
    assert caught.value.code == "capture_period_unfit"


def test_a_map_that_does_not_fit_the_role(authority, make_gateway):
    authority.roles = {"solar": ("generation", "solar")}
    gateway = make_gateway()
    with pytest.raises(EnrolmentError, match="consumption must not move"):
        gateway.enrol()


def test_credentials_for_another_key_are_refused(authority, make_gateway, monkeypatch):
    gateway = make_gateway()
    other = KeyStore(gateway.config.state.parent / "other")
    monkeypatch.setattr(
        authority.ca, "sign", lambda request, sign=authority.ca.sign: sign(other.certificate_request("dormitory-a"))
    )
    with pytest.raises(CredentialsError, match="another key"):
        gateway.enrol()
    assert not CredentialStore(gateway.config.state).path.exists()


# -- stored credentials


def spoil(store, change):
    data = json.loads(store.path.read_text())
    change(data)
    store.path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda data: data.pop("receipt_key"), "receipt_key"),
        (lambda data: data.update(receipt_key="zz"), "receipt_key"),
        (lambda data: data.update(network_id="00"), "network_id"),
        (lambda data: data.update(epoch_seconds=True), "epoch_seconds"),
        (lambda data: data.update(certificate="none"), "certificate"),
        (lambda data: data.update(mqtt={"host": "x"}), "mqtt"),
        (lambda data: data.update(mqtt="x"), "mqtt"),
        (lambda data: data.update(meters={}), "meters"),
        (lambda data: data["meters"][0].update(role="spy"), "role"),
        (lambda data: data["meters"][0].update(first_sequence=2**32), "first_sequence"),
        (lambda data: data.update(version=2), "version"),
    ],
)
def test_spoilt_credentials_are_named(make_gateway, change, says):
    gateway = make_gateway()
    gateway.enrol()
    store = CredentialStore(gateway.config.state)
    spoil(store, change)
    with pytest.raises(CredentialsError, match=says) as caught:
        store.load()
    assert caught.value.code == "credentials_invalid"


@pytest.mark.parametrize("content", ["", "[]", "{", "[" * 100_000])
def test_credentials_that_are_none(make_gateway, content):
    gateway = make_gateway()
    gateway.enrol()
    store = CredentialStore(gateway.config.state)
    store.path.write_text(content)
    with pytest.raises(CredentialsError) as caught:
        store.load()
    assert caught.value.code == "credentials_invalid"


def test_a_lost_certificate_file_is_written_again(make_gateway):
    gateway = make_gateway()
    credentials = gateway.enrol()
    store = CredentialStore(gateway.config.state)
    store.certificate.write_text("cut short")
    assert isinstance(store.tls_context(credentials), ssl.SSLContext)
