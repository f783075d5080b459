"""Records for each host which registrations it has applied."""

from claude_headspace.store.migrations import from_sql

revision = "0003"
down_revision = "0002"
upgrade = from_sql("0003_up")
downgrade = from_sql("0003_down")
