"""The collector's MQTT client: its packets by paho's, a real broker that takes little at once, and a hostile one."""

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
from hypothesis import given
from hypothesis import strategies as st
from mqtt_gateway import GatewayClient
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties, VariableByteIntegers

from authority.app import App
from authority.collector.mqtt import WHOLE, tls_context
from authority.collector.mqtt_client import (
    CONNACK,
    DISCONNECT,
    PUBLISH,
    RECEIVE_MAXIMUM,
    Client,
    Message,
    MqttMalformedError,
    Session,
    number,
    packet,
    packets,
    properties,
)

on_sqlite = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=300)), max_size=6), st.integers(1, 50))
def test_packets_come_out_as_they_went_in_however_they_are_cut(sent: list[tuple[int, bytes]], step: int) -> None:
    data, buffer = b"".join(packet(*one) for one in sent), bytearray()
    found: list[tuple[int, bytes]] = []
    for at in range(0, len(data), step):
        buffer += data[at : at + step]
        found += list(packets(buffer))
    assert found == sent
    assert not buffer


@given(st.integers(0, 268_435_455))
def test_lengths_are_pahos(value: int) -> None:
    encoded = VariableByteIntegers.encode(value)
    assert number(encoded, 0) == (value, len(encoded))
    assert all(number(encoded[:size], 0) is None for size in range(len(encoded)))


TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
OF_CONNACK = {
    "ReceiveMaximum": st.integers(1, 65_535),
    "ServerKeepAlive": st.integers(0, 65_535),
    "MaximumPacketSize": st.integers(1, 2**32 - 1),
    "TopicAliasMaximum": st.integers(0, 65_535),
    "MaximumQoS": st.integers(0, 1),
    "ReasonString": TEXT,
    "ResponseInformation": TEXT,
    "UserProperty": st.tuples(TEXT, TEXT),
    "AuthenticationData": st.binary(max_size=20),
}
OF_PUBLISH = {
    "MessageExpiryInterval": st.integers(0, 2**32 - 1),
    "ContentType": TEXT,
    "CorrelationData": st.binary(max_size=20),
    "SubscriptionIdentifier": st.integers(1, 268_435_455),
    "TopicAlias": st.integers(1, 65_535),
    "UserProperty": st.tuples(TEXT, TEXT),
}


@pytest.mark.parametrize(("kind", "values"), [(PacketTypes.CONNACK, OF_CONNACK), (PacketTypes.PUBLISH, OF_PUBLISH)])
@given(data=st.data())
def test_properties_that_paho_writes_are_read(kind: int, values: dict[str, Any], data: st.DataObject) -> None:
    written = Properties(kind)
    for name in data.draw(st.lists(st.sampled_from(sorted(values)), unique=True)):
        setattr(written, name, data.draw(values[name]))
    packed = written.pack()
    found, end = properties(b"ab" + packed + b"behind", 2)
    assert end == 2 + len(packed)
    assert found.get(RECEIVE_MAXIMUM) == getattr(written, "ReceiveMaximum", None)


@given(st.binary(max_size=60))
def test_any_bytes_are_properties_or_refused(data: bytes) -> None:
    try:
        _, end = properties(data, 0)
    except MqttMalformedError:
        return
    assert 0 < end <= len(data)


@on_sqlite
@pytest.mark.mosquitto
def test_a_broker_that_takes_little_at_once_and_is_started_again_gets_everything(
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
    connected: queue.SimpleQueue[bool] = queue.SimpleQueue()
    client = Client(Session("localhost", mosquitto.port, tls_context(app.home, WHOLE.certificate), WHOLE.name, 60))
    client.on_connected = lambda: connected.put(True)
    client.start()
    connected.get(timeout=60)
    client.publish([("ami/v1/gw-1/receipt", b"%d" % n) for n in range(200)])
    assert [got.get(timeout=60) for _ in range(200)] == [b"%d" % n for n in range(200)]
    mosquitto.stop()
    client.publish([("ami/v1/gw-1/receipt", b"%d" % n) for n in range(200, 400)])
    mosquitto.start()
    connected.get(timeout=60)
    missing = {b"%d" % n for n in range(200, 400)}
    while missing:  # what the broker had not confirmed when it ended may come twice
        missing.discard(got.get(timeout=60))
    client.stop()
    gateway.close()


HOSTILE = {
    "what reads as a packet that does not end": (b"HTTP/1.1 400 Bad Request\r\n\r\n", "mqtt_refused"),
    "another packet than CONNACK": (packet(0xD0, b""), "mqtt_malformed"),
    "a length without an end": (b"\x20\xff\xff\xff\xff\xff", "mqtt_malformed"),
    "a refusal": (packet(CONNACK, b"\0\x87\0"), "mqtt_refused"),
    "a property that there is not": (packet(CONNACK, b"\0\0\x01\xff"), "mqtt_malformed"),
    "the end with a reason": (packet(CONNACK, b"\0\0\0") + packet(DISCONNECT, b"\x8e"), "mqtt_refused"),
    "a message of QoS 2": (packet(CONNACK, b"\0\0\0") + packet(PUBLISH | 4, b"\0\1a\0\1\0"), "mqtt_malformed"),
    "a message cut in its properties": (packet(CONNACK, b"\0\0\0") + packet(PUBLISH, b"\0\1a\7"), "mqtt_malformed"),
    "a topic that is no text": (packet(CONNACK, b"\0\0\0") + packet(PUBLISH, b"\0\1\xff\0x"), "mqtt_malformed"),
    "a packet of a client": (packet(CONNACK, b"\0\0\0") + packet(0x82, b""), "mqtt_malformed"),
    "nothing": (b"", "mqtt_refused"),
}


@on_sqlite
@pytest.mark.parametrize("name", HOSTILE)
def test_a_broker_that_does_not_speak_mqtt_is_told_by_its_code_and_tried_again(app: App, name: str) -> None:
    says, code = HOSTILE[name]
    port = free_port()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(app.home.key_path("server.pem"), app.home.key_path("server.key"))
    listener = socket.create_server(("127.0.0.1", port))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
                with context.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(4_096)
                    connection.sendall(says)
                    connection.unwrap()
            except OSError:
                if listener.fileno() < 0:
                    return

    threading.Thread(target=serve, daemon=True).start()
    failed: queue.SimpleQueue[Exception] = queue.SimpleQueue()
    messages: list[Message] = []
    trusts = ssl.create_default_context(cafile=str(app.home.key_path("ca.pem")))
    client = Client(Session("localhost", port, trusts, WHOLE.name, 60))
    client.on_failed, client.on_message = failed.put, messages.append
    client.start()
    found = [getattr(failed.get(timeout=60), "code", "") for _ in range(2)]
    client.stop()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    assert found == [code, code]
    assert messages == []
