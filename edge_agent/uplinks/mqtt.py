"""MQTT 5 over mutual TLS (docs/PROTOCOL.md, "MQTT 5"), by paho-mqtt.

The broker keeps our session for seven days, so receipts wait for us. Our own frames wait in the journal, not in the
client: while the link is down nothing is handed to it.
"""

from __future__ import annotations

import json
import logging
import ssl
import threading
from collections.abc import Callable, Mapping
from typing import Any

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edge_agent.log import logger
from edge_agent.uplinks import (
    Batch,
    BatchFailed,
    BatchSent,
    BrokerRefusedError,
    CommandArrived,
    LinkChanged,
    ReceiptsArrived,
    UnreachableError,
    UplinkError,
)
from edge_agent.uplinks import UplinkEvent as Event
from edge_agent.wire import topics

KEEPALIVE_SECONDS = 60
MAX_INFLIGHT = 20
MAX_PAYLOAD = 1 << 20
"""A larger message is not read: 256 receipts are 43 kB."""


def _quiet_logger() -> logging.Logger:
    """paho's own words for whoever debugs: what matters of them is told as a change of the link."""
    child = logger.getChild("mqtt")
    if not any(isinstance(kept, _ForDebugging) for kept in child.filters):
        child.addFilter(_ForDebugging())
    return child


