"""Projects, sources and registrations belong to machines, independent of host names."""

from claude_headspace.store.migrations import from_sql

revision = "0008"
down_revision = "0007"
upgrade = from_sql("usage_views_down", "0008_up", "usage_views_up", projects="places")
downgrade = from_sql("usage_views_down", "0008_down", "usage_views_up", projects="projects")
