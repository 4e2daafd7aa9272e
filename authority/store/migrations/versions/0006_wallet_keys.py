"""Keys of members' later wallets and of delegates, in custody beside those that were made with the members."""

import sqlalchemy as sa
from alembic import op

revision = "0006_wallet_keys"
down_revision = "0005_witnesses"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make their table."""
    op.create_table(
        "wallet_keys",
        sa.Column("address", sa.String(length=44), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_wallet_keys_user_id_users")),
        sa.PrimaryKeyConstraint("address", name=op.f("pk_wallet_keys")),
    )
    op.create_index(op.f("ix_wallet_keys_user_id"), "wallet_keys", ["user_id"], unique=False)
