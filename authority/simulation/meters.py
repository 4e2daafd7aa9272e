"""The gateways' side of a simulated meter: registers, and records that are signed as the edge agent signs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from solders.keypair import Keypair

from edge_agent.wire.reading import SOURCES, ZERO_HASH, Record, previous_hash

FIRST_REGISTER_WH = 100_000
"""What a new meter shows more than the one before it in the plan, so that no two look alike."""


@dataclass
class SimulatedMeter:
    """A metering point with its key: what its device's registers hold (mWh), and where its signed records stand.

    read_until is the last boundary of which the authority has its reading, Unix seconds; kept are those after it that
    the gateway could not send yet, each with its registers as they are signed (Wh). devices counts the present one and
    those that it took the place of; offset_wh is what its map adds to what it shows. retired: it is read no more.
    """

    key: Keypair
    first_serial: str
    source: str
    network_id: bytes
    interval_seconds: int
    registers_mwh: list[int]
    sequence: int = 1
    previous: bytes = ZERO_HASH
    read_until: int = 0
    devices: int = 1
    offset_wh: tuple[int, ...] = (0, 0, 0, 0)
    retired: bool = False
    kept: list[tuple[int, list[int]]] = field(default_factory=list)
    public_key: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.public_key = bytes(self.key.pubkey())

    def move(self, steps_mwh: Sequence[int]) -> None:
        """Count what flowed in an interval."""
        self.registers_mwh = [held + step for held, step in zip(self.registers_mwh, steps_mwh, strict=True)]

    def read(self, boundary: int) -> None:
        """Keep the registers as they stand at a boundary, for the reading of the interval that ends there."""
        if boundary > self.read_until and not self.retired:
            signed = [wh + offset for wh, offset in zip(self.shown_wh(), self.offset_wh, strict=True)]
            self.kept.append((boundary, signed))

    def shown_wh(self) -> list[int]:
        """What the device's display shows of each register."""
        return [mwh // 1_000 for mwh in self.registers_mwh]

    @property
    def serial(self) -> str:
        """The present device's."""
        return self.first_serial if self.devices == 1 else f"{self.first_serial}-{self.devices}"

    def exchange(self, first_wh: int) -> None:
        """Another device in its place, whose registers all show so much; what is signed goes on to the Wh."""
        offsets = zip(self.shown_wh(), self.offset_wh, strict=True)
        self.offset_wh = tuple(last + before - first_wh for last, before in offsets)
        self.devices += 1
        self.registers_mwh = [first_wh * 1_000] * len(self.registers_mwh)

    def sign(self) -> bytes:
        """The signed frames (192 bytes each) of all that is kept, in order; it is kept no longer."""
        frames = [self._signed(*kept) for kept in self.kept]
        self.kept = []
        return b"".join(frames)

    def _signed(self, interval_end: int, registers: list[int]) -> bytes:
        generation, consumption, charge, discharge = registers
        record = Record(
            sequence=self.sequence,
            network_id=self.network_id,
            interval_end=interval_end,
            generation=generation,
            consumption=consumption,
            charge=charge,
            discharge=discharge,
            interval_seconds=self.interval_seconds,
            source=SOURCES.index(self.source),
            clock_deviation=0,
            previous_hash=self.previous,
        ).to_bytes()
        self.sequence += 1
        self.previous = previous_hash(record)
        return record + self.public_key + bytes(self.key.sign_message(record))
