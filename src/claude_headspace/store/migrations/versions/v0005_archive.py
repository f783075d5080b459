"""The archive of sessions' files, and tombstones."""

from claude_headspace.store.migrations import from_sql

revision = "0005"
down_revision = "0004"
upgrade = from_sql("0005_up")
downgrade = from_sql("0005_down")
