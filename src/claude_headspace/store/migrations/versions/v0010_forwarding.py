"""What a machine pushes to a central log, and how far it has come."""

from claude_headspace.store.migrations.statements import sql

revision = "0010"
down_revision = "0009"
upgrade = sql("0010_up")
downgrade = sql("0010_down")
