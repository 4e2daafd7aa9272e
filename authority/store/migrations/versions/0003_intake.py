"""Intake that does not grow with history: heads with the keys, the log in tiles, one row a reading, narrower indexes.

The leaf of a reading is made of its frame's row from now on; its own row goes where the two agree, byte for byte.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0003_intake"
down_revision = "0002"
branch_labels = None
depends_on = None

PAGE = 5_000
TILE = 256
WAITING = "disposition IN ('accepted', 'released') AND chain_status IN ('pending', 'submitted')"
HELD = "disposition = 'held'"
CODES = {
    "ok": 0, "meter_inactive": 16, "interval_not_aligned": 17, "interval_in_future": 18, "register_decreased": 19,
    "register_not_permitted": 20, "source_mismatch": 21, "exceeds_nameplate": 22, "exceeds_storage": 23,
    "implausible_for_sun_or_wind": 24, "clock_unsynchronised": 25,
}  # fmt: skip
VERDICTS = {"accepted": 1, "held": 2}


def upgrade() -> None:
    """Move what is there."""
    _heads()
    _frames()
    _log()
    _checkpoints()
    op.drop_index("ix_settled_spans_boundary", table_name="settled_spans")
    op.create_index("ix_settled_spans_boundary_minted_wh", "settled_spans", ["boundary", "minted_wh"])


def _heads() -> None:
    with op.batch_alter_table("meter_keys") as table:
        table.add_column(sa.Column("head_log_index", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("passed_log_index", sa.BigInteger(), nullable=True))
        table.add_column(sa.Column("passed_record", sa.LargeBinary(length=96), nullable=True))
    last = "SELECT max(log_index) FROM frames WHERE frames.public_key = meter_keys.public_key"
    op.execute(
        f"UPDATE meter_keys SET head_log_index = ({last}), "  # noqa: S608 - no input
        f"passed_log_index = ({last} AND disposition IN ('accepted', 'released'))"
    )
    op.execute(
        "UPDATE meter_keys SET passed_record = "
        "(SELECT substr(frame, 1, 96) FROM frames WHERE frames.log_index = meter_keys.passed_log_index)"
    )


def _frames() -> None:
    for name in ("ix_frames_disposition_chain_status", "ix_frames_interval_end", "ix_frames_meter_pk_interval_end"):
        op.drop_index(name, table_name="frames")
    with op.batch_alter_table("frames") as table:
        table.alter_column("receipt", existing_type=sa.LargeBinary(length=168), nullable=True)
        _integer_key(table, "log_index")
    op.create_index("ix_frames_meter_pk_log_index", "frames", ["meter_pk", "log_index"])
    op.create_index("ix_frames_interval_end_meter_pk", "frames", ["interval_end", "meter_pk"])
    for name, columns, condition in (
        ("ix_frames_waiting", ["meter_pk", "log_index"], WAITING),
        ("ix_frames_held", ["log_index"], HELD),
    ):
        op.create_index(name, "frames", columns, sqlite_where=sa.text(condition), postgresql_where=sa.text(condition))


def _integer_key(table: Any, column: str) -> None:
    """SQLite keeps a row under its INTEGER PRIMARY KEY; a BIGINT one is an index of its own."""
    if op.get_bind().dialect.name == "sqlite":
        table.alter_column(column, existing_type=sa.BigInteger(), type_=sa.Integer(), existing_nullable=False)


def _log() -> None:
    op.create_table(
        "log_tiles",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hashes", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("level", "n", name=op.f("pk_log_tiles")),
    )
    connection, tree, at = op.get_bind(), _Tree(), 0
    page = sa.text(
        "SELECT l.log_index, l.data, l.hash, f.verdict, f.code, f.received_at, f.frame FROM log_leaves l "
        "LEFT JOIN frames f ON f.log_index = l.log_index WHERE l.log_index >= :at ORDER BY l.log_index LIMIT :page"
    )
    while rows := connection.execute(page, {"at": at, "page": PAGE}).all():
        told_twice = []
        for index, data, hash_, verdict, code, received_at, frame in rows:
            tree.append(bytes(hash_))
            if frame is not None and verdict in VERDICTS and code in CODES:
                leaf = struct.pack("<BBHq", 1, VERDICTS[verdict], CODES[code], received_at) + bytes(frame)
                if leaf == bytes(data):
                    told_twice.append({"index": index})
        if told_twice:
            connection.execute(sa.text("DELETE FROM log_leaves WHERE log_index = :index"), told_twice)
        tree.write(connection)
        at = rows[-1][0] + 1
    tree.write(connection, partial=True)
    op.drop_table("log_nodes")
    with op.batch_alter_table("log_leaves") as table:
        table.drop_column("hash")
        _integer_key(table, "log_index")


class _Tree:
    """Tiles of a growing tree, handed out as they fill."""

    def __init__(self) -> None:
        self._levels: list[list[bytes]] = [[]]
        self._counts = [0]
        self._full: list[dict[str, Any]] = []

    def append(self, value: bytes, level: int = 0) -> None:
        if level == len(self._levels):
            self._levels.append([])
            self._counts.append(0)
        row = self._levels[level]
        row.append(value)
        if len(row) == TILE:
            self._full.append({"level": level, "n": self._counts[level], "hashes": b"".join(row)})
            self._counts[level] += 1
            while len(row) > 1:
                row = [hashlib.sha256(b"\x01" + row[at] + row[at + 1]).digest() for at in range(0, len(row), 2)]
            self._levels[level] = []
            self.append(row[0], level + 1)

    def write(self, connection: sa.Connection, *, partial: bool = False) -> None:
        rows, self._full = self._full, []
        if partial:
            for level, row in enumerate(self._levels):
                if row:
                    rows.append({"level": level, "n": self._counts[level], "hashes": b"".join(row)})
        if rows:
            connection.execute(sa.text("INSERT INTO log_tiles (level, n, hashes) VALUES (:level, :n, :hashes)"), rows)


def _checkpoints() -> None:
    connection = op.get_bind()
    kept = [
        {"size": size, "root": bytes(root), "signature": bytes(checkpoint)[60:], "time": time}
        for size, root, time, checkpoint in connection.execute(
            sa.text("SELECT size, root, time, checkpoint FROM log_checkpoints ORDER BY size")
        )
    ]
    op.drop_table("log_checkpoints")
    integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    table = op.create_table(
        "log_checkpoints",
        sa.Column("size", integer, autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_log_checkpoints")),
    )
    assert table is not None  # noqa: S101
    if kept:
        op.bulk_insert(table, kept)
