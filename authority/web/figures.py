"""Figures as the pages show them: those of authority.figures, and ages and lengths of time."""

from __future__ import annotations

from authority.figures import (
    GROUP,
    MINUS,
    UNKNOWN,
    credits,
    credits_per_kwh,
    grouped,
    kilowatt_hours,
    kilowatts,
)

__all__ = [
    "GROUP",
    "MINUS",
    "UNKNOWN",
    "ago",
    "clock",
    "credits",
    "credits_per_kwh",
    "grouped",
    "kilowatt_hours",
    "kilowatts",
    "length",
]


def ago(seconds: int) -> str:
    """An age in words."""
    if seconds < 2:
        return "now"
    if seconds < 120:
        return f"{seconds} s ago"
    if seconds < 7200:
        return f"{seconds // 60} min ago"
    return f"{seconds // 3600} h ago"


def length(seconds: int) -> str:
    """An epoch's length in words: 20 seconds, 15 minutes, 1 hour."""
    for size, word in ((3600, "hour"), (60, "minute"), (1, "second")):
        if seconds % size == 0:
            return f"{seconds // size} {word}{'' if seconds == size else 's'}"
    raise AssertionError("unreachable: every whole number is a multiple of 1")


def clock(seconds: int) -> str:
    """What is left of an epoch: 0:07, 14:59."""
    seconds = max(0, seconds)
    return f"{seconds // 60}:{seconds % 60:02d}"
