"""Seats in the market: books are never closed, and a standing order may feed in."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003_intake"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Take the column of closed books out, put the one of feed-in in."""
    with op.batch_alter_table("settlement_epochs") as table:
        table.drop_column("closed_ms")
    with op.batch_alter_table("standing_orders") as table:
        table.add_column(sa.Column("feed_in_above_wh", sa.BigInteger(), nullable=True))
