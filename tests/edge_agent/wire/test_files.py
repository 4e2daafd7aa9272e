"""Files and databases that several processes make at once."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

from edge_agent.wire.files import use_write_ahead_log


def locked(path: Path) -> sqlite3.Connection:
    """A new database that somebody else is just making."""
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN EXCLUSIVE")
    other.execute("CREATE TABLE t (a)")
    return other


def test_a_database_that_somebody_else_makes_is_waited_for(tmp_path: Path) -> None:
    """SQLite does not always wait there itself, whatever its timeout."""
    other = locked(tmp_path / "a.db")
    mine = sqlite3.connect(tmp_path / "a.db", isolation_level=None, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        mine.execute("PRAGMA journal_mode = WAL")
    release = threading.Timer(0.1, other.execute, ("COMMIT",))
    release.start()
    use_write_ahead_log(mine, 60)
    release.join()
    assert mine.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_one_that_stays_locked_is_told(tmp_path: Path) -> None:
    other = locked(tmp_path / "a.db")
    mine = sqlite3.connect(tmp_path / "a.db", isolation_level=None, timeout=0)
    with pytest.raises(sqlite3.OperationalError, match="locked"):
        use_write_ahead_log(mine, 0.05)
    other.execute("ROLLBACK")
