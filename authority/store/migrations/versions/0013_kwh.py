"""Links by which anybody checks a member's readings between two boundaries."""

import sqlalchemy as sa
from alembic import op

revision = "0013_kwh"
down_revision = "0012_day_sums"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table."""
    seconds = sa.BigInteger()
    op.create_table(
        "proof_links",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("token_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=False),
        sa.Column("starts_at", seconds, nullable=False),
        sa.Column("ends_at", seconds, nullable=False),
        sa.Column("created_at", seconds, nullable=False),
        sa.Column("expires_at", seconds, nullable=False),
        sa.Column("ended_at", seconds, nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["persons.id"], name=op.f("fk_proof_links_person_id_persons"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["member_id"], ["users.id"], name=op.f("fk_proof_links_member_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proof_links")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_proof_links_token_hash")),
    )
    op.create_index("ix_proof_links_person_id", "proof_links", ["person_id"])
    op.create_index("ix_proof_links_member_id", "proof_links", ["member_id"])
