"""Attributes the lines of a segment to their sessions, and decides what to write."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from claude_headspace.capture.batch import Announced, AttributedTurn, Batch
from claude_headspace.capture.in_flight import InFlight
from claude_headspace.capture.reader import KEPT_BYTES, POISON, ReadLine, Segment
from claude_headspace.capture.sources import Start
from claude_headspace.errors import CommitRefused, DatabaseRefused, DatabaseUnavailable
from claude_headspace.events.event import Event, Origin
from claude_headspace.sessions.known import Sessions
from claude_headspace.store.sessions import StoredSession
from claude_headspace.transcripts.outcomes import (
    Other,
    Outcome,
    Rejected,
    Turn,
    Withdrawn,
    line_key,
)
from claude_headspace.transcripts.rescue import MAX_BROKEN
from claude_headspace.transcripts.secrets import Redaction

logger = logging.getLogger(__name__)


class Attribution:
    """Knows which sessions are captured, and learns about them from each line."""

    def __init__(self, sessions: Sessions, redaction: Redaction, in_flight: InFlight) -> None:
        self._sessions = sessions
        self._redaction = redaction
        self._in_flight = in_flight

    def batch(self, source: Start, segment: Segment) -> Batch:
        """The batch to write for a segment. Raises DatabaseUnavailable."""
        batch = Batch(source, segment)
        for line in segment.lines:
            batch.counts.lines += line.counts
            for outcome in line.outcomes:
                self._take_safely(batch, line, outcome)
        # Now it is known which of the sessions are forks, and of which session.
        batch.events += [self._event(batch, told) for told in batch.told]
        return batch

    def _take_safely(self, batch: Batch, line: ReadLine, outcome: Outcome) -> None:
        """Reject a line that Postgres refuses; any other error is marked as the line's fault."""
        try:
            self._take(batch, line, outcome)
        except (CommitRefused, DatabaseUnavailable):
            raise
        except DatabaseRefused as error:
            logger.warning("%s: byte %d rejected: %s", batch.stored.path, line.start, error)
            content = self._redaction.content(line.data)
            batch.reject(line.start, "refused", str(error), content)
        except Exception:
            self._in_flight.take(batch.stored.id, line.start)
            raise

    def _take(self, batch: Batch, line: ReadLine, outcome: Outcome) -> None:
        if isinstance(outcome, Turn):
            self._take_turn(batch, line, outcome)
        elif isinstance(outcome, Other):
            self._take_other(batch, line, outcome)
        elif isinstance(outcome, Rejected):
            self._take_rejected(batch, line, outcome)
        else:
            self._take_withdrawn(batch, outcome)

    def _take_turn(self, batch: Batch, line: ReadLine, turn: Turn) -> None:
        batch.sessions.add(turn.session)
        if not self._sessions.captured(turn.session):
            batch.counts.other["not_registered"] += 1
            return
        session = self._sessions.meet_turn(turn, batch.stored.path)
        self._hear(batch, session, turn, turn.timestamp, turn.offset)
        self._take_work(batch, line, turn)
        batch.counts.rescued += turn.rescued
        batch.told.append(AttributedTurn(session, turn, line))

    def _take_other(self, batch: Batch, line: ReadLine, other: Other) -> None:
        kind = other.kind
        if other.session is not None:
            batch.sessions.add(other.session)
            if not self._sessions.captured(other.session):
                kind = "not_registered"
            elif session := self._meet(batch, other, other.session):
                # A line without a time does not show when the session was active.
                when = other.timestamp or session.last_seen_at or batch.source.file.modified
                self._hear(batch, session, other, when, line.start)
                self._take_work(batch, line, other)
        elif other.title is not None and other.title.leaf is not None:
            batch.titles[line_key(other.title.leaf)] = other.title.text
        batch.counts.other[kind] += 1
        batch.counts.rescued += other.rescued

    def _take_work(self, batch: Batch, line: ReadLine, found: Turn | Other) -> None:
        place = (batch.stored.id, batch.stored.generation, line.start, line.size)
        self._sessions.take_work(batch.work, found, *place)

    def _meet(self, batch: Batch, other: Other, session: UUID) -> StoredSession | None:
        return self._sessions.meet(session, other.cwd, batch.stored.path, other.timestamp)

    def _hear(
        self,
        batch: Batch,
        session: StoredSession,
        found: Turn | Other,
        when: datetime,
        offset: int,
    ) -> None:
        origin = Origin(batch.stored.id, offset)
        announcement = self._sessions.hear(session, found, when, origin)
        if announcement is not None:
            batch.told.append(Announced(session, announcement))

    def _take_withdrawn(self, batch: Batch, withdrawn: Withdrawn) -> None:
        if self._sessions.captured(withdrawn.session):
            batch.withdrawn.append(withdrawn)
            batch.counts.turns -= 1

    def _take_rejected(self, batch: Batch, line: ReadLine, rejected: Rejected) -> None:
        told = batch.dead_letters[-MAX_BROKEN:]
        if len(told) == MAX_BROKEN and told[0].offset >= line.start:
            # Only the first dead letters of a line are stored and logged; all are counted.
            batch.counts.rejected[rejected.reason] += 1
            return
        where, why = rejected.offset, rejected.detail
        level = logging.ERROR if rejected.reason == POISON else logging.WARNING
        logger.log(level, "%s: rejected at byte %d: %s", batch.stored.path, where, why)
        # The whole line is stored once, even if several of its parts are broken.
        first = next(found for found in line.outcomes if isinstance(found, Rejected))
        content = line.data if rejected is first else line.data[:KEPT_BYTES]
        batch.reject(where, rejected.reason, why, self._redaction.content(content))

    def _event(self, batch: Batch, told: Announced | AttributedTurn) -> Event:
        """The event of a turn; a copied turn is marked as a copy."""
        session = told.session
        if isinstance(told, AttributedTurn):
            return self._sessions.turn_event(told.turn, batch.stored.id, session)
        if not session.fork_told:
            return told.event
        self._sessions.began(session, batch.source.file.modified)
        return replace(told.event, timestamp=session.started_at or told.event.timestamp)
