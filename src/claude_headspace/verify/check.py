"""Compares one transcript with the log, record by record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from uuid import UUID

from claude_headspace.store.checkpoints import StoredSource
from claude_headspace.transcripts.checkpoint import RULES
from claude_headspace.transcripts.outcomes import Rejected, Turn
from claude_headspace.verify.compare import differences
from claude_headspace.verify.expected import Batch, Expected, Place
from claude_headspace.verify.logged import Kept, LoggedTurn, LogSide
from claude_headspace.verify.report import Finding, Kind, Report, Tally

# Dead letters of a whole line; others are of one of its records.
_WHOLE_LINE = frozenset({"too_long", "poison", "refused"})
# What was written so lately may still wait: a prompt for its line, all else for the watcher.
_RECENT_SECONDS = 60.0

Missing = tuple[Place, Turn]


class FileCheck:
    """One file against the log. `only` narrows the check to the turns of one session;
    `watched`: a watcher runs.

    After `run`: `missing`, whether turns are to be written, and `wrong`, whether the file has to be
    read again.
    """

    def __init__(
        self,
        path: str,
        source: StoredSource | None,
        *,
        log: LogSide,
        captured: Callable[[UUID], bool],
        report: Report,
        only: UUID | None,
        watched: bool,
    ) -> None:
        self._path = path
        self._source = source
        self._committed = source.checkpoint.offset if source else 0
        self._log = log
        self._captured = captured
        self._report = report
        self._only = only
        # The id of the last event of each session: its next line's is higher.
        self._before: dict[UUID, int] = {}
        self._watched = watched
        self._recent = False
        self._older = source is not None and source.rules != RULES
        self._untold = 0
        self.missing = False
        self.wrong = False

    def run(self, expected: Expected) -> list[str]:
        """Read it all; returns where its stored checkpoint contradicts what was found."""
        self._recent = time.time() - expected.modified < _RECENT_SECONDS
        for batch in expected.batches():
            self._check(batch)
        unread = max(0, expected.size - self._committed)
        report = self._report
        report.files += 1
        report.bytes += expected.size
        report.unread_bytes += unread
        report.unfinished_bytes += min(unread, expected.unfinished)
        if self._source is None:
            return []
        self._log.finish_file(self._source.id, expected.size, judged=not self._older)
        if self._older:
            self._tell_older(self._source)
        return self._contradictions(expected) if self._only is None else []

    def _contradictions(self, expected: Expected) -> list[str]:
        if expected.size < self._committed:
            return [f"{self._committed} bytes are committed, but the file has {expected.size}"]
        if self._source is not None and expected.checksum != self._source.checkpoint.checksum:
            return [f"its first {self._committed} bytes have changed since they were read"]
        return []

    def _tell_older(self, source: StoredSource) -> None:
        done = f"{source.reread_bytes} of {self._committed} bytes are done"
        why = f"read by older rules, will be read again ({done}, {self._untold} turns to correct)"
        self._report.tell(Finding("older_rules", why, self._path))

    def _check(self, batch: Batch) -> None:
        self._report.lines += batch.lines
        self._report.not_turns += batch.others
        turns = [(place, place.told) for place in batch.places if isinstance(place.told, Turn)]
        turns = [each for each in turns if self._only in (None, each[1].session)]
        logged = self._log.turns({turn.key for _, turn in turns})
        seen: dict[int, bool] = {}
        found: list[tuple[Turn, int]] = []
        absent: list[Missing] = []
        for place, turn in turns:
            event = self._judge(place, turn, logged.get(turn.key, ()), seen)
            if event is None:
                absent.append((place, turn))
            else:
                found.append((turn, event.id))
        self._count(found, self._log.see(seen))
        self._judge_rest(batch, absent)

    def _judge(
        self, place: Place, turn: Turn, logged: Sequence[LoggedTurn], seen: dict[int, bool]
    ) -> LoggedTurn | None:
        """The event of a turn, compared; None where there is none."""
        own = next((event for event in logged if event.session == turn.session), None)
        for other in logged:
            if other is not own and self._is_here(other, turn):
                seen[other.id] = True
                self._tell_differs(place, turn, other, f"its session is {other.session}")
        if own is None:
            return None
        here = self._is_here(own, turn)
        seen[own.id] = seen.get(own.id, False) or here
        if here and turn.uuid is not None and not own.late:
            self._follow(place, turn, own)
        if fields := differences(turn, own):
            why = f"not what the line says: {', '.join(fields)}"
            self._tell_differs(place, turn, own, why)
        return own

    def _is_here(self, event: LoggedTurn, turn: Turn) -> bool:
        # A prompt without a line of its own is told where the file was still, or at a later line.
        here = turn.uuid is None or event.source_offset == turn.offset
        return self._source is not None and event.source_id == self._source.id and here

    def _follow(self, place: Place, turn: Turn, event: LoggedTurn) -> None:
        before = self._before.get(turn.session)
        self._before[turn.session] = event.id
        if before is not None and event.id < before:
            self._tell(place, turn, "order", f"event {before} is of an earlier line", event.id)

    def _count(self, found: Iterable[tuple[Turn, int]], new: set[int]) -> None:
        for turn, event_id in found:
            tally = self._tally(turn)
            if event_id in new:
                tally.in_log += 1
                new.discard(event_id)
            else:
                tally.repeated += 1

    def _judge_rest(self, batch: Batch, absent: Sequence[Missing]) -> None:
        """What has no event: rejected records, and turns that are not in the log."""
        rejected = [place for place in batch.places if isinstance(place.told, Rejected)]
        self._report.rejected_lines += len({place.start for place in rejected})
        kept: Sequence[Kept] = ()
        if self._source is not None and (rejected or absent):
            kept = self._log.dead_letters(self._source.id, batch.start, batch.end)
        if self._source is not None and rejected:
            self._log.reject(self._source.id, [place.told.offset for place in rejected])
            self._check_kept(rejected, kept)
        missing = [each for each in absent if self._is_missing(*each, kept)]
        if missing and self._source is not None:
            self._tell_missing(missing, self._source.id)

    def _check_kept(self, rejected: Sequence[Place], kept: Sequence[Kept]) -> None:
        """Whether what is rejected is kept, as far as this was read."""
        known = {each.offset for each in kept}
        for place in rejected:
            told = place.told
            is_read = told.offset < self._committed and self._only is None and not self._older
            if isinstance(told, Turn) or not is_read or told.offset in known:
                continue
            if told.reason == "too_long" and self._allowed_longer():
                continue
            self.wrong = True
            why = f"rejected, but there is no dead letter: {told.reason}: {told.detail}"
            finding = Finding("dead_letter", why, self._path, place.line, told.offset)
            self._report.tell(finding)

    def _allowed_longer(self) -> bool:
        """Whether long lines were taken when this source was read."""
        return self._source is None or not self._source.counts.rejected["too_long"]

    def _is_missing(self, place: Place, turn: Turn, kept: Sequence[Kept]) -> bool:
        tally = self._tally(turn)
        if not self._captured(turn.session):
            tally.not_captured += 1
        elif not place.line or turn.offset >= self._committed:
            tally.unread += 1
            if not self._recent or (place.line and not self._watched):
                self._tell(place, turn, "unread", "not read yet")
        elif reasons := {each.reason for each in kept if _explains(each, place, turn)}:
            tally.rejected += 1
            self._tell(place, turn, "rejected", f"rejected: {', '.join(sorted(reasons))}")
        elif self._older:
            self._untold += 1
        else:
            return True
        return False

    def _tell_missing(self, missing: Sequence[Missing], source_id: int) -> None:
        """A turn that stands in several places is missing once."""
        new = self._log.miss({(turn.key, turn.session) for _, turn in missing}, source_id)
        for place, turn in missing:
            if (turn.key, turn.session) in new:
                new.discard((turn.key, turn.session))
                self.missing = True
                self._tally(turn).missing += 1
                self._tell(place, turn, "missing", "read, but not in the log")
            else:
                self._tally(turn).repeated += 1

    def _tell_differs(self, place: Place, turn: Turn, event: LoggedTurn, why: str) -> None:
        if self._older:
            self._untold += 1
            return
        self._tally(turn).differs += 1
        self._tell(place, turn, "differs", why, event.id)

    def _tell(
        self, place: Place, turn: Turn, kind: Kind, why: str, event_id: int | None = None
    ) -> None:
        line = place.line or None
        session, uuid = turn.session, turn.uuid
        self._report.tell(
            Finding(kind, why, self._path, line, turn.offset, session, uuid, event_id)
        )

    def _tally(self, turn: Turn) -> Tally:
        return self._report.sessions[turn.session]


def _explains(kept: Kept, place: Place, turn: Turn) -> bool:
    """Whether a dead letter that is not resolved speaks of this turn, or of its whole line."""
    whole = kept.reason in _WHOLE_LINE and kept.offset == place.start
    return not kept.resolved and (whole or kept.offset == turn.offset)
