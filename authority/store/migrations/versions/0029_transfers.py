"""Tokens that members move by hand, the codes by which they are given some, and their webhooks."""

import sqlalchemy as sa
from alembic import op

revision = "0029_transfers"
down_revision = "0028_account"
branch_labels = None
depends_on = None

OPEN = sa.text("state IN ('waiting', 'going', 'sent')")


def upgrade() -> None:
    """Make the tables, with an index of what is open."""
    number = sa.BigInteger()
    op.create_table(
        "transfers",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("to_user_id", sa.Integer(), nullable=True),
        sa.Column("request_key", sa.String(length=64), nullable=False),
        sa.Column("act", sa.String(length=64), nullable=False),
        sa.Column("asset", sa.String(length=64), nullable=False),
        sa.Column("amount", number, nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("told", sa.String(), nullable=False),
        sa.Column("signature", sa.String(length=88), nullable=True),
        sa.Column("asked_at", number, nullable=False),
        sa.Column("goes_at", number, nullable=False),
        sa.ForeignKeyConstraint(["to_user_id"], ["users.id"], name=op.f("fk_transfers_to_user_id_users")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_transfers_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_transfers")),
        sa.UniqueConstraint("user_id", "request_key", name=op.f("uq_transfers_user_id_request_key")),
    )
    op.create_index("ix_transfers_user_id_id", "transfers", ["user_id", "id"])
    op.create_index("ix_transfers_to_user_id_id", "transfers", ["to_user_id", "id"])
    op.create_index("ix_transfers_open", "transfers", ["id"], sqlite_where=OPEN, postgresql_where=OPEN)
    op.create_table(
        "member_codes",
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("code", sa.String(length=32), nullable=False),
        sa.Column("made_at", number, nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_member_codes_user_id_users")),
        sa.PrimaryKeyConstraint("user_id", name=op.f("pk_member_codes")),
        sa.UniqueConstraint("code", name=op.f("uq_member_codes_code")),
    )
    op.create_table(
        "webhooks",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("url", sa.String(length=512), nullable=False),
        sa.Column("events", sa.String(length=255), nullable=False),
        sa.Column("secret", sa.String(length=64), nullable=False),
        sa.Column("created_at", number, nullable=False),
        sa.Column("bill_after", number, nullable=False),
        sa.Column("epoch_after", number, nullable=False),
        sa.Column("stopped_at", number, nullable=True),
        sa.ForeignKeyConstraint(
            ["person_id"], ["persons.id"], name=op.f("fk_webhooks_person_id_persons"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhooks")),
    )
    op.create_index(op.f("ix_webhooks_person_id"), "webhooks", ["person_id"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("webhook_id", sa.String(length=16), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("event", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=128), nullable=False),
        sa.Column("body", sa.String(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("made_at", number, nullable=False),
        sa.Column("next_at", number, nullable=False),
        sa.Column("told", sa.String(length=300), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["persons.id"], name=op.f("fk_webhook_deliveries_person_id_persons"), ondelete="CASCADE"
        ),
        sa.ForeignKeyConstraint(
            ["webhook_id"], ["webhooks.id"], name=op.f("fk_webhook_deliveries_webhook_id_webhooks"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_webhook_deliveries")),
        sa.UniqueConstraint("webhook_id", "subject", name=op.f("uq_webhook_deliveries_webhook_id_subject")),
    )
    op.create_index(op.f("ix_webhook_deliveries_person_id"), "webhook_deliveries", ["person_id"])
    op.create_index("ix_webhook_deliveries_state_next_at", "webhook_deliveries", ["state", "next_at"])
    op.create_index("ix_webhook_deliveries_webhook_id_id", "webhook_deliveries", ["webhook_id", "id"])
