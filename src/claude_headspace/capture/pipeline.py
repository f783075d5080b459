"""One step of capture: lines of one source, through the writer, to a committed checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import UUID

from claude_headspace.capture.in_flight import InFlight
from claude_headspace.capture.reader import (
    BATCH_BYTES,
    BATCH_EVENTS,
    KEPT_BYTES,
    POISON,
    Reader,
    ReadLine,
    Segment,
)
from claude_headspace.capture.sources import ActiveSource
from claude_headspace.errors import DatabaseRefused, DatabaseUnavailable, StopRequested
from claude_headspace.events.event import Event, Origin
from claude_headspace.events.taxonomy import TURN_DETECTED
from claude_headspace.sessions.known import Sessions
from claude_headspace.store.checkpoints import Checkpoints, DeadLetter
from claude_headspace.store.connection import Database
from claude_headspace.store.copies import Copies
from claude_headspace.store.sessions import StoredSession
from claude_headspace.store.writer import NOTIFICATION, EventWriter, WriteResult
from claude_headspace.transcripts.checkpoint import Checkpoint, LineCounts
from claude_headspace.transcripts.records import MAX_BROKEN
from claude_headspace.transcripts.transcript import (
    Other,
    Outcome,
    Rejected,
    Turn,
    Withdrawn,
    line_key,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BatchTurn:
    """A turn, its line, and its event's number in the batch."""

    number: int
    line: ReadLine
    turn: Turn
    session: StoredSession


