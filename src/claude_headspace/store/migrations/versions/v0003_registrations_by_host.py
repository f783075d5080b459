"""Records for each host which registrations it has applied."""

from __future__ import annotations

from claude_headspace.store.migrations.statements import run

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply."""
    run("0003_up.sql")


def downgrade() -> None:
    """Revert."""
    run("0003_down.sql")
