"""Prompts held at an offset, rules of reading, retracted events, titles, forks by their word."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

from claude_headspace.store.migrations.versions import v0001_event_log

revision = "0002"
down_revision = "0001"

_FOUND = """            IF NOT FOUND THEN
                RAISE EXCEPTION 'the event was deleted while it was written: try again'
                    USING ERRCODE = '40001';
            END IF;
"""
# An event that is written again is one that today's rules make.
_RESTORED = """            UPDATE events SET retracted_at = NULL
            WHERE id = new_id AND retracted_at IS NOT NULL;
"""
WRITE_EVENTS = v0001_event_log.WRITE_EVENTS.replace(_FOUND, _FOUND + _RESTORED).replace(
    "CREATE PROCEDURE", "CREATE OR REPLACE PROCEDURE"
)

_AGENTS: tuple[sa.Column[Any], ...] = (
    sa.Column(
        "titles",
        postgresql.JSONB(astext_type=sa.Text()),
        server_default=sa.text("'{}'::jsonb"),
        nullable=False,
    ),
    sa.Column("project_seen_at", sa.DateTime(timezone=True), nullable=True),
    sa.Column("copied_until", sa.DateTime(timezone=True), nullable=True),
    sa.Column("fork_told", sa.Boolean(), server_default="false", nullable=False),
    sa.Column("copies", sa.Text(), nullable=True),
)
_SOURCES: tuple[sa.Column[Any], ...] = (
    sa.Column("state", sa.Text(), server_default=sa.text("''"), nullable=False),
    sa.Column("rules", sa.Integer(), server_default="1", nullable=False),
    sa.Column("reread_bytes", sa.BigInteger(), server_default="0", nullable=False),
    sa.Column("reread_state", sa.Text(), server_default=sa.text("''"), nullable=False),
)


def upgrade() -> None:
    """Apply."""
    for column in _AGENTS:
        op.add_column("agents", column)
    op.create_check_constraint(op.f("ck_agents_copies"), "agents", "copies IN ('due', 'open')")
    op.create_index(
        "ix_agents_copies_due",
        "agents",
        ["id"],
        postgresql_where=sa.text("copies = 'due'"),
    )
    for column in _SOURCES:
        op.add_column("source_positions", column)
    op.create_index("ix_source_positions_rules", "source_positions", ["host", "rules"])
    op.add_column("events", sa.Column("retracted_at", sa.DateTime(timezone=True), nullable=True))
    op.execute(WRITE_EVENTS)


def downgrade() -> None:
    """Take back."""
    op.execute(
        v0001_event_log.WRITE_EVENTS.replace("CREATE PROCEDURE", "CREATE OR REPLACE PROCEDURE")
    )
    op.drop_column("events", "retracted_at")
    op.drop_index("ix_source_positions_rules", table_name="source_positions")
    for column in _SOURCES:
        op.drop_column("source_positions", column.name)
    op.drop_index("ix_agents_copies_due", table_name="agents")
    op.drop_constraint(op.f("ck_agents_copies"), "agents")
    for column in _AGENTS:
        op.drop_column("agents", column.name)
