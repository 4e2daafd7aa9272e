"""Opening the store: engines for SQLite and PostgreSQL, read and write sessions, migrations.

SQLite runs in WAL mode with synchronous=FULL: a commit that returned survives a power cut. A write session takes the
database's write lock at its start (BEGIN IMMEDIATE), so what it read is still true when it writes. On PostgreSQL a
write session is an ordinary transaction (READ COMMITTED) and locks the rows it depends on (`with_for_update`); a read
session is REPEATABLE READ, so that all its queries see one state there too.
"""

from __future__ import annotations

import math
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import (
    Connection,
    Engine,
    Executable,
    TableClause,
    TextClause,
    UpdateBase,
    column,
    create_engine,
    event,
    inspect,
    select,
    table,
)
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DisconnectionError, IntegrityError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.orm import Session, sessionmaker
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from authority.errors import AuthorityError
from authority.store.base import Base
from authority.store.log import LogState
from authority.store.rows import HELD, WRITTEN, take_arrays
from edge_agent.wire.files import make_private_file, use_write_ahead_log

BUSY_SECONDS = 30
IDLE_SECONDS = 1.0
"""A connection to PostgreSQL that has rested longer is asked whether it still stands before it is used."""
MIGRATIONS = Path(__file__).parent / "migrations"
_REVISION = table("alembic_version", column("version_num"))
"""Where Alembic keeps a database's revision."""


class StoreError(AuthorityError):
    """The database cannot be used."""


class StoreInUseError(StoreError):
    """Another process migrates the store."""

    code = "store_in_use"


class StoreNewerError(StoreError):
    """A later version of the authority wrote the store."""

    code = "store_newer"


class StoreUnreachableError(StoreError):
    """The database does not answer, or cannot be opened."""

    code = "store_unreachable"


class StoreUrlError(StoreError):
    """The store's URL cannot be used."""

    code = "store_url"


class StoreSpoiltError(StoreError):
    """A write failed among those that were to be kept together."""

    code = "store_spoilt"


class WrongNetworkError(StoreError):
    """The store belongs to another network."""

    code = "wrong_network"


def in_a_line(error: Exception) -> str:
    """What is wrong: of a database the driver's own words, which may be several lines, without SQLAlchemy's."""
    return " ".join(str(getattr(error, "orig", None) or error).split())


