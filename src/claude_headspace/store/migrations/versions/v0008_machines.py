"""Projects, sources and registrations belong to machines, independent of host names."""

from claude_headspace.store.migrations.statements import sql

revision = "0008"
down_revision = "0007"
upgrade = sql("usage_views_down", "0008_up", "usage_views_up", projects="places")
downgrade = sql("usage_views_down", "0008_down", "usage_views_up", projects="projects")
