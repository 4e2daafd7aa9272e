"""Backup and restoration of a home: configuration, keys, store and embedded ledger, as they were at one moment.

The store's writers are held up for an instant while both databases' snapshots are taken; the copying goes on beside
them. In the backup the store is always an SQLite file, whatever it is in the home, so it can be restored into either.

A backup is a sealed tar (authority.service.sealing): manifest.json first, then authority.toml, keys/*, store.db and,
where the validator is the embedded one, ledger.db.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from sqlalchemy import Integer, func, insert, select, text

from authority.app import App
from authority.errors import AuthorityError
from authority.home.errors import HomeExistsError
from authority.home.home import Home
from authority.home.settings import CONFIG_NAME, StoreSettings
from authority.log import log
from authority.service.sealing import SealedReader, SealedWriter, Secret
from authority.status.facts import BACKUP_NOTE
from authority.store import Store
from authority.store.base import Base
from authority.validator.ledger import LEDGER_NAME
from edge_agent.wire.files import make_private_file, sha256_of, sync_directory, write_atomically

VERSION = 1
MANIFEST = "manifest.json"
STORE, LEDGER = "store.db", "ledger.db"
ROWS_AT_ONCE = 1_000


class BackupError(AuthorityError):
    """A backup that cannot be made, or cannot be used."""


class BackupDamagedError(BackupError):
    """The backup opens, and what is in it is not what was put in."""

    code = "backup_damaged"


class BackupUnreadableError(BackupError):
    """The file is not a backup of this version."""

    code = "backup_unreadable"


class BackupUnwritableError(BackupError):
    """The backup's file cannot be written."""

    code = "backup_unwritable"


@dataclass(frozen=True)
class Manifest:
    """What a backup holds: of which network, when (Unix seconds), the log's size and root, each file's SHA-256."""

    version: int
    network_id: str
    time: int
    log_size: int
    log_root: str
    files: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """For the archive, and for programs."""
        return dict(vars(self))


# Backing up


