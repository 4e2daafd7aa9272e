"""One copy of each thing: an act's leaf is its row, a settlement act's key is a hash, and frames hold no signature."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0019_one_copy"
down_revision = "0018_tenures"
branch_labels = None
depends_on = None

ROWS_AT_ONCE = 10_000
LEAF_ACT = b"\x02"
LOG_INDEX = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_ACTS_BEFORE = (
    "SELECT log_index, kind, actor, time, data FROM acts_before WHERE log_index >= :first AND log_index < :end"
)
_LEAVES = "SELECT log_index, data FROM log_leaves WHERE log_index >= :first AND log_index < :end"
_ACT = "INSERT INTO acts (log_index, kind, actor, time, data) VALUES (:log_index, :kind, :actor, :time, :data)"


def upgrade() -> None:
    """Move acts, keys and signatures over; what the log's leaves say of an act is what its row says from here on."""
    _acts()
    _keys()
    _signatures()


def _acts() -> None:
    op.drop_index("ix_acts_kind", "acts")
    _set_aside("acts")
    op.create_table(
        "acts",
        sa.Column("log_index", LOG_INDEX, autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("log_index", name=op.f("pk_acts")),
    )
    store, first = op.get_bind(), 0
    last = max(
        store.execute(sa.text(f"SELECT COALESCE(MAX(log_index), -1) FROM {table}")).scalar_one()  # noqa: S608
        for table in ("log_leaves", "acts_before")
    )
    while first <= last:
        bounds = {"first": first, "end": first + ROWS_AT_ONCE}
        rows = store.execute(sa.text(_ACTS_BEFORE), bounds)
        acts = {row.log_index: _act(row._mapping) for row in rows}
        moved = []
        for index, leaf in store.execute(sa.text(_LEAVES), bounds).all():
            if bytes(leaf[:1]) != LEAF_ACT:
                continue
            said = _said(index, bytes(leaf[1:]))
            if said is not None:
                acts[index] = said
                moved.append({"at": index})
        _many(_ACT, [act for _, act in sorted(acts.items())])
        _many("DELETE FROM log_leaves WHERE log_index = :at", moved)
        first += ROWS_AT_ONCE
    op.drop_table("acts_before")
    op.create_index("ix_acts_kind", "acts", ["kind"])


def _act(row: Mapping[Any, Any]) -> dict[str, Any]:
    data = json.loads(row["data"]) if isinstance(row["data"], str) else row["data"]
    return {**row, "data": _canonical(data)}


def _said(index: int, leaf: bytes) -> dict[str, Any] | None:
    """The row that a leaf is made of; None where none makes it."""
    try:
        act = json.loads(leaf)
        if _canonical(act).encode() == leaf and set(act) == {"actor", "data", "kind", "time"}:
            return {**act, "log_index": index, "data": _canonical(act["data"])}
    except (ValueError, TypeError):
        pass
    return None


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _keys() -> None:
    _set_aside("settlement_acts")
    op.create_table(
        "settlement_acts",
        sa.Column("key", sa.LargeBinary(length=16), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_settlement_acts")),
        sqlite_with_rowid=False,
    )
    before = sa.text("SELECT key, log_index FROM settlement_acts_before").execution_options(yield_per=ROWS_AT_ONCE)
    rows = op.get_bind().execute(before)
    for some in rows.partitions():
        _many(
            "INSERT INTO settlement_acts (key, log_index) VALUES (:key, :log_index)",
            [{"key": hashlib.sha256(row.key.encode()).digest()[:16], "log_index": row.log_index} for row in some],
        )
    op.drop_table("settlement_acts_before")


def _signatures() -> None:
    op.create_table(
        "carried_frames",
        sa.Column("log_index", LOG_INDEX, autoincrement=False, nullable=False),
        sa.Column("signature", sa.String(length=88), nullable=False),
        sa.ForeignKeyConstraint(["log_index"], ["frames.log_index"], name=op.f("fk_carried_frames_log_index_frames")),
        sa.PrimaryKeyConstraint("log_index", name=op.f("pk_carried_frames")),
    )
    op.execute(
        "INSERT INTO carried_frames (log_index, signature) SELECT log_index, chain_signature FROM frames "
        "WHERE chain_status IN ('pending', 'submitted') AND chain_signature IS NOT NULL"
    )
    op.drop_column("frames", "chain_signature")


def _set_aside(table: str) -> None:
    """Give a table and its key other names: PostgreSQL has the names of all keys in one place."""
    op.rename_table(table, f"{table}_before")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE {table}_before RENAME CONSTRAINT pk_{table} TO pk_{table}_before")


def _many(statement: str, rows: Sequence[Mapping[str, Any]] | Iterable[Mapping[str, Any]]) -> None:
    found = list(rows)
    if found:
        op.get_bind().execute(sa.text(statement), found)
