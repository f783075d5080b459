"""Applies the current rules to one part of a source that was read by older rules."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from uuid import UUID

import msgspec

from claude_headspace.events.dead_letter_reasons import TOO_LONG
from claude_headspace.events.event import Event, Origin, encode
from claude_headspace.sessions.lifecycle import Sessions
from claude_headspace.store.checkpoints import StoredSource
from claude_headspace.store.projections import WorkRows
from claude_headspace.store.revisions import LoggedTurn, Revisions, TurnName
from claude_headspace.transcripts.checkpoint import RULES, LineCounts
from claude_headspace.transcripts.lines import Line, TooLong
from claude_headspace.transcripts.outcomes import Other, Outcome, Rejected, Turn, line_key
from claude_headspace.transcripts.secrets import Redaction
from claude_headspace.transcripts.transcript import Transcript


@dataclass(slots=True)
class RereadPart:
    """Committed lines of a source, read again; `counts` covers all lines up to its end."""

    source: StoredSource
    counts: LineCounts
    turns: list[Turn] = field(default_factory=list)
    # Lines that are not turns.
    others: set[TurnName] = field(default_factory=set)
    rejected: set[int] = field(default_factory=set)
    events: list[Event] = field(default_factory=list)
    work: WorkRows = field(default_factory=WorkRows)
    added: set[TurnName] = field(default_factory=set)
    # Titles of sessions by the key of the line that gave them.
    titles: dict[UUID, str] = field(default_factory=dict)


def left_open(stored: StoredSource) -> tuple[str, LineCounts]:
    """The open state after the lines that were read again."""
    if not stored.reread_state:
        return "", LineCounts()
    state, counts = json.loads(stored.reread_state)
    return state, LineCounts.from_json(counts)


class PartReader:
    """Reads parts, and makes the statements that correct the log."""

    def __init__(self, sessions: Sessions, revisions: Revisions, redaction: Redaction) -> None:
        self._sessions = sessions
        self._revisions = revisions
        self._redaction = redaction

    def read(self, source: StoredSource, lines: Sequence[Line | TooLong]) -> tuple[RereadPart, str]:
        """Read these lines, which follow those already read again."""
        state, counts = left_open(source)
        part = RereadPart(source, counts)
        transcript = Transcript(state, self._redaction.text)
        for line in lines:
            counts.lines += 1
            if isinstance(line, TooLong):
                counts.rejected[TOO_LONG] += 1
                part.rejected.add(line.start)
                continue
            for outcome in transcript.outcomes(line.data, line.start):
                self._add(part, line, self._redaction.outcome(outcome))
        return part, transcript.state

    def _add(self, part: RereadPart, line: Line, outcome: Outcome) -> None:
        if isinstance(outcome, Rejected):
            part.counts.rejected[outcome.reason] += 1
            part.rejected.add(outcome.offset)
        elif isinstance(outcome, (Turn, Other)):
            part.counts.rescued += outcome.rescued
            if outcome.session is not None and not self._sessions.captured(outcome.session):
                part.counts.other["not_registered"] += 1
                return
            self._learn(part, outcome)
            place = (part.source.id, part.source.generation, line.start, line.size)
            self._sessions.add_work(part.work, outcome, *place)
            if isinstance(outcome, Turn):
                part.turns.append(outcome)
                return
            part.counts.other[outcome.kind] += 1
            if outcome.uuid and outcome.session:
                part.others.add((line_key(outcome.uuid), outcome.session))

    def _learn(self, part: RereadPart, found: Turn | Other) -> None:
        if found.session is None or found.timestamp is None:
            self._learn_title(part, found)
            return
        path, when = part.source.path, found.timestamp
        session = self._sessions.meet(found.session, found.cwd, path, when)
        if session is None:
            return
        origin = Origin(part.source.id, part.source.reread_bytes)
        announcement = self._sessions.hear(session, found, when, origin, again=True)
        if announcement is not None:
            part.events.append(announcement.annotated(rules=RULES))

    def _learn_title(self, part: RereadPart, found: Turn | Other) -> None:
        """Record a title that a line without a time gives to a session."""
        if found.title is None:
            return
        session = self._sessions.find(found.session) if found.session else None
        if session is not None:
            self._sessions.saw_title(session, found.title.kind, found.title.text)
        elif found.title.leaf is not None:
            part.titles[line_key(found.title.leaf)] = found.title.text

    def statements(self, part: RereadPart, end: int) -> list[str]:
        """The statements that correct the log for a part; its `events` are still to be written."""
        said = {(turn.key, turn.session) for turn in part.turns}
        logged = self._revisions.logged({key for key, _ in said | part.others})
        statements = [
            statement
            for turn in part.turns
            for statement in self._corrections(part, turn, logged.get((turn.key, turn.session)))
        ]
        wrong = [logged[name].id for name in part.others - said if name in logged]
        statements += self._revisions.retract(wrong)
        if part.source.counts.rejected:
            start, rejected = part.source.reread_bytes, part.rejected
            statements.append(self._revisions.resolve(part.source.id, start, end, rejected))
        return statements

    def _corrections(
        self, part: RereadPart, turn: Turn, known: LoggedTurn | None
    ) -> Collection[str]:
        """The statements for one turn; a missing turn is added to the part's events."""
        session = self._sessions.find(turn.session)
        session = session or self._sessions.meet_turn(turn, part.source.path)
        event = self._sessions.turn_event(turn, part.source.id, session)
        name = (turn.key, turn.session)
        if name in part.added:
            part.counts.duplicates += 1
            return ()
        if known is None:
            part.added.add(name)
            part.counts.turns += 1
            part.events.append(event.annotated(rules=RULES))
            return ()
        here = known.origin == event.origin
        part.counts.turns += here
        part.counts.duplicates += not here
        if "copy_of" in known.annotations and "copy_of" not in event.annotations:
            self._sessions.shares(session, shared=True)
        return self._revise(known, event)

    def _revise(self, known: LoggedTurn, event: Event) -> Collection[str]:
        payload, event = encode(event)
        today = msgspec.json.decode(payload)
        notes = {**known.annotations, **event.annotations}
        before = {n: v for n, v in known.payload.items() if today.get(n) != v}
        if before:
            before = {n: self._redaction.text(str(v)) for n, v in before.items()}
            notes["revised"] = {"rules": RULES, **before}
        same = today == known.payload and notes == known.annotations and not known.retracted
        return () if same else (self._revisions.revise(known, payload, notes, event.timestamp),)
