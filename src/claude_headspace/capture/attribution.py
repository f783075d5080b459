"""Attributes the lines of a segment to their sessions, and decides what to write."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import datetime
from uuid import UUID

from claude_headspace.capture.batch import Announced, AttributedTurn, Batch
from claude_headspace.capture.in_flight import InFlight
from claude_headspace.capture.reader import STORED_BYTES, ReadLine, Segment
from claude_headspace.capture.sources import CheckedSource
from claude_headspace.errors import CommitRefused, DatabaseRefused, DatabaseUnavailable
from claude_headspace.events.dead_letter_reasons import POISON, REFUSED
from claude_headspace.events.event import Event, Origin
from claude_headspace.sessions.lifecycle import Sessions
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

    def attribute(self, source: CheckedSource, segment: Segment) -> Batch:
        """The batch to write for a segment. Raises DatabaseUnavailable."""
        batch = Batch(source, segment)
        for line in segment.lines:
            batch.counts.lines += line.counts
            for outcome in line.outcomes:
                self._attribute_safely(batch, line, outcome)
        # Now it is known which of the sessions are forks, and of which session.
        batch.events += [self._event(batch, cause) for cause in batch.causes]
        return batch

    def _attribute_safely(self, batch: Batch, line: ReadLine, outcome: Outcome) -> None:
        """Reject a line that Postgres refuses; any other error is marked as the line's fault."""
        try:
            self._attribute(batch, line, outcome)
        except (CommitRefused, DatabaseUnavailable):
            raise
        except DatabaseRefused as error:
            logger.warning("%s: byte %d rejected: %s", batch.stored.path, line.start, error)
            content = self._redaction.content(line.data)
            batch.reject(line.start, REFUSED, str(error), content)
        except Exception:
            self._in_flight.mark(batch.stored.id, line.start)
            raise

    def _attribute(self, batch: Batch, line: ReadLine, outcome: Outcome) -> None:
        if isinstance(outcome, Turn):
            self._attribute_turn(batch, line, outcome)
        elif isinstance(outcome, Other):
            self._attribute_other(batch, line, outcome)
        elif isinstance(outcome, Rejected):
            self._reject(batch, line, outcome)
        else:
            self._attribute_withdrawn(batch, outcome)

    def _attribute_turn(self, batch: Batch, line: ReadLine, turn: Turn) -> None:
        batch.sessions.add(turn.session)
        if not self._sessions.captured(turn.session):
            batch.counts.other["not_registered"] += 1
            return
        session = self._sessions.meet_turn(turn, batch.stored.path)
        self._hear(batch, session, turn, turn.timestamp, turn.offset)
        self._add_work(batch, line, turn)
        batch.counts.rescued += turn.rescued
        batch.causes.append(AttributedTurn(session, turn, line))

    def _attribute_other(self, batch: Batch, line: ReadLine, other: Other) -> None:
        kind = other.kind
        if other.session is not None:
            batch.sessions.add(other.session)
            if not self._sessions.captured(other.session):
                kind = "not_registered"
            elif session := self._meet(batch, other, other.session):
                # A line without a time does not show when the session was active.
                when = other.timestamp or session.last_seen_at or batch.source.file.modified
                self._hear(batch, session, other, when, line.start)
                self._add_work(batch, line, other)
        elif other.title is not None and other.title.leaf is not None:
            batch.titles[line_key(other.title.leaf)] = other.title.text
        batch.counts.other[kind] += 1
        batch.counts.rescued += other.rescued

    def _add_work(self, batch: Batch, line: ReadLine, found: Turn | Other) -> None:
        place = (batch.stored.id, batch.stored.generation, line.start, line.size)
        self._sessions.add_work(batch.work, found, *place)

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
            batch.causes.append(Announced(session, announcement))

    def _attribute_withdrawn(self, batch: Batch, withdrawn: Withdrawn) -> None:
        if self._sessions.captured(withdrawn.session):
            batch.withdrawn.append(withdrawn)
            batch.counts.turns -= 1

    def _reject(self, batch: Batch, line: ReadLine, rejected: Rejected) -> None:
        stored = batch.dead_letters[-MAX_BROKEN:]
        if len(stored) == MAX_BROKEN and stored[0].offset >= line.start:
            # Only the first dead letters of a line are stored and logged; all are counted.
            batch.counts.rejected[rejected.reason] += 1
            return
        where, why = rejected.offset, rejected.detail
        level = logging.ERROR if rejected.reason == POISON else logging.WARNING
        logger.log(level, "%s: rejected at byte %d: %s", batch.stored.path, where, why)
        # The whole line is stored once, even if several of its parts are broken.
        first = next(found for found in line.outcomes if isinstance(found, Rejected))
        content = line.data if rejected is first else line.data[:STORED_BYTES]
        batch.reject(where, rejected.reason, why, self._redaction.content(content))

    def _event(self, batch: Batch, cause: Announced | AttributedTurn) -> Event:
        """The event of a turn; a copied turn is marked as a copy."""
        session = cause.session
        if isinstance(cause, AttributedTurn):
            return self._sessions.turn_event(cause.turn, batch.stored.id, session)
        if not session.fork_told:
            return cause.event
        self._sessions.began(session, batch.source.file.modified)
        return replace(cause.event, timestamp=session.started_at or cause.event.timestamp)