def backup(app: App, target: Path, secret: Secret) -> Manifest:
    """Write a backup, whole or not at all, mode 0600, and note it in the home. BackupUnwritableError."""
    home = app.home
    partial = target.with_name(f".{target.name}.partial")
    try:
        with tempfile.TemporaryDirectory(prefix=".backup-", dir=home.path) as directory:  # the home's own disk: 0700
            copies = _copies(app, Path(directory))
            files = {CONFIG_NAME: home.path / CONFIG_NAME}
            files |= {f"keys/{path.name}": path for path in sorted((home.path / "keys").iterdir())}
            files |= copies
            manifest = _describe(app, files, copies[STORE])
            make_private_file(partial)
            with partial.open("wb") as file:
                with (
                    SealedWriter(file, secret) as sealed,
                    tarfile.open(fileobj=sealed, mode="w|") as archive,
                ):
                    _add(archive, MANIFEST, json.dumps(manifest.as_json(), indent=1).encode())
                    for name, path in files.items():
                        archive.add(path, name, recursive=False, filter=_anonymous)
                file.flush()
                os.fsync(file.fileno())
        os.replace(partial, target)
        sync_directory(target.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise BackupUnwritableError(f"{target} cannot be written: {error}") from error
    note = {"file": str(target), "time": manifest.time}
    write_atomically(home.path / BACKUP_NOTE, json.dumps(note).encode())
    return manifest


def _copies(app: App, directory: Path) -> dict[str, Path]:
    """The databases, copied from snapshots of one moment."""
    ledger = app.home.validator_directory / LEDGER_NAME
    with ExitStack() as stack:
        with _held(app.store):
            if app.store.engine.dialect.name == "sqlite":
                source: Any = stack.enter_context(_snapshot(Path(str(app.store.engine.url.database))))
            else:
                source = stack.enter_context(app.store.read())
                source.scalar(select(func.now()))  # from here on it sees this moment
            chain = stack.enter_context(_snapshot(ledger)) if ledger.exists() else None
        copies = {STORE: directory / STORE}
        if isinstance(source, sqlite3.Connection):
            _copy(source, copies[STORE])
        else:
            make_private_file(copies[STORE])
            with closing(Store.open(f"sqlite:///{copies[STORE]}")) as target:
                copy_rows(source, target)
        if chain is not None:
            copies[LEDGER] = directory / LEDGER
            _copy(chain, copies[LEDGER])
    return copies


@contextmanager
def _held(store: Store) -> Iterator[None]:
    """Nobody writes to the store meanwhile: every act and reading takes the log's row."""
    with store.write() as session:
        # The table before its row: whoever waits for the row has a lock on the table already.
        if store.engine.dialect.name != "sqlite":
            session.execute(text("LOCK TABLE log_state IN EXCLUSIVE MODE"))
        log.lock(session)
        yield


@contextmanager
def _snapshot(path: Path) -> Iterator[sqlite3.Connection]:
    """A connection that sees an SQLite database in WAL mode as it is now, whoever writes to it meanwhile."""
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    try:
        connection.execute("BEGIN")
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        yield connection
    finally:
        connection.close()


def _copy(source: sqlite3.Connection, target: Path) -> None:
    make_private_file(target)
    with closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
        copy.execute("PRAGMA journal_mode = DELETE")  # one file, nothing beside it


def copy_rows(source: Any, target: Store) -> None:
    """Copy every row of a store, seen by a session of it, into an empty and migrated one."""
    with target.write() as session:
        for table in Base.metadata.sorted_tables:
            session.execute(table.delete())
            rows = source.execute(select(table)).mappings()
            while some := rows.fetchmany(ROWS_AT_ONCE):
                session.execute(insert(table), [dict(row) for row in some])
            if target.engine.dialect.name == "postgresql":
                _set_counter(session, table)


def _set_counter(session: Any, table: Any) -> None:
    """Have PostgreSQL number the next row after the greatest that was copied."""
    column = table.autoincrement_column
    if column is None or not isinstance(column.type, Integer):
        return
    name = session.scalar(select(func.pg_get_serial_sequence(table.name, column.name)))
    greatest = session.scalar(select(func.max(column)))
    if name is not None and greatest is not None:
        session.execute(select(func.setval(name, greatest)))


def _describe(app: App, files: dict[str, Path], store: Path) -> Manifest:
    with closing(Store.open(f"sqlite:///{store}")) as copy, copy.read() as session:
        size = log.size(session)
        root = log.root(session, size).hex()
    with closing(sqlite3.connect(store)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    hashes = {name: sha256_of(path) for name, path in files.items()}
    return Manifest(VERSION, app.home.network_id.hex(), app.clock(), size, root, hashes)


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    entry.mode = 0o600
    archive.addfile(entry, io.BytesIO(data))


def _anonymous(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mode = 0o600
    return entry


# Restoring


def restore(
    file: Path, path: Path, secret: Callable[[int], Secret], *, store_url: str | None = None, check_only: bool = False
) -> Manifest:
    """Make a home of a backup; with check_only, read it whole and make nothing.

    The home must not be there, or be empty; it appears only once everything in it is right. store_url is another
    database than the backup's authority.toml names; it must be empty. BackupError, SealError, StoreError.
    """
    path = path.resolve()
    if not check_only and path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise HomeExistsError(f"{path} is there already: restore into a directory that is empty or not there")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as directory:
            made = Path(directory) / "home"
            manifest = _unpack(file, made, secret)
            if not check_only:
                _settle(made, store_url)
                if path.exists():
                    path.rmdir()
                made.rename(path)
                sync_directory(path.parent)
    except OSError as error:
        raise BackupUnreadableError(f"the backup cannot be restored: {error}") from error
    return manifest


def _unpack(file: Path, home: Path, secret: Callable[[int], Secret]) -> Manifest:
    """Everything in the archive, into a new directory, with each file's hash compared."""
    damaged = BackupDamagedError(f"{file} is not a whole backup: take another copy of it")
    (home / "keys").mkdir(parents=True, mode=0o700)
    home.chmod(0o700)
    found: dict[str, str] = {}
    manifest: Manifest | None = None
    with file.open("rb") as sealed:
        reader = io.BufferedReader(SealedReader(sealed, secret))
        try:
            with tarfile.open(fileobj=reader, mode="r|") as archive:
                for entry in archive:
                    source = archive.extractfile(entry) if entry.isreg() else None
                    if source is None:
                        raise damaged
                    if entry.name == MANIFEST:
                        manifest = Manifest(**json.loads(source.read()))
                        continue
                    if manifest is None or entry.name not in manifest.files or ".." in Path(entry.name).parts:
                        raise damaged
                    found[entry.name] = _write(source, home / entry.name)
            reader.read()  # to the last chunk, which says that nothing was cut off
        except (tarfile.TarError, ValueError, TypeError, EOFError) as error:
            raise damaged from error
    if manifest is None or manifest.version != VERSION or found != manifest.files:
        raise damaged
    return manifest


def _write(source: IO[bytes], path: Path) -> str:
    make_private_file(path)
    digest = hashlib.sha256()
    with path.open("wb") as file:
        while piece := source.read(1 << 20):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _settle(home_path: Path, store_url: str | None) -> None:
    """Put the databases where the home has them."""
    home = Home.open(home_path)
    if store_url is not None:
        home.save(replace(home.settings, store=StoreSettings(store_url)))
    if home.settings.store.url:
        with closing(Store.open(home.settings.store.url)) as target:
            target.require_empty()
            with closing(Store.open(f"sqlite:///{home_path / STORE}")) as source, source.read() as session:
                copy_rows(session, target)
        for leftover in home_path.glob(f"{STORE}*"):
            leftover.unlink()
    else:
        shutil.move(home_path / STORE, home_path / "authority.db")
    if (home_path / LEDGER).exists():
        home.validator_directory.mkdir(mode=0o700, exist_ok=True)
        shutil.move(home_path / LEDGER, home.validator_directory / LEDGER_NAME)
