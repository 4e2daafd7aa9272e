"""What a stranger may know of the service: which of its parts work, since when, what is late, and what failed lately.

No gateway, meter, member, machine or amount is named, and no error in its own words. `Board.now` looks, at most every
LOOK_SECONDS however many ask; `Board.watch`, which the pages' process calls, writes changes down.
"""

# ruff: noqa: RUF009  (`_described` is dataclasses.field with a sentence: it makes no shared default)

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from sqlalchemy import func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from authority.app import App
from authority.chain.client import ChainClient
from authority.chain.errors import ChainError, NotDeployedError
from authority.governance import acts
from authority.rounds import rounds
from authority.status.judgement import CHAIN_SECONDS
from authority.store.leases import Lease
from authority.store.log import PublishedCheckpoint
from authority.store.metering import METER_ACTIVE, Frame, Meter
from authority.store.settlement import SettlementEpoch
from authority.store.watched import ServiceChange
from edge_agent.wire.log import StructuredLog

Part = Literal["metering", "settlement", "market", "log", "chain"]
State = Literal["up", "late", "paused", "down", "unknown"]
PARTS: tuple[Part, ...] = get_args(Part)
LOOK_SECONDS = 15
WATCH_SECONDS = 30.0
SETTLE_SECONDS = 120
"""How long a part is in another state before that is written down: what comes and goes is no incident."""
MOST_INCIDENTS = 20
ROWS_READ = 6 * MOST_INCIDENTS
PAUSING: Mapping[Part, tuple[str, ...]] = {"settlement": ("readings", "settlement"), "market": ("orders", "clearing")}
"""Which of governance's activities, paused, pause a part."""

LOG = StructuredLog(__name__)


def _described(text: str) -> Any:
    """A field with the sentence that the API's documentation shows for it."""
    return field(metadata={"description": text})


@dataclass(frozen=True, slots=True)
class PartNow:
    """A part of the service."""

    part: Part = _described("Which.")
    state: State = _described("late: it works and is behind; paused: by the department's act.")
    late: int | None = _described("Meters without their last reading, or epochs that are due; null: does not apply.")
    of: int | None = _described("Of how many meters.")
    since: int | None = _described("When it came into this state, Unix seconds; null where that is not written down.")


@dataclass(frozen=True, slots=True)
class Incident:
    """A time in which a part was not up."""

    part: Part = _described("Which.")
    state: State = _described("The first state that it was in.")
    began: int = _described("From when, Unix seconds.")
    ended: int | None = _described("Until when; null: it still is not up.")


@dataclass(frozen=True, slots=True)
class ServiceNow:
    """The service at a time."""

    time: int = _described("When was looked, Unix seconds.")
    parts: tuple[PartNow, ...] = _described("Its parts.")
    incidents: tuple[Incident, ...] = _described("The last incidents, the newest first.")


Found = Mapping[Part, tuple[State, int | None, int | None]]
"""By part its state, and how much of how much is late."""


class Board:
    """The public's board over an opened authority. For any thread."""

    def __init__(self, app: App, client: Callable[[], ChainClient]) -> None:
        self._app, self._client = app, client
        self._lock = threading.Lock()
        self._newest: ServiceNow | None = None
        self._other: dict[Part, tuple[State, int]] = {}
        """By part the state that is not written down yet, and since when it was seen."""

    def now(self) -> ServiceNow:
        """How it stands: as it was a few seconds ago at most."""
        with self._lock:
            if self._newest is None or not 0 <= self._app.clock() - self._newest.time < LOOK_SECONDS:
                self._newest = self._look()
            return self._newest

    def _look(self) -> ServiceNow:
        now = self._app.clock()
        try:
            with self._app.store.read() as session:
                found = _in_the_store(session, self._app, now)
                changes = session.scalars(
                    select(ServiceChange).order_by(ServiceChange.id.desc()).limit(ROWS_READ)
                ).all()
                last = _last(session)
        except SQLAlchemyError:
            return ServiceNow(now, tuple(PartNow(part, "unknown", None, None, None) for part in PARTS), ())
        found = self._with_chain(found, now)
        return ServiceNow(
            now,
            tuple(
                PartNow(part, *found[part], since=last[part][1] if last[part][0] == found[part][0] else None)
                for part in PARTS
            ),
            tuple(_incidents(changes, [part for part in PARTS if found[part][0] == "up"], now))[:MOST_INCIDENTS],
        )

    def _with_chain(self, found: Found, now: int) -> Found:
        """With what the chain says: whether it goes on, and what governance has paused."""
        asking = self._client()
        try:
            with closing(asking):
                behind, paused = now - asking.clock().unix_timestamp, _paused(asking)
        except ChainError:
            return {**found, "chain": ("down", None, None)}
        stopped: Found = {part: ("paused", None, None) for part, its in PAUSING.items() if paused & set(its)}
        return {**found, **stopped, "chain": ("late" if behind > CHAIN_SECONDS else "up", None, None)}

    def watch(self) -> None:
        """Look, and write down what has been otherwise for SETTLE_SECONDS."""
        seen, due = self.now(), []
        for each in seen.parts:
            if each.since is not None or each.state == "unknown":
                self._other.pop(each.part, None)
                continue
            state, since = self._other.get(each.part, ("", 0))
            if state != each.state:
                self._other[each.part] = (each.state, since := seen.time)
            due.append((each, since))
        if not due:
            return
        with self._app.store.write() as session:
            last = _last(session)
            for each, since in due:
                known = last[each.part][0]
                if known != each.state and (known is None or seen.time - since >= SETTLE_SECONDS):
                    session.add(ServiceChange(part=each.part, state=each.state, since=since))
                    self._other.pop(each.part, None)

    def run(self, stop: threading.Event, has_to: Callable[[], bool] = lambda: True) -> None:
        """Watch until `stop` is set, whenever this is the process that has to."""
        rounds(
            lambda: self.watch() if has_to() else None,
            stop,
            WATCH_SECONDS,
            LOG,
            "changes of the service are not written down",
        )


