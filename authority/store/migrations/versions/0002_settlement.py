"""Settlement and market: epochs, spans, lookup tables, acts, alerts, standing orders."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "lookup_tables",
        sa.Column("address", sa.String(length=44), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_lookup_tables")),
    )
    op.create_table(
        "pending_transactions",
        sa.Column("purpose", sa.String(length=128), nullable=False),
        sa.Column("signature", sa.String(length=88), nullable=False),
        sa.Column("last_valid_block_height", sa.BigInteger(), nullable=False),
        sa.Column("raw", sa.String(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("purpose", name=op.f("pk_pending_transactions")),
    )
    op.create_table(
        "settled_spans",
        sa.Column("wallet", sa.String(length=44), nullable=False),
        sa.Column("boundary", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("minted_wh", sa.BigInteger(), nullable=False),
        sa.Column("withdrawal_wh", sa.BigInteger(), nullable=False),
        sa.Column("lifetime_minted_wh", sa.BigInteger(), nullable=False),
        sa.Column("lifetime_withdrawal_wh", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("wallet", "boundary", name=op.f("pk_settled_spans")),
    )
    op.create_index(op.f("ix_settled_spans_boundary"), "settled_spans", ["boundary"], unique=False)
    op.create_table(
        "settlement_acts",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_settlement_acts")),
    )
    op.create_table(
        "settlement_alerts",
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("message", sa.String(), nullable=False),
        sa.Column("first_at", sa.BigInteger(), nullable=False),
        sa.Column("last_at", sa.BigInteger(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("code", "subject", name=op.f("pk_settlement_alerts")),
    )
    op.create_table(
        "settlement_epochs",
        sa.Column("epoch", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("first_seen_ms", sa.BigInteger(), nullable=False),
        sa.Column("opened_ms", sa.BigInteger(), nullable=True),
        sa.Column("orders_placed_ms", sa.BigInteger(), nullable=True),
        sa.Column("ended_ms", sa.BigInteger(), nullable=True),
        sa.Column("submitted_ms", sa.BigInteger(), nullable=True),
        sa.Column("minted_ms", sa.BigInteger(), nullable=True),
        sa.Column("cleared_ms", sa.BigInteger(), nullable=True),
        sa.Column("settled_ms", sa.BigInteger(), nullable=True),
        sa.Column("checkpointed_ms", sa.BigInteger(), nullable=True),
        sa.Column("closed_ms", sa.BigInteger(), nullable=True),
        sa.Column("readings_on_chain", sa.Integer(), nullable=False),
        sa.Column("bids", sa.Integer(), nullable=False),
        sa.Column("asks", sa.Integer(), nullable=False),
        sa.Column("traded_wh", sa.BigInteger(), nullable=False),
        sa.Column("clearing_price", sa.BigInteger(), nullable=True),
        sa.Column("book_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("book_log_index", sa.BigInteger(), nullable=True),
        sa.Column("log_size", sa.BigInteger(), nullable=True),
        sa.Column("log_root", sa.LargeBinary(length=32), nullable=True),
        sa.PrimaryKeyConstraint("epoch", name=op.f("pk_settlement_epochs")),
    )
    op.create_index(op.f("ix_settlement_epochs_state"), "settlement_epochs", ["state"], unique=False)
    op.create_table(
        "lookup_entries",
        sa.Column("address", sa.String(length=44), nullable=False),
        sa.Column("table_address", sa.String(length=44), nullable=False),
        sa.ForeignKeyConstraint(
            ["table_address"], ["lookup_tables.address"], name=op.f("fk_lookup_entries_table_address_lookup_tables")
        ),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_lookup_entries")),
    )
    op.create_index(op.f("ix_lookup_entries_table_address"), "lookup_entries", ["table_address"], unique=False)
    op.create_table(
        "standing_orders",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("sell_at", sa.BigInteger(), nullable=True),
        sa.Column("buy_at", sa.BigInteger(), nullable=True),
        sa.Column("reserve_wh", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_standing_orders_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_standing_orders")),
    )
