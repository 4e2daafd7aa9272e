"""The one path by which frames enter: authenticity, standing, policy, log, receipt (docs/PROTOCOL.md).

Frames of any number of callers are taken together: whoever holds the commit lock takes all that wait, decides them on
what a handful of statements read, appends them to the log, writes them as sets in one transaction, and signs one
checkpoint for all. Only when that is durable does anybody get a receipt, which is the record's path to the
checkpoint. The transaction locks the log, so a second process cannot ingest between its reading and its writing.
Nothing is kept in memory from one transaction to the next: what an operator released, a new key, a revoked gateway
hold at once.
"""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError

from authority.anteroom import GAP_SECONDS, LONGEST_SECONDS
from authority.app import App
from authority.collector import standing
from authority.collector.frames import Batch, Ingested, Sent, check_frame
from authority.collector.standing import Shown
from authority.collector.transaction import Ingestion
from authority.faults import Faults
from authority.refusals import (
    BusyError,
    MalformedError,
    NotAuthenticatedError,
    RefusalError,
    TooManyError,
    UnavailableError,
)
from authority.store import Store
from edge_agent.wire.log import StructuredLog
from edge_agent.wire.reading import MAX_FRAMES, ReadingError, split_frames

LOG = StructuredLog(__name__)


MAX_WAITING = 8_192
"""Frames that may wait for the commit lock."""


MAX_GROUP = 2_048
"""Frames in one transaction."""


class Intake(ABC):
    """Whoever takes frames for a transport: the collector itself, or a verifier's link to the sequencer."""

    def ingest(
        self, data: bytes, *, gateway: str, meter: str | None, over: str, shown: Shown | None = None
    ) -> Ingested:
        """Take concatenated frames that a gateway sent (as in Sent); returns when every one is decided and durable.

        A frame whose key is not the gateway's, or not the meter's, is refused as unknown. BusyError and
        `unavailable` pass: send the same again; the other codes are the sender's.
        """
        (outcome,) = self.ingest_all([Sent(data, gateway, meter, over, shown)])
        if isinstance(outcome, RefusalError):
            raise outcome
        return outcome

    @abstractmethod
    def ingest_all(self, sent: Sequence[Sent]) -> list[Ingested | RefusalError]:
        """Take what several gateways sent; one answer each, in order, and none before it is durable."""


def check(sent: Sent) -> Batch:
    """All that can be said of frames without the store; RefusalError where they are not looked at."""
    if sent.shown == standing.NO_CERTIFICATE:  # no signature is verified for a stranger
        raise NotAuthenticatedError(standing.NEEDS_CERTIFICATE)
    try:
        frames = split_frames(sent.data)
    except ReadingError as error:
        raise MalformedError(str(error)) from error
    if len(frames) > MAX_FRAMES:
        raise TooManyError(f"send at most {MAX_FRAMES} frames at a time, these are {len(frames)}")
    return Batch([check_frame(frame) for frame in frames], sent)


def check_all(store: Store, sent: Sequence[Sent]) -> list[Batch | RefusalError]:
    """The same of several; who may not speak hears that, and nothing of what is wrong with the frames."""
    batches: list[Batch | RefusalError] = []
    for one in sent:
        try:
            batches.append(check(one))
        except RefusalError as error:
            batches.append(_stranger(store, one) or error)
    return batches


def _stranger(store: Store, sent: Sent) -> RefusalError | None:
    if sent.shown is None:
        return None
    try:
        with store.read() as session:
            standing.require(session, sent.gateway, sent.shown)
    except RefusalError as error:
        return error
    except DBAPIError:
        return UnavailableError("the store does not answer; send the same again")
    return None


