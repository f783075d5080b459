"""Compares one transcript with the log, line by line."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from uuid import UUID

from claude_headspace.events.position import RULES, LineCounts
from claude_headspace.source.transcript import Other, Outcome, Rejected, Transcript, Turn
from claude_headspace.store.positions import StoredSource
from claude_headspace.verify.compare import contradictions, differences
from claude_headspace.verify.findings import Finding, Kind, Report
from claude_headspace.verify.logged import Kept, LoggedTurn, LogSide, Tally
from claude_headspace.verify.reader import FileLine, LineReader
from claude_headspace.verify.sessions import SessionLookup

BATCH_BYTES = 1024 * 1024
BATCH_LINES = 1000
# Rejections of a whole line; others are of one of its records.
_WHOLE_LINE = frozenset({"too_long", "poison"})

# The annotation of events that were written by a repair.
LATE = "repaired"

Write = Callable[[StoredSource, "Sequence[Place]"], dict[int, int]]


@dataclass(frozen=True, slots=True)
class Place:
    """A turn where it stands in a file. `counted`: its line is counted as a rejected one."""

    line: int
    turn: Turn
    settled: bool
    counted: bool
    kept: Sequence[Kept]


@dataclass(slots=True)
class _Judged:
    """What became of the places of one batch."""

    in_log: list[tuple[Place, int]] = field(default_factory=list)
    seen: dict[int, bool] = field(default_factory=dict)
    missing: list[Place] = field(default_factory=list)


class FileCheck:
    """One file against the log. `write`, if given, writes what is missing.

    `only` narrows the check to one session: then the counts of the source are left alone.
    `unkept`: rejections that should have been kept and were not.
    """

    def __init__(
        self,
        path: str,
        source: StoredSource | None,
        *,
        log: LogSide,
        sessions: SessionLookup,
        report: Report,
        only: UUID | None,
        write: Write | None,
    ) -> None:
        self._path = path
        self._source = source
        self._settled = source.position.offset if source else 0
        self._log = log
        self._sessions = sessions
        self._report = report
        self._only = only
        self._write = write
        self._tallies: dict[UUID, Tally] = {}
        self._found = LineCounts()
        self._joined = 0
        # Turns of which it is not known whether they were counted as turns or as duplicates.
        self._uncertain = 0
        self.unkept = 0
        skipped = source is not None and source.counts.other["not_registered"] > 0
        older = source is not None and source.rules != RULES
        self._coarse = sessions.selective or skipped or older
        self._transcript = Transcript()
        self._any_kept = source is not None and log.has_rejections(source.id)

    def run(self, reader: LineReader) -> list[str]:
        """Read it all; returns where its stored position contradicts what was found."""
        for batch in _batches(reader.lines()):
            self._check(batch)
        self._check_untold(reader.size)
        self._log.add(self._tallies)
        self._report.files += 1
        self._report.bytes += reader.size
        self._report.unread_bytes += max(0, reader.size - self._settled)
        if self._source is not None:
            self._log.finish_file(self._source.id, reader.size)
        return list(self._contradictions(reader))

    def _contradictions(self, reader: LineReader) -> Iterator[str]:
        if self._source is None or self._only is not None:
            return
        if reader.size < self._settled:
            yield f"{self._settled} bytes claimed as read, the file has {reader.size}"
        elif reader.checksum != self._source.position.checksum:
            yield f"the first {self._settled} bytes are not those that were read"
        yield from contradictions(
            self._source.counts,
            self._found,
            joined=self._joined,
            coarse=self._coarse,
            uncertain=self._uncertain,
        )

    def _check_untold(self, end: int) -> None:
        """Prompts for which no line has come: they are told once the file has been still."""
        turns = [turn for turn in self._transcript.untold(end) if isinstance(turn, Turn)]
        logged = self._log.turns({turn.key for turn in turns})
        self._judge_all([Place(0, turn, turn.key in logged, False, ()) for turn in turns], logged)

    def _check(self, batch: Sequence[FileLine]) -> None:
        kept: Sequence[Kept] = ()
        if self._any_kept and self._source is not None:
            end = batch[-1].start + batch[-1].length + 1
            kept = self._log.rejections(self._source.id, batch[0].start, end)
        places = [place for line in batch for place in self._places(line, kept)]
        self._judge_all(places, self._log.turns({place.turn.key for place in places}))

    def _judge_all(
        self, places: Sequence[Place], logged: Mapping[UUID, Sequence[LoggedTurn]]
    ) -> None:
        judged = _Judged()
        for place in places:
            self._judge(place, logged.get(place.turn.key, ()), judged)
        new = self._log.see(judged.seen)
        for place, event_id in judged.in_log:
            tally = self._tally(place)
            if event_id in new:
                tally.in_both += 1
                new.discard(event_id)
            else:
                tally.duplicates += 1
        self._take_missing(judged.missing)

    def _places(self, line: FileLine, kept: Sequence[Kept]) -> Iterator[Place]:
        """The turns of one line; everything else of it is counted."""
        near = [k for k in kept if line.start <= k.offset <= line.start + line.length]
        if line.data is None:
            self._take_too_long(line, near)
            return
        for start, data in self._pieces(line.start, line.data):
            end = start + len(data)
            mine = [k for k in near if start <= k.offset < max(end, start + 1)]
            found = [] if any(k.reason == "poison" for k in mine) else list(self._read(data, start))
            settled = start < self._settled
            torn = any(isinstance(outcome, Rejected) for outcome in found)
            if not line.ended and not settled and torn:
                self._report.unfinished_bytes += len(data)
                continue
            yield from self._take(line.number, found, settled, mine)

    def _read(self, data: bytes, start: int) -> Sequence[Outcome]:
        return self._transcript.outcomes(data, start)

    def _pieces(self, start: int, data: bytes) -> list[tuple[int, bytes]]:
        """The line; as two where it was read before more was written behind its end."""
        cut = self._settled - start
        if 0 < cut < len(data) and data[:cut].strip():
            head = Transcript().outcomes(data[:cut], start)
            if not any(isinstance(outcome, Rejected) for outcome in head):
                return [(start, data[:cut]), (start + cut, data[cut:])]
        return [(start, data)]

    def _take(
        self, number: int, found: Sequence[Outcome], settled: bool, kept: Sequence[Kept]
    ) -> Iterator[Place]:
        self._report.lines += 1
        counted = self._count_whole(settled, kept)
        if settled:
            self._found.lines += 1
            self._joined += max(0, len(found) - 1)
        for outcome in found:
            if isinstance(outcome, Turn):
                if self._only in (None, outcome.session):
                    yield Place(number, outcome, settled, counted, kept)
            elif isinstance(outcome, Other):
                self._take_other(outcome, settled and not counted)
            elif isinstance(outcome, Rejected):
                self._take_rejected(number, outcome, settled and not counted, kept)

    def _count_whole(self, settled: bool, kept: Iterable[Kept]) -> bool:
        """Whether the line was rejected as a whole, and is counted as that."""
        counted = False
        for each in kept:
            self._coarse = self._coarse or each.resolved
            if settled and each.reason in _WHOLE_LINE:
                self._found.rejected[each.reason] += 1
                counted = True
        return counted

    def _take_too_long(self, line: FileLine, kept: Sequence[Kept]) -> None:
        self._report.lines += 1
        self._report.rejected_lines += 1
        if line.start >= self._settled:
            return
        self._found.lines += 1
        if self._count_whole(True, kept):
            return
        self._found.rejected["too_long"] += 1
        if self._source is not None and self._source.counts.rejected["too_long"]:
            self._tell_unkept(line.number, line.start, f"too long: {line.length} bytes")
        else:  # it was taken when longer lines were allowed
            self._coarse = True

    def _take_other(self, other: Other, count: bool) -> None:
        self._report.not_turns += 1
        captured = other.session is None or self._sessions.captured(other.session)
        if count:
            self._found.other[other.kind if captured else "not_registered"] += 1

    def _take_rejected(
        self, number: int, rejected: Rejected, count: bool, kept: Sequence[Kept]
    ) -> None:
        self._report.rejected_lines += 1
        if not count:
            return
        self._found.rejected[rejected.reason] += 1
        if not any(k.offset == rejected.offset for k in kept):
            why = f"{rejected.reason}: {rejected.detail}"
            self._tell_unkept(number, rejected.offset, why)

    def _tell_unkept(self, line: int, offset: int, why: str) -> None:
        if self._only is None:
            self.unkept += 1
            finding = Finding("unkept", f"rejected and not kept: {why}", self._path, line, offset)
            self._report.tell(finding)

    def _judge(self, place: Place, logged: Sequence[LoggedTurn], judged: _Judged) -> None:
        turn = place.turn
        if not self._sessions.captured(turn.session):
            self._tally(place).not_registered += 1
            if place.settled and not place.counted:
                self._found.other["not_registered"] += 1
            return
        same = next((e for e in logged if e.session == turn.session), None)
        for other in logged:
            if other.session != turn.session and self._is_here(other, turn):
                judged.seen[other.id] = True
                self._tell_differs(place, other, f"its session is {other.session}")
        if same is None:
            self._judge_missing(place, judged)
            return
        here = self._is_here(same, turn)
        judged.seen[same.id] = judged.seen.get(same.id, False) or here
        judged.in_log.append((place, same.id))
        if place.settled and not place.counted:
            late = LATE in same.annotations
            self._uncertain += late
            self._found.turns += here and not late
            self._found.duplicates += not here and not late
        if fields := differences(turn, same):
            self._tell_differs(place, same, f"not what the line says: {', '.join(fields)}")

    def _is_here(self, event: LoggedTurn, turn: Turn) -> bool:
        if self._source is None:
            return False
        # A prompt without a line of its own is told where the file was still, or at a later line.
        here = turn.uuid is None or event.source_offset == turn.offset
        return event.source_id == self._source.id and here

    def _judge_missing(self, place: Place, judged: _Judged) -> None:
        tally = self._tally(place)
        reasons = [k.reason for k in place.kept if not k.resolved and _explains(k, place)]
        if not place.settled:
            tally.unread += 1
            self._tell(place, "unread", "not read yet")
        elif reasons:
            tally.rejected += 1
            self._tell(place, "rejected", f"rejected: {', '.join(reasons)}")
            if not place.counted:
                self._found.rejected[reasons[0]] += reasons[0] == "refused"
        else:
            self._uncertain += not place.counted
            judged.missing.append(place)

    def _take_missing(self, missing: Sequence[Place]) -> None:
        """A turn that stands in several places is missing once, and is written from the first."""
        new = self._log.miss(_identity(place) for place in missing)
        first: list[Place] = []
        for place in missing:
            if _identity(place) in new:
                new.discard(_identity(place))
                first.append(place)
                self._tally(place).missing += 1
                self._tell(place, "missing", "read, and not in the log")
            else:
                self._tally(place).duplicates += 1
        if first and self._write is not None and self._source is not None:
            written = self._write(self._source, first)
            self._log.see(dict.fromkeys(written.values(), True))
            for number in written:
                self._tally(first[number]).repaired += 1

    def _tell_differs(self, place: Place, event: LoggedTurn, why: str) -> None:
        self._tally(place).differs += 1
        self._tell(place, "differs", why, event.id)

    def _tell(self, place: Place, kind: Kind, why: str, event_id: int | None = None) -> None:
        turn = place.turn
        self._report.tell(
            Finding(
                kind, why, self._path, place.line, turn.offset, turn.session, turn.uuid, event_id
            )
        )

    def _tally(self, place: Place) -> Tally:
        return self._tallies.setdefault(place.turn.session, Tally())


def _identity(place: Place) -> tuple[UUID, UUID]:
    return place.turn.key, place.turn.session


def _batches(lines: Iterable[FileLine]) -> Iterator[list[FileLine]]:
    batch: list[FileLine] = []
    held = 0
    for line in lines:
        batch.append(line)
        held += 0 if line.data is None else line.length
        if held >= BATCH_BYTES or len(batch) >= BATCH_LINES:
            yield batch
            batch, held = [], 0
    if batch:
        yield batch


def _explains(kept: Kept, place: Place) -> bool:
    """Whether a rejection speaks of this turn, or of its whole line."""
    return kept.reason in ("too_long", "poison") or kept.offset == place.turn.offset
