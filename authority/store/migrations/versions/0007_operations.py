"""Day-to-day acts: wallets that are replaced, members that leave, nameplates that change, renewed certificates."""

import sqlalchemy as sa
from alembic import op

revision = "0007_operations"
down_revision = "0006_wallet_keys"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """New columns are empty: nothing is proposed, staged or renewed."""
    op.add_column("users", sa.Column("signing_wallet", sa.String(length=44), nullable=True))
    op.add_column("users", sa.Column("next_wallet", sa.String(length=44), nullable=True))
    op.add_column("users", sa.Column("next_sealed_key", sa.LargeBinary(), nullable=True))
    op.add_column("users", sa.Column("left_at", sa.BigInteger(), nullable=True))
    for name in ("staged_nameplate_w", "staged_storage_wh", "staged_from"):
        op.add_column("installations", sa.Column(name, sa.BigInteger(), nullable=True))
    op.create_table(
        "certificate_renewals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("gateway_name", sa.String(length=64), nullable=False),
        sa.Column("csr", sa.String(), nullable=False),
        sa.Column("asked_at", sa.BigInteger(), nullable=False),
        sa.Column("certificate", sa.String(), nullable=True),
        sa.Column("certificate_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["gateway_name"], ["gateways.name"], name=op.f("fk_certificate_renewals_gateway_name_gateways")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_certificate_renewals")),
        sa.UniqueConstraint("certificate_hash", name=op.f("uq_certificate_renewals_certificate_hash")),
    )
    op.create_index(op.f("ix_certificate_renewals_gateway_name"), "certificate_renewals", ["gateway_name"])
