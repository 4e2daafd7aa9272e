"""The MQTT uplink against a real Mosquitto with mutual TLS and an access list by certificate name."""

import itertools
import json
import os
import queue
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from free_ports import free_port
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from edge_agent.state.keys import KeyStore
from edge_agent.state.status import read_status
from edge_agent.uplinks import Batch, BatchFailed, BatchSent, CommandArrived, LinkChanged, ReceiptsArrived
from edge_agent.uplinks.mqtt import MqttUplink
from edge_agent.wire.reading import Frame, Record, previous_hash

pytestmark = [
    pytest.mark.mosquitto,
    pytest.mark.skipif(shutil.which("mosquitto") is None, reason="no mosquitto here: apt-get install mosquitto"),
]

ROOT = Path(__file__).parents[3]
PROCESS = ROOT / "tests" / "support" / "agent_process.py"

CONFIG = """
listener {port} 127.0.0.1
cafile {ca}
certfile {certificate}
keyfile {key}
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file {acl}
persistence false
"""

ACL = """
pattern write ami/v1/%u/+/reading
pattern write ami/v1/%u/readings
pattern write ami/v1/%u/+/live
pattern write ami/v1/%u/status
pattern read ami/v1/%u/receipt
pattern read ami/v1/%u/command

user collector
topic readwrite ami/v1/#
"""


def until(condition, seconds=120.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.02)


class Broker:
    """A Mosquitto of our own."""

    def __init__(self, directory: Path, ca) -> None:
        self.directory = directory
        self.ca = ca
        self.port = free_port()
        certificate, key = ca.server("broker")
        directory.chmod(0o755)
        (directory / "acl").write_text(ACL)
        self.file = directory / "mosquitto.conf"
        self.file.write_text(
            CONFIG.format(port=self.port, ca=ca.file, certificate=certificate, key=key, acl=directory / "acl")
            + ("user root\n" if os.geteuid() == 0 else "")
        )
        self.process = None

    def start(self) -> None:
        self.process = subprocess.Popen(["mosquitto", "-c", str(self.file)], stderr=subprocess.DEVNULL)
        until(self.listens)

    def listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)
            self.process = None

    def context(self, name):
        certificate, key = self.ca.files(name)
        context = ssl.create_default_context(cafile=str(self.ca.file))
        context.load_cert_chain(certificate, key)
        return context


@pytest.fixture
def broker(tmp_path, authority):
    directory = tmp_path / "broker"
    directory.mkdir()
    made = Broker(directory, authority.ca)
    made.start()
    yield made
    made.stop()


class Collector:
    """The authority at the broker: takes readings, answers with receipts unless it is deaf."""

    def __init__(self, authority, broker, name="collector") -> None:
        self.authority = authority
        self.deaf = False
        self.subscribed = threading.Event()
        """Set while the broker has taken the subscription: what is published before reaches nobody."""
        self.seen: queue.Queue = queue.Queue()
        self.status: list[tuple[dict, bool]] = []
        self.client = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=name, protocol=paho.MQTTv5)
        self.client.tls_set_context(broker.context("collector"))
        self.client.reconnect_delay_set(1, 1)
        self.client.on_connect = lambda client, *rest: client.subscribe("ami/v1/#", qos=1)
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.on_disconnect = lambda *_: self.subscribed.clear()
        self.client.on_message = self.on_message
        properties = Properties(PacketTypes.CONNECT)
        properties.SessionExpiryInterval = 3600
        self.client.connect("127.0.0.1", broker.port, clean_start=False, properties=properties)
        self.client.loop_start()
        assert self.subscribed.wait(60)

    def on_message(self, client, userdata, message):
        parts = message.topic.split("/")
        gateway, kind = parts[2], parts[-1]
        self.seen.put((message.topic, message.payload, message.qos, message.retain))
        if kind == "status":
            self.status.append((json.loads(message.payload), message.retain))
        if kind in ("reading", "readings") and not self.deaf:
            client.publish(f"ami/v1/{gateway}/receipt", self.authority.accept(message.payload), qos=1)

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def collector(authority, broker):
    made = Collector(authority, broker)
    yield made
    made.close()


@pytest.fixture
def make_uplink(broker):
    uplinks = []

    def make(name="dormitory-a", context=None):
        events = []
        uplink = MqttUplink(
            name,
            ("127.0.0.1", broker.port),
            context or broker.context(name),
            events.append,
            timeout=30,
            reconnect_seconds=(1, 1),
        )
        uplinks.append(uplink)
        uplink.start()
        return uplink, events

    yield make
    for uplink in uplinks:
        uplink.close()


