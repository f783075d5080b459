"""The full-text index."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    Integer,
    PrimaryKeyConstraint,
    Table,
)
from sqlalchemy.dialects.postgresql import TSVECTOR

from claude_headspace.store.tables.base import metadata

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
