"""What the watcher knows of sessions: who they are, whether they are captured, when they end."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, Literal
from uuid import UUID

from claude_headspace.events.event import NO_SESSION, Event, Origin, derived_key, storable
from claude_headspace.events.taxonomy import (
    SESSION_ENDED,
    SESSION_REGISTERED,
    STATE_TRANSITION,
)
from claude_headspace.source.discovery import main_transcript
from claude_headspace.source.transcript import first_working_directory
from claude_headspace.store.sessions import Registration, SessionRows, StoredSession

UNKNOWN_DIRECTORY = "(unknown)"
# An entry of a btree index holds at most 2704 bytes, the host's name included.
LONGEST_PROJECT_BYTES = 2000
# Sessions kept at hand; others are looked up again when they speak.
_CACHED = 1000

Mode = Literal["all", "registered"]


class Sessions:
    """Sessions as the database has them, kept at hand, with what was learnt since."""

    def __init__(self, rows: SessionRows, mode: Mode) -> None:
        self._rows = rows
        self._mode = mode
        self._known: OrderedDict[UUID, StoredSession] = OrderedDict()
        self._registrations: dict[UUID, Registration] = {}
        self._changed: dict[UUID, StoredSession] = {}

    def __len__(self) -> int:
        return len(self._known)

    def reload(self) -> None:
        """Forget everything and learn again what people asked for."""
        self._known.clear()
        self._changed.clear()
        stored = self._rows.registrations(waiting_only=False)
        self._registrations = {registration.session: registration for registration in stored}

    def captured(self, session: UUID) -> bool:
        """Whether the lines of this session go into the log."""
        registration = self._registrations.get(session)
        return self._mode == "all" if registration is None else registration.wanted

    def find(self, session: UUID) -> StoredSession | None:
        """The session, if it has rows."""
        known = self._known.get(session)
        if known is not None:
            return known
        found = self._rows.find(session)
        return None if found is None else self._keep(found)

    def meet(self, session: UUID, cwd: str | None, path: str) -> StoredSession | None:
        """The session of a line in the file at `path`; its rows are made once a cwd is known."""
        known = self.find(session)
        if known is not None or cwd is None:
            return known
        first = first_working_directory(main_transcript(path, str(session)), session)
        return self._create(session, first or cwd)

    def begin(self, session: UUID) -> bool:
        """A session that starts asks to be captured; whether it is."""
        if self._mode == "registered" and session not in self._registrations:
            self._rows.register(session)
            asked = Registration(session, True, 1, 1, None, None, None)
            self._registrations[session] = asked
        return self.captured(session)

    def introduce(self, session: UUID, given: Mapping[str, str]) -> StoredSession:
        """The session of a session_registered event from elsewhere, which announces it."""
        found = self.find(session)
        if found is None:
            project = _indexable(storable(given["project_path"])[0])
            directory = storable(given["working_directory"])[0]
            pane = given.get("iterm_pane_id")
            pane = None if pane is None else storable(pane)[0]
            found = self._keep(self._rows.create(session, project, directory, pane))
        found.announced = True
        self._changed[session] = found
        return found

    def spoke_after(self, session: StoredSession, when: datetime) -> bool:
        """Whether the session is known to have gone on after this moment."""
        return session.last_seen_at is not None and session.last_seen_at > when

    def end(self, session: StoredSession, reason: str, when: datetime) -> str | None:
        """The statement that ends a session; None where it has ended, or spoken since."""
        when = min(when, datetime.now(timezone.utc))
        if session.ended_at is not None or self.spoke_after(session, when):
            return None
        session.ended_at = when
        return self._rows.end(session, reason)

    def stand(self, sessions: Iterable[UUID]) -> bool:
        """Whether the rows of these sessions, as far as they are at hand, are still theirs."""
        known = [self._known[session] for session in sessions if session in self._known]
        return self._rows.stand({session.agent_id: session.uuid for session in known})

    def meet_anyway(self, session: UUID, path: str) -> StoredSession:
        """The session of a turn that names no directory and whose session never did."""
        found = self.meet(session, UNKNOWN_DIRECTORY, path)
        if found is None:
            raise LookupError(f"session {session} could not be made")
        return found

    def _create(self, session: UUID, cwd: str) -> StoredSession:
        asked = self._registrations.get(session)
        project = _indexable(storable((asked and asked.project_path) or cwd)[0])
        directory = storable((asked and asked.working_directory) or cwd)[0]
        pane = asked.iterm_pane_id if asked else None
        return self._keep(self._rows.create(session, project, directory, pane))

    def _keep(self, found: StoredSession) -> StoredSession:
        self._known[found.uuid] = found
        while len(self._known) > _CACHED:
            self._known.popitem(last=False)
        return found

    def announcement(
        self, session: StoredSession, when: datetime, origin: Origin | None
    ) -> Event | None:
        """The session_registered event that is still due for this session."""
        if session.announced:
            return None
        session.announced = True
        self._changed[session.uuid] = session
        asked = self._registrations.get(session.uuid)
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

    def saw_line(self, session: StoredSession, when: datetime, line: str | None) -> None:
        """Take note of a line: it may be the first, the last, or the one that reopens.

        A line from the future is as good as one of this moment: it must not keep the session open.
        """
        when = min(when, datetime.now(timezone.utc))
        if session.started_at is None or when < session.started_at:
            session.started_at = when
            self._changed[session.uuid] = session
        if session.last_seen_at is None or when > session.last_seen_at:
            session.last_seen_at = when
            session.last_line = storable(line)[0] if line else None
            if session.ended_at is not None and when > session.ended_at:
                session.ended_at = None
            self._changed[session.uuid] = session

    def take_changes(self) -> list[str]:
        """The statements that store what was learnt since the last call."""
        statements = [self._rows.update(session) for session in self._changed.values()]
        self._changed.clear()
        return statements

    def ending(
        self, session: StoredSession, reason: str, when: datetime, key: UUID | None = None
    ) -> tuple[Event, str]:
        """The session_ended event, keyed by the session's last line unless a key is given, and
        the statement that stores the end.
        """
        payload: dict[str, Any] = {"session_uuid": str(session.uuid), "reason": reason}
        if session.started_at and session.last_seen_at:
            duration = session.last_seen_at - session.started_at
            payload["duration_seconds"] = int(duration.total_seconds())
        last = session.last_line or (session.last_seen_at or when).isoformat()
        key = key or derived_key(SESSION_ENDED, str(session.uuid), last)
        session.ended_at = when
        event = _event(SESSION_ENDED, session, when, payload, key, None)
        return event, self._rows.end(session, reason)

    def silent(self, now: datetime, timeout: timedelta, limit: int) -> list[StoredSession]:
        """Open sessions whose last line is older than the timeout."""
        found = self._rows.silent_since(now - timeout, limit)
        return [self._known.setdefault(session.uuid, session) for session in found]

    def restored(self, event: Event) -> Event:
        """The event of a session whose rows were deleted while the watcher ran, with new ones.

        What refers to rows by itself is as it was given; what spoke of a session from outside
        loses its references.
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
            return self._create(uuid, UNKNOWN_DIRECTORY)
        created = self._rows.create(uuid, known.project_path, known.working_directory)
        session = replace(known, agent_id=created.agent_id, project_id=created.project_id)
        self._known[uuid] = self._changed[uuid] = session
        return session

    def waiting_registrations(self) -> list[Registration]:
        """What people asked for since; from now on it holds."""
        waiting = self._rows.registrations(waiting_only=True)
        for registration in waiting:
            self._registrations[registration.session] = registration
        return waiting

    def registered(self, registration: Registration) -> StoredSession | None:
        """The rows of a session that was registered, as far as its directory is known."""
        known = self.find(registration.session)
        directory = registration.working_directory or registration.project_path
        if known is not None and not known.announced:
            # Left alone before, and wanted again: it is open until its lines say otherwise.
            known.ended_at = None
            self._changed[known.uuid] = known
        if known is not None or directory is None:
            return known
        return self._create(registration.session, directory)

    def unannounce(self, session: StoredSession) -> None:
        """When the session is registered again, that is announced again."""
        session.announced = False
        self._changed[session.uuid] = session

    def applied(self, registration: Registration) -> str:
        """The statement that notes a registration as seen to."""
        return self._rows.apply(registration)


def _indexable(path: str) -> str:
    """The path as it is unless it is longer than Postgres can index: then its start and a digest.

    Otherwise one line with such a directory would hold up everything behind it for ever.
    """
    encoded = path.encode()
    if len(encoded) <= LONGEST_PROJECT_BYTES:
        return path
    start = encoded[:LONGEST_PROJECT_BYTES].decode("utf-8", "ignore")
    return f"{start}… ({derived_key('project', path)})"


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
