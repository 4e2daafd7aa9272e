"""A client of an MQTT 5 broker for one who takes and answers thousands of messages a second.

paho spends 0.1 ms on a message that comes and is answered, which is more than taking its frames costs. What the
collector needs is little: QoS 0 and 1, a session that the broker keeps, acknowledgements that are sent when the work is
done, and all packets that wait read, and written, at once. Section numbers are those of the OASIS standard, MQTT 5.0.

One thread reads and writes; callbacks are called from it. Any thread may publish and acknowledge.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from authority.errors import AuthorityError

CONNECT, CONNACK, PUBLISH, PUBACK = 0x10, 0x20, 0x30, 0x40
SUBSCRIBE, SUBACK, UNSUBSCRIBE, UNSUBACK, PINGREQ, PINGRESP, DISCONNECT = 0x82, 0x90, 0xA2, 0xB0, 0xC0, 0xD0, 0xE0
SESSION_EXPIRY, RECEIVE_MAXIMUM, SERVER_KEEP_ALIVE = 0x11, 0x21, 0x13
FAILURE = 0x80
"""Reason codes from here on say that something failed (2.4)."""
ACCEPT_SECONDS = 10.0
"""How long a broker may take to let a connection in."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
MAX_OUTGOING = 10_000
"""Messages that wait for the broker; what is published beyond them is dropped, and its gateway asks again."""
_READ = 256 * 1024
_DUPLICATE, _QOS_1 = 0x08, 0x02
_WIDTHS = {
    0x01: 1, 0x02: 4, SESSION_EXPIRY: 4, SERVER_KEEP_ALIVE: 2, 0x17: 1, 0x18: 4, 0x19: 1, RECEIVE_MAXIMUM: 2, 0x22: 2,
    0x23: 2, 0x24: 1, 0x25: 1, 0x27: 4, 0x28: 1, 0x29: 1, 0x2A: 1,
}  # fmt: skip
"""Bytes of the properties that are numbers; those of the others are a text each, or data, and of 0x26 two (2.2.2.2)."""
_TEXTS = {0x03: 1, 0x08: 1, 0x09: 1, 0x12: 1, 0x15: 1, 0x16: 1, 0x1A: 1, 0x1C: 1, 0x1F: 1, 0x26: 2}


class MqttMalformedError(AuthorityError):
    """A broker sends what is not MQTT 5."""

    code = "mqtt_malformed"


class MqttRefusedError(AuthorityError):
    """A broker refuses a connection, or ends it with a reason."""

    code = "mqtt_refused"


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


def text(value: str) -> bytes:
    """A text with its length (1.5.4)."""
    data = value.encode()
    return struct.pack("!H", len(data)) + data


def packet(kind: int, body: bytes) -> bytes:
    """A control packet: its kind and flags, its length as a variable byte integer (1.5.5), its body."""
    length, left = b"", len(body)
    while True:
        left, low = divmod(left, 128)
        length += bytes([low | (0x80 if left else 0)])
        if not left:
            return bytes([kind]) + length + body


def number(data: bytes | bytearray, at: int) -> tuple[int, int] | None:
    """A variable byte integer and what comes behind it; None where it does not end yet. MqttMalformedError."""
    value = 0
    for place in range(4):
        if at + place >= len(data):
            return None
        byte = data[at + place]
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    raise MqttMalformedError("a length has more than four bytes")


def packets(buffer: bytearray) -> Iterator[tuple[int, bytes]]:
    """Kind (with flags) and body of each packet that is whole; takes them from the buffer. MqttMalformedError."""
    at = 0
    try:
        while at < len(buffer):
            length = number(buffer, at + 1)
            if length is None or length[1] + length[0] > len(buffer):
                return
            size, start = length
            kind, body = buffer[at], bytes(buffer[start : start + size])
            at = start + size
            yield kind, body
    finally:
        del buffer[:at]


def properties(data: bytes, at: int) -> tuple[dict[int, int], int]:
    """The numbers among a packet's properties, and what comes behind them (2.2.2). MqttMalformedError."""
    length = number(data, at)
    if length is None or length[1] + length[0] > len(data):
        raise MqttMalformedError("a packet ends within its properties")
    size, at = length
    end, found = at + size, {}
    while at < end:
        kind, at = data[at], at + 1
        if kind in _WIDTHS:
            found[kind] = int.from_bytes(data[at : at + _WIDTHS[kind]], "big")
            at += _WIDTHS[kind]
        elif kind == 0x0B:
            passed = number(data, at)
            at = end + 1 if passed is None else passed[1]
        elif kind in _TEXTS:
            for _ in range(_TEXTS[kind]):
                at += 2 + int.from_bytes(data[at : at + 2], "big")
        else:
            raise MqttMalformedError(f"there is no property {kind:#04x}")
    if at != end:
        raise MqttMalformedError("a property goes beyond the properties' end")
    return found, end


