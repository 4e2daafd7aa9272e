"""Bringing a database to this release's revision, by Alembic. A module of its own: most starts need none of it."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, text

from authority.store.engine import StoreNewerError

_LOCK = 0x414D_5231
"""PostgreSQL's advisory lock that processes take while they migrate."""


def upgrade(engine: Engine, migrations: Path) -> None:
    """Bring a database to the newest revision, one process at a time, whole or not at all; StoreNewerError."""
    config = Config()
    config.set_main_option("script_location", str(migrations))
    script = ScriptDirectory.from_config(config)
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
        revision = MigrationContext.configure(connection).get_current_revision()
        known = {item.revision for item in script.walk_revisions()}
        if revision is not None and revision not in known:
            raise StoreNewerError(
                f"the database is at revision {revision}, which this release does not know; upgrade it",
            )
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
