"""The market's days for the public, and whether each book may be told."""

import sqlalchemy as sa
from alembic import op

revision = "0020_market_days"
down_revision = "0019_one_copy"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make table and column; settlement sums the days from the first on again, and fills both."""
    number = sa.BigInteger()
    op.create_table(
        "market_days",
        sa.Column("day", number, autoincrement=False, nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("withheld", sa.Integer(), nullable=False),
        sa.Column("traded_wh", number, nullable=False),
        sa.Column("value_micro_credits", number, nullable=False),
        sa.Column("lowest_price", number, nullable=True),
        sa.Column("highest_price", number, nullable=True),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_market_days")),
    )
    op.add_column("settlement_epochs", sa.Column("publishable", sa.Boolean(), nullable=True))
    op.execute("DELETE FROM kept_trade_days")
