"""What is new, what is over, and what waits to be told: the memory of the alerts, as a file in the home.

It is no table of the store, for the store's own failure must be told. A problem is told once it has stood for a while,
and its end once it has been away for as long, so what comes and goes does not fill a mailbox. For each channel the
changes that it has not taken yet wait together, and go out as one message: nothing is lost while mail is down, and no
hundred messages come when it is back.

No message names a person: members, wallets' owners and what gateways say in their own words are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from authority.errors import AuthorityError
from authority.status.facts import ALERTS_NOTE, AlertFacts, Facts, GatewayFacts
from authority.status.judgement import Problem
from edge_agent.wire.files import write_atomically

RAISED, CLEARED = "raised", "cleared"
MAX_CHANGES = 1_000
"""Of one message; the oldest beyond it are counted, and not listed."""
FIRST_PAUSE, LONGEST_PAUSE = 30, 3_600
"""Seconds between two attempts to deliver: doubled from one to the next."""

_CODE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class AlertsStateError(AuthorityError):
    """The alerts' memory is not what this program wrote."""

    code = "alerts_state"


@dataclass(frozen=True)
class Change:
    """Something that began or ended at a time (Unix seconds)."""

    at: int
    what: str
    code: str
    subject: str
    text: str


@dataclass(frozen=True)
class Known:
    """A problem that stands: since when, whether that was told, and since when it has been away."""

    code: str
    subject: str
    text: str
    since: int
    told: bool = False
    away_since: int | None = None


@dataclass(frozen=True)
class Outbox:
    """What one channel has not taken yet, and how its attempts went."""

    changes: tuple[Change, ...] = ()
    left_out: int = 0
    digest: bool = False
    attempts: int = 0
    next_at: int = 0
    failing_since: int | None = None
    error: str = ""
    delivered_at: int | None = None

    @property
    def waits(self) -> bool:
        """Whether there is anything to deliver."""
        return bool(self.changes or self.digest)

    def is_due(self, now: int) -> bool:
        """Whether it may be tried; a pause that seems longer than any is a clock that was set back meanwhile."""
        return not 0 < self.next_at - now <= LONGEST_PAUSE

    def failed(self, now: int, error: str) -> Outbox:
        """After an attempt that failed: the next comes after a pause that doubles."""
        pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(self.attempts, 16))
        since = now if self.failing_since is None else self.failing_since
        return replace(self, attempts=self.attempts + 1, next_at=now + pause, failing_since=since, error=error[:500])

    def delivered(self, now: int) -> Outbox:
        """After one that did not."""
        return Outbox(delivered_at=now)


@dataclass(frozen=True)
class Memory:
    """All of it. `digest_day` is the last day whose digest was made, as an ISO date."""

    looked_at: int = 0
    known: Mapping[str, Known] = field(default_factory=dict)
    outboxes: Mapping[str, Outbox] = field(default_factory=dict)
    digest_day: str = ""

    @classmethod
    def read(cls, home: Path) -> Memory:
        """From the home; an empty one where there is none. AlertsStateError."""
        path = home / ALERTS_NOTE
        try:
            raw = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                int(raw["looked_at"]),
                {key: Known(**value) for key, value in raw["known"].items()},
                {
                    name: Outbox(**{**value, "changes": tuple(Change(**change) for change in value["changes"])})
                    for name, value in raw["outboxes"].items()
                },
                str(raw["digest_day"]),
            )
        except FileNotFoundError:
            return cls()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise AlertsStateError(
                f"{path} cannot be read ({error}): remove it, and everything that stands is told once more"
            ) from error

    def write(self, home: Path) -> None:
        """Durably, before anything that follows from it."""
        write_atomically(home / ALERTS_NOTE, json.dumps(asdict(self), ensure_ascii=False).encode())

    def looked(self, now: int, problems: Iterable[Problem], channels: Sequence[str], settle_seconds: int) -> Memory:
        """After a look: what has stood, or been away, for `settle_seconds` waits for every channel from now on.

        What began later than now was seen by a clock that has been set back since: it counts from now.
        """
        present = {key_of(problem): problem for problem in problems}
        known: dict[str, Known] = {}
        changes: list[Change] = []
        for key, problem in present.items():
            held = self.known.get(key)
            since, told = (now, False) if held is None else (min(held.since, now), held.told)
            if not told and now - since >= settle_seconds:
                told = True
                changes.append(Change(since, RAISED, problem.code, problem.subject, problem.text))
            known[key] = Known(problem.code, problem.subject, problem.text, since, told)
        for key, held in self.known.items():
            if key in present or not held.told:
                continue
            away = now if held.away_since is None else min(held.away_since, now)
            if now - away >= settle_seconds:
                changes.append(Change(away, CLEARED, held.code, held.subject, held.text))
            else:
                known[key] = replace(held, away_since=away)
        return replace(
            self,
            looked_at=now,
            known=known,
            outboxes={name: _added(name, self.outboxes.get(name, Outbox()), changes) for name in channels},
        )

    def with_digest(self, day: str) -> Memory:
        """A digest waits for every channel."""
        outboxes = {name: replace(outbox, digest=True) for name, outbox in self.outboxes.items()}
        return replace(self, outboxes=outboxes, digest_day=day)

    def with_outbox(self, name: str, outbox: Outbox) -> Memory:
        """One channel's outbox is another."""
        return replace(self, outboxes={**self.outboxes, name: outbox})

    @property
    def standing(self) -> list[Known]:
        """What stands and was told, the oldest first."""
        return sorted((held for held in self.known.values() if held.told), key=lambda held: held.since)


def _added(channel: str, outbox: Outbox, changes: Sequence[Change]) -> Outbox:
    own = (change for change in changes if (change.code, change.subject) != ("alerts_undelivered", channel))
    waiting = (*outbox.changes, *own)
    beyond = max(0, len(waiting) - MAX_CHANGES)
    return replace(outbox, changes=waiting[beyond:], left_out=outbox.left_out + beyond)


def key_of(problem: Problem) -> str:
    """What makes a problem the same as it was: not its words, in which ages and numbers grow."""
    return f"{problem.code}|{problem.subject}|{problem.about}"


def nameless(facts: Facts) -> Facts:
    """The facts without persons, and without words that others chose: what a message may be made of."""
    return replace(
        facts,
        meters=tuple(replace(meter, member=None) for meter in facts.meters),
        gateways=tuple(_coded(gateway) for gateway in facts.gateways),
        alerts=tuple(
            AlertFacts(alert.code, "see: authority settlement alerts", alert.first_at, alert.count)
            for alert in facts.alerts
        ),
        enrolments_waiting=tuple(name if _NAME.fullmatch(name) else "?" for name in facts.enrolments_waiting),
    )


def _coded(gateway: GatewayFacts) -> GatewayFacts:
    """A gateway's problems as codes, with the meter's name where it has one."""
    found = []
    for problem in gateway.problems:
        first, second, *_ = [*problem.split(": "), ""]
        parts = [first] if _CODE.fullmatch(first) and not _CODE.fullmatch(second) else [first, second]
        if all(_NAME.fullmatch(part) for part in parts):
            found.append(": ".join(parts))
        else:
            found.append("see its status")
    return replace(gateway, problems=tuple(found))
