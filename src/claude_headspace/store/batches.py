"""A batch as arguments of the procedure that writes it: one array per argument.

Our array literals are cheaper than the driver's, which quotes each item.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from claude_headspace.errors import EventInvalid
from claude_headspace.events.event import Event, encode

# From this many characters on, memory matters more than time.
_LONG_TEXTS = 1024 * 1024


def array(items: Sequence[object]) -> str:
    """An array of items that need no quoting."""
    return "{" + ",".join(["NULL" if item is None else str(item) for item in items]) + "}"


def text_array(items: Sequence[str | None]) -> str | list[str | None]:
    """An array of texts. For long ones the driver's own makes three copies fewer."""
    if sum(len(item) for item in items if item is not None) > _LONG_TEXTS:
        return list(items)
    return "{" + ",".join(["NULL" if item is None else _quoted(item) for item in items]) + "}"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


@dataclass(frozen=True, slots=True)
class Prepared:
    """An event that passed the checks, with encoded payload."""

    event: Event
    payload: str
    notes: str


def encode_notes(event: Event) -> str:
    """The annotations as JSON."""
    if not event.annotations:
        return "{}"
    try:
        return encode(Event(event.type, event.timestamp, event.annotations, event.key))[0].decode()
    except EventInvalid as error:
        raise EventInvalid("annotations", error.problem) from error


def arguments_of(batch: Sequence[Prepared]) -> tuple[str | list[str | None], ...]:
    """One array per argument, with one item per event."""
    events = [item.event for item in batch]
    origins = [event.origin for event in events]
    return (
        array([event.key for event in events]),
        array([event.session_uuid for event in events]),
        text_array([event.type for event in events]),
        array([event.timestamp.isoformat() for event in events]),
        text_array([item.payload for item in batch]),
        text_array([item.notes for item in batch]),
        array([event.project_id for event in events]),
        array([event.agent_id for event in events]),
        array([event.command_id for event in events]),
        array([event.turn_id for event in events]),
        array([origin and origin.source_id for origin in origins]),
        array([origin and origin.offset for origin in origins]),
    )
