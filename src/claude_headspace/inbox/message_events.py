"""The event of a message."""

from __future__ import annotations

from uuid import UUID

from claude_headspace.events.event import NO_SESSION, Event, Origin
from claude_headspace.events.event_types import HOOK_RECEIVED, STATE_TRANSITION
from claude_headspace.inbox.messages import Message
from claude_headspace.store.sessions import StoredSession


def session_of(message: Message) -> UUID | None:
    """The session that a message names, if any."""
    name = "claude_session_id" if message.type == HOOK_RECEIVED else "session_uuid"
    value = message.payload.get(name)
    try:
        return UUID(value) if isinstance(value, str) else None
    except ValueError:
        return None


def event_of(message: Message, origin: Origin | None, session: StoredSession | None) -> Event:
    """The event, with references to the rows of its session, or to those that it names."""
    project_id, agent_id = (session.project_id, session.agent_id) if session else (None, None)
    command_id = None
    if message.type == STATE_TRANSITION:
        agent_id = _whole(message.payload.get("agent_id"))
        command_id = _whole(message.payload.get("command_id"))
    return Event(
        type=message.type,
        timestamp=message.timestamp,
        payload=message.payload,
        key=UUID(message.id),
        session_uuid=session_of(message) or NO_SESSION,
        project_id=project_id,
        agent_id=agent_id,
        command_id=command_id,
        origin=origin,
    )


def _whole(value: object) -> int | None:
    return value if type(value) is int else None
