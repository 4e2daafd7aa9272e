"""Certificates renewed without a person and without a restart: real TLS, a real broker, lives that are nearly over."""

from __future__ import annotations

import json
import socket
import ssl
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

from authority.app import App
from authority.cli import main
from authority.enrolment import requests
from authority.home import certificates
from authority.operations import certificates as keeper
from authority.store.enrolments import ENROLMENT_APPROVED, Claim, Enrolment
from authority.store.log import Act
from authority.store.metering import Gateway
from edge_agent.agent.renewal import Renewal, renew_at
from edge_agent.state.credentials import Credentials, CredentialStore
from edge_agent.state.keys import KeyStore
from edge_agent.uplinks import UplinkError
from edge_agent.wire.files import make_private_directory

pytestmark = pytest.mark.finding("ops-16")
CONNECT = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04gw-1"


@pytest.fixture
def store_url() -> str:
    return ""


@pytest.fixture(autouse=True)
def today(app: App, clock: Any) -> None:
    """Certificates are of today, as the broker's and the collector's clocks are."""
    clock.now = int(time.time())


class GatewaysSide:
    """A gateway's state directory with a certificate of which two thirds are over, and its uplinks' TLS contexts."""

    def __init__(self, app: App, directory: Path, *, life: float = 3_600, used: float = 0.7) -> None:
        make_private_directory(directory)
        self.keys = KeyStore(directory)
        self.store = CredentialStore(directory)
        key = self.keys.load_or_make_tls()
        begins = int(time.time() - used * life) + 300
        old = certificates.issue_client(app.home.ca_key, app.home.ca_certificate, key, "gw-1", begins, life / 86_400)
        with app.store.write() as session:
            session.get_one(Gateway, "gw-1").certificate = certificates.certificate_to_pem(old).decode()
            session.get_one(Gateway, "gw-1").certificate_hash = certificates.certificate_hash(old)
            claim = Claim(gateway_name="gw-1", secret_hash=bytes(32), created_at=1, expires_at=2)
            session.add(claim)
            session.flush()
            session.add(
                Enrolment(
                    id="1", gateway_name="gw-1", claim_id=claim.id, request_hash=bytes(32), csr="", created_at=1,
                    state=ENROLMENT_APPROVED, certificate=certificates.certificate_to_pem(old).decode(),
                )
            )  # fmt: skip
        self.credentials = Credentials(
            gateway="gw-1",
            network_id=app.home.network_id,
            epoch_seconds=900,
            receipt_key=bytes(app.home.receipt_key.pubkey()),
            certificate=certificates.certificate_to_pem(old).decode(),
            ca_certificate=certificates.certificate_to_pem(app.home.ca_certificate).decode(),
            mqtt=None,
            meters=(),
        )
        self.store.save(self.credentials)
        self.context = self.store.tls_context(self.credentials)
        self.told: list[Credentials] = []
        self.renewal = self.made(app)

    def made(self, app: App) -> Renewal:
        address = ("localhost", app.home.settings.collector.port)
        return Renewal(
            self.store, self.keys, address, self.store.load(), [self.context], self.told.append, time.time, timeout=60
        )

    def shows(self, port: int) -> bool:
        """Whether the broker answers what the uplink's context shows now."""
        try:
            with (
                socket.create_connection(("localhost", port), 10) as plain,
                self.context.wrap_socket(plain, server_hostname="localhost") as link,
            ):
                link.sendall(CONNECT)
                return link.recv(4)[:1] == b"\x20"
        except OSError:
            return False


def hash_in_use(app: App) -> bytes | None:
    with app.store.read() as session:
        return session.get_one(Gateway, "gw-1").certificate_hash


def hash_of(pem: str) -> bytes:
    return certificates.certificate_hash(x509.load_pem_x509_certificate(pem.encode()))


