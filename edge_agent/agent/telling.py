"""Telling: live power and status, to the authority and to the status file; and how far the gateway's clock is off."""

from __future__ import annotations

from edge_agent import log
from edge_agent.agent.gateway import Gateway
from edge_agent.agent.records import CLOCK_ALERT_SECONDS
from edge_agent.state.metrics import write_metrics
from edge_agent.uplinks import AuthorityTime

STATUS_FILE_SECONDS = (2.0, 30.0)
"""The status file is written so soon after something notable, and at least so often; more would wear SD cards out."""

STATUS_UPLINK_SECONDS = 60.0
CERTIFICATE_ALERT_SECONDS = 30 * 86400


class Telling:
    """Writes and sends what the board holds."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._certificate_expires = gateway.credentials.certificate_expires()
        self._link_since: int | None = None
        self._shown = ""
        self._unwritten = False
        self._status_written = -STATUS_FILE_SECONDS[1]

    def take_time(self, event: AuthorityTime) -> None:
        """What the authority's clock says."""
        self._gateway.authority_time = (self._gateway.clock.time() + event.deviation, self._gateway.clock.monotonic())
        self._gateway.board.set(authority_clock=event.deviation)
        self._watch_clock()

    def _watch_clock(self) -> None:
        off = self._gateway.clock_off()
        if abs(off) > CLOCK_ALERT_SECONDS:
            message = f"this gateway's clock is {-off:+d} s off the authority's; set it (NTP, its battery)"
            if self._gateway.board.error("clock", "clock_unsynchronised", message):
                log.warning("the gateway's clock is off", authority_minus_gateway=off)
        else:
            self._gateway.board.clear("clock")

    def tell(self) -> None:
        """Live power and status, to the authority and to the status file."""
        now = self._gateway.clock.monotonic()
        self._watch_clock()
        if self._gateway.powers:
            powers, self._gateway.powers = self._gateway.powers, {}
            self._gateway.carrier.live(powers)
        carrier = f"{self._gateway.carrier.name} {self._gateway.carrier.connected}"
        if carrier != self._shown:
            self._shown, self._link_since = carrier, int(self._gateway.clock.time())
            self._gateway.board.notable = True
        soonest, latest = STATUS_FILE_SECONDS
        if now >= self._status_written + latest or (
            self._gateway.board.notable and now >= self._status_written + soonest
        ):
            self._status_written = now
            self.write_status()
        if now >= self._gateway.status_due:
            self._gateway.status_due = now + min(STATUS_UPLINK_SECONDS, float(self._gateway.epoch))
            self._gateway.carrier.status(self._gateway.board.summary())

    def write_status(self) -> None:
        """Write the status file, and the metrics where they are wanted."""
        counts = self._gateway.journal.counts()
        left = self._certificate_expires - self._gateway.clock.time()
        if left >= CERTIFICATE_ALERT_SECONDS:
            self._gateway.board.clear("certificate")
        else:
            self._gateway.board.error(
                "certificate",
                "certificate_expires",
                f"the gateway's certificate ends in {max(0, int(left // 86400))} days; enrol again with a claim code",
            )
        self._gateway.board.set(
            uplink={
                "configured": self._gateway.config.uplink.kind,
                "kind": self._gateway.carrier.name,
                "connected": self._gateway.carrier.connected,
                "since": self._link_since,
            },
            journal={
                "depth": counts.depth,
                "waiting": counts.waiting,
                "parked": counts.parked,
                "refused": counts.refused,
                "superseded": counts.superseded,
                "archived": counts.archived,
                "oldest": self._gateway.journal.oldest_waiting(),
                "quota": self._gateway.journal.quota,
            },
            ignored={
                **self._gateway.ignored,
                **({"dropped events": self._gateway.events.dropped} if self._gateway.events.dropped else {}),
            },
            certificate_expires=self._certificate_expires,
            boundary=self._gateway.boundary,
        )
        try:
            self._gateway.board.write(self._gateway.config.state)
            self._unwritten = False
            if self._gateway.config.metrics_file is not None:
                write_metrics(
                    self._gateway.config.metrics_file, self._gateway.board.snapshot(), self._gateway.clock.time()
                )
        except OSError as error:
            if not self._unwritten:
                log.warning("the status cannot be written", reason=str(error))
            self._unwritten = True
