"""A full-text index that follows the log, and a role that can only read."""

from __future__ import annotations

from claude_headspace.store.migrations.statements import run

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """Apply."""
    run("0007_up.sql")


def downgrade() -> None:
    """Take back."""
    run("0007_down.sql")
