"""Reads again, beside the capture, what was read by older rules, and sets the log right.

Turns that are missing are added, turns that are told otherwise are revised, and events that
today's rules do not make are retracted. It goes on where it was after a restart, and begins
nothing while there is something else to do.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import msgspec

from claude_headspace.capture.reader import TOO_LONG, Reader
from claude_headspace.capture.sources import ActiveSource, Sources
from claude_headspace.errors import DatabaseUnavailable
from claude_headspace.events.event import Event, Origin, encode
from claude_headspace.sessions.known import Sessions
from claude_headspace.store.checkpoints import Checkpoints, StoredSource
from claude_headspace.store.connection import Database
from claude_headspace.store.revisions import Identity, LoggedTurn, Revisions
from claude_headspace.store.writer import NOTIFICATION, EventWriter
from claude_headspace.transcripts.checkpoint import RULES, Checkpoint, LineCounts
from claude_headspace.transcripts.lines import Line, TooLong
from claude_headspace.transcripts.tailer import SourceFile
from claude_headspace.transcripts.transcript import (
    Other,
    Outcome,
    Rejected,
    Transcript,
    Turn,
    line_key,
)

logger = logging.getLogger(__name__)

# One step reads so much, so that a line that is written meanwhile waits for milliseconds only.
STEP_BYTES = 32 * 1024
# After a step this pauses for so many times as long as it took: longer while sessions are
# being written, so that hardly a line meets a step.
REST = 2.0
REST_BESIDE_CAPTURE = 20.0
# What the reading of lines does not tell: it stands as it was counted.
_NOT_READ = ("poison", "refused")


@dataclass(slots=True)
class _Part:
    """What stands in one part of a source."""

    start: int
    end: int
    turns: list[Turn] = field(default_factory=list)
    others: list[Other] = field(default_factory=list)
    rejected: set[int] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    added: set[Identity] = field(default_factory=set)
    # Names of sessions by the key of a line of theirs.
    titles: dict[UUID, str] = field(default_factory=dict)


class Reread:
    """Goes through the sources whose lines were read by older rules, one step at a time.

    `finished` is called with the path of a source that is done; `is_capturing` says whether lines
    are being written at this time.
    """

    def __init__(
        self,
        *,
        database: Database,
        writer: EventWriter,
        checkpoints: Checkpoints,
        sources: Sources,
        sessions: Sessions,
        reader: Reader,
        max_line_bytes: int,
        beat: Callable[[], None],
        finished: Callable[[str], None],
        is_capturing: Callable[[], bool],
    ) -> None:
        self._database = database
        self._writer = writer
        self._checkpoints = checkpoints
        self._sources = sources
        self._sessions = sessions
        self._reader = reader
        self._max_line_bytes = max_line_bytes
        self._beat = beat
        self._tell_finished = finished
        self._is_capturing = is_capturing
        self._revisions = Revisions(database)
        self._file: SourceFile | None = None
        self._source_id = 0
        self._passed_over: set[int] = set()
        self._finished = False
        self._next = 0.0

    def forget(self) -> None:
        """Learn from the database again what is to be done."""
        self._let_go()
        self._passed_over.clear()
        self._finished = False

    def pass_over(self) -> None:
        """Leave out the source being read until everything is learnt anew."""
        self._passed_over.add(self._source_id)
        self._let_go()

    @property
    def due(self) -> float | None:
        """When, on the monotonic clock, the next step is due; None when nothing is left."""
        return None if self._finished else self._next

    def step(self) -> None:
        """Read one part again, if it is time."""
        began = time.monotonic()
        if self._finished or began < self._next:
            return
        source = self._source()
        if source is None:
            self._finished = True
            return
        if source.stored.reread_bytes < source.stored.checkpoint.offset:
            self._advance(source)
        if source.stored.reread_bytes >= source.stored.checkpoint.offset:
            self._finish(source)
        rest = REST_BESIDE_CAPTURE if self._is_capturing() else REST
        self._next = time.monotonic() + rest * (time.monotonic() - began)

    def _source(self) -> ActiveSource | None:
        """The source that is being read again; None when none is left whose file is there."""
        while True:
            stored = self._checkpoints.outdated(self._source_id, sorted(self._passed_over))
            if stored is None:
                return None
            if stored.id != self._source_id:
                self._let_go()
            source = self._opened(stored)
            if source is not None:
                return source
            self._passed_over.add(stored.id)

    def _opened(self, stored: StoredSource) -> ActiveSource | None:
        try:
            found = {each.stored.id: each for each in self._sources.open(stored.path)}
            source = found.get(stored.id)
            if source is None or source.stored.rules == RULES:
                return None
            if self._file is None:
                self._file, self._source_id = self._sources.reopened(source), stored.id
            self._file.refresh()
            if self._file.identity != source.file.identity:
                return None
            same = self._file.compare(source.stored.checkpoint, self._beat) == "same"
        except OSError as error:
            logger.debug("%s cannot be read again: %s", stored.path, error)
            return None
        return source if same else None

    def _let_go(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file, self._source_id = None, 0

    def _advance(self, source: ActiveSource) -> None:
        stored = source.stored
        state, counts = _opened_state(stored)
        transcript = Transcript(state, self._reader.redacted_text)
        part = _Part(stored.reread_bytes, stored.reread_bytes)
        for line in self._lines(stored, part):
            counts.lines += 1
            self._take(source, transcript, part, line, counts)
        self._reconcile(source, part, counts, transcript.state)

    def _lines(self, stored: StoredSource, part: _Part) -> Sequence[Line | TooLong]:
        """The next lines of those that are committed; `part` is set to where they end."""
        if self._file is None:
            return []
        start, committed = part.start, stored.checkpoint.offset
        chunk = self._file.read(Checkpoint(start), self._max_line_bytes, self._beat, STEP_BYTES)
        part.end = min(chunk.checkpoint.offset, committed)
        if part.end == start:  # the last line has no newline
            part.end = committed
            return [Line(start, self._file.begin(start, committed - start))]
        return [line for line in chunk.lines if line.start < committed]

    def _take(
        self,
        source: ActiveSource,
        transcript: Transcript,
        part: _Part,
        line: Line | TooLong,
        counts: LineCounts,
    ) -> None:
        if isinstance(line, TooLong):
            counts.rejected[TOO_LONG] += 1
            part.rejected.add(line.start)
            return
        for outcome in transcript.outcomes(line.data, line.start):
            self._take_outcome(source, part, self._reader.redacted(outcome), counts)

    def _take_outcome(
        self, source: ActiveSource, part: _Part, outcome: Outcome, counts: LineCounts
    ) -> None:
        if isinstance(outcome, Rejected):
            counts.rejected[outcome.reason] += 1
            part.rejected.add(outcome.offset)
        elif isinstance(outcome, (Turn, Other)):
            counts.rescued += outcome.rescued
            if outcome.session is not None and not self._sessions.captured(outcome.session):
                counts.other["not_registered"] += 1
                return
            self._learn(source, part, outcome)
            if isinstance(outcome, Turn):
                part.turns.append(outcome)
                return
            counts.other[outcome.kind] += 1
            part.others.append(outcome)

    def _learn(self, source: ActiveSource, part: _Part, found: Turn | Other) -> None:
        if found.session is None or found.timestamp is None:
            self._learn_title(part, found)
            return
        session = self._sessions.meet(found.session, found.cwd, source.path, found.timestamp)
        if session is None:
            return
        origin = Origin(source.stored.id, part.start)
        announcement = self._sessions.announcement(session, found.timestamp, origin)
        if announcement is not None:
            part.events.append(announcement.annotated(rules=RULES))
        self._sessions.learn(session, found, found.timestamp, again=True)

    def _learn_title(self, part: _Part, found: Turn | Other) -> None:
        """Take note of a name that a line without a time gives its session or another."""
        title = found.title if isinstance(found, Other) else None
        if title is None:
            return
        session = self._sessions.find(found.session) if found.session else None
        if session is not None:
            self._sessions.saw_title(session, title.kind, title.text)
        elif title.leaf is not None:
            part.titles[line_key(title.leaf)] = title.text

    def _reconcile(self, source: ActiveSource, part: _Part, counts: LineCounts, state: str) -> None:
        others = {(line_key(o.uuid), o.session) for o in part.others if o.uuid and o.session}
        said = {(turn.key, turn.session) for turn in part.turns}
        logged = self._revisions.logged({key for key, _ in said | others})
        statements: list[str] = []
        for turn in part.turns:
            statements += self._set_right(source, part, turn, logged, counts)
        wrong = [logged[name].id for name in others - said if name in logged]
        statements += self._revisions.retract(wrong)
        if source.stored.counts.rejected:
            statements.append(
                self._revisions.resolve(source.stored.id, part.start, part.end, part.rejected)
            )
        self._store(source, part, counts, state, statements)

    def _set_right(
        self,
        source: ActiveSource,
        part: _Part,
        turn: Turn,
        logged: Mapping[Identity, LoggedTurn],
        counts: LineCounts,
    ) -> list[str]:
        """The statements for one turn; if it is missing, its event is added to the part's."""
        session = self._sessions.find(turn.session)
        if session is None:
            session = self._sessions.meet_anyway(turn.session, source.path)
        event = turn.event(source.stored.id, session.project_id, session.agent_id)
        original = self._sessions.original(session, turn)
        if original is not None:
            event = event.annotated(copy_of=str(original))
        if (turn.key, turn.session) in part.added:
            counts.duplicates += 1
            return []
        known = logged.get((turn.key, turn.session))
        if known is None:
            part.added.add((turn.key, turn.session))
            counts.turns += 1
            part.events.append(event.annotated(rules=RULES))
            return []
        here = known.origin == event.origin
        counts.turns += here
        counts.duplicates += not here
        if "copy_of" in known.annotations and original is None:
            self._sessions.shares(session, shared=True)
        return self._revise(known, event)

    def _revise(self, known: LoggedTurn, event: Event) -> list[str]:
        payload, event = encode(event)
        today = msgspec.json.decode(payload)
        notes = {**known.annotations, **event.annotations}
        before = {n: v for n, v in known.payload.items() if today.get(n) != v}
        if before:
            before = {n: self._reader.redacted_text(str(v)) for n, v in before.items()}
            notes["revised"] = {"rules": RULES, **before}
        same = today == known.payload and notes == known.annotations and not known.retracted
        return [] if same else [self._revisions.revise(known, payload, notes, event.timestamp)]

    def _store(
        self,
        source: ActiveSource,
        part: _Part,
        counts: LineCounts,
        state: str,
        statements: list[str],
    ) -> None:
        stored = replace(
            source.stored,
            reread_bytes=part.end,
            reread_state=json.dumps([state, counts.as_json()]),
        )
        if part.events:
            results = self._writer.write_all(part.events)
            if not results[-1].acknowledged:
                raise DatabaseUnavailable(results[-1].error or "the write failed")
            statements.append(NOTIFICATION)
        if part.titles:
            self._sessions.saw_titles_of_lines(part.titles, "summary")
        statements += [self._checkpoints.reread(stored), *self._sessions.take_changes()]
        self._database.execute("; ".join(statements))
        source.stored = stored

    def _finish(self, source: ActiveSource) -> None:
        """Everything that is committed was read by today's rules: from here on the capture is."""
        state, counts = _opened_state(source.stored)
        for reason in _NOT_READ:
            if source.stored.counts.rejected[reason]:
                counts.rejected[reason] = source.stored.counts.rejected[reason]
        stored = replace(
            source.stored,
            checkpoint=replace(source.stored.checkpoint, state=state),
            counts=counts,
            rules=RULES,
            reread_bytes=0,
            reread_state="",
        )
        self._database.execute("; ".join(self._checkpoints.commit(stored, [])))
        source.stored = stored
        self._reader.forget()
        self._let_go()
        self._tell_finished(source.path)
        logger.info("%s was read again by the rules of today", source.path)


def _opened_state(stored: StoredSource) -> tuple[str, LineCounts]:
    """What the lines that were read again left open, and what they were."""
    if not stored.reread_state:
        return "", LineCounts()
    state, counts = json.loads(stored.reread_state)
    return state, LineCounts.from_json(counts)
