"""The event log."""

from __future__ import annotations

from claude_headspace.store.migrations.statements import run

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Apply."""
    run("0001_up.sql")


def downgrade() -> None:
    """Revert."""
    run("0001_down.sql")
