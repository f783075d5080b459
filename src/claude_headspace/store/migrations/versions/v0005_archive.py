"""The archive of sessions' files, and tombstones."""

from claude_headspace.store.migrations.statements import sql

revision = "0005"
down_revision = "0004"
upgrade = sql("0005_up")
downgrade = sql("0005_down")