class _ForDebugging(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is wanted: in debugging alone, and then at that level."""
        record.levelno, record.levelname = logging.DEBUG, "DEBUG"
        return logger.isEnabledFor(logging.DEBUG)


class MqttUplink:
    """The MQTT uplink of a running agent. paho's thread speaks to the broker and calls `emit`."""

    name = "mqtt"

    def __init__(
        self,
        gateway: str,
        broker: tuple[str, int],
        context: ssl.SSLContext,
        emit: Callable[[Event], None],
        *,
        timeout: float,
        reconnect_seconds: tuple[int, int] = (1, 60),
    ) -> None:
        self._gateway = gateway
        self._thread_name = f"paho-mqtt-client-{gateway}"  # as paho calls it
        self._broker = broker
        self._emit = emit
        self._connected = False
        self._told = False
        self._started = False
        self._failure: UplinkError | None = None
        self._lock = threading.Lock()
        self._unacknowledged: dict[int, Batch] = {}
        self._early: dict[int, ReasonCode] | None = None
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id=gateway, protocol=paho.MQTTv5, reconnect_on_failure=True
        )
        self._client.suppress_exceptions = True  # a fault in a callback is logged and ends nothing
        self._client.enable_logger(_quiet_logger())
        self._client.tls_set_context(context)
        self._client.connect_timeout = timeout
        self._client.max_inflight_messages_set(MAX_INFLIGHT)
        self._client.reconnect_delay_set(*reconnect_seconds)
        self._client.will_set(self._topic(topics.STATUS), json.dumps({"online": False}), qos=1, retain=True)
        self._client.on_connect = self._on_connect
        self._client.on_connect_fail = self._on_connect_fail
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message
        self._client.on_publish = self._on_publish

    def _topic(self, kind: str, meter: str = topics.ANY) -> str:
        return topics.topic(kind, self._gateway, meter)

    @property
    def connected(self) -> bool:
        """Whether the broker has let us in and the connection is up."""
        return self._connected

    def start(self) -> None:
        """Begin to connect, and go on forever."""
        self._connect()
        self._started = True

    def _connect(self) -> None:
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        properties.SessionExpiryInterval = topics.SESSION_SECONDS
        properties.MaximumPacketSize = MAX_PAYLOAD
        host, port = self._broker
        self._client.connect_async(host, port, keepalive=KEEPALIVE_SECONDS, clean_start=False, properties=properties)
        self._client.loop_start()

    def close(self) -> None:
        """Say that we are offline and leave in good order."""
        if self._connected:
            try:
                offline = json.dumps({"online": False})
                told = self._client.publish(self._topic(topics.STATUS), offline, qos=1, retain=True)
                told.wait_for_publish(timeout=2.0)
            except (RuntimeError, ValueError):
                pass  # the link is going down already: the will says it
        self._started = False
        self._client.disconnect()
        self._client.loop_stop()

    def send(self, batch: Batch) -> None:
        """Publish a batch with QoS 1; BatchSent follows when the broker has it."""
        if not self._connected:
            self._emit(BatchFailed(batch, self.name, self._failure or UnreachableError("the broker is not connected")))
            return
        # paho calls on_publish holding the lock that publish takes, so ours must not be held around it; an
        # acknowledgement that comes before we know the message's number waits in _early.
        with self._lock:
            self._early = {}
        meters = set(batch.meters)
        topic = self._topic(topics.READINGS) if len(meters) > 1 else self._topic(topics.READING, meters.pop())
        info = self._client.publish(topic, batch.to_bytes(), qos=1)
        with self._lock:
            early, self._early = self._early, None
            if info.rc == paho.MQTT_ERR_SUCCESS and info.mid not in early:
                self._unacknowledged[info.mid] = batch
        if info.rc != paho.MQTT_ERR_SUCCESS:
            reason = paho.error_string(info.rc)
            self._emit(BatchFailed(batch, self.name, UnreachableError(f"publishing failed: {reason}")))
        elif info.mid in early:
            self._acknowledged(batch, early[info.mid])

    def live(self, powers: Mapping[str, Mapping[str, int]]) -> None:
        """Publish live power with QoS 0."""
        if self._connected:
            for meter, power in powers.items():
                self._client.publish(self._topic(topics.LIVE, meter), json.dumps(power, separators=(",", ":")), qos=0)

    def status(self, status: Mapping[str, Any]) -> None:
        """Publish the gateway's status, retained."""
        self._revive()
        if self._connected:
            text = json.dumps({"online": True, **status}, separators=(",", ":"))
            self._client.publish(self._topic(topics.STATUS), text, qos=1, retain=True)

    def _revive(self) -> None:
        """Should paho's thread have ended (a packet that it could not take apart), start another."""
        if self._started and not any(thread.name == self._thread_name for thread in threading.enumerate()):
            logger.error("the MQTT thread had ended and was started again")
            self._down(UnreachableError("the connection to the broker was lost"))
            self._client.loop_stop()
            self._connect()

    def _on_connect(
        self, client: paho.Client, userdata: object, flags: object, reason: ReasonCode, properties: object
    ) -> None:
        if reason.is_failure:
            self._down(
                BrokerRefusedError(
                    f"the broker at {self._where()} refuses this gateway ({reason}); is its certificate name in the "
                    "broker's access list?",
                )
            )
            return
        client.subscribe([(self._topic(kind), SubscribeOptions(qos=topics.QOS[kind])) for kind in topics.TO_GATEWAYS])
        self._connected, self._told, self._failure = True, True, None
        self._emit(LinkChanged(self.name, True, None))

    def _on_connect_fail(self, client: paho.Client, userdata: object) -> None:
        self._down(UnreachableError(f"the broker at {self._where()} does not answer"))

    def _on_disconnect(
        self, client: paho.Client, userdata: object, flags: object, reason: ReasonCode, properties: object
    ) -> None:
        self._down(UnreachableError(f"the broker at {self._where()} closed the connection ({reason})"))

    def _on_message(self, client: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:
        if message.topic == self._topic(topics.RECEIPT):
            self._emit(ReceiptsArrived(bytes(message.payload), self.name))
        elif message.topic == self._topic(topics.COMMAND):
            self._emit(CommandArrived(bytes(message.payload)))

    def _on_publish(
        self, client: paho.Client, userdata: object, mid: int, reason: ReasonCode, properties: object
    ) -> None:
        with self._lock:
            batch = self._unacknowledged.pop(mid, None)
            if batch is None and self._early is not None:
                self._early[mid] = reason
        if batch is not None:
            self._acknowledged(batch, reason)

    def _acknowledged(self, batch: Batch, reason: ReasonCode) -> None:
        if reason.is_failure:
            error = BrokerRefusedError(
                f"the broker refuses readings of {', '.join(batch.ids_by_meter)} ({reason}); look at its access list "
                "for this gateway",
            )
            self._emit(BatchFailed(batch, self.name, error))
        else:
            self._emit(BatchSent(batch, self.name))

    def _down(self, error: UplinkError) -> None:
        self._failure = error
        if self._connected or not self._told:
            self._connected, self._told = False, True
            self._emit(LinkChanged(self.name, False, error))

    def _where(self) -> str:
        return f"{self._broker[0]}:{self._broker[1]}"
