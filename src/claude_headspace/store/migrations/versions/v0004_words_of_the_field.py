"""Renames tables and counts to the usual terms: checkpoints and dead letters."""

from claude_headspace.store.migrations.statements import sql

revision = "0004"
down_revision = "0003"
upgrade = sql("0004_up")
downgrade = sql("0004_down")