class Client:
    """Keeps one session at a broker, connecting again whenever the connection ends, until `stop`.

    Callbacks: on_connected(); on_failed(error) where a connection could not be made or has ended; on_subscribed(reason
    codes); on_message(message).
    """

    def __init__(self, session: Session) -> None:
        self.session = session
        self.on_connected: Callable[[], None] = lambda: None
        self.on_failed: Callable[[Exception], None] = lambda _: None
        self.on_subscribed: Callable[[Sequence[int]], None] = lambda _: None
        self.on_message: Callable[[Message], None] = lambda _: None
        self._lock = threading.Lock()
        self._connection = 0
        self._connected = False
        self._out: list[bytes] = []
        """Packets to be written; guarded by the lock, as all that follows."""
        self._waiting: deque[tuple[str, bytes]] = deque()
        self._unconfirmed: dict[int, tuple[str, bytes]] = {}
        self._room = 0
        """How many messages the broker takes more before it confirms one (3.2.2.3.3)."""
        self._last_packet = 0
        self._stop = threading.Event()
        self._wakes, self._woken = socket.socketpair()
        self._wakes.setblocking(False)
        self._woken.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    def start(self) -> None:
        """Connect in the background."""
        self._thread.start()

    def stop(self) -> None:
        """Send what waits, as far as it goes in a moment, and disconnect; the session stays for its time."""
        self._stop.set()
        self._wake()
        if self._thread.ident is not None:
            self._thread.join()
        self._wakes.close()
        self._woken.close()

    def publish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish messages (topic and payload each) at QoS 1, in order."""
        with self._lock:
            room = MAX_OUTGOING - len(self._waiting) - len(self._unconfirmed)
            self._waiting.extend(messages[: max(0, room)])
            self._fill()
        self._wake()

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell the broker that these are done; those of an earlier connection it gives again."""
        with self._lock:
            if self._connected:
                self._out += [
                    packet(PUBACK, struct.pack("!H", message.packet))
                    for message in messages
                    if message.qos and message.connection == self._connection
                ]
        self._wake()

    def subscribe(self, topics: Sequence[tuple[str, int]]) -> None:
        """Subscribe to topics, each with the highest QoS that is wanted."""
        filters = b"".join(text(topic) + bytes([qos]) for topic, qos in topics)
        self._ask(SUBSCRIBE, filters)

    def unsubscribe(self, topics: Sequence[str]) -> None:
        """End subscriptions, which there may be or not."""
        self._ask(UNSUBSCRIBE, b"".join(map(text, topics)))

    def _ask(self, kind: int, filters: bytes) -> None:
        with self._lock:
            self._out.append(packet(kind, struct.pack("!H", self._next_packet()) + b"\0" + filters))
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # full: it is awake
            self._wakes.send(b"\0")

    def _next_packet(self) -> int:
        while True:
            self._last_packet = self._last_packet % 0xFFFF + 1
            if self._last_packet not in self._unconfirmed:
                return self._last_packet

    def _fill(self) -> None:
        """Hand over what waits, as far as the broker takes it. With the lock held."""
        while self._connected and self._waiting and self._room:
            number_, self._room = self._next_packet(), self._room - 1
            self._unconfirmed[number_] = message = self._waiting.popleft()
            self._out.append(_publish(number_, *message))

    # The thread

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            try:
                connection = self._connect()
            except (OSError, AuthorityError) as error:
                self.on_failed(error)
                self._stop.wait(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            try:
                self._serve(*connection)
            except (OSError, AuthorityError) as error:
                with self._lock:
                    self._connected = False
                    self._out.clear()
                if not self._stop.is_set():
                    self.on_failed(error)
                    self._stop.wait(pause)
            finally:
                connection[0].close()

    def _connect(self) -> tuple[socket.socket, bytearray, int]:
        """A connection that the broker has taken, what it sent behind that, and the seconds to keep it alive."""
        session = self.session
        plain = socket.create_connection((session.host, session.port), ACCEPT_SECONDS)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = session.tls.wrap_socket(plain, server_hostname=session.host)
        except BaseException:
            plain.close()
            raise
        try:
            asked = struct.pack("!BIBH", SESSION_EXPIRY, session.expires, RECEIVE_MAXIMUM, session.receive_maximum)
            flags = 0x02 if session.clean else 0
            head = text("MQTT") + struct.pack("!BBHB", 5, flags, session.keep_alive, len(asked)) + asked
            connection.sendall(packet(CONNECT, head + text(session.name)))
            buffer = bytearray()
            while (first := next(packets(buffer), None)) is None:
                some = connection.recv(_READ)
                if not some:
                    raise MqttRefusedError("the broker ended the connection, or did not take it; its log says why")
                buffer += some
            kind, body = first
            if kind != CONNACK or len(body) < 3:
                raise MqttMalformedError("a broker answers a connection with CONNACK")
            if body[1] >= FAILURE:
                raise MqttRefusedError(f"the broker refuses the connection (reason code {body[1]:#04x})")
            told, _ = properties(body, 2)
        except BaseException:
            connection.close()
            raise
        with self._lock:
            self._connection += 1
            self._connected = True
            self._room = max(0, told.get(RECEIVE_MAXIMUM, 0xFFFF) - len(self._unconfirmed))
            repeated = _DUPLICATE if body[0] & 1 else 0
            self._out = [_publish(at, *message, repeated) for at, message in self._unconfirmed.items()]
            self._fill()
        self.on_connected()
        return connection, buffer, told.get(SERVER_KEEP_ALIVE, session.keep_alive)

    def _serve(self, connection: socket.socket, buffer: bytearray, keep_alive: int) -> None:
        """Read and write until the connection ends, which raises, or all is to stop."""
        connection.setblocking(False)
        heard = spoke = time.monotonic()
        left = memoryview(b"")
        with selectors.DefaultSelector() as selector:
            selector.register(self._woken, selectors.EVENT_READ)
            selector.register(connection, selectors.EVENT_READ)
            while True:
                self._take(buffer)
                left, wants = self._write(connection, left), selectors.EVENT_READ
                if left:
                    wants |= selectors.EVENT_WRITE
                elif self._stop.is_set():
                    connection.setblocking(True)
                    connection.settimeout(1.0)
                    connection.sendall(packet(DISCONNECT, b""))
                    return
                now = time.monotonic()
                if now - heard > 1.5 * keep_alive:
                    raise MqttRefusedError("the broker does not answer any more")
                if now - spoke > keep_alive / 2:
                    with self._lock:
                        self._out.append(packet(PINGREQ, b""))
                    spoke = now
                    continue
                selector.modify(connection, wants)
                for key, _ in selector.select(keep_alive / 4):
                    if key.fileobj is self._woken:
                        with contextlib.suppress(BlockingIOError):
                            self._woken.recv(4_096)
                if self._read(connection, buffer):
                    heard = now

    def _write(self, connection: socket.socket, left: memoryview) -> memoryview:
        """Write what waits; what the connection does not take now."""
        if not left:
            with self._lock:
                left, self._out = memoryview(b"".join(self._out)), []
        try:
            while left:
                left = left[connection.send(left) :]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        return left

    @staticmethod
    def _read(connection: socket.socket, buffer: bytearray) -> bool:
        """Read what is there; whether anything was."""
        before = len(buffer)
        try:
            while True:
                some = connection.recv(_READ)
                if not some:
                    raise MqttRefusedError("the broker ended the connection; its log says why")
                buffer += some
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return len(buffer) > before

    def _take(self, buffer: bytearray) -> None:
        confirmed = []
        for kind, body in packets(buffer):
            if kind & 0xF0 == PUBLISH:
                self.on_message(self._message(kind, body))
            elif kind == PUBACK:
                confirmed.append(_packet_number(body))
            elif kind == SUBACK:
                self.on_subscribed(body[properties(body, 2)[1] :])
            elif kind == DISCONNECT:
                reason = body[0] if body else 0
                raise MqttRefusedError(f"the broker ends the connection (reason code {reason:#04x}); its log says why")
            elif kind not in (UNSUBACK, PINGRESP):
                raise MqttMalformedError(f"a broker does not send a packet of kind {kind:#04x}")
        if confirmed:
            with self._lock:
                for packet_number in confirmed:
                    if self._unconfirmed.pop(packet_number, None) is not None:
                        self._room += 1
                self._fill()

    def _message(self, kind: int, body: bytes) -> Message:
        qos, at = kind >> 1 & 3, 2 + int.from_bytes(body[:2], "big")
        if qos > 1:
            raise MqttMalformedError(f"a message has QoS {qos}, which was not asked for")
        packet_number = _packet_number(body[at:]) if qos else 0
        end = properties(body, at + 2 if qos else at)[1]
        try:
            topic = body[2:at].decode()
        except UnicodeDecodeError as error:
            raise MqttMalformedError("a message's topic is not text") from error
        return Message(topic, body[end:], qos, packet_number, self._connection)


def _packet_number(body: bytes) -> int:
    if len(body) < 2:
        raise MqttMalformedError("a packet ends within its packet identifier")
    return int.from_bytes(body[:2], "big")


def _publish(packet_number: int, topic: str, payload: bytes, flags: int = 0) -> bytes:
    return packet(PUBLISH | _QOS_1 | flags, text(topic) + struct.pack("!HB", packet_number, 0) + payload)
