"""Wallets that members ask for on the pages, in the place of those that they have."""

import sqlalchemy as sa
from alembic import op

revision = "0026_wallet_requests"
down_revision = "0025_person_language"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "wallet_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("wallet", sa.String(length=44), nullable=True),
        sa.Column("kept_here", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("told", sa.String(length=300), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("due_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_wallet_requests_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_wallet_requests")),
    )
    op.create_index("ix_wallet_requests_user_id", "wallet_requests", ["user_id"])
    op.create_index("ix_wallet_requests_state", "wallet_requests", ["state"])
