"""The collector's session at a broker that takes little at once, is started again, or does not speak MQTT."""

from __future__ import annotations

import queue
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from mqtt_gateway import GatewayClient

from authority.app import App
from authority.collector.mqtt import WHOLE, tls_context
from authority.collector.mqtt_client import Client, Message, Session

on_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


@on_sqlite
@pytest.mark.mosquitto
def test_a_broker_that_takes_little_at_once_gets_everything(
    app: App, mosquitto: Any, certify: Callable[[str], Path], add_meter: Callable[..., Any]
) -> None:
    configuration = next(Path(word) for word in mosquitto._command if word.endswith("mosquitto.conf"))
    configuration.write_text(configuration.read_text().replace("max_inflight_messages 1024", "max_inflight_messages 3"))
    mosquitto.stop()
    mosquitto.start()
    add_meter()
    gateway = GatewayClient(app, "gw-1", certify("gw-1"), mosquitto.port)
    got: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    gateway.client.on_message = lambda _c, _u, message: got.put(message.payload)
    client = Client(Session("localhost", mosquitto.port, tls_context(app.home, WHOLE.certificate), WHOLE.name, 60))
    client.publish([("ami/v1/gw-1/receipt", b"%d" % n) for n in range(200)])
    client.start()
    assert [got.get(timeout=60) for _ in range(200)] == [b"%d" % n for n in range(200)]
    client.publish([("ami/v1/gw-1/receipt", b"%d" % n) for n in range(200, 400)])
    assert [got.get(timeout=60) for _ in range(200)] == [b"%d" % n for n in range(200, 400)]
    client.stop()
    gateway.close()


@on_sqlite
@pytest.mark.mosquitto
def test_what_came_over_an_earlier_connection_is_not_acknowledged_over_a_later_one(
    app: App, mosquitto: Any, certify: Callable[[str], Path], add_meter: Callable[..., Any]
) -> None:
    """Packet identifiers begin anew with a connection: the broker would take it for an answer to another message."""
    add_meter()
    gateway = GatewayClient(app, "gw-1", certify("gw-1"), mosquitto.port)
    came: queue.SimpleQueue[Message] = queue.SimpleQueue()
    subscribed: queue.SimpleQueue[object] = queue.SimpleQueue()
    failed: queue.SimpleQueue[str] = queue.SimpleQueue()

    def started() -> Client:
        client = Client(Session("localhost", mosquitto.port, tls_context(app.home, WHOLE.certificate), WHOLE.name, 60))
        client.on_connected = lambda: client.subscribe(WHOLE.subscriptions)
        client.on_subscribed, client.on_failed, client.on_message = subscribed.put, failed.put, came.put
        client.start()
        subscribed.get(timeout=60)
        return client

    first = started()
    gateway.publish("gw-1/readings", b"one")
    before = came.get(timeout=60)
    mosquitto.stop()
    assert "broker" in failed.get(timeout=60)
    first.acknowledge([before])
    mosquitto.start()
    subscribed.get(timeout=60)
    again = came.get(timeout=60)
    assert (again.payload, again.packet) == (before.payload, before.packet)
    first.acknowledge([before])
    first.stop()
    second = started()
    once_more = came.get(timeout=60)
    assert once_more.payload == b"one"
    second.acknowledge([once_more])
    second.stop()
    third = started()
    gateway.wait_subscribed()
    gateway.publish("gw-1/readings", b"two")
    assert came.get(timeout=60).payload == b"two"
    third.stop()
    gateway.close()


CONNACK = b"\x20\3\0\0\0"
HOSTILE = {
    "HTTP": b"HTTP/1.1 400 Bad Request\r\n\r\n",
    "another packet than CONNACK": b"\xd0\0",
    "a length without an end": b"\x20\xff\xff\xff\xff\xff",
    "a refusal": b"\x20\3\0\x87\0",
    "a property that there is not": b"\x20\4\0\0\1\xff",
    "the end with a reason": CONNACK + b"\xe0\1\x8e",
    "a message cut in its properties": CONNACK + b"\x30\4\0\1a\7",
    "a message cut in its topic": CONNACK + b"\x30\4\1\1a\7",
    "a topic that is no text": CONNACK + b"\x30\5\0\1\xff\0x",
    "a packet of a client": CONNACK + b"\x82\0",
    "nothing": b"",
}


@on_sqlite
@pytest.mark.parametrize("name", HOSTILE)
def test_a_broker_that_does_not_speak_mqtt_is_told_once_an_attempt_and_tried_again(app: App, name: str) -> None:
    port = free_port()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(app.home.key_path("server.pem"), app.home.key_path("server.key"))
    listener = socket.create_server(("127.0.0.1", port))

    attempts: list[bool] = []

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
                with context.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(4_096)
                    attempts.append(True)
                    connection.sendall(HOSTILE[name])
                    connection.unwrap()
            except OSError:
                if listener.fileno() < 0:
                    return

    threading.Thread(target=serve, daemon=True).start()
    failed: queue.SimpleQueue[str] = queue.SimpleQueue()
    messages: list[Message] = []
    trusts = ssl.create_default_context(cafile=str(app.home.key_path("ca.pem")))
    client = Client(Session("localhost", port, trusts, WHOLE.name, 60))
    client.on_failed, client.on_message = failed.put, messages.append
    client.start()
    found = [failed.get(timeout=60) for _ in range(3)]
    client.stop()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    assert all(f"the broker at localhost:{port}" in why for why in found)
    assert len(attempts) >= len(found)
    assert messages == []
