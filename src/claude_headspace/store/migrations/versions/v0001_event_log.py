"""The event log."""

from claude_headspace.store.migrations.statements import sql

revision = "0001"
down_revision = None
upgrade = sql("0001_up")
downgrade = sql("0001_down")
