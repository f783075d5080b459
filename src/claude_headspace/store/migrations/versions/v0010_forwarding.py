"""What a machine pushes to a central log, and how far it has come."""

from __future__ import annotations

from claude_headspace.store.migrations.statements import run

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Apply."""
    run("0010_up.sql")


def downgrade() -> None:
    """Revert."""
    run("0010_down.sql")
