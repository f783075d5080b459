"""The event log."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None

# Writes events in the order given, each in a transaction of its own, in one round trip.
# Only the last commit waits for the disk when the session says synchronous_commit = off; it
# flushes the others with it. outcomes: w written, a again (the same key from the same source and
# offset: a line read once more after a crash), d duplicate (the key from anywhere else); in
# capitals when the key stands under another session too (a copied turn).
WRITE_EVENTS = """
CREATE PROCEDURE write_events(
    keys uuid[], sessions uuid[], types text[], times timestamptz[], payloads text[],
    notes text[], projects int[], agents int[], commands int[], turns int[],
    sources int[], offsets bigint[], INOUT ids bigint[], INOUT outcomes text)
LANGUAGE plpgsql AS $$
DECLARE
    -- Copies: plpgsql holds arrays that it assigned itself in a form with direct access.
    texts text[] := payloads;
    last int := cardinality(keys);
    new_id bigint;
    outcome text;
BEGIN
    ids := '{}';
    outcomes := '';
    FOR i IN 1..last LOOP
        IF i = last THEN
            PERFORM set_config('synchronous_commit', 'on', true);
        END IF;
        INSERT INTO events (timestamp, event_type, payload, project_id, agent_id, command_id,
            turn_id, session_uuid, event_key, source_id, source_offset, annotations)
        VALUES (times[i], types[i], texts[i]::jsonb, projects[i], agents[i], commands[i],
            turns[i], sessions[i], keys[i], sources[i], offsets[i], notes[i]::jsonb)
        ON CONFLICT (event_key, session_uuid) DO NOTHING
        RETURNING id INTO new_id;
        outcome := 'w';
        IF new_id IS NULL THEN
            SELECT e.id, CASE WHEN e.source_id = sources[i] AND e.source_offset = offsets[i]
                THEN 'a' ELSE 'd' END
            INTO new_id, outcome
            FROM events e WHERE e.event_key = keys[i] AND e.session_uuid = sessions[i];
            IF NOT FOUND THEN
                RAISE EXCEPTION 'the event was deleted while it was written: try again'
                    USING ERRCODE = '40001';
            END IF;
            IF i = last THEN
                -- A commit that has written nothing flushes nothing; those before it wait for it.
                PERFORM pg_logical_emit_message(true, 'claude_headspace', ''::text);
            END IF;
        END IF;
        IF EXISTS (SELECT FROM events e
                WHERE e.event_key = keys[i] AND e.session_uuid <> sessions[i]) THEN
            outcome := upper(outcome);
        END IF;
        outcomes := outcomes || outcome;
        ids := ids || new_id;
        COMMIT;
    END LOOP;
