"""The gateways' side of a simulated meter: registers, and records that are signed as the edge agent signs them."""

from __future__ import annotations

from dataclasses import dataclass, field

from solders.keypair import Keypair

from edge_agent.wire.reading import FLAG_BACK_FILLED, SOURCES, ZERO_HASH, Record, previous_hash

FIRST_REGISTER_WH = 100_000
"""What a new meter shows more than the one before it in the plan, so that no two look alike."""


@dataclass
class SimulatedMeter:
    """A meter with its key: what its registers hold (mWh), and where its chain of signed records stands."""

    key: Keypair
    source: str
    network_id: bytes
    interval_seconds: int
    registers_mwh: list[int]
    sequence: int = 1
    previous: bytes = ZERO_HASH
    public_key: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.public_key = bytes(self.key.pubkey())

    def move(self, steps_mwh: tuple[int, int, int, int]) -> None:
        """Count what flowed in an interval."""
        self.registers_mwh = [held + step for held, step in zip(self.registers_mwh, steps_mwh, strict=True)]

    def read(self, interval_end: int, *, back_filled: bool = False) -> bytes:
        """The signed frame (192 bytes) of the registers as they stand, for the interval that ends then."""
        generation, consumption, charge, discharge = (mwh // 1_000 for mwh in self.registers_mwh)
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
            flags=FLAG_BACK_FILLED if back_filled else 0,
            clock_deviation=0,
            previous_hash=self.previous,
        ).to_bytes()
        self.sequence += 1
        self.previous = previous_hash(record)
        return record + self.public_key + bytes(self.key.sign_message(record))
