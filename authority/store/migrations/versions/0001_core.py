"""The core tables: people, metering, enrolment, the log, leases."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them."""
    op.create_table(
        "acts",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("actor", sa.String(length=64), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("log_index", name=op.f("pk_acts")),
    )
    op.create_index(op.f("ix_acts_kind"), "acts", ["kind"], unique=False)
    op.create_table(
        "gateways",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("certificate", sa.String(), nullable=True),
        sa.Column("certificate_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("status", sa.JSON(), nullable=True),
        sa.Column("online", sa.Boolean(), nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_gateways")),
        sa.UniqueConstraint("certificate_hash", name=op.f("uq_gateways_certificate_hash")),
    )
    op.create_table(
        "incidents",
        sa.Column("record_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("public_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("frame", sa.LargeBinary(length=192), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("record_hash", name=op.f("pk_incidents")),
    )
    op.create_index(op.f("ix_incidents_public_key"), "incidents", ["public_key"], unique=False)
    op.create_table(
        "installations",
        sa.Column("n", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("building", sa.String(length=128), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("nameplate_w", sa.BigInteger(), nullable=False),
        sa.Column("storage_wh", sa.BigInteger(), nullable=False),
        sa.Column("since", sa.BigInteger(), nullable=False),
        sa.Column("registered_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("n", name=op.f("pk_installations")),
    )
    op.create_table(
        "leases",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=255), nullable=False),
        sa.Column("term", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )
    op.create_table(
        "log_checkpoints",
        sa.Column("size", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("root", sa.LargeBinary(length=32), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("checkpoint", sa.LargeBinary(length=124), nullable=False),
        sa.PrimaryKeyConstraint("size", name=op.f("pk_log_checkpoints")),
    )
    op.create_table(
        "log_leaves",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("log_index", name=op.f("pk_log_leaves")),
    )
    op.create_table(
        "log_nodes",
        sa.Column("level", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("position", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("hash", sa.LargeBinary(length=32), nullable=False),
        sa.PrimaryKeyConstraint("level", "position", name=op.f("pk_log_nodes")),
    )
    op.create_table(
        "log_state",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("network_id", sa.LargeBinary(length=8), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("frontier", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_log_state")),
    )
    op.create_table(
        "parked_frames",
        sa.Column("public_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("frame", sa.LargeBinary(length=192), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("public_key", "sequence", name=op.f("pk_parked_frames")),
    )
    op.create_table(
        "users",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("building", sa.String(length=128), nullable=False),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("wallet", sa.String(length=44), nullable=False),
        sa.Column("sealed_key", sa.LargeBinary(), nullable=True),
        sa.Column("member_index", sa.Integer(), nullable=True),
        sa.Column("registered_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
        sa.UniqueConstraint("wallet", name=op.f("uq_users_wallet")),
    )
    op.create_table(
        "claims",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("gateway_name", sa.String(length=64), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("withdrawn_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["gateway_name"], ["gateways.name"], name=op.f("fk_claims_gateway_name_gateways")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_claims")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_claims_secret_hash")),
    )
    op.create_index(op.f("ix_claims_gateway_name"), "claims", ["gateway_name"], unique=False)
    op.create_table(
        "meters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("gateway_name", sa.String(length=64), nullable=False),
        sa.Column("serial", sa.String(length=64), nullable=False),
        sa.Column("meter_id", sa.LargeBinary(length=32), nullable=False),
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("source", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("installation_n", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("map", sa.JSON(), nullable=True),
        sa.Column("map_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("public_key", sa.LargeBinary(length=32), nullable=True),
        sa.Column("registered_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["gateway_name"], ["gateways.name"], name=op.f("fk_meters_gateway_name_gateways")),
        sa.ForeignKeyConstraint(
            ["installation_n"], ["installations.n"], name=op.f("fk_meters_installation_n_installations")
        ),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_meters_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meters")),
        sa.UniqueConstraint("gateway_name", "name", name=op.f("uq_meters_gateway_name_name")),
        sa.UniqueConstraint("meter_id", name=op.f("uq_meters_meter_id")),
        sa.UniqueConstraint("public_key", name=op.f("uq_meters_public_key")),
        sa.UniqueConstraint("serial", name=op.f("uq_meters_serial")),
    )
    op.create_index(op.f("ix_meters_user_id"), "meters", ["user_id"], unique=False)
    op.create_table(
        "enrolments",
        sa.Column("id", sa.String(length=32), nullable=False),
        sa.Column("gateway_name", sa.String(length=64), nullable=False),
        sa.Column("claim_id", sa.Integer(), nullable=False),
        sa.Column("request_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("csr", sa.String(), nullable=False),
        sa.Column("state", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(), nullable=True),
        sa.Column("certificate", sa.String(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("decided_at", sa.BigInteger(), nullable=True),
        sa.Column("decided_by", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["claim_id"], ["claims.id"], name=op.f("fk_enrolments_claim_id_claims")),
        sa.ForeignKeyConstraint(["gateway_name"], ["gateways.name"], name=op.f("fk_enrolments_gateway_name_gateways")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolments")),
        sa.UniqueConstraint("claim_id", name=op.f("uq_enrolments_claim_id")),
    )
    op.create_index(op.f("ix_enrolments_gateway_name"), "enrolments", ["gateway_name"], unique=False)
    op.create_table(
        "frames",
        sa.Column("log_index", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("meter_pk", sa.Integer(), nullable=False),
        sa.Column("public_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("interval_end", sa.BigInteger(), nullable=False),
        sa.Column("record_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("frame", sa.LargeBinary(length=192), nullable=False),
        sa.Column("verdict", sa.String(length=64), nullable=False),
        sa.Column("code", sa.String(length=64), nullable=False),
        sa.Column("receipt", sa.LargeBinary(length=168), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("over", sa.String(length=64), nullable=False),
        sa.Column("disposition", sa.String(length=64), nullable=False),
        sa.Column("resolved_at", sa.BigInteger(), nullable=True),
        sa.Column("resolved_by", sa.String(length=64), nullable=True),
        sa.Column("resolution", sa.String(), nullable=True),
        sa.Column("resolution_log_index", sa.BigInteger(), nullable=True),
        sa.Column("chain_status", sa.String(length=64), nullable=False),
        sa.Column("chain_signature", sa.String(length=88), nullable=True),
        sa.Column("chain_error", sa.String(length=64), nullable=True),
        sa.ForeignKeyConstraint(["meter_pk"], ["meters.id"], name=op.f("fk_frames_meter_pk_meters")),
        sa.PrimaryKeyConstraint("log_index", name=op.f("pk_frames")),
        sa.UniqueConstraint("public_key", "sequence", name=op.f("uq_frames_public_key_sequence")),
    )
    op.create_index("ix_frames_disposition_chain_status", "frames", ["disposition", "chain_status"], unique=False)
    op.create_index(op.f("ix_frames_interval_end"), "frames", ["interval_end"], unique=False)
    op.create_index("ix_frames_meter_pk_interval_end", "frames", ["meter_pk", "interval_end"], unique=False)
    op.create_table(
        "live_power",
        sa.Column("meter_pk", sa.Integer(), nullable=False),
        sa.Column("power_w", sa.BigInteger(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["meter_pk"], ["meters.id"], name=op.f("fk_live_power_meter_pk_meters")),
        sa.PrimaryKeyConstraint("meter_pk", name=op.f("pk_live_power")),
    )
    op.create_table(
        "meter_keys",
        sa.Column("public_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("meter_pk", sa.Integer(), nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), nullable=False),
        sa.Column("next_sequence", sa.BigInteger(), nullable=False),
        sa.Column("head_hash", sa.LargeBinary(length=32), nullable=True),
        sa.Column("possession", sa.LargeBinary(length=64), nullable=False),
        sa.Column("approved_at", sa.BigInteger(), nullable=False),
        sa.Column("retired_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["meter_pk"], ["meters.id"], name=op.f("fk_meter_keys_meter_pk_meters")),
        sa.PrimaryKeyConstraint("public_key", name=op.f("pk_meter_keys")),
    )
    op.create_index(op.f("ix_meter_keys_meter_pk"), "meter_keys", ["meter_pk"], unique=False)
    op.create_table(
        "enrolment_meters",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("enrolment_id", sa.String(length=32), nullable=False),
        sa.Column("meter_pk", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("public_key", sa.LargeBinary(length=32), nullable=False),
        sa.Column("map", sa.JSON(), nullable=False),
        sa.Column("map_hash", sa.LargeBinary(length=32), nullable=False),
        sa.Column("first_sequence", sa.BigInteger(), nullable=False),
        sa.Column("possession", sa.LargeBinary(length=64), nullable=True),
        sa.ForeignKeyConstraint(
            ["enrolment_id"], ["enrolments.id"], name=op.f("fk_enrolment_meters_enrolment_id_enrolments")
        ),
        sa.ForeignKeyConstraint(["meter_pk"], ["meters.id"], name=op.f("fk_enrolment_meters_meter_pk_meters")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_enrolment_meters")),
        sa.UniqueConstraint("enrolment_id", "name", name=op.f("uq_enrolment_meters_enrolment_id_name")),
    )
