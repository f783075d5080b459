"""Indexes that the page and the API ask by: times of calls, replies and sessions."""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0007"

_INDEXES = {
    "ix_agents_last_seen_at_id": ("agents", ["last_seen_at", "id"]),
    "ix_tool_calls_started_at": ("tool_calls", ["started_at"]),
    "ix_tool_calls_ended_at": ("tool_calls", ["ended_at"]),
    "ix_model_calls_started_at": ("model_calls", ["started_at"]),
}


def upgrade() -> None:
    """Apply."""
    for name, (table, columns) in _INDEXES.items():
        op.create_index(op.f(name), table, columns)
    op.create_index(
        op.f("ix_checkpoints_sessions"), "checkpoints", ["sessions"], postgresql_using="gin"
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_checkpoints_sessions"), "checkpoints")
    for name, (table, _) in _INDEXES.items():
        op.drop_index(op.f(name), table)
