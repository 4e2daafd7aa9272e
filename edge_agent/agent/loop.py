"""The agent: at each boundary read, sign, journal, publish; delete on the authority's signed receipt alone.

One thread runs this loop and owns the journal. Lines and uplinks have threads of their own and speak to it through
events, so that nothing slow ever comes between a meter and the journal. The order that everything rests on: a frame is
durable before it leaves, and a meter signs nothing after a start before the authority's head is known (an SD card lies
about flushing, and a sequence must never be signed twice).

What is done is in the parts: heads, rounds, records, publishing, telling.
"""

from __future__ import annotations

import functools
import random as random_module
from collections.abc import Callable, Mapping, Sequence

from edge_agent import log
from edge_agent.agent.gateway import Carrier, Clock, Event, EventQueue, Gateway, Line
from edge_agent.agent.heads import Heads
from edge_agent.agent.publishing import Publishing
from edge_agent.agent.records import Records
from edge_agent.agent.rounds import Rounds
from edge_agent.agent.telling import Telling
from edge_agent.config import GatewayConfig
from edge_agent.meters.lines import MeterRead, PowerRead
from edge_agent.state.credentials import Credentials
from edge_agent.state.journal import Journal, JournalDamagedError, JournalError
from edge_agent.state.keys import MeterKey
from edge_agent.state.status import StatusBoard
from edge_agent.uplinks import (
    AuthorityTime,
    BatchFailed,
    BatchSent,
    CommandArrived,
    HeadArrived,
    HeadFailed,
    LinkChanged,
    ReceiptsArrived,
)


class Agent:
    """The loop of one gateway. `step` does what is due; `run` steps until `stop`.

    journal is opened again by `reopen_journal` when it turns out damaged while running.
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
        lines: Sequence[Line],
        events: EventQueue,
        clock: Clock,
        random: random_module.Random,
    ) -> None:
        self.gateway = Gateway(
            config,
            credentials,
            keys,
            journal=journal,
            board=board,
            carrier=carrier,
            lines=lines,
            events=events,
            clock=clock,
            random=random,
        )
        self._reopen_journal = reopen_journal
        self._stopping = False
        self.telling = Telling(self.gateway)
        self.records = Records(self.gateway)
        self.rounds = Rounds(self.gateway, self.records.sign)
        self.publishing = Publishing(self.gateway)
        self.heads = Heads(self.gateway, self.publishing.receipt_fault)
        board.set(epoch=self.gateway.epoch)
        self._add_meters()

    def stop(self) -> None:
        """Have `run` return; safe in a signal handler."""
        self._stopping = True
        self.gateway.events.wake()

    def run(self, tick: Callable[[], None] = lambda: None) -> None:
        """Step until `stop`; `tick` is called each time round (a watchdog's sign of life)."""
        while not self._stopping:
            self.step(self._wait())
            tick()
        self._guarded(self.telling.write_status)

    def close(self) -> None:
        """Close the journal, after ports and uplinks have ended."""
        self.gateway.journal.close()

    def step(self, timeout: float = 0.0) -> None:
        """Take the events that have come (waiting for the first at most `timeout` seconds), then do what is due."""
        event = self.gateway.events.get(timeout)
        for _ in range(1000):
            if event is None:
                break
            self._guarded(functools.partial(self._take, event))
            event = self.gateway.events.get(0)
        self._guarded(self.heads.ask)
        self._guarded(self.rounds.ask)
        self._guarded(self.rounds.finish)
        self._guarded(self.publishing.pump)
        self._guarded(self.telling.tell)

    def _wait(self) -> float:
        now = self.gateway.clock.monotonic()
        until_boundary = self.gateway.epoch - self.gateway.clock.time() % self.gateway.epoch
        return max(
            0.01,
            min(
                0.5,
                until_boundary,
                self.gateway.pump_due - now,
                self.gateway.next_read - now if self.rounds.lacking() else 0.5,
            ),
        )

    def _guarded(self, part: Callable[[], None]) -> None:
        """A journal that fails is dealt with; the loop goes on."""
        try:
            part()
        except JournalDamagedError as error:
            self._replace_journal(error)
        except JournalError as error:
            if self.gateway.board.error("journal", error.code, str(error)):
                log.error("the journal cannot be used", code=error.code, reason=str(error))

    def _take(self, event: Event) -> None:
        match event:
            case MeterRead():
                self.rounds.take(event)
            case PowerRead():
                self.rounds.take_power(event)
            case ReceiptsArrived():
                self.publishing.take_receipts(event)
            case BatchSent():
                self.publishing.take_sent(event)
            case BatchFailed():
                self.publishing.take_failed(event)
            case HeadArrived():
                self.heads.take(event)
            case HeadFailed():
                self.heads.take_failure(event)
            case LinkChanged():
                self.publishing.take_link(event)
            case CommandArrived():
                self.publishing.take_command(event)
            case AuthorityTime():
                self.telling.take_time(event)

    def _add_meters(self) -> None:
        if self.gateway.journal.set_aside is not None:
            self.gateway.board.error(
                "journal_lost",
                "journal_set_aside",
                f"the journal was damaged and is now at {self.gateway.journal.set_aside}; the meters continue "
                "from the authority's head. Look at the disk: an SD card that wears out does this",
            )
            log.error("the journal was damaged and set aside", file=str(self.gateway.journal.set_aside))
        for meter in self.gateway.meters.values():
            self.gateway.journal.add_meter(meter.key, meter.name)
            self.gateway.show_chain(meter)

    def _replace_journal(self, error: JournalError) -> None:
        log.error("the journal is damaged", reason=str(error))
        self.gateway.journal.close()
        self.gateway.journal = self._reopen_journal()
        for meter in self.gateway.meters.values():
            meter.head_known = meter.head_asked = False
            meter.due.clear()
            meter.tries.clear()
        self._add_meters()
