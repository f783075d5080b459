"""A full-text index of turns, and a read-only role."""

from __future__ import annotations

from claude_headspace.store.migrations.statements import run

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply."""
    run("0007_up.sql")


def downgrade() -> None:
    """Revert."""
    run("0007_down.sql")
