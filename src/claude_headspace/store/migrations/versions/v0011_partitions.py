"""Events may be partitioned by time."""

from claude_headspace.store.migrations.statements import sql

revision = "0011"
down_revision = "0010"
upgrade = sql("0011_up")
downgrade = sql("0011_down")
