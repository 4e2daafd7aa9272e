"""A meter's own times as UTC, by the convention that its map states."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from edge_agent.dlms.clock_time import STATUS_DAYLIGHT_SAVING, STATUS_UNSPECIFIED, ClockTime
from edge_agent.meters.errors import MapMismatchError

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - local times are reckoned without a zone here


class LocalTime:
    """Turns the times of one buffer, given in its order, into Unix seconds.

    convention: "deviation" (each time states its own), "utc", or the name of a zone. In a zone, the hour that a clock
    shows twice is told apart by the meter's daylight-saving bit, and where it has none by the buffer's order.
    """

    def __init__(self, convention: str) -> None:
        self.convention = convention
        self._zone = None if convention in ("deviation", "utc") else ZoneInfo(convention)
        self._before: int | None = None
        self._uses_bit = False

    def unix(self, time: ClockTime, near: int | None = None) -> int | None:
        """Unix seconds; None where the time is not set. MapMismatchError where its deviation should be and is not.

        near: about when it is, for a time by itself: of the two readings of an ambiguous one, the nearer counts.
        """
        local = time.local_seconds()
        if local is None:
            return None
        if self.convention == "utc":
            return local
        if self._zone is None:
            unix = time.unix()
            if unix is None:
                raise MapMismatchError(
                    "the meter's times do not state their offset from UTC: put `clock` in the meter's map to "
                    '"utc" or to its zone, such as "Europe/Vienna"'
                )
            return unix
        found = self._in_zone(local, time.status, self._zone, near)
        self._before = found
        return found

    def _in_zone(self, local: int, status: int, zone: ZoneInfo, near: int | None) -> int:
        naive = _EPOCH + timedelta(seconds=local)
        first = int(naive.replace(tzinfo=zone, fold=0).timestamp())
        second = int(naive.replace(tzinfo=zone, fold=1).timestamp())
        saving = status != STATUS_UNSPECIFIED and status & STATUS_DAYLIGHT_SAVING != 0
        self._uses_bit = self._uses_bit or saving
        if first >= second:  # the hour exists once, or not at all (spring: the later reading is the sooner one)
            return first
        if saving:
            return first
        if near is not None:
            return min(first, second, key=lambda unix: abs(unix - near))
        if self._uses_bit:
            return second
        return second if self._before is not None and self._before >= first else first

    def local(self, unix: int, deviation: int | None) -> ClockTime:
        """What the meter's clock shows at a Unix time, for a selection by range."""
        if self.convention == "utc":
            return ClockTime.from_unix(unix, 0)
        if self._zone is None:
            return ClockTime.from_unix(unix, deviation or 0)
        offset = datetime.fromtimestamp(unix, UTC).astimezone(self._zone).utcoffset() or timedelta()
        shown = ClockTime.from_unix(unix, -int(offset.total_seconds()) // 60)
        if deviation is None:
            shown.deviation = None
        return shown


_UNSET = 7 * 86400
_OFFSETS = 900
"""Seconds of which every offset from UTC is a multiple."""


def seconds_behind(text: str | None, now: float, convention: str) -> float | None:
    """By how much a time that a meter sent lies before `now` (Unix seconds), in seconds.

    None where it sent none, or one so far off that its clock was never set. text is in ISO 8601. The map's convention
    says how it is meant, whatever offset it states: Aidon's says UTC and shows the hour of the wall. "deviation" is the
    stated offset; where there is none that leaves it open, and the nearest counts.
    """
    try:
        time = None if text is None else datetime.fromisoformat(text)
    except ValueError:
        return None
    if time is None:
        return None
    if convention == "deviation" and time.tzinfo is not None:
        behind = now - time.timestamp()
    elif convention == "deviation":
        apart = now - (time - _EPOCH).total_seconds()
        if abs(apart) > _UNSET:
            return None
        behind = (apart + _OFFSETS / 2) % _OFFSETS - _OFFSETS / 2
    else:
        zone = UTC if convention == "utc" else ZoneInfo(convention)
        both = [now - time.replace(tzinfo=zone, fold=fold).timestamp() for fold in (0, 1)]
        behind = min(both, key=abs)
    return behind if abs(behind) <= _UNSET else None
