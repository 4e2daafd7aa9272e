"""Top-ups and payouts that a treasurer asks for on the page, until they are booked."""

import sqlalchemy as sa
from alembic import op

revision = "0015_credit_requests"
down_revision = "0014_bill_mails"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "credit_requests",
        sa.Column("reference", sa.String(length=128), nullable=False),
        sa.Column("wallet", sa.String(length=44), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("told", sa.String(length=300), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("reference", name=op.f("pk_credit_requests")),
    )
    op.create_index("ix_credit_requests_state", "credit_requests", ["state"])
