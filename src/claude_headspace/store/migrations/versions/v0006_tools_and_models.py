"""Tool calls, model calls, and views that sum them."""

from claude_headspace.store.migrations import from_sql

revision = "0006"
down_revision = "0005"
upgrade = from_sql("0006_up", "usage_views_up", projects="projects")
downgrade = from_sql("usage_views_down", "0006_down")
