"""Energy, power and money as people read them, on pages, bills and screens; moments as programs read them.

Integers in, text out; nothing is rounded through a float. An unknown figure is a dash.
"""

from __future__ import annotations

from datetime import UTC, datetime

UNKNOWN = "\N{EN DASH}"
GROUP = "\N{NARROW NO-BREAK SPACE}"
MINUS = "\N{MINUS SIGN}"
PLACE = "\N{FIGURE SPACE}"
"""As wide as a digit: it stands in a column where a figure has none."""


def grouped(value: int) -> str:
    """1234567 as 1 234 567."""
    return f"{value:,}".replace(",", GROUP)


def _thousandths(value: int, digits: int) -> str:
    """A whole number of thousandths with 0 to 3 decimals, half away from zero."""
    step: int = 10 ** (3 - digits)
    units, rest = divmod((abs(value) + step // 2) // step, 10**digits)
    text = grouped(units) + (f".{rest:0{digits}d}" if digits else "")
    return (MINUS if value < 0 and (units or rest) else "") + text


def kilowatts(watts: int | None) -> str:
    """Watts as kW with one decimal."""
    return UNKNOWN if watts is None else f"{_thousandths(watts, 1)} kW"


def kilowatt_hours(watt_hours: int | None) -> str:
    """Watt-hours as kWh with three decimals: a token's own precision."""
    return UNKNOWN if watt_hours is None else f"{_thousandths(watt_hours, 3)} kWh"


def kilowatt_hours_in_column(watt_hours: int | None) -> str:
    """The same for a column whose head has the unit."""
    return UNKNOWN if watt_hours is None else _thousandths(watt_hours, 3)


def credits_per_kwh(micro_credits: int | None) -> str:
    """A price in credits per kWh with up to six decimals, at least three."""
    if micro_credits is None:
        return UNKNOWN
    units, rest = divmod(micro_credits, 1_000_000)
    digits = f"{rest:06d}"
    while len(digits) > 3 and digits.endswith("0"):
        digits = digits[:-1]
    return f"{grouped(units)}.{digits}"


def credits(micro_credits: int | None) -> str:
    """An amount in credits with two decimals at least, and as many as it has."""
    if micro_credits is None:
        return UNKNOWN
    units, rest = divmod(abs(micro_credits), 1_000_000)
    digits = f"{rest:06d}"
    while len(digits) > 2 and digits.endswith("0"):
        digits = digits[:-1]
    return f"{MINUS if micro_credits < 0 else ''}{grouped(units)}.{digits}"


def credits_in_column(micro_credits: int | None) -> str:
    """An amount in credits whose point stands below the others' points in a column set flush right."""
    if micro_credits is None:
        return UNKNOWN
    text = credits(micro_credits)
    return text + PLACE * (6 - len(text.partition(".")[2]))


def utc(seconds: int) -> str:
    """A moment (Unix seconds) as ISO 8601 in UTC, for programs: 2026-06-01T12:00:00Z."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
