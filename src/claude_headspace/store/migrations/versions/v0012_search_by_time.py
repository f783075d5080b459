"""The search index knows the time of each text."""

from claude_headspace.store.migrations import from_sql

revision = "0012"
down_revision = "0011"
upgrade = from_sql("0012_up")
downgrade = from_sql("0012_down")
