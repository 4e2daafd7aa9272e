"""The journal: what has been signed and not yet receipted, in SQLite, synced at every commit.

A frame's sequence is durable here before the frame leaves the gateway, and the frame stays until the authority's signed
receipt says accepted or held; a broker's acknowledgement proves nothing. What the authority refused stays with the
reason. Receipted frames stay a while longer (the archive), so that an authority restored from a backup can ask for them
again. Nothing is dropped to make room: a full journal refuses more, and the meter's own load profile keeps the rows.

One thread uses a journal: the agent's.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from edge_agent.errors import EdgeError
from edge_agent.wire.files import make_private_file, use_write_ahead_log
from edge_agent.wire.reading import (
    CODES,
    VERDICT_ACCEPTED,
    VERDICT_HELD,
    VERDICT_PARKED,
    Frame,
    Receipt,
    Record,
    record_hash,
)

JOURNAL_FILE = "journal.db"
"""Its name under a gateway's state directory."""

SCHEMA_VERSION = 3
ARCHIVE_FRAMES = 20_000
"""Receipted frames kept for an authority that lost its own: 40 days of five meters at 15 minutes. A twentieth more may
be there, so that they are not deleted one by one."""

PAGE_SIZE = 1024
"""Bytes of a page of a new journal. A boundary changes few rows, and each page that it touches is written twice: to the
write-ahead log, and from there into its place. Four times smaller pages wear an SD card out three times slower."""

CHECKPOINT_PAGES = 2000
"""Pages in the write-ahead log at which it is carried into the database: by then most were written many times."""

BUSY_SECONDS = 10.0
"""How long a process waits for another that has the database locked."""

CACHE_KIB = 256
"""Kibibytes of pages that SQLite keeps in memory. A boundary touches a few dozen pages; with SQLite's own two
mebibytes, the check at the start would fill them with pages of the archive that nobody asks for again."""

WAITING = "waiting"
PARKED = "parked"
REFUSED = "refused"
SUPERSEDED = "superseded"
RECEIPTED = "receipted"

NEEDS_REBASE = "needs_rebase"
"""The stop code of a meter whose register fell."""

_MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE meter (
        public_key   BLOB PRIMARY KEY,
        name         TEXT NOT NULL,
        record       BLOB,                        -- the last signed record (96 bytes); NULL before the first
        resume       INTEGER NOT NULL DEFAULT 0,  -- 1: the next record carries `resynchronised`
        stop_code    TEXT,                        -- why this meter signs nothing, e.g. needs_rebase
        stop_reason  TEXT,
        receipt      BLOB,                        -- the last receipt that took a frame
        receipted_at INTEGER
    ) WITHOUT ROWID;
    CREATE TABLE frame (
        id           INTEGER PRIMARY KEY AUTOINCREMENT,
        public_key   BLOB NOT NULL REFERENCES meter,
        sequence     INTEGER NOT NULL,
        record_hash  BLOB NOT NULL,
        frame        BLOB NOT NULL,               -- record, public key, signature (192 bytes)
        state        TEXT NOT NULL,
        code         INTEGER,                     -- the receipt's code, once there is one
        signed_at    INTEGER NOT NULL,
        answered_at  INTEGER,
        UNIQUE (public_key, record_hash)
    );
    CREATE INDEX frame_by_state ON frame (state, public_key, sequence);
    """,
    """
    -- 1: a person says that the register which fell was reset, and the meter goes on from there
    ALTER TABLE meter ADD COLUMN rebase INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- What a frame holds already (its key, its record's hash) is not stored beside it again. Frames of one boundary lie
    -- side by side in both indexes, so that a boundary changes few pages.
    CREATE TABLE meter_3 (
        number       INTEGER PRIMARY KEY,
        public_key   BLOB NOT NULL UNIQUE,
        name         TEXT NOT NULL,
        record       BLOB,
        resume       INTEGER NOT NULL DEFAULT 0,
        stop_code    TEXT,
        stop_reason  TEXT,
        rebase       INTEGER NOT NULL DEFAULT 0
    );
    INSERT INTO meter_3 (public_key, name, record, resume, stop_code, stop_reason, rebase)
        SELECT public_key, name, record, resume, stop_code, stop_reason, rebase FROM meter ORDER BY name;
    CREATE TABLE frame_3 (
        id           INTEGER PRIMARY KEY,
        meter        INTEGER NOT NULL REFERENCES meter_3 (number),
        sequence     INTEGER NOT NULL,
        frame        BLOB NOT NULL,               -- record, public key, signature (192 bytes)
        state        TEXT NOT NULL,
        code         INTEGER,
        signed_at    INTEGER NOT NULL,
        answered_at  INTEGER
    );
    INSERT INTO frame_3 (id, meter, sequence, frame, state, code, signed_at, answered_at)
        SELECT id, (SELECT number FROM meter_3 WHERE meter_3.public_key = frame.public_key),
            sequence, frame, state, code, signed_at, answered_at FROM frame ORDER BY id;
    DROP TABLE frame;
    DROP TABLE meter;
    ALTER TABLE meter_3 RENAME TO meter;
    ALTER TABLE frame_3 RENAME TO frame;
    CREATE INDEX frame_by_sequence ON frame (sequence, meter);
    CREATE INDEX frame_open ON frame (meter, sequence, state, code) WHERE state != 'receipted';
    """,
)


class JournalError(EdgeError):
    """The journal cannot be used as it is."""


class JournalDamagedError(JournalError):
    """The journal's database is damaged."""

    code = "journal_damaged"


class JournalFullError(JournalError):
    """The journal holds as many frames without a receipt as it may."""

    code = "journal_full"


class JournalTooNewError(JournalError):
    """A later version of the agent wrote the journal."""

    code = "journal_too_new"


class JournalUnusableError(JournalError):
    """The journal's file or the disk cannot be used."""

    code = "journal_unusable"


class NoJournalError(JournalError):
    """There is no journal yet: the agent has not run."""

    code = "no_journal"


class ResetError(EdgeError):
    """The meter cannot be taken as reset."""


class NotStoppedError(ResetError):
    """The meter has not stopped because a register fell."""

    code = "not_stopped"


class MeterState(NamedTuple):
    """Where one meter's chain of records stands. record is the last signed one, None before the first; with resume set
    the next record carries `resynchronised`; stop_code is why the meter signs nothing, None while it does; with rebase
    set a register that fell is taken as reset."""

    record_bytes: bytes | None
    resume: bool
    stop_code: str | None
    stop_reason: str | None
    rebase: bool

    @property
    def record(self) -> Record | None:
        """The last signed record."""
        return None if self.record_bytes is None else Record.from_bytes(self.record_bytes)


class JournalEntry(NamedTuple):
    """A frame in the journal, by its number there. code is that of the last receipt for it, None where there was
    none."""

    id: int
    sequence: int
    code: int | None


class HeldFrame(NamedTuple):
    """A frame in the journal, by its number there, with its state."""

    id: int
    state: str
    frame: Frame


@dataclass(frozen=True)
class JournalCounts:
    """How many frames the journal holds, by what they wait for; depth is all that have no accepting receipt."""

    waiting: int
    parked: int
    refused: int
    superseded: int
    archived: int

    @property
    def depth(self) -> int:
        """Frames that the authority has not taken."""
        return self.waiting + self.parked + self.refused + self.superseded


class Journal:
    """The journal of one gateway. Use `Journal.open`."""

    def __init__(self, connection: sqlite3.Connection, path: Path, quota: int, archive: int) -> None:
        self._connection = connection
        self.path = path
        self.quota = quota
        self.archive = archive
        self.set_aside: Path | None = None
        """Where a damaged predecessor was put when this journal was opened."""
        self._numbers: dict[bytes, int] = {}
        """The numbers of the meters' keys, as far as they were asked for."""
        self._archived: int | None = None
        """How many receipted frames there are, once that was counted; another process changes none."""

    @classmethod
    def open(cls, path: Path, *, quota: int, archive: int = ARCHIVE_FRAMES, damaged: bool = False) -> Journal:
        """Open or make the journal at `path`, migrating an older schema.

        A damaged database is set aside as `NAME.damaged-N` (also when the caller knows it to be: `damaged`) and a new
        one made; `set_aside` then says where it went. JournalTooNewError where a later version of the agent
        wrote it, `journal_unusable` where the file or the disk cannot be used.
        """
        set_aside: Path | None = None
        if damaged:
            set_aside = _set_aside(path)
        try:
            journal = cls._open(path, quota, archive)
        except JournalDamagedError:
            set_aside = _set_aside(path)
            journal = cls._open(path, quota, archive)
        journal.set_aside = set_aside
        return journal

    @classmethod
    def open_beside(cls, path: Path, *, quota: int) -> Journal:
        """Open the journal that an agent has, which may run meanwhile; nothing is made again or set aside.

        NoJournalError where there is none, `journal_damaged` and the others as `open`.
        """
        if not path.is_file():
            raise NoJournalError(f"cannot find a journal at {path}: no agent has run here yet")
        return cls._open(path, quota, ARCHIVE_FRAMES)

    @classmethod
    def _open(cls, path: Path, quota: int, archive: int) -> Journal:
        try:
            make_private_file(path)
        except OSError as error:
            raise JournalUnusableError(f"the journal at {path} cannot be written: {error}") from error
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_SECONDS)
        try:
            with _typed(path):
                connection.execute(f"PRAGMA page_size = {PAGE_SIZE}")  # of a new one; an older keeps its own
                connection.execute(f"PRAGMA cache_size = {-CACHE_KIB}")
                use_write_ahead_log(connection, BUSY_SECONDS)
                connection.execute(f"PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES}")
                connection.execute("PRAGMA synchronous = FULL")
                connection.execute("PRAGMA foreign_keys = ON")
                faults = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
                if faults != ["ok"]:
                    raise JournalDamagedError(f"the journal at {path} is damaged: {'; '.join(faults)}")
                _migrate(connection, path)
        except BaseException:
            connection.close()
            raise
        return cls(connection, path, quota, archive)

    def close(self) -> None:
        """Close the database; the journal is of no more use."""
        self._connection.close()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """One commit, synced; all of it or nothing."""
        with _typed(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    def add_meter(self, public_key: bytes, name: str) -> None:
        """Make a meter's key known, or take its changed name."""
        with _typed(self.path):
            known = self._connection.execute("SELECT name FROM meter WHERE public_key = ?", (public_key,)).fetchone()
        if known is not None and known[0] == name:
            return
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO meter (public_key, name) VALUES (?, ?) "
                "ON CONFLICT (public_key) DO UPDATE SET name = excluded.name",
                (public_key, name),
            )

    def _number(self, public_key: bytes) -> int:
        """The number of a meter's key; 0, which no meter has, for a key that was never added."""
        number = self._numbers.get(public_key)
        if number is None:
            row = self._connection.execute("SELECT number FROM meter WHERE public_key = ?", (public_key,)).fetchone()
            if row is None:
                return 0
            number = self._numbers[public_key] = int(row[0])
        return number

    def meter(self, public_key: bytes) -> MeterState:
        """Where that key's records stand. KeyError for a key that was never added."""
        with _typed(self.path):
            row = self._connection.execute(
                "SELECT record, resume, stop_code, stop_reason, rebase FROM meter WHERE public_key = ?", (public_key,)
            ).fetchone()
        if row is None:
            raise KeyError(public_key.hex())
        return MeterState(row[0], bool(row[1]), row[2], row[3], bool(row[4]))

    def append(self, frames: Sequence[Frame], *, now: int) -> None:
        """Make signed frames durable, of any number of meters, in one commit; on return they may leave the gateway.

        Each key's frames must follow its last one without a gap (ValueError: a fault of the caller). JournalError
        `journal_full` where they would not fit into the quota: nothing is written then.
        """
        with self._transaction() as connection:
            if len(frames) > self.quota - self._depth():
                raise JournalFullError(
                    f"the journal holds {self._depth()} frames without a receipt, of at most {self.quota}; see why the "
                    "authority takes none (edge-agent status). The meters keep their own load profile meanwhile",
                )
            last: dict[int, Frame] = {}
            for frame in frames:
                record, number = frame.record, self._number(frame.public_key)
                if not number:
                    raise ValueError(f"meter key {frame.public_key.hex()} is not in the journal")
                before = last[number].record_bytes if number in last else self.meter(frame.public_key).record_bytes
                if before is not None and record.sequence != Record.from_bytes(before).sequence + 1:
                    raise ValueError(f"sequence {record.sequence} does not follow the journal's last")
                last[number] = frame
                # The same record again after a resumption: Ed25519 is deterministic, so it is the same frame.
                known = connection.execute(
                    "SELECT id, state FROM frame WHERE sequence = ? AND meter = ? AND frame = ?",
                    (record.sequence, number, frame.to_bytes()),
                ).fetchone()
                if known is None:
                    connection.execute(
                        "INSERT INTO frame (meter, sequence, frame, state, signed_at) VALUES (?, ?, ?, ?, ?)",
                        (number, record.sequence, frame.to_bytes(), WAITING, now),
                    )
                else:
                    connection.execute("UPDATE frame SET state = ?, code = NULL WHERE id = ?", (WAITING, known[0]))
                    self._archived = None
            connection.executemany(
                "UPDATE meter SET record = ?, resume = 0, stop_code = NULL, stop_reason = NULL, rebase = 0 "
                "WHERE number = ?",
                [(frame.record_bytes, number) for number, frame in last.items()],
            )

    def room(self) -> int:
        """How many more frames fit."""
        with _typed(self.path):
            return max(0, self.quota - self._depth())

    def _depth(self) -> int:
        row = self._connection.execute("SELECT count(*) FROM frame WHERE state != 'receipted'").fetchone()
        return int(row[0])

    def waiting(self, public_key: bytes, limit: int) -> list[JournalEntry]:
        """A key's frames that wait for a receipt (parked ones too), oldest first."""
        with _typed(self.path):
            rows = self._connection.execute(
                "SELECT id, sequence, code FROM frame WHERE meter = ? AND state IN (?, ?) "
                "AND state != 'receipted' ORDER BY sequence, id LIMIT ?",
                (self._number(public_key), WAITING, PARKED, limit),
            ).fetchall()
        return [JournalEntry._make(row) for row in rows]

    def frames_of(self, entries: Sequence[JournalEntry]) -> list[Frame]:
        """The frames of entries that wait, in their order; KeyError where there is none. At most a message of them."""
        marks = ",".join("?" * len(entries))
        with _typed(self.path):
            rows = self._connection.execute(
                f"SELECT id, frame FROM frame WHERE id IN ({marks})",  # noqa: S608 - question marks alone
                [entry.id for entry in entries],
            )
            frames = dict(rows.fetchall())
        return [Frame.from_bytes(frames[entry.id]) for entry in entries]

    def held(self, receipt: Receipt) -> HeldFrame | None:
        """The frame that a receipt is for, in whatever state; None where the journal does not hold it."""
        with _typed(self.path):
            return self._held(receipt)

    def _held(self, receipt: Receipt) -> HeldFrame | None:
        rows = self._connection.execute(
            "SELECT id, state, frame FROM frame WHERE sequence = ? AND meter = ?",
            (receipt.sequence, self._number(receipt.meter_key)),
        )
        for number, state, data in rows:
            frame = Frame.from_bytes(data)
            if record_hash(frame.record_bytes) == receipt.record_hash:
                return HeldFrame(number, state, frame)
        return None

    def apply(
        self, receipts: Sequence[Receipt], *, now: int, held: Sequence[HeldFrame | None] | None = None
    ) -> list[Receipt]:
        """Take receipts that have been verified, in one commit; returns those that changed something.

        held: what `held` has just said of each, where the caller asked already.

        Accepted and held free the frame (it moves to the archive); parked and refused stay with their code. A receipt
        for a record that is not waiting (a duplicate, or late) changes nothing. `unknown_meter` leaves the frame
        waiting: the operator may yet enrol the meter.
        """
        changed: list[Receipt] = []
        states: dict[int, str] = {}
        updates: list[tuple[str, int, int, int]] = []
        with self._transaction() as connection:
            archived = self._count_archived()
            for at, receipt in enumerate(receipts):
                found = self._held(receipt) if held is None else held[at]
                if found is None:
                    continue
                taken = receipt.verdict in (VERDICT_ACCEPTED, VERDICT_HELD)
                before = states.get(found.id, found.state)
                # A frame once refused or superseded is freed all the same where the authority turns out to hold it.
                if before not in ((WAITING, PARKED, REFUSED, SUPERSEDED) if taken else (WAITING, PARKED)):
                    continue
                if taken:
                    state = RECEIPTED
                    archived += 1
                elif receipt.verdict == VERDICT_PARKED:
                    state = PARKED
                elif CODES.get(receipt.code) == "unknown_meter":
                    state = WAITING
                else:
                    state = REFUSED
                states[found.id] = state
                updates.append((state, receipt.code, now, found.id))
                changed.append(receipt)
            connection.executemany("UPDATE frame SET state = ?, code = ?, answered_at = ? WHERE id = ?", updates)
            archived -= self._prune(connection, archived)
        self._archived = archived
        return changed

    def _count_archived(self) -> int:
        if self._archived is None:
            counted = self._connection.execute("SELECT count(*) FROM frame WHERE state = ?", (RECEIPTED,)).fetchone()
            return int(counted[0])
        return self._archived

    def _prune(self, connection: sqlite3.Connection, archived: int) -> int:
        """Delete the oldest receipted frames where there are a twentieth more than are kept; returns how many."""
        if archived <= self.archive + self.archive // 20:
            return 0
        return connection.execute(
            "DELETE FROM frame WHERE id IN (SELECT id FROM frame WHERE state = ? ORDER BY id LIMIT ?)",
            (RECEIPTED, archived - self.archive),
        ).rowcount

    def requeue(self, public_key: bytes, from_sequence: int) -> int:
        """Send a key's archived frames from that sequence on again (the authority lost them); returns how many."""
        self._archived = None
        with self._transaction() as connection:
            return connection.execute(
                "UPDATE frame SET state = ?, code = NULL WHERE meter = ? AND sequence >= ? AND state = ?",
                (WAITING, self._number(public_key), from_sequence, RECEIPTED),
            ).rowcount

    def holds_sequence(self, public_key: bytes, sequence: int) -> bool:
        """Whether a frame of that sequence can still be sent: waiting, parked or archived."""
        with _typed(self.path):
            return (
                self._connection.execute(
                    "SELECT 1 FROM frame WHERE sequence = ? AND meter = ? AND state IN (?, ?, ?)",
                    (sequence, self._number(public_key), WAITING, PARKED, RECEIPTED),
                ).fetchone()
                is not None
            )

    def has_receipt(self, public_key: bytes) -> bool:
        """Whether the archive has a frame of that key for which the authority gave a receipt."""
        with _typed(self.path):
            return (
                self._connection.execute(
                    "SELECT 1 FROM frame WHERE meter = ? AND state = ? LIMIT 1", (self._number(public_key), RECEIPTED)
                ).fetchone()
                is not None
            )

    def agrees(self, public_key: bytes, sequence: int, hash_: bytes) -> bool:
        """Whether nothing here contradicts that the record of that sequence has that SHA-256."""
        with _typed(self.path):
            rows = self._connection.execute(
                "SELECT frame FROM frame WHERE sequence = ? AND meter = ?", (sequence, self._number(public_key))
            ).fetchall()
        return not rows or any(record_hash(Frame.from_bytes(row[0]).record_bytes) == hash_ for row in rows)

    def resume_from(self, public_key: bytes, record_bytes: bytes | None, *, now: int) -> None:
        """Continue a key from the authority's head (None: from the start), with `resynchronised` on the next record.

        Frames that wait hang off records that the authority does not have; they are kept as superseded. Their energy is
        in the registers of the records to come.
        """
        with self._transaction() as connection:
            connection.execute(
                "UPDATE frame SET state = ?, answered_at = ? WHERE meter = ? AND state IN (?, ?) "
                "AND state != 'receipted'",
                (SUPERSEDED, now, self._number(public_key), WAITING, PARKED),
            )
            connection.execute(
                "UPDATE meter SET record = ?, resume = 1 WHERE public_key = ?",
                (record_bytes, public_key),
            )

    def stop_meter(self, public_key: bytes, code: str, reason: str) -> None:
        """Keep why a meter signs nothing; its next good record clears it."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE meter SET stop_code = ?, stop_reason = ? WHERE public_key = ?", (code, reason, public_key)
            )

    def allow_reset(self, public_key: bytes, *, dry_run: bool = False) -> MeterState:
        """Let a meter that stopped with `needs_rebase` go on: its next record may say that its registers were reset.

        The wish is spent by that record, or by any other that the meter signs first. Returns what was so before
        (with dry_run that alone);
        NotStoppedError where the meter has not stopped for that reason. KeyError for a key never added.
        """
        with self._transaction() as connection:
            state = self.meter(public_key)
            if state.stop_code != NEEDS_REBASE:
                raise NotStoppedError("its registers have not fallen: there is nothing to reset")
            if not dry_run:
                connection.execute("UPDATE meter SET rebase = 1 WHERE public_key = ?", (public_key,))
        return state

    def refused(self, public_key: bytes) -> list[tuple[int, str]]:
        """Sequence and reason of the frames that the authority refused and has not taken since, oldest first."""
        with _typed(self.path):
            rows = self._connection.execute(
                "SELECT sequence, code FROM frame WHERE meter = ? AND state = ? AND state != 'receipted' ORDER BY id",
                (self._number(public_key), REFUSED),
            ).fetchall()
        return [(row[0], CODES.get(row[1], f"code {row[1]}")) for row in rows]

    def oldest_waiting(self) -> int | None:
        """When the frame was signed that has waited longest for a receipt (Unix seconds); None where none waits."""
        with _typed(self.path):
            row = self._connection.execute(
                "SELECT min(signed_at) FROM frame WHERE state IN (?, ?) AND state != 'receipted'", (WAITING, PARKED)
            ).fetchone()
        return None if row[0] is None else int(row[0])

    def counts(self, public_key: bytes | None = None) -> JournalCounts:
        """How many frames are in which state, of one key or of all."""
        with _typed(self.path):
            of_key, arguments = ("", ()) if public_key is None else ("AND meter = ?", (self._number(public_key),))
            by_state = dict(
                self._connection.execute(
                    f"SELECT state, count(*) FROM frame WHERE state != 'receipted' {of_key} GROUP BY state",  # noqa: S608
                    arguments,
                )
            )
            if public_key is None:
                archived = self._archived = self._count_archived()
            else:
                row = self._connection.execute(
                    "SELECT count(*) FROM frame WHERE state = 'receipted' AND meter = ?", arguments
                ).fetchone()
                archived = int(row[0])
        return JournalCounts(
            waiting=by_state.get(WAITING, 0),
            parked=by_state.get(PARKED, 0),
            refused=by_state.get(REFUSED, 0),
            superseded=by_state.get(SUPERSEDED, 0),
            archived=archived,
        )


@contextlib.contextmanager
def _typed(path: Path) -> Iterator[None]:
    """SQLite's errors as ours: damage (set aside and resume from the head) apart from a disk that is full or gone."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise JournalDamagedError(f"the journal at {path} is damaged: {error}") from error
        raise JournalUnusableError(
            f"the journal at {path} cannot be used: {error}; look at the disk's space and health"
        ) from error
    except sqlite3.IntegrityError:
        raise
    except sqlite3.DatabaseError as error:
        raise JournalDamagedError(f"the journal at {path} is damaged: {error}") from error


def _migrate(connection: sqlite3.Connection, path: Path) -> None:
    """Bring the schema up to date. The version is read again under the lock: another process may have been faster."""
    while (version := _version(connection, path)) < SCHEMA_VERSION:
        connection.execute("BEGIN IMMEDIATE")
        try:
            if _version(connection, path) == version:
                for statement in _statements(_MIGRATIONS[version]):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
            raise


def _version(connection: sqlite3.Connection, path: Path) -> int:
    version = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if version > SCHEMA_VERSION:
        raise JournalTooNewError(
            f"the journal at {path} has schema {version}, this agent knows {SCHEMA_VERSION}; "
            "install the newer release again",
        )
    return version


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one after another: executescript would end the transaction that it is called in."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _set_aside(path: Path) -> Path:
    """Move a damaged journal with its companions out of the way, under a name that is free; nothing is deleted."""
    number = 1
    while True:
        target = path.with_name(f"{path.name}.damaged-{number}")
        if not target.exists():
            break
        number += 1
    for suffix in ("-wal", "-shm", ""):
        with contextlib.suppress(FileNotFoundError):
            os.replace(path.with_name(path.name + suffix), target.with_name(target.name + suffix))
    return target
