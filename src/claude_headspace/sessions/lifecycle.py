"""Sessions: their rows, whether they are captured, and their ends."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from claude_headspace.discovery.listing import main_transcript
from claude_headspace.events.event import NO_SESSION, Event, Origin, derived_key
from claude_headspace.events.event_types import SESSION_ENDED, SESSION_REGISTERED, STATE_TRANSITION
from claude_headspace.sessions.learning import UNKNOWN_DIRECTORY, LearningSessions
from claude_headspace.sessions.registrations import Mode, Registrations
from claude_headspace.store.sessions import Registration, SessionRows, StoredSession
from claude_headspace.transcripts.directories import first_directory, repository_of
from claude_headspace.transcripts.parsed import Other, Turn

logger = logging.getLogger(__name__)


class Sessions(LearningSessions):
    """Creates the rows of sessions and the events that announce them."""

    def __init__(self, rows: SessionRows, mode: Mode) -> None:
        super().__init__(rows, Registrations(rows, mode))
        self.captured = self.registrations.captured
        self._shared: set[UUID] = set()

    def reload(self) -> None:
        """Drop the cache, and read registrations again."""
        self.clear()
        self.copies_due = True
        self.registrations.reload()

    def meet(
        self, session: UUID, cwd: str | None, path: str, when: datetime | None = None
    ) -> StoredSession | None:
        """The session of a line in the file at `path`; its rows exist once a cwd is known."""
        known = self.find(session)
        if known is not None and not self.rows.is_here(known.machine):
            self._tell_shared(known)
        if known is not None or cwd is None:
            return known
        first = first_directory(main_transcript(path, str(session)), session)
        if first is not None and (when is None or first.when <= when):
            return self._make(session, first.path, first.when)
        return self._make(session, cwd, when)

    def _tell_shared(self, session: StoredSession) -> None:
        """Log once that another machine has the session: their home is shared or copied."""
        if session.uuid not in self._shared:
            self._shared.add(session.uuid)
            logger.debug(
                "session %s is on another machine too (%s): it is one session",
                session.uuid, session.machine[:8],
            )  # fmt: skip

    def meet_turn(self, turn: Turn, path: str) -> StoredSession:
        """The session of a turn, even if no line has named a directory."""
        found = self.meet(turn.session, turn.cwd, path, turn.timestamp)
        found = found or self.meet(turn.session, UNKNOWN_DIRECTORY, path)
        if found is None:
            raise LookupError(f"the rows of session {turn.session} could not be created")
        return found

    def hear(
        self,
        session: StoredSession,
        found: Turn | Other,
        when: datetime,
        origin: Origin,
        *,
        again: bool = False,
    ) -> Event | None:
        """Learn about a session from a line, and announce the session if that is still due."""
        announcement = self.announcement(session, when, origin)
        self.learn(session, found, when, again=again)
        return announcement

    def turn_event(self, turn: Turn, source_id: int, session: StoredSession) -> Event:
        """The event of a turn, marked as a copy if that is known."""
        event = turn.event(source_id, session.project_id, session.agent_id)
        original = self.original(session, turn)
        return event if original is None else event.annotated(copy_of=str(original))

    def introduce(self, session: UUID, given: Mapping[str, str]) -> StoredSession:
        """The session that another program's session_registered event announces."""
        found = self.find(session)
        if found is None:
            pane = given.get("iterm_pane_id")
            project, directory = given["project_path"], given["working_directory"]
            found = self._create(session, project, directory, pane)
        found.announced = True
        self._change(found)
        return found

    def spoke_after(self, session: StoredSession, when: datetime) -> bool:
        """Whether the session is known to have continued after this moment."""
        return session.last_seen_at is not None and session.last_seen_at > when

    def end(self, session: StoredSession, reason: str, when: datetime) -> str | None:
        """The statement that ends a session; None if it has ended or has newer lines."""
        when = min(when, datetime.now(UTC))
        if session.ended_at is not None or self.spoke_after(session, when):
            return None
        session.ended_at = when
        return self.rows.end(session, reason)

    def _make(self, session: UUID, cwd: str, seen_at: datetime | None = None) -> StoredSession:
        asked = self.registrations.of(session)
        project = (asked and asked.project_path) or repository_of(cwd)
        directory = (asked and asked.working_directory) or cwd
        pane = asked.iterm_pane_id if asked else None
        return self._create(session, project, directory, pane, seen_at)

    def announcement(
        self, session: StoredSession, when: datetime, origin: Origin | None
    ) -> Event | None:
        """The session_registered event that is still due: one for each registration."""
        if session.announced:
            return None
        session.announced = True
        self._change(session)
        payload = {
            "session_uuid": str(session.uuid),
            "project_path": session.project_path,
            "working_directory": session.working_directory,
        }
        asked = self.registrations.of(session.uuid)
        if asked and asked.iterm_pane_id:
            payload["iterm_pane_id"] = asked.iterm_pane_id
        number = str(asked.number if asked else 0)
        key = derived_key(SESSION_REGISTERED, str(session.uuid), number)
        return _event(SESSION_REGISTERED, session, when, payload, key, origin)

    def ended(
        self, session: StoredSession, reason: str, when: datetime, key: UUID | None = None
    ) -> tuple[Event, str]:
        """The session_ended event, and the statement that stores the end.

        Unless a key is given, the session's last line is the key.
        """
        payload: dict[str, Any] = {"session_uuid": str(session.uuid), "reason": reason}
        end = when if reason == "closed" else session.last_seen_at
        if session.started_at and end:
            duration = end - session.started_at
            payload["duration_seconds"] = max(0, int(duration.total_seconds()))
        last = session.last_line or (session.last_seen_at or when).isoformat()
        key = key or derived_key(SESSION_ENDED, str(session.uuid), last)
        session.ended_at = when
        event = _event(SESSION_ENDED, session, when, payload, key, None)
        return event, self.rows.end(session, reason)

    def restored(self, event: Event) -> Event:
        """The event of a session whose rows were deleted while the watcher ran, with new rows.

        References that the event names itself stay; other events from outside lose theirs.
        """
        if event.type == STATE_TRANSITION:
            return event
        if event.session_uuid == NO_SESSION:
            self._known.clear()
            return replace(event, project_id=None, agent_id=None)
        known = self._known.pop(event.session_uuid, None)
        session = self.find(event.session_uuid)
        if session is None:
            session = self._recreate(event.session_uuid, known)
        return replace(event, project_id=session.project_id, agent_id=session.agent_id)

    def _recreate(self, uuid: UUID, known: StoredSession | None) -> StoredSession:
        if known is None:
            return self._make(uuid, UNKNOWN_DIRECTORY)
        created = self.rows.create(
            uuid, known.project_path, known.working_directory, None, known.project_seen_at
        )
        session = replace(known, agent_id=created.agent_id, project_id=created.project_id)
        self._known[uuid] = self._changed[uuid] = session
        return session

    def registered(self, registration: Registration) -> StoredSession | None:
        """The rows of a registered session, as far as its directory is known.

        None for sessions of other machines.
        """
        known = self.find_own(registration.session)
        directory = registration.working_directory or registration.project_path
        if known is not None and not known.announced:
            # Unregistered before and registered again: it is open until its lines show otherwise.
            known.ended_at = None
            self._change(known)
        if known is not None or registration.session in self._known:
            return known
        if directory is None or not self.rows.is_here(registration.machine):
            return None
        return self._make(registration.session, directory)

    def unannounce(self, session: StoredSession) -> None:
        """Announce the session again when it is registered again."""
        session.announced = False
        self._change(session)


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
