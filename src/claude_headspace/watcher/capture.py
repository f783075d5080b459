"""One step of capture: lines of one source, through the writer, to a settled position."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from uuid import UUID

from claude_headspace.errors import DatabaseUnavailable
from claude_headspace.events.event import Event, Origin
from claude_headspace.events.position import LineCounts, Position
from claude_headspace.events.redaction import Redactor
from claude_headspace.events.taxonomy import TURN_DETECTED
from claude_headspace.source.tailer import Chunk, Line, TooLong
from claude_headspace.source.transcript import Other, Outcome, Rejected, Turn, outcomes
from claude_headspace.store.connection import Database
from claude_headspace.store.copies import Copies
from claude_headspace.store.positions import Positions, Rejection
from claude_headspace.store.sessions import StoredSession
from claude_headspace.store.writer import NOTIFICATION, EventWriter, WriteResult
from claude_headspace.watcher.in_hand import InHand
from claude_headspace.watcher.sessions import Sessions
from claude_headspace.watcher.sources import ActiveSource

logger = logging.getLogger(__name__)

# A step ends at whichever comes first; it bounds memory, and how long others wait.
BATCH_EVENTS = 128
BATCH_BYTES = 1024 * 1024
# Of a line that is rejected for its length only the beginning is kept.
KEPT_BYTES = 64 * 1024
POISON = "poison"


@dataclass(slots=True)
class Batch:
    """What one step has read of a source and not yet written."""

    position: Position
    events: list[Event] = field(default_factory=list)
    counts: LineCounts = field(default_factory=LineCounts)
    rejections: list[Rejection] = field(default_factory=list)
    sessions: set[UUID] = field(default_factory=set)
    turns: list[tuple[int, Line]] = field(default_factory=list)

    def reject(self, offset: int, reason: str, detail: str, content: bytes) -> None:
        """Count and keep something that is not taken."""
        self.counts.rejected[reason] += 1
        self.rejections.append(Rejection(offset, reason, detail, content))


@dataclass(frozen=True, slots=True)
class Step:
    """What a step did. `more`: there is more to read at once. `unfinished`: bytes without end."""

    lines: int
    bytes: int
    events: int
    set_aside: int
    more: bool
    unfinished: int


class Capture:
    """Reads, classifies, writes and settles; knows nothing of when."""

    def __init__(
        self,
        *,
        database: Database,
        writer: EventWriter,
        positions: Positions,
        sessions: Sessions,
        max_line_bytes: int,
        in_hand: InHand,
        redactor: Redactor | None,
        beat: Callable[[], None],
    ) -> None:
        self._database = database
        self._writer = writer
        self._positions = positions
        self._sessions = sessions
        self._max_line_bytes = max_line_bytes
        self._in_hand = in_hand
        self._redactor = redactor
        self._beat = beat
        self._copies = Copies(database)

    def forget(self) -> None:
        """Learn everything again from the database."""
        self._copies.forget()

    def step(self, source: ActiveSource) -> Step:
        """Take the next lines of a source in.

        Raises DatabaseUnavailable with nothing settled when they cannot be written now.
        """
        source.file.refresh()
        if source.file.compare(source.stored.position, self._beat) == "rewritten":
            logger.info("%s was rewritten: it is read from its beginning", source.path)
            source.start_over()
        batch = Batch(source.stored.position)
        chunk = self._fill(batch, source)
        return self._finish(batch, source, chunk)

    def step_unfinished(self, source: ActiveSource) -> Step | None:
        """Take the last line in although its newline is missing, if it is whole."""
        source.file.refresh()
        chunk = source.file.read_unfinished(source.stored.position, self._max_line_bytes)
        if chunk is None or not all(isinstance(ln, Line) and _whole(ln) for ln in chunk.lines):
            return None
        batch = Batch(source.stored.position)
        self._take_chunk(batch, source, chunk)
        return self._finish(batch, source, chunk)

    def _fill(self, batch: Batch, source: ActiveSource) -> Chunk:
        start = batch.position.offset
        while True:
            chunk = source.file.read(batch.position, self._max_line_bytes, self._beat)
            self._take_chunk(batch, source, chunk)
            full = len(batch.events) >= BATCH_EVENTS or batch.position.offset - start >= BATCH_BYTES
            if full or not chunk.more:
                return chunk
            self._beat()

    def _take_chunk(self, batch: Batch, source: ActiveSource, chunk: Chunk) -> None:
        for line in chunk.lines:
            batch.counts.lines += 1
            if isinstance(line, TooLong):
                self._take_too_long(batch, source, line)
            elif self._in_hand.is_poison(source.stored.id, line.start):
                self._set_aside(batch, source, line)
            else:
                for outcome in self._classified(source, line):
                    self._take(batch, source, line, outcome)
        batch.position = chunk.position

    def _classified(self, source: ActiveSource, line: Line) -> list[Outcome]:
        """What the line is. If this is the end of the process, it will be known of which line."""
        self._in_hand.take(source.stored.id, line.start)
        found = [self._redact_turn(outcome) for outcome in outcomes(line.data, line.start)]
        self._in_hand.put_down()
        return found

    def _redact_turn(self, outcome: Outcome) -> Outcome:
        if self._redactor is None or not isinstance(outcome, Turn):
            return outcome
        text, redacted = self._redactor.redact(outcome.text)
        return replace(outcome, text=text, redacted=redacted) if redacted else outcome

    def _kept(self, content: bytes) -> bytes:
        """Content of a rejected line as it may be stored."""
        if self._redactor is None:
            return content
        return self._redactor.redact(content.decode("utf-8", "replace"))[0].encode()

    def _set_aside(self, batch: Batch, source: ActiveSource, line: Line) -> None:
        detail = "the watcher died of this line repeatedly: it is set aside"
        logger.error("%s: byte %d: %s", source.path, line.start, detail)
        batch.reject(line.start, POISON, detail, self._kept(line.data))

    def _take_too_long(self, batch: Batch, source: ActiveSource, line: TooLong) -> None:
        detail = f"{line.length} bytes, more than the {self._max_line_bytes} allowed"
        logger.warning("%s: a line at byte %d has %s", source.path, line.start, detail)
        batch.reject(
            line.start, "too_long", detail, self._kept(source.file.begin(line.start, KEPT_BYTES))
        )

    def _take(self, batch: Batch, source: ActiveSource, line: Line, outcome: Outcome) -> None:
        if isinstance(outcome, Turn):
            self._take_turn(batch, source, line, outcome)
        elif isinstance(outcome, Other):
            self._take_other(batch, source, outcome, line.start)
        else:
            self._take_rejected(batch, source, line, outcome)

    def _take_rejected(
        self, batch: Batch, source: ActiveSource, line: Line, rejected: Rejected
    ) -> None:
        where, why = rejected.offset, rejected.detail
        logger.warning("%s: rejected at byte %d: %s", source.path, where, why)
        batch.reject(where, rejected.reason, why, self._kept(line.data))

    def _take_turn(self, batch: Batch, source: ActiveSource, line: Line, turn: Turn) -> None:
        batch.sessions.add(turn.session)
        if not self._sessions.captured(turn.session):
            batch.counts.other["not_registered"] += 1
            return
        session = self._sessions.meet(turn.session, turn.cwd, source.path)
        if session is None:
            session = self._sessions.meet_anyway(turn.session, source.path)
        self._note(batch, source, session, turn.timestamp, turn.uuid, turn.offset)
        batch.counts.salvaged += turn.salvaged
        batch.turns.append((len(batch.events), line))
        batch.events.append(turn.event(source.stored.id, session.project_id, session.agent_id))

    def _take_other(self, batch: Batch, source: ActiveSource, other: Other, start: int) -> None:
        kind = other.kind
        if other.session is not None:
            batch.sessions.add(other.session)
            if not self._sessions.captured(other.session):
                kind = "not_registered"
            elif session := self._sessions.meet(other.session, other.cwd, source.path):
                when = other.timestamp or _modified(source)
                self._note(batch, source, session, when, other.uuid, start)
        batch.counts.other[kind] += 1
        batch.counts.salvaged += other.salvaged

    def _note(
        self,
        batch: Batch,
        source: ActiveSource,
        session: StoredSession,
        when: datetime,
        line: str | None,
        offset: int,
    ) -> None:
        origin = Origin(source.stored.id, offset)
        announcement = self._sessions.announcement(session, when, origin)
        if announcement is not None:
            batch.events.append(announcement)
        self._sessions.saw_line(session, when, line)

    def _finish(self, batch: Batch, source: ActiveSource, chunk: Chunk) -> Step:
        before = source.stored.position
        if batch.events:
            self._write(batch, source)
        if batch.position != before:
            self._settle(batch, source)
        read = batch.position.offset - before.offset
        set_aside = batch.counts.rejected[POISON]
        lines, turns = batch.counts.lines, len(batch.turns)
        return Step(lines, read, turns, set_aside, chunk.more, chunk.unfinished)

    def _write(self, batch: Batch, source: ActiveSource) -> None:
        results = self._writer.write_all(batch.events)
        if not results[-1].settled:
            raise DatabaseUnavailable(results[-1].error or "the write failed")
        for number, line in batch.turns:
            self._count(batch, batch.events[number], results[number], line)
        self._mark_copies(batch, results)
        duplicates = [n for n, _ in batch.turns if results[n].outcome == "duplicate"]
        if duplicates:
            self._tell_duplicates(source, [batch.events[n] for n in duplicates])

    def _mark_copies(self, batch: Batch, results: Sequence[WriteResult]) -> None:
        shared = [batch.events[n] for n, _ in batch.turns if results[n].shared]
        if shared or self._copies.concern(batch.sessions):
            self._copies.mark(batch.sessions, [event.key for event in shared])

    def _count(self, batch: Batch, event: Event, result: WriteResult, line: Line) -> None:
        if result.outcome in ("written", "again"):
            batch.counts.turns += 1
        elif result.outcome == "duplicate":
            batch.counts.duplicates += 1
        else:
            error = result.error or "rejected"
            offset = event.origin.offset if event.origin else line.start
            logger.warning("%s at byte %d rejected: %s", TURN_DETECTED, offset, error)
            batch.reject(offset, "refused", error, self._kept(line.data))

    def _tell_duplicates(self, source: ActiveSource, duplicates: Sequence[Event]) -> None:
        first = duplicates[0]
        logger.warning(
            "%s: %d turns stand in the log already from another place, the first at byte %s"
            " (session %s, line %s)",
            source.path, len(duplicates), first.origin and first.origin.offset,
            first.session_uuid, first.payload["line_uuid"],
        )  # fmt: skip

    def _settle(self, batch: Batch, source: ActiveSource) -> None:
        stored = source.stored
        stored.position = batch.position
        stored.counts.add(batch.counts)
        stored.sessions |= batch.sessions
        statements = self._positions.settle(stored, batch.rejections)
        statements += self._sessions.take_changes()
        if batch.events:
            statements.append(NOTIFICATION)
        self._database.execute("; ".join(statements))
        self._in_hand.settled(stored.id, stored.position.offset)


def _whole(line: Line) -> bool:
    """Whether every part of a line without newline is a record, so that it can be taken."""
    found = list(outcomes(line.data, line.start))
    return bool(found) and not any(isinstance(outcome, Rejected) for outcome in found)


def _modified(source: ActiveSource) -> datetime:
    return datetime.fromtimestamp(source.file.stat.st_mtime, tz=timezone.utc)
