"""Compares one transcript with the log, record by record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from claude_headspace.archive.session_folders import owners
from claude_headspace.events.dead_letter_reasons import TOO_LONG, WHOLE_LINE
from claude_headspace.events.event import storable
from claude_headspace.events.event_types import TURN_DETECTED
from claude_headspace.events.redaction import REDACTION_MARK
from claude_headspace.store.checkpoints import StoredSource
from claude_headspace.transcripts.checkpoint import RULES
from claude_headspace.transcripts.parsed import Rejected, Turn
from claude_headspace.verify.expected import Expected, ExpectedRecord, ExpectedSegment
from claude_headspace.verify.findings import Finding, FindingKind, Report
from claude_headspace.verify.logged import EventOfTurn, Explanation, LineState, LogSide, NotedLine

# Newer bytes may still wait: a prompt for its line, everything else for the watcher.
_RECENT_SECONDS = 60.0
# The source of a file that the log does not know.
_NO_SOURCE = 0


@dataclass(eq=False)
class FileCheck:
    """Compares one file with the log. `only` limits the check to the turns of one session;
    `watched`: a watcher runs.

    After `run`: `missing`, whether turns must be written, and `wrong`, whether the file must be
    read again.
    """

    path: str
    source: StoredSource | None
    log: LogSide
    captured: Callable[[UUID], bool]
    report: Report
    only: UUID | None
    watched: bool

    def __post_init__(self) -> None:
        self._id = self.source.id if self.source else _NO_SOURCE
        self._committed = self.source.checkpoint.offset if self.source else 0
        self._recent = False
        self._older = self.source is not None and self.source.rules != RULES
        # Read by older rules: turns that the watcher will correct when it reads them again.
        self._to_correct = 0
        self.missing = False
        self.wrong = False

    def run(self, expected: Expected) -> list[str]:
        """Check the file; returns how its stored checkpoint contradicts it, if it does."""
        self._recent = abs(time.time() - expected.modified) < _RECENT_SECONDS
        for segment in expected.segments():
            self._check(segment)
        unread = max(0, expected.size - self._committed)
        report = self.report
        report.files += 1
        report.bytes += expected.size
        report.unread_bytes += unread
        report.unfinished_bytes += min(unread, expected.unfinished)
        if self.source is None:
            return []
        self.log.finish_file(self.source.id, expected.size, judged=not self._older)
        if self._older:
            why = (
                f"read by older rules, will be read again ({self.source.reread_bytes} of"
                f" {self._committed} bytes done, {self._to_correct} turns to correct)"
            )
            report.tell(Finding("older_rules", why, self.path))
        if self.only is not None:
            return []
        if expected.size < self._committed:
            return [f"{self._committed} bytes are committed, but the file has {expected.size}"]
        if expected.checksum != self.source.checkpoint.checksum:
            return [f"its first {self._committed} bytes have changed since they were read"]
        return []

    def _check(self, segment: ExpectedSegment) -> None:
        self.report.lines += segment.lines
        self.report.not_turns += segment.others
        rejected = segment.rejected
        self.report.rejected_lines += len({record.start for record in rejected})
        places = [each for each in segment.turns if self.only in (None, each.parsed.session)]
        turns = [record.parsed for record in places]
        logged = self.log.turns({turn.key for turn in turns})
        own = {(key, event.session) for key, events in logged.items() for event in events}
        absent = any((turn.key, str(turn.session)) not in own for turn in turns)
        dead_letters: Sequence[Explanation] = ()
        if self.source is not None and (rejected or absent):
            dead_letters = self.log.dead_letters(self.source.id, segment.start, segment.end)
        found = [
            noted
            for record in places
            for noted in self._compare(record, logged.get(record.parsed.key, ()), dead_letters)
        ]
        self.log.note(self._id, found)
        if self.source is not None and rejected:
            self.log.reject(self.source.id, [record.parsed.offset for record in rejected])
            self._check_dead_letters(rejected, dead_letters)

    def _compare(
        self,
        record: ExpectedRecord[Turn],
        logged: Sequence[EventOfTurn],
        dead_letters: Sequence[Explanation],
    ) -> Iterator[NotedLine]:
        """Compare a turn with the events of its key."""
        turn = record.parsed
        uuid = turn.uuid and storable(turn.uuid)[0]
        noted = NotedLine(record.line, turn.offset, turn.key, turn.session, uuid, None, "missing")
        own = next((event for event in logged if event.session == str(turn.session)), None)
        for other in logged:
            if other is not own and self._is_here(other, turn):
                self._tell_differs(record, other, f"its session is {other.session}")
                yield noted._replace(event_id=other.id, state="other")
        if own is None:
            if self._is_missing(record, dead_letters):
                self.missing = True
                yield noted
            return
        here = self._is_here(own, turn)
        in_order = here and turn.uuid is not None and not own.late
        state: LineState = "here" if here else "elsewhere"
        yield noted._replace(event_id=own.id, state=state, in_order=in_order)
        if fields := differences(turn, own):
            why = f"differs from the line: {', '.join(fields)}"
            self._tell_differs(record, own, why)

    def _is_here(self, event: EventOfTurn, turn: Turn) -> bool:
        # A prompt without a line of its own is written when the file is idle, or at a later line.
        here = turn.uuid is None or event.source_offset == turn.offset
        return self.source is not None and event.source_id == self.source.id and here

    def _is_missing(
        self, record: ExpectedRecord[Turn], dead_letters: Sequence[Explanation]
    ) -> bool:
        """Whether a turn without an event was read, and nothing explains its absence."""
        turn = record.parsed
        tally = self.report.sessions[turn.session]
        if not self.captured(turn.session):
            tally.not_captured += 1
        elif not record.line or turn.offset >= self._committed:
            tally.unread += 1
            if not self._recent or (record.line and not self.watched):
                self._tell(record, "unread", "not read yet")
        elif reasons := {each.reason for each in dead_letters if _explains(each, record)}:
            tally.rejected += 1
            self._tell(record, "rejected", f"rejected: {', '.join(sorted(reasons))}")
        elif self._older:
            self._to_correct += 1
        else:
            return True
        return False

    def _check_dead_letters(
        self, rejected: Sequence[ExpectedRecord[Rejected]], dead_letters: Sequence[Explanation]
    ) -> None:
        """Check that rejected lines that were read have dead letters; `forget` deletes them."""
        whose = owners(self.path, self.source.sessions if self.source else ())
        if whose and not any(map(self.captured, whose)):
            return
        known = {each.offset for each in dead_letters}
        longer = self.source is None or not self.source.counts.rejected[TOO_LONG]
        for record in rejected:
            parsed = record.parsed
            is_read = parsed.offset < self._committed and self.only is None and not self._older
            if not is_read or parsed.offset in known:
                continue
            # Long lines may have been accepted when this source was read.
            if parsed.reason != TOO_LONG or not longer:
                self.wrong = True
                why = f"rejected, but its dead letter is missing: {parsed.reason}: {parsed.detail}"
                finding = Finding("dead_letter", why, self.path, record.line, parsed.offset)
                self.report.tell(finding)

    def _tell_differs(self, record: ExpectedRecord[Turn], event: EventOfTurn, why: str) -> None:
        if self._older:
            self._to_correct += 1
            return
        self.report.sessions[record.parsed.session].differs += 1
        self._tell(record, "differs", why, event.id)

    def _tell(
        self, record: ExpectedRecord[Turn], kind: FindingKind, why: str, event_id: int | None = None
    ) -> None:
        turn = record.parsed
        where = (self.path, record.line or None, turn.offset)
        self.report.tell(Finding(kind, why, *where, turn.session, turn.uuid, event_id))


def _explains(kept: Explanation, record: ExpectedRecord[Turn]) -> bool:
    """Whether an unresolved dead letter is for this turn, or for its whole line."""
    whole = kept.reason in WHOLE_LINE and kept.offset == record.start
    return not kept.resolved and (whole or kept.offset == record.parsed.offset)


def differences(turn: Turn, logged: EventOfTurn) -> list[str]:
    """The names of the fields in which the event differs from the line."""
    expected, stored = turn.payload(), logged.payload
    names = [*expected, *(name for name in stored if name not in expected)]
    found = [n for n in names if not _agrees(n, expected.get(n), stored.get(n), turn, logged)]
    wrong = {
        "event_type": logged.event_type != TURN_DETECTED,
        "timestamp": logged.timestamp != turn.timestamp,
        "retracted_at": logged.retracted,
        "agent_id": logged.agent_session not in (None, str(turn.session)),
        "project_id": logged.project_of_agent not in (None, logged.project_id),
    }
    return found + [name for name, is_wrong in wrong.items() if is_wrong]


def _agrees(name: str, expected: Any, stored: Any, turn: Turn, logged: EventOfTurn) -> bool:
    if not isinstance(expected, str) or not isinstance(stored, str):
        return bool(expected == stored)
    expected = storable(expected)[0]
    # A prompt without a line of its own may have been redacted while it waited.
    if name == "text" and (turn.uuid is None or logged.annotations.get("redacted")):
        return is_redacted_form(expected, stored)
    return bool(expected == stored)


def is_redacted_form(original: str, redacted: str) -> bool:
    """Whether the text is the original, possibly with parts replaced by markers."""
    if original == redacted:
        return True
    first, *rest = REDACTION_MARK.split(redacted)
    if not rest or not original.startswith(first):
        return False
    *middle, last = rest
    at, end = len(first), len(original) - len(last)
    for piece in middle:
        found = original.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return at <= end and original.endswith(last)
