"""The agent: at each boundary read, sign, journal, publish; delete on the authority's signed receipt alone.

One thread runs this loop and owns the journal. Serial lines and uplinks have threads of their own and speak to it
through events, so that nothing slow ever stands between a meter and the journal. The order that everything rests on:
a frame is durable before it leaves, and a meter signs nothing after a start before the authority's head is known (an SD
card lies about flushing, and a sequence must never be signed twice).
"""

from __future__ import annotations

import functools
import json
import queue
import random as random_module
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge_agent import log
from edge_agent.agent.signing import Signer
from edge_agent.config import GatewayConfig, MeterSettings
from edge_agent.meters import IntervalRow
from edge_agent.meters.ports import MeterRead, PortEvent, PowerRead, ReadRequest
from edge_agent.state.credentials import Credentials, EnrolledMeter
from edge_agent.state.journal import Held, Journal, JournalError
from edge_agent.state.keys import MeterKey, verify
from edge_agent.state.status import StatusBoard
from edge_agent.uplinks import (
    AuthorityTime,
    Batch,
    BatchFailed,
    BatchSent,
    CommandArrived,
    HeadArrived,
    HeadFailed,
    LinkChanged,
    ReceiptsArrived,
    UplinkEvent,
)
from edge_agent.wire.reading import (
    CODES,
    FLAG_SAMPLED,
    FRAME_SIZE,
    MAX_FRAMES,
    RECEIPT_SIZE,
    VERDICT_ACCEPTED,
    VERDICT_HELD,
    VERDICT_PARKED,
    VERDICT_REFUSED,
    Frame,
    ReadingError,
    Receipt,
    Record,
    record_hash,
    split_receipts,
)

RESEND_SECONDS = 60.0
MAX_EVENTS = 20_000
"""Events that may wait for the loop; beyond, receipts and live power are dropped (receipts come again)."""

MAX_RECEIPTS = 4096
"""Receipts taken from one message; each costs a signature check."""

STATUS_FILE_SECONDS = (2.0, 30.0)
"""The status file is written so soon after something notable, and at least so often; more would wear SD cards out."""

STATUS_UPLINK_SECONDS = 60.0
CLOCK_ALERT_SECONDS = 30
CERTIFICATE_ALERT_SECONDS = 30 * 86400

Event = UplinkEvent | PortEvent


class Clock(Protocol):
    """Where the agent has its time from."""

    def time(self) -> float:
        """Unix seconds, UTC; may jump when the gateway's clock is set."""

    def monotonic(self) -> float:
        """Seconds that never jump."""


class Port(Protocol):
    """A serial line (edge_agent.meters.ports.SerialPort)."""

    @property
    def meters(self) -> Mapping[str, MeterSettings]:
        """Its meters by name."""

    def request(self, request: ReadRequest) -> None:
        """Have meters read."""


class Carrier(Protocol):
    """The way up (edge_agent.uplinks.choice.Uplinks)."""

    @property
    def name(self) -> str:
        """What carries readings now."""

    @property
    def connected(self) -> bool:
        """Whether its link stands."""

    def send(self, batch: Batch, tries: int) -> None:
        """Send a batch."""

    def request_head(self, meter: str) -> None:
        """Fetch a head."""

    def live(self, powers: Mapping[str, Mapping[str, int]]) -> None:
        """Tell live power."""

    def status(self, status: Mapping[str, Any]) -> None:
        """Tell the gateway's status."""


class EventQueue:
    """Where the threads put what happened. emit may be called from any thread; it never blocks."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self.dropped = 0

    def emit(self, event: Event) -> None:
        """Put an event; in a flood, what comes again by itself is dropped and counted."""
        if isinstance(event, ReceiptsArrived | CommandArrived | PowerRead) and self._queue.qsize() > MAX_EVENTS:
            self.dropped += 1
            return
        self._queue.put(event)

    def wake(self) -> None:
        """Let the loop look around; safe in a signal handler."""
        self._queue.put(None)

    def get(self, timeout: float) -> Event | None:
        """The next event, None after `timeout` seconds without one."""
        try:
            return self._queue.get(timeout=timeout) if timeout > 0 else self._queue.get_nowait()
        except queue.Empty:
            return None


@dataclass
class _Meter:
    """One meter in the running agent. Times are monotonic."""

    settings: MeterSettings
    enrolled: EnrolledMeter
    signer: Signer
    port: Port
    head_known: bool = False
    head_asked: bool = False
    head_due: float = 0.0
    head_tries: int = 0
    head_wanted: bool = False
    """A link came back: compare with the authority's head again."""
    head_forced: bool = False
    """The authority refused a record: continue from its head whatever it is."""
    read_boundary: int | None = None
    busy: bool = False
    """Its port has been asked and has not answered."""
    due: dict[int, float] = field(default_factory=dict)
    """Frames that were sent, by number in the journal, and when they go again."""
    tries: dict[int, int] = field(default_factory=dict)
    hold_until: float = 0.0
    failures: int = 0
    gap_until: float = 0.0

    @property
    def name(self) -> str:
        return self.settings.name

    @property
    def key(self) -> bytes:
        return self.enrolled.public_key


