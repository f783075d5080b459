"""The event log."""

from claude_headspace.store.migrations import from_sql

revision = "0001"
down_revision = None
upgrade = from_sql("0001_up")
downgrade = from_sql("0001_down")
