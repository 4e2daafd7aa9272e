"""The collector at the MQTT broker (docs/PROTOCOL.md, "MQTT 5"): the same frames and receipts as over HTTPS.

The broker's access list ties a gateway's topics to its certificate, so the topic says who speaks. A message is
acknowledged to the broker only when its frames are decided and durable and the receipts are handed over; until then the
broker keeps it, and gives it again to a collector that comes back within the session's seven days.
"""

from __future__ import annotations

import json
import logging
import queue
import ssl
import sys
import threading
from dataclasses import dataclass
from typing import Any

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

from authority.app import App
from authority.collector import broker
from authority.collector.ingest import Collector, CollectorError
from authority.collector.live import Live, LiveError
from authority.home.home import COLLECTOR_CLIENT_NAME, Home
from edge_agent.wire import topics
from edge_agent.wire.reading import FRAME_SIZE, MAX_FRAMES

logger = logging.getLogger(__name__)

IN_FLIGHT = 128
"""Messages that the broker may give before the first is acknowledged; bounds what the collector holds."""
MAX_MESSAGE = MAX_FRAMES * FRAME_SIZE
RETRY_SECONDS = 1.0
SUBSCRIPTIONS = tuple((topics.topic(kind, topics.ANY), topics.QOS[kind]) for kind in topics.FROM_GATEWAYS)


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
    """A client of the broker that reconnects for ever; messages are worked off by a thread of its own."""

    def __init__(self, app: App, collector: Collector, live: Live, *, client_id: str = COLLECTOR_CLIENT_NAME) -> None:
        self._app = app
        self._collector = collector
        self._live = live
        self._messages: queue.SimpleQueue[_Message | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._session = 0
        self._trouble = ""
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
            logger.error("the broker refuses the collector: %s", reason)
            return
        self._session += 1
        self._trouble = ""
        logger.info("connected to the broker")
        self._client.subscribe([(topic, SubscribeOptions(qos=qos)) for topic, qos in SUBSCRIPTIONS])

    def _on_connect_fail(self, _c: mqtt.Client, _u: Any) -> None:
        settings = self._app.home.settings.mqtt
        self._tell(broker.why_not(sys.exc_info()[1], settings.host, settings.port) + "; trying again")

    def _tell(self, trouble: str) -> None:
        """Log what keeps the collector from the broker, once until it is something else."""
        if trouble != self._trouble:
            self._trouble = trouble
            logger.warning("%s", trouble)

    def _on_disconnect(self, _c: mqtt.Client, _u: Any, _f: Any, reason: Any, _p: Any) -> None:
        self.subscribed.clear()
        if not self._stopping.is_set():
            self._tell(
                f"the broker ended the connection, or did not take it ({reason}); its log says why; trying again"
            )

    def _on_subscribe(self, _c: mqtt.Client, _u: Any, _mid: int, reasons: Any, _p: Any) -> None:
        refused = [topic for (topic, _), reason in zip(SUBSCRIPTIONS, reasons, strict=True) if reason.is_failure]
        if refused:
            logger.error("the broker does not let the collector read %s; correct its access list", ", ".join(refused))
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
        while (message := self._messages.get()) is not None:
            try:
                self._take(message)
            except Exception:
                logger.exception("a message of gateway %s could not be taken", message.gateway)
            if self._stopping.is_set():
                return
            if message.qos and message.session == self._session:
                self._client.ack(message.mid, message.qos)

    def _take(self, message: _Message) -> None:
        if message.kind == topics.READING and message.meter is not None:
            self._live.seen(message.gateway)
            self._take_frames(message, message.meter)
            return
        try:
            body = json.loads(message.payload) if len(message.payload) <= MAX_MESSAGE else None
            if message.kind == topics.LIVE and message.meter is not None:
                self._live.power(message.gateway, {message.meter: body})
            elif message.kind == topics.STATUS:
                self._live.status(message.gateway, body)
        except (ValueError, RecursionError, LiveError) as error:
            logger.warning("gateway %s sent a %s that cannot be used: %s", message.gateway, message.kind, error)

    def _take_frames(self, message: _Message, meter: str) -> None:
        """Ingest and answer. Bytes that are no frames are dropped: nothing in them could be answered."""
        while True:
            try:
                ingested = self._collector.ingest(message.payload, gateway=message.gateway, meter=meter, over="mqtt")
                break
            except CollectorError as error:
                if error.code in ("malformed", "too_many"):
                    logger.warning("gateway %s meter %s: %s", message.gateway, meter, error)
                    return
                if self._stopping.wait(RETRY_SECONDS):
                    return
        receipts = b"".join([*ingested.receipts, *ingested.later])
        self._publish(topics.RECEIPT, message.gateway, receipts)
        for gap in ingested.gaps:
            command = {"command": "resend", "meter": gap.meter, "from": gap.sequence}
            self._publish(topics.COMMAND, message.gateway, json.dumps(command).encode())

    def _publish(self, kind: str, gateway: str, payload: bytes) -> None:
        self._client.publish(topics.topic(kind, gateway), payload, qos=topics.QOS[kind])
