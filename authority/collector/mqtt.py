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
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from paho.mqtt.reasoncodes import ReasonCode

from authority.anteroom import gather
from authority.app import App
from authority.collector.documents import read_json
from authority.collector.frames import Gap, Ingested, Sent
from authority.collector.ingest import MAX_GROUP, Intake
from authority.collector.live import Live
from authority.collector.mqtt_client import Client, Message, Session
from authority.faults import Faults
from authority.home.home import COLLECTOR_CLIENT_NAME, VERIFIER_CLIENT_NAME, Home
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
FRAMES = (topics.READING, topics.READINGS)
"""Kinds of messages that are frames."""
NEWS = tuple(kind for kind in topics.FROM_GATEWAYS if kind not in FRAMES)
_SHARE = "$share/verifiers/"
"""Of those that subscribe to a topic with this before it the broker gives each message to one (MQTT 5, 4.8.2)."""
CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Part:
    """What one client of the broker does of the collector's work: its name, its certificate, and what it takes.

    leaves is what an earlier configuration may have subscribed to under this name.
    """

    name: str
    certificate: str
    subscriptions: tuple[tuple[str, int], ...]
    leaves: tuple[str, ...] = ()


def _every(kinds: tuple[str, ...], before: str = "") -> tuple[tuple[str, int], ...]:
    return tuple((before + topics.topic(kind, topics.ANY), topics.QOS[kind]) for kind in kinds)


WHOLE = Part(COLLECTOR_CLIENT_NAME, "collector.pem", _every(topics.FROM_GATEWAYS))
"""A collector of one process."""
SEQUENCER = Part(
    COLLECTOR_CLIENT_NAME, "collector.pem", _every(NEWS), leaves=tuple(topic for topic, _ in _every(FRAMES))
)
"""A collector with verifiers, which take the frames."""


def verifier_part(number: int) -> Part:
    """A verifier, which takes its share of the frames."""
    return Part(VERIFIER_CLIENT_NAME.format(number), f"verifier-{number}.pem", _every(FRAMES, _SHARE))


@dataclass(frozen=True)
class _Message:
    gateway: str
    meter: str | None
    kind: str
    message: Message

    @property
    def payload(self) -> bytes:
        """What it says."""
        return self.message.payload


def tls_context(home: Home, certificate: str) -> ssl.SSLContext:
    """TLS to the broker: it must be certified by the department's CA, and sees this certificate of the home's."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(home.key_path("ca.pem"))
    context.load_cert_chain(home.key_path(certificate), home.key_path("collector.key"))
    return context


def _session(home: Home, part: Part, tls: ssl.SSLContext, *, lasting: bool = True) -> Session:
    settings = home.settings.mqtt
    expires = topics.SESSION_SECONDS if lasting else 0
    return Session(settings.host, settings.port, tls, part.name, expires, IN_FLIGHT, clean=not lasting)


def end_sessions(home: Home) -> None:
    """End the broker's sessions of verifiers that authority.toml no longer has; what waits in them gateways send again.

    A verifier's certificate stays until its session is known to be gone: the broker would give it its share for days.
    """
    for path in sorted(home.key_path("").glob("verifier-*.pem")):
        if path.name in home.broker_certificates:
            continue
        number = path.stem.rpartition("-")[2]
        if home.settings.mqtt.host and not (number.isdigit() and _end_session(home, verifier_part(int(number)))):
            continue
        path.unlink()
        LOG.info("a verifier's session at the broker is ended", verifier=number)


def _end_session(home: Home, part: Part) -> bool:
    """Whether the broker has begun a new session of this name, which ends with this connection."""
    begun = threading.Event()
    client = Client(_session(home, part, tls_context(home, part.certificate), lasting=False))
    client.on_connected = begun.set
    client.start()
    ended = begun.wait(CONNECT_SECONDS)
    client.stop()
    return ended


class BrokerConnection:
    """A client of the broker that reconnects forever; messages are worked off by a thread of its own."""

    def __init__(self, app: App, collector: Intake, live: Live, part: Part = WHOLE) -> None:
        self._app = app
        self._part = part
        self._collector = collector
        self._live = live
        self._messages: queue.SimpleQueue[_Message | None] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._faults = Faults(LOG)
        self.subscribed = threading.Event()
        """Set while the broker has confirmed the subscriptions."""
        self._worker = threading.Thread(target=self._work, name="mqtt-ingest", daemon=True)
        self._tls = tls_context(app.home, part.certificate)
        self._client = Client(_session(app.home, part, self._tls))
        self._client.on_connected = self._on_connected
        self._client.on_failed = self._on_failed
        self._client.on_subscribed = self._on_subscribed
        self._client.on_message = self._on_message

    def start(self) -> None:
        """Connect in the background; a broker that is down is tried again until it is up."""
        self._worker.start()
        self._client.start()

    def retain(self, topic: str, payload: bytes, expires: int) -> None:
        """Have the broker keep a message for so many seconds; for any thread."""
        self._client.retain(topic, payload, expires)

    def show_renewed_certificate(self) -> None:
        """Have the next connection show the collector's certificate as it lies on the disk now."""
        home = self._app.home
        self._tls.load_cert_chain(home.key_path(self._part.certificate), home.key_path("collector.key"))

    def stop(self) -> None:
        """Finish the message at hand and disconnect; the broker keeps the rest for the next start."""
        self._stopping.set()
        self._messages.put(None)
        if self._worker.ident is not None:
            self._worker.join()
        self._client.stop()

    # the client's thread

    def _on_connected(self) -> None:
        self._faults.over("broker", "the broker can be reached again")
        LOG.info("connected to the broker")
        if self._part.leaves:
            self._client.unsubscribe(self._part.leaves)
        self._client.subscribe(self._part.subscriptions)

    def _on_failed(self, why: str) -> None:
        self.subscribed.clear()
        self._faults.met("broker", why, "no connection to the broker; trying again", logging.WARNING)

    def _on_subscribed(self, reasons: Sequence[ReasonCode]) -> None:
        asked = self._part.subscriptions
        refused = [topic for (topic, _), reason in zip(asked, reasons, strict=False) if reason.is_failure]
        if refused:
            LOG.error("the broker does not let the collector read; correct its access list", topics=refused)
            return
        self.subscribed.set()

    def _on_message(self, message: Message) -> None:
        named = topics.parse(message.topic)
        if named is None:  # the subscriptions bring no others
            self._client.acknowledge([message])
            return
        kind, gateway, meter = named
        self._messages.put(_Message(gateway, meter, kind, message))

    # the ingesting thread

    def _work(self) -> None:
        while messages := self._next():
            try:
                self._take(messages)
            except Exception:
                LOG.exception("messages of gateways could not be taken")
            if self._stopping.is_set():
                return
            self._client.acknowledge([message.message for message in messages])

    def _next(self) -> list[_Message]:
        """All messages that wait, or come within a moment, as many as one commit takes; empty at the end."""
        return gather(self._messages, lambda message: len(message.payload), MAX_GROUP * FRAME_SIZE)

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
        answers: list[tuple[str, bytes]] = []
        for gateway, answer in receipts.items():
            answers += [(topics.topic(topics.RECEIPT, gateway), payload) for payload in _packets(answer)]
            for gap in gaps[gateway].values():
                command = {"command": "resend", "meter": gap.meter, "from": gap.sequence}
                answers.append((topics.topic(topics.COMMAND, gateway), json.dumps(command).encode()))
        self._client.publish(answers)


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
