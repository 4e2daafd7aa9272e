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
        # the SlotHashes sysvar is made anew at every slot, of 512 hashes that are mostly those of the slot before
        self._derive = lru_cache(maxsize=2_048)(self._derived)

    def blockhash(self, slot: int) -> Hash:
        """The hash of a slot's block: what transactions name as recent."""
        return self._derive(b"block", slot)

    def bank_hash(self, slot: int) -> Hash:
        """What the SlotHashes sysvar holds for a slot."""
        return self._derive(b"bank", slot)

    def genesis_hash(self) -> Hash:
        """The hash that names this ledger."""
        return self._derive(b"genesis", 0)

    def _derived(self, kind: bytes, slot: int) -> Hash:
        return Hash(hashlib.sha256(self._seed + kind + struct.pack("<Q", slot)).digest())