class Collector(Intake):
    """Takes frames from any thread. One is enough for a process, and one process for a deployment."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._waiting: list[Batch] = []
        self._frames = 0
        """How many frames wait."""
        self._arriving = 0
        self._arrived = threading.Condition()
        """Guards the three above; notified when nobody is arriving any more."""
        self._shared = False
        """Whether the last group was of several callers."""
        self._commit_lock = threading.Lock()
        self._faults = Faults(LOG)

    def ingest_all(self, sent: Sequence[Sent]) -> list[Ingested | RefusalError]:
        """Take what several gateways sent, in one commit where it fits; one answer each, in order."""
        with self._arrived:
            self._arriving += 1
        checked: list[Batch | RefusalError] = []
        try:
            checked = check_all(self._app.store, sent)
        finally:
            with self._arrived:
                self._arriving -= 1
                self._enter([batch for batch in checked if isinstance(batch, Batch)])
        answers: list[Ingested | RefusalError] = []
        for batch in checked:
            if isinstance(batch, RefusalError):
                answers.append(batch)
                continue
            while not batch.done:
                with self._commit_lock:
                    if not batch.done:
                        self._commit(self._take())
            answers.append(batch.outcome)
        return answers

    def enter(self, batches: Sequence[Batch]) -> None:
        """Have batches that were checked elsewhere wait for `commit_waiting`; each is told by its `settled`."""
        with self._arrived:
            self._enter(batches)

    def commit_waiting(self, seconds: float) -> None:
        """Decide what waits, as far as one commit takes it; returns when it is durable, or nothing came so long."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: self._waiting, seconds):
                return
        with self._commit_lock:
            group = self._take()
            if group:
                self._commit(group)

    def _enter(self, batches: Sequence[Batch]) -> None:
        """With the lock held."""
        for batch in batches:
            if self._frames + len(batch.frames) > MAX_WAITING:
                batch.error = BusyError("more frames are waiting than the store takes; send again in a few seconds")
                _settle(batch)
                continue
            self._frames += len(batch.frames)
            self._waiting.append(batch)
        if not self._arriving:
            self._arrived.notify_all()

    def _take(self) -> list[Batch]:
        """What waits, after those who are on their way have had a moment to join, or who will be where many come."""
        end = time.monotonic() + LONGEST_SECONDS
        with self._arrived:
            while (self._arriving or self._shared) and self._frames < MAX_GROUP:
                left = end - time.monotonic()
                if left <= 0 or not self._arrived.wait(min(GAP_SECONDS, left)):
                    break
            taken, frames = 0, 0
            while taken < len(self._waiting) and (not taken or frames + len(self._waiting[taken].frames) <= MAX_GROUP):
                frames += len(self._waiting[taken].frames)
                taken += 1
            group, self._waiting = self._waiting[:taken], self._waiting[taken:]
            self._frames -= frames
            self._shared = len(group) > 1
        return group

    def _commit(self, group: Sequence[Batch]) -> None:
        """Decide a group in one transaction; where that fails, each batch alone, so that none spoils another's."""
        try:
            with self._app.store.write() as session:
                results = Ingestion(self._app, session, group).run()
        except Exception as error:  # noqa: BLE001 - whatever it was is said, and answered
            if len(group) > 1 and not _store_is_away(error):
                for batch in group:
                    self._commit([batch])
                return
            self._failed(group, error)
        else:
            self._faults.over("store", "the store takes readings again")
            for batch, result in zip(group, results, strict=True):
                if isinstance(result, RefusalError):
                    batch.error = result
                else:
                    batch.result = result
        finally:
            for batch in group:
                if batch.result is None and batch.error is None:  # the process is being ended
                    batch.error = UnavailableError("the collector is stopping; send the same again")
                _settle(batch)

    def _failed(self, group: Sequence[Batch], error: Exception) -> None:
        if _store_is_away(error):
            event = "the store does not take readings; gateways are told to send again"
            self._faults.met("store", type(error).__name__, event, reason=str(error))
        else:
            LOG.exception("frames could not be taken", gateway=group[0].sent.gateway)
        for batch in group:
            batch.error = UnavailableError("the store does not answer; send the same again")
            batch.error.__cause__ = error


def _settle(batch: Batch) -> None:
    batch.done = True
    if batch.settled is not None:
        batch.settled()


def _store_is_away(error: Exception) -> bool:
    """Whether the database failed, rather than something in the frames or in this code."""
    return isinstance(error, DBAPIError) and not isinstance(error, DataError | IntegrityError | ProgrammingError)