@dataclass(slots=True)
class Batch:
    """What one step has read of a source and not yet written."""

    checkpoint: Checkpoint
    start: int
    events: list[Event] = field(default_factory=list)
    counts: LineCounts = field(default_factory=LineCounts)
    dead_letters: list[DeadLetter] = field(default_factory=list)
    sessions: set[UUID] = field(default_factory=set)
    turns: list[BatchTurn] = field(default_factory=list)
    announced: list[tuple[int, StoredSession]] = field(default_factory=list)
    withdrawn: list[Withdrawn] = field(default_factory=list)
    # Names of sessions by the key of a line of theirs.
    titles: dict[UUID, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the source that were read."""
        return self.checkpoint.offset - self.start

    @property
    def full(self) -> bool:
        """Whether it is time to write."""
        return len(self.events) >= BATCH_EVENTS or self.size >= BATCH_BYTES

    def reject(self, offset: int, reason: str, detail: str, content: bytes) -> None:
        """Count and keep something that is not taken."""
        self.counts.rejected[reason] += 1
        self.dead_letters.append(DeadLetter(offset, reason, detail, content))


@dataclass(frozen=True, slots=True)
class Step:
    """What a step did. `more`: there is more to read at once. `unfinished`: bytes without end.

    `holds_prompts`: prompts wait for a line that tells of them.
    """

    lines: int
    bytes: int
    poison: int
    more: bool
    unfinished: int
    holds_prompts: bool


class Capture:
    """Reads, classifies, writes and commits; knows nothing of when."""

    def __init__(
        self,
        *,
        database: Database,
        writer: EventWriter,
        checkpoints: Checkpoints,
        sessions: Sessions,
        reader: Reader,
        beat: Callable[[], None],
        in_flight: InFlight,
        count_rejected: Callable[[Mapping[str, int]], None],
    ) -> None:
        self._database = database
        self._writer = writer
        self._checkpoints = checkpoints
        self._sessions = sessions
        self._reader = reader
        self._beat = beat
        self._in_flight = in_flight
        self._count_rejected = count_rejected
        self._copies = Copies(database, sessions.learnt)

    def forget(self) -> None:
        """Learn everything again from the files and the database."""
        self._reader.forget()
        self._copies.forget()

    def look_at_copies(self) -> bool:
        """Find out of one session whose turns it repeats; False when none is left."""
        self._sessions.copies_due = self._sessions.copies_due and self._copies.step()
        return self._sessions.copies_due

    def step(self, source: ActiveSource) -> Step:
        """Take the next lines of a source in.

        Raises DatabaseUnavailable with nothing committed when they cannot be written now.
        """
        source.file.refresh()
        if source.file.compare(source.stored.checkpoint, self._beat) == "rewritten":
            logger.info("%s was rewritten: it is read from its beginning", source.path)
            source.start_over()
        batch = self._batch(source)
        while True:
            segment = self._reader.read(source, batch.checkpoint)
            self._take_segment(batch, source, segment)
            if batch.full or not segment.more:
                return self._finish(batch, source, segment)
            self._beat()

    def step_unfinished(self, source: ActiveSource) -> Step | None:
        """Take the last line in although its newline is missing, if it is whole."""
        source.file.refresh()
        batch = self._batch(source)
        segment = self._reader.read_unfinished(source, batch.checkpoint)
        if segment is None:
            return None
        self._take_segment(batch, source, segment)
        return self._finish(batch, source, segment)

    def step_untold(self, source: ActiveSource) -> Step | None:
        """Take in prompts for which no line has come, although the file has been still."""
        batch = self._batch(source)
        segment = self._reader.read_untold(source, batch.checkpoint)
        if segment is None:
            return None
        self._take_segment(batch, source, segment)
        return self._finish(batch, source, segment)

    def _batch(self, source: ActiveSource) -> Batch:
        checkpoint = source.stored.checkpoint
        return Batch(checkpoint, checkpoint.offset)

    def _take_segment(self, batch: Batch, source: ActiveSource, segment: Segment) -> None:
        for line in segment.lines:
            batch.counts.lines += line.counts
            for outcome in line.outcomes:
                self._take_safely(batch, source, line, outcome)
        batch.checkpoint = segment.end

    def _take_safely(
        self, batch: Batch, source: ActiveSource, line: ReadLine, outcome: Outcome
    ) -> None:
        """What Postgres refuses costs the line; what else goes wrong is known to be its fault."""
        try:
            self._take(batch, source, line, outcome)
        except DatabaseUnavailable:
            raise
        except DatabaseRefused as error:
            logger.warning("%s: byte %d rejected: %s", source.path, line.start, error)
            batch.reject(line.start, "refused", str(error), self._reader.kept(line.data))
        except Exception:
            self._in_flight.take(source.stored.id, line.start)
            raise

    def _take(self, batch: Batch, source: ActiveSource, line: ReadLine, outcome: Outcome) -> None:
        if isinstance(outcome, Turn):
            self._take_turn(batch, source, line, outcome)
        elif isinstance(outcome, Other):
            self._take_other(batch, source, outcome, line.start)
        elif isinstance(outcome, Withdrawn):
            if self._sessions.captured(outcome.session):
                batch.withdrawn.append(outcome)
                batch.counts.turns -= 1
        else:
            self._take_rejected(batch, source, line, outcome)

    def _take_rejected(
        self, batch: Batch, source: ActiveSource, line: ReadLine, rejected: Rejected
    ) -> None:
        told = batch.dead_letters[-MAX_BROKEN:]
        if len(told) == MAX_BROKEN and told[0].offset >= line.start:
            # Of a line with very many the first are kept and told; each is counted.
            batch.counts.rejected[rejected.reason] += 1
            return
        where, why = rejected.offset, rejected.detail
        level = logging.ERROR if rejected.reason == POISON else logging.WARNING
        logger.log(level, "%s: rejected at byte %d: %s", source.path, where, why)
        # The line is kept whole once, however many of its parts are broken.
        first = next(found for found in line.outcomes if isinstance(found, Rejected))
        content = line.data if rejected is first else line.data[:KEPT_BYTES]
        batch.reject(where, rejected.reason, why, self._reader.kept(content))

    def _take_turn(self, batch: Batch, source: ActiveSource, line: ReadLine, turn: Turn) -> None:
        batch.sessions.add(turn.session)
        if not self._sessions.captured(turn.session):
            batch.counts.other["not_registered"] += 1
            return
        session = self._sessions.meet(turn.session, turn.cwd, source.path, turn.timestamp)
        if session is None:
            session = self._sessions.meet_anyway(turn.session, source.path)
        self._note(batch, source, session, turn, turn.timestamp, turn.offset)
        batch.counts.rescued += turn.rescued
        batch.turns.append(BatchTurn(len(batch.events), line, turn, session))
        batch.events.append(turn.event(source.stored.id, session.project_id, session.agent_id))

    def _take_other(self, batch: Batch, source: ActiveSource, other: Other, start: int) -> None:
        kind = other.kind
        if other.session is not None:
            batch.sessions.add(other.session)
            if not self._sessions.captured(other.session):
                kind = "not_registered"
            elif session := self._meet(source, other, other.session):
                # A line without a time of its own says nothing about when the session spoke.
                when = other.timestamp or session.last_seen_at or _modified(source)
                self._note(batch, source, session, other, when, start)
        elif other.title is not None and other.title.leaf is not None:
            batch.titles[line_key(other.title.leaf)] = other.title.text
        batch.counts.other[kind] += 1
        batch.counts.rescued += other.rescued

    def _meet(self, source: ActiveSource, other: Other, session: UUID) -> StoredSession | None:
        return self._sessions.meet(session, other.cwd, source.path, other.timestamp)

    def _note(
        self,
        batch: Batch,
        source: ActiveSource,
        session: StoredSession,
        found: Turn | Other,
        when: datetime,
        offset: int,
    ) -> None:
        origin = Origin(source.stored.id, offset)
        announcement = self._sessions.announcement(session, when, origin)
        if announcement is not None:
            batch.announced.append((len(batch.events), session))
            batch.events.append(announcement)
        self._sessions.learn(session, found, when)

    def _finish(self, batch: Batch, source: ActiveSource, last: Segment) -> Step:
        if batch.events:
            self._write(batch, source, last)
        if batch.checkpoint != source.stored.checkpoint:
            self._commit(batch, source)
        poison = batch.counts.rejected[POISON]
        return Step(
            batch.counts.lines, batch.size, poison, last.more, last.unfinished,
            last.holds_prompts,
        )  # fmt: skip

    def _write(self, batch: Batch, source: ActiveSource, last: Segment) -> None:
        self._attribute(batch, source)
        results = self._writer.write_all(batch.events, lambda: self._read_ahead(source, last))
        if not results[-1].acknowledged:
            raise DatabaseUnavailable(results[-1].error or "the write failed")
        for each in batch.turns:
            result = results[each.number]
            self._count(batch, batch.events[each.number], result, each.line)
            self._sessions.shares(each.session, shared=result.shared)
        numbers = [each.number for each in batch.turns]
        duplicates = [n for n in numbers if results[n].outcome == "duplicate"]
        if duplicates:
            self._tell_duplicates(source, [batch.events[n] for n in duplicates])

    def _read_ahead(self, source: ActiveSource, last: Segment) -> bool:
        """Use the time that Postgres takes; trouble with the file shows when it is its turn."""
        try:
            return last.more and self._reader.read_ahead(source, last.end)
        except (OSError, StopRequested):
            return False

    def _attribute(self, batch: Batch, source: ActiveSource) -> None:
        """Mark copies by their own word, and date a fork from when it was forked."""
        for each in batch.turns:
            original = self._sessions.original(each.session, each.turn)
            if original is not None:
                event = batch.events[each.number]
                batch.events[each.number] = event.annotated(copy_of=str(original))
        for number, session in batch.announced:
            if session.fork_told:
                self._sessions.began(session, _modified(source))
                when = session.started_at or batch.events[number].timestamp
                batch.events[number] = replace(batch.events[number], timestamp=when)

    def _count(self, batch: Batch, event: Event, result: WriteResult, line: ReadLine) -> None:
        if result.outcome in ("written", "again"):
            batch.counts.turns += 1
        elif result.outcome == "duplicate":
            batch.counts.duplicates += 1
        else:
            error = result.error or "rejected"
            offset = event.origin.offset if event.origin else line.start
            logger.warning("%s at byte %d rejected: %s", TURN_DETECTED, offset, error)
            batch.reject(offset, "refused", error, self._reader.kept(line.data))

    def _tell_duplicates(self, source: ActiveSource, duplicates: Sequence[Event]) -> None:
        first = duplicates[0]
        logger.warning(
            "%s: %d turns stand in the log already from another place, the first at byte %s"
            " (session %s, line %s)",
            source.path, len(duplicates), first.origin and first.origin.offset,
            first.session_uuid, first.payload.get("line_uuid"),
        )  # fmt: skip

    def _commit(self, batch: Batch, source: ActiveSource) -> None:
        before = source.stored
        counts = LineCounts.from_json(before.counts.as_json())
        counts.add(batch.counts)
        sessions = before.sessions | batch.sessions
        stored = replace(before, checkpoint=batch.checkpoint, counts=counts, sessions=sessions)
        if batch.titles:
            self._sessions.saw_titles_of_lines(batch.titles, "summary")
        statements = self._checkpoints.commit(stored, batch.dead_letters)
        statements += self._sessions.take_changes()
        statements += [
            self._checkpoints.retract(each.key, each.session) for each in batch.withdrawn
        ]
        if batch.events:
            statements.append(NOTIFICATION)
        self._database.execute("; ".join(statements))
        source.stored = stored
        self._count_rejected(batch.counts.rejected)
        self._in_flight.committed(stored.id, stored.checkpoint.offset)


def _modified(source: ActiveSource) -> datetime:
    return source.file.modified
