"""Members' energy and trades by day: sums that the settlement process makes from frames and books."""

import sqlalchemy as sa
from alembic import op

revision = "0012_day_sums"
down_revision = "0011_people"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables; they fill by themselves."""
    number = sa.BigInteger()
    op.create_table(
        "energy_days",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("day", number, nullable=False),
        sa.Column("heard", sa.LargeBinary(), nullable=False),
        sa.Column("first_boundary", number, nullable=True),
        sa.Column("last_boundary", number, nullable=True),
        sa.Column("measured_seconds", number, nullable=False),
        sa.Column("spans", sa.Integer(), nullable=False),
        sa.Column("made_wh", number, nullable=False),
        sa.Column("from_battery_wh", number, nullable=False),
        sa.Column("drawn_wh", number, nullable=False),
        sa.Column("used_wh", number, nullable=False),
        sa.Column("into_battery_wh", number, nullable=False),
        sa.Column("given_wh", number, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_energy_days_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", "day", name=op.f("pk_energy_days")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "kept_energy_days",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("basis", sa.String(), nullable=False),
        sa.Column("until", number, nullable=False),
        sa.Column("log_index", number, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_kept_energy_days_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_kept_energy_days")),
    )
    op.create_table(
        "trade_days",
        sa.Column("member_index", number, nullable=False),
        sa.Column("day", number, nullable=False),
        sa.Column("bought_wh", number, nullable=False),
        sa.Column("paid_micro_credits", number, nullable=False),
        sa.Column("sold_wh", number, nullable=False),
        sa.Column("received_micro_credits", number, nullable=False),
        sa.PrimaryKeyConstraint("member_index", "day", name=op.f("pk_trade_days")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "kept_trade_days",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("zone", sa.String(length=64), nullable=False),
        sa.Column("until_epoch", number, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_kept_trade_days")),
    )
