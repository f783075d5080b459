"""Events may be partitioned by time."""

from __future__ import annotations

from claude_headspace.store.migrations.statements import run

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    """Apply."""
    run("0011_up.sql")


def downgrade() -> None:
    """Revert."""
    run("0011_down.sql")
