"""Open state of sources, versions of rules, retracted events, titles, and forks."""

from claude_headspace.store.migrations.statements import sql

revision = "0002"
down_revision = "0001"
upgrade = sql("0002_up")
downgrade = sql("0002_down")
