"""How the log says what was lost and came back: the acts of a recovery, and the leaves that stand for lost ones.

A log that lost its newest leaves does not use their places a second time. `log_restored` names the lost range, and
leaves of type 4 fill it, so that whatever was signed or pinned of the lost leaves stays recognisable, and the chain
(which refuses a log that shrinks) takes the next checkpoint. `log_refilled` says that all is back that could be had.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from authority.store.log import Act

LEAF_LOST = 4
"""The type of a leaf that stands for a lost one: then the index of the act that says so, u64 little-endian."""
LOG_RESTORED, LOG_REFILLED = "log_restored", "log_refilled"
READINGS_LOST, ACT_RECOVERED, KEY_RECOVERED = "readings_lost", "act_recovered", "key_recovered"
CHAIN_WENT_BACK = "chain_went_back"
CHAIN_MOVED = "chain_moved"
LEDGER_PRUNED = "ledger_pruned"
"""The chain's accounts went to another validator, and its history into the bundle whose SHA-256 the act names."""
_LOST = struct.Struct("<BQ")
_PIN = struct.Struct("<IQ32s")


def lost_leaf(act_index: int) -> bytes:
    """The leaf that stands for a lost one, by the act that names the lost range: 9 bytes."""
    return _LOST.pack(LEAF_LOST, act_index)


def hash_of_pins(pins: Iterable[tuple[int, int, bytes]]) -> str:
    """SHA-256 (hex) of checkpoints on the chain: of each its epoch u32, its log's size u64, its root (32 bytes)."""
    return hashlib.sha256(b"".join(_PIN.pack(*pin) for pin in sorted(pins))).hexdigest()


@dataclass
class Restored:
    """A restoration of the log: the act's index, the leaves [after, until) that it gives up, and the epochs.

    after is the last size that the chain pins and the log still has; pins is the hash of the checkpoints of the epochs
    first to last whose roots the log no longer has. refilled is the index of the act that ended it; None before.
    """

    index: int
    after: int
    until: int
    first_epoch: int
    last_epoch: int
    pins: str
    refilled: int | None = None
    told: dict[str, Any] = field(default_factory=dict)


@dataclass
class WentBack:
    """The chain went back: the act's index, the last epoch that was still checkpointed (-1: none), and from which leaf
    on acts of the log may have been undone.
    """

    index: int
    last_epoch: int
    from_leaf: int
    told: dict[str, Any] = field(default_factory=dict)


@dataclass
class Restorations:
    """All that the log says of recoveries, as far as it was read."""

    restored: list[Restored] = field(default_factory=list)
    went_back: list[WentBack] = field(default_factory=list)

    def logged(self, index: int, kind: str, data: Mapping[str, Any]) -> None:
        """Take an act of the log in; KeyError, TypeError or ValueError where it does not say what it should."""
        if kind == LOG_RESTORED:
            first, last = (int(each) for each in data["epochs"])
            after, until = int(data["after"]), int(data["until"])
            if after > index:
                raise ValueError("it gives up leaves that were not there")
            self.restored.append(Restored(index, after, until, first, last, str(data["pins"])))
        elif kind == LOG_REFILLED:
            for each in self.restored:
                if each.index == data["restoration"]:
                    each.refilled, each.told = index, dict(data)
        elif kind == CHAIN_WENT_BACK:
            last_epoch = -1 if data["last_epoch"] is None else int(data["last_epoch"])
            self.went_back.append(WentBack(index, last_epoch, int(data["from_leaf"]), dict(data)))

    @property
    def open(self) -> Restored | None:
        """The first restoration that has not been ended."""
        return next((each for each in self.restored if each.refilled is None), None)

    def stands_for_lost(self, index: int, data: bytes) -> bool:
        """Whether a leaf of type 4 is in its place."""
        return any(each.index < index < each.until and data == lost_leaf(each.index) for each in self.restored[-1:])

    def undone(self, index: int) -> bool:
        """Whether what an act of the log did may have been undone because the chain went back."""
        return any(each.from_leaf <= index < each.index for each in self.went_back)

    def book_undone(self, index: int, epoch: int) -> bool:
        """Whether a book of the log is one of an epoch whose checkpoint was undone."""
        return any(index < each.index and epoch > each.last_epoch for each in self.went_back)

    def given_up(self, pins: Iterable[tuple[int, int, bytes]]) -> set[int]:
        """Of checkpoints whose roots the log has not (epoch, size, root), the epochs of those that it gave up."""
        found: set[int] = set()
        known = list(pins)
        for each in self.restored:
            named = [pin for pin in known if each.first_epoch <= pin[0] <= each.last_epoch]
            if hash_of_pins(named) == each.pins:
                found |= {epoch for epoch, _, _ in named}
        return found


def restorations(session: Session) -> Restorations:
    """What the log says of recoveries so far."""
    found = Restorations()
    kinds = (LOG_RESTORED, LOG_REFILLED, CHAIN_WENT_BACK)
    for index, kind, data in session.execute(
        select(Act.log_index, Act.kind, Act.data).where(Act.kind.in_(kinds)).order_by(Act.log_index)
    ):
        found.logged(index, kind, data)
    return found
