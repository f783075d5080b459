"""Alembic's entry: runs the migrations over the connection that the caller opened."""

from __future__ import annotations

from alembic import context

from claude_headspace.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    compare_server_default=True,
)
with context.begin_transaction():
    context.run_migrations()
