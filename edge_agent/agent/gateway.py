"""What the parts of a running agent share: its meters and their state, journal, board, way up, clock and events."""

from __future__ import annotations

import queue
import random as random_module
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge_agent.agent.signing import Signer
from edge_agent.config import GatewayConfig, MeterSettings
from edge_agent.meters.lines import LineEvent, PowerRead, ReadRequest
from edge_agent.state.credentials import Credentials, EnrolledMeter
from edge_agent.state.journal import Journal
from edge_agent.state.keys import MeterKey
from edge_agent.state.status import StatusBoard
from edge_agent.uplinks import Batch, CommandArrived, ReceiptsArrived, UplinkEvent
from edge_agent.wire.reading import Record

RESEND_SECONDS = 60.0
MAX_EVENTS = 20_000
"""Events that may wait for the loop; beyond, receipts and live power are dropped (receipts come again)."""

Event = UplinkEvent | LineEvent


class Clock(Protocol):
    """Where the agent has its time from."""

    def time(self) -> float:
        """Unix seconds, UTC; may jump when the gateway's clock is set."""

    def monotonic(self) -> float:
        """Seconds that never jump."""


class Line(Protocol):
    """A line (edge_agent.meters.lines.MeterLine)."""

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
        """Whether its link is up."""

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
class RunningMeter:
    """One meter in the running agent. Times are monotonic."""

    settings: MeterSettings
    enrolled: EnrolledMeter
    signer: Signer
    line: Line
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
    """Its line has been asked and has not answered."""
    due: dict[int, float] = field(default_factory=dict)
    """Frames that were sent, by number in the journal, and when they go again."""
    tries: dict[int, int] = field(default_factory=dict)
    hold_until: float = 0.0
    failures: int = 0
    gap_until: float = 0.0
    unproved: set[str] = field(default_factory=set)
    """Codes of faults that only a row disproves, such as a map that does not fit the meter."""

    @property
    def name(self) -> str:
        """Its name in gateway.toml."""
        return self.settings.name

    @property
    def key(self) -> bytes:
        """Its public key."""
        return self.enrolled.public_key


class Gateway:
    """The state that more than one part of the agent looks at. Only the loop's thread touches it."""

    def __init__(
        self,
        config: GatewayConfig,
        credentials: Credentials,
        keys: Mapping[str, MeterKey],
        *,
        journal: Journal,
        board: StatusBoard,
        carrier: Carrier,
        lines: Sequence[Line],
        events: EventQueue,
        clock: Clock,
        random: random_module.Random,
    ) -> None:
        self.config = config
        self.credentials = credentials
        self.epoch = credentials.epoch_seconds
        self.journal = journal
        self.board = board
        self.carrier = carrier
        self.events = events
        self.clock = clock
        self.random = random
        self.meters: dict[str, RunningMeter] = {}
        for line in lines:
            for settings in line.meters.values():
                enrolled = credentials.meter(settings.name)
                if enrolled is None:
                    raise ValueError(f"meter {settings.name!r} is not enrolled")
                signer = Signer(
                    key=keys[settings.name],
                    map=settings.map,
                    network_id=credentials.network_id,
                    epoch_seconds=self.epoch,
                    source=enrolled.source,
                    first_sequence=enrolled.first_sequence,
                    max_power_w=settings.max_power_w,
                )
                self.meters[settings.name] = RunningMeter(settings, enrolled, signer, line)
        self.by_key = {meter.key: meter for meter in self.meters.values()}
        self.boundary = 0
        """The boundary whose rows are wanted, in Unix seconds."""
        self.next_read = 0.0
        """When the lines are asked next. This and the next two are monotonic."""
        self.pump_due = 0.0
        """When frames are looked through for some to send."""
        self.status_due = 0.0
        """When the authority is told the status next."""
        self.resend = min(RESEND_SECONDS, float(self.epoch))
        """Seconds after which a frame without a receipt is sent again."""
        self.powers: dict[str, dict[str, int]] = {}
        """Live power that is not told yet, by meter."""
        self.ignored: dict[str, int] = {}
        """How much was ignored, by what it was."""
        self.authority_time: tuple[float, float] | None = None
        """What the authority's clock said, and the monotonic time at which it did."""

    def backoff(self, tries: int, retry_after: float | None = None) -> float:
        """Seconds to wait before the next try: growing, inside the epoch, with jitter; at least what was asked for."""
        most = min(RESEND_SECONDS, self.epoch / 4)
        delay = min(most, min(2.0, self.epoch / 20) * 2.0 ** min(tries, 10)) * self.random.uniform(0.75, 1.25)
        return max(delay, retry_after or 0.0)

    def ignore(self, what: str) -> None:
        """Count what was ignored."""
        self.ignored[what] = self.ignored.get(what, 0) + 1

    def clock_off(self) -> int:
        """Seconds by which this gateway's clock is behind the authority's, which was asked some time ago; 0 unknown.

        The time since is counted on the monotonic clock, so a gateway's clock that is set meanwhile shows at once.
        """
        if self.authority_time is None:
            return 0
        then, at = self.authority_time
        return round(then + self.clock.monotonic() - at - self.clock.time())

    def show_chain(self, meter: RunningMeter) -> None:
        """Note in the status where a meter's records stand."""
        state = self.journal.meter(meter.key)
        last: Record | None = state.record
        self.board.set_meter(
            meter.name,
            sequence=None if last is None else last.sequence,
            interval_end=None if last is None else last.interval_end,
            signs_every=max(self.epoch, int(meter.settings.registers_seconds or 0)),
            registers=None if last is None else list(last.registers),
        )
