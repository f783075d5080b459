"""What a machine pushes to a central log: what is due there, and how far it has come."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Identity, PrimaryKeyConstraint, Table, Text
from sqlalchemy.dialects.postgresql import JSONB, UUID

from claude_headspace.store.tables.base import NOW, Instant, metadata

# In the central log and in the machine's own: the last of its events that is in the central one,
# and how many pages were. Where the central log says less than the machine, it was set back.
forwarders = Table(
    "forwarders",
    metadata,
    Column("origin", UUID, primary_key=True),
    Column("event_id", BigInteger, nullable=False),
    Column("pages", BigInteger, nullable=False),
    Column("updated_at", Instant, nullable=False, server_default=NOW),
)

# In the central log: the ids there of what has other ids at the machine.
forwarded_ids = Table(
    "forwarded_ids",
    metadata,
    Column("origin", UUID, nullable=False),
    Column("kind", Text, nullable=False),
    Column("local_id", BigInteger, nullable=False),
    Column("id", BigInteger, nullable=False),
    PrimaryKeyConstraint("origin", "kind", "local_id"),
)

# In the machine's own log: rows that changed since they were pushed. Filled by triggers that the
# forwarder makes; new events are not in it, they are found by their ids.
forward_due = Table(
    "forward_due",
    metadata,
    Column("kind", Text, nullable=False),
    Column("key", JSONB, nullable=False),
    Column("seq", BigInteger, Identity(), nullable=False, unique=True),
    PrimaryKeyConstraint("kind", "key"),
)
