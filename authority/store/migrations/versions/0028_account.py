"""People who ask to leave, and the mails that people want of what changes."""

import sqlalchemy as sa
from alembic import op

revision = "0028_account"
down_revision = "0027_open_bills"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "leave_requests",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=True),
        sa.Column("forfeit", sa.Boolean(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("told", sa.String(length=300), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["persons.id"], name=op.f("fk_leave_requests_person_id_persons"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_leave_requests_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_leave_requests")),
    )
    op.create_index("ix_leave_requests_person_id", "leave_requests", ["person_id"])
    op.create_index("ix_leave_requests_state", "leave_requests", ["state"])
    persons = sa.ForeignKeyConstraint
    op.create_table(
        "notice_choices",
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("least", sa.BigInteger(), nullable=True),
        persons(["person_id"], ["persons.id"], name=op.f("fk_notice_choices_person_id_persons"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("person_id", "kind", name=op.f("pk_notice_choices")),
    )
    op.create_table(
        "notice_states",
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=160), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("raised_at", sa.BigInteger(), nullable=False),
        sa.Column("told_at", sa.BigInteger(), nullable=True),
        sa.Column("over_at", sa.BigInteger(), nullable=True),
        persons(["person_id"], ["persons.id"], name=op.f("fk_notice_states_person_id_persons"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("person_id", "kind", "subject", name=op.f("pk_notice_states")),
    )
    op.create_table(
        "notice_mails",
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("sent_at", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.String(length=300), nullable=False),
        persons(["person_id"], ["persons.id"], name=op.f("fk_notice_mails_person_id_persons"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("person_id", name=op.f("pk_notice_mails")),
    )
    op.create_index("ix_notice_mails_state_next_at", "notice_mails", ["state", "next_at"])
