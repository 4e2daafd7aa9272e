"""Rounds of reading: at each boundary, and again while a meter lacks its row, the lines are asked for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from edge_agent import log
from edge_agent.agent.gateway import Gateway, Line, RunningMeter
from edge_agent.meters.lines import MeterRead, PowerRead, ReadRequest


@dataclass
class _Round:
    """One reading of the meters that lack the boundary's row; what is in by the deadline goes into one commit."""

    boundary: int
    waiting: set[str]
    results: list[MeterRead]
    deadline: float


class Rounds:
    """Asks the lines for rows and hands what they bring to `sign`; notes what is wrong with the lines."""

    def __init__(self, gateway: Gateway, sign: Callable[[Sequence[MeterRead]], None]) -> None:
        self._gateway = gateway
        self._sign_all = sign
        self._tries = 0
        self._round: _Round | None = None

    def lacking(self) -> list[RunningMeter]:
        """Meters that have not yet signed the present boundary."""
        return [meter for meter in self._gateway.meters.values() if meter.read_boundary != self._gateway.boundary]

    def _read_delay(self) -> float:
        if self._gateway.config.read_delay is not None:
            return min(self._gateway.config.read_delay, self._gateway.epoch / 2)
        return min(5.0, self._gateway.epoch / 20)

    def ask(self) -> None:
        """At a boundary, and again while a meter lacks its row, ask the lines for rows since the last signed one."""
        now, wall = self._gateway.clock.monotonic(), self._gateway.clock.time()
        boundary = int(wall // self._gateway.epoch) * self._gateway.epoch
        if boundary != self._gateway.boundary:
            # The jitter keeps a campus of gateways from speaking all at once.
            delay = self._read_delay() * self._gateway.random.uniform(1.0, 1.5)
            self._gateway.boundary, self._tries = boundary, 0
            self._gateway.next_read = now + max(0.0, boundary + delay - wall)
        if self._round is not None or now < self._gateway.next_read:
            return
        wanted: dict[int, tuple[Line, dict[str, int]]] = {}
        for meter in self.lacking():
            last = self._gateway.journal.meter(meter.key).record
            if last is not None and last.interval_end >= boundary and meter.head_known:
                meter.read_boundary = boundary
                continue
            if meter.busy:
                continue
            since = boundary - self._gateway.epoch
            if meter.head_known and last is not None:
                since = min(since, last.interval_end)
            wanted.setdefault(id(meter.line), (meter.line, {}))[1][meter.name] = since
        if not wanted:
            self._gateway.next_read = now + self._gateway.backoff(self._tries)
            return
        names = {name for _, sinces in wanted.values() for name in sinces}
        self._round = _Round(boundary, names, [], now + min(20.0, self._gateway.epoch / 3))
        for name in names:
            self._gateway.meters[name].busy = True
        for line, sinces in wanted.values():
            line.request(ReadRequest(boundary, sinces))

    def take(self, event: MeterRead) -> None:
        """What came of reading one meter."""
        meter = self._gateway.meters[event.meter]
        meter.busy = False
        if self._round is not None and event.boundary == self._round.boundary and meter.name in self._round.waiting:
            self._round.waiting.discard(meter.name)
            self._round.results.append(event)
        else:
            self._sign([event])  # it came after its round's deadline

    def finish(self) -> None:
        """Sign what is in, once all have answered or the deadline has passed."""
        done = self._round
        if done is None or (done.waiting and self._gateway.clock.monotonic() < done.deadline):
            return
        self._round = None
        for name in done.waiting:
            if self._gateway.board.fault("line", meter=name) is None:
                self._note_line("line", self._gateway.meters[name], "no_answer_yet", "the line has not answered yet")
        self._gateway.next_read = self._gateway.clock.monotonic() + self._gateway.backoff(self._tries)
        self._tries += 1
        self._sign(done.results)

    def _sign(self, results: Sequence[MeterRead]) -> None:
        """Note what is wrong with lines, and hand on what was read well."""
        read = []
        for result in results:
            meter = self._gateway.meters[result.meter]
            if result.error is not None:
                self._line_error(meter, result.error)
                continue
            self._line_answered(meter, result)
            self._gateway.board.count(meter.name, "decoded", len(result.rows))
            self._gateway.board.set_meter(meter.name, clock_deviation=result.clock_deviation)
            read.append(result)
        self._sign_all(read)

    def _line_error(self, meter: RunningMeter, error: Exception) -> None:
        code = getattr(error, "code", None) or "driver_failed"
        if not getattr(error, "retry", True):
            meter.unproved.add(code)
        self._note_line("line", meter, code, str(error) or type(error).__name__)

    def _note_line(self, part: str, meter: RunningMeter, code: str, message: str) -> None:
        if self._gateway.board.error(part, code, message, meter=meter.name):
            log.warning("a meter cannot be read", meter=meter.name, code=code, reason=message)

    def _line_answered(self, meter: RunningMeter, result: MeterRead) -> None:
        """A reading that went well: it proves that the line is right, and only rows prove that the map fits the
        meter."""
        if result.rows:
            meter.unproved.clear()
        if self._gateway.board.fault("line", meter=meter.name) not in meter.unproved:
            self._gateway.board.clear("line", meter=meter.name)

    def take_power(self, event: PowerRead) -> None:
        """Live power of a meter, or why there is none. It proves nothing about the rows."""
        meter = self._gateway.meters[event.meter]
        if event.error is not None:
            code = getattr(event.error, "code", None) or "driver_failed"
            self._note_line("power", meter, code, str(event.error) or type(event.error).__name__)
            self._gateway.board.set_meter(meter.name, power_w=None)
            return
        self._gateway.board.clear("power", meter=meter.name)
        self._gateway.board.set_meter(meter.name, power_w=event.power_w)
        if event.power_w is not None:
            self._gateway.powers[meter.name] = {"power_w": event.power_w, "time": event.time}
