"""Every byte of sessions' files."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Identity,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import UUID

from claude_headspace.store.tables.base import NOW, Instant, metadata

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
    Column("machine", UUID, nullable=False),
    Column("path", Text, nullable=False),
    Column("session_uuid", UUID, nullable=False),
    UniqueConstraint("machine", "path"),
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
