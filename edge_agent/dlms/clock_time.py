"""Date and time of COSEM (Blue Book, 4.1.6.1): twelve bytes, any of them unspecified.

The deviation is UTC minus local time in minutes; ISO 8601's offset has the opposite sign.
"""

from __future__ import annotations

from edge_agent.dlms.errors import DecodeError

DEVIATION_UNSPECIFIED = -0x8000

STATUS_INVALID = 0x01
STATUS_DOUBTFUL = 0x02
STATUS_DIFFERENT_BASE = 0x04
STATUS_INVALID_STATUS = 0x08
STATUS_DAYLIGHT_SAVING = 0x80
STATUS_UNSPECIFIED = 0xFF

_UNSPECIFIED = 0xFF
_CUMULATIVE = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


def days_of_month(year: int, month: int) -> int:
    """How many days a month of the Gregorian calendar has."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def days_from_epoch(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 to a date of the Gregorian calendar."""
    years = year - 1 if month <= 2 else year
    leaps = years // 4 - years // 100 + years // 400 - 477
    return (year - 1970) * 365 + leaps + _CUMULATIVE[month - 1] + day - 1


def date_from_days(days: int) -> tuple[int, int, int]:
    """Year, month and day of a number of days since 1970-01-01."""
    year = 1970 + days // 366
    while days_from_epoch(year + 1, 1, 1) <= days:
        year += 1
    left = days - days_from_epoch(year, 1, 1)
    month = 1
    while left >= days_of_month(year, month):
        left -= days_of_month(year, month)
        month += 1
    return year, month, left + 1


