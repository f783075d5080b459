"""Reads files again that were read by older rules, and corrects the log.

It adds missing turns, revises turns that the new rules read differently, and retracts events that
they do not make. After a restart it continues where it was. Capture always comes first.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from claude_headspace.capture.attribution import Attribution
from claude_headspace.capture.corrections import Corrections
from claude_headspace.capture.reader import LineReader
from claude_headspace.capture.sources import ActiveSource, Sources
from claude_headspace.discovery.listing import look
from claude_headspace.events.dead_letter_reasons import POISON, REFUSED
from claude_headspace.sessions.log import Log
from claude_headspace.store.checkpoints import StoredSource
from claude_headspace.store.projections import work_statements
from claude_headspace.store.revisions import Revisions
from claude_headspace.store.writer import NOTIFICATION
from claude_headspace.transcripts.checkpoint import RULES, Checkpoint, LineCounts
from claude_headspace.transcripts.source_file import SourceFile

logger = logging.getLogger(__name__)

# The bytes of one step, so that a new line waits only for milliseconds.
STEP_BYTES = 32 * 1024
# After a step it pauses for this many times its duration: longer while sessions are being
# written, so that steps hardly delay lines.
REST = 2.0
REST_BESIDE_CAPTURE = 20.0
# Counts that do not come from the lines and stay as they are.
_NOT_READ = (POISON, REFUSED)


@dataclass(eq=False, kw_only=True)
class Reread:
    """Goes through the sources whose lines were read by older rules, one step at a time.

    `finished` is called with the path of a completed source; `is_capturing` says whether lines are
    being written now. `archived` returns the archived copy of a source by its id and path, for when
    its file is gone.
    """

    log: Log
    sources: Sources
    reader: LineReader
    beat: Callable[[], None]
    finished: Callable[[str], None]
    is_capturing: Callable[[], bool]
    archived: Callable[[int, str], SourceFile | None]

    def __post_init__(self) -> None:
        sessions, revisions = self.log.sessions, Revisions(self.log.database)
        self._attribution = Attribution(sessions, self.reader.redaction)
        self._corrections = Corrections(sessions, revisions, self.reader.redaction)
        self._file: SourceFile | None = None
        self._source_id = 0
        self._passed_over: set[int] = set()
        self._finished = False
        self._next = 0.0

    def clear(self) -> None:
        """Drop what is known; the database says again what is to be done."""
        self._let_go()
        self._passed_over.clear()
        self._finished = False

    @property
    def due(self) -> float | None:
        """When, on the monotonic clock, the next step is due; None when nothing is left."""
        return None if self._finished else self._next

    def step(self) -> None:
        """Read one part again, if it is time. A source that fails is skipped until `clear`."""
        try:
            self._step()
        except BaseException:
            self._passed_over.add(self._source_id)
            self._let_go()
            raise

    def _step(self) -> None:
        began = time.monotonic()
        if self._finished or began < self._next:
            return
        found = self._source()
        if found is None:
            self._finished = True
            return
        source, file = found
        if source.stored.reread_bytes < source.stored.checkpoint.offset:
            source.stored = self._advance(source.stored, file)
        if source.stored.reread_bytes >= source.stored.checkpoint.offset:
            source.stored = self._finish(source.stored)
        rest = REST_BESIDE_CAPTURE if self.is_capturing() else REST
        self._next = time.monotonic() + rest * (time.monotonic() - began)

    def _source(self) -> tuple[ActiveSource, SourceFile] | None:
        """The source that is being read again; None if no readable one is left."""
        while True:
            stored = self.log.checkpoints.outdated(self._source_id, sorted(self._passed_over))
            if stored is None:
                return None
            if stored.id != self._source_id:
                self._let_go()
            found = self._opened(stored)
            if found is not None:
                return found
            self._passed_over.add(stored.id)

    def _opened(self, stored: StoredSource) -> tuple[ActiveSource, SourceFile] | None:
        try:
            if look(stored.path) is None:
                return self._opened_archive(stored)
            found = {each.stored.id: each for each in self.sources.open(stored.path)}
            source = found.get(stored.id)
            if source is None or source.stored.rules == RULES:
                return None
            if self._file is None:
                self._file, self._source_id = self.sources.reopened(source), stored.id
            self._file.refresh()
            if self._file.identity != source.file.identity:
                return None
            same = self._file.compare(source.stored.checkpoint) == "same"
        except OSError as error:
            logger.debug("%s cannot be read again: %s", stored.path, error)
            return None
        return (source, self._file) if same else None

    def _opened_archive(self, stored: StoredSource) -> tuple[ActiveSource, SourceFile] | None:
        if self._file is None:
            self._file, self._source_id = self.archived(stored.id, stored.path), stored.id
        if self._file is None:
            return None
        self._file.beat = self.beat
        if self._file.compare(stored.checkpoint) != "same":
            return None
        return ActiveSource(stored, self._file), self._file

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._source_id = None, 0

    def _advance(self, stored: StoredSource, file: SourceFile) -> StoredSource:
        """Read one part and correct the log; returns the new row."""
        state, counts = _left_open(stored)
        source = ActiveSource(replace(stored, rules=RULES), file)
        start = Checkpoint(stored.reread_bytes, state=state)
        segment = self.reader.read_again(source, start, STEP_BYTES)
        batch = self._attribution.attribute(source, segment)
        events, statements = self._corrections.of(batch)
        if events:
            self.log.writer.write_or_raise(events, stored.precondition)
            statements.append(NOTIFICATION)
        if batch.titles:
            self.log.sessions.saw_titles_of_lines(batch.titles, "summary")
        statements += self.log.sessions.take_changes()
        statements += work_statements(self.log.database, batch.work)
        counts.add(batch.counts)
        reread_state = json.dumps([segment.end.state, counts.as_json()])
        after = replace(stored, reread_bytes=segment.end.offset, reread_state=reread_state)
        return self.log.checkpoints.reread(after, statements)

    def _finish(self, stored: StoredSource) -> StoredSource:
        """All committed lines have been read by the current rules: record that."""
        state, counts = _left_open(stored)
        for reason in _NOT_READ:
            if stored.counts.rejected[reason]:
                counts.rejected[reason] = stored.counts.rejected[reason]
        after = replace(
            stored, checkpoint=replace(stored.checkpoint, state=state), counts=counts,
            rules=RULES, reread_bytes=0, reread_state="",
        )  # fmt: skip
        done = self.log.checkpoints.commit(after)
        self._let_go()
        self.finished(done.path)
        logger.info("%s was read again by the current rules", done.path)
        return done


def _left_open(stored: StoredSource) -> tuple[str, LineCounts]:
    """The open state after the lines that were read again, and their counts."""
    if not stored.reread_state:
        return "", LineCounts()
    state, counts = json.loads(stored.reread_state)
    return state, LineCounts.from_json(counts)
