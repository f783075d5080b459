"""Indexes that the page and the API ask by: times of calls, replies and sessions."""

from __future__ import annotations

from claude_headspace.store.migrations.statements import run

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Apply."""
    run("0009_up.sql")


def downgrade() -> None:
    """Revert."""
    run("0009_down.sql")
