"""What a revoked or replaced certificate can still do at a real Mosquitto: nothing."""

from __future__ import annotations

import json
import queue
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from free_ports import free_port
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from sqlalchemy import select

from authority.app import App
from authority.cli import main
from authority.enrolment import broker_door, revocation
from authority.home.settings import ValidatorSettings
from authority.store.log import Act
from authority.store.metering import Gateway, Meter

pytestmark = pytest.mark.mosquitto

CONNECT = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04gw-1"


@pytest.fixture
def store_url() -> str:
    """SQLite alone: what the broker refuses does not depend on the database."""
    return ""


class Client:
    """A client of the broker that notes how its connections begin and end, and tries again like a gateway."""

    def __init__(self, app: App, directory: Path, port: int, client_id: str, version: int = 5) -> None:
        self.begun: queue.Queue[bool] = queue.Queue()
        self.ended: queue.Queue[str] = queue.Queue()
        context = ssl.create_default_context(cafile=str(app.home.key_path("ca.pem")))
        context.load_cert_chain(directory / "gateway.pem", directory / "gateway.key")
        protocol = MQTTProtocolVersion.MQTTv5 if version == 5 else MQTTProtocolVersion.MQTTv311
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=client_id, protocol=protocol)
        self.client.tls_set_context(context)
        self.client.on_connect = lambda _c, _u, _f, reason, _p: self.begun.put(not reason.is_failure)
        self.client.on_disconnect = lambda _c, _u, _f, reason, _p: self.ended.put(str(reason))
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("localhost", port)
        self.client.loop_start()

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def client(app: App, mosquitto: Any) -> Iterator[Callable[..., Client]]:
    """Connect with the certificate in a directory, under any client id."""
    made: list[Client] = []

    def connect(directory: Path, client_id: str, version: int = 5) -> Client:
        made.append(Client(app, directory, mosquitto.port, client_id, version))
        return made[-1]

    yield connect
    for one in made:
        one.close()


@pytest.fixture(autouse=True)
def today(app: App, clock: Any) -> None:
    """Certificates are of today, for the broker's clock is today's; and no validator answers."""
    clock.now = int(time.time())
    app.home.save(replace(app.home.settings, validator=ValidatorSettings(url=f"http://127.0.0.1:{free_port()}")))


