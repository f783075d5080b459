"""Which sessions are captured, and the rows that a turn written afterwards refers to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Literal
from uuid import UUID

from claude_headspace.events.event import Event, derived_key, storable
from claude_headspace.events.taxonomy import SESSION_REGISTERED
from claude_headspace.source.directories import first_directory, repository_of
from claude_headspace.source.discovery import main_transcript
from claude_headspace.source.transcript import Turn
from claude_headspace.store.connection import Database
from claude_headspace.store.sessions import Registration, SessionRows, StoredSession

UNKNOWN_DIRECTORY = "(unknown)"
_CACHED = 1000


class SessionLookup:
    """Sessions as the database has them; rows that are missing are made when asked for."""

    def __init__(self, database: Database, host: str, mode: Literal["all", "registered"]) -> None:
        self._database = database
        self._rows = SessionRows(database, host)
        self._mode = mode
        stored = self._rows.registrations(waiting_only=False)
        self._registrations: dict[UUID, Registration] = {each.session: each for each in stored}
        self._known: dict[UUID, StoredSession] = {}

    @property
    def selective(self) -> bool:
        """Whether some sessions are, or may have been, left alone."""
        unwanted = any(not each.wanted for each in self._registrations.values())
        return self._mode == "registered" or unwanted

    def captured(self, session: UUID) -> bool:
        """Whether the lines of this session belong into the log."""
        registration = self._registrations.get(session)
        return self._mode == "all" if registration is None else registration.wanted

    def find(self, session: UUID) -> StoredSession | None:
        """The session's rows."""
        found = self._known.get(session) or self._rows.find(session)
        if found is not None:
            if len(self._known) >= _CACHED:
                self._known.clear()
            self._known[session] = found
        return found

    def for_turn(self, turn: Turn, path: str) -> StoredSession:
        """The session of a turn in the file at `path`, made where it is missing."""
        found = self.find(turn.session)
        if found is not None:
            return found
        asked = self._registrations.get(turn.session)
        first = first_directory(main_transcript(path, str(turn.session)), turn.session)
        directory = (first and first.path) or turn.cwd or UNKNOWN_DIRECTORY
        project = storable((asked and asked.project_path) or repository_of(directory))[0]
        working = storable((asked and asked.working_directory) or directory)[0]
        pane = asked.iterm_pane_id if asked else None
        seen_at = first.when if first else turn.timestamp
        created = self._rows.create(turn.session, project, working, pane, seen_at)
        self._known[turn.session] = created
        return created

    def announcement(self, session: StoredSession, when: datetime) -> Event:
        """The session_registered event that the watcher writes for this session."""
        asked = self._registrations.get(session.uuid)
        payload = {
            "session_uuid": str(session.uuid),
            "project_path": session.project_path,
            "working_directory": session.working_directory,
        }
        if asked and asked.iterm_pane_id:
            payload["iterm_pane_id"] = asked.iterm_pane_id
        generation = str(asked.generation if asked else 0)
        return Event(
            SESSION_REGISTERED,
            when,
            payload,
            derived_key(SESSION_REGISTERED, str(session.uuid), generation),
            session.uuid,
            project_id=session.project_id,
            agent_id=session.agent_id,
        )

    def store_written(self, session: StoredSession, turns: Sequence[Turn]) -> None:
        """Note that a session is announced, and that it spoke when these turns were written."""
        moments = [turn.timestamp for turn in turns]
        started = min([*moments, session.started_at] if session.started_at else moments)
        seen = max([*moments, session.last_seen_at] if session.last_seen_at else moments)
        stored = replace(session, announced=True, started_at=started, last_seen_at=seen)
        if stored != session:
            self._database.execute(self._rows.update(stored))
            self._known[session.uuid] = stored
