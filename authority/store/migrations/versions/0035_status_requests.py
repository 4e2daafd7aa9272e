"""Members that an operator suspends or restores on the pages."""

import sqlalchemy as sa
from alembic import op

revision = "0035_status_requests"
down_revision = "0034_privacy"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "status_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=200), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("told", sa.String(length=300), nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_status_requests_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_status_requests")),
    )
    op.create_index("ix_status_requests_user_id", "status_requests", ["user_id"])
    op.create_index("ix_status_requests_state", "status_requests", ["state"])
