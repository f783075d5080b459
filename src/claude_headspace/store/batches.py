"""A batch as arguments of the procedure that writes it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from claude_headspace.errors import EventInvalid
from claude_headspace.events.event import Event, encode
from claude_headspace.store.arrays import array, text_array


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
