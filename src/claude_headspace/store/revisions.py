"""Correcting turns in the log that the current rules read differently."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from claude_headspace.events.event import Origin
from claude_headspace.store.connection import Database

_LOGGED = """
    SELECT id, event_key::text, session_uuid::text, payload::text, annotations::text,
        retracted_at IS NOT NULL, source_id, source_offset
    FROM events WHERE event_key = ANY (%s::uuid[]) AND event_type = 'turn_detected'
"""
_REVISE = """
    UPDATE events SET payload = %s, annotations = %s, timestamp = %s, retracted_at = NULL
    WHERE id = %s
"""
_RETRACT = """
    UPDATE events SET retracted_at = clock_timestamp() WHERE id = ANY (%s)
        AND retracted_at IS NULL
"""
_WITHDRAW = """
    UPDATE events SET retracted_at = clock_timestamp() WHERE event_key = %s
        AND session_uuid = %s AND event_type = 'turn_detected' AND retracted_at IS NULL
"""
# For lines that could not be read before and now can.
_RESOLVE = """
    UPDATE dead_letters SET resolved_at = clock_timestamp()
    WHERE source_id = %s AND source_offset >= %s AND source_offset < %s AND resolved_at IS NULL
        AND reason IN ('damaged', 'too_long') AND NOT source_offset = ANY (%s)
"""

TurnName = tuple[UUID, UUID]


@dataclass(frozen=True, slots=True)
class LoggedTurn:
    """A turn in the log."""

    id: int
    payload: Mapping[str, Any]
    annotations: Mapping[str, Any]
    retracted: bool
    origin: Origin | None


def _origin(source_id: int | None, offset: int | None) -> Origin | None:
    return None if source_id is None or offset is None else Origin(source_id, offset)


class Revisions:
    """Reads turns by their keys, and makes the statements that correct them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def logged(self, keys: Collection[UUID]) -> dict[TurnName, LoggedTurn]:
        """The turns with these keys, by key and session."""
        if not keys:
            return {}
        rows = self._database.execute(_LOGGED, ([str(key) for key in keys],))
        decode = msgspec.json.decode
        return {
            (UUID(key), UUID(session)): LoggedTurn(
                number, decode(payload), decode(notes), retracted, _origin(source, offset)
            )
            for number, key, session, payload, notes, retracted, source, offset in rows
        }

    def revise(
        self, turn: LoggedTurn, payload: bytes, annotations: Mapping[str, Any], timestamp: Any
    ) -> str:
        """The statement that gives a turn another payload; a retracted turn counts again."""
        notes = msgspec.json.encode(annotations).decode()
        return self._database.mogrify(_REVISE, (payload.decode(), notes, timestamp, turn.id))

    def retract(self, ids: Sequence[int]) -> list[str]:
        """The statements that retract turns that the current rules would not make."""
        return [self._database.mogrify(_RETRACT, (list(ids),))] if ids else []

    def withdraw(self, key: UUID, session: UUID) -> str:
        """The statement that retracts a turn, by its identity, that was written too early."""
        return self._database.mogrify(_WITHDRAW, (str(key), str(session)))

    def resolve(self, source_id: int, start: int, end: int, still: Collection[int]) -> str:
        """The statement that resolves dead letters of lines that are no longer rejected."""
        return self._database.mogrify(_RESOLVE, (source_id, start, end, list(still)))