def _in_the_store(session: Session, app: App, now: int) -> Found:
    settings = app.home.settings
    seconds, grace = settings.epoch.seconds, settings.parameters.grace_seconds
    ends = {lease.name: lease.expires_at for lease in session.scalars(select(Lease))}
    epoch, due = now // seconds, (now - grace) // seconds - 1
    meters = session.scalar(select(func.count()).where(Meter.state == METER_ACTIVE)) or 0
    boundary = (due + 1) * seconds
    heard = select(Frame.meter_pk).where(Frame.interval_end == boundary).distinct().subquery()
    active = select(func.count()).select_from(heard).join(Meter, Meter.id == heard.c.meter_pk)
    silent = max(0, meters - (session.scalar(active.where(Meter.state == METER_ACTIVE)) or 0))
    known = select(SettlementEpoch.epoch).where(SettlementEpoch.epoch <= epoch).order_by(SettlementEpoch.epoch.desc())
    settled = session.scalar(known.where(SettlementEpoch.checkpointed_ms.is_not(None)).limit(1))
    opened = session.scalar(known.where(SettlementEpoch.opened_ms.is_not(None)).limit(1))
    newest = select(PublishedCheckpoint.epoch).order_by(PublishedCheckpoint.size.desc()).limit(1)
    published = session.scalar(newest)
    settling = ends.get("settlement", 0) > now
    in_time = epoch if now - epoch * seconds > grace else epoch - 1
    return {
        "metering": _state(ends.get("collector", 0) > now, silent, meters, allowed=0),
        "settlement": _state(settling, _behind(settled, due), None, allowed=1),
        "market": _state(settling, _behind(opened, in_time), None, allowed=0),
        "log": _state(True, _behind(published, due), None, allowed=1),
        "chain": ("unknown", None, None),
    }


def _paused(client: ChainClient) -> set[str]:
    try:
        return set(acts.read(client).paused)
    except NotDeployedError:
        return set()


def _behind(done: int | None, due: int) -> int | None:
    """How many epochs are due and not done; None where none was ever done."""
    return None if done is None else max(0, due - done)


def _state(runs: bool, late: int | None, of: int | None, *, allowed: int) -> tuple[State, int | None, int | None]:
    if not runs:
        return "down", late, of
    if late is None:
        return "unknown", None, of
    return ("late" if late > allowed else "up"), late, of


def _last(session: Session) -> dict[Part, tuple[State | None, int | None]]:
    """By part the state that was written down last, and since when."""
    found: dict[Part, tuple[State | None, int | None]] = {}
    for part in PARTS:
        newest = select(ServiceChange).where(ServiceChange.part == part).order_by(ServiceChange.id.desc()).limit(1)
        row = session.scalar(newest)
        found[part] = (None, None) if row is None else (row.state, row.since)  # type: ignore[assignment]
    return found


def _incidents(newest_first: Sequence[ServiceChange], up: Collection[str], now: int) -> Iterator[Incident]:
    """From when to when parts were not up; one that went from bad to worse is one incident.

    A part that is up now has its end now, until it has been up for long enough for the end to be written down.
    """
    found: list[Incident] = []
    open_: dict[str, tuple[State, int]] = {}
    for row in reversed(newest_first):
        if row.state == "up":
            if (begun := open_.pop(row.part, None)) is not None:
                found.append(Incident(row.part, *begun, ended=row.since))  # type: ignore[arg-type]
        else:
            open_.setdefault(row.part, (row.state, row.since))  # type: ignore[arg-type]
    found += [Incident(part, *begun, ended=now if part in up else None) for part, begun in open_.items()]  # type: ignore[arg-type]
    yield from sorted(found, key=lambda each: -each.began)