class ClockTime:
    """A COSEM date-time. Fields are None where unspecified; deviation in minutes (UTC minus local)."""

    __slots__ = ("day", "deviation", "hour", "hundredths", "minute", "month", "second", "status", "weekday", "year")

    def __init__(
        self,
        year: int | None,
        month: int | None,
        day: int | None,
        hour: int | None = 0,
        minute: int | None = 0,
        second: int | None = 0,
        hundredths: int | None = None,
        deviation: int | None = None,
        status: int = 0,
        weekday: int | None = None,
    ) -> None:
        self.year = year
        self.month = month
        self.day = day
        self.hour = hour
        self.minute = minute
        self.second = second
        self.hundredths = hundredths
        self.deviation = deviation
        self.status = status
        self.weekday = weekday

    @classmethod
    def from_bytes(cls, data: bytes) -> ClockTime:
        """Read twelve bytes; DecodeError `bad_time` for a wrong length or a field out of range."""
        if len(data) != 12:
            raise DecodeError("bad_time", f"a date-time has 12 bytes, this one {len(data)}", 0)
        year = data[0] << 8 | data[1]
        deviation = data[9] << 8 | data[10]
        if deviation >= 0x8000:
            deviation -= 0x10000
        limits = (
            (2, "month", 1, 12, (0xFD, 0xFE)),
            (3, "day", 1, 31, (0xFD, 0xFE)),
            (5, "hour", 0, 23, ()),
            (6, "minute", 0, 59, ()),
            (7, "second", 0, 59, ()),
            (8, "hundredths", 0, 99, ()),
        )
        fields: list[int | None] = []
        for at, name, low, high, wild in limits:
            found = data[at]
            if found == _UNSPECIFIED or found in wild:
                fields.append(None)
            elif low <= found <= high:
                fields.append(found)
            else:
                raise DecodeError("bad_time", f"{found} is not a {name}", at)
        if year != 0xFFFF and fields[0] and fields[1] and fields[1] > days_of_month(year, fields[0]):
            raise DecodeError("bad_time", f"month {fields[0]} of {year} has no day {fields[1]}", 3)
        if deviation != DEVIATION_UNSPECIFIED and not -840 <= deviation <= 840:
            raise DecodeError("bad_time", f"no time zone differs from UTC by {deviation} minutes", 9)
        return cls(
            None if year == 0xFFFF else year,
            fields[0],
            fields[1],
            fields[2],
            fields[3],
            fields[4],
            fields[5],
            None if deviation == DEVIATION_UNSPECIFIED else deviation,
            data[11],
            None if data[4] == _UNSPECIFIED else data[4],
        )

    @classmethod
    def from_meter(cls, data: bytes) -> ClockTime:
        """The same of a meter that is not careful: hour 24 is the end of its day, and a deviation that no time zone has
        (of -1 minute, where all bytes that are not set are FF) is not specified. DecodeError `bad_time`."""
        if len(data) != 12:
            return cls.from_bytes(data)
        deviation = data[9] << 8 | data[10]
        if deviation == 0xFFFF or 840 < deviation < 0x10000 - 840:
            data = data[:9] + b"\x80\x00" + data[11:]
        is_midnight = data[5] == 24 and data[6] in (0, _UNSPECIFIED) and data[7] in (0, _UNSPECIFIED)
        time = cls.from_bytes(data[:5] + b"\x00" + data[6:] if is_midnight else data)
        if is_midnight and time.year is not None and time.month is not None and time.day is not None:
            days = days_from_epoch(time.year, time.month, time.day) + 1
            time.year, time.month, time.day = date_from_days(days)
            time.weekday = None if time.weekday is None else (days + 3) % 7 + 1
        return time

    def to_bytes(self) -> bytes:
        """Twelve bytes; an unspecified weekday is left so."""
        year = 0xFFFF if self.year is None else self.year
        deviation = DEVIATION_UNSPECIFIED if self.deviation is None else self.deviation
        deviation &= 0xFFFF
        rest = [_UNSPECIFIED if f is None else f for f in (self.hour, self.minute, self.second, self.hundredths)]
        date = [_UNSPECIFIED if f is None else f for f in (self.month, self.day, self.weekday)]
        return bytes([year >> 8, year & 0xFF] + date + rest + [deviation >> 8, deviation & 0xFF, self.status])

    @classmethod
    def from_unix(cls, time: int, deviation: int | None = 0, status: int = 0) -> ClockTime:
        """The local time that a clock with this deviation shows at Unix second `time`."""
        local = time - (deviation or 0) * 60
        days, second = local // 86400, local % 86400
        year, month, day = date_from_days(days)
        weekday = (days + 3) % 7 + 1
        return cls(year, month, day, second // 3600, second // 60 % 60, second % 60, 0, deviation, status, weekday)

    def local_seconds(self) -> int | None:
        """Seconds since 1970-01-01 00:00 of the clock's own local time; None where the date or hour is unspecified."""
        if self.year is None or self.month is None or self.day is None or self.hour is None:
            return None
        days = days_from_epoch(self.year, self.month, self.day)
        return days * 86400 + self.hour * 3600 + (self.minute or 0) * 60 + (self.second or 0)

    def unix(self) -> int | None:
        """Unix seconds; None where the date, the hour or the deviation is unspecified."""
        local = self.local_seconds()
        if local is None or self.deviation is None:
            return None
        return local + self.deviation * 60

    def iso(self) -> str | None:
        """ISO 8601 with the offset where the deviation is known: `2026-06-01T12:00:00+02:00`; None without a date."""
        if self.year is None or self.month is None or self.day is None or self.hour is None:
            return None
        text = f"{self.year:04d}-{self.month:02d}-{self.day:02d}"
        text += f"T{self.hour:02d}:{self.minute or 0:02d}:{self.second or 0:02d}"
        if self.hundredths:
            text += f".{self.hundredths:02d}"
        if self.deviation is not None:
            offset = abs(self.deviation)
            text += f"{'-' if self.deviation > 0 else '+'}{offset // 60:02d}:{offset % 60:02d}"
        return text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ClockTime) and self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return hash(self.to_bytes())

    def __repr__(self) -> str:
        return f"ClockTime({self.iso()}, status=0x{self.status:02x})"
