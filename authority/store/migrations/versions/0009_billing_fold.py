"""The chain's events folded into facts, a member and period at a time."""

import sqlalchemy as sa
from alembic import op

revision = "0009_billing_fold"
down_revision = "0008_billing"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    integer = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "billing_fold",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_billing_fold")),
    )
    op.create_table(
        "billing_folded_facts",
        sa.Column("period", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("n", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("withdrawals", sa.LargeBinary(), nullable=False),
        sa.Column("retirements", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("period", "member_index", "n", name=op.f("pk_billing_folded_facts")),
    )
    op.create_table(
        "billing_folded_credits",
        sa.Column("n", integer, nullable=False),
        sa.Column("period", sa.BigInteger(), nullable=False),
        sa.Column("member_index", sa.BigInteger(), nullable=False),
        sa.Column("amount", sa.BigInteger(), nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.Column("signature", sa.LargeBinary(length=64), nullable=False),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_billing_folded_credits")),
    )
    op.create_index("ix_billing_folded_credits_period", "billing_folded_credits", ["period"])