class Store:
    """An open, migrated database. One per process; sessions are for one thread at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        one_state = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        written = {WRITTEN: self._note_written}
        self._readers = sessionmaker(engine.execution_options(**one_state, **written), expire_on_commit=False)
        self._writers = sessionmaker(engine.execution_options(authority_write=True, **written), expire_on_commit=False)
        self._together: Session | None = None
        self._depth = 0
        self._spoilt = False
        self._writes: Counter[str] | None = None

    @classmethod
    def open(cls, url: str, *, durable: bool = True, alone: bool = False) -> Store:
        """Connect and migrate to the newest schema.

        An SQLite store that is not durable survives the end of its process at any point, but not a power cut.
        alone says that no other process writes to it, so that this one knows what has changed (`writes_of`).
        StoreError: `store_url` for a URL that SQLAlchemy cannot take, `store_unreachable` where the database does not
        answer, `store_newer` where a later release has migrated it already.
        """
        try:
            parsed = make_url(url)
            sqlite = parsed.get_backend_name() == "sqlite"
            engine = _sqlite(url, durable) if sqlite else _postgresql(url)
        except (ArgumentError, NoSuchModuleError, ImportError) as error:
            raise StoreUrlError(
                f"[store] url must be like sqlite:///PATH or postgresql+psycopg://USER@HOST/NAME: {error}"
            ) from error
        store = cls(engine)
        try:
            store._migrate()
        except SQLAlchemyError as error:
            engine.dispose()
            raise StoreUnreachableError(
                f"the database at {parsed.render_as_string()} cannot be opened: {in_a_line(error)}"
            ) from error
        if alone:
            store._count_writes()
        return store

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database; what it changes is thrown away. Its objects stay readable."""
        if self._together is not None:
            with self._part(self._together) as session:
                yield session
            return
        with self._readers() as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """A session whose changes are durable when the block ends, or undone where it raises."""
        if self._together is not None:
            with self._part(self._together) as session:
                try:
                    yield session
                    session.flush()
                except BaseException:
                    self._spoilt = True
                    raise
            return
        with self._writers() as session, session.begin():
            yield session

    @contextmanager
    def trial(self) -> Iterator[Session]:
        """A session that writes as `write`'s does, and all of it is undone at its end: what a dry run does."""
        with self._writers() as session, session.begin():
            yield session
            session.flush()
            session.expunge_all()  # its objects stay readable, as those of any other session
            session.rollback()

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make one transaction of all that this store reads and writes in the block; durable when the block ends.

        A session of its own takes longer than what is mostly done in it. So this is for who does much, needs none of it
        kept before the end, and is alone: others wait for the whole block. Its sessions do not outlive each other's
        objects, as ever; one that reads must change nothing. Where a write raises, nothing of the block is kept:
        StoreSpoiltError at its end, where that was caught meanwhile.
        """
        with self._writers() as session, session.begin():
            self._together, self._spoilt = session, False
            session.info[HELD] = session.connection()
            try:
                yield
            finally:
                self._together = None
            if self._spoilt:
                raise StoreSpoiltError("a write failed within a group of writes: none of them is kept")

    @contextmanager
    def _part(self, session: Session) -> Iterator[Session]:
        self._depth += 1
        try:
            yield session
        except BaseException:
            session.info.pop(HELD, None)  # it may have been rolled back: SQLAlchemy says so to who goes on
            raise
        finally:
            self._depth -= 1
            if not self._depth:
                session.expunge_all()

    def writes_of(self, *tables: str) -> tuple[int, ...] | None:
        """How often each of these tables was written to since the store was opened; None where others may write too.

        As long as it is the same, so is what was read of them.
        """
        return None if self._writes is None else tuple(self._writes[table] for table in tables)

    def _count_writes(self) -> None:
        writes = self._writes = Counter(dict.fromkeys(Base.metadata.tables, 0))

        @event.listens_for(self.engine, "before_execute")
        def _count(_connection: Connection, statement: Executable, *_: object) -> None:
            table = statement.table if isinstance(statement, UpdateBase) else None
            if isinstance(table, TableClause):
                writes[table.name] += 1
            elif table is not None or isinstance(statement, TextClause):
                writes.update(writes.keys())  # whatever it may be

    def _note_written(self, table: str) -> None:
        """authority.store.rows writes to a table, of which before_execute is not told."""
        if self._writes is not None:
            self._writes[table] += 1

    def claim(self, network_id: bytes) -> None:
        """Tie an empty store to a network; WrongNetworkError where it belongs to another already."""
        state = self._log_state()
        if state is None:
            with suppress(IntegrityError), self.write() as session:  # another process may be doing the same
                if session.get(LogState, 1) is None:
                    session.add(LogState(id=1, network_id=network_id, size=0, frontier=b""))
            state = self._log_state()
        assert state is not None  # noqa: S101
        if state.network_id != network_id:
            raise WrongNetworkError(
                f"the database belongs to network {state.network_id.hex()}, this home to {network_id.hex()}; "
                "correct [store] url, or restore the home that belongs to the database",
            )

    def require_empty(self) -> None:
        """StoreInUseError where the database belongs to a network already."""
        state = self._log_state()
        if state is not None:
            raise StoreInUseError(
                f"the database holds the log of network {state.network_id.hex()} already: name an empty database, or "
                "restore the home that belongs to it",
            )

    def _log_state(self) -> LogState | None:
        with self.read() as session:
            return session.get(LogState, 1)

    def close(self) -> None:
        """Close the pool's connections."""
        self.engine.dispose()

    def _migrate(self) -> None:
        with self.engine.connect() as connection:
            if _revision(connection) == newest_revision():
                return
        from authority.store import migrating  # noqa: PLC0415 - a tenth of every process's start, for once a release

        migrating.upgrade(self.engine.execution_options(authority_write=True), MIGRATIONS)


def newest_revision() -> str:
    """The revision that this release's stores have: the newest migration's file is named as its revision."""
    return max(path.stem for path in (MIGRATIONS / "versions").glob("[0-9]*.py"))


def _revision(connection: Connection) -> str | None:
    """The revision that a database says it has; None before its first migration."""
    if not inspect(connection).has_table(_REVISION.name):
        return None
    return connection.execute(select(_REVISION.c.version_num)).scalar()


def _postgresql(url: str) -> Engine:
    engine = create_engine(url)

    @event.listens_for(engine, "connect")
    def _connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        take_arrays(connection)

    @event.listens_for(engine, "checkin")
    def _checkin(_connection: DBAPIConnection | None, entry: ConnectionPoolEntry) -> None:
        entry.info["rests_since"] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _checkout(connection: DBAPIConnection, entry: ConnectionPoolEntry, _proxy: PoolProxiedConnection) -> None:
        """Have the pool take another one where the server has gone since; one that was just used is not asked."""
        if time.monotonic() - entry.info.get("rests_since", math.inf) > IDLE_SECONDS:
            try:
                engine.dialect.do_ping(connection)
            except engine.dialect.loaded_dbapi.Error as error:
                raise DisconnectionError(str(error)) from error

    return engine


def _sqlite(url: str, durable: bool) -> Engine:
    name = make_url(url).database
    if name and name != ":memory:" and not name.startswith("file:"):
        with suppress(OSError):  # a directory that is missing is said when it is opened
            make_private_file(Path(name))  # SQLite gives the files beside it the same mode
    engine = create_engine(url, connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False})

    @event.listens_for(engine, "connect")
    def _connect(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
        assert isinstance(connection, sqlite3.Connection)  # noqa: S101
        connection.isolation_level = None  # SQLAlchemy begins, not sqlite3
        use_write_ahead_log(connection, BUSY_SECONDS)
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        connection.execute("PRAGMA foreign_keys=ON")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        write = connection.get_execution_options().get("authority_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine
