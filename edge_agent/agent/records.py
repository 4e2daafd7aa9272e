"""From what was read to signed records in the journal: all meters of a round in one commit, before anything leaves."""

from __future__ import annotations

from collections.abc import Sequence

from edge_agent import log
from edge_agent.agent.gateway import Gateway, RunningMeter
from edge_agent.meters import IntervalRow
from edge_agent.meters.lines import MeterRead
from edge_agent.wire.reading import FLAG_SAMPLED, Frame

CLOCK_ALERT_SECONDS = 30
"""How far the gateway's clock may be off the authority's before a person is told."""


class Records:
    """Signs rows that may be signed, and makes them durable."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def sign(self, results: Sequence[MeterRead]) -> None:
        """Check, sign and journal what was read, all meters in one commit; then publish."""
        frames: list[Frame] = []
        done: list[tuple[RunningMeter, int]] = []
        room = self._gateway.journal.room()
        for result in results:
            meter = self._gateway.meters[result.meter]
            if not meter.head_known:
                continue
            state = self._gateway.journal.meter(meter.key)
            if state.record is not None and state.record.interval_end < result.since:
                # It was asked before the head was known: rows between would be left out forever. Ask again.
                self._gateway.next_read = self._gateway.clock.monotonic()
                continue
            rows = self._trusted(meter, result.rows)
            signed, fault = meter.signer.sign(
                rows,
                last=state.record_bytes,
                resume=state.resume,
                rebase=state.rebase,
                boundary=result.boundary,
                clock_deviation=result.clock_deviation,
            )
            if fault is not None:
                if self._gateway.board.error("reading", fault.code, str(fault), meter=meter.name):
                    log.error("a meter stops signing", meter=meter.name, code=fault.code, reason=str(fault))
                self._gateway.journal.stop_meter(meter.key, fault.code, str(fault))
            else:
                self._gateway.board.clear("reading", meter=meter.name)
            lacking = state.record is None or state.record.interval_end < result.boundary
            if (
                not signed
                and fault is None
                and lacking
                and len(rows) == len(result.rows)
                and self._expects(meter, result)
            ):
                self._row_missing(meter, result)
            taken = signed[: max(0, room - len(frames))]
            frames += taken
            if taken and taken[-1].record.interval_end == result.boundary:
                self._gateway.board.clear("row", meter=meter.name)
                done.append((meter, result.boundary))
            elif fault is not None:
                meter.read_boundary = result.boundary  # asking again would bring the same row
            if len(taken) < len(signed):
                self._journal_full()
        if not frames:
            return
        self._gateway.journal.append(frames, now=int(self._gateway.clock.time()))
        self._gateway.board.clear("journal")
        for meter, boundary in done:
            meter.read_boundary = boundary
        for frame in frames:
            meter = self._gateway.by_key[frame.public_key]
            record = frame.record
            self._gateway.board.stage(meter.name, "signed")
            log.info(
                "signed",
                meter=meter.name,
                sequence=record.sequence,
                interval_end=record.interval_end,
                registers=",".join(str(value) for value in record.registers),
                flags=f"0x{record.flags:04x}",
            )
        for key in {frame.public_key for frame in frames}:
            self._gateway.show_chain(self._gateway.by_key[key])
        self._gateway.pump_due = 0.0

    def _journal_full(self) -> None:
        message = (
            f"the journal holds {self._gateway.journal.quota} frames that the authority has not taken, and takes "
            "no more; see why (uplink, authority). The meters keep their rows in their own load profiles meanwhile"
        )
        if self._gateway.board.error("journal", "journal_full", message):
            log.error("the journal is full", quota=self._gateway.journal.quota)

    def _row_missing(self, meter: RunningMeter, result: MeterRead) -> None:
        """The boundary's row is often a few seconds late; in the second half of the epoch it is a fault."""
        if self._gateway.clock.time() < result.boundary + self._gateway.epoch / 2:
            return
        deviation = result.clock_deviation
        hint = f"; its clock is {-deviation:+d} s off" if deviation else ""
        why = result.note or "does it capture every epoch?"
        message = f"the meter has no row for the boundary {result.boundary}{hint}; {why}"
        if self._gateway.board.error("row", "row_missing", message, meter=meter.name):
            log.warning("no row for the boundary", meter=meter.name, boundary=result.boundary)

    def _expects(self, meter: RunningMeter, result: MeterRead) -> bool:
        """Whether a row is due for this boundary: registers that come hourly make none in between."""
        return result.boundary % max(self._gateway.epoch, int(meter.settings.registers_seconds or 0)) == 0

    def _trusted(self, meter: RunningMeter, rows: Sequence[IntervalRow]) -> Sequence[IntervalRow]:
        """Rows that may be signed: a sampled one has its time of the gateway's clock, which must not be far off.

        A record of the future would stand in the way of every later one, until that future has come.
        """
        off = self._gateway.clock_off()
        if abs(off) <= max(CLOCK_ALERT_SECONDS, self._gateway.epoch // 4):
            return rows
        kept = [row for row in rows if not row.flags & FLAG_SAMPLED]
        if len(kept) < len(rows):
            message = (
                f"the meter's rows take their time from this gateway's clock, which is {-off:+d} s off; none is signed "
                "before it is set. No energy is lost: the registers count on"
            )
            if self._gateway.board.error("row", "gateway_clock", message, meter=meter.name):
                log.warning("rows are not signed", meter=meter.name, code="gateway_clock", reason=message)
        return kept
