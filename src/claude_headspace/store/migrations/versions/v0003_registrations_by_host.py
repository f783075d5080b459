"""Records for each host which registrations it has applied."""

from claude_headspace.store.migrations.statements import sql

revision = "0003"
down_revision = "0002"
upgrade = sql("0003_up")
downgrade = sql("0003_down")
