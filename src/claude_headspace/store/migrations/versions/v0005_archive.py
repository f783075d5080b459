"""The archive of sessions' files, and tombstones."""

from __future__ import annotations

from claude_headspace.store.migrations.statements import run

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply."""
    run("0005_up.sql")


def downgrade() -> None:
    """Revert."""
    run("0005_down.sql")
