"""The day from which on somebody wants to leave."""

import sqlalchemy as sa
from alembic import op

revision = "0032_leaving_day"
down_revision = "0031_public_days"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; who has asked already named no day."""
    with op.batch_alter_table("leave_requests") as table:
        table.add_column(sa.Column("leaves_at", sa.BigInteger(), nullable=True))
