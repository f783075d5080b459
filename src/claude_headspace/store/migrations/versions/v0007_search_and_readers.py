"""A full-text index of turns, and a read-only role."""

from claude_headspace.store.migrations.statements import sql

revision = "0007"
down_revision = "0006"
upgrade = sql("0007_up")
downgrade = sql("0007_down")
