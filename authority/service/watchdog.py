"""A watchdog around the department's validator: it sees that slots come, and brings a validator that stands back.

An Agave validator that was killed may start again and make no slots: its votes name slots that its ledger no longer
has. So what counts is not that it answers, but that its confirmed slot rises. Where it does not for a while, it is
started again; then without its votes (the tower); then from its last snapshot, with the blocks behind that put aside.
On a machine that is too busy slots come late: each time that a validator which made slots is started again in vain, the
next one is given twice as long.
Each remedy is told in a file of the home, which `authority status` reads. What the chain loses thereby, settlement does
again (authority.settlement.went_back).
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from authority.chain.client import ChainClient
from authority.chain.errors import ChainError
from authority.service import processes
from authority.service.processes import Child
from authority.status.facts import WATCHDOG_NOTE
from edge_agent.wire.files import write_atomically
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)

LOOK_SECONDS = 1.0
STANDS_SECONDS = 20.0
"""A validator that has made slots, and makes none for so long, stands."""
MOST_PATIENCE = 8
"""How many times as long a validator may stand that was started again for it, and stood again."""
START_SECONDS = 90.0
"""How long a validator may take from its start to its first new slot."""
STOP_SECONDS = 20.0
NOTE_SECONDS = 10.0
REMEDIES_KEPT = 20
SETTLED_SLOTS = 300
"""After so many slots a remedy has helped, and the next trouble begins with the first one again."""
RESTART, TOWER, SNAPSHOT = "restart", "tower", "snapshot"
REMEDIES = (RESTART, TOWER, SNAPSHOT)
"""What is tried, in this order, until slots come again."""


@dataclass(frozen=True)
class Remedy:
    """What was done when (Unix seconds), and the last confirmed slot before."""

    time: int
    how: str
    slot: int | None


@dataclass
class Watched:
    """What the watchdog tells: whether slots come, the last, how often the validator was started, and its remedies."""

    time: int = 0
    state: str = "starting"
    slot: int | None = None
    starts: int = 0
    remedies: list[Remedy] = field(default_factory=list)


def confirmed_slot(client: ChainClient) -> int | None:
    """The last confirmed slot; None where the validator does not answer."""
    try:
        return client.slot("confirmed")
    except ChainError:
        return None


class Watchdog:
    """Runs a validator's command over a ledger directory until `stop` is set; note is where it tells of it."""

    def __init__(
        self,
        command: Sequence[str],
        ledger: Path,
        home: Path,
        slot: Callable[[], int | None],
        *,
        stands_seconds: float = STANDS_SECONDS,
        start_seconds: float = START_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._command = tuple(command)
        self._ledger = ledger
        self._note = home / WATCHDOG_NOTE
        self._slot = slot
        self._stands_seconds, self._start_seconds = stands_seconds, start_seconds
        self._monotonic = monotonic
        self._told = self._before()
        self._noted = -NOTE_SECONDS
        self._child: Child | None = None
        self._rung = 0
        self._patience = 1
        self._highest: int | None = None
        self._rose = False
        self._risen_at = 0.0
        self.stop = threading.Event()

    def run(self) -> None:
        """Keep slots coming; call it from the main thread, with whose end the kernel ends the validator."""
        self._start()
        try:
            while not self.stop.wait(LOOK_SECONDS):
                self._look()
        finally:
            self._told.state = "stopped"
            self._write()
            self._end()

    def _before(self) -> Watched:
        try:
            kept = json.loads(self._note.read_text(encoding="utf-8"))
            remedies = [Remedy(**each) for each in kept["remedies"]]
            return Watched(starts=int(kept["starts"]), remedies=remedies)
        except (OSError, ValueError, KeyError, TypeError):
            return Watched()

    def _start(self) -> None:
        self._child = processes.start("validator", self._command, output=sys.stderr.fileno())
        self._told.starts += 1
        self._told.state = "starting"
        self._highest, self._rose, self._risen_at = None, False, self._monotonic()
        self._write()

    def _end(self) -> None:
        if self._child is not None:
            processes.stop([self._child], STOP_SECONDS)
            self._child = None

    def _look(self) -> None:
        now, slot = self._monotonic(), self._slot()
        if self._child is not None and (ended := self._child.ended()) is not None:
            LOG.warning("the validator ended, and is started again", how=ended)
            self._child.kill()
            if self._rose:
                self._again(RESTART)  # it was killed, or fell: that alone says nothing about its ledger
            else:
                self._heal()
            return
        if slot is not None and (self._highest is None or slot > self._highest):
            if self._highest is not None:
                self._rise(slot)
            self._highest, self._risen_at = slot, now
        elif now - self._risen_at > (self._patience * self._stands_seconds if self._rose else self._start_seconds):
            self._told.state = "stands"
            LOG.warning("the validator makes no slots", slot=slot, seconds=int(now - self._risen_at))
            if self._rose:
                self._patience = min(2 * self._patience, MOST_PATIENCE)
            self._heal()
            return
        if now - self._noted >= NOTE_SECONDS:
            self._write()

    def _rise(self, slot: int) -> None:
        if not self._rose:
            LOG.info("the validator makes slots", slot=slot, remedies=self._rung)
        self._told.slot, self._told.state = slot, "runs"
        if not self._rose or slot % 100 == 0:
            self._write()
        self._rose = True
        last = self._told.remedies[-1].slot if self._told.remedies else None
        if slot - (last or 0) > SETTLED_SLOTS:
            self._rung, self._patience = 0, 1

    def _heal(self) -> None:
        """Start the validator again with the next remedy, for the one before did not help."""
        how = REMEDIES[min(self._rung, len(REMEDIES) - 1)]
        self._rung += 1
        self._end()
        if how != RESTART:
            for tower in self._ledger.glob("tower-*.bin"):
                tower.unlink()
        if how == SNAPSHOT:
            put_aside(self._ledger)
        self._again(how)

    def _again(self, how: str) -> None:
        LOG.warning("the validator is started again", remedy=how, slot=self._told.slot)
        self._end()
        remedies = [*self._told.remedies, Remedy(int(time.time()), how, self._told.slot)]
        self._told.remedies = remedies[-REMEDIES_KEPT:]
        self._start()

    def _write(self) -> None:
        self._told.time = int(time.time())
        self._noted = self._monotonic()
        try:
            write_atomically(self._note, json.dumps(asdict(self._told)).encode())
        except OSError as error:
            LOG.warning("the note cannot be written", path=str(self._note), reason=str(error))


def put_aside(ledger: Path) -> None:
    """Put the blocks aside, so that the validator starts from its last snapshot; one such copy is kept."""
    blocks, aside = ledger / "rocksdb", ledger / "rocksdb.aside"
    if not any(ledger.glob("snapshot-*")) or not blocks.is_dir():
        return
    shutil.rmtree(aside, ignore_errors=True)
    blocks.rename(aside)
