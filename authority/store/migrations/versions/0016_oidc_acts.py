"""The operator's acts on the pages: approvals that are asked for there, ids of people's own lists, forms sent once."""

import sqlalchemy as sa
from alembic import op

revision = "0016_oidc_acts"
down_revision = "0015_credit_requests"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables, and the column."""
    seconds, digest = sa.BigInteger(), sa.LargeBinary(length=32)
    op.create_table(
        "approvals",
        sa.Column("enrolment_id", sa.String(length=32), nullable=False),
        sa.Column("seen", digest, nullable=False),
        sa.Column("asked_at", seconds, nullable=False),
        sa.Column("asked_by", sa.String(length=64), nullable=False),
        sa.Column("ended_at", seconds, nullable=True),
        sa.Column("certified_at", seconds, nullable=True),
        sa.Column("on_chain_at", seconds, nullable=True),
        sa.Column("problem", sa.String(), nullable=True),
        sa.ForeignKeyConstraint(["enrolment_id"], ["enrolments.id"], name=op.f("fk_approvals_enrolment_id_enrolments")),
        sa.PrimaryKeyConstraint("enrolment_id", name=op.f("pk_approvals")),
    )
    op.create_table(
        "sent_forms",
        sa.Column("token_hash", digest, nullable=False),
        sa.Column("at", seconds, nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_sent_forms")),
    )
    op.add_column("persons", sa.Column("list_id", sa.String(length=64), nullable=True))
    op.create_index("ix_persons_list_id", "persons", ["list_id"], unique=True)
