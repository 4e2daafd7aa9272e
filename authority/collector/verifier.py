"""A verifier's link to the sequencer: takes frames as the collector does, checks them, and has them committed there.

A verifier keeps nothing: what the sequencer has not answered when either ends is `unavailable`, which every transport
has sent again, and the same frames get the same receipts.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from authority.collector import channel
from authority.collector.batches import pack_batch, read_answer
from authority.collector.channel import Channel, ChannelError
from authority.collector.frames import Batch, Ingested, Sent
from authority.collector.ingest import MAX_GROUP, Intake, check_all
from authority.faults import Faults
from authority.refusals import NotAuthenticatedError, RefusalError, UnavailableError
from authority.store import Store
from edge_agent.wire.log import StructuredLog

LOG = StructuredLog(__name__)
ANSWER_SECONDS = 60.0
"""How long a batch waits for the sequencer; a store that is away is told before."""
RETRY_SECONDS = 0.5
MAX_NAME = 255
"""Characters of a gateway's or meter's name that are handed on; names in the store are shorter."""
_AWAY = "the sequencer does not answer; send the same again"


@dataclass(eq=False)
class _Pending:
    """A batch on its way, and its outcomes once `done` is set; None where it will have none."""

    done: threading.Event = field(default_factory=threading.Event)
    outcomes: list[Ingested | RefusalError] | None = None


class SequencerLink(Intake):
    """Takes frames from any thread, over one connection that is made again whenever it is needed."""

    def __init__(self, store: Store, directory: Path, key: bytes, verifier: int) -> None:
        self._store = store
        self._directory, self._key, self._verifier = directory, key, verifier
        self._lock = threading.Lock()
        self._line: Channel | None = None
        self._pending: dict[int, _Pending] = {}
        self._retry_at = 0.0
        self._faults = Faults(LOG)

    def ingest_all(self, sent: Sequence[Sent]) -> list[Ingested | RefusalError]:
        """Take what several gateways sent; one answer each, in order, and none before the sequencer's commit."""
        checked = check_all(self._store, sent)
        answers: list[Ingested | RefusalError] = [
            UnavailableError(_AWAY) if isinstance(one, Batch) else one for one in checked
        ]
        groups: list[dict[int, Batch]] = []
        frames = MAX_GROUP
        for place, one in enumerate(checked):
            if not isinstance(one, Batch):
                continue
            if max(len(one.sent.gateway), len(one.sent.meter or "")) > MAX_NAME:
                answers[place] = NotAuthenticatedError("no gateway or meter has so long a name")
                continue
            if frames + len(one.frames) > MAX_GROUP:
                groups.append({})
                frames = 0
            groups[-1][place] = one
            frames += len(one.frames)
        end = time.monotonic() + ANSWER_SECONDS
        for group, pending in [(group, self._send(list(group.values()))) for group in groups]:
            if pending is None or not pending.done.wait(max(0.0, end - time.monotonic())):
                continue
            if pending.outcomes is not None and len(pending.outcomes) == len(group):
                for place, outcome in zip(group, pending.outcomes, strict=True):
                    answers[place] = outcome
        return answers

    def connect(self) -> bool:
        """Connect where there is no connection; whether there is one now."""
        with self._lock:
            return self._connected() is not None

    def close(self) -> None:
        """End the connection; what waits for an answer has none."""
        with self._lock:
            line = self._line
            self._retry_at = float("inf")
        if line is not None:
            line.close()

    def _send(self, batches: Sequence[Batch]) -> _Pending | None:
        """Hand a batch over; None where the sequencer cannot be reached."""
        body, pending = pack_batch(batches), _Pending()
        with self._lock:
            line = self._connected()
        if line is None:
            return None

        def expect(number: int) -> None:
            with self._lock:
                if self._line is line:
                    self._pending[number] = pending
                else:
                    pending.done.set()  # it ended meanwhile, with all that waits

        try:
            line.send(body, expect)
        except OSError:
            line.close()  # the reading thread sees to the rest
        return pending

    def _connected(self) -> Channel | None:
        """With the lock held."""
        if self._line is not None or time.monotonic() < self._retry_at:
            return self._line
        try:
            line = channel.connect(self._directory, self._key, self._verifier)
        except (OSError, ChannelError) as error:
            cause = error.code if isinstance(error, ChannelError) else type(error).__name__
            self._faults.met("sequencer", cause, "the sequencer cannot be reached; trying again", reason=str(error))
            self._retry_at = time.monotonic() + RETRY_SECONDS
            return None
        self._faults.over("sequencer", "the sequencer can be reached again")
        self._line, self._pending = line, {}
        threading.Thread(target=self._read, args=(line,), name="sequencer-link", daemon=True).start()
        return line

    def _read(self, line: Channel) -> None:
        """Hand out answers until the connection ends; then nobody waits any more."""
        try:
            while (message := line.receive()) is not None:
                number, outcomes = read_answer(message[1])
                with self._lock:
                    pending = self._pending.pop(number, None)
                if pending is not None:
                    pending.outcomes = outcomes
                    pending.done.set()
        except ChannelError as error:
            self._faults.met("line", error.code, "the connection to the sequencer ended", reason=str(error))
        else:
            self._faults.over("line", "the sequencer has ended in good order")
        finally:
            with self._lock:
                self._line, left = None, self._pending
                self._pending = {}
            line.close()
            for pending in left.values():
                pending.done.set()
