"""Settlement's acts lie under their keys alone: in SQLite each key was kept twice, in the table and in its index."""

import sqlalchemy as sa
from alembic import op

revision = "0010_settlement_acts"
down_revision = "0009_billing_fold"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table anew in SQLite; PostgreSQL has no such tables."""
    if op.get_bind().dialect.name != "sqlite":
        return
    op.create_table(
        "settlement_acts_by_key",
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("log_index", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_settlement_acts")),
        sqlite_with_rowid=False,
    )
    op.execute("INSERT INTO settlement_acts_by_key SELECT key, log_index FROM settlement_acts")
    op.drop_table("settlement_acts")
    op.rename_table("settlement_acts_by_key", "settlement_acts")
