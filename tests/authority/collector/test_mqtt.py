"""The collector at a real Mosquitto with mutual TLS: receipts, gaps, access, and messages that outlive a collector."""

from __future__ import annotations

import queue
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import pytest
from mqtt_gateway import GatewayClient, connected
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from sqlalchemy import func, select

from authority.app import App
from authority.collector.frames import Ingested, Sent
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.collector.mqtt import BrokerConnection
from authority.log import log
from authority.refusals import RefusalError, UnavailableError
from authority.store.metering import Frame, Gateway, LivePower
from edge_agent.wire.reading import CODES

pytestmark = pytest.mark.mosquitto

AddMeter = Callable[..., Any]
Certify = Callable[[str], Path]


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.02)


@pytest.fixture
def gateway(app: App, add_meter: AddMeter, certify: Certify, mosquitto: Any) -> Iterator[Any]:
    meter = add_meter("pv")
    client = GatewayClient(app, "gw-1", certify("gw-1"), mosquitto.port)
    yield client, meter
    client.close()


def test_readings_are_receipted_and_a_gap_is_asked_for(app: App, gateway: Any) -> None:
    client, meter = gateway
    frames = [meter.next() for _ in range(4)]
    with connected(app, Collector(app), Live(app)):
        client.publish("gw-1/pv/reading", frames[0] + frames[1])
        assert [(receipt.verdict, receipt.sequence) for receipt in client.take(2)] == [(1, 1), (1, 2)]
        client.publish("gw-1/pv/reading", frames[3])
        assert [CODES[receipt.code] for receipt in client.take()] == ["sequence_gap"]
        assert client.commands.get(timeout=60) == {"command": "resend", "meter": "pv", "from": 3}
        client.publish("gw-1/pv/reading", frames[2])
        assert [(receipt.verdict, receipt.sequence) for receipt in client.take(2)] == [(1, 3), (1, 4)]


def test_a_topic_speaks_for_its_own_meter_only(app: App, gateway: Any) -> None:
    client, meter = gateway
    with connected(app, Collector(app), Live(app)):
        client.publish("gw-1/other/reading", meter.frame())
        assert [CODES[receipt.code] for receipt in client.take()] == ["unknown_meter"]
        client.publish("gw-1/pv/reading", b"no frames")  # cannot be answered, and stops nothing
        client.publish("gw-1/pv/reading", b"")
        client.publish("gw-1/pv/live", b"no json")
        client.publish("gw-1/status", b"[1]")
        client.publish("gw-1/pv/reading", meter.next())
        assert [CODES[receipt.code] for receipt in client.take()] == ["ok"]


def test_a_boundary_of_several_meters_comes_in_one_message(app: App, gateway: Any, add_meter: AddMeter) -> None:
    client, meter = gateway
    other = add_meter("load", role="load", source="none")
    foreign = add_meter("pv", gateway="gw-2")
    with connected(app, Collector(app), Live(app)):
        client.publish("gw-1/readings", meter.next() + other.next() + foreign.next())
        receipts = client.take(3)
    assert [(receipt.meter_key, CODES[receipt.code]) for receipt in receipts] == [
        (meter.public_key, "ok"),
        (other.public_key, "ok"),
        (foreign.public_key, "unknown_meter"),
    ]


def test_the_broker_keeps_gateways_apart(
    app: App, gateway: Any, add_meter: AddMeter, certify: Certify, mosquitto: Any
) -> None:
    """What another gateway publishes under this one's topics reaches nobody: its own frame is the first that counts."""
    client, meter = gateway
    add_meter("pv", gateway="gw-2")
    other = GatewayClient(app, "gw-2", certify("gw-2"), mosquitto.port)
    try:
        with connected(app, Collector(app), Live(app)):
            other.publish("gw-1/pv/reading", meter.frame(generation=9))
            other.publish("gw-1/receipt", bytes(168))
            client.publish("gw-1/pv/reading", meter.next())
            (receipt,) = client.take()
            assert (receipt.verdict, receipt.log_index) == (1, 0)
            assert client.receipts.empty()
    finally:
        other.close()


def test_a_stranger_does_not_get_in(app: App, mosquitto: Any) -> None:
    context = ssl.create_default_context(cafile=str(app.home.key_path("ca.pem")))
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="x", protocol=MQTTProtocolVersion.MQTTv5)
    client.tls_set_context(context)
    refused: queue.Queue[bool] = queue.Queue()
    client.on_connect = lambda _c, _u, _f, reason, _p: refused.put(bool(reason.is_failure))
    client.on_disconnect = lambda *_: refused.put(True)
    try:
        client.connect("localhost", mosquitto.port)
        client.loop_start()
        assert refused.get(timeout=60)
    except (ssl.SSLError, ConnectionError):
        pass
    finally:
        client.loop_stop()


