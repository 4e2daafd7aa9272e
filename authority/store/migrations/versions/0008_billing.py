"""Bills: closed periods, issued bills, the chain's events that they go by, and the bookings of credits."""

import sqlalchemy as sa
from alembic import op

revision = "0008_billing"
down_revision = "0007_operations"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "billing_chain_events",
        sa.Column("n", integer, nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("events", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_billing_chain_events")),
        sa.UniqueConstraint("signature", name=op.f("uq_billing_chain_events_signature")),
    )
    op.create_table(
        "billing_history_cursor",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_history_cursor")),
    )
    op.create_table(
        "billing_periods",
        sa.Column("period", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("first_epoch", sa.BigInteger(), nullable=False),
        sa.Column("end_epoch", sa.BigInteger(), nullable=False),
        sa.Column("closed_at", sa.BigInteger(), nullable=False),
        sa.Column("closed_by", sa.String(length=64), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("period", name=op.f("pk_billing_periods")),
    )
    op.create_table(
        "bills",
        sa.Column("number", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("period", sa.BigInteger(), nullable=False),
        sa.Column("wallet", sa.String(length=44), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("issued_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_bills")),
    )
    op.create_index("ix_bills_period_wallet", "bills", ["period", "wallet"], unique=True)
    op.create_index("ix_bills_wallet", "bills", ["wallet"])
    op.create_table(
        "credit_entries",
        sa.Column("reference", sa.String(length=128), nullable=False),
        sa.Column("wallet", sa.String(length=44), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("signature", sa.String(length=88), nullable=False),
        sa.Column("last_valid_block_height", sa.BigInteger(), nullable=False),
        sa.Column("raw", sa.String(), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.Column("entered_at", sa.BigInteger(), nullable=False),
        sa.Column("entered_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("reference", name=op.f("pk_credit_entries")),
    )
    op.create_index("ix_credit_entries_wallet", "credit_entries", ["wallet"])