END $$
"""


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "projects",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
        sa.UniqueConstraint("host", "path", name=op.f("uq_projects_host_path")),
    )
    op.create_table(
        "registrations",
        sa.Column("session_uuid", sa.UUID(), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("generation", sa.Integer(), server_default="1", nullable=False),
        sa.Column("applied", sa.Integer(), server_default="0", nullable=False),
        sa.Column("project_path", sa.Text(), nullable=True),
        sa.Column("working_directory", sa.Text(), nullable=True),
        sa.Column("iterm_pane_id", sa.Text(), nullable=True),
        sa.Column(
            "requested_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("session_uuid", name=op.f("pk_registrations")),
    )
    op.create_index(
        "ix_registrations_waiting",
        "registrations",
        ["session_uuid"],
        unique=False,
        postgresql_where=sa.text("applied < generation"),
    )
    op.create_table(
        "source_positions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("settled_bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("device", sa.BigInteger(), nullable=True),
        sa.Column("inode", sa.BigInteger(), nullable=True),
        sa.Column("mtime_ns", sa.BigInteger(), nullable=True),
        sa.Column("checksum", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("head", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("tail", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column(
            "counts",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.Column(
            "sessions",
            postgresql.ARRAY(sa.UUID()),
            server_default=sa.text("'{}'::uuid[]"),
            nullable=False,
        ),
        sa.Column(
            "updated_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_positions")),
        sa.UniqueConstraint("host", "path", name=op.f("uq_source_positions_host_path")),
    )
    op.create_index(op.f("ix_source_positions_inode"), "source_positions", ["inode"], unique=False)
    op.create_table(
        "agents",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("session_uuid", sa.UUID(), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=False),
        sa.Column("working_directory", sa.Text(), nullable=False),
        sa.Column("iterm_pane_id", sa.Text(), nullable=True),
        sa.Column("announced", sa.Boolean(), server_default="false", nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_seen_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_line", sa.Text(), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("end_reason", sa.Text(), nullable=True),
        sa.Column("forked_from", sa.UUID(), nullable=True),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_agents_project_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_agents")),
        sa.UniqueConstraint("session_uuid", name=op.f("uq_agents_session_uuid")),
    )
    op.create_index(
        "ix_agents_open",
        "agents",
        ["last_seen_at"],
        unique=False,
        postgresql_where=sa.text("ended_at IS NULL"),
    )
    op.create_index(op.f("ix_agents_project_id"), "agents", ["project_id"], unique=False)
    op.create_table(
        "rejections",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=True),
        sa.Column("source_offset", sa.BigInteger(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.ForeignKeyConstraint(
            ["source_id"],
            ["source_positions.id"],
            name=op.f("fk_rejections_source_id"),
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejections")),
        sa.UniqueConstraint(
            "source_id",
            "source_offset",
            "reason",
            name=op.f("uq_rejections_source_id_source_offset_reason"),
        ),
    )
    op.create_table(
        "commands",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("agent_id", sa.Integer(), nullable=False),
        sa.Column("state", sa.Text(), server_default="idle", nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "state IN ('idle', 'commanded', 'processing', 'awaiting_input', 'complete')",
            name=op.f("ck_commands_state"),
        ),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_commands_agent_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commands")),
    )
    op.create_index(op.f("ix_commands_agent_id"), "commands", ["agent_id"], unique=False)
    op.create_table(
        "turns",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("command_id", sa.Integer(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("intent", sa.Text(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("actor IN ('user', 'agent')", name=op.f("ck_turns_actor")),
        sa.CheckConstraint(
            "intent IN ('command', 'answer', 'question', 'completion', 'progress')",
            name=op.f("ck_turns_intent"),
        ),
        sa.ForeignKeyConstraint(
            ["command_id"], ["commands.id"], name=op.f("fk_turns_command_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_turns")),
    )
    op.create_index(op.f("ix_turns_command_id"), "turns", ["command_id"], unique=False)
    op.create_table(
        "events",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("timestamp", sa.DateTime(timezone=True), nullable=False),
        sa.Column("event_type", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("project_id", sa.Integer(), nullable=True),
        sa.Column("agent_id", sa.Integer(), nullable=True),
        sa.Column("command_id", sa.Integer(), nullable=True),
        sa.Column("turn_id", sa.Integer(), nullable=True),
        sa.Column("session_uuid", sa.UUID(), nullable=False),
        sa.Column("event_key", sa.UUID(), nullable=False),
        sa.Column("source_id", sa.Integer(), nullable=True),
        sa.Column("source_offset", sa.BigInteger(), nullable=True),
        sa.Column(
            "recorded_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("clock_timestamp()"),
            nullable=False,
        ),
        sa.Column(
            "annotations",
            postgresql.JSONB(astext_type=sa.Text()),
            server_default=sa.text("'{}'::jsonb"),
            nullable=False,
        ),
        sa.ForeignKeyConstraint(
            ["agent_id"], ["agents.id"], name=op.f("fk_events_agent_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["command_id"], ["commands.id"], name=op.f("fk_events_command_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["project_id"], ["projects.id"], name=op.f("fk_events_project_id"), ondelete="SET NULL"
        ),
        sa.ForeignKeyConstraint(
            ["turn_id"], ["turns.id"], name=op.f("fk_events_turn_id"), ondelete="SET NULL"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_events")),
        sa.UniqueConstraint(
            "event_key", "session_uuid", name=op.f("uq_events_event_key_session_uuid")
        ),
    )
    op.create_index(op.f("ix_events_agent_id_id"), "events", ["agent_id", "id"], unique=False)
    op.create_index(
        op.f("ix_events_command_id"),
        "events",
        ["command_id"],
        unique=False,
        postgresql_where=sa.text("command_id IS NOT NULL"),
    )
    op.create_index(
        op.f("ix_events_event_type_timestamp"), "events", ["event_type", "timestamp"], unique=False
    )
    op.create_index(
        op.f("ix_events_project_id_timestamp"), "events", ["project_id", "timestamp"], unique=False
    )
    op.create_index(op.f("ix_events_timestamp"), "events", ["timestamp"], unique=False)
    op.create_index(
        op.f("ix_events_turn_id"),
        "events",
        ["turn_id"],
        unique=False,
        postgresql_where=sa.text("turn_id IS NOT NULL"),
    )
    op.execute(WRITE_EVENTS)


def downgrade() -> None:
    """Take back."""
    op.execute("DROP PROCEDURE write_events")
    op.drop_index(
        op.f("ix_events_turn_id"),
        table_name="events",
        postgresql_where=sa.text("turn_id IS NOT NULL"),
    )
    op.drop_index(op.f("ix_events_timestamp"), table_name="events")
    op.drop_index(op.f("ix_events_project_id_timestamp"), table_name="events")
    op.drop_index(op.f("ix_events_event_type_timestamp"), table_name="events")
    op.drop_index(
        op.f("ix_events_command_id"),
        table_name="events",
        postgresql_where=sa.text("command_id IS NOT NULL"),
    )
    op.drop_index(op.f("ix_events_agent_id_id"), table_name="events")
    op.drop_table("events")
    op.drop_index(op.f("ix_turns_command_id"), table_name="turns")
    op.drop_table("turns")
    op.drop_index(op.f("ix_commands_agent_id"), table_name="commands")
    op.drop_table("commands")
    op.drop_table("rejections")
    op.drop_index(op.f("ix_agents_project_id"), table_name="agents")
    op.drop_index(
        "ix_agents_open", table_name="agents", postgresql_where=sa.text("ended_at IS NULL")
    )
    op.drop_table("agents")
    op.drop_index(op.f("ix_source_positions_inode"), table_name="source_positions")
    op.drop_table("source_positions")
    op.drop_index(
        "ix_registrations_waiting",
        table_name="registrations",
        postgresql_where=sa.text("applied < generation"),
    )
    op.drop_table("registrations")
    op.drop_table("projects")
