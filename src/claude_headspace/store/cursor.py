"""The cursor of a reader of the log, and the events that it reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID


class Cursor(int):
    """The last processed id, and the timeline of the server from which it was read.

    As a number it is only the id; `text` contains both, and `Cursor.read` reads it.
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
        """A saved cursor, from its text or only an id; else ValueError."""
        if not isinstance(saved, str):
            return cls.at(saved, getattr(saved, "timeline", None))
        event_id, _, timeline = saved.partition("@")
        return cls.at(int(event_id), int(timeline) if timeline else None)

    @property
    def text(self) -> str:
        """The text to save."""
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
    """Events after a cursor, and the cursor after them.

    Save `cursor.text` together with your results; reading continues from there.
    """

    events: Sequence[LoggedEvent]
    cursor: Cursor
