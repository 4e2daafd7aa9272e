"""The collector's session at an MQTT 5 broker, kept by paho-mqtt.

What paho leaves open is settled here: a message is acknowledged when its work is done, and only over the connection on
which it came; and the session is taken up again whatever a broker sends. paho reads a packet in four pieces and writes
each packet by itself, so its socket reads ahead and gathers; it also looks at all messages under way whenever one of
them is done, and does not know how many the broker takes, so what waits to go under way waits here.
"""

from __future__ import annotations

import contextlib
import ssl
import sys
import threading
from collections import deque
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
FAREWELL_SECONDS = 1.0
"""How long a broker may take to take what is left for it."""
ACCEPT_SECONDS = 10.0
"""How long a broker may take to let a connection in."""
READ_AHEAD, MOST_BEHIND = 64 * 1024, 64 * 1024
"""Bytes that are read before they are asked for, and that wait to be written together."""
MOST_UNDER_WAY = 1_024
"""Messages that the broker has not acknowledged yet; fewer where it takes fewer."""
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


class GatheringSocket(ssl.SSLSocket):
    """A TLS socket that reads ahead and gathers what is written until `flush`; for one thread, and not blocking.

    Made by a context whose `sslsocket_class` it is.
    """

    _ahead = memoryview(b"")
    _behind: bytearray | None = None
    _over = False
    _fault: OSError | None = None

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """As a socket's; empty at the end, SSLWantReadError where nothing has come."""
        if not self._ahead:
            if self._fault is not None:
                raise self._fault
            if self._over:
                return b""
            self._ahead = memoryview(super().recv(READ_AHEAD, flags))
        taken, self._ahead = self._ahead[:buflen], self._ahead[buflen:]
        return bytes(taken)

    def pending(self) -> int:
        """Bytes that can be read without waiting: what has come is looked at, also in the kernel.

        One where it is the end that has come, which `recv` then says, or what is wrong.
        """
        if not self._ahead and not self._over and self._fault is None:
            try:
                data = super().recv(READ_AHEAD)
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return 0
            except OSError as error:
                self._fault = error
            else:
                self._ahead, self._over = memoryview(data), not data
        return len(self._ahead) or 1

    def send(self, data: Any, flags: int = 0) -> int:
        """Keep it for `flush`; SSLWantWriteError where so much waits already."""
        if self._behind and len(self._behind) >= MOST_BEHIND:
            self.flush()
        self._behind = self._behind or bytearray()
        self._behind += data
        return len(data)

    @property
    def unsent(self) -> bool:
        """Whether anything waits to be written."""
        return bool(self._behind)

    def flush(self) -> None:
        """Write what was gathered; SSLWantWriteError where the peer does not take all of it now."""
        while self._behind:
            del self._behind[: super().send(self._behind)]

    def close(self) -> None:
        """Write what the peer still takes, such as the word of farewell, and close."""
        with contextlib.suppress(OSError, ValueError):
            self.settimeout(FAREWELL_SECONDS)
            self.flush()
        super().close()


def plain_message(command: int, body: bytes | bytearray) -> tuple[str, bytes, int] | None:
    """Topic, payload and packet identifier of a PUBLISH at QoS 1 without properties (MQTT 5, 3.3); None of others.

    None also of what is cut short, and of a topic that is empty or no text: paho says what is wrong with it.
    """
    if command & 0xF6 != 0x32 or len(body) < 2:
        return None
    end = 2 + int.from_bytes(body[:2], "big")
    if end == 2 or len(body) < end + 3 or body[end + 2]:
        return None
    try:
        topic = body[2:end].decode()
    except UnicodeDecodeError:
        return None
    return topic, bytes(body[end + 3 :]), int.from_bytes(body[end : end + 2], "big")


