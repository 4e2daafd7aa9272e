"""The embedded validator's memory: one SQLite file with every account, transaction, log and block that holds one.

The write-ahead log with synchronous=FULL makes each commit durable before it returns. One transaction of the chain, or
a group of them that is answered together, is one commit: their bytes, their results, and the accounts that they
changed, or nothing at all. Only one process may have a ledger open; a lock file beside it sees to that.
"""

from __future__ import annotations

import fcntl
import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from solders.account import Account
from solders.pubkey import Pubkey

from authority.errors import AuthorityError
from authority.validator.packing import Packer, learnt

LEDGER_NAME = "ledger.db"
SCHEMA_VERSION = 2
"""Of version 1, whose transactions and metas are not packed, is what an earlier release wrote; it is read as it is."""

_SCHEMA = """
CREATE TABLE property (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE account (
    address BLOB PRIMARY KEY, lamports INTEGER NOT NULL, owner BLOB NOT NULL, executable INTEGER NOT NULL,
    data BLOB NOT NULL
);
CREATE TABLE block (slot INTEGER PRIMARY KEY, hash BLOB NOT NULL, time INTEGER NOT NULL);
CREATE TABLE landed (
    number INTEGER PRIMARY KEY, slot INTEGER NOT NULL REFERENCES block (slot), signature BLOB NOT NULL UNIQUE,
    content BLOB NOT NULL, error TEXT, meta BLOB NOT NULL
);
CREATE INDEX landed_by_slot ON landed (slot, number);
CREATE TABLE named (id INTEGER PRIMARY KEY, address BLOB NOT NULL UNIQUE);
CREATE TABLE mention (
    name INTEGER NOT NULL REFERENCES named (id), number INTEGER NOT NULL REFERENCES landed (number),
    PRIMARY KEY (name, number)
) WITHOUT ROWID;
"""
_FROM_VERSION_1 = """
ALTER TABLE mention RENAME TO earlier;
CREATE TABLE named (id INTEGER PRIMARY KEY, address BLOB NOT NULL UNIQUE);
CREATE TABLE mention (
    name INTEGER NOT NULL REFERENCES named (id), number INTEGER NOT NULL REFERENCES landed (number),
    PRIMARY KEY (name, number)
) WITHOUT ROWID;
INSERT INTO named (address) SELECT DISTINCT address FROM earlier;
INSERT INTO mention SELECT id, number FROM earlier JOIN named USING (address);
DROP TABLE earlier;
"""


# Of SQLite's result codes, those that are the disk's fault or the directory's, not the file's.
_DISK_CODES = (
    sqlite3.SQLITE_PERM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
)
_ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)
_COLUMNS = {
    "property": {"name", "value"},
    "account": {"address", "lamports", "owner", "executable", "data"},
    "block": {"slot", "hash", "time"},
    "landed": {"number", "slot", "signature", "content", "error", "meta"},
    "named": {"id", "address"},
    "mention": {"name", "number"},
}
_COLUMNS_OF_VERSION_1 = {name: columns for name, columns in _COLUMNS.items() if name != "named"} | {
    "mention": {"address", "number"}
}
_ROOM_SIZE = 64 * 1024
_DICTIONARY = "dictionary"
_KEPT_NAMES = 1 << 16
LEARN_AT = 256
"""Transactions after which the ledger learns its dictionary (authority.validator.packing)."""
_SAMPLES = 128


class LedgerError(AuthorityError):
    """ledger_in_use, ledger_unreadable, ledger_unwritable or ledger_version."""


class LedgerInUseError(LedgerError):
    """Another process has the ledger open."""

    code = "ledger_in_use"


class LedgerUnreadableError(LedgerError):
    """The ledger cannot be read."""

    code = "ledger_unreadable"


class LedgerUnwritableError(LedgerError):
    """The ledger cannot be written."""

    code = "ledger_unwritable"


class LedgerVersionError(LedgerError):
    """The ledger was written by another version."""

    code = "ledger_version"


@dataclass(frozen=True)
class Landed:
    """A transaction that landed: its place, its bytes, its error (None where it succeeded) and its RPC meta object."""

    number: int
    slot: int
    time: int
    signature: bytes
    content: bytes
    error: Any
    meta: dict[str, Any]


@dataclass(frozen=True)
class Status:
    """What became of a signature."""

    number: int
    slot: int
    time: int
    signature: bytes
    error: Any


