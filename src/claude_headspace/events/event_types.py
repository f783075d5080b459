"""The event types, and the check of every event before it is written.

Another package adds a type with an entry point in the group `claude_headspace.event_types`: its
name is the type, its value a marshmallow Schema class for the payload.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import entry_points

from marshmallow import Schema

from claude_headspace.errors import EventInvalid, HeadspaceError
from claude_headspace.events import payloads
from claude_headspace.events.event import Event
from claude_headspace.events.payloads import Check, check_payload, quick_check

ENTRY_POINT_GROUP = "claude_headspace.event_types"

SESSION_REGISTERED = "session_registered"
SESSION_ENDED = "session_ended"
TURN_DETECTED = "turn_detected"
STATE_TRANSITION = "state_transition"
HOOK_RECEIVED = "hook_received"
NOTE_ADDED = "note_added"

_BUILT_IN: Mapping[str, type[Schema]] = {
    SESSION_REGISTERED: payloads.SessionRegistered,
    SESSION_ENDED: payloads.SessionEnded,
    TURN_DETECTED: payloads.TurnDetected,
    STATE_TRANSITION: payloads.StateTransition,
    HOOK_RECEIVED: payloads.HookReceived,
    NOTE_ADDED: payloads.NoteAdded,
}


@dataclass(frozen=True, slots=True)
class EventType:
    """One type: its schema and the quick check derived from it."""

    name: str
    schema: Schema
    accepts: Check


class EventTypes:
    """All event types that this installation knows."""

    def __init__(self, declared: Mapping[str, type[Schema]]) -> None:
        self._types = {
            name: EventType(name, schema := make(), quick_check(schema))
            for name, make in declared.items()
        }

    def __iter__(self) -> Iterator[EventType]:
        return iter(self._types.values())

    def check(self, event: Event) -> None:
        """Raise EventInvalid, which names the wrong field, unless the event may be written."""
        kind = self._types.get(event.type) if isinstance(event.type, str) else None
        if kind is None:
            known = ", ".join(self._types)
            raise EventInvalid("type", f"{event.type!r} is not a known event type ({known})")
        if not isinstance(event.timestamp, datetime):
            raise EventInvalid("timestamp", f"must be a datetime, is {event.timestamp!r:.40}")
        if event.timestamp.utcoffset() is None:
            raise EventInvalid("timestamp", f"must have a zone, is {event.timestamp.isoformat()}")
        try:
            event.timestamp.astimezone(UTC)
        except (OverflowError, ValueError) as error:
            raise EventInvalid("timestamp", f"cannot be converted to UTC: {error}") from error
        if not (type(event.payload) is dict and kind.accepts(event.payload)):
            check_payload(kind.schema, event.payload)


@lru_cache(maxsize=1)
def installed_types() -> EventTypes:
    """The built-in types and those that other installed packages declare."""
    declared = dict(_BUILT_IN)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        schema = point.load()
        is_schema = isinstance(schema, type) and issubclass(schema, Schema)
        if point.name in declared or not is_schema:
            raise HeadspaceError(
                f"the event type {point.name!r} declared by {point.value} cannot be added: it must "
                f"have a new name and be a marshmallow Schema class"
            )
        declared[point.name] = schema
    return EventTypes(declared)
