"""Indexes that the page and the API ask by: times of calls, replies and sessions."""

from claude_headspace.store.migrations import from_sql

revision = "0009"
down_revision = "0008"
upgrade = from_sql("0009_up")
downgrade = from_sql("0009_down")
