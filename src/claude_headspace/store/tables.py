"""The tables, for the migrations and for every reader. The watcher does not import this."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSVECTOR, UUID

from claude_headspace.events.work import OUTCOMES

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMING)

Instant = DateTime(timezone=True)
NOW = text("clock_timestamp()")
EMPTY_OBJECT = text("'{}'::jsonb")


def _one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


COMMAND_STATES = ("idle", "commanded", "processing", "awaiting_input", "complete")
COPIES = ("due", "open")
TURN_ACTORS = ("user", "agent")
TURN_INTENTS = ("command", "answer", "question", "completion", "progress")

projects = Table(
    "projects",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("host", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("created_at", Instant, nullable=False, server_default=NOW),
    UniqueConstraint("host", "path"),
)

agents = Table(
    "agents",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("session_uuid", UUID, nullable=False, unique=True),
    Column("project_id", ForeignKey("projects.id", ondelete="CASCADE"), nullable=False),
    Column("working_directory", Text, nullable=False),
    Column("iterm_pane_id", Text),
    Column("announced", Boolean, nullable=False, server_default="false"),
    Column("started_at", Instant),
    Column("last_seen_at", Instant),
    Column("last_line", Text),
    Column("ended_at", Instant),
    Column("end_reason", Text),
    # The session whose turns this one repeats; no foreign key: either may be deleted alone.
    Column("forked_from", UUID),
    # Names of the session by the type of the record that gave them.
    Column("titles", JSONB, nullable=False, server_default=EMPTY_OBJECT),
    # The time of the line that named the project's directory: an earlier line knows better.
    Column("project_seen_at", Instant),
    # Lines up to this time are copies of forked_from's, which the lines themselves say.
    Column("copied_until", Instant),
    Column("fork_told", Boolean, nullable=False, server_default="false"),
    # Of a session that shares turns without a word whose they are: due, to be looked into; open,
    # looked into when it had no turn of its own yet.
    Column("copies", Text),
    _one_of("copies", COPIES),
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
    Column("created_at", Instant, nullable=False, server_default=NOW),
    Column("completed_at", Instant),
    _one_of("state", COMMAND_STATES),
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
    Column("timestamp", Instant, nullable=False),
    _one_of("actor", TURN_ACTORS),
    _one_of("intent", TURN_INTENTS),
    Index(None, "command_id"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("host", Text, nullable=False),
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
    # What the committed lines left open, and the rules that they were read by.
    Column("state", Text, nullable=False, server_default=text("''")),
    Column("rules", Integer, nullable=False, server_default="1"),
    # How far they were read again by newer rules, and what the lines up to there left open.
    Column("reread_bytes", BigInteger, nullable=False, server_default="0"),
    Column("reread_state", Text, nullable=False, server_default=text("''")),
    # Grows by one when the file turns out to be rewritten.
    Column("generation", Integer, nullable=False, server_default="1"),
    Column("updated_at", Instant, nullable=False, server_default=NOW),
    UniqueConstraint("host", "path"),
    Index(None, "inode"),
    Index("ix_checkpoints_rules", "host", "rules"),
    Index(None, "sessions", postgresql_using="gin"),
)

# An event outlives what it refers to: the audit trail stays when a project is deleted.
events = Table(
    "events",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("timestamp", Instant, nullable=False),
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
    Column("recorded_at", Instant, nullable=False, server_default=NOW),
    Column("annotations", JSONB, nullable=False, server_default=EMPTY_OBJECT),
    # When it was found that today's rules would not make this event; it counts nowhere.
    Column("retracted_at", Instant),
    # The line's uuid first: copies of one turn in several sessions stand side by side.
    UniqueConstraint("event_key", "session_uuid"),
    Index(None, "timestamp"),
    Index(None, "event_type", "timestamp"),
    Index(None, "agent_id", "id"),
    Index(None, "project_id", "timestamp"),
    Index(None, "command_id", postgresql_where=text("command_id IS NOT NULL")),
    Index(None, "turn_id", postgresql_where=text("turn_id IS NOT NULL")),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("source_id", ForeignKey("checkpoints.id", ondelete="SET NULL")),
    Column("source_offset", BigInteger, nullable=False),
    Column("reason", Text, nullable=False),
    Column("detail", Text, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("recorded_at", Instant, nullable=False, server_default=NOW),
    Column("resolved_at", Instant),
    UniqueConstraint("source_id", "source_offset", "reason"),
)

# What was done and spent: made of the lines alone, in the transaction of their checkpoint. No
# foreign keys: a call or reply is of a session and points into a source, whether rows tell of them.
tool_calls = Table(
    "tool_calls",
    metadata,
    Column("session_uuid", UUID, nullable=False),
    Column("tool_use_id", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("subagent", Text),
    # As JSON; the beginning of it where it is not whole.
    Column("input", Text, nullable=False),
    Column("input_bytes", Integer, nullable=False),
    Column("input_whole", Boolean, nullable=False),
    Column("started_at", Instant, nullable=False),
    # The session whose call this one repeats.
    Column("copy_of", UUID),
    # The line of the call in its source, and below that of the result.
    Column("source_id", Integer, nullable=False),
    Column("generation", Integer, nullable=False, server_default="1"),
    Column("call_offset", BigInteger, nullable=False),
    Column("call_length", Integer, nullable=False),
    # Of a call that is still out, nothing of the following is known.
    Column("ended_at", Instant),
    Column("outcome", Text),
    Column("result_bytes", Integer),
    Column("result_source_id", Integer),
    Column("result_generation", Integer),
    Column("result_offset", BigInteger),
    Column("result_length", Integer),
    _one_of("outcome", OUTCOMES),
    PrimaryKeyConstraint("session_uuid", "tool_use_id"),
    Index(None, "started_at"),
    Index(None, "ended_at"),
)

model_calls = Table(
    "model_calls",
    metadata,
    Column("message_id", Text, primary_key=True),
    # Of those that repeat the reply, the one that the others were forked from.
    Column("session_uuid", UUID, nullable=False),
    Column("subagent", Text),
    Column("model", Text, nullable=False),
    Column("input_tokens", BigInteger, nullable=False),
    Column("output_tokens", BigInteger, nullable=False),
    Column("cache_read_tokens", BigInteger, nullable=False),
    Column("cache_write_tokens", BigInteger, nullable=False),
    # Those of cache_write_tokens that are kept for an hour, which costs more.
    Column("cache_write_1h_tokens", BigInteger, nullable=False),
    Column("service_tier", Text),
    Column("stop_reason", Text),
    Column("started_at", Instant, nullable=False),
    Column("ended_at", Instant, nullable=False),
    Index(None, "session_uuid"),
    Index(None, "started_at"),
)

registrations = Table(
    "registrations",
    metadata,
    Column("session_uuid", UUID, primary_key=True),
    Column("wanted", Boolean, nullable=False),
    Column("generation", Integer, nullable=False, server_default="1"),
    Column("project_path", Text),
    Column("working_directory", Text),
    Column("iterm_pane_id", Text),
    Column("requested_at", Instant, nullable=False, server_default=NOW),
    # Where it was asked: that host makes the rows of a session of which no line is known.
    Column("host", Text),
)

# How far each host has followed what was asked for a session.
registration_hosts = Table(
    "registration_hosts",
    metadata,
    Column("host", Text, nullable=False),
    Column("session_uuid", ForeignKey("registrations.session_uuid", ondelete="CASCADE")),
    Column("generation", Integer, nullable=False),
    PrimaryKeyConstraint("session_uuid", "host"),
)

# Files of sessions that are no transcripts. Their ids are negative: in the archive they stand
# beside those of checkpoints.
sidecars = Table(
    "sidecars",
    metadata,
    Column(
        "id",
        Integer,
        Identity(start=-1, increment=-1, minvalue=-(2**31), maxvalue=-1),
        primary_key=True,
    ),
    Column("host", Text, nullable=False),
    Column("path", Text, nullable=False),
    Column("session_uuid", UUID, nullable=False),
    UniqueConstraint("host", "path"),
    Index(None, "session_uuid"),
)

# What a file held between two times that it was rewritten: exactly its bytes [0, archived).
archive_generations = Table(
    "archive_generations",
    metadata,
    Column("source_id", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("device", BigInteger),
    Column("inode", BigInteger),
    Column("mtime_ns", BigInteger),
    Column("archived", BigInteger, nullable=False, server_default="0"),
    # Bytes that the pieces take, compressed.
    Column("stored", BigInteger, nullable=False, server_default="0"),
    Column("checksum", BigInteger, nullable=False, server_default="0"),
    Column("head", BigInteger, nullable=False, server_default="0"),
    Column("tail", BigInteger, nullable=False, server_default="0"),
    # Pieces that were added since pieces were merged.
    Column("loose", Integer, nullable=False, server_default="0"),
    # Secrets in it were overwritten: it is not what stood in the file.
    Column("redacted", Boolean, nullable=False, server_default="false"),
    Column("gone_at", Instant),
    Column("updated_at", Instant, nullable=False, server_default=NOW),
    PrimaryKeyConstraint("source_id", "generation"),
    Index("ix_archive_generations_loose", "updated_at", postgresql_where=text("loose > 1")),
)

# `content` is a frame of Zstandard; `digest` is the SHA-256 of what it holds.
archive_pieces = Table(
    "archive_pieces",
    metadata,
    Column("source_id", Integer, nullable=False),
    Column("generation", Integer, nullable=False),
    Column("start", BigInteger, nullable=False),
    Column("length", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("content", LargeBinary, nullable=False),
    PrimaryKeyConstraint("source_id", "generation", "start"),
)

# Sessions that were forgotten on purpose. keep_turns: all but their events.
tombstones = Table(
    "tombstones",
    metadata,
    Column("session_uuid", UUID, primary_key=True),
    Column("keep_turns", Boolean, nullable=False),
    Column("forgotten_at", Instant, nullable=False, server_default=NOW),
)

# Words of turns; made again from the log when it is lost. Long texts are in several parts.
search_parts = Table(
    "search_parts",
    metadata,
    Column("event_id", BigInteger),
    Column("part", Integer),
    # The part's place in the text, in characters.
    Column("begins", Integer, nullable=False),
    Column("length", Integer, nullable=False),
    Column("prompt", Boolean, nullable=False),
    Column("words", TSVECTOR, nullable=False),
    PrimaryKeyConstraint("event_id", "part"),
    Index(None, "words", postgresql_using="gin"),
)

# Up to which event the words are in there, and which events have other words since.
search_cursor = Table(
    "search_cursor",
    metadata,
    Column("single", Boolean, primary_key=True, server_default="true"),
    Column("event_id", BigInteger, nullable=False, server_default="0"),
    CheckConstraint("single", name="single"),
)
search_due = Table(
    "search_due",
    metadata,
    Column("event_id", BigInteger, primary_key=True, autoincrement=False),
)
