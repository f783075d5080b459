"""Attributes the lines of a segment to their sessions, and decides what to write."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from claude_headspace.archive.session_folders import is_wanted, owners
from claude_headspace.capture.in_flight import InFlight
from claude_headspace.capture.reader import STORED_BYTES, ReadLine, Segment
from claude_headspace.capture.sources import ActiveSource
from claude_headspace.errors import CommitRefused, DatabaseRefused, DatabaseUnavailable
from claude_headspace.events.dead_letter_reasons import POISON, REFUSED
from claude_headspace.events.event import Event, Origin
from claude_headspace.sessions.lifecycle import Sessions
from claude_headspace.store.checkpoints import StoredSource
from claude_headspace.store.dead_letters import DeadLetter
from claude_headspace.store.projections import WorkRows
from claude_headspace.store.sessions import StoredSession
from claude_headspace.transcripts.checkpoint import LineCounts
from claude_headspace.transcripts.parsed import (
    Other,
    Parsed,
    Rejected,
    Turn,
    Withdrawn,
    line_key,
)
from claude_headspace.transcripts.rescue import MAX_BROKEN
from claude_headspace.transcripts.secrets import Redaction

logger = logging.getLogger(__name__)


class Cause(NamedTuple):
    """What makes an event of a session: a turn on a line, or the announcement of the session."""

    session: StoredSession
    found: Turn | Event
    line: ReadLine


@dataclass(slots=True)
class Batch:
    """Lines of a source, attributed to sessions; `events` has one event for each of `causes`."""

    source: ActiveSource
    segment: Segment
    causes: list[Cause] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    counts: LineCounts = field(default_factory=LineCounts)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    sessions: set[UUID] = field(default_factory=set)
    withdrawn: list[Withdrawn] = field(default_factory=list)
    # Titles of sessions by the key of the line that gave them.
    titles: dict[UUID, str] = field(default_factory=dict)
    work: WorkRows = field(default_factory=WorkRows)

    @property
    def stored(self) -> StoredSource:
        """The row of the source before this batch."""
        return self.source.stored

    @property
    def made(self) -> Iterable[tuple[Cause, Event]]:
        """Each cause with its event."""
        return zip(self.causes, self.events, strict=True)

    def reject(self, offset: int, reason: str, detail: str, content: bytes) -> None:
        """Count and store a rejected line or event."""
        self.counts.rejected[reason] += 1
        self.dead_letters.append(DeadLetter(offset, reason, detail, content))


class Attribution:
    """Knows which sessions are captured, and learns about them from each line.

    Without `in_flight`, lines are read again: their dead letters are neither logged nor stored.
    """

    def __init__(
        self, sessions: Sessions, redaction: Redaction, in_flight: InFlight | None = None
    ) -> None:
        self._sessions = sessions
        self._redaction = redaction
        self._in_flight = in_flight

    def attribute(self, source: ActiveSource, segment: Segment) -> Batch:
        """The batch to write for a segment. Raises DatabaseUnavailable."""
        batch = Batch(source, segment)
        for line in segment.lines:
            batch.counts.lines += line.counts
            for parsed in line.parsed:
                self._attribute(batch, line, parsed)
        # Now it is known which of the sessions are forks, and of which session.
        batch.events += [self._event(batch, cause) for cause in batch.causes]
        return batch

    def _attribute(self, batch: Batch, line: ReadLine, parsed: Parsed) -> None:
        """Reject a line that Postgres refuses; any other error is marked as the line's fault."""
        try:
            if isinstance(parsed, Turn):
                self._attribute_turn(batch, line, parsed)
            elif isinstance(parsed, Other):
                self._attribute_other(batch, line, parsed)
            elif isinstance(parsed, Rejected):
                self._reject(batch, line, parsed)
            elif self._sessions.captured(parsed.session):
                batch.withdrawn.append(parsed)
                batch.counts.turns -= 1
        except (CommitRefused, DatabaseUnavailable):
            raise
        except DatabaseRefused as error:
            logger.warning("%s: byte %d rejected: %s", batch.stored.path, line.start, error)
            content = self._redaction.content(line.data)
            batch.reject(line.start, REFUSED, str(error), content)
        except Exception:
            if self._in_flight is not None:
                self._in_flight.mark(batch.stored.id, line.start)
            raise

    def _attribute_turn(self, batch: Batch, line: ReadLine, turn: Turn) -> None:
        batch.sessions.add(turn.session)
        if not self._sessions.captured(turn.session):
            batch.counts.other["not_registered"] += 1
            return
        session = self._sessions.meet_turn(turn, batch.stored.path)
        self._learn(batch, line, session, turn, turn.timestamp)
        batch.counts.rescued += turn.rescued
        batch.causes.append(Cause(session, turn, line))

    def _attribute_other(self, batch: Batch, line: ReadLine, other: Other) -> None:
        kind = other.kind
        if other.session is not None:
            batch.sessions.add(other.session)
            if not self._sessions.captured(other.session):
                kind = "not_registered"
            elif session := self._sessions.meet(
                other.session, other.cwd, batch.stored.path, other.timestamp
            ):
                # A line without a time does not show when the session was active.
                when = other.timestamp or session.last_seen_at or batch.source.file.modified
                self._learn(batch, line, session, other, when)
        elif other.title is not None and other.title.leaf is not None:
            batch.titles[line_key(other.title.leaf)] = other.title.text
        batch.counts.other[kind] += 1
        batch.counts.rescued += other.rescued

    def _learn(
        self,
        batch: Batch,
        line: ReadLine,
        session: StoredSession,
        found: Turn | Other,
        when: datetime,
    ) -> None:
        source, offset = batch.stored, found.offset if isinstance(found, Turn) else line.start
        again = self._in_flight is None
        announcement = self._sessions.hear(
            session, found, when, Origin(source.id, offset), again=again
        )
        if announcement is not None:
            batch.causes.append(Cause(session, announcement, line))
        place = (source.id, source.generation, line.start, line.size)
        self._sessions.add_work(batch.work, found, *place)

    def _reject(self, batch: Batch, line: ReadLine, rejected: Rejected) -> None:
        stored = batch.dead_letters[-MAX_BROKEN:]
        if len(stored) == MAX_BROKEN and stored[0].offset >= line.start:
            # Only the first dead letters of a line are stored and logged; all are counted.
            batch.counts.rejected[rejected.reason] += 1
            return
        where, why = rejected.offset, rejected.detail
        if self._in_flight is None:
            batch.reject(where, rejected.reason, why, b"")
            return
        level = logging.ERROR if rejected.reason == POISON else logging.WARNING
        logger.log(level, "%s: rejected at byte %d: %s", batch.stored.path, where, why)
        # The whole line is stored once, even if several of its parts are broken.
        first = next(found for found in line.parsed if isinstance(found, Rejected))
        content = line.data if rejected is first else line.data[:STORED_BYTES]
        if not self._may_store(batch):
            content = b""
        batch.reject(where, rejected.reason, why, self._redaction.content(content))

    def _may_store(self, batch: Batch) -> bool:
        """Whether one of the sessions of the file is captured."""
        whose = owners(batch.stored.path, batch.stored.sessions | batch.sessions)
        return is_wanted(whose, self._sessions.captured)

    def _event(self, batch: Batch, cause: Cause) -> Event:
        """The event of a turn; a copied turn is marked as a copy."""
        session, found, _ = cause
        if isinstance(found, Turn):
            return self._sessions.turn_event(found, batch.stored.id, session)
        if not session.fork_told:
            return found
        self._sessions.began(session, batch.source.file.modified)
        return replace(found, timestamp=session.started_at or found.timestamp)