def is_let_in(app: App, directory: Path, port: int, session: ssl.SSLSession | None = None) -> bool:
    """Whether the broker answers a CONNECT with these credentials: in TLS 1.3 a refusal comes after the handshake."""
    context = ssl.create_default_context(cafile=str(app.home.key_path("ca.pem")))
    context.load_cert_chain(directory / "gateway.pem", directory / "gateway.key")
    try:
        with (
            socket.create_connection(("localhost", port), 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as link,
        ):
            link.sendall(CONNECT)
            return link.recv(4)[:1] == b"\x20"
    except OSError:
        return False


def revoke(app: App, *words: str, gateway: str = "gw-1") -> int:
    return main(["enrol", "revoke", gateway, "--reason", "stolen", "--home", str(app.home.path), *words])


@pytest.mark.finding("ops-1")
def test_a_revoked_client_is_thrown_off_and_stays_out(
    app: App, mosquitto: Any, add_meter: Any, enrol: Any, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = enrol(add_meter("pv"))
    thief = client(directory, "gw-1")
    assert thief.begun.get(timeout=60)
    revoke(app)
    said = capsys.readouterr().out
    assert "certificate: revoked" in said
    assert "broker: refuses the certificate; the connection is ended" in said
    thief.ended.get(timeout=60)
    assert not is_let_in(app, directory, mosquitto.port)
    with pytest.raises(queue.Empty):  # it goes on trying, once a second
        thief.begun.get(timeout=3)
    with app.store.read() as session:
        assert session.get_one(Gateway, "gw-1").state == "revoked"
        assert session.scalars(select(Meter.state)).all() == ["suspended"]


@pytest.mark.finding("ops-1")
def test_only_the_revoked_one_is_shut_out(app: App, mosquitto: Any, add_meter: Any, enrol: Any, client: Any) -> None:
    first, second = enrol(add_meter("pv")), enrol(add_meter("pv", gateway="gw-2"))
    other = client(second, "gw-2")
    assert other.begun.get(timeout=60)
    revoke(app)
    assert not is_let_in(app, first, mosquitto.port)
    assert other.ended.empty()


@pytest.mark.finding("ops-1")
def test_a_replaced_certificate_is_shut_out(
    app: App, mosquitto: Any, add_meter: Any, enrol: Any, client: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """After a new enrolment under the same name, the old certificate neither speaks nor throws the new one off."""
    meter = add_meter("pv")
    old = enrol(meter)
    thief = client(old, "gw-1")
    assert thief.begun.get(timeout=60)
    capsys.readouterr()
    new = enrol(meter)
    assert "broker: refuses the certificate" in capsys.readouterr().out
    thief.ended.get(timeout=60)
    real = client(new, "gw-1")
    assert real.begun.get(timeout=60)
    assert not is_let_in(app, old, mosquitto.port)
    with pytest.raises(queue.Empty):
        real.ended.get(timeout=3)


@pytest.mark.finding("ops-1")
@pytest.mark.parametrize("version", [4, 5])
def test_nobody_connects_under_another_name(
    app: App, mosquitto: Any, add_meter: Any, enrol: Any, client: Any, version: int
) -> None:
    """A client id throws its owner off: it is the certificate's name, whatever the client says."""
    real = client(enrol(add_meter("pv")), "gw-1")
    assert real.begun.get(timeout=60)
    other = client(enrol(add_meter("pv", gateway="gw-2")), "gw-1", version)
    assert other.begun.get(timeout=60)
    collector = client(enrol(add_meter("pv", gateway="gw-3")), "authority-collector", version)
    assert collector.begun.get(timeout=60)
    assert real.ended.empty()


@pytest.mark.finding("ops-1")
def test_a_remembered_tls_session_does_not_get_in(app: App, mosquitto: Any, add_meter: Any, enrol: Any) -> None:
    """A resumed session presents no certificate again: what it was granted must not outlive the revocation."""
    directory = enrol(add_meter("pv"))
    context = ssl.create_default_context(cafile=str(app.home.key_path("ca.pem")))
    context.load_cert_chain(directory / "gateway.pem", directory / "gateway.key")

    def connect(session: ssl.SSLSession | None) -> ssl.SSLSession | None:
        with (
            socket.create_connection(("localhost", mosquitto.port), 10) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as link,
        ):
            link.sendall(CONNECT)
            assert link.recv(4)[:1] == b"\x20"
            return link.session

    session = connect(None)
    revoke(app)
    with pytest.raises((OSError, AssertionError)):
        connect(session)


@pytest.mark.finding("ops-1")
def test_a_broker_that_was_down_reads_the_list_when_it_starts(
    app: App, mosquitto: Any, add_meter: Any, enrol: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = enrol(add_meter("pv"))
    mosquitto.stop()
    assert revoke(app) == 1
    said = capsys.readouterr()
    assert "broker: broker_unreachable" in said.out
    assert "does it run?" in said.err
    mosquitto.start()
    assert not is_let_in(app, directory, mosquitto.port)
    revoke(app)
    said = capsys.readouterr()
    assert "certificate: was revoked before" in said.out
    assert "broker: refuses the certificate" in said.out


@pytest.mark.finding("ops-1")
def test_a_broker_that_nobody_told_to_read_is_said_so(
    app: App, mosquitto: Any, add_meter: Any, enrol: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with a broker on another machine: the command sees that its list is not in force, and says what to do."""
    directory = enrol(add_meter("pv"))
    broker_door.pid_path(app.home).unlink()
    probe = broker_door.Credentials.make(app.home, broker_door.PROBE_NAME, app.clock())
    revocation.write_list(app.home, [probe.certificate], app.clock())
    assert not broker_door.reload(app.home)
    with pytest.raises(broker_door.BrokerError) as caught:
        broker_door.wait_until_read(app.home, probe, seconds=0.5)
    assert caught.value.code == "list_not_read"
    assert is_let_in(app, directory, mosquitto.port)


@pytest.mark.finding("ops-1")
def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    app: App, mosquitto: Any, add_meter: Any, enrol: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = enrol(add_meter("pv"))
    capsys.readouterr()
    assert revoke(app, "--dry-run", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert [(step["what"], step["outcome"]) for step in told["steps"]] == [
        ("certificate", "would be revoked"),
        ("broker", "would be shut out"),
        ("meter gw-1/pv", "would be suspended"),
    ]
    assert is_let_in(app, directory, mosquitto.port)
    with app.store.read() as session:
        assert session.get_one(Gateway, "gw-1").state == "enrolled"
        assert session.scalars(select(Act).where(Act.kind == "gateway_revoked")).all() == []


@pytest.mark.finding("ops-1")
def test_revoking_twice_is_one_act(app: App, add_meter: Any, enrol: Any) -> None:
    enrol(add_meter("pv"))
    revoke(app)
    revoke(app)
    with app.store.read() as session:
        assert len(session.scalars(select(Act).where(Act.kind == "gateway_revoked")).all()) == 1
    assert revoke(app, gateway="gw-9") == 1
