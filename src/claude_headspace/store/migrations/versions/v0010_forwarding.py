"""What a machine pushes to a central log, and how far it has come."""

from claude_headspace.store.migrations import from_sql

revision = "0010"
down_revision = "0009"
upgrade = from_sql("0010_up")
downgrade = from_sql("0010_down")
