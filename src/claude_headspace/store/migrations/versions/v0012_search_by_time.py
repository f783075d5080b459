"""The search index knows the time of each text."""

from __future__ import annotations

from claude_headspace.store.migrations.statements import run

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Apply."""
    run("0012_up.sql")


def downgrade() -> None:
    """Revert."""
    run("0012_down.sql")
