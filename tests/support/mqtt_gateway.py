"""A gateway at a real broker, as a client that publishes and keeps what comes back; and the collector's side of it."""

from __future__ import annotations

import json
import queue
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from authority.app import App
from authority.collector.ingest import Collector
from authority.collector.live import Live
from authority.collector.mqtt import BrokerConnection
from edge_agent.wire.reading import Receipt, split_receipts


class GatewayClient:
    """A gateway at the broker: publishes, and keeps what comes on its receipt and command topics."""

    def __init__(self, app: App, name: str, directory: Path, port: int) -> None:
        self.name = name
        self.receipts: queue.Queue[Receipt] = queue.Queue()
        self.commands: queue.Queue[dict[str, Any]] = queue.Queue()
        self.subscribed: queue.Queue[bool] = queue.Queue()
        context = ssl.create_default_context(cafile=str(app.home.key_path("ca.pem")))
        context.load_cert_chain(directory / "gateway.pem", directory / "gateway.key")
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
        self.client.tls_set_context(context)
        self.client.on_message = self._on_message
        self.client.on_connect = self._on_connect
        self.client.on_subscribe = lambda *_: self.subscribed.put(True)
        self.client.reconnect_delay_set(1, 1)
        self.client.connect("localhost", port)
        self.client.loop_start()
        self.wait_subscribed()

    def _on_connect(self, *_: Any) -> None:
        self.client.subscribe([(f"ami/v1/{self.name}/receipt", 1), (f"ami/v1/{self.name}/command", 1)])

    def wait_subscribed(self) -> None:
        """Until the broker has taken the subscriptions: once after every connection."""
        self.subscribed.get(timeout=60)

    def _on_message(self, _c: Any, _u: Any, message: mqtt.MQTTMessage) -> None:
        if message.topic.endswith("/receipt"):
            for receipt in split_receipts(message.payload):
                self.receipts.put(receipt)
        else:
            self.commands.put(json.loads(message.payload))

    def publish(self, topic: str, payload: bytes, *, retain: bool = False) -> None:
        told = self.client.publish(f"ami/v1/{topic}", payload, qos=1, retain=retain)
        told.wait_for_publish(60)
        assert told.is_published()

    def take(self, count: int = 1) -> list[Receipt]:
        return [self.receipts.get(timeout=60) for _ in range(count)]

    def close(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@contextmanager
def connected(app: App, collector: Collector, live: Live) -> Iterator[BrokerConnection]:
    connection = BrokerConnection(app, collector, live)
    connection.start()
    assert connection.subscribed.wait(60)
    try:
        yield connection
    finally:
        connection.stop()
