"""The language in which a person reads pages, mails and bills."""

import sqlalchemy as sa
from alembic import op

revision = "0025_person_language"
down_revision = "0024_proposals"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; nobody has chosen yet."""
    with op.batch_alter_table("persons") as table:
        table.add_column(sa.Column("language", sa.String(length=8), nullable=True))