@pytest.mark.mosquitto
def test_a_certificate_is_renewed_over_its_own_door_and_the_old_one_ends(
    app: App, mosquitto: Any, collector_process: Any, add_meter: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add_meter("pv")
    gateway = GatewaysSide(app, tmp_path / "state")
    collector_process.start()
    old = gateway.credentials.certificate
    assert gateway.shows(mosquitto.port)
    assert renew_at(old) < time.time()
    assert gateway.renewal.step() is False  # asked; the keeper has not looked yet
    assert gateway.renewal.step() is False
    assert keeper.renew(app) == ["gw-1"]
    assert keeper.renew(app) == []
    assert gateway.renewal.step() is True
    (new,) = gateway.told
    assert gateway.store.load() == new
    assert hash_in_use(app) == hash_of(new.certificate) != hash_of(old)
    assert gateway.renewal.step() is True  # nothing is due any more
    assert gateway.shows(mosquitto.port)  # the same context, nothing restarted
    # the old one is revoked, at the broker too
    keeper.renew(app)
    before = replace(gateway.credentials)
    stale = CredentialStore(tmp_path / "stale")
    KeyStore(tmp_path / "stale")
    make_private_directory(tmp_path / "stale" / "tls")
    stale.key.write_bytes(gateway.store.key.read_bytes())
    stale.key.chmod(0o600)
    stale.save(before)
    gateway.context = stale.tls_context(before)
    end = time.monotonic() + 60
    while gateway.shows(mosquitto.port) and time.monotonic() < end:
        time.sleep(0.1)
    assert not gateway.shows(mosquitto.port)
    with app.store.read() as session:
        acts = [act for act in session.query(Act).all() if act.kind == "certificate_renewed"]
    assert [act.data["certificate"] for act in acts] == [hash_of(new.certificate).hex()]
    capsys.readouterr()
    assert main(["certificates", "list", "--json", "--home", str(app.home.path)]) == 0
    listed = {each["name"]: each for each in json.loads(capsys.readouterr().out)}
    assert listed["gw-1"]["days_left"] > 700
    assert listed["gw-1"]["renewing"] is False
    assert {"the campus's CA", "authority-collector"} < set(listed)


def test_a_gateway_cut_off_at_any_step_comes_back_with_a_certificate_that_is_taken(
    app: App, collector_process: Any, add_meter: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_meter("pv")
    gateway = GatewaysSide(app, tmp_path / "state")
    collector_process.start()
    gateway.renewal.step()
    keeper.renew(app)
    # cut off after the trial's file is written, and before the authority heard of it
    issued = gateway.renewal._ask()
    assert issued is not None
    gateway.store.trial_context(replace(gateway.credentials, certificate=issued))
    assert hash_in_use(app) == hash_of(gateway.credentials.certificate)  # the old one is good as before
    back = gateway.store.load()
    assert back.certificate == issued  # and so is the new one, which it comes back with
    again = gateway.made(app)
    again._credentials = replace(back)
    assert again.step() is True
    with app.store.read() as session:
        assert session.get_one(Gateway, "gw-1").state == "enrolled"
    gateway.context = gateway.store.tls_context(back)
    client = gateway.made(app)
    client._try(back)
    assert hash_in_use(app) == hash_of(issued)


def test_nobody_gets_a_certificate_who_has_not_got_one(
    app: App, collector_process: Any, add_meter: Any, tmp_path: Path, link: Any
) -> None:
    add_meter("pv")
    gateway = GatewaysSide(app, tmp_path / "state")
    collector_process.start()
    stranger = link(None)
    body = json.dumps({"csr": gateway.keys.certificate_request("gw-1")}).encode()
    assert stranger.call("POST", "/api/v1/gateways/gw-1/certificate", body)[0] == 401
    with app.store.write() as session:
        requests.revoke(session, "gw-1", actor="t", reason="stolen", now=app.clock())
    with pytest.raises(UplinkError):
        gateway.renewal.step()
    assert keeper.renew(app) == []


@pytest.mark.mosquitto
def test_the_brokers_certificate_is_renewed_and_read_without_a_restart(
    app: App, mosquitto: Any, collector_process: Any
) -> None:
    collector_process.start()
    home = app.home

    def serial(port: int) -> int:
        context = ssl.create_default_context(cafile=str(home.key_path("ca.pem")))
        with (
            socket.create_connection(("localhost", port), 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as wrapped,
        ):
            der = wrapped.getpeercert(binary_form=True)
            assert der is not None
            return x509.load_der_x509_certificate(der).serial_number

    before = serial(mosquitto.port)
    assert serial(home.settings.collector.port) == before
    key = certificates.key_from_pem(home.key_path("server.key").read_bytes())
    short = certificates._issue(
        home.ca_key, home.ca_certificate, key.public_key(), "localhost", int(time.time()) - 3_000, 1 / 24,
        [x509.oid.ExtendedKeyUsageOID.SERVER_AUTH], list(home.server_names),
    )  # fmt: skip
    path = home.key_path("server.pem")
    path.write_bytes(certificates.certificate_to_pem(short) + home.key_path("ca.pem").read_bytes())
    assert keeper.renew(app) == ["server"]
    assert keeper.renew(app) == []
    wanted = x509.load_pem_x509_certificate(path.read_bytes()).serial_number
    end = time.monotonic() + 60
    while serial(mosquitto.port) != wanted and time.monotonic() < end:
        time.sleep(0.1)
    assert serial(mosquitto.port) == wanted != before
    assert serial(home.settings.collector.port) == wanted
