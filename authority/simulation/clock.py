"""The simulation's time: it moves when the simulation says, and when somebody sleeps."""

from __future__ import annotations


class VirtualClock:
    """Unix time that stands still between two moves. A sleep takes no time of the machine's."""

    def __init__(self, now: float) -> None:
        self._now = now

    def go_to(self, moment: float) -> None:
        """Move on to a moment (Unix seconds); never back."""
        self._now = max(self._now, moment)

    def sleep(self, seconds: float) -> None:
        """Let so many seconds go by."""
        self._now += seconds

    def wall(self) -> float:
        """Unix seconds, with their fraction."""
        return self._now

    def seconds(self) -> int:
        """Whole Unix seconds."""
        return int(self._now)

    def milliseconds(self) -> int:
        """Whole Unix milliseconds."""
        return int(self._now * 1_000)
