"""Tokens that members move by hand, and the codes by which they are given some."""

import sqlalchemy as sa
from alembic import op

revision = "0029_transfers"
down_revision = "0028_account"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('waiting', 'going', 'sent')")


def upgrade() -> None:
    """Make the tables, with an index of what is open."""
    number = sa.BigInteger()
    op.create_table(
        "transfers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("to_user_id", sa.Integer(), nullable=True),
        sa.Column("request_key", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=64), nullable=False),
        sa.Column("asset", sa.String(length=64), nullable=False),
        sa.Column("amount", number, nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("told", sa.String(), nullable=False),
        sa.Column("signature", sa.String(length=88), nullable=True),
        sa.Column("asked_at", number, nullable=False),
        sa.Column("goes_at", number, nullable=False),
        sa.ForeignKeyConstraint(["to_user_id"], ["users.id"], name=op.f("fk_transfers_to_user_id_users")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_transfers_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        sa.UniqueConstraint("user_id", "request_key", name=op.f("uq_transfers_user_id_request_key")),
    )
    op.create_index("ix_transfers_user_id_id", "transfers", ["user_id", "id"])
    op.create_index("ix_transfers_to_user_id_id", "transfers", ["to_user_id", "id"])
    op.create_index("ix_transfers_open", "transfers", ["id"], sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_table(
        "member_codes",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("made_at", number, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_member_codes_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_member_codes")),
        sa.UniqueConstraint("code", name=op.f("uq_member_codes_code")),
    )
