"""What a person has to be told: alerts, raised once, gone when their cause is.

Besides what the programs refuse, two things are watched: whether the log let each meter's standing record pass, and
whether a member that should have been settled is not.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from threading import Lock

from authority.settlement.journal import Journal
from authority.settlement.plan import Situation, Stalled, stalled_members
from authority.settlement.snapshot import Snapshot

STALLED = "member_stalled"
"""The alert about a member that is not settled, though its time is over."""
NOT_PASSED = "standing_not_passed"
"""The alert about a meter whose last record on the chain is not one that the log let pass."""


class Watch:
    """Alerts of one worker, which takes over those that the worker before it left open; safe for several threads."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._lock = Lock()
        self._open = journal.open_alerts()
        self._passed: dict[int, bytes] = {}
        # what was last said of each member that is not settled
        self._stalled: dict[str, str] = {subject: "" for subject in self._open if subject.startswith(Stalled.PREFIX)}

    def alert(self, code: str, subject: str, message: str) -> None:
        """Raise it, or count it once more."""
        with self._lock:
            self._open.add(subject)
        self.journal.alert(code, subject, message)

    @property
    def is_open(self) -> bool:
        """Whether there is any alert that is not over."""
        return bool(self._open)

    def gone(self, subject: str) -> None:
        """What was alerted about this subject, by this worker or by one before it, is over."""
        with self._lock:
            if subject not in self._open:
                return
            self._open.remove(subject)
        self.journal.resolve(subject)

    def with_passed(self, snapshot: Snapshot) -> Snapshot:
        """The snapshot, with whether the log let each meter's standing record pass; where it did not, an alert."""
        unknown = {
            meter.meter_pk: meter.standing
            for meter in snapshot.meters
            if meter.standing is not None and self._passed.get(meter.meter_pk) != meter.hash
        }
        if not unknown:
            return snapshot
        passed = self.journal.passed(unknown)
        meters = []
        for meter in snapshot.meters:
            subject = f"standing {meter.name}"
            if meter.meter_pk in unknown:
                if any(each[: len(meter.hash)] == meter.hash for each in passed.get(meter.meter_pk, ())):
                    self._passed[meter.meter_pk] = meter.hash
                    self.gone(subject)
                else:
                    meters.append(replace(meter, passed=False))
                    if subject not in self._open:
                        self.alert(
                            NOT_PASSED,
                            subject,
                            f"the last record of {meter.name} on the chain ({meter.hash.hex()}, interval end "
                            f"{meter.standing}) is not one that the log let pass: nothing is settled with this meter "
                            "until another follows; see `authority audit verify`",
                        )
                    continue
            meters.append(meter)
        return replace(snapshot, meters=tuple(meters))

    def tell_of_stalled(self, situation: Situation) -> None:
        """An alert for each member that is not settled though its time is over; it goes when the member is settled."""
        found = {stalled.subject: stalled for stalled in stalled_members(situation)}
        for subject in set(self._stalled) - set(found):
            self.gone(subject)
        said = {}
        for subject, stalled in found.items():
            since = "never before" if stalled.since is None else f"last at {utc_text(stalled.since)}"
            names = ", ".join(meter.name for meter in stalled.awaited)
            reason = (
                f"waits for {names}; if it was exchanged: authority meters exchange; if it was taken out: "
                "authority meters retire GATEWAY/METER"
                if names
                else "is refused by the chain, see its other alert"
            )
            said[subject] = (
                f"{stalled.member.name} is not settled ({since}), {stalled.waiting} readings of its meters wait: "
                f"it {reason}"
            )
            if said[subject] != self._stalled.get(subject):
                self.alert(STALLED, subject, said[subject])
        self._stalled = said


def utc_text(seconds: int) -> str:
    """A time in UTC, to the minute."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
