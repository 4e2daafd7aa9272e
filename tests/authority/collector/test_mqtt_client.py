"""The collector's session at a broker that takes little at once, is started again, or does not speak MQTT."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from free_ports import free_port
from hypothesis import given
from hypothesis import strategies as st
from mqtt_gateway import GatewayClient

from authority.app import App
from authority.collector.mqtt import WHOLE, tls_context
from authority.collector.mqtt_client import MOST_BEHIND, Client, GatheringSocket, Message, Session, plain_message

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


@given(
    topic=st.text(min_size=1, max_size=30),
    payload=st.binary(max_size=50),
    packet=st.integers(1, 0xFFFF),
    data=st.data(),
)
def test_a_plain_message_is_taken_apart_and_what_is_not_plain_is_left_to_paho(
    topic: str, payload: bytes, packet: int, data: st.DataObject
) -> None:
    name = topic.encode()
    head = len(name).to_bytes(2, "big") + name + packet.to_bytes(2, "big")
    for flags in (0x32, 0x33, 0x3A, 0x3B):  # kept, or given again
        assert plain_message(flags, bytearray(head + b"\0" + payload)) == (topic, payload, packet)
    for other in (0x30, 0x31, 0x34, 0x36, 0x40, 0x62, 0x82, 0xE0):
        assert plain_message(other, head + b"\0" + payload) is None
    assert plain_message(0x32, head + b"\2\1\1" + payload) is None  # a property
    assert plain_message(0x32, head[: data.draw(st.integers(0, len(head)))]) is None
    assert plain_message(0x32, b"\0\0" + packet.to_bytes(2, "big") + b"\0" + payload) is None  # an alias' topic
    assert plain_message(0x32, b"\0\1\xff" + packet.to_bytes(2, "big") + b"\0" + payload) is None


@pytest.fixture
def pair(app: App) -> Iterator[tuple[GatheringSocket, ssl.SSLSocket]]:
    """A gathering socket that does not block, and its peer."""
    app.home.renew_certificates(int(time.time()))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(app.home.key_path("server.pem"), app.home.key_path("server.key"))
    trusting = ssl.create_default_context(cafile=str(app.home.key_path("ca.pem")))
    trusting.sslsocket_class = GatheringSocket
    near, far = socket.socketpair()
    for end in (near, far):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8_192)
    peers: queue.SimpleQueue[ssl.SSLSocket] = queue.SimpleQueue()
    threading.Thread(target=lambda: peers.put(serving.wrap_socket(far, server_side=True))).start()
    link = trusting.wrap_socket(near, server_hostname="localhost")
    peer = peers.get(timeout=60)
    assert isinstance(link, GatheringSocket)
    link.setblocking(False)
    yield link, peer
    link.close()
    peer.close()


def read(peer: ssl.SSLSocket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        found += peer.recv(size - len(found))
    return found


@on_sqlite
def test_what_is_written_waits_until_it_goes_together(pair: tuple[GatheringSocket, ssl.SSLSocket]) -> None:
    link, peer = pair
    for n in range(100):
        assert link.send(b"%02d" % n) == 2
    assert link.unsent
    link.flush()
    assert not link.unsent
    assert peer.recv(1_000) == b"".join(b"%02d" % n for n in range(100))  # one record
    link.send(b"farewell")
    link.close()
    assert peer.recv(1_000) == b"farewell"


@on_sqlite
def test_a_peer_that_reads_late_gets_everything_in_order(pair: tuple[GatheringSocket, ssl.SSLSocket]) -> None:
    link, peer = pair
    whole = bytes(range(256)) * 2_000
    sent = 0
    while sent < MOST_BEHIND:
        sent += link.send(whole[sent : sent + 1_000])
    with pytest.raises(ssl.SSLWantWriteError):
        link.flush()
    got: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=lambda: got.put(read(peer, len(whole)))).start()
    end = time.monotonic() + 60
    while link.unsent or sent < len(whole):
        assert time.monotonic() < end
        with contextlib.suppress(ssl.SSLWantWriteError):
            sent += link.send(whole[sent : sent + 1_000])
            link.flush()
    assert got.get(timeout=60) == whole


@on_sqlite
def test_what_has_come_is_read_ahead(pair: tuple[GatheringSocket, ssl.SSLSocket]) -> None:
    link, peer = pair
    with pytest.raises(ssl.SSLWantReadError):
        link.recv(1)
    assert link.pending() == 0
    peer.sendall(b"first")
    peer.sendall(b"second")
    assert link.pending() == 5
    assert [link.recv(1), link.recv(100), link.pending()] == [b"f", b"irst", 6]
    assert link.recv(100) == b"second"

    def says_goodbye() -> None:
        with contextlib.suppress(OSError):
            peer.unwrap()  # and waits for the answer, with the connection open

    ending = threading.Thread(target=says_goodbye)
    ending.start()
    end = time.monotonic() + 60
    while not link.pending():
        assert time.monotonic() < end
    assert [link.recv(1), link.pending(), link.recv(1)] == [b"", 1, b""]
    link.close()
    ending.join()


@on_sqlite
def test_a_fault_that_was_seen_ahead_is_told(pair: tuple[GatheringSocket, ssl.SSLSocket]) -> None:
    link, peer = pair
    with socket.socket(fileno=os.dup(peer.fileno())) as plain:
        plain.sendall(b"this is no record of TLS")
    end = time.monotonic() + 60
    while not link.pending():
        assert time.monotonic() < end
    for _ in range(2):
        with pytest.raises(ssl.SSLError):
            link.recv(1)


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
