"""Mails of bills: one for each bill and person, with what became of it."""

import sqlalchemy as sa
from alembic import op

revision = "0014_bill_mails"
down_revision = "0013_kwh"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "bill_mails",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("bill", sa.BigInteger(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["persons.id"], name=op.f("fk_bill_mails_person_id_persons"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bill_mails")),
    )
    op.create_index("ix_bill_mails_bill_person_id", "bill_mails", ["bill", "person_id"], unique=True)
    op.create_index("ix_bill_mails_state_next_at", "bill_mails", ["state", "next_at"])
    op.create_index("ix_bill_mails_person_id", "bill_mails", ["person_id"])
