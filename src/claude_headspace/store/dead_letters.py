"""Dead letters: rejected lines and events, stored with the reason."""

from __future__ import annotations

from dataclasses import dataclass

from claude_headspace.events.event import storable
from claude_headspace.store.connection import Database

_STORE = """
    INSERT INTO dead_letters (source_id, source_offset, reason, detail, content)
    VALUES (%s, %s, %s, %s, %s) ON CONFLICT (source_id, source_offset, reason)
    DO UPDATE SET detail = excluded.detail, content = excluded.content,
        recorded_at = clock_timestamp(), resolved_at = NULL
"""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A rejected line or event, stored for inspection and a retry."""

    offset: int
    reason: str
    detail: str
    content: bytes

    def statement(self, database: Database, source_id: int) -> str:
        """The statement that stores it."""
        detail = storable(self.detail)[0]
        return database.mogrify(_STORE, (source_id, self.offset, self.reason, detail, self.content))
