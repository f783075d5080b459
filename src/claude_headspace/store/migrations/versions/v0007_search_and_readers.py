"""A full-text index of turns, and a read-only role."""

from claude_headspace.store.migrations import from_sql

revision = "0007"
down_revision = "0006"
upgrade = from_sql("0007_up")
downgrade = from_sql("0007_down")
