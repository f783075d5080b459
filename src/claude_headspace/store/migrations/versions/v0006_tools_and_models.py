"""Tool calls, model calls, and views that sum them."""

from __future__ import annotations

from claude_headspace.store.migrations.statements import run

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply."""
    run("0006_up.sql")
    run("usage_views_up.sql", projects="projects")


def downgrade() -> None:
    """Revert."""
    run("usage_views_down.sql")
    run("0006_down.sql")
