"""How sessions end, and how people start and end their capture."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta, timezone
from uuid import UUID

from claude_headspace.errors import DatabaseUnavailable
from claude_headspace.events.event import Event, derived_key
from claude_headspace.events.taxonomy import SESSION_ENDED
from claude_headspace.sessions.known import Sessions
from claude_headspace.store.connection import Database, Footing
from claude_headspace.store.positions import Positions
from claude_headspace.store.sessions import Registration, StoredSession
from claude_headspace.store.writer import EventWriter

logger = logging.getLogger(__name__)

# How often silent sessions are looked for, at most and at least.
LONGEST_INTERVAL_SECONDS = 30.0
_INTERVALS_PER_TIMEOUT = 4
_BATCH = 100


def _now() -> datetime:
    return datetime.now(timezone.utc)


class Endings:
    """Ends sessions that are silent or no longer wanted. Called when every file is settled."""

    def __init__(
        self,
        *,
        database: Database,
        writer: EventWriter,
        positions: Positions,
        sessions: Sessions,
        inactivity_timeout_seconds: float,
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._database = database
        self._writer = writer
        self._positions = positions
        self._sessions = sessions
        self._timeout = timedelta(seconds=inactivity_timeout_seconds)
        self._interval = min(
            LONGEST_INTERVAL_SECONDS, inactivity_timeout_seconds / _INTERVALS_PER_TIMEOUT
        )
        self._now = now
        self._next = 0.0

    def reload(self) -> None:
        """Learn everything again from the database."""
        self._sessions.reload()
        self._next = 0.0

    def look(self, unread: Collection[str] = ()) -> None:
        """End the sessions that have been silent for the timeout.

        Not those of which a file, told by its path, cannot be read: they may have spoken.
        """
        if time.monotonic() < self._next:
            return
        silent = self._sessions.silent(self._now(), self._timeout, _BATCH)
        endings = [
            # The moment it became inactive, whenever it is noticed.
            self._sessions.ending(session, "timeout", session.last_seen_at + self._timeout)
            for session in silent
            if session.last_seen_at is not None
            and not any(str(session.uuid) in path for path in unread)
        ]
        if endings:
            self._write(endings)
        if len(silent) < _BATCH:
            self._next = time.monotonic() + self._interval

    def apply_registrations(self) -> list[str]:
        """Do what people asked for; returns the paths that are to be read from their start."""
        rewound: list[str] = []
        for registration in self._sessions.waiting_registrations():
            if registration.wanted:
                rewound += self._begin(registration)
            else:
                self._leave(registration)
            self._database.execute(self._sessions.applied(registration))
        return rewound

    def _begin(self, registration: Registration) -> list[str]:
        paths = self._positions.of_session(registration.session)
        self._positions.rewind(paths)
        session = self._sessions.registered(registration)
        if session is not None:
            announcement = self._sessions.announcement(session, self._now(), None)
            if announcement is not None:
                self._write([(announcement, None)])
        logger.info("session %s is registered: %d files", registration.session, len(paths))
        return paths

    def _leave(self, registration: Registration) -> None:
        session = self._sessions.find(registration.session)
        logger.info("session %s is unregistered", registration.session)
        if session is None:
            return
        if session.ended_at is None:
            number = str(registration.generation)
            key = derived_key(SESSION_ENDED, str(session.uuid), "unregistered", number)
            self._end(session, "unregistered", self._now(), key)
        self._sessions.unannounce(session)
        self._store(self._sessions.take_changes())

    def _end(
        self, session: StoredSession, reason: str, when: datetime, key: UUID | None = None
    ) -> None:
        self._write([self._sessions.ending(session, reason, when, key)])

    def _write(self, endings: Sequence[tuple[Event, str | None]]) -> None:
        """Write events, and then what they come with."""
        events = [event for event, _ in endings]
        sessions = {event.session_uuid for event in events}
        footing = Footing(
            self._database, self._database.generation, lambda: self._sessions.stand(sessions)
        )
        results = self._writer.write_all(events, footing=footing)
        if not all(result.settled for result in results):
            raise DatabaseUnavailable(results[-1].error or "the write failed")
        stored = [statement for _, statement in endings if statement is not None]
        self._store([*self._sessions.take_changes(), *stored])

    def _store(self, statements: list[str]) -> None:
        if statements:
            self._database.execute("; ".join(statements))
