"""Sign-in by an OpenID provider: who is who there, and sign-ins that are on their way."""

import sqlalchemy as sa
from alembic import op

revision = "0017_oidc_sign_in"
down_revision = "0016_oidc_acts"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    seconds, digest = sa.BigInteger(), sa.LargeBinary(length=32)
    op.create_table(
        "oidc_links",
        sa.Column("issuer", sa.String(length=255), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("linked_at", seconds, nullable=False),
        sa.Column("last_used_at", seconds, nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["persons.id"], name=op.f("fk_oidc_links_person_id_persons"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("issuer", "subject", name=op.f("pk_oidc_links")),
        sa.UniqueConstraint("person_id", name=op.f("uq_oidc_links_person_id")),
    )
    op.create_table(
        "oidc_sign_ins",
        sa.Column("state_hash", digest, nullable=False),
        sa.Column("browser_hash", digest, nullable=False),
        sa.Column("nonce", sa.String(length=64), nullable=False),
        sa.Column("verifier", sa.String(length=64), nullable=False),
        sa.Column("where", sa.String(length=2048), nullable=False),
        sa.Column("expires_at", seconds, nullable=False),
        sa.PrimaryKeyConstraint("state_hash", name=op.f("pk_oidc_sign_ins")),
    )
