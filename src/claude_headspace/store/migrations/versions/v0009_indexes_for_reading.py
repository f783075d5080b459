"""Indexes that the page and the API ask by: times of calls, replies and sessions."""

from claude_headspace.store.migrations.statements import sql

revision = "0009"
down_revision = "0008"
upgrade = sql("0009_up")
downgrade = sql("0009_down")
