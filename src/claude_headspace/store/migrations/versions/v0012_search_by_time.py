"""The search index knows the time of each text."""

from claude_headspace.store.migrations.statements import sql

revision = "0012"
down_revision = "0011"
upgrade = sql("0012_up")
downgrade = sql("0012_down")
