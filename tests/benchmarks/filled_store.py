"""A SQLite store with a long history, written as rows by SQL rather than lived through.

Tables, indexes, numbers of rows and their lengths are those of a store that took the readings in; its tree is whole.
What the rows say is made up: their records, hashes and signatures are random bytes, and so are the leaves' hashes in
the tree. Intake looks at none of it but the last reading of each key, which its caller makes a real one.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from authority.log import merkle
from authority.log.tiles import TILE_HEIGHT, TILE_WIDTH

AT_ONCE = 500_000
"""Rows a statement."""

_ROWS = """
INSERT INTO frames (log_index, meter_pk, public_key, sequence, interval_end, record_hash, frame, verdict, code,
                    received_at, over, disposition, chain_status)
WITH RECURSIVE rounds (n) AS (SELECT :first UNION ALL SELECT n + 1 FROM rounds WHERE n + 1 < :end)
SELECT n * :meters + place, pk, public_key, n + 1, interval_end + n * :epoch, randomblob(32),
       CAST(randomblob(96) || public_key || randomblob(64) AS BLOB), 'accepted', 'ok',
       interval_end + n * :epoch, 'mqtt', 'accepted', 'confirmed'
FROM rounds CROSS JOIN filling
"""
"""One reading of each meter in each of the rounds [first, end)."""


def add_frames(
    database: Path,
    meters: Sequence[tuple[int, bytes, int]],
    rounds: int,
    epoch_seconds: int,
    tell: Callable[[int, int], None],
) -> None:
    """Rows of so many readings of each meter: its row, its key, when its first interval ends (Unix seconds).

    Nobody else may have the database open. tell is called with how many rows there are, and how many there will be.
    """
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "locking_mode=EXCLUSIVE", "cache_size=-1000000"):
            connection.execute(f"PRAGMA {pragma}")
        connection.execute("CREATE TEMP TABLE filling (place INTEGER PRIMARY KEY, pk, public_key, interval_end)")
        connection.executemany(
            "INSERT INTO filling VALUES (?, ?, ?, ?)", [(place, *meter) for place, meter in enumerate(meters)]
        )
        step = max(1, AT_ONCE // len(meters))
        for first in range(0, rounds, step):
            end = min(first + step, rounds)
            numbers = {"first": first, "end": end, "meters": len(meters), "epoch": epoch_seconds}
            connection.execute(_ROWS, numbers)
            tell(end * len(meters), rounds * len(meters))
        connection.execute("PRAGMA locking_mode=NORMAL")
        connection.execute("PRAGMA journal_mode=WAL")
    finally:
        connection.close()


def tiles_of(size: int) -> Iterator[tuple[int, int, bytes]]:
    """The tiles of a tree of so many leaves with random hashes: level, number, hashes; parents are their children's."""
    level, hashes = 0, size
    below: list[bytes] = []
    while hashes:
        above = []
        for n, start in enumerate(range(0, hashes, TILE_WIDTH)):
            width = min(TILE_WIDTH, hashes - start)
            tile = below[start : start + width] if level else None
            joined = b"".join(tile) if tile is not None else os.urandom(width * merkle.HASH_SIZE)
            yield level, n, joined
            if width == TILE_WIDTH:
                above.append(merkle.perfect_root(split(joined)))
        level, hashes, below = level + 1, len(above), above


def split(joined: bytes) -> list[bytes]:
    """Hashes that lie one behind the other."""
    return [joined[at : at + merkle.HASH_SIZE] for at in range(0, len(joined), merkle.HASH_SIZE)]


def frontier_of(edges: Sequence[bytes]) -> list[bytes]:
    """The roots of the perfect subtrees, largest first, from the unfinished tile of each level, the leaves' first."""
    found = []
    for joined in reversed(edges):
        row, start = split(joined), 0
        for height in reversed(range(TILE_HEIGHT)):
            if len(row) >> height & 1:
                found.append(merkle.perfect_root(row[start : start + (1 << height)]))
                start += 1 << height
    return found
