"""Files that are written whole or not at all, and directories that only their owner may enter."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import sqlite3
import time
from pathlib import Path


def make_private_directory(path: Path) -> None:
    """Make a directory that only its owner may enter; an existing one is narrowed to that."""
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.chmod(0o700)


def make_private_file(path: Path) -> None:
    """Make an empty file that only its owner may read, whatever the umask; an existing one is narrowed to that.

    An existing one is not opened: to close it again would end every lock that this process has on it, as POSIX has it,
    and SQLite's databases live by those.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        path.chmod(0o600)
        return
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def use_write_ahead_log(connection: sqlite3.Connection, seconds: float) -> None:
    """Have a database keep a write-ahead log, waiting so long while others make it: there SQLite itself may not wait.

    sqlite3.OperationalError ("database is locked") after that.
    """
    end = time.monotonic() + seconds
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > end:
                raise
            time.sleep(0.01)


def sha256_of(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes, which are not held in memory. OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_atomically(path: Path, data: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Write a file whole or not at all; with `durable`, it is on the disk when this returns.

    The temporary file has the mode from the start, whatever the umask: a secret is never readable by others,
    not even for a moment.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    if durable:
        sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make a directory's entries durable: a rename survives a power failure only after this."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
