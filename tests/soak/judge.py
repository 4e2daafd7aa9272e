"""What came of a soak: the authority's log and the gateways' journals beside what the meters must have shown."""

import sqlite3
from dataclasses import dataclass, field
from itertools import pairwise

from campus import EPOCH, fingerprint
from sqlalchemy import select

from authority.app import App
from authority.store.metering import Frame, Meter
from edge_agent.wire.reading import FLAG_BACK_FILLED, Record


@dataclass
class Verdict:
    """Counts as the soak's last line has them, and each thing that is wrong in words."""

    signed: int = 0
    accepted: int = 0
    lost: int = 0
    doubled: int = 0
    gaps: int = 0
    live_reads: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def clean(self):
        """Nothing is lost, doubled or missing."""
        return not (self.lost or self.doubled or self.gaps or self.wrong)


def judge(campus, until):
    """Look at a campus at rest, whose meters must all be in the log up to the boundary `until`.

    lost: boundaries without a reading, readings that were signed and are not in the log, registers that are not the
    meter's. doubled: two readings of one boundary, or two signatures under one sequence. gaps: sequences left out.
    live_reads: readings signed at their own boundary rather than recovered from the meter's load profile later.
    """
    verdict = Verdict()
    app = App.open(campus.home)
    with app.store.read() as session:
        for meter in campus.meters:
            rows = session.execute(
                select(Frame.sequence, Frame.interval_end, Frame.frame, Frame.disposition)
                .join(Meter, Meter.id == Frame.meter_pk)
                .where(Meter.name == meter.name)
                .order_by(Frame.log_index)
            ).all()
            _meter(campus, meter, rows, until, verdict)
    for gateway in campus.gateways:
        if gateway.signed_twice and not gateway.lost_journals:
            verdict.doubled += gateway.signed_twice
            verdict.wrong.append(f"{gateway.name} signed {gateway.signed_twice} sequences twice")
        _journal(gateway, verdict)
    return verdict


def _meter(campus, meter, rows, until, verdict):
    """One meter's readings in the log, in the log's order."""
    accepted = {}
    verdict.accepted += len(rows)
    for sequence, end, frame, disposition in rows:
        record = Record.from_bytes(frame[:96])
        registers = record.generation, record.consumption
        if end in accepted:
            verdict.doubled += 1
            verdict.wrong.append(f"{meter.name}: the boundary {end} twice")
        if registers != meter.registers(campus.start_epoch, end) or disposition not in ("accepted", "released"):
            verdict.lost += 1
            verdict.wrong.append(f"{meter.name}: record {sequence} shows {registers}, {disposition}")
        accepted[end] = sequence
        verdict.live_reads += not record.flags & FLAG_BACK_FILLED
    sequences = [row[0] for row in rows]
    for one, next_one in pairwise(sequences):
        if next_one != one + 1:
            verdict.gaps += 1
            verdict.wrong.append(f"{meter.name}: sequence {next_one} after {one}")
    first = min(accepted, default=until)
    missing = [end for end in range(first, until + 1, EPOCH) if end not in accepted]
    verdict.lost += len(missing)
    if missing:
        verdict.wrong.append(f"{meter.name}: {len(missing)} boundaries without a reading, the first {missing[0]}")
    prints = meter.gateway.signed.get(meter.name, ())
    known = {row[0]: (row[1], Record.from_bytes(row[2][:96]).registers) for row in rows}
    logged = {sequence for sequence, value in enumerate(prints) if value}
    verdict.signed += len(logged | set(known))
    for sequence in logged:
        if sequence not in known:
            verdict.lost += 1
            verdict.wrong.append(f"{meter.name}: record {sequence} was signed and is not in the log")
            continue
        end, registers = known[sequence]
        if prints[sequence] != fingerprint(end, ",".join(map(str, registers))) and not meter.gateway.lost_journals:
            verdict.doubled += 1
            verdict.wrong.append(f"{meter.name}: record {sequence} in the log is not the one that was signed")


def _journal(gateway, verdict):
    """A gateway's journal at the end: nothing may wait or be refused, where it was never lost."""
    with sqlite3.connect(gateway.state / "journal.db") as journal:
        states = dict(journal.execute("SELECT state, count(*) FROM frame GROUP BY state"))
    for state in ("waiting", "parked", *([] if gateway.lost_journals else ["refused", "superseded"])):
        if states.get(state):
            verdict.wrong.append(f"{gateway.name}: {states[state]} frames are {state} at the end")
