"""What a line of a transcript turns out to be: the classes of `Parsed`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import msgspec

from claude_headspace.events.event import Event, Origin, derived_key
from claude_headspace.events.event_types import TURN_DETECTED
from claude_headspace.events.work import Work


class Turn(msgspec.Struct, frozen=True, gc=False):
    """A turn, which the log stores as turn_detected.

    `uuid` is None for a prompt without a line of its own. `copy_of`: the session from which the
    line was copied, if the line says so.
    """

    offset: int
    session: UUID
    key: UUID
    uuid: str | None
    timestamp: datetime
    timestamp_text: str
    cwd: str | None
    actor: str
    text: str
    message_id: str | None = None
    subagent_id: str | None = None
    parent_uuid: str | None = None
    prompt_source: str | None = None
    entrypoint: str | None = None
    copy_of: UUID | None = None
    rescued: bool = False
    redacted: int = 0
    work: Work | None = None
    # A turn never has a title.
    title: ClassVar[None] = None

    def event(self, source_id: int, project_id: int, agent_id: int) -> Event:
        """The event for the log; its offset is the record's."""
        notes: dict[str, Any] = {"rescued": True} if self.rescued else {}
        if self.redacted:
            notes["redacted"] = self.redacted
        return Event(
            type=TURN_DETECTED,
            timestamp=self.timestamp,
            payload=self.payload(),
            key=self.key,
            session_uuid=self.session,
            project_id=project_id,
            agent_id=agent_id,
            origin=Origin(source_id, self.offset),
            annotations=notes,
        )

    def payload(self) -> dict[str, Any]:
        """The payload of the event; fields that the line lacks are omitted."""
        payload = {
            "session_uuid": str(self.session),
            "actor": self.actor,
            "text": self.text,
            "source": "polling",
            "turn_timestamp": self.timestamp_text,
            "line_uuid": self.uuid,
            "message_id": self.message_id,
            "subagent_id": self.subagent_id,
            "parent_uuid": self.parent_uuid,
            "prompt_source": self.prompt_source,
            "entrypoint": self.entrypoint,
        }
        return {name: value for name, value in payload.items() if value is not None}


class Title(NamedTuple):
    """A title for a session, with the type of its record; `leaf`: a line of that session."""

    kind: str
    text: str
    leaf: str | None


class Other(msgspec.Struct, frozen=True, gc=False):
    """A record that is not a turn: counted by kind, and shows that its session is active."""

    kind: str
    session: UUID | None = None
    uuid: str | None = None
    timestamp: datetime | None = None
    cwd: str | None = None
    title: Title | None = None
    copy_of: UUID | None = None
    rescued: bool = False
    work: Work | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A rejected line or part of a line: counted by reason, stored and logged."""

    offset: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A turn that was written without its own line, which has now come."""

    session: UUID
    key: UUID


Parsed = Turn | Other | Rejected | Withdrawn


def line_key(uuid: str) -> UUID:
    """The key of a line's event: its own uuid, if it has one."""
    try:
        return UUID(uuid)
    except ValueError:
        return derived_key("line", uuid)