class _Paho(mqtt.Client):
    """paho, whose thread would end with a packet that it cannot take apart; here it is told, and goes on."""

    recover: Callable[[Exception], bool]
    """Called with what ended the loop; whether it shall go on."""
    on_plain: Callable[[str, bytes, int], None]
    """Called with topic, payload and packet identifier of a plain message."""
    on_done: Callable[[], None]
    """Called when the broker has taken a message."""
    on_read: Callable[[], None]
    """Called when packets were taken in, with none of paho's locks held."""

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Take in all packets that have come, not one for each look at the socket."""
        while True:
            result = super().loop_read(max_packets)
            link = self.socket()
            if result or not isinstance(link, GatheringSocket) or not link.pending():
                self.on_read()
                return result

    def _packet_handle(self) -> MQTTErrorCode:
        """Take a plain message in, and a plain acknowledgement, without the objects that paho makes of each.

        All else is paho's. Nobody waits for what was published, so nothing but `on_done` tells of it.
        """
        command, body = self._in_packet["command"], self._in_packet["packet"]
        if command == 0x40 and len(body) == 2:
            with self._out_message_mutex:
                known = self._out_messages.pop(int.from_bytes(body, "big"), None)
                if known is None:
                    return MQTTErrorCode.MQTT_ERR_SUCCESS
                self._inflight_messages -= 1
            self.on_done()
            return MQTTErrorCode.MQTT_ERR_SUCCESS
        taken = plain_message(command, body)
        if taken is None:
            return super()._packet_handle()
        self.on_plain(*taken)
        return MQTTErrorCode.MQTT_ERR_SUCCESS

    def loop_write(self) -> MQTTErrorCode:
        """Write all packets that wait, together."""
        result = super().loop_write()
        link = self.socket()
        if not result and isinstance(link, GatheringSocket):
            try:
                link.flush()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                pass  # `want_write` says so
            except OSError:
                return super().loop_read()  # which finds the connection's end, and sees to it
        return result

    def want_write(self) -> bool:
        """Whether anything waits to be written."""
        link = self.socket()
        return super().want_write() or (isinstance(link, GatheringSocket) and link.unsent)

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
        self._outgoing = threading.Lock()
        """Held by who hands messages to paho, in their order."""
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._begun = self._done = self._window = 0
        """Messages handed to paho (under the lock), those done of them (paho's thread), and how many may be between."""
        client = _Paho(
            CallbackAPIVersion.VERSION2, client_id=session.name, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
        )
        session.tls.sslsocket_class = GatheringSocket
        client.tls_set_context(session.tls)
        client.connect_timeout = ACCEPT_SECONDS
        client.max_inflight_messages_set(0)  # the bound is kept here
        client.reconnect_delay_set(min_delay=FIRST_PAUSE, max_delay=LONGEST_PAUSE)
        client.recover = self._recover
        client.on_plain = self._on_plain
        client.on_read = self._send_waiting
        client.on_done = self._on_done
        client.on_publish = lambda _c, _u, _mid, _r, _p: self._on_done()
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
        with self._outgoing:
            self._waiting.extend(messages[: MAX_OUTGOING - len(self._waiting)])
        self._send_waiting()

    def _send_waiting(self) -> None:
        """Hand to paho what the broker takes now."""
        with self._outgoing:
            while self._waiting and self._begun - self._done < self._window:
                topic, payload = self._waiting.popleft()
                self._begun += 1
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
        self._window = 0
        if not (self._told or self._stopping.is_set()):
            self._told = True
            self.on_failed(why)

    def _on_pre_connect(self, _c: mqtt.Client, _u: Any) -> None:
        self._told = False

    def _on_connect(self, _c: mqtt.Client, _u: Any, _f: Any, reason: ReasonCode, properties: Any) -> None:
        if reason.is_failure:
            self._ended(f"{self._where} refuses the connection ({reason}); its log says why")
            return
        with self._lock:
            self._connection += 1
        self._window = min(getattr(properties, "ReceiveMaximum", MOST_UNDER_WAY), MOST_UNDER_WAY)
        self.on_connected()

    def _on_connect_fail(self, _c: mqtt.Client, _u: Any) -> None:
        self._ended(broker.why_not(sys.exc_info()[1], self.session.host, self.session.port))

    def _on_disconnect(self, _c: mqtt.Client, _u: Any, _f: Any, reason: ReasonCode, _p: Any) -> None:
        self._ended(f"{self._where} ended the connection, or did not take it ({reason}); its log says why")

    def _on_done(self) -> None:
        self._done += 1

    def _on_message(self, _c: mqtt.Client, _u: Any, message: mqtt.MQTTMessage) -> None:
        self.on_message(Message(message.topic, bytes(message.payload), message.qos, message.mid, self._connection))

    def _on_plain(self, topic: str, payload: bytes, packet: int) -> None:
        self.on_message(Message(topic, payload, 1, packet, self._connection))
