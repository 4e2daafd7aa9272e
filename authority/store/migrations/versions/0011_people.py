"""People who sign in: persons, roles, invitations, passkeys, sessions, tokens; and standing orders that pause."""

import sqlalchemy as sa
from alembic import op

revision = "0011_people"
down_revision = "0010_settlement_acts"
branch_labels = None
depends_on = None


def _person(table: str, *, nullable: bool = False) -> tuple[sa.Column[int], sa.ForeignKeyConstraint]:
    return (
        sa.Column("person_id", sa.Integer(), nullable=nullable),
        sa.ForeignKeyConstraint(
            ["person_id"], ["persons.id"], name=op.f(f"fk_{table}_person_id_persons"), ondelete="CASCADE"
        ),
    )


def upgrade() -> None:
    """Make the tables."""
    seconds, digest = sa.BigInteger(), sa.LargeBinary(length=32)
    op.create_table(
        "persons",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("pseudonym", sa.String(length=32), nullable=False),
        sa.Column("login", sa.String(length=128), nullable=False),
        sa.Column("name", sa.String(length=128), nullable=False),
        sa.Column("handle", digest, nullable=False),
        sa.Column("password_hash", sa.String(length=255), nullable=True),
        sa.Column("created_at", seconds, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_persons")),
        sa.UniqueConstraint("pseudonym", name=op.f("uq_persons_pseudonym")),
        sa.UniqueConstraint("login", name=op.f("uq_persons_login")),
        sa.UniqueConstraint("handle", name=op.f("uq_persons_handle")),
    )
    op.create_table(
        "person_roles",
        *_person("person_roles"),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("member_id", sa.Integer(), nullable=True),
        sa.Column("until", seconds, nullable=True),
        sa.Column("granted_at", seconds, nullable=False),
        sa.ForeignKeyConstraint(["member_id"], ["users.id"], name=op.f("fk_person_roles_member_id_users")),
        sa.PrimaryKeyConstraint("person_id", "role", name=op.f("pk_person_roles")),
    )
    op.create_index("ix_person_roles_member_id", "person_roles", ["member_id"])
    op.create_table(
        "invitations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("token_hash", digest, nullable=False),
        *_person("invitations"),
        sa.Column("created_at", seconds, nullable=False),
        sa.Column("expires_at", seconds, nullable=False),
        sa.Column("used_at", seconds, nullable=True),
        sa.Column("withdrawn_at", seconds, nullable=True),
        sa.Column("enters", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_invitations")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_invitations_token_hash")),
    )
    op.create_index("ix_invitations_person_id", "invitations", ["person_id"])
    op.create_table(
        "passkeys",
        sa.Column("credential_id", sa.LargeBinary(), nullable=False),
        *_person("passkeys"),
        sa.Column("public_key", sa.LargeBinary(), nullable=False),
        sa.Column("sign_count", sa.Integer(), nullable=False),
        sa.Column("created_at", seconds, nullable=False),
        sa.Column("last_used_at", seconds, nullable=True),
        sa.PrimaryKeyConstraint("credential_id", name=op.f("pk_passkeys")),
    )
    op.create_index("ix_passkeys_person_id", "passkeys", ["person_id"])
    op.create_table(
        "passkey_challenges",
        sa.Column("token_hash", digest, nullable=False),
        sa.Column("challenge", sa.LargeBinary(), nullable=False),
        *_person("passkey_challenges", nullable=True),
        sa.Column("expires_at", seconds, nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name=op.f("pk_passkey_challenges")),
    )
    op.create_index("ix_passkey_challenges_person_id", "passkey_challenges", ["person_id"])
    op.create_table(
        "person_sessions",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("token_hash", digest, nullable=False),
        *_person("person_sessions"),
        sa.Column("via", sa.String(length=64), nullable=False),
        sa.Column("browser", sa.String(length=64), nullable=False),
        sa.Column("created_at", seconds, nullable=False),
        sa.Column("seen_at", seconds, nullable=False),
        sa.Column("expires_at", seconds, nullable=False),
        sa.Column("ended_at", seconds, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_person_sessions")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_person_sessions_token_hash")),
    )
    op.create_index("ix_person_sessions_person_id", "person_sessions", ["person_id"])
    op.create_table(
        "program_tokens",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("token_hash", digest, nullable=False),
        *_person("program_tokens"),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("scopes", sa.String(length=255), nullable=False),
        sa.Column("created_at", seconds, nullable=False),
        sa.Column("expires_at", seconds, nullable=False),
        sa.Column("last_used_at", seconds, nullable=True),
        sa.Column("ended_at", seconds, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_program_tokens")),
        sa.UniqueConstraint("token_hash", name=op.f("uq_program_tokens_token_hash")),
    )
    op.create_index("ix_program_tokens_person_id", "program_tokens", ["person_id"])
    op.create_table(
        "failed_sign_ins",
        sa.Column("login_hash", digest, nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("last_at", seconds, nullable=False),
        sa.Column("closed_until", seconds, nullable=False),
        sa.PrimaryKeyConstraint("login_hash", name=op.f("pk_failed_sign_ins")),
    )
    op.create_table(
        "logged_reads",
        sa.Column("pseudonym", sa.String(length=32), nullable=False),
        sa.Column("what", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=44), nullable=False),
        sa.Column("at", seconds, nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", "what", "subject", name=op.f("pk_logged_reads")),
    )
    op.add_column("standing_orders", sa.Column("paused_at", seconds, nullable=True))
