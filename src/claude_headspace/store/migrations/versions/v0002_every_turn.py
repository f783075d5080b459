"""Open state of sources, versions of rules, retracted events, titles, and forks."""

from __future__ import annotations

from claude_headspace.store.migrations.statements import run

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply."""
    run("0002_up.sql")


def downgrade() -> None:
    """Revert."""
    run("0002_down.sql")
