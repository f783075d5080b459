"""What the log should hold of a transcript: the file read from its first byte, as capture reads.

The same functions as capture's on purpose: a second parser would only have faults of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from claude_headspace.transcripts.checkpoint import Checkpoint
from claude_headspace.transcripts.lines import Line, TooLong
from claude_headspace.transcripts.outcomes import Outcome, Rejected, Turn
from claude_headspace.transcripts.rescue import MAX_BROKEN
from claude_headspace.transcripts.tailer import SourceFile
from claude_headspace.transcripts.transcript import Transcript

# As much is read and compared at once; it bounds memory.
BATCH_BYTES = 512 * 1024


@dataclass(frozen=True, slots=True)
class ExpectedRecord:
    """What one record tells. `line` counts from 1; `start` is its line's first byte.

    `line` is 0 where a prompt waits at the end of the file for a line that tells of it.
    """

    line: int
    start: int
    told: Turn | Rejected


@dataclass(frozen=True, slots=True)
class ExpectedBatch:
    """Lines in the order of the file, up to the byte `end`. `others`: records that are no turns."""

    start: int
    end: int
    places: Sequence[ExpectedRecord]
    lines: int
    others: int


class Expected:
    """One reading of a file as long as it is when it is opened.

    `poison`: offsets of lines that are not to be touched, because they killed the watcher.
    After `batches`: `checksum` is that of the first `committed` bytes, and `unfinished` counts
    bytes after the last newline that are no whole record yet.
    """

    def __init__(
        self,
        file: SourceFile,
        max_line_bytes: int,
        committed: int = 0,
        *,
        poison: Collection[int] = (),
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        """`close` releases the file."""
        self._file = file
        self._limit = max_line_bytes
        self._committed = committed
        self._poison = poison
        self._progress = progress
        self._transcript = Transcript()
        self._line = 0
        self.size = self._file.stat.st_size
        self.modified = self._file.stat.st_mtime
        self.checksum = 0
        self.unfinished = 0

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def batches(self) -> Iterator[ExpectedBatch]:
        """All lines, the last one also without its newline, and what waits at the end."""
        checkpoint, more = Checkpoint(), True
        while more:
            before = checkpoint
            chunk = self._file.read(before, self._limit, _no_beat, BATCH_BYTES)
            checkpoint, more = chunk.checkpoint, chunk.more
            if before.offset <= self._committed <= max(checkpoint.offset, before.offset):
                self.checksum = self._file.checksum(before, self._committed)
            yield self._batch(chunk.lines, before.offset, checkpoint.offset)
            self._progress(checkpoint.offset - before.offset)
        if checkpoint.offset < self._committed <= self.size:
            self.checksum = self._file.checksum(checkpoint, self._committed)
        yield from self._at_end(checkpoint)

    def _batch(self, lines: Sequence[Line | TooLong], start: int, end: int) -> ExpectedBatch:
        places: list[ExpectedRecord] = []
        others = 0
        for line in lines:
            self._line += 1
            outcomes = self._outcomes(line)
            told = self._told(line.start, outcomes)
            others += sum(not isinstance(outcome, Turn | Rejected) for outcome in outcomes)
            places += told
        return ExpectedBatch(start, end, places, len(lines), others)

    def _outcomes(self, line: Line | TooLong) -> list[Outcome]:
        if isinstance(line, TooLong):
            return [Rejected(line.start, "too_long", f"{line.length} bytes")]
        if line.start in self._poison:
            return [Rejected(line.start, "poison", "set aside")]
        return list(self._transcript.outcomes(line.data, line.start))

    def _told(self, start: int, outcomes: Sequence[Outcome]) -> Iterator[ExpectedRecord]:
        """Turns and dead letters; of a line with very many of these, those that are kept."""
        broken = 0
        for outcome in outcomes:
            if isinstance(outcome, Rejected):
                broken += 1
                if broken > MAX_BROKEN:
                    continue
            if isinstance(outcome, Turn | Rejected):
                yield ExpectedRecord(self._line, start, outcome)

    def _at_end(self, checkpoint: Checkpoint) -> Iterator[ExpectedBatch]:
        start = checkpoint.offset
        self.unfinished = self.size - start
        last = self._file.read_unfinished(checkpoint, self._limit)
        if last is not None and isinstance(line := last.lines[0], Line):
            yield from self._unfinished_line(line)
        waiting = [
            ExpectedRecord(0, self.size, o)
            for o in self._transcript.untold(self.size)
            if isinstance(o, Turn)
        ]
        yield ExpectedBatch(self.size, self.size, waiting, 0, 0)

    def _unfinished_line(self, line: Line) -> Iterator[ExpectedBatch]:
        """The last line if it is whole; else what was read of it before more was written to it."""
        tried = Transcript(self._transcript.state)
        outcomes = list(tried.outcomes(line.data, line.start))
        if any(isinstance(outcome, Rejected) for outcome in outcomes):
            outcomes = [o for o in outcomes if isinstance(o, Turn) and o.offset < self._committed]
        else:
            self._transcript, self.unfinished = tried, 0
        self._line += 1
        others = sum(not isinstance(outcome, Turn) for outcome in outcomes)
        yield ExpectedBatch(
            line.start, self.size, list(self._told(line.start, outcomes)), 1, others
        )


def _no_beat() -> None:
    """A check has nobody who waits for its heartbeat."""
