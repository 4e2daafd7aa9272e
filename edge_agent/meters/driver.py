"""What the agent's loop asks of any meter, whatever protocol it speaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

Observer = Callable[[str, int], None]
"""Told how far what arrives on a line comes: "bytes" (how many), "framed" and "decrypted" (APDUs). From any thread."""


def password_bytes(text: str) -> bytes:
    """A password as the meter gets it: the text's bytes, or those that `0x...` spells in hex."""
    if text[:2].lower() == "0x":
        try:
            return bytes.fromhex(text[2:])
        except ValueError:
            pass
    return text.encode("utf-8", "surrogateescape")


class IntervalRow:
    """One row of a meter's load profile as a signed record needs it.

    interval_end is Unix seconds UTC; the four registers are cumulative Wh; flags are those of edge_agent.wire.reading;
    evidence is the first 16 bytes of the SHA-256 over the APDUs that the row came in, as received.
    """

    __slots__ = ("charge", "consumption", "discharge", "evidence", "flags", "generation", "interval_end")

    def __init__(
        self,
        *,
        interval_end: int,
        generation: int = 0,
        consumption: int = 0,
        charge: int = 0,
        discharge: int = 0,
        flags: int = 0,
        evidence: bytes = bytes(16),
    ) -> None:
        self.interval_end = interval_end
        self.generation = generation
        self.consumption = consumption
        self.charge = charge
        self.discharge = discharge
        self.flags = flags
        self.evidence = evidence

    def __eq__(self, other: object) -> bool:
        return isinstance(other, IntervalRow) and all(
            getattr(self, name) == getattr(other, name) for name in self.__slots__
        )

    def __hash__(self) -> int:
        return hash((self.interval_end, self.evidence))

    def __repr__(self) -> str:
        return (
            f"IntervalRow({self.interval_end}, generation={self.generation}, consumption={self.consumption}, "
            f"charge={self.charge}, discharge={self.discharge}, flags=0x{self.flags:04x})"
        )


class MeterDriver(Protocol):
    """A meter on its line. Every method raises MeterError, of a kind for each cause.

    A driver may have `faults`: what went wrong on the line and was repaired since it was opened (Faults). One whose
    `names_every_row` is true looks at the meter's name with every row by itself. One that listens has `waits_for`: why
    there may be no row yet although the meter speaks.
    """

    def identity(self) -> str:
        """The meter's own name for itself: the logical device name of a DLMS meter."""

    def clock_deviation(self) -> int | None:
        """Gateway minus meter in seconds; None where the meter's clock is not known."""

    def rows(self, since: int, until: int) -> list[IntervalRow]:
        """Rows with since < interval_end <= until (UTC, Unix seconds), oldest first."""

    def power(self) -> int | None:
        """Watts at this moment, import positive; None where the meter does not show it."""

    def close(self) -> None:
        """Free the line."""
