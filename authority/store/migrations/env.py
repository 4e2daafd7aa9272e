"""Alembic's environment: runs migrations on the connection that Store hands over, in its transaction."""

from alembic import context

from authority.store.base import Base

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=Base.metadata, transactional_ddl=True, render_as_batch=True)
context.run_migrations()
