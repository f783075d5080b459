"""Renames tables and counts to the usual terms: checkpoints and dead letters."""

from __future__ import annotations

from claude_headspace.store.migrations.statements import run

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply."""
    run("0004_up.sql")


def downgrade() -> None:
    """Revert."""
    run("0004_down.sql")