@dataclass
class _Round:
    """One reading of the meters that lack the boundary's row; what is in by the deadline goes into one commit."""

    boundary: int
    waiting: set[str]
    results: list[MeterRead]
    deadline: float


class Agent:
    """The loop of one gateway. `step` does what is due; `run` steps until `stop`.

    journal is opened anew by `reopen_journal` when it turns out damaged while running.
    """

    def __init__(
        self,
        config: GatewayConfig,
        credentials: Credentials,
        keys: Mapping[str, MeterKey],
        *,
        journal: Journal,
        reopen_journal: Callable[[], Journal],
        board: StatusBoard,
        carrier: Carrier,
        ports: Sequence[Port],
        events: EventQueue,
        clock: Clock,
        random: random_module.Random,
    ) -> None:
        self._config = config
        self._credentials = credentials
        self._epoch = credentials.epoch_seconds
        self._certificate_expires = credentials.certificate_expires()
        self._journal = journal
        self._reopen_journal = reopen_journal
        self._board = board
        self._carrier = carrier
        self._events = events
        self._clock = clock
        self._random = random
        self._stopping = False
        self._meters: dict[str, _Meter] = {}
        for port in ports:
            for settings in port.meters.values():
                enrolled = credentials.meter(settings.name)
                if enrolled is None:
                    raise ValueError(f"meter {settings.name!r} is not enrolled")
                signer = Signer(
                    key=keys[settings.name],
                    map=settings.map,
                    network_id=credentials.network_id,
                    epoch_seconds=self._epoch,
                    source=enrolled.source,
                    first_sequence=enrolled.first_sequence,
                    max_power_w=settings.max_power_w,
                )
                self._meters[settings.name] = _Meter(settings, enrolled, signer, port)
        self._by_key = {meter.key: meter for meter in self._meters.values()}
        self._boundary = 0
        self._next_read = 0.0
        self._read_tries = 0
        self._round: _Round | None = None
        self._pump_due = 0.0
        self._powers: dict[str, dict[str, int]] = {}
        self._ignored: dict[str, int] = {}
        self._links: dict[str, bool] = {}
        self._link_since: int | None = None
        self._authority_time: tuple[float, float] | None = None
        """What the authority's clock said, and the monotonic time at which it did."""
        self._shown = ""
        self._status_written = -STATUS_FILE_SECONDS[1]
        self._status_uplink_due = 0.0
        self._resend = min(RESEND_SECONDS, float(self._epoch))
        self._add_meters()

    # -- the loop ------------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Have `run` return; safe in a signal handler."""
        self._stopping = True
        self._events.wake()

    def run(self, tick: Callable[[], None] = lambda: None) -> None:
        """Step until `stop`; `tick` is called each time round (a watchdog's sign of life)."""
        while not self._stopping:
            self.step(self._wait())
            tick()
        self._guarded(self._write_status)

    def close(self) -> None:
        """Close the journal, after ports and uplinks have ended."""
        self._journal.close()

    def step(self, timeout: float = 0.0) -> None:
        """Take the events that have come (waiting for the first at most `timeout` seconds), then do what is due."""
        event = self._events.get(timeout)
        for _ in range(1000):
            if event is None:
                break
            self._guarded(functools.partial(self._take, event))
            event = self._events.get(0)
        self._guarded(self._ask_heads)
        self._guarded(self._read)
        self._guarded(self._finish_round)
        self._guarded(self._pump)
        self._guarded(self._tell)

    def _wait(self) -> float:
        now = self._clock.monotonic()
        until_boundary = self._epoch - self._clock.time() % self._epoch
        return max(
            0.01, min(0.5, until_boundary, self._pump_due - now, self._next_read - now if self._lacking() else 0.5)
        )

    def _guarded(self, part: Callable[[], None]) -> None:
        """A journal that fails is dealt with; the loop goes on."""
        try:
            part()
        except JournalError as error:
            if error.code == "journal_damaged":
                self._replace_journal(error)
            elif self._board.error("journal", error.code, str(error)):
                log.error("the journal cannot be used", code=error.code, reason=str(error))

    def _take(self, event: Event) -> None:
        match event:
            case MeterRead():
                self._take_read(event)
            case PowerRead():
                self._take_power(event)
            case ReceiptsArrived():
                self._take_receipts(event)
            case BatchSent():
                self._take_sent(event)
            case BatchFailed():
                self._take_failed(event)
            case HeadArrived():
                self._take_head(event)
            case HeadFailed():
                self._take_head_failed(event)
            case LinkChanged():
                self._take_link(event)
            case CommandArrived():
                self._take_command(event)
            case AuthorityTime():
                self._take_time(event)

    # -- the journal ---------------------------------------------------------------------------------------------------

    def _add_meters(self) -> None:
        if self._journal.set_aside is not None:
            self._board.error(
                "journal_lost",
                "journal_set_aside",
                f"the journal was damaged and lies at {self._journal.set_aside} now; the meters continue from the "
                "authority's head. Look at the disk: an SD card that wears out does this",
            )
            log.error("the journal was damaged and set aside", file=str(self._journal.set_aside))
        for meter in self._meters.values():
            self._journal.add_meter(meter.key, meter.name)
            self._show_chain(meter)

    def _replace_journal(self, error: JournalError) -> None:
        log.error("the journal is damaged", reason=str(error))
        self._journal.close()
        self._journal = self._reopen_journal()
        for meter in self._meters.values():
            meter.head_known = meter.head_asked = False
            meter.due.clear()
            meter.tries.clear()
        self._add_meters()

    # -- the head ------------------------------------------------------------------------------------------------------

    def _ask_heads(self) -> None:
        now = self._clock.monotonic()
        for meter in self._meters.values():
            wanted = not meter.head_known or meter.head_forced or meter.head_wanted
            if wanted and not meter.head_asked and now >= meter.head_due:
                meter.head_asked = True
                self._carrier.request_head(meter.name)

    def _take_head_failed(self, event: HeadFailed) -> None:
        meter = self._meters[event.meter]
        self._head_later(meter, event.error.code, str(event.error), event.error.retry_after)

    def _head_later(self, meter: _Meter, code: str, reason: str, retry_after: float | None = None) -> None:
        meter.head_asked = False
        meter.head_due = self._clock.monotonic() + self._backoff(meter.head_tries, retry_after)
        meter.head_tries += 1
        if not meter.head_known or meter.head_forced:
            message = f"the authority's head is not to be had, and nothing is signed before it is: {reason}"
            if self._board.error("head", code, message, meter=meter.name):
                log.warning("no head from the authority", meter=meter.name, code=code, reason=reason)

    def _take_head(self, event: HeadArrived) -> None:
        meter = self._meters[event.meter]
        head: Frame | None = None
        receipt: Receipt | None = None
        if event.data is not None:
            try:
                head, receipt = self._check_head(meter, event.data)
            except ReadingError as error:
                self._ignore("head")
                self._head_later(meter, "head_invalid", f"what it sent as head is not ours: {error}")
                return
        meter.head_asked, meter.head_wanted, meter.head_tries = False, False, 0
        self._continue_from(meter, head, receipt)
        if not meter.head_known:
            self._next_read = min(self._next_read, self._clock.monotonic())
        meter.head_known = True
        self._board.clear("head", meter=meter.name)
        self._show_chain(meter)
        self._pump_due = 0.0

    def _check_head(self, meter: _Meter, data: bytes) -> tuple[Frame, Receipt]:
        """A head is a frame of our own key with the authority's receipt for it; or, before our key's first, of the key
        that this meter had before, whose registers ours continues."""
        if len(data) != FRAME_SIZE + RECEIPT_SIZE:
            raise ReadingError("malformed", f"{len(data)} bytes")
        frame, receipt = Frame.from_bytes(data[:FRAME_SIZE]), Receipt.from_bytes(data[FRAME_SIZE:])
        record = frame.record
        former = frame.public_key != meter.key
        if former and record.sequence + 1 != meter.enrolled.first_sequence:
            raise ReadingError("bad_signature", "it carries another meter's key")
        if record.network_id != self._credentials.network_id:
            raise ReadingError("wrong_network", "it is of another network")
        if not verify(frame.public_key, frame.signature, frame.record_bytes):
            raise ReadingError("bad_signature", "its signature is not this meter's")
        reason = self._receipt_fault(receipt, former=frame.public_key if former else None)
        if reason is None and (receipt.meter_key, receipt.record_hash, receipt.sequence) != (
            frame.public_key,
            record_hash(frame.record_bytes),
            record.sequence,
        ):
            reason = "for another record"
        if reason is None and receipt.verdict not in (VERDICT_ACCEPTED, VERDICT_HELD):
            reason = "of a verdict that takes nothing"
        if reason is not None:
            raise ReadingError("bad_signature", f"its receipt is {reason}")
        return frame, receipt

    def _continue_from(self, meter: _Meter, head: Frame | None, receipt: Receipt | None) -> None:
        """Continue from the later of journal and head; from the head alone where the two disagree."""
        state = self._journal.meter(meter.key)
        ours = state.record
        forced, meter.head_forced = meter.head_forced, False
        if receipt is not None:
            self._journal.apply([receipt], now=int(self._clock.time()))
        theirs = None if head is None else head.record
        head_bytes = None if head is None else head.record_bytes
        if theirs is None and ours is None:
            return
        if theirs is None or (ours is not None and theirs.sequence < ours.sequence):
            # The authority is behind: everything from its next record on must come from the journal.
            following = meter.enrolled.first_sequence if theirs is None else theirs.sequence + 1
            agrees = theirs is None or self._journal.agrees(meter.key, theirs.sequence, record_hash(head_bytes or b""))
            if agrees and not forced:
                if self._journal.holds_sequence(meter.key, following):
                    self._journal.requeue(meter.key, following)
                    self._board.clear("behind", meter=meter.name)
                else:
                    self._behind(meter, following)
                return
        elif ours is not None and theirs.sequence == ours.sequence and head_bytes == state.record_bytes and not forced:
            return
        if forced and ours is not None and head_bytes == state.record_bytes:
            return  # the refused frames were superseded before: we stand at the head already
        self._journal.resume_from(meter.key, head_bytes, now=int(self._clock.time()))
        meter.due.clear()
        meter.tries.clear()
        meter.read_boundary = None
        log.warning(
            "continuing from the authority's head",
            meter=meter.name,
            head=None if theirs is None else theirs.sequence,
            journal=None if ours is None else ours.sequence,
        )

    def _behind(self, meter: _Meter, sequence: int) -> None:
        new = self._board.error(
            "behind",
            "authority_behind",
            f"the authority expects record {sequence}, which it has receipted before and the archive no longer holds; "
            "was it restored from an old backup? Restore a newer one, or enrol the meter with a new key",
            meter=meter.name,
        )
        if new:
            log.error("the authority lacks records that it has receipted", meter=meter.name, expects=sequence)

    # -- reading -------------------------------------------------------------------------------------------------------

    def _lacking(self) -> list[_Meter]:
        """Meters that have not yet signed the present boundary."""
        return [meter for meter in self._meters.values() if meter.read_boundary != self._boundary]

    def _read_delay(self) -> float:
        if self._config.read_delay is not None:
            return min(self._config.read_delay, self._epoch / 2)
        return min(5.0, self._epoch / 20)

    def _read(self) -> None:
        """At a boundary, and again while a meter lacks its row, ask the ports for rows since the last signed one."""
        now, wall = self._clock.monotonic(), self._clock.time()
        boundary = int(wall // self._epoch) * self._epoch
        if boundary != self._boundary:
            # The jitter keeps a campus of gateways from speaking all at once.
            delay = self._read_delay() * self._random.uniform(1.0, 1.5)
            self._boundary, self._read_tries = boundary, 0
            self._next_read = now + max(0.0, boundary + delay - wall)
        if self._round is not None or now < self._next_read:
            return
        wanted: dict[int, tuple[Port, dict[str, int]]] = {}
        for meter in self._lacking():
            last = self._journal.meter(meter.key).record
            if last is not None and last.interval_end >= boundary and meter.head_known:
                meter.read_boundary = boundary
                continue
            if meter.busy:
                continue
            since = boundary - self._epoch
            if meter.head_known and last is not None:
                since = min(since, last.interval_end)
            wanted.setdefault(id(meter.port), (meter.port, {}))[1][meter.name] = since
        if not wanted:
            self._next_read = now + self._backoff(self._read_tries)
            return
        names = {name for _, sinces in wanted.values() for name in sinces}
        self._round = _Round(boundary, names, [], now + min(20.0, self._epoch / 3))
        for name in names:
            self._meters[name].busy = True
        for port, sinces in wanted.values():
            port.request(ReadRequest(boundary, sinces))

    def _take_read(self, event: MeterRead) -> None:
        meter = self._meters[event.meter]
        meter.busy = False
        if self._round is not None and event.boundary == self._round.boundary and meter.name in self._round.waiting:
            self._round.waiting.discard(meter.name)
            self._round.results.append(event)
        else:
            self._sign([event])  # it came after its round's deadline

    def _finish_round(self) -> None:
        done = self._round
        if done is None or (done.waiting and self._clock.monotonic() < done.deadline):
            return
        self._round = None
        for name in done.waiting:
            self._line_error(self._meters[name], "no_answer_yet", "the line has not answered yet")
        self._next_read = self._clock.monotonic() + self._backoff(self._read_tries)
        self._read_tries += 1
        self._sign(done.results)

    def _sign(self, results: Sequence[MeterRead]) -> None:
        """Check, sign and journal what was read, all meters in one commit; then publish."""
        frames: list[Frame] = []
        done: list[tuple[_Meter, int]] = []
        room = self._journal.room()
        for result in results:
            meter = self._meters[result.meter]
            if result.error is not None:
                code = getattr(result.error, "code", None) or "driver_failed"
                self._line_error(meter, code, str(result.error) or type(result.error).__name__)
                continue
            self._board.clear("line", meter=meter.name)
            self._board.count(meter.name, "decoded", len(result.rows))
            self._board.set_meter(meter.name, clock_deviation=result.clock_deviation)
            if not meter.head_known:
                continue
            state = self._journal.meter(meter.key)
            if state.record is not None and state.record.interval_end < result.since:
                # It was asked before the head was known: rows between would be left out for ever. Ask again.
                self._next_read = self._clock.monotonic()
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
                if self._board.error("reading", fault.code, str(fault), meter=meter.name):
                    log.error("a meter stops signing", meter=meter.name, code=fault.code, reason=str(fault))
                self._journal.stop_meter(meter.key, fault.code, str(fault))
            else:
                self._board.clear("reading", meter=meter.name)
            lacking = state.record is None or state.record.interval_end < result.boundary
            if not signed and fault is None and lacking and len(rows) == len(result.rows):
                self._row_missing(meter, result)
            taken = signed[: max(0, room - len(frames))]
            frames += taken
            if taken and taken[-1].record.interval_end == result.boundary:
                self._board.clear("row", meter=meter.name)
                done.append((meter, result.boundary))
            elif fault is not None:
                meter.read_boundary = result.boundary  # asking again would bring the same row
            if len(taken) < len(signed):
                self._journal_full()
        if not frames:
            return
        self._journal.append(frames, now=int(self._clock.time()))
        self._board.clear("journal")
        for meter, boundary in done:
            meter.read_boundary = boundary
        for frame in frames:
            meter = self._by_key[frame.public_key]
            record = frame.record
            self._board.stage(meter.name, "signed")
            log.info(
                "signed",
                meter=meter.name,
                sequence=record.sequence,
                interval_end=record.interval_end,
                registers=",".join(str(value) for value in record.registers),
                flags=f"0x{record.flags:04x}",
            )
        for key in {frame.public_key for frame in frames}:
            self._show_chain(self._by_key[key])
        self._pump_due = 0.0

    def _journal_full(self) -> None:
        message = (
            f"the journal holds {self._journal.quota} frames that the authority has not taken, and takes no more; see "
            "why (uplink, authority). The meters keep their rows in their own load profiles meanwhile"
        )
        if self._board.error("journal", "journal_full", message):
            log.error("the journal is full", quota=self._journal.quota)

    def _row_missing(self, meter: _Meter, result: MeterRead) -> None:
        """The boundary's row is often a few seconds late; in the second half of the epoch it is a fault."""
        if self._clock.time() < result.boundary + self._epoch / 2:
            return
        deviation = result.clock_deviation
        hint = f"; its clock is {-deviation:+d} s off" if deviation else ""
        message = f"the meter has no row for the boundary {result.boundary}{hint}; does it capture every epoch?"
        if self._board.error("row", "row_missing", message, meter=meter.name):
            log.warning("no row for the boundary", meter=meter.name, boundary=result.boundary)

    def _line_error(self, meter: _Meter, code: str, message: str) -> None:
        if self._board.error("line", code, message, meter=meter.name):
            log.warning("a meter cannot be read", meter=meter.name, code=code, reason=message)

    def _take_power(self, event: PowerRead) -> None:
        meter = self._meters[event.meter]
        if event.error is not None:
            code = getattr(event.error, "code", None) or "driver_failed"
            self._line_error(meter, code, str(event.error) or type(event.error).__name__)
            self._board.set_meter(meter.name, power_w=None)
            return
        self._board.clear("line", meter=meter.name)
        self._board.set_meter(meter.name, power_w=event.power_w)
        if event.power_w is not None:
            self._powers[meter.name] = {"power_w": event.power_w, "time": event.time}

    # -- publishing ----------------------------------------------------------------------------------------------------

    def _pump(self) -> None:
        """Hand frames that are due to the uplink: oldest first, in batches, a bounded number without a receipt."""
        now = self._clock.monotonic()
        if now < self._pump_due:
            return
        window = max(1, self._config.uplink.in_flight // len(self._meters))
        next_due = now + self._resend
        for meter in self._meters.values():
            if now < meter.hold_until:
                next_due = min(next_due, meter.hold_until)
                continue
            held = self._journal.waiting(meter.key, window)
            if held and held[0].code is not None and CODES.get(held[0].code) == "unknown_meter":
                held = held[:1]  # one is enough to learn when the operator has enrolled the meter
            ids = {entry.id for entry in held}
            meter.due = {number: at for number, at in meter.due.items() if number in ids}
            meter.tries = {number: tries for number, tries in meter.tries.items() if number in ids}
            ready = [entry for entry in held if meter.due.get(entry.id, now) <= now]
            size = min(self._config.uplink.batch, MAX_FRAMES)
            for start in range(0, len(ready), size):
                self._send(meter, ready[start : start + size], now)
            next_due = min([next_due, *meter.due.values()])
        self._pump_due = max(next_due, now + 0.05)

    def _send(self, meter: _Meter, entries: Sequence[Held], now: float) -> None:
        tries = max(meter.tries.get(entry.id, 0) for entry in entries)
        for entry in entries:
            meter.due[entry.id] = now + self._resend * self._random.uniform(1.0, 1.25)
            meter.tries[entry.id] = meter.tries.get(entry.id, 0) + 1
        batch = Batch(meter.name, tuple(entry.id for entry in entries), tuple(entry.frame for entry in entries))
        self._carrier.send(batch, tries)

    def _take_sent(self, event: BatchSent) -> None:
        meter = self._meters[event.batch.meter]
        meter.failures = 0
        self._board.stage(meter.name, "published", count=len(event.batch.frames))
        self._board.clear("publish", meter=meter.name)

    def _take_failed(self, event: BatchFailed) -> None:
        meter = self._meters[event.batch.meter]
        for number in event.batch.ids:
            meter.due.pop(number, None)
        meter.hold_until = self._clock.monotonic() + self._backoff(meter.failures, event.error.retry_after)
        meter.failures += 1
        self._pump_due = min(self._pump_due, meter.hold_until)
        if self._board.error("publish", event.error.code, str(event.error), meter=meter.name):
            log.warning(
                "readings do not leave the gateway",
                meter=meter.name,
                via=event.via,
                code=event.error.code,
                reason=str(event.error),
            )

    def _take_link(self, event: LinkChanged) -> None:
        before = self._links.get(event.via)
        self._links[event.via] = event.connected
        if not event.connected:
            assert event.error is not None  # noqa: S101 - LinkChanged says so
            if self._board.error(f"link_{event.via}", event.error.code, str(event.error)):
                log.warning("link down", via=event.via, code=event.error.code, reason=str(event.error))
            return
        self._board.clear(f"link_{event.via}")
        log.info("link up", via=event.via)
        now = self._clock.monotonic()
        for meter in self._meters.values():
            meter.failures = 0
            meter.hold_until = min(meter.hold_until, now + self._random.uniform(0.0, min(2.0, self._epoch / 20)))
            meter.head_wanted = meter.head_wanted or before is False
            if meter.head_wanted or not meter.head_known:
                meter.head_due = min(meter.head_due, now)
        self._pump_due = 0.0
        self._status_uplink_due = 0.0

    def _backoff(self, tries: int, retry_after: float | None = None) -> float:
        """Seconds to wait before the next try: growing, inside the epoch, with jitter; at least what was asked for."""
        most = min(RESEND_SECONDS, self._epoch / 4)
        delay = min(most, min(2.0, self._epoch / 20) * 2.0 ** min(tries, 10)) * self._random.uniform(0.75, 1.25)
        return max(delay, retry_after or 0.0)

    # -- receipts ------------------------------------------------------------------------------------------------------

    def _receipt_fault(self, receipt: Receipt, *, former: bytes | None = None) -> str | None:
        """Why a receipt is not to be believed; None where it is our authority's, for our network and keys."""
        if receipt.network_id != self._credentials.network_id:
            return "of another network"
        if receipt.meter_key not in self._by_key and receipt.meter_key != former:
            return "for another meter"
        if not verify(self._credentials.receipt_key, receipt.signature, receipt.body()):
            return "not signed by the authority's receipt key"
        return None

    def _take_receipts(self, event: ReceiptsArrived) -> None:
        try:
            receipts = split_receipts(event.data[: MAX_RECEIPTS * RECEIPT_SIZE])
        except ReadingError as error:
            self._ignore("malformed receipts")
            log.warning("ignored what should be receipts", via=event.via, reason=str(error))
            return
        believed = []
        for receipt in receipts:
            fault = self._receipt_fault(receipt)
            if fault is None and not self._journal.holds(receipt.meter_key, receipt.record_hash):
                fault = "for a record that is not ours"
            if fault is None:
                believed.append(receipt)
            else:
                self._ignore(f"receipts {fault}")
                log.warning("ignored a receipt", via=event.via, reason=f"it is {fault}")
        if not believed:
            return
        for receipt in self._journal.apply(believed, now=int(self._clock.time())):
            self._take_receipt(self._by_key[receipt.meter_key], receipt)
        self._pump_due = 0.0

    def _take_receipt(self, meter: _Meter, receipt: Receipt) -> None:
        """What a receipt means beyond its frame; the journal has it already."""
        name = CODES.get(receipt.code, f"code {receipt.code}")
        if receipt.verdict in (VERDICT_ACCEPTED, VERDICT_HELD):
            self._board.stage(meter.name, "receipted")
            for part in ("authority", "behind"):
                self._board.clear(part, meter=meter.name)
            if receipt.verdict == VERDICT_HELD:
                message = (
                    f"the authority holds record {receipt.sequence} back ({name}) until an operator has looked at it"
                )
                self._board.error("held", name, message, meter=meter.name)
                log.warning("held", meter=meter.name, sequence=receipt.sequence, code=name)
            else:
                self._board.clear("held", meter=meter.name)
                log.info("receipted", meter=meter.name, sequence=receipt.sequence, log_index=receipt.log_index)
            return
        now = self._clock.monotonic()
        if receipt.verdict == VERDICT_PARKED:
            log.warning("parked", meter=meter.name, sequence=receipt.sequence, expects=receipt.next_expected)
            self._fill_gap(meter, receipt.next_expected)
        elif receipt.verdict == VERDICT_REFUSED:
            message = f"the authority refuses record {receipt.sequence}: {name}"
            if name == "unknown_meter":
                message += "; it waits here until the operator has enrolled the meter's key"
                meter.hold_until = now + self._epoch * self._random.uniform(0.5, 1.0)
            else:
                message += "; the meter continues from the authority's head"
                meter.head_forced = True
                meter.head_due = now + (self._resend if meter.head_known and meter.gap_until > now else 0.0)
                meter.gap_until = now + self._resend
            if self._board.error("authority", name, message, meter=meter.name):
                log.error("refused", meter=meter.name, sequence=receipt.sequence, code=name)

    def _fill_gap(self, meter: _Meter, expected: int) -> None:
        """The authority lacks records from `expected` on: send them again, at most once in a resend time."""
        now = self._clock.monotonic()
        if now < meter.gap_until:
            return
        meter.gap_until = now + self._resend
        if self._journal.holds_sequence(meter.key, expected):
            self._journal.requeue(meter.key, expected)
            meter.due.clear()
            self._pump_due = 0.0
        elif not meter.head_asked:
            meter.head_asked = True
            self._carrier.request_head(meter.name)

    def _take_command(self, event: CommandArrived) -> None:
        try:
            command = json.loads(event.data)
        except (ValueError, RecursionError):
            command = None
        meter = None
        sequence = None
        if isinstance(command, dict) and command.get("command") == "resend" and isinstance(command.get("meter"), str):
            meter = self._meters.get(command["meter"])
            sequence = command.get("from")
        if meter is None or type(sequence) is not int or not 0 <= sequence <= 0xFFFF_FFFF:
            self._ignore("commands")
            log.warning("ignored a command", command=repr(event.data[:200]))
            return
        log.info("asked to send again", meter=meter.name, sequence=sequence)
        self._fill_gap(meter, sequence)

    def _ignore(self, what: str) -> None:
        self._ignored[what] = self._ignored.get(what, 0) + 1

    # -- telling -------------------------------------------------------------------------------------------------------

    def _take_time(self, event: AuthorityTime) -> None:
        self._authority_time = (self._clock.time() + event.deviation, self._clock.monotonic())
        self._board.set(authority_clock=event.deviation)
        self._watch_clock()

    def _clock_off(self) -> int:
        """Seconds by which this gateway's clock is behind the authority's, which was asked some time ago; 0 unknown.

        The time since is counted on the monotonic clock, so a gateway's clock that is set meanwhile shows at once.
        """
        if self._authority_time is None:
            return 0
        then, at = self._authority_time
        return round(then + self._clock.monotonic() - at - self._clock.time())

    def _watch_clock(self) -> None:
        off = self._clock_off()
        if abs(off) > CLOCK_ALERT_SECONDS:
            message = f"this gateway's clock is {-off:+d} s off the authority's; set it (NTP, its battery)"
            if self._board.error("clock", "clock_unsynchronised", message):
                log.warning("the gateway's clock is off", authority_minus_gateway=off)
        else:
            self._board.clear("clock")

    def _trusted(self, meter: _Meter, rows: Sequence[IntervalRow]) -> Sequence[IntervalRow]:
        """Rows that may be signed: a sampled one has its time of the gateway's clock, which must not be far off.

        A record of the future would stand in the way of every later one, until that future has come.
        """
        off = self._clock_off()
        if abs(off) <= max(CLOCK_ALERT_SECONDS, self._epoch // 4):
            return rows
        kept = [row for row in rows if not row.flags & FLAG_SAMPLED]
        if len(kept) < len(rows):
            message = (
                f"the meter's rows take their time from this gateway's clock, which is {-off:+d} s off; none is signed "
                "before it is set. No energy is lost: the registers count on"
            )
            if self._board.error("row", "gateway_clock", message, meter=meter.name):
                log.warning("rows are not signed", meter=meter.name, code="gateway_clock", reason=message)
        return kept

    def _show_chain(self, meter: _Meter) -> None:
        """Note in the status where a meter's records stand."""
        state = self._journal.meter(meter.key)
        last: Record | None = state.record
        self._board.set_meter(
            meter.name,
            sequence=None if last is None else last.sequence,
            interval_end=None if last is None else last.interval_end,
            registers=None if last is None else list(last.registers),
        )

    def _tell(self) -> None:
        """Live power and status, to the authority and to the status file."""
        now = self._clock.monotonic()
        self._watch_clock()
        if self._powers:
            powers, self._powers = self._powers, {}
            self._carrier.live(powers)
        carrier = f"{self._carrier.name} {self._carrier.connected}"
        if carrier != self._shown:
            self._shown, self._link_since = carrier, int(self._clock.time())
            self._board.notable = True
        soonest, latest = STATUS_FILE_SECONDS
        if now >= self._status_written + latest or (self._board.notable and now >= self._status_written + soonest):
            self._status_written = now
            self._write_status()
        if now >= self._status_uplink_due:
            self._status_uplink_due = now + min(STATUS_UPLINK_SECONDS, float(self._epoch))
            self._carrier.status(self._board.summary())

    def _write_status(self) -> None:
        counts = self._journal.counts()
        left = self._certificate_expires - self._clock.time()
        if left < CERTIFICATE_ALERT_SECONDS:
            self._board.error(
                "certificate",
                "certificate_expires",
                f"the gateway's certificate ends in {max(0, int(left // 86400))} days; enrol anew with a claim code",
            )
        self._board.set(
            uplink={
                "configured": self._config.uplink.kind,
                "kind": self._carrier.name,
                "connected": self._carrier.connected,
                "since": self._link_since,
            },
            journal={
                "depth": counts.depth,
                "waiting": counts.waiting,
                "parked": counts.parked,
                "refused": counts.refused,
                "superseded": counts.superseded,
                "archived": counts.archived,
                "quota": self._journal.quota,
            },
            ignored={**self._ignored, **({"dropped events": self._events.dropped} if self._events.dropped else {})},
            certificate_expires=self._certificate_expires,
            boundary=self._boundary,
        )
        try:
            self._board.write(self._config.state)
        except OSError as error:
            log.warning("the status file cannot be written", reason=str(error))
