"""The collector's session at an MQTT 5 broker, kept by paho-mqtt.

What paho leaves open is settled here: a message is acknowledged when its work is done, and only over the connection on
which it came; and the session is taken up again whatever a broker sends.
"""

from __future__ import annotations

import ssl
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from authority.collector import broker

FIRST_PAUSE, LONGEST_PAUSE = 1, 30
"""Seconds between two attempts to connect; they double."""
ACCEPT_SECONDS = 10.0
"""How long a broker may take to let a connection in."""
MAX_OUTGOING = 10_000
"""Messages that wait for the broker; what is published beyond them is dropped, and its gateway asks again."""


@dataclass(frozen=True, slots=True)
class Message:
    """What came; connection is the number of the one over which it came, the only one where it can be acknowledged."""

    topic: str
    payload: bytes
    qos: int
    packet: int
    connection: int


@dataclass(frozen=True)
class Session:
    """Where, as whom, and how long the broker keeps the session after a connection's end (seconds)."""

    host: str
    port: int
    tls: ssl.SSLContext
    name: str
    expires: int
    receive_maximum: int = 1_024
    clean: bool = False
    keep_alive: int = 30


class _Paho(mqtt.Client):
    """paho, whose thread would end with a packet that it cannot take apart; here it is told, and goes on."""

    recover: Callable[[Exception], bool]
    """Called with what ended the loop; whether it shall go on."""

    def loop_forever(self, timeout: float = 1.0, retry_first_connection: bool = False) -> MQTTErrorCode:
        """What paho's thread runs."""
        while True:
            try:
                return super().loop_forever(timeout, retry_first_connection)
            except Exception as error:  # noqa: BLE001 - it may be anything
                if not self.recover(error):
                    return MQTTErrorCode.MQTT_ERR_UNKNOWN


class Client:
    """Keeps one session at a broker, connecting again whenever the connection ends, until `stop`.

    Callbacks, from paho's thread: on_connected(); on_failed(why) where a connection could not be made or has ended;
    on_subscribed(reason codes); on_message(message). Any thread may publish and acknowledge.
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.on_connected: Callable[[], None] = lambda: None
        self.on_failed: Callable[[str], None] = lambda _: None
        self.on_subscribed: Callable[[Sequence[ReasonCode]], None] = lambda _: None
        self.on_message: Callable[[Message], None] = lambda _: None
        self._lock = threading.RLock()
        self._connection = 0
        """Changes when a connection begins and when it ends; guarded by the lock."""
        self._told = False
        self._stopping = threading.Event()
        client = _Paho(
            CallbackAPIVersion.VERSION2, client_id=session.name, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
        )
        client.tls_set_context(session.tls)
        client.connect_timeout = ACCEPT_SECONDS
        client.max_queued_messages_set(MAX_OUTGOING)
        client.reconnect_delay_set(min_delay=FIRST_PAUSE, max_delay=LONGEST_PAUSE)
        client.recover = self._recover
        client.on_pre_connect = self._on_pre_connect
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = lambda _c, _u, _mid, reasons, _p: self.on_subscribed(reasons)
        client.on_message = self._on_message
        self._client = client

    def start(self) -> None:
        """Connect in the background."""
        self._connect()
        self._client.loop_start()

    def stop(self) -> None:
        """Disconnect; what was acknowledged is sent before, and the session stays for its time."""
        self._stopping.set()
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish messages (topic and payload each) at QoS 1, in order."""
        for topic, payload in messages:
            self._client.publish(topic, payload, qos=1)

    def retain(self, topic: str, payload: bytes, expires: int) -> None:
        """Publish a message at QoS 1 that the broker keeps for so many seconds; an empty one takes back what it has."""
        properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
        properties.MessageExpiryInterval = expires
        self._client.publish(topic, payload, qos=1, retain=True, properties=properties)

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell the broker that these are done; those of an earlier connection it gives again."""
        with self._lock:
            for message in messages:
                if message.connection == self._connection:
                    self._client.ack(message.packet, message.qos)

    def subscribe(self, topics: Sequence[tuple[str, int]]) -> None:
        """Subscribe to topics, each with the highest QoS that is wanted."""
        self._client.subscribe([(topic, SubscribeOptions(qos=qos)) for topic, qos in topics])

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """End subscriptions, which there may be or not."""
        self._client.unsubscribe(list(topics))

    # paho's thread, but for the first call of _connect

    def _connect(self) -> None:
        session = self.session
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = session.expires
        properties.ReceiveMaximum = session.receive_maximum
        self._client.connect_async(
            session.host, session.port, session.keep_alive, clean_start=session.clean, properties=properties
        )

    def _recover(self, error: Exception) -> bool:
        what = f"{type(error).__name__}: {error}"
        self._ended(f"what {self._where} sends cannot be taken ({what}): is it an MQTT 5 broker?")
        if not self._stopping.wait(FIRST_PAUSE):
            self._connect()
        return not self._stopping.is_set()

    @property
    def _where(self) -> str:
        return f"the broker at {self.session.host}:{self.session.port}"

    def _ended(self, why: str) -> None:
        """There is no connection any more, or none came to be; told once for each attempt."""
        with self._lock:
            self._connection += 1
        if not (self._told or self._stopping.is_set()):
            self._told = True
            self.on_failed(why)

    def _on_pre_connect(self, _c: mqtt.Client, _u: Any) -> None:
        self._told = False

    def _on_connect(self, _c: mqtt.Client, _u: Any, _f: Any, reason: ReasonCode, _p: Any) -> None:
        if reason.is_failure:
            self._ended(f"{self._where} refuses the connection ({reason}); its log says why")
            return
        with self._lock:
            self._connection += 1
        self.on_connected()

    def _on_connect_fail(self, _c: mqtt.Client, _u: Any) -> None:
        self._ended(broker.why_not(sys.exc_info()[1], self.session.host, self.session.port))

    def _on_disconnect(self, _c: mqtt.Client, _u: Any, _f: Any, reason: ReasonCode, _p: Any) -> None:
        self._ended(f"{self._where} ended the connection, or did not take it ({reason}); its log says why")

    def _on_message(self, _c: mqtt.Client, _u: Any, message: mqtt.MQTTMessage) -> None:
        self.on_message(Message(message.topic, bytes(message.payload), message.qos, message.mid, self._connection))
