"""Which uplink carries the readings: MQTT where the credentials name a broker that answers, else HTTPS."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_agent.config import UplinkKind
from edge_agent.uplinks import Batch, Uplink
from edge_agent.uplinks.https import HttpsUplink

_TRIES_BEFORE_THE_OTHER = 2


class Uplinks:
    """The gateway's uplinks. HTTPS is always there, for the heads; `kind` and what answers say what carries the rest.

    With `auto`, a broker that takes frames while nobody answers them with receipts is gone around: a frame that went
    unanswered twice goes by HTTPS next.
    """

    def __init__(self, kind: UplinkKind, https: HttpsUplink, mqtt: Uplink | None) -> None:
        self.kind = kind
        self._https = https
        self._mqtt = mqtt

    @property
    def carrier(self) -> Uplink:
        """The uplink that carries readings now."""
        if self._mqtt is not None and (self.kind == "mqtt" or self._mqtt.connected):
            return self._mqtt
        return self._https

    @property
    def name(self) -> str:
        """ "mqtt" or "https"."""
        return "https" if self.carrier is self._https else "mqtt"

    @property
    def connected(self) -> bool:
        """Whether the carrier's link is up."""
        return self.carrier.connected

    def start(self) -> None:
        """Start them all."""
        self._https.start()
        if self._mqtt is not None:
            self._mqtt.start()

    def close(self) -> None:
        """End them all in good order."""
        if self._mqtt is not None:
            self._mqtt.close()
        self._https.close()

    def send(self, batch: Batch, tries: int) -> None:
        """Send a batch whose frames went unanswered `tries` times."""
        around = self.kind == "auto" and tries % (_TRIES_BEFORE_THE_OTHER + 1) == _TRIES_BEFORE_THE_OTHER
        (self._https if around else self.carrier).send(batch)

    def request_head(self, meter: str) -> None:
        """Fetch a meter's head, by HTTPS."""
        self._https.request_head(meter)

    def live(self, powers: Mapping[str, Mapping[str, int]]) -> None:
        """Tell live power."""
        self.carrier.live(powers)

    def status(self, status: Mapping[str, Any]) -> None:
        """Tell the gateway's status."""
        self.carrier.status(status)
