"""The transaction by which the department cleared an epoch's book."""

import sqlalchemy as sa
from alembic import op

revision = "0037_clearing_transactions"
down_revision = "0036_kept_answers"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column: of earlier epochs it stays null."""
    with op.batch_alter_table("settlement_epochs") as table:
        table.add_column(sa.Column("clearing_signature", sa.String(length=88), nullable=True))