@pytest.fixture
def batch(tmp_path, authority):
    key = KeyStore(tmp_path / "keys").load_or_make("solar")
    authority.keys["solar"] = key.public_key
    record = Record(
        sequence=1,
        network_id=authority.network_id,
        interval_end=900,
        generation=1,
        consumption=2,
        charge=0,
        discharge=0,
        interval_seconds=900,
        source=1,
    ).to_bytes()
    return Batch(("solar",), (1,), (Frame(record, key.public_key, key.sign(record)),))


def kinds(events, kind):
    return [event for event in events if isinstance(event, kind)]


def test_frames_go_up_and_receipts_come_down(make_uplink, collector, batch):
    uplink, events = make_uplink()
    until(lambda: uplink.connected)
    uplink.send(batch)
    until(lambda: kinds(events, ReceiptsArrived) and kinds(events, BatchSent))
    topic, payload, qos, retain = collector.seen.get(timeout=60)
    assert (topic, payload, qos, retain) == ("ami/v1/dormitory-a/solar/reading", batch.to_bytes(), 1, False)
    assert len(kinds(events, ReceiptsArrived)[0].data) == 168


def test_frames_of_several_meters_go_in_one_message(make_uplink, collector, batch):
    uplink, events = make_uplink()
    until(lambda: uplink.connected)
    both = Batch(("solar", "load"), (1, 2), batch.frames * 2)
    uplink.send(both)
    until(lambda: kinds(events, BatchSent))
    topic, payload, qos, retain = collector.seen.get(timeout=60)
    assert (topic, payload, qos, retain) == ("ami/v1/dormitory-a/readings", both.to_bytes(), 1, False)


def test_status_is_retained_and_the_will_says_offline(make_uplink, collector, broker):
    uplink, _ = make_uplink()
    until(lambda: uplink.connected)
    uplink.status({"gateway": "dormitory-a"})
    until(lambda: collector.status)
    assert collector.status[0][0] == {"online": True, "gateway": "dormitory-a"}
    uplink._client._sock_close()  # the cable is pulled: no DISCONNECT
    until(lambda: any(not status["online"] for status, _ in collector.status))
    late = Collector(collector.authority, broker, "late")
    until(lambda: late.status)
    late.close()


def test_live_power_goes_with_qos_0_and_is_not_kept(make_uplink, collector):
    uplink, _ = make_uplink()
    until(lambda: uplink.connected)
    uplink.live({"solar": {"power_w": -1500, "time": 900}})
    topic, payload, qos, retain = collector.seen.get(timeout=60)
    assert (topic, json.loads(payload), qos, retain) == (
        "ami/v1/dormitory-a/solar/live",
        {"power_w": -1500, "time": 900},
        0,
        False,
    )


def test_receipts_wait_for_a_gateway_that_is_away(make_uplink, collector):
    uplink, _ = make_uplink()
    until(lambda: uplink.connected)
    uplink.close()
    told = collector.client.publish("ami/v1/dormitory-a/receipt", b"while it was away", qos=1)
    told.wait_for_publish(60)
    assert told.is_published()
    again, events = make_uplink()
    until(lambda: kinds(events, ReceiptsArrived))
    assert kinds(events, ReceiptsArrived)[0].data == b"while it was away"
    assert again.connected


def test_commands_arrive(make_uplink, collector):
    uplink, events = make_uplink()
    until(lambda: uplink.connected)

    def asked():
        collector.client.publish("ami/v1/dormitory-a/command", b'{"command": "resend"}', qos=1)
        time.sleep(0.1)
        return kinds(events, CommandArrived)

    until(asked)


def test_a_gateway_may_not_speak_for_another(make_uplink, collector, broker, batch):
    uplink, events = make_uplink("dormitory-a", broker.context("dormitory-b"))
    until(lambda: uplink.connected)
    uplink.send(batch)
    until(lambda: kinds(events, BatchFailed))
    assert kinds(events, BatchFailed)[0].error.code == "broker_refused"
    assert collector.seen.empty()


def test_a_gateway_without_a_certificate_of_the_ca_is_kept_out(make_uplink, broker):
    context = ssl.create_default_context(cafile=str(broker.ca.file))
    uplink, events = make_uplink("dormitory-a", context)
    until(lambda: kinds(events, LinkChanged))
    assert not kinds(events, LinkChanged)[0].connected
    assert not uplink.connected


