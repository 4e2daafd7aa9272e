"""Live power and gateways' status: for display only, so they are gathered in memory and written once a second."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from sqlalchemy import select

from authority.app import App
from authority.errors import AuthorityError
from authority.store.metering import Gateway, LivePower, Meter

MAX_POWER_W = 1_000_000_000
MAX_STATUS_KEYS = 64
MAX_AHEAD_SECONDS = 300
"""How far ahead of ours a gateway's clock may stamp live power."""


class LiveError(AuthorityError):
    """malformed: what came is no live power or no status."""


class Live:
    """The latest of each, until `flush` writes it; the last one within a second wins."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._power: dict[tuple[str, str], tuple[int, int]] = {}
        self._status: dict[str, dict[str, object]] = {}
        self._online: dict[str, bool] = {}
        self._seen: dict[str, int] = {}

    def seen(self, gateway: str) -> None:
        """Note that a gateway spoke just now."""
        with self._lock:
            self._seen[gateway] = self._app.clock()

    def power(self, gateway: str, meters: object) -> None:
        """Take {meter name: {"power_w", "time"}} of one gateway; LiveError where it is something else."""
        if not isinstance(meters, dict) or len(meters) > MAX_STATUS_KEYS:
            raise LiveError("malformed", 'live power is {"meters": {name: {"power_w": W, "time": Unix seconds}}}')
        taken = {}
        latest = self._app.clock() + MAX_AHEAD_SECONDS
        for name, value in meters.items():
            power = value.get("power_w") if isinstance(value, dict) else None
            time = value.get("time") if isinstance(value, dict) else None
            if type(power) is not int or abs(power) > MAX_POWER_W or type(time) is not int or not 0 <= time <= latest:
                raise LiveError("malformed", f"{name!r}: power_w must be whole watts, time Unix seconds and not ahead")
            taken[gateway, str(name)] = (power, time)
        with self._lock:
            self._power.update(taken)
        self.seen(gateway)

    def status(self, gateway: str, status: object) -> None:
        """Take a gateway's status, a JSON object; it is online unless that says no. LiveError for anything else."""
        if not isinstance(status, dict) or len(status) > MAX_STATUS_KEYS:
            raise LiveError("malformed", f"a status is a JSON object with at most {MAX_STATUS_KEYS} keys")
        with self._lock:
            self._status[gateway] = status
            self._online[gateway] = present = status.get("online") is not False
        if present:  # otherwise it may be its will, which the broker speaks
            self.seen(gateway)

    def flush(self) -> None:
        """Write what came since the last call; names that the store does not know are dropped."""
        with self._lock:
            power, self._power = self._power, {}
            status, self._status = self._status, {}
            online, self._online = self._online, {}
            seen, self._seen = self._seen, {}
        if not (power or status or seen):
            return
        try:
            self._write(power, status, online, seen)
        except BaseException:
            with self._lock:  # what has come meanwhile is newer
                self._power = power | self._power
                self._status = status | self._status
                self._online = online | self._online
                self._seen = seen | self._seen
            raise

    def _write(
        self,
        power: Mapping[tuple[str, str], tuple[int, int]],
        status: Mapping[str, dict[str, Any]],
        online: Mapping[str, bool],
        seen: Mapping[str, int],
    ) -> None:
        now = self._app.clock()
        with self._app.store.write() as session:
            for gateway in session.scalars(select(Gateway).where(Gateway.name.in_({*status, *seen}))):
                gateway.seen_at = seen.get(gateway.name, gateway.seen_at)
                gateway.status = status.get(gateway.name, gateway.status)
                gateway.online = online.get(gateway.name, True)
            if not power:
                return
            query = select(Meter).where(Meter.gateway_name.in_({gateway for gateway, _ in power}))
            for meter in session.scalars(query):
                if (meter.gateway_name, meter.name) not in power:
                    continue
                power_w, time = power[meter.gateway_name, meter.name]
                row = session.get(LivePower, meter.id)
                if row is None:
                    session.add(LivePower(meter_pk=meter.id, power_w=power_w, time=time, received_at=now))
                elif row.time <= time:
                    row.power_w, row.time, row.received_at = power_w, time, now
