"""Alembic runs this for every command. The connection (and its transaction) comes from the caller."""

from __future__ import annotations

from alembic import context

from bastion.store.schema import metadata

connection = context.config.attributes["connection"]
context.configure(connection=connection, target_metadata=metadata, render_as_batch=True, transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
