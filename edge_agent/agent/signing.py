"""From a meter's rows to signed frames: which rows count, what their registers become, and what is signed.

Pure but for the key: everything comes in as arguments, so each rule can be looked at by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edge_agent.errors import EdgeError
from edge_agent.meters import IntervalRow
from edge_agent.state.journal import NEEDS_REBASE
from edge_agent.state.keys import MeterKey
from edge_agent.wire.meter_map import MeterMap
from edge_agent.wire.reading import (
    CLOCK_DEVIATION_UNKNOWN,
    FLAG_BACK_FILLED,
    FLAG_REGISTER_RESET,
    FLAG_RESYNCHRONISED,
    KNOWN_FLAGS,
    TRUNCATED_HASH_SIZE,
    ZERO_HASH,
    Frame,
    Record,
    previous_hash,
)
from edge_agent.wire.rules import greatest_step_wh

_U64 = 2**64 - 1
_MAX_SEQUENCE = 0xFFFF_FFFF
_SLACK_WH = 1000
"""What a step may exceed the most that power and time allow by: registers of whole kWh."""


class NeedsRebaseError(EdgeError):
    """A register fell and its declared modulus does not explain it: the meter was exchanged or reset.

    Nothing more is signed for this meter until a person has looked at it (`edge-agent reset-meter`).
    """

    code = NEEDS_REBASE


class RowError(EdgeError):
    """A row that cannot be a reading: a register out of range, or evidence of the wrong size."""

    code = "row_invalid"


@dataclass(frozen=True)
class Signer:
    """What one meter's records are made with. first_sequence is the registered first sequence of the key."""

    key: MeterKey
    map: MeterMap
    network_id: bytes
    epoch_seconds: int
    source: int
    first_sequence: int
    max_power_w: int

    def sign(
        self,
        rows: Sequence[IntervalRow],
        *,
        last: bytes | None,
        resume: bool,
        rebase: bool,
        boundary: int,
        clock_deviation: int | None,
    ) -> tuple[list[Frame], NeedsRebaseError | RowError | None]:
        """Sign the rows that follow the last signed record (96 bytes; None before the first), oldest first.

        boundary is the boundary just passed; earlier rows are marked back-filled. Before the first record only the
        boundary's own row counts: it is the baseline. With `resume` the first record carries `resynchronised`. With
        `rebase` the first record goes on from a register that fell, and says `register reset`. Rows off the epoch's
        boundaries are left out (their energy is in the next), as are rows later than the boundary.

        Returns the frames, and what stopped the signing before the last row: NeedsRebaseError where a register fell,
        RowError where a row cannot be a reading.
        """
        record = None if last is None else Record.from_bytes(last)
        frames: list[Frame] = []
        for row in rows:
            if row.interval_end % self.epoch_seconds or row.interval_end > boundary:
                continue
            if record is None and row.interval_end != boundary:
                continue
            if record is not None and row.interval_end <= record.interval_end:
                continue
            try:
                record = self._record(row, record, resume, rebase, boundary, clock_deviation, last)
            except (NeedsRebaseError, RowError) as error:
                return frames, error
            last, resume, rebase = record.to_bytes(), False, False
            frames.append(Frame(last, self.key.public_key, self.key.sign(last)))
        return frames, None

    def _record(
        self,
        row: IntervalRow,
        previous: Record | None,
        resume: bool,
        rebase: bool,
        boundary: int,
        clock_deviation: int | None,
        last: bytes | None,
    ) -> Record:
        registers = (row.generation, row.consumption, row.charge, row.discharge)
        if any(type(value) is not int or not 0 <= value <= _U64 for value in registers):
            raise RowError(f"the meter's row of {row.interval_end} has registers {registers}, outside 0 to 2^64-1 Wh")
        if len(row.evidence) != TRUNCATED_HASH_SIZE:
            raise RowError(f"the meter's row of {row.interval_end} has {len(row.evidence)} bytes of evidence")
        register_epoch, sequence, reset = 0, self.first_sequence, False
        if previous is not None:
            if previous.sequence >= _MAX_SEQUENCE:
                raise RowError("this key has signed its last sequence; enrol the meter with a new key")
            sequence = previous.sequence + 1
            seconds = row.interval_end - previous.interval_end
            try:
                registers, changed = self._unwrap(registers, previous, seconds)
            except NeedsRebaseError:
                if not rebase:
                    raise
                changed = reset = True
            register_epoch = (previous.register_epoch + changed) & 0xFF
        flags = row.flags & KNOWN_FLAGS
        if row.interval_end < boundary:
            flags |= FLAG_BACK_FILLED
        if resume:
            flags |= FLAG_RESYNCHRONISED
        if reset:
            flags |= FLAG_REGISTER_RESET
        return Record(
            sequence=sequence,
            network_id=self.network_id,
            interval_end=row.interval_end,
            generation=registers[0],
            consumption=registers[1],
            charge=registers[2],
            discharge=registers[3],
            interval_seconds=self.epoch_seconds,
            source=self.source,
            register_epoch=register_epoch,
            clock_deviation=_deviation(clock_deviation),
            flags=flags,
            # a new key's first record hangs off none, even where it continues another key's registers
            previous_hash=ZERO_HASH if last is None or sequence == self.first_sequence else previous_hash(last),
            evidence=row.evidence,
        )

    def _unwrap(
        self, raw: tuple[int, int, int, int], previous: Record, seconds: int
    ) -> tuple[tuple[int, int, int, int], bool]:
        """Registers that never fall: a rolled-over one goes on above the last, where its modulus explains the step.

        Signed registers count on over rollovers, so the number of past rollovers is in the last record itself.
        """
        modulus = self.map.rollover_wh
        most = greatest_step_wh(self.max_power_w, seconds) + _SLACK_WH
        values, rolled = [], False
        for value, last in zip(raw, previous.registers, strict=True):
            if modulus is not None and value < modulus:
                candidate = last - last % modulus + value
                if candidate < last and candidate + modulus - last <= most:
                    candidate += modulus
                    rolled = True
            else:
                candidate = value
            if candidate < last:
                raise NeedsRebaseError(
                    f"a register fell from {last} to {candidate} Wh between {previous.interval_end} and "
                    f"{previous.interval_end + seconds}"
                    + (f", which its modulus of {modulus} Wh does not explain" if modulus else "")
                    + "; nothing more is signed for it until a person has looked. "
                    "Where the meter was reset: edge-agent reset-meter"
                )
            values.append(candidate)
        return (values[0], values[1], values[2], values[3]), rolled


def _deviation(value: int | None) -> int:
    """Gateway minus meter in seconds as an i16; beyond its range the nearest, unknown as its own value."""
    if value is None:
        return CLOCK_DEVIATION_UNKNOWN
    return max(CLOCK_DEVIATION_UNKNOWN + 1, min(0x7FFF, value))
