"""Events may be partitioned by time."""

from claude_headspace.store.migrations import from_sql

revision = "0011"
down_revision = "0010"
upgrade = from_sql("0011_up")
downgrade = from_sql("0011_down")
