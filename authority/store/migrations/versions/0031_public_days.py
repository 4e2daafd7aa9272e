"""The campus's days as the public is told them, when parts of the service changed state, books and chain compared."""

import sqlalchemy as sa
from alembic import op

revision = "0031_public_days"
down_revision = "0030_desk"
branch_labels = None
depends_on = None

WHOLE = ("members", "members_measured", "intervals", "intervals_measured", "books_withheld")
ENERGIES = (
    "generation_wh", "consumption_wh", "used_locally_wh", "imported_wh", "exported_wh", "withdrawn_wh", "minted_wh",
)  # fmt: skip
TRADED = ("traded_wh", "price_value", "retail_value", "feed_in_value", "wheeling_value")


def upgrade() -> None:
    """Make the tables; the service fills them, the days four at a time."""
    number = sa.BigInteger()
    op.create_table(
        "public_days",
        sa.Column("day", number, autoincrement=False, nullable=False),
        sa.Column("ended", number, nullable=False),
        *(sa.Column(name, sa.Integer(), nullable=False) for name in WHOLE),
        *(sa.Column(name, number, nullable=True) for name in ENERGIES),
        *(sa.Column(name, number, nullable=False) for name in TRADED),
        sa.Column("co2_g_per_kwh", sa.Integer(), nullable=True),
        sa.Column("co2_source", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("day", name=op.f("pk_public_days")),
    )
    op.create_table(
        "service_changes",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("part", sa.String(64), nullable=False),
        sa.Column("state", sa.String(64), nullable=False),
        sa.Column("since", number, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_service_changes")),
    )
    op.create_index("ix_service_changes_part_id", "service_changes", ["part", "id"])
    op.create_table(
        "books_comparisons",
        sa.Column("id", sa.Integer(), nullable=False),
        *(
            sa.Column(name, number, nullable=False)
            for name in ("started_at", "ended_at", "entries", "figures", "until_epoch")
        ),
        sa.Column("differences", sa.Integer(), nullable=False),
        sa.Column("found", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_books_comparisons")),
    )
