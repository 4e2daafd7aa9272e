"""A real collector process, a real broker, and gateways' client certificates for them."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import NameOID
from free_ports import free_port
from solders.keypair import Keypair

from authority.app import App
from authority.cli import main
from authority.collector import broker
from authority.enrolment import requests
from authority.home import certificates
from authority.home.home import Home
from authority.home.settings import CollectorSettings, MqttSettings
from authority.store.enrolments import Enrolment
from authority.store.metering import Gateway
from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import possession_message


def wait_for_port(port: int, process: subprocess.Popen[bytes], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError(f"the process ended with {process.returncode}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens at {port}")


class CollectorProcess:
    """`authority collector`, started, killed and started again."""

    def __init__(self, home: Home) -> None:
        self.home = home
        self.port = home.settings.collector.port
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        root = Path(__file__).parents[3]
        with (self.home.path / "collector.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "authority.cli", "collector", "--home", self.home.path],
                cwd=root,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            wait_for_port(self.port, self.process)
        except AssertionError as error:
            raise AssertionError((self.home.path / "collector.log").read_text()[-4_000:]) from error
        link = GatewayLink(self.home, None)  # gunicorn listens before the worker is there and has its lease
        assert link.call("GET", "/api/v1/ca")[0] == 200
        link.close()

    def kill(self) -> None:
        """SIGKILL to gunicorn's arbiter and its worker at once: no chance to tidy up."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        while True:  # the worker is not our child: it is gone when nobody listens any more
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) != 0:
                    return
            time.sleep(0.01)

    def stop(self) -> int:
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(60)

    def text(self) -> str:
        return (self.home.path / "collector.log").read_text()


class GatewayLink:
    """A gateway's HTTPS connection with its client certificate."""

    def __init__(self, home: Home, directory: Path | None, *, host: str = "localhost") -> None:
        self.context = ssl.create_default_context(cafile=str(home.key_path("ca.pem")))
        if directory is not None:
            self.context.load_cert_chain(directory / "gateway.pem", directory / "gateway.key")
        self._connection = http.client.HTTPSConnection(
            host, home.settings.collector.port, context=self.context, timeout=60
        )

    def call(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        self._connection.request(method, path, body)
        response = self._connection.getresponse()
        return response.status, response.read()

    def close(self) -> None:
        self._connection.close()


@pytest.fixture
def certify(app: App, tmp_path: Path) -> Callable[[str], Path]:
    """Give a gateway of the store its certificate; the directory with gateway.pem and gateway.key."""

    def make(gateway: str) -> Path:
        directory = tmp_path / f"tls-{gateway}"
        directory.mkdir()
        key = certificates.new_key()
        certificate = certificates.issue_client(
            app.home.ca_key, app.home.ca_certificate, key, gateway, int(time.time())
        )
        (directory / "gateway.key").write_bytes(certificates.key_to_pem(key))
        (directory / "gateway.pem").write_bytes(certificates.certificate_to_pem(certificate))
        with app.store.write() as session:
            session.get_one(Gateway, gateway).certificate_hash = certificates.certificate_hash(certificate)
        return directory

    return make


@pytest.fixture
def enrol(app: App, tmp_path: Path) -> Callable[[Any], Path]:
    """Enrol a meter's gateway with new keys, as a gateway and an operator do; the directory with its certificate."""

    def make(meter: Any) -> Path:
        directory = tmp_path / f"enrolled-{meter.gateway}-{len(list(tmp_path.glob('enrolled-*')))}"
        directory.mkdir()
        tls, now = certificates.new_key(), app.clock()
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, meter.gateway)])
        csr = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(tls, hashes.SHA256())
        meter.key = Keypair()
        meter_map = {
            "capture_period": 900,
            "clock": "deviation",
            "logical_device_name": "KFM1000000000001",
            "profile": "1-0:99.1.0.255",
            "ratio": [1, 1],
            "registers": {"generation": ["1-0:2.8.0.255", 1]},
            "rollover_wh": None,
            "version": 1,
        }
        asked_meter = {
            "name": meter.name,
            "serial": f"{meter.gateway}/{meter.name}",
            "public_key": meter.public_key.hex(),
            "map": meter_map,
        }
        body = {
            "gateway": meter.gateway,
            "csr": csr.public_bytes(serialization.Encoding.PEM).decode(),
            "meters": [asked_meter],
        }
        with app.store.write() as session:
            code = requests.claim(session, app.home, meter.gateway, actor="operator", now=now, random=os.urandom)
            claim = requests.authenticate(session, code, now)
            asked: Any = requests.request(session, app.home, claim, body, now=now, random=os.urandom)
            message = possession_message(
                first_sequence=asked["meters"][0]["first_sequence"],
                network_id=app.home.network_id,
                meter_id=bytes.fromhex(asked["meters"][0]["meter_id"]),
                map_hash=MeterMap.from_dict(meter_map).hash(),
            )
            enrolment = session.get_one(Enrolment, asked["enrolment"])
            proof = bytes(meter.key.sign_message(message)).hex()
            assert requests.prove(session, app.home, enrolment, {"proofs": {meter.name: proof}}) == "pending"
        assert main(["enrol", "approve", asked["enrolment"], "--off-chain", "--home", str(app.home.path)]) == 0
        with app.store.read() as session:
            certificate = session.get_one(Enrolment, asked["enrolment"]).certificate
        assert certificate is not None
        (directory / "gateway.key").write_bytes(certificates.key_to_pem(tls))
        (directory / "gateway.pem").write_text(certificate)
        return directory

    return make


@pytest.fixture
def collector_process(app: App) -> Iterator[CollectorProcess]:
    """A collector process on the app's home, not started yet; its certificates are of today."""
    settings = replace(app.home.settings, collector=CollectorSettings(port=free_port(), threads=4))
    app.home.save(settings)
    app.home.renew_certificates(int(time.time()))
    process = CollectorProcess(app.home)
    yield process
    if process.process is not None and process.process.poll() is None:
        process.kill()


class Broker:
    """A Mosquitto with mutual TLS, as docs/OPERATIONS.md sets it up."""

    def __init__(self, program: Path, home: Home, directory: Path, port: int) -> None:
        self.port = port
        self._command = [
            str(program),
            "-c",
            str(broker.write_configuration(home, directory, port, now=int(time.time()))),
        ]
        self._log = directory / "mosquitto.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=log)
        try:
            wait_for_port(self.port, self.process)
        except AssertionError as error:
            raise AssertionError(self._log.read_text()[-4_000:]) from error

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)


@pytest.fixture
def mosquitto(app: App, tmp_path: Path) -> Iterator[Broker]:
    """A running broker that the app's authority.toml names."""
    program = broker.find_mosquitto()
    if program is None:
        pytest.skip("mosquitto is not installed")
    port = free_port()
    app.home.save(replace(app.home.settings, mqtt=MqttSettings("localhost", port)))
    app.home.renew_certificates(int(time.time()))
    running = Broker(program, app.home, tmp_path / "broker", port)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def link(app: App) -> Callable[[Path | None], GatewayLink]:
    """Connect to the collector with the certificate in a directory of `certify`'s, or without one."""
    return lambda directory: GatewayLink(app.home, directory)
