"""Renames tables and counts to the usual terms: checkpoints and dead letters."""

from claude_headspace.store.migrations import from_sql

revision = "0004"
down_revision = "0003"
upgrade = from_sql("0004_up")
downgrade = from_sql("0004_down")