def test_a_broker_of_another_ca_is_not_spoken_to(make_uplink, broker):
    uplink, events = make_uplink("dormitory-a", ssl.create_default_context())
    until(lambda: kinds(events, LinkChanged))
    assert not kinds(events, LinkChanged)[0].connected
    assert not uplink.connected


def test_a_broker_that_restarts_is_found_again(make_uplink, broker, collector, batch):
    uplink, events = make_uplink()
    until(lambda: uplink.connected)
    broker.stop()
    until(lambda: not uplink.connected)
    uplink.send(batch)
    assert kinds(events, BatchFailed)
    broker.start()
    until(lambda: [event.connected for event in kinds(events, LinkChanged)] == [True, False, True])
    assert uplink.connected
    assert collector.subscribed.wait(60)

    def answered():
        if not kinds(events, ReceiptsArrived):
            uplink.send(batch)
            time.sleep(0.3)
        return kinds(events, ReceiptsArrived)

    until(answered)


def test_a_network_thread_that_ended_is_started_again(make_uplink, collector, batch):
    uplink, events = make_uplink()
    until(lambda: uplink.connected)
    uplink._client.loop_stop()
    uplink.status({})
    until(lambda: [event.connected for event in kinds(events, LinkChanged)] == [True, False, True])
    uplink.send(batch)
    until(lambda: kinds(events, ReceiptsArrived))


# -- the whole agent over MQTT


def run_agent(gateway):
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, str(PROCESS), str(gateway.file)],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


@pytest.fixture
def enrolled(authority, broker, make_gateway):
    """An enrolled gateway that has been told of the broker, and its running agent."""
    processes = []

    def make(kind="auto"):
        authority.epoch_seconds = 2
        authority.mqtt = {"host": "127.0.0.1", "port": broker.port}
        gateway = make_gateway(kind=kind)
        gateway.enrol()
        processes.append(run_agent(gateway))
        return gateway, processes[-1]

    yield make
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def assert_whole(frames):
    records = [frame.record for frame in frames]
    assert [record.sequence for record in records] == list(range(1, len(records) + 1))
    for earlier, later in itertools.pairwise(records):
        assert later.interval_end == earlier.interval_end + 2
        assert later.previous_hash == previous_hash(earlier.to_bytes())


def test_auto_takes_mqtt_where_a_broker_answers(authority, collector, enrolled):
    gateway, process = enrolled()
    until(lambda: len(authority.frames()) >= 3)
    until(lambda: read_status(gateway.config.state)["uplink"]["kind"] == "mqtt")
    until(lambda: collector.seen.qsize() > 3)
    process.send_signal(signal.SIGTERM)
    log = process.communicate(timeout=60)[1]
    assert process.returncode == 0, log
    assert "Traceback" not in log
    until(lambda: collector.status and collector.status[-1][0]["online"] is False)
    assert_whole(authority.frames())


def test_auto_goes_by_https_while_the_broker_is_away_and_comes_back(authority, broker, collector, enrolled):
    gateway, _ = enrolled()
    until(lambda: len(authority.frames()) >= 2)
    broker.stop()
    until(lambda: read_status(gateway.config.state)["uplink"]["kind"] == "https")
    seen = len(authority.frames())
    until(lambda: len(authority.frames()) >= seen + 2)
    assert any("/readings" in request for request in authority.requests)
    broker.start()
    until(lambda: read_status(gateway.config.state)["uplink"]["kind"] == "mqtt")
    assert_whole(authority.frames())


def test_auto_goes_around_a_broker_behind_which_nobody_answers(authority, collector, enrolled):
    collector.deaf = True
    gateway, _ = enrolled()
    until(lambda: len(authority.frames()) >= 3)
    assert read_status(gateway.config.state)["uplink"]["configured"] == "auto"
    assert_whole(authority.frames())


def test_mqtt_alone_waits_for_its_broker(authority, broker, collector, enrolled):
    gateway, _ = enrolled("mqtt")
    until(lambda: len(authority.frames()) >= 2)
    broker.stop()
    until(lambda: read_status(gateway.config.state)["journal"]["waiting"] >= 2)
    broker.start()
    until(lambda: read_status(gateway.config.state)["journal"]["waiting"] == 0)
    assert not any("/readings" in request for request in authority.requests)
    assert_whole(authority.frames())
