"""Live power and gateways' status: for display only, so they are gathered in memory and written once a second."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, SQLAlchemyError, StatementError

from authority.app import App
from authority.collector import standing
from authority.collector.standing import Standing
from authority.faults import Faults
from authority.refusals import MalformedError
from authority.store.base import table_of
from authority.store.metering import Gateway, LivePower, Meter
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)

MAX_POWER_W = 1_000_000_000
MAX_STATUS_KEYS = 64
MAX_AHEAD_SECONDS = 300
"""How far ahead of ours a gateway's clock may stamp live power."""


@dataclass(frozen=True)
class _News:
    """What one gateway sent since the last flush: power by meter is (W, gateway's Unix seconds)."""

    status: dict[str, object] | None
    online: bool | None
    seen_at: int | None
    power: dict[str, tuple[int, int]]


class Live:
    """The latest of each, until `flush` writes it; the last one within a second wins."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._power: dict[tuple[str, str], tuple[int, int]] = {}
        self._status: dict[str, dict[str, object]] = {}
        self._online: dict[str, bool] = {}
        self._seen: dict[str, int] = {}
        self._faults = Faults(LOG)

    def seen(self, gateway: str) -> None:
        """Note that a gateway spoke just now."""
        with self._lock:
            self._seen[gateway] = self._app.clock()

    def power(self, gateway: str, meters: object) -> None:
        """Take {meter name: {"power_w", "time"}} of one gateway; RefusalError where it is something else."""
        if not isinstance(meters, dict) or len(meters) > MAX_STATUS_KEYS:
            raise MalformedError('live power is {"meters": {name: {"power_w": W, "time": Unix seconds}}}')
        taken = {}
        latest = self._app.clock() + MAX_AHEAD_SECONDS
        for name, value in meters.items():
            power = value.get("power_w") if isinstance(value, dict) else None
            time = value.get("time") if isinstance(value, dict) else None
            if type(power) is not int or abs(power) > MAX_POWER_W or type(time) is not int or not 0 <= time <= latest:
                raise MalformedError(f"{name!r}: power_w must be whole watts, time Unix seconds and not ahead")
            taken[gateway, str(name)] = (power, time)
        with self._lock:
            self._power.update(taken)
        self.seen(gateway)

    def status(self, gateway: str, status: object) -> None:
        """Take a gateway's status, a JSON object; it is online unless that says no. RefusalError for anything else."""
        if not isinstance(status, dict) or len(status) > MAX_STATUS_KEYS:
            raise MalformedError(f"a status is a JSON object with at most {MAX_STATUS_KEYS} keys")
        with self._lock:
            self._status[gateway] = status
            self._online[gateway] = present = status.get("online") is not False
        if present:  # otherwise it may be its will, which the broker speaks
            self.seen(gateway)

    def flush(self) -> None:
        """Write what came since the last call; what gateways sent that the store does not know, or that may not speak
        (authority.collector.standing), is dropped. A store that is away keeps it here; what one gateway sent and the
        store refuses is dropped alone."""
        with self._lock:
            power, self._power = self._power, {}
            status, self._status = self._status, {}
            online, self._online = self._online, {}
            seen, self._seen = self._seen, {}
        if not (power or status or seen):
            return
        news = {
            gateway: _News(status.get(gateway), online.get(gateway), seen.get(gateway), {})
            for gateway in {*status, *seen, *(gateway for gateway, _ in power)}
        }
        for (gateway, meter), value in power.items():
            news[gateway].power[meter] = value
        try:
            try:
                self._write(news)
            except (SQLAlchemyError, TypeError, ValueError) as error:
                if not _refused(error):
                    raise
                for gateway, one in news.items():
                    self._write_alone(gateway, one)
        except BaseException:
            with self._lock:  # what has come meanwhile is newer
                self._power = power | self._power
                self._status = status | self._status
                self._online = online | self._online
                self._seen = seen | self._seen
            raise

    def _write_alone(self, gateway: str, news: _News) -> None:
        try:
            self._write({gateway: news})
        except (SQLAlchemyError, TypeError, ValueError) as error:
            if not _refused(error):
                raise
            event = "what a gateway sent cannot be stored and was dropped"
            self._faults.met(gateway, type(error).__name__, event, gateway=gateway, reason=str(error))
        else:
            self._faults.over(gateway, "what a gateway sends can be stored again", gateway=gateway)

    def _write(self, news: Mapping[str, _News]) -> None:
        now = self._app.clock()
        with self._app.store.write() as session:
            known = standing.standings(session, news.keys())
            speaking = {name: one for name, one in news.items() if self._may_speak(name, known.get(name))}
            for gateway in session.scalars(select(Gateway).where(Gateway.name.in_(list(speaking)))):
                one = speaking[gateway.name]
                if one.seen_at is not None:
                    gateway.seen_at = one.seen_at
                if one.status is not None:
                    gateway.status = one.status
                if one.status is not None or one.seen_at is not None:
                    gateway.online = one.online is not False
            measured = [name for name, one in speaking.items() if one.power]
            if not measured:
                return
            rows = session.execute(
                select(Meter.id, Meter.gateway_name, Meter.name).where(Meter.gateway_name.in_(measured))
            )
            values = {pk: speaking[name].power[meter] for pk, name, meter in rows if meter in speaking[name].power}
            times = session.execute(
                select(LivePower.meter_pk, LivePower.time).where(LivePower.meter_pk.in_(list(values)))
            )
            before = {pk: time for pk, time in times}  # noqa: C416 - a result is no mapping
            table = table_of(LivePower)
            new = [
                {"meter_pk": pk, "power_w": power_w, "time": time, "received_at": now}
                for pk, (power_w, time) in values.items()
                if pk not in before
            ]
            newer = [
                {"meter": pk, "w": power_w, "at": time, "now": now}
                for pk, (power_w, time) in values.items()
                if pk in before and before[pk] <= time
            ]
            if new:
                session.execute(insert(table), new)
            if newer:
                session.execute(_REPLACE, newer)

    def _may_speak(self, gateway: str, known: Standing | None) -> bool:
        refused = standing.refusal(gateway, known, None)
        if refused is not None and known is not None:
            event = "live power and status are not taken"
            self._faults.met(f"standing of {gateway}", refused.code, event, gateway=gateway, reason=str(refused))
        elif refused is None:
            self._faults.over(f"standing of {gateway}", "a gateway may speak again", gateway=gateway)
        return refused is None


def _refused(error: Exception) -> bool:
    """Whether a value was refused, by the store or on the way to it, rather than that the store did not answer."""
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError | IntegrityError)
    return isinstance(error, StatementError | TypeError | ValueError)


_REPLACE = (
    update(table_of(LivePower))
    .where(LivePower.meter_pk == bindparam("meter"))
    .values(power_w=bindparam("w"), time=bindparam("at"), received_at=bindparam("now"))
)
