"""Where a reader of the log stands, and what it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


class Cursor(int):
    """The last id that was dealt with, and the timeline of the server that it was read from.

    As a number it is the id alone; `text` holds both, and is read again by `Cursor.read`.
    """

    timeline: int | None = None

    @classmethod
    def at(cls, event_id: int, timeline: int | None) -> Cursor:
        """The cursor at an id."""
        cursor = cls(event_id)
        cursor.timeline = timeline
        return cursor

    @classmethod
    def read(cls, saved: int | str) -> Cursor:
        """A cursor as it was saved: its text, or an id alone; else ValueError."""
        if not isinstance(saved, str):
            return cls.at(saved, getattr(saved, "timeline", None))
        event_id, _, timeline = saved.partition("@")
        return cls.at(int(event_id), int(timeline) if timeline else None)

    @property
    def text(self) -> str:
        """To be saved."""
        return str(int(self)) if self.timeline is None else f"{int(self)}@{self.timeline}"


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One row of the log."""

    id: int
    type: str
    timestamp: datetime
    session_uuid: UUID
    key: UUID
    payload: dict[str, Any]
    project_id: int | None
    agent_id: int | None
    command_id: int | None
    turn_id: int | None
    source_id: int | None
    source_offset: int | None
    recorded_at: datetime
    annotations: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Events that follow a cursor, and the cursor that follows them.

    Save `cursor.text` together with what the events were used for; reading goes on from there.
    """

    events: Sequence[LoggedEvent]
    cursor: Cursor
