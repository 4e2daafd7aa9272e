"""Orders that members give by hand."""

import sqlalchemy as sa
from alembic import op

revision = "0021_hand_orders"
down_revision = "0020_market_days"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('waiting', 'sent')")


def upgrade() -> None:
    """Make the table, with an index of what is open."""
    number = sa.BigInteger()
    op.create_table(
        "hand_orders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("request_key", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=64), nullable=False),
        sa.Column("epoch", number, nullable=False),
        sa.Column("side", sa.Integer(), nullable=False),
        sa.Column("price", number, nullable=False),
        sa.Column("quantity", number, nullable=False),
        sa.Column("number", number, nullable=True),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("told", sa.String(), nullable=False),
        sa.Column("signature", sa.String(length=88), nullable=True),
        sa.Column("asked_at", number, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_hand_orders_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_hand_orders")),
        sa.UniqueConstraint("user_id", "request_key", name=op.f("uq_hand_orders_user_id_request_key")),
    )
    op.create_index("ix_hand_orders_user_id_epoch_id", "hand_orders", ["user_id", "epoch", "id"])
    op.create_index("ix_hand_orders_open", "hand_orders", ["id"], sqlite_where=OPEN, postgresql_where=OPEN)
