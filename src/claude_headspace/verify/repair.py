"""Writes the turns that a check found missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone
from uuid import UUID

import msgspec

from claude_headspace.config import Config
from claude_headspace.embedded.location import database_url
from claude_headspace.errors import DatabaseUnavailable
from claude_headspace.events.event import Event, Origin
from claude_headspace.events.redaction import make_redactor
from claude_headspace.source.transcript import Turn
from claude_headspace.store.connection import Database
from claude_headspace.store.positions import StoredSource
from claude_headspace.store.sessions import StoredSession
from claude_headspace.store.writer import NOTIFICATION, EventWriter, WriteResult
from claude_headspace.verify.check import LATE, Place
from claude_headspace.verify.sessions import SessionLookup

APPLICATION_NAME = "claude-headspace repair"
BATCH_EVENTS = 100


class LateWriter:
    """Writes turns after the fact as the watcher would have written them."""

    def __init__(self, config: Config, sessions: SessionLookup) -> None:
        self._sessions = sessions
        self._database = Database(lambda: database_url(config), application_name=APPLICATION_NAME)
        self._writer = EventWriter(
            self._database,
            retry_attempts=config.event_system.write_retry_attempts,
            retry_delay_ms=config.event_system.write_retry_delay_ms,
        )
        self._redactor = make_redactor(config.privacy.patterns) if config.privacy.redact else None

    def close(self) -> None:
        """Drop the connection."""
        self._database.close()

    def write_turns(self, source_id: int, path: str, turns: Sequence[Turn]) -> list[WriteResult]:
        """What became of each turn. Raises DatabaseUnavailable when the database is away."""
        sessions = {turn.session: self._sessions.for_turn(turn, path) for turn in turns}
        for session in sessions.values():
            if not session.announced:
                first = next(turn for turn in turns if turn.session == session.uuid)
                self.announce(session, first.timestamp, Origin(source_id, first.offset))
        events = [self._event(turn, source_id, sessions[turn.session]) for turn in turns]
        results = self.write_events(events)
        for session in sessions.values():
            own = [turn for turn in turns if turn.session == session.uuid]
            self._sessions.store_written(session, own)
        return results

    def write_events(self, events: Sequence[Event]) -> list[WriteResult]:
        """The same for events."""
        results: list[WriteResult] = []
        for start in range(0, len(events), BATCH_EVENTS):
            results += self._writer.write_all(events[start : start + BATCH_EVENTS])
            if not results[-1].settled:
                raise DatabaseUnavailable(results[-1].error or "the write failed")
        self._database.execute(NOTIFICATION)
        return results

    def announce(self, session: StoredSession, when: datetime, origin: Origin | None) -> bool:
        """Write a session's session_registered; whether it was missing."""
        event = replace(self._sessions.announcement(session, when), origin=origin)
        return self.write_events([event])[0].outcome == "written"

    def _event(self, turn: Turn, source_id: int, session: StoredSession) -> Event:
        if self._redactor is not None:
            text, redacted = self._redactor.redact(turn.text)
            turn = msgspec.structs.replace(turn, text=text, redacted=redacted)
        event = turn.event(source_id, session.project_id, session.agent_id)
        return event.annotated(**{LATE: True})


class Repair:
    """What `--repair` does while a check goes on. `doubtful`: sources to be read again."""

    def __init__(self, config: Config, sessions: SessionLookup) -> None:
        self._sessions = sessions
        self._writer = LateWriter(config, sessions)
        self.doubtful: list[str] = []

    def close(self) -> None:
        """Drop the connection."""
        self._writer.close()

    def doubt(self, path: str) -> None:
        """The stored position of this source is wrong."""
        self.doubtful.append(path)

    def write(self, source: StoredSource, path: str, places: Sequence[Place]) -> dict[int, int]:
        """Write turns; for each that is in the log now its number among them and its event's id."""
        results = self._writer.write_turns(source.id, path, [place.turn for place in places])
        return {
            number: result.event_id
            for number, result in enumerate(results)
            if result.event_id is not None
        }

    def announce(self, session: UUID) -> bool:
        """Write the session_registered of a session that has lost it; whether that was done."""
        found = self._sessions.find(session)
        if found is None:
            return False
        when = found.started_at or datetime.now(timezone.utc)
        return self._writer.announce(found, when, None)
