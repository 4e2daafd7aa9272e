"""Journals as earlier releases of the agent left them."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Mapping, Sequence
from pathlib import Path

from edge_agent.state import journal
from edge_agent.wire.reading import Frame, record_hash


def write_old_journal(path: Path, schema: int, meters: Mapping[str, Sequence[tuple[Frame, str]]]) -> None:
    """A journal of schema 1 or 2 with, by the meters' names, their frames in order and each one's state."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as old:
        old.execute("PRAGMA journal_mode = WAL")
        for script in journal._MIGRATIONS[:schema]:
            old.executescript(script)
        old.execute(f"PRAGMA user_version = {schema}")
        for name, frames in meters.items():
            last = frames[-1][0]
            old.execute(
                "INSERT INTO meter (public_key, name, record) VALUES (?, ?, ?)",
                (last.public_key, name, last.record_bytes),
            )
            for frame, state in frames:
                old.execute(
                    "INSERT INTO frame (public_key, sequence, record_hash, frame, state, signed_at) "
                    "VALUES (?, ?, ?, ?, ?, 0)",
                    (frame.public_key, frame.record.sequence, record_hash(frame.record_bytes), frame.to_bytes(), state),
                )
