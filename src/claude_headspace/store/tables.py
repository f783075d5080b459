"""The tables of sessions and events, as the migrations create them. The watcher does not import it.

The others (machines, dead letters, registrations, tool and model calls, the archive, the search
index) are used only in SQL, and are defined in the migrations.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    column,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, UUID

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMING)

INSTANT = DateTime(timezone=True)
NOW = text("clock_timestamp()")
EMPTY_OBJECT = text("'{}'::jsonb")


def _one_of(column: str, *values: str) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


projects = Table(
    "projects",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("machine", UUID, nullable=False),
    Column("path", Text, nullable=False),
    Column("created_at", INSTANT, nullable=False, server_default=NOW),
    UniqueConstraint("machine", "path"),
)

# A view of projects with the labels of their machines.
places = table("places", column("id"), column("machine"), column("host"), column("path"))

agents = Table(
    "agents",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session_uuid", UUID, nullable=False, unique=True),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("working_directory", Text, nullable=False),
    Column("iterm_pane_id", Text),
    Column("announced", Boolean, nullable=False, server_default="false"),
    Column("started_at", INSTANT),
    Column("last_seen_at", INSTANT),
    Column("last_line", Text),
    Column("ended_at", INSTANT),
    Column("end_reason", Text),
    # The session whose turns this one repeats; no foreign key, as either may be deleted alone.
    Column("forked_from", UUID),
    # Titles of the session by the type of the record that gave them.
    Column("titles", JSONB, nullable=False, server_default=EMPTY_OBJECT),
    # The time of the line that named the project's directory; an earlier line overrides it.
    Column("project_seen_at", INSTANT),
    # Lines up to this time are copies of forked_from's lines, as they say themselves.
    Column("copied_until", INSTANT),
    Column("fork_told", Boolean, nullable=False, server_default="false"),
    # For a session with shared turns whose lines name no original. due: to be examined; open:
    # examined when it had no turn of its own yet.
    Column("copies", Text),
    _one_of("copies", "due", "open"),
    Index(None, "project_id"),
    Index("ix_agents_copies_due", "id", postgresql_where=text("copies = 'due'")),
    Index("ix_agents_open", "last_seen_at", postgresql_where=text("ended_at IS NULL")),
    Index(None, "last_seen_at", "id"),
)

commands = Table(
    "commands",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("agent_id", ForeignKey("agents.id", ondelete="CASCADE"), nullable=False),
    Column("state", Text, nullable=False, server_default="idle"),
    Column("created_at", INSTANT, nullable=False, server_default=NOW),
    Column("completed_at", INSTANT),
    _one_of("state", "idle", "commanded", "processing", "awaiting_input", "complete"),
    Index(None, "agent_id"),
)

turns = Table(
    "turns",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("command_id", ForeignKey("commands.id", ondelete="CASCADE"), nullable=False),
    Column("actor", Text, nullable=False),
    Column("intent", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("timestamp", INSTANT, nullable=False),
    _one_of("actor", "user", "agent"),
    _one_of("intent", "command", "answer", "question", "completion", "progress"),
    Index(None, "command_id"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("machine", UUID, nullable=False),
    Column("path", Text, nullable=False),
    Column("committed_offset", BigInteger, nullable=False, server_default="0"),
    Column("device", BigInteger),
    Column("inode", BigInteger),
    Column("mtime_ns", BigInteger),
    Column("checksum", BigInteger, nullable=False, server_default="0"),
    Column("head", BigInteger, nullable=False, server_default="0"),
    Column("tail", BigInteger, nullable=False, server_default="0"),
    Column("counts", JSONB, nullable=False, server_default=EMPTY_OBJECT),
    Column("sessions", ARRAY(UUID), nullable=False, server_default=text("'{}'::uuid[]")),
    # The open state after the committed lines, and the rules by which they were read.
    Column("state", Text, nullable=False, server_default=text("''")),
    Column("rules", Integer, nullable=False, server_default="1"),
    # How far they were read again by newer rules, and the open state there.
    Column("reread_bytes", BigInteger, nullable=False, server_default="0"),
    Column("reread_state", Text, nullable=False, server_default=text("''")),
    # Grows by one when the file was rewritten.
    Column("generation", Integer, nullable=False, server_default="1"),
    Column("updated_at", INSTANT, nullable=False, server_default=NOW),
    UniqueConstraint("machine", "path"),
    Index(None, "inode"),
    Index("ix_checkpoints_rules", "machine", "rules"),
    Index(None, "sessions", postgresql_using="gin"),
)

# An event survives the rows to which it refers: the log stays when a project is deleted.
events = Table(
    "events",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("timestamp", INSTANT, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("project_id", ForeignKey("projects.id", ondelete="SET NULL")),
    Column("agent_id", ForeignKey("agents.id", ondelete="SET NULL")),
    Column("command_id", ForeignKey("commands.id", ondelete="SET NULL")),
    Column("turn_id", ForeignKey("turns.id", ondelete="SET NULL")),
    Column("session_uuid", UUID, nullable=False),
    Column("event_key", UUID, nullable=False),
    Column("source_id", Integer),
    Column("source_offset", BigInteger),
    Column("recorded_at", INSTANT, nullable=False, server_default=NOW),
    Column("annotations", JSONB, nullable=False, server_default=EMPTY_OBJECT),
    # When the current rules were found not to make this event; it does not count.
    Column("retracted_at", INSTANT),
    # event_key first, so that copies of one turn in several sessions are adjacent.
    UniqueConstraint("event_key", "session_uuid"),
    Index(None, "timestamp"),
    Index(None, "event_type", "timestamp"),
    Index(None, "agent_id", "id"),
    Index(None, "project_id", "timestamp"),
    Index(None, "command_id", postgresql_where=text("command_id IS NOT NULL")),
    Index(None, "turn_id", postgresql_where=text("turn_id IS NOT NULL")),
)
