"""One step of capture: reads lines of a source, writes their events, commits the checkpoint."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from claude_headspace.capture.attribution import Attribution, Batch
from claude_headspace.capture.in_flight import InFlight
from claude_headspace.capture.read_ahead import ReadAhead
from claude_headspace.capture.reader import LineReader, Segment
from claude_headspace.capture.sources import ActiveSource
from claude_headspace.events.dead_letter_reasons import POISON, REFUSED
from claude_headspace.events.event import Event
from claude_headspace.events.event_types import TURN_DETECTED
from claude_headspace.sessions.log import Log
from claude_headspace.store.checkpoints import StoredSource
from claude_headspace.store.connection import Meanwhile
from claude_headspace.store.copies import Copies
from claude_headspace.store.projections import work_statements
from claude_headspace.store.results import WriteResult
from claude_headspace.store.revisions import Revisions
from claude_headspace.store.writer import NOTIFICATION
from claude_headspace.transcripts.checkpoint import LineCounts
from claude_headspace.transcripts.parsed import Turn

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CaptureStep:
    """The result of a step. `more`: more can be read now. `unfinished`: bytes without a newline.

    `holds_prompts`: prompts wait for a line that reports them.
    """

    lines: int
    bytes: int
    poison: int
    more: bool
    unfinished: int
    holds_prompts: bool


@dataclass(eq=False, kw_only=True)
class Capture:
    """Reads, classifies, attributes, writes and commits lines when it is called.

    A step that cannot be written raises DatabaseUnavailable, with the checkpoint where it was.
    Some of its events may be in the log: the next step writes them again, which changes nothing.
    Before that, call `clear` here and have the sessions learnt again.
    """

    log: Log
    reader: LineReader
    beat: Callable[[], None]
    in_flight: InFlight
    count_rejected: Callable[[Mapping[str, int]], None]

    def __post_init__(self) -> None:
        self._sessions = self.log.sessions
        self._ahead = ReadAhead(self.reader, self.beat)
        self._attribution = Attribution(self.log.sessions, self.reader.redaction, self.in_flight)
        self._revisions = Revisions(self.log.database)
        self._copies = Copies(self.log.database, self.log.sessions.learnt)

    def clear(self) -> None:
        """Drop everything that is known; files and database are read again."""
        self._ahead.clear()
        self._copies.clear()

    def look_at_copies(self) -> bool:
        """Find out whose turns one session repeats; False if no session is left."""
        self._sessions.copies_due = self._sessions.copies_due and self._copies.step()
        return self._sessions.copies_due

    def step(self, source: ActiveSource, *, later: bool = False) -> CaptureStep:
        """Capture the next lines of a source.

        With `later`, their checkpoint is perhaps committed only when `finish_writes` returns.
        """
        return self._advance(source, self._ahead.segment, later=later)

    def finish_writes(self) -> None:
        """Wait until the checkpoint of the last step is committed; raises like the step."""
        self.log.database.finish_writes()

    def step_unfinished(self, source: ActiveSource) -> CaptureStep:
        """Capture the last line without its newline, if it is complete."""
        return self._advance(source, self.reader.read_unfinished)

    def step_waiting_prompts(self, source: ActiveSource) -> CaptureStep:
        """Capture waiting prompts for which no line has come."""
        return self._advance(source, self.reader.read_waiting_prompts)

    def _advance(
        self, source: ActiveSource, read: Callable[[ActiveSource], Segment], *, later: bool = False
    ) -> CaptureStep:
        """Bring lines into the log. `read` returns them classified."""
        checked = source.checked()
        segment = read(checked)
        batch = self._attribution.attribute(checked, segment)

        def meanwhile() -> bool:
            """Read the next lines while Postgres works."""
            return self._ahead.fill(batch.source, batch.segment)

        results = self._write(batch, meanwhile)
        source.stored = self._commit(batch, results, meanwhile, later=later and segment.more)
        return CaptureStep(
            batch.counts.lines, segment.size, batch.counts.rejected[POISON], segment.more,
            segment.unfinished, segment.holds_prompts,
        )  # fmt: skip

    def _write(self, batch: Batch, meanwhile: Meanwhile) -> Sequence[WriteResult]:
        if not batch.events:
            return ()
        precondition = batch.stored.precondition
        return self.log.writer.write_or_raise(batch.events, precondition, meanwhile)

    def _commit(
        self, batch: Batch, results: Sequence[WriteResult], meanwhile: Meanwhile, *, later: bool
    ) -> StoredSource:
        """Commit the checkpoint, with everything that was learned from the lines."""
        before = batch.stored
        if batch.segment.end == before.checkpoint:
            return before
        self._account(batch, results)
        if batch.titles:
            self._sessions.saw_titles_of_lines(batch.titles, "summary")
        statements = self._sessions.take_changes()
        statements += work_statements(self.log.database, batch.work)
        statements += [self._revisions.withdraw(each.key, each.session) for each in batch.withdrawn]
        if batch.events:
            statements.append(NOTIFICATION)
        counts = LineCounts.from_json(before.counts.as_json())
        counts.add(batch.counts)
        after = replace(
            before,
            checkpoint=batch.segment.end,
            counts=counts,
            sessions=before.sessions | batch.sessions,
        )

        def committed() -> None:
            self.count_rejected(batch.counts.rejected)
            self.in_flight.committed(after.id, after.checkpoint.offset)

        commit = self.log.checkpoints.commit
        if later:
            return commit(after, batch.dead_letters, statements, later=committed)
        stored = commit(after, batch.dead_letters, statements, meanwhile)
        committed()
        return stored

    def _account(self, batch: Batch, results: Sequence[WriteResult]) -> None:
        """Count the results of the turns."""
        duplicates: list[Event] = []
        for ((session, turn, line), event), result in zip(batch.made, results, strict=True):
            if not isinstance(turn, Turn):
                continue
            self._sessions.shares(session, shared=result.shared)
            if result.outcome == "duplicate":
                batch.counts.duplicates += 1
                duplicates.append(event)
            elif result.outcome == "rejected":
                error = result.error or "rejected"
                logger.warning("%s at byte %d rejected: %s", TURN_DETECTED, turn.offset, error)
                content = self.reader.redaction.content(line.data)
                batch.reject(turn.offset, REFUSED, error, content)
            else:
                batch.counts.turns += 1
        if duplicates:
            _tell_duplicates(batch.stored.path, duplicates)


def _tell_duplicates(path: str, duplicates: Sequence[Event]) -> None:
    first = duplicates[0]
    logger.warning(
        "%s: the log already has %d of its turns from another place, the first at byte %s"
        " (session %s, line %s)",
        path, len(duplicates), first.origin and first.origin.offset,
        first.session_uuid, first.payload.get("line_uuid"),
    )  # fmt: skip