@dataclass(frozen=True)
class Mention:
    """A transaction that names an address, and its bytes."""

    status: Status
    content: bytes


@dataclass(frozen=True)
class Entry:
    """One transaction to be recorded, with everything that it changed (None: the account is gone)."""

    slot: int
    time: int
    blockhash: bytes
    signature: bytes
    content: bytes
    error: Any
    meta: dict[str, Any]
    mentions: Sequence[Pubkey]
    changes: Sequence[tuple[Pubkey, Account | None]]


class Grouped(NamedTuple):
    """What is recorded of an entry in a group: the entry, and its meta's JSON as it is packed."""

    entry: Entry
    meta: bytes


class Ledger:
    """The open ledger; used by one thread at a time (the bank's lock holds that)."""

    def __init__(self, directory: Path, *, reset: bool = False, durable: bool = True) -> None:
        """Open or make the ledger in a directory; `reset` throws an old one away first.

        One that is not durable survives the end of its process at any point, but not a power cut.
        LedgerError where another process has it or it cannot be read.
        """
        self.path = directory / LEDGER_NAME
        self._synchronous = "FULL" if durable else "OFF"
        try:
            directory.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LedgerUnwritableError(
                f"{error.filename} cannot be made ({error.strerror}): look at the disk and at who owns {directory}",
            ) from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._lock)
            raise LedgerInUseError(f"another validator runs on {self.path}: stop it, or use its address") from error
        try:
            if reset:
                for suffix in ("", "-wal", "-shm"):
                    self.path.with_name(LEDGER_NAME + suffix).unlink(missing_ok=True)
            self._connection = self._open()
            self._grouped = False
            self._entries: list[Grouped] = []
            self._changed: dict[Pubkey, Account | None] = {}
            self._mentions: list[tuple[int, int]] = []
            self._names: dict[Pubkey, int] = {}
            self._begun = -1
            """The slot of the block that was written last, which has its row."""
            self._packer = Packer(self.property(_DICTIONARY) or b"")
            self._landed_count = self.count()
        except BaseException:
            os.close(self._lock)
            raise

    def _open(self) -> sqlite3.Connection:
        try:
            made = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                os.fchmod(made, 0o600)  # whatever the umask; SQLite gives the files beside it the same mode
            finally:
                os.close(made)
        except OSError as error:
            raise LedgerUnwritableError(
                f"{self.path} cannot be opened for writing ({error.strerror}): look at the disk and at who owns it",
            ) from error
        try:
            connection = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self._failed(error) from error
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {self._synchronous}")
            connection.execute("PRAGMA foreign_keys = ON")
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if version == 0 and not tables:
                connection.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
            elif version == 0:
                raise self.unreadable("it is the database of another program")
            elif version == 1:
                self._check_columns(connection, _COLUMNS_OF_VERSION_1)
                connection.executescript(
                    f"BEGIN IMMEDIATE; {_FROM_VERSION_1} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;"
                )
            elif version != SCHEMA_VERSION:
                raise LedgerVersionError(
                    f"{self.path} is of version {version}, this validator writes {SCHEMA_VERSION}: "
                    "use the version that made it, or start again from nothing with --reset",
                )
            self._check_columns(connection, _COLUMNS)
            if (found := connection.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise self.unreadable(found.splitlines()[-1])
        except sqlite3.Error as error:
            connection.close()
            raise self._failed(error) from error
        except BaseException:
            connection.close()
            raise
        return connection

    def _check_columns(self, connection: sqlite3.Connection, expected: Mapping[str, set[str]]) -> None:
        for table, columns in expected.items():
            if {row[1] for row in connection.execute(f"PRAGMA table_info({table})")} != columns:
                raise self.unreadable("it is the database of another program")

    def unreadable(self, reason: object) -> LedgerError:
        """The error for a ledger that is not what this validator wrote."""
        return LedgerUnreadableError(
            f"{self.path} cannot be read ({reason}): restore it, or start again from nothing with --reset"
        )

    def _failed(self, error: sqlite3.Error) -> LedgerError:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DISK_CODES:
            return LedgerUnwritableError(
                f"{self.path} cannot be written ({error}): look at the disk and at who owns the file, then start again",
            )
        return self.unreadable(error)

    def close(self) -> None:
        """Give the file and its lock back; once is enough."""
        self._connection.close()
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # Writing

    def begin(self, properties: dict[str, bytes], accounts: Iterable[tuple[Pubkey, Account]]) -> None:
        """Write the genesis, in one commit. LedgerError where that fails."""
        try:
            with self._transaction() as cursor:
                cursor.executemany("INSERT INTO property VALUES (?, ?)", properties.items())
                for address, account in accounts:
                    self._put_account(cursor, address, account)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def renew(self, accounts: Iterable[tuple[Pubkey, Account]]) -> None:
        """Write accounts that no transaction changes, in one commit. LedgerError where that fails."""
        try:
            with self._transaction() as cursor:
                for address, account in accounts:
                    self._put_account(cursor, address, account)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def group(self) -> None:
        """Make one commit of all that is recorded from now on until `commit`, or nothing of it."""
        self._learn()
        self._grouped = True
        self._entries = []

    def commit(self) -> None:
        """Make a group durable; sqlite3.Error where that fails, and nothing of it is kept."""
        try:
            self._write()
            self._grouped = False
            if self._connection.in_transaction:
                _Transaction(self._connection).commit()
        except BaseException:
            self._grouped = False
            self._forget()
            raise

    def record(self, entry: Entry) -> int:
        """Record one transaction and what it changed; durable when this returns, or with its group. Its number.

        sqlite3.Error where that fails: nothing of it is kept, nor of the group so far.
        """
        if not self._grouped:
            self._learn()
        try:
            number = self._record(entry)
        except BaseException:
            self._forget()
            raise
        self._landed_count = number
        return number

    @property
    def grouped(self) -> Sequence[Grouped]:
        """What is recorded in the group that is open, or was the last one."""
        return self._entries

    def unpack(self, data: bytes) -> bytes:
        """What this ledger has packed."""
        return self._packer.unpack(data)

    def _record(self, entry: Entry) -> int:
        meta = _ENCODER.encode(entry.meta).encode()
        # A transaction is mostly keys and signatures: packed it is a seventh smaller, which is not worth the time.
        packed = Grouped(entry, self._packer.pack(meta))
        with self._transaction() as cursor:
            if entry.slot != self._begun:
                block = (entry.slot, entry.blockhash, entry.time)
                cursor.execute("INSERT INTO block VALUES (?, ?, ?) ON CONFLICT DO NOTHING", block)
                self._begun = entry.slot
            cursor.execute(
                "INSERT INTO landed (slot, signature, content, error, meta) VALUES (?, ?, ?, ?, ?)",
                (
                    entry.slot,
                    entry.signature,
                    entry.content,
                    None if entry.error is None else json.dumps(entry.error),
                    packed.meta,
                ),
            )
            number = cursor.lastrowid or 0
            for address in dict.fromkeys(entry.mentions):
                name = self._names.get(address) or self._name(cursor, address)
                self._mentions.append((name, number))
            self._changed.update(entry.changes)
            if self._grouped:
                self._entries.append(packed)
            else:
                self._write()
        return number

    def _write(self) -> None:
        """Write what the group's transactions name, and of each account that they changed what it is now.

        Most transactions of a group change the same accounts: the market's seats, its book, the payer.
        """
        mentions, changed = self._mentions, self._changed
        self._mentions, self._changed = [], {}
        if mentions or changed:
            with _Transaction(self._connection, grouped=True) as cursor:
                cursor.executemany("INSERT INTO mention VALUES (?, ?)", mentions)
                for address, account in changed.items():
                    if account is None:
                        cursor.execute("DELETE FROM account WHERE address = ?", (bytes(address),))
                    else:
                        self._put_account(cursor, address, account)

    def _forget(self) -> None:
        """Know nothing of what was not kept."""
        self._mentions, self._changed, self._names, self._begun = [], {}, {}, -1

    def _name(self, cursor: sqlite3.Cursor, address: Pubkey) -> int:
        """The number of an address among those that are named."""
        found = cursor.execute("SELECT id FROM named WHERE address = ?", (bytes(address),)).fetchone()
        if found is None:
            cursor.execute("INSERT INTO named (address) VALUES (?)", (bytes(address),))
            found = (cursor.lastrowid,)
        if len(self._names) >= _KEPT_NAMES:
            self._names.clear()
        self._names[address] = number = int(found[0])
        return number

    def _learn(self) -> None:
        """Learn the dictionary once there is enough to learn from: durable before anything is packed with it."""
        if self._packer.has_learnt or self._landed_count < LEARN_AT:
            return
        rows = self._connection.execute("SELECT meta FROM landed ORDER BY number DESC LIMIT ?", (_SAMPLES,))
        dictionary = learnt([self._packer.unpack(meta) for (meta,) in rows])
        with self._transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO property VALUES (?, ?)", (_DICTIONARY, dictionary))
        self._packer = Packer(dictionary)

    def touch(self) -> None:
        """Write as much as a transaction may need, durably: sqlite3.Error where there is no room for it."""
        with self._transaction() as cursor:
            cursor.execute("INSERT OR REPLACE INTO property VALUES ('room', zeroblob(?))", (_ROOM_SIZE,))

    @staticmethod
    def _put_account(cursor: sqlite3.Cursor, address: Pubkey, account: Account) -> None:
        cursor.execute(
            "INSERT INTO account VALUES (?, ?, ?, ?, ?) ON CONFLICT (address) DO UPDATE SET lamports = "
            "excluded.lamports, owner = excluded.owner, executable = excluded.executable, data = excluded.data",
            (bytes(address), account.lamports, bytes(account.owner), account.executable, bytes(account.data)),
        )

    def _transaction(self) -> _Transaction:
        return _Transaction(self._connection, grouped=self._grouped)

    # Reading

    def property(self, name: str) -> bytes | None:
        """A property written at genesis."""
        row = self._connection.execute("SELECT value FROM property WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def accounts(self) -> Iterator[tuple[Pubkey, Account]]:
        """Every account, as it stands. LedgerError where one is not an account, or cannot be read."""
        query = "SELECT address, lamports, owner, executable, data FROM account"
        try:
            self._write()
            for address, lamports, owner, executable, data in self._connection.execute(query):
                if not (_is_key(address) and _is_key(owner) and isinstance(data, bytes)):
                    raise self.unreadable("it holds an account without address, owner or data")
                if not isinstance(lamports, int) or lamports < 0:
                    raise self.unreadable(f"account {Pubkey.from_bytes(address)} has {lamports} lamports")
                yield Pubkey.from_bytes(address), Account(lamports, data, Pubkey.from_bytes(owner), bool(executable))
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def last_block(self) -> tuple[int, int]:
        """Slot and Unix time of the last block that holds a transaction; zeros where there is none."""
        row = self._connection.execute("SELECT slot, time FROM block ORDER BY slot DESC LIMIT 1").fetchone()
        return (0, 0) if row is None else (row[0], row[1])

    def block_time(self, slot: int) -> int | None:
        """Unix time of a block that holds a transaction."""
        row = self._connection.execute("SELECT time FROM block WHERE slot = ?", (slot,)).fetchone()
        return None if row is None else int(row[0])

    def status(self, signature: bytes) -> Status | None:
        """What became of a signature; None where it has not landed."""
        row = self._connection.execute(
            "SELECT number, slot, time, signature, error FROM landed JOIN block USING (slot) WHERE signature = ?",
            (signature,),
        ).fetchone()
        return None if row is None else _status(row)

    def has(self, signature: bytes) -> bool:
        """Whether a transaction of this signature has landed."""
        query = "SELECT 1 FROM landed WHERE signature = ?"
        return self._connection.execute(query, (signature,)).fetchone() is not None

    def landed(self, signature: bytes) -> Landed | None:
        """A transaction by its first signature."""
        rows = self._landed("signature = ?", (signature,))
        return rows[0] if rows else None

    def landed_in(self, slot: int) -> list[Landed]:
        """The transactions of a slot, in order."""
        return self._landed("slot = ?", (slot,))

    def _landed(self, condition: str, values: tuple[object, ...]) -> list[Landed]:
        query = "SELECT number, slot, time, signature, content, error, meta FROM landed JOIN block USING (slot) WHERE "
        return [
            Landed(
                number,
                slot,
                time,
                signature,
                self._packer.unpack(content),
                None if error is None else json.loads(error),
                json.loads(self._packer.unpack(meta).decode()),
            )
            for number, slot, time, signature, content, error, meta in self._connection.execute(
                f"{query}{condition} ORDER BY number", values
            )
        ]

    def mentions(self, address: Pubkey, limit: int, before: int | None, until: int | None) -> list[Mention]:
        """Transactions that name an address, newest first, with numbers below `before` and above `until`."""
        query = (
            "SELECT number, slot, time, signature, error, content "
            "FROM mention JOIN landed USING (number) JOIN block USING (slot) "
            "WHERE name = (SELECT id FROM named WHERE address = ?) AND number < ? AND number > ? "
            "ORDER BY number DESC LIMIT ?"
        )
        self._write()
        newest = 1 << 62 if before is None else before
        rows = self._connection.execute(query, (bytes(address), newest, -1 if until is None else until, limit))
        return [Mention(_status(row[:5]), self._packer.unpack(row[5])) for row in rows]

    def count(self) -> int:
        """How many transactions have landed, ever."""
        return int(self._connection.execute("SELECT coalesce(max(number), 0) FROM landed").fetchone()[0])

    def transactions(self) -> int:
        """How many transactions the ledger has."""
        return int(self._connection.execute("SELECT count(*) FROM landed").fetchone()[0])

    def first_since(self, time: int) -> int:
        """The number of the first transaction that landed then or later (Unix seconds); the next one's where none."""
        return self._first("time", time)

    def first_from_slot(self, slot: int) -> int:
        """The number of the first transaction that landed in that slot or later; the next one's where none."""
        return self._first("slot", slot)

    def _first(self, column: str, value: int) -> int:
        slot = self._connection.execute(f"SELECT min(slot) FROM block WHERE {column} >= ?", (value,)).fetchone()[0]  # noqa: S608
        query = "SELECT min(number) FROM landed WHERE slot = ?"
        found = None if slot is None else self._connection.execute(query, (slot,)).fetchone()[0]
        return self.count() + 1 if found is None else int(found)

    # Dropping

    def drop(self, numbers: Iterable[int]) -> None:
        """Drop transactions, and blocks that have none left, in one commit; accounts stay as they are.

        The file keeps its size, and the room is used again. LedgerError where that fails.
        """
        connection = self._connection
        self._begun = -1
        try:
            # Each mention is dropped with its transaction below; checking that again would read all of them each time.
            connection.execute("PRAGMA foreign_keys = OFF")
            connection.execute("CREATE TEMP TABLE doomed (number INTEGER PRIMARY KEY)")
            try:
                with self._transaction() as cursor:
                    cursor.executemany("INSERT INTO doomed VALUES (?)", ((number,) for number in numbers))
                    slots = "SELECT slot FROM landed WHERE number IN (SELECT number FROM doomed)"
                    empty = cursor.execute(f"SELECT DISTINCT slot FROM ({slots})").fetchall()  # noqa: S608
                    for table in ("mention", "landed"):
                        cursor.execute(f"DELETE FROM {table} WHERE number IN (SELECT number FROM doomed)")  # noqa: S608
                    left = "SELECT 1 FROM landed WHERE landed.slot = block.slot"
                    cursor.executemany(f"DELETE FROM block WHERE slot = ? AND NOT EXISTS ({left})", empty)  # noqa: S608
            finally:
                connection.execute("DROP TABLE temp.doomed")
                connection.execute("PRAGMA foreign_keys = ON")
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def total_lamports(self) -> int:
        """The sum of all accounts' lamports."""
        self._write()
        return int(self._connection.execute("SELECT coalesce(sum(lamports), 0) FROM account").fetchone()[0])

    def largest(self, count: int) -> list[tuple[Pubkey, int]]:
        """The accounts with the most lamports."""
        self._write()
        rows = self._connection.execute(
            "SELECT address, lamports FROM account ORDER BY lamports DESC LIMIT ?", (count,)
        )
        return [(Pubkey.from_bytes(address), lamports) for address, lamports in rows]


def _is_key(value: object) -> bool:
    return isinstance(value, bytes) and len(value) == 32


def _status(row: tuple[int, int, int, bytes, str | None]) -> Status:
    number, slot, time, signature, error = row
    return Status(number, slot, time, signature, None if error is None else json.loads(error))


class _Transaction:
    def __init__(self, connection: sqlite3.Connection, *, grouped: bool = False) -> None:
        self._connection = connection
        self._grouped = grouped

    def __enter__(self) -> sqlite3.Cursor:
        cursor = self._connection.cursor()
        if not self._connection.in_transaction:
            cursor.execute("BEGIN IMMEDIATE")
        return cursor

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._roll_back()
        elif not self._grouped:
            self.commit()

    def commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except BaseException:
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")
