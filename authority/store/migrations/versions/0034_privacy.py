"""Which accounts are dwellings, and what the log has as pseudonyms and digests alone."""

import sqlalchemy as sa
from alembic import op

revision = "0034_privacy"
down_revision = "0032_leaving_day"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Everybody counts as a dwelling until it is declared to be none: an upgrade publishes no more than before."""
    op.add_column("users", sa.Column("dwelling", sa.Boolean(), server_default=sa.true(), nullable=False))
    op.create_table(
        "log_names",
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", name=op.f("pk_log_names")),
        sa.UniqueConstraint("kind", "name", name=op.f("uq_log_names_kind_name")),
    )
    op.create_table(
        "act_words",
        sa.Column(
            "log_index", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=False, nullable=False
        ),
        sa.Column("salt", sa.LargeBinary(length=16), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("log_index", name=op.f("pk_act_words")),
    )
