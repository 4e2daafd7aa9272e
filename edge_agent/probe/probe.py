"""A probe on a meter: at each boundary it reads, signs with its own key, journals, and hands its frames over.

It has no network and no clock but the meter's. A reading is the registers as they stand soon after the boundary, with
the boundary's time (`sampled`); what flowed between is in the next interval, and nothing is lost or counted twice.
"""

from __future__ import annotations

from edge_agent.dlms.errors import DlmsError, ProtocolError
from edge_agent.wire.reading import FLAG_SAMPLED, ZERO_HASH, Frame, Record, previous_hash

TYPE_CHECKING = False
if TYPE_CHECKING:
    from edge_agent.probe.ed25519 import KeyHere
    from edge_agent.probe.journal import ProbeJournal
    from edge_agent.probe.meter import ProbeMeter

REGISTERS = ("generation", "consumption", "charge", "discharge")
LATE = 4
"""A boundary that has passed for longer than an epoch's fourth part is not read any more: its registers are others."""


class Probe:
    """Reads one meter. registers: the OBIS code by the name of the signed register, such as {"consumption": ...}."""

    def __init__(
        self,
        meter: ProbeMeter,
        journal: ProbeJournal,
        key: KeyHere,
        *,
        name: str,
        network_id: bytes,
        epoch_seconds: int,
        source: int,
        registers: dict[str, str],
        first_sequence: int = 1,
    ) -> None:
        self._meter = meter
        self._journal = journal
        self._key = key
        self._name = name
        self._network_id = network_id
        self._epoch = epoch_seconds
        self._source = source
        self._registers = registers
        self._first_sequence = first_sequence
        self.fault: DlmsError | None = None
        """Why the last look at the meter brought nothing."""

    def look(self) -> int:
        """Look at the meter: sign its boundary if that is due. Seconds until the next look."""
        try:
            self._meter.open()
            try:
                wait = self._look()
            finally:
                self._meter.close()
        except DlmsError as error:
            self.fault = error
            return 1
        self.fault = None
        return wait

    def _look(self) -> int:
        now = self._meter.time()
        boundary = now // self._epoch * self._epoch
        last = None if self._journal.last is None else self._journal.last.record
        due = last is None or last.interval_end < boundary
        if due and now - boundary <= max(1, self._epoch // LATE):
            if self._meter.name() != self._name:
                return self._epoch  # another meter: nothing is signed for it
            self._sign(boundary)
            now = self._meter.time()
        return max(1, self._epoch - now % self._epoch)

    def _sign(self, boundary: int) -> None:
        self._meter.begin_evidence()
        values = {name: self._meter.energy(obis) for name, obis in self._registers.items()}
        last = self._journal.last
        if last is not None and any(values.get(name, 0) < getattr(last.record, name) for name in REGISTERS):
            raise ProtocolError(
                "register_fell", "a register shows less than was signed: a person must look at the meter"
            )
        record = Record(
            sequence=self._first_sequence if last is None else last.record.sequence + 1,
            network_id=self._network_id,
            interval_end=boundary,
            generation=values.get("generation", 0),
            consumption=values.get("consumption", 0),
            charge=values.get("charge", 0),
            discharge=values.get("discharge", 0),
            interval_seconds=self._epoch,
            source=self._source,
            flags=FLAG_SAMPLED,
            previous_hash=ZERO_HASH if last is None else previous_hash(last.record_bytes),
            evidence=self._meter.evidence(),
        ).to_bytes()
        self._journal.append(Frame(record, self._key.public_key, self._key.sign(record)))
