"""Slots from time: a slot is 400 ms, and every slot has a block.

Blocks without transactions are not stored: a slot's blockhash is derived from the ledger's secret seed, so it is the
same after a restart, and one that was handed out before a kill is valid after it for as long as it would have been.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable
from functools import lru_cache

from solders.hash import Hash

MILLISECONDS_PER_SLOT = 400
SLOTS_PER_EPOCH = 432_000
MAX_BLOCKHASH_AGE = 150
"""A transaction lands while its blockhash is at most this many slots old."""
_SLOT = struct.Struct("<Q")


class SlotClock:
    """The current slot and Unix time; neither ever goes back, also where the machine's clock does.

    Within a process slots follow the monotonic clock. At a start they continue from the wall clock's place, or from the
    last slot that the ledger holds where the wall clock was set back meanwhile.
    """

    def __init__(
        self,
        *,
        genesis_milliseconds: int,
        last_slot: int,
        last_time: int,
        wall: Callable[[], float],
        monotonic: Callable[[], float],
    ) -> None:
        self._wall = wall
        self._monotonic = monotonic
        by_wall = (round(wall() * 1000) - genesis_milliseconds) // MILLISECONDS_PER_SLOT + 1
        self._first_slot = max(by_wall, last_slot + 1, 1)
        self._started = monotonic()
        self._time = last_time

    def slot(self) -> int:
        """The slot that transactions land in now."""
        passed = round((self._monotonic() - self._started) * 1000)
        return self._first_slot + passed // MILLISECONDS_PER_SLOT

    def seconds_to_next(self) -> float:
        """How long the current slot has still to go, in seconds."""
        passed = round((self._monotonic() - self._started) * 1000)
        return (MILLISECONDS_PER_SLOT - passed % MILLISECONDS_PER_SLOT) / 1000

    def unix_time(self) -> int:
        """Unix seconds, as programs see them in the Clock sysvar."""
        self._time = max(self._time, int(self._wall()))
        return self._time


class SlotHashes:
    """The hashes of a ledger's slots, each a function of its seed."""

    def __init__(self, seed: bytes) -> None:
        self._seed = seed
        self._derive = lru_cache(maxsize=512)(self._derived)
        self._newest: list[tuple[int, Hash]] = []

    def blockhash(self, slot: int) -> Hash:
        """The hash of a slot's block: what transactions name as recent."""
        return self._derive(b"block", slot)

    def before(self, slot: int, count: int) -> list[tuple[int, Hash]]:
        """The slots before this one with their bank hashes, newest first, so many: the SlotHashes sysvar's content.

        It is made anew at every slot, and most of it is what it was at the slot before.
        """
        oldest = max(0, slot - count)
        known = self._newest
        newest = known[0][0] if known and known[0][0] < slot else oldest - 1
        head, pack = self._seed + b"bank", _SLOT.pack
        new = [
            (number, Hash(hashlib.sha256(head + pack(number)).digest()))
            for number in range(slot - 1, max(newest, oldest - 1), -1)
        ]
        self._newest = (new + known if newest >= oldest else new)[:count]
        return self._newest

    def genesis_hash(self) -> Hash:
        """The hash that names this ledger."""
        return self._derive(b"genesis", 0)

    def _derived(self, kind: bytes, slot: int) -> Hash:
        return Hash(hashlib.sha256(self._seed + kind + _SLOT.pack(slot)).digest())
