"""Whose readings a meter's are: one row for each member that had a meter which was given to another."""

import json

import sqlalchemy as sa
from alembic import op

revision = "0018_tenures"
down_revision = "0017_oidc_sign_in"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, and fill it from the acts: until the last reading before each, a meter was the earlier one's."""
    op.create_table(
        "meter_tenures",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("meter_pk", sa.Integer(), nullable=False),
        sa.Column("user_id", sa.Integer(), nullable=False),
        sa.Column("since_end", sa.BigInteger(), nullable=True),
        sa.Column("until_end", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["meter_pk"], ["meters.id"], name=op.f("fk_meter_tenures_meter_pk_meters")),
        sa.ForeignKeyConstraint(["user_id"], ["users.id"], name=op.f("fk_meter_tenures_user_id_users")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_meter_tenures")),
    )
    op.create_index("ix_meter_tenures_meter_pk", "meter_tenures", ["meter_pk"])
    op.create_index("ix_meter_tenures_user_id", "meter_tenures", ["user_id"])
    store = op.get_bind()
    acts = store.execute(
        sa.text("SELECT data, time FROM acts WHERE kind = 'meter_reassigned' ORDER BY log_index")
    ).all()
    users: dict[str, int] = {row.wallet: row.id for row in store.execute(sa.text("SELECT wallet, id FROM users"))}
    since: dict[int, int] = {}
    now: dict[int, int] = {}
    rows = []
    for data, time in acts:
        act = json.loads(data) if isinstance(data, str) else data
        found = sa.text("SELECT id FROM meters WHERE meter_id = :id")
        meter = store.execute(found, {"id": bytes.fromhex(act["meter_id"])}).scalar()
        if meter is None or act["from"] not in users or act["to"] not in users or act["from"] == act["to"]:
            continue
        last = store.execute(
            sa.text("SELECT MAX(interval_end) FROM frames WHERE meter_pk = :pk AND interval_end <= :time"),
            {"pk": meter, "time": time},
        ).scalar()
        until = time if last is None else last
        rows.append((meter, users[act["from"]], since.get(meter), until))
        since[meter], now[meter] = until, users[act["to"]]
    rows += [(meter, user, since[meter], None) for meter, user in now.items()]
    names = ("meter_pk", "user_id", "since_end", "until_end")
    for row in rows:
        store.execute(
            sa.text(
                "INSERT INTO meter_tenures (meter_pk, user_id, since_end, until_end) VALUES (:meter_pk, :user_id, "
                ":since_end, :until_end)"
            ),
            dict(zip(names, row, strict=True)),
        )
