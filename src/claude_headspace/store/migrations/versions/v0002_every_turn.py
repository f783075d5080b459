"""Open state of sources, versions of rules, retracted events, titles, and forks."""

from claude_headspace.store.migrations import from_sql

revision = "0002"
down_revision = "0001"
upgrade = from_sql("0002_up")
downgrade = from_sql("0002_down")
