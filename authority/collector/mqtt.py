"""The collector at the MQTT broker (docs/PROTOCOL.md, "MQTT 5"): the same frames and receipts as over HTTPS.

The broker's access list ties a gateway's topics to its certificate, so the topic says who speaks. A message is
acknowledged to the broker only when its frames are decided and durable and the receipts are handed over; until then the
broker keeps it, and gives it again to a collector that comes back within the session's seven days. Messages that wait
are taken together, so that they share a commit, and a gateway's receipts go back to it in one message.
"""

from __future__ import annotations

import json
import logging
import queue
import ssl
import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from authority.app import App
from authority.collector import broker
from authority.collector.documents import read_json
from authority.collector.faults import Faults
from authority.collector.frames import Gap, Ingested, Sent
from authority.collector.ingest import LINGER_SECONDS, MAX_GROUP, Collector
from authority.collector.live import Live
from authority.home.home import COLLECTOR_CLIENT_NAME, Home
from authority.refusals import MalformedError, RefusalError
from edge_agent.wire import topics
from edge_agent.wire.log import StructuredLog
from edge_agent.wire.reading import FRAME_SIZE, MAX_FRAMES

LOG = StructuredLog(__name__)

IN_FLIGHT = 1_024
"""Messages that the broker may give before the first is acknowledged; bounds what the collector holds."""
MAX_MESSAGE = MAX_FRAMES * FRAME_SIZE
MAX_ANSWER = 64 * 1024
"""Bytes of receipts in one message: the broker takes no larger packets than 128 kB."""
RETRY_SECONDS = 1.0
SUBSCRIPTIONS = tuple((topics.topic(kind, topics.ANY), topics.QOS[kind]) for kind in topics.FROM_GATEWAYS)
FRAMES = (topics.READING, topics.READINGS)
"""Kinds of messages that are frames."""


@dataclass(frozen=True)
class _Message:
    gateway: str
    meter: str | None
    kind: str
    payload: bytes
    mid: int
    qos: int
    session: int
    """Which connection it came on: its acknowledgement means nothing on another."""


