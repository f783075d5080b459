"""The events of a session's start and end."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from claude_headspace.events.event import Event, Origin, derived_key
from claude_headspace.events.taxonomy import SESSION_ENDED, SESSION_REGISTERED
from claude_headspace.store.sessions import Registration, StoredSession


def registered_event(
    session: StoredSession, asked: Registration | None, when: datetime, origin: Origin | None
) -> Event:
    """The session_registered event of a session, one per registration."""
    payload = {
        "session_uuid": str(session.uuid),
        "project_path": session.project_path,
        "working_directory": session.working_directory,
    }
    if asked and asked.iterm_pane_id:
        payload["iterm_pane_id"] = asked.iterm_pane_id
    generation = str(asked.generation if asked else 0)
    key = derived_key(SESSION_REGISTERED, str(session.uuid), generation)
    return _event(SESSION_REGISTERED, session, when, payload, key, origin)


def ended_event(session: StoredSession, reason: str, when: datetime, key: UUID | None) -> Event:
    """The session_ended event, keyed by the session's last line unless a key is given."""
    payload: dict[str, Any] = {"session_uuid": str(session.uuid), "reason": reason}
    end = when if reason == "closed" else session.last_seen_at
    if session.started_at and end:
        duration = end - session.started_at
        payload["duration_seconds"] = max(0, int(duration.total_seconds()))
    last = session.last_line or (session.last_seen_at or when).isoformat()
    key = key or derived_key(SESSION_ENDED, str(session.uuid), last)
    return _event(SESSION_ENDED, session, when, payload, key, None)


def _event(
    event_type: str,
    session: StoredSession,
    when: datetime,
    payload: dict[str, Any],
    key: UUID,
    origin: Origin | None,
) -> Event:
    return Event(
        event_type, when, payload, key, session.uuid,
        project_id=session.project_id, agent_id=session.agent_id, origin=origin,
    )  # fmt: skip
