"""Writes what a check found missing, as the watcher would have written it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from uuid import UUID

from claude_headspace.config import Config
from claude_headspace.embedded.location import database_url
from claude_headspace.events.event import Event, Origin
from claude_headspace.events.redaction import make_redactor
from claude_headspace.events.taxonomy import SESSION_REGISTERED
from claude_headspace.machine import make_machine_id
from claude_headspace.sessions.known import Sessions
from claude_headspace.store.connection import Database
from claude_headspace.store.results import WriteResult
from claude_headspace.store.sessions import SessionRows
from claude_headspace.store.writer import NOTIFICATION, EventWriter
from claude_headspace.transcripts.outcomes import Turn
from claude_headspace.transcripts.secrets import Redaction
from claude_headspace.transcripts.tailer import SourceFile
from claude_headspace.verify.expected import Expected
from claude_headspace.verify.logged import LATE, LogSide
from claude_headspace.verify.report import Report

APPLICATION_NAME = "claude-headspace repair"
BATCH_EVENTS = 100


class LateWriter:
    """Writes events after the fact, with the rows and announcements that the watcher makes."""

    def __init__(self, config: Config) -> None:
        # A lost connection ends the repair: what it rests on may no longer be so.
        self._database = Database(
            lambda: database_url(config), application_name=APPLICATION_NAME, by_itself=False
        )
        self._database.connect()
        rows = SessionRows(self._database, make_machine_id(config.state.directory))
        self.sessions = Sessions(rows, config.file_watcher.sessions)
        self._writer = EventWriter(
            self._database,
            retry_attempts=config.event_system.write_retry_attempts,
            retry_delay_ms=config.event_system.write_retry_delay_ms,
        )
        privacy = config.privacy
        self._redaction = Redaction(make_redactor(privacy.patterns) if privacy.redact else None)
        self._precondition = self._database.precondition()
        self.sessions.reload()

    def close(self) -> None:
        """Drop the connection."""
        self._database.close()

    def write_turns(self, source_id: int, path: str, turns: Sequence[Turn]) -> list[WriteResult]:
        """What became of each turn. Raises DatabaseUnavailable when the database is away."""
        # A running watcher may have stored other things of these sessions since.
        self.sessions.reload()
        events: list[Event] = []
        numbers: list[int] = []
        for turn in turns:
            session = self.sessions.meet_turn(turn, path)
            origin = Origin(source_id, turn.offset)
            announcement = self.sessions.hear(session, turn, turn.timestamp, origin, again=True)
            if announcement is not None:
                events.append(announcement)
            numbers.append(len(events))
            turn = self._redaction.turn(turn)
            events.append(self.sessions.turn_event(turn, source_id, session))
        results = self.write_events(events)
        return [results[number] for number in numbers]

    def write_events(self, events: Sequence[Event]) -> list[WriteResult]:
        """The same for events; then what was learnt of their sessions is stored."""
        results: list[WriteResult] = []
        for start in range(0, len(events), BATCH_EVENTS):
            batch = [event.annotated(**{LATE: True}) for event in events[start:][:BATCH_EVENTS]]
            results += self._writer.write_or_raise(batch, self._precondition)
        self._database.store([*self.sessions.take_changes(), NOTIFICATION], self._precondition)
        return results

    def write_missing(self, event_type: str, uuid: UUID, reason: str) -> bool:
        """Write the session_registered or session_ended that a session has lost; whether it was."""
        session = self.sessions.find(uuid)
        if session is None:
            return False
        event: Event | None
        if event_type == SESSION_REGISTERED:
            self.sessions.unannounce(session)
            when = session.started_at or datetime.now(UTC)
            event = self.sessions.announcement(session, when, None)
        else:
            when = session.ended_at or datetime.now(UTC)
            event, _ = self.sessions.ending(session, reason, when)
        return event is not None and self.write_events([event])[0].outcome == "written"


class Repair:
    """What a check found that can be repaired: turns by source, announcements, checkpoints."""

    def __init__(
        self, config: Config, log: LogSide, open_source: Callable[[int, str], SourceFile]
    ) -> None:
        self._config = config
        self._log = log
        self._open_source = open_source
        self.files: dict[int, str] = {}
        self.of_sessions: list[tuple[str, UUID, str]] = []
        self.doubtful: list[str] = []

    def plan(self, report: Report) -> list[str]:
        """What will be done, a sentence each; empty where there is nothing to do."""
        found = []
        if turns := report.totals.missing:
            sessions = sum(tally.missing > 0 for tally in report.sessions.values())
            found.append(f"add turns that are not in the log: {turns}, of sessions: {sessions}")
        for event_type, count in Counter(each[0] for each in self.of_sessions).items():
            found.append(f"add {event_type} events: {count}")
        if self.doubtful:
            found.append(f"have files read again from their first byte: {len(self.doubtful)}")
        return found

    def write(self, report: Report) -> None:
        """Write what is missing, and count it."""
        writer = LateWriter(self._config)
        try:
            for source_id, path in self.files.items():
                try:
                    self._write_file(writer, source_id, path, report)
                except OSError as error:
                    report.notes.append(f"{path} cannot be read: {error.strerror}")
            report.of_sessions = sum(writer.write_missing(*each) for each in self.of_sessions)
        finally:
            writer.close()

    def _write_file(self, writer: LateWriter, source_id: int, path: str, report: Report) -> None:
        set_aside = self._log.set_aside(source_id)
        limit = self._config.file_watcher.max_line_bytes
        expected = Expected(self._open_source(source_id, path), limit, set_aside=set_aside)
        try:
            for batch in expected.batches():
                told = [place.told for place in batch.places if isinstance(place.told, Turn)]
                missing = self._log.missing(source_id, {turn.key for turn in told})
                turns = [turn for turn in told if (turn.key, turn.session) in missing]
                results = writer.write_turns(source_id, path, turns) if turns else []
                for turn, result in zip(turns, results, strict=True):
                    report.sessions[turn.session].repaired += result.outcome == "written"
        finally:
            expected.close()