def tls_context(home: Home) -> ssl.SSLContext:
    """TLS to the broker: it must be certified by the department's CA, and sees the collector's own certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(home.key_path("ca.pem"))
    context.load_cert_chain(home.key_path("collector.pem"), home.key_path("collector.key"))
    return context


class BrokerConnection:
    """A client of the broker that reconnects forever; messages are worked off by a thread of its own."""

    def __init__(self, app: App, collector: Collector, live: Live, *, client_id: str = COLLECTOR_CLIENT_NAME) -> None:
        self._app = app
        self._collector = collector
        self._live = live
        self._messages: queue.SimpleQueue[_Message | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._session = 0
        self._faults = Faults(LOG)
        self.subscribed = threading.Event()
        """Set while the broker has confirmed the subscriptions."""
        self._worker = threading.Thread(target=self._work, name="mqtt-ingest", daemon=True)
        client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
        )
        client.tls_set_context(tls_context(app.home))
        client.max_queued_messages_set(10_000)
        client.reconnect_delay_set(min_delay=1, max_delay=30)
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_subscribe = self._on_subscribe
        client.on_message = self._on_message
        self._client = client

    def start(self) -> None:
        """Connect in the background; a broker that is down is tried again until it is up."""
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = topics.SESSION_SECONDS
        properties.ReceiveMaximum = IN_FLIGHT
        settings = self._app.home.settings.mqtt
        self._client.connect_async(settings.host, settings.port, keepalive=30, clean_start=False, properties=properties)
        self._worker.start()
        self._client.loop_start()

    def stop(self) -> None:
        """Finish the message at hand and disconnect; the broker keeps the rest for the next start."""
        self._stopping.set()
        self._messages.put(None)
        if self._worker.ident is not None:
            self._worker.join()
        self._client.disconnect()
        self._client.loop_stop()

    # paho's network thread

    def _on_connect(self, _c: mqtt.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        if reason.is_failure:
            LOG.error("the broker refuses the collector", reason=str(reason))
            return
        self._session += 1
        self._faults.over("broker", "the broker can be reached again")
        LOG.info("connected to the broker")
        self._client.subscribe([(topic, SubscribeOptions(qos=qos)) for topic, qos in SUBSCRIPTIONS])

    def _on_connect_fail(self, _c: mqtt.Client, _u: Any) -> None:
        settings = self._app.home.settings.mqtt
        why = broker.why_not(sys.exc_info()[1], settings.host, settings.port)
        self._faults.met("broker", why, "no connection to the broker; trying again", logging.WARNING)

    def _on_disconnect(self, _c: mqtt.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.subscribed.clear()
        if not self._stopping.is_set():
            why = f"the broker ended the connection, or did not take it ({reason}); its log says why"
            self._faults.met("broker", why, "no connection to the broker; trying again", logging.WARNING)

    def _on_subscribe(self, _c: mqtt.Client, _u: Any, _mid: int, reasons: Any, _p: Any) -> None:
        refused = [topic for (topic, _), reason in zip(SUBSCRIPTIONS, reasons, strict=True) if reason.is_failure]
        if refused:
            LOG.error("the broker does not let the collector read; correct its access list", topics=refused)
            return
        self.subscribed.set()

    def _on_message(self, _c: mqtt.Client, _u: Any, message: mqtt.MQTTMessage) -> None:
        named = topics.parse(message.topic)
        if named is None:  # the subscriptions bring no others
            self._client.ack(message.mid, message.qos)
            return
        kind, gateway, meter = named
        self._messages.put(
            _Message(gateway, meter, kind, bytes(message.payload), message.mid, message.qos, self._session)
        )

    # the ingesting thread

    def _work(self) -> None:
        while (messages := self._next()) is not None:
            try:
                self._take(messages)
            except Exception:
                LOG.exception("messages of gateways could not be taken")
            if self._stopping.is_set():
                return
            for message in messages:
                if message.qos and message.session == self._session:
                    self._client.ack(message.mid, message.qos)

    def _next(self) -> list[_Message] | None:
        """All messages that wait, or come within a moment, as many as one commit takes; None at the end."""
        message = self._messages.get()
        if message is None:
            return None
        messages, size = [message], len(message.payload)
        end = time.monotonic() + LINGER_SECONDS
        while size < MAX_GROUP * FRAME_SIZE:
            try:
                message = self._messages.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                break
            if message is None:
                self._messages.put(None)
                break
            messages.append(message)
            size += len(message.payload)
        return messages

    def _take(self, messages: list[_Message]) -> None:
        """Take live power and status, then all frames, in the order of their coming."""
        for message in messages:
            if message.kind not in FRAMES:
                self._take_news(message)
        left = [message for message in messages if message.kind in FRAMES]
        while left:
            outcomes = self._collector.ingest_all(
                [Sent(message.payload, message.gateway, message.meter, "mqtt") for message in left]
            )
            taken = list(zip(left, outcomes, strict=True))
            self._answer([(message.gateway, done) for message, done in taken if isinstance(done, Ingested)])
            for message, done in taken:
                if isinstance(done, Ingested):
                    event = "a gateway's frames are taken again"
                    self._faults.over(message.gateway, event, gateway=message.gateway)
                elif done.code not in ("busy", "unavailable"):
                    # nothing in it could be answered
                    self._faults.met(
                        message.gateway,
                        done.code,
                        "a gateway's frames are not taken",
                        logging.WARNING,
                        gateway=message.gateway,
                        reason=str(done),
                    )
            left = [
                message
                for message, done in taken
                if isinstance(done, RefusalError) and done.code in ("busy", "unavailable")
            ]
            if left and self._stopping.wait(RETRY_SECONDS):
                return

    def _take_news(self, message: _Message) -> None:
        try:
            if len(message.payload) > MAX_MESSAGE:
                raise MalformedError(f"it is longer than {MAX_MESSAGE} bytes")
            body = read_json(message.payload)
            if message.kind == topics.LIVE and message.meter is not None:
                self._live.power(message.gateway, {message.meter: body})
            elif message.kind == topics.STATUS:
                self._live.status(message.gateway, body)
        except RefusalError as error:
            self._faults.met(
                f"{message.gateway} {message.kind}",
                error.code,
                "a gateway's message cannot be used",
                logging.WARNING,
                gateway=message.gateway,
                kind=message.kind,
                reason=str(error),
            )
        else:
            self._faults.over(
                f"{message.gateway} {message.kind}",
                "a gateway's messages can be used again",
                gateway=message.gateway,
                kind=message.kind,
            )

    def _answer(self, ingested: list[tuple[str, Ingested]]) -> None:
        """Send each gateway its receipts, and what it should send again."""
        receipts: dict[str, list[bytes]] = {}
        gaps: dict[str, dict[str, Gap]] = {}
        for gateway, done in ingested:
            self._live.seen(gateway)
            receipts.setdefault(gateway, []).extend([*done.receipts, *done.later])
            gaps.setdefault(gateway, {}).update({gap.meter: gap for gap in done.gaps})
        for gateway, answer in receipts.items():
            for payload in _packets(answer):
                self._publish(topics.RECEIPT, gateway, payload)
            for gap in gaps[gateway].values():
                command = {"command": "resend", "meter": gap.meter, "from": gap.sequence}
                self._publish(topics.COMMAND, gateway, json.dumps(command).encode())

    def _publish(self, kind: str, gateway: str, payload: bytes) -> None:
        self._client.publish(topics.topic(kind, gateway), payload, qos=topics.QOS[kind])


def _packets(receipts: list[bytes]) -> list[bytes]:
    """Receipts one after another, in as few messages as the broker takes."""
    packets: list[bytes] = []
    packet: list[bytes] = []
    size = 0
    for receipt in receipts:
        if packet and size + len(receipt) > MAX_ANSWER:
            packets.append(b"".join(packet))
            packet, size = [], 0
        packet.append(receipt)
        size += len(receipt)
    return [*packets, b"".join(packet)]
