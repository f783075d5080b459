"""What was done and spent."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.dialects.postgresql import UUID

from claude_headspace.events.work import OUTCOMES
from claude_headspace.store.tables.base import Instant, metadata, one_of

# What was done and spent: made of the lines alone, in the transaction of their checkpoint. No
# foreign keys: a call or reply is of a session and points into a source, whether rows tell of them.
tool_calls = Table(
    "tool_calls",
    metadata,
    Column("session_uuid", UUID, nullable=False),
    Column("tool_use_id", Text, nullable=False),
    Column("tool", Text, nullable=False),
    Column("subagent", Text),
    # As JSON; only its beginning where it is too long.
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
    one_of("outcome", OUTCOMES),
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
