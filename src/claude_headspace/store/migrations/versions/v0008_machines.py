"""Projects, sources and registrations belong to machines, whatever those are called."""

from __future__ import annotations

from claude_headspace.store.migrations.statements import run

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Apply."""
    run("0008_up.sql")


def downgrade() -> None:
    """Take back."""
    run("0008_down.sql")