def test_what_is_sent_while_no_collector_runs_waits_at_the_broker(app: App, gateway: Any) -> None:
    client, meter = gateway
    with connected(app, Collector(app), Live(app)):
        pass
    frames = [meter.next() for _ in range(3)]
    for frame in frames:
        client.publish("gw-1/pv/reading", frame)
    with connected(app, Collector(app), Live(app)):
        assert [receipt.sequence for receipt in client.take(3)] == [1, 2, 3]


def test_nothing_is_acknowledged_before_it_is_durable(app: App, gateway: Any) -> None:
    """A collector whose store fails holds the message; the one that comes after it gets it again from the broker."""
    client, meter = gateway

    class Failing(Collector):
        tried = 0

        def ingest_all(self, sent: Sequence[Sent]) -> list[Ingested | RefusalError]:
            self.tried += 1
            return [UnavailableError("disk full") for _ in sent]

    failing = Failing(app)
    with connected(app, failing, Live(app)):
        client.publish("gw-1/pv/reading", meter.next())
        wait_until(lambda: failing.tried > 0)
    with connected(app, Collector(app), Live(app)):
        assert [receipt.verdict for receipt in client.take()] == [1]


def test_the_collector_comes_back_after_the_broker_does(app: App, gateway: Any, mosquitto: Any) -> None:
    client, meter = gateway
    with connected(app, Collector(app), Live(app)) as connection:
        client.publish("gw-1/pv/reading", meter.next())
        client.take()
        mosquitto.stop()
        wait_until(lambda: not connection.subscribed.is_set())
        mosquitto.start()
        assert connection.subscribed.wait(60)
        client.wait_subscribed()
        client.publish("gw-1/pv/reading", meter.next())
        (receipt,) = client.take()
        while receipt.sequence == 1:  # delivered again where the broker stopped before one side heard its PUBACK
            (receipt,) = client.take()
        assert (receipt.verdict, receipt.sequence) == (1, 2)


def test_a_broker_that_is_not_up_yet_is_waited_for(app: App, gateway: Any, mosquitto: Any) -> None:
    client, meter = gateway
    mosquitto.stop()
    connection = BrokerConnection(app, Collector(app), Live(app))
    connection.start()
    try:
        assert not connection.subscribed.wait(0.5)
        mosquitto.start()
        assert connection.subscribed.wait(60)
        client.wait_subscribed()
        client.publish("gw-1/pv/reading", meter.next())
        assert [receipt.verdict for receipt in client.take()] == [1]
    finally:
        connection.stop()


def test_live_power_and_status_arrive(app: App, gateway: Any) -> None:
    client, meter = gateway
    live = Live(app)
    with connected(app, Collector(app), live):
        client.publish("gw-1/status", b'{"online": true, "version": "0.1"}', retain=True)
        client.publish("gw-1/pv/live", b'{"power_w": -1200, "time": 1000}')

        def arrived() -> bool:
            live.flush()
            with app.store.read() as session:
                row = session.get(LivePower, meter.pk)
                return row is not None and row.power_w == -1200

        wait_until(arrived)
    with app.store.read() as session:
        gateway_row = session.get_one(Gateway, "gw-1")
        assert (gateway_row.online, gateway_row.status) == (True, {"online": True, "version": "0.1"})


def test_a_killed_collector_process_loses_nothing(app: App, gateway: Any, collector_process: Any) -> None:
    """Readings published around a kill -9 all get receipts in the end, and are in the log once."""
    client, meter = gateway
    collector_process.start()
    frames = [meter.next() for _ in range(60)]
    for n, frame in enumerate(frames):
        client.publish("gw-1/pv/reading", frame)
        if n == 30:
            collector_process.kill()
    collector_process.start()
    waiting = {frame[:96]: frame for frame in frames}
    seen: dict[int, bytes] = {}
    end = time.monotonic() + 120
    while len(seen) < len(frames):
        try:
            receipt = client.receipts.get(timeout=2)
        except queue.Empty:
            assert time.monotonic() < end
            for frame in waiting.values():  # as a gateway does after a minute without a receipt
                client.publish("gw-1/pv/reading", frame)
            continue
        if receipt.verdict == 1:
            assert seen.setdefault(receipt.sequence, receipt.to_bytes()) == receipt.to_bytes()
    with app.store.read() as session:
        assert session.scalar(select(func.count()).select_from(Frame)) == 60
        assert log.size(session) == 60
