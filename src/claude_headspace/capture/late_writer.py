"""Writes missing events later, with the same rows and announcements as the watcher."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from claude_headspace.capture.rebuild import Rebuild
from claude_headspace.config import Config
from claude_headspace.events.event import Event, Origin
from claude_headspace.events.event_types import SESSION_REGISTERED, TURN_DETECTED
from claude_headspace.sessions.log import make_log
from claude_headspace.store.projections import WorkRows, work_statements
from claude_headspace.store.results import WriteResult
from claude_headspace.store.writer import NOTIFICATION
from claude_headspace.transcripts.parsed import Other, Parsed, Turn
from claude_headspace.transcripts.secrets import Redaction

APPLICATION_NAME = "claude-headspace repair"
# The annotation of events written in this way.
LATE = "repaired"
BATCH_EVENTS = 100


class LateWriter:
    """Writes over one connection; losing it is an error, since what was read may have changed."""

    def __init__(self, config: Config) -> None:
        self._log = make_log(config, APPLICATION_NAME)
        self._database = self._log.database
        self._database.connect()
        self._precondition = self._database.precondition()
        self._redaction = Redaction.of(config.privacy)
        self.sessions = self._log.sessions
        self.sessions.reload()
        self.rebuild = Rebuild(self._log, config)

    def close(self) -> None:
        """Close the connection."""
        self._database.close()

    def write_turns(self, source_id: int, path: str, turns: Sequence[Turn]) -> list[WriteResult]:
        """Write turns; returns the result of each. Raises DatabaseUnavailable."""
        # A running watcher may have updated these sessions meanwhile.
        self.sessions.reload()
        events: list[Event] = []
        for turn in turns:
            session = self.sessions.meet_turn(turn, path)
            origin = Origin(source_id, turn.offset)
            announcement = self.sessions.hear(session, turn, turn.timestamp, origin, again=True)
            if announcement is not None:
                events.append(announcement)
            events.append(self.sessions.turn_event(self._redaction.turn(turn), source_id, session))
        made = zip(events, self.write_events(events), strict=True)
        return [result for event, result in made if event.type == TURN_DETECTED]

    def write_events(self, events: Sequence[Event]) -> list[WriteResult]:
        """The same for events; then store what was learned about their sessions."""
        results: list[WriteResult] = []
        for start in range(0, len(events), BATCH_EVENTS):
            batch = [event.annotated(**{LATE: True}) for event in events[start:][:BATCH_EVENTS]]
            results += self._log.writer.write_or_raise(batch, self._precondition)
        changes = self.sessions.take_changes()
        self._database.store([*changes, NOTIFICATION], self._precondition)
        return results

    def write_work(self, found: Sequence[Parsed], *place: int) -> None:
        """Store the tool and model calls of one line; `place` is for LinePlace."""
        rows = WorkRows()
        told = {each.session for each in found if isinstance(each, Turn | Other)}
        for session in filter(None, told):
            if self.sessions.captured(session):
                self.rebuild.add(rows, found, session, *place)
        statements = work_statements(self._database, rows)
        self._database.store(statements, self._precondition)

    def write_missing(self, event_type: str, uuid: UUID, reason: str | None) -> bool:
        """Write a missing session_registered or session_ended; returns whether it was written."""
        session = self.sessions.find(uuid)
        if session is None:
            return False
        now = datetime.now(UTC)
        event: Event | None
        if event_type == SESSION_REGISTERED:
            self.sessions.unannounce(session)
            event = self.sessions.announcement(session, session.started_at or now, None)
        else:
            event, _ = self.sessions.ended(session, reason or "", session.ended_at or now)
        return event is not None and self.write_events([event])[0].outcome == "written"
