"""What is open of a bill, kept beside it; and indexes by which pages find the newest rows of what grows with time."""

import sqlalchemy as sa
from alembic import op

revision = "0026_open_bills"
down_revision = "0025_person_language"
branch_labels = None
depends_on = None

INDEXES = (
    ("ix_bills_left_open", "bills", ["left_open"]),
    ("ix_bills_wallet_number", "bills", ["wallet", "number"]),
    ("ix_bill_payments_bill_booked_on_log_index", "bill_payments", ["bill", "booked_on", "log_index"]),
    ("ix_bill_payments_log_index", "bill_payments", ["log_index"]),
    ("ix_credit_entries_entered_at_reference", "credit_entries", ["entered_at", "reference"]),
    ("ix_credit_requests_state_asked_at_reference", "credit_requests", ["state", "asked_at", "reference"]),
    ("ix_payout_orders_bill", "payout_orders", ["bill"]),
    ("ix_payout_orders_made_at_batch_made_by", "payout_orders", ["made_at", "batch", "made_by"]),
    ("ix_acts_kind_log_index", "acts", ["kind", "log_index"]),
    ("ix_approvals_asked_at", "approvals", ["asked_at"]),
    ("ix_enrolments_state_created_at", "enrolments", ["state", "created_at"]),
    ("ix_settlement_epochs_book_log_index", "settlement_epochs", ["book_log_index"]),
)
REPLACED = (
    ("ix_acts_kind", "acts"),
    ("ix_bills_wallet", "bills"),
    ("ix_bill_payments_bill", "bill_payments"),
    ("ix_credit_requests_state", "credit_requests"),
)


def upgrade() -> None:
    """Add the columns, fill them from what they are the sums of, and make the indexes."""
    whole = sa.BigInteger()
    with op.batch_alter_table("bills") as table:
        table.add_column(sa.Column("left_open", whole, nullable=True))
    op.execute(
        "UPDATE bills SET left_open = due - coalesce((SELECT sum(amount) FROM bill_payments"
        " WHERE bill_payments.bill = bills.number AND withdrawn_at IS NULL), 0)"
    )
    with op.batch_alter_table("bills") as table:
        table.alter_column("left_open", existing_type=whole, nullable=False)
    with op.batch_alter_table("billing_periods") as table:
        table.add_column(sa.Column("bills", whole, nullable=False, server_default="0"))
        table.add_column(sa.Column("due", whole, nullable=False, server_default="0"))
    op.execute(
        "UPDATE billing_periods SET bills = (SELECT count(*) FROM bills WHERE bills.period = billing_periods.period),"
        " due = (SELECT coalesce(sum(bills.due), 0) FROM bills WHERE bills.period = billing_periods.period)"
    )
    with op.batch_alter_table("credit_entries") as table:
        table.add_column(sa.Column("ordered", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(
        "UPDATE credit_entries SET ordered = true WHERE log_index IN"
        " (SELECT redeemed FROM payout_orders WHERE redeemed IS NOT NULL AND cancelled_at IS NULL)"
    )
    for name, of in REPLACED:
        op.drop_index(name, of)
    for name, of, columns in INDEXES:
        op.create_index(name, of, columns)
    unordered = sa.text("amount < 0 AND NOT ordered")
    op.create_index(
        "ix_credit_entries_unordered", "credit_entries", ["log_index"], sqlite_where=unordered,
        postgresql_where=unordered,
    )  # fmt: skip
