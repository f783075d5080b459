"""The expected events of a transcript: reads the file from its first byte, like capture.

It uses capture's functions on purpose: a second parser would only add its own bugs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from claude_headspace.events.dead_letter_reasons import POISON, TOO_LONG
from claude_headspace.transcripts.checkpoint import Checkpoint
from claude_headspace.transcripts.lines import Line, TooLong
from claude_headspace.transcripts.parsed import Parsed, Rejected, Turn
from claude_headspace.transcripts.rescue import MAX_BROKEN
from claude_headspace.transcripts.source_file import SourceFile
from claude_headspace.transcripts.transcript import Transcript

# The bytes read and compared at once; limits memory.
SEGMENT_BYTES = 512 * 1024


Found = TypeVar("Found", Turn, Rejected)


class ExpectedRecord(NamedTuple, Generic[Found]):
    """One record, parsed. `line` counts from 1; `start` is its line's first byte.

    `line` is 0 for a prompt that waits at the end of the file for its line.
    """

    line: int
    start: int
    parsed: Found


@dataclass(slots=True)
class ExpectedSegment:
    """Lines in the order of the file up to the byte `end`. `others`: counts all other records."""

    start: int
    end: int
    turns: list[ExpectedRecord[Turn]] = field(default_factory=list)
    rejected: list[ExpectedRecord[Rejected]] = field(default_factory=list)
    lines: int = 0
    others: int = 0

    def add(self, line: int, start: int, records: Iterable[Parsed]) -> None:
        """Add a line; if it has very many dead letters, only those that are stored."""
        self.lines += 1
        broken = 0
        for parsed in records:
            if isinstance(parsed, Turn):
                self.turns.append(ExpectedRecord(line, start, parsed))
            elif not isinstance(parsed, Rejected):
                self.others += 1
            elif (broken := broken + 1) <= MAX_BROKEN:
                self.rejected.append(ExpectedRecord(line, start, parsed))


@dataclass(eq=False)
class Expected:
    """Reads a file up to its length when it was opened.

    `poison`: offsets of lines to skip, because they killed the watcher.
    After `segments`: `checksum` is of the first `committed` bytes, and `unfinished` counts bytes
    after the last newline that are not a complete record yet.
    """

    file: SourceFile
    max_line_bytes: int
    committed: int = 0
    poison: Collection[int] = ()
    progress: Callable[[int], object] = lambda _: None

    def __post_init__(self) -> None:
        self._transcript = Transcript()
        self._line = 0
        self.size = self.file.stat.st_size
        self.modified = self.file.stat.st_mtime
        self.checksum = 0
        self.unfinished = 0

    def segments(self) -> Iterator[ExpectedSegment]:
        """All lines, the last one also without its newline, and prompts that wait at the end."""
        checkpoint, more = Checkpoint(), True
        while more:
            before = checkpoint
            chunk = self.file.read(before, self.max_line_bytes, SEGMENT_BYTES)
            checkpoint, more = chunk.checkpoint, chunk.more
            if before.offset <= self.committed <= max(checkpoint.offset, before.offset):
                self.checksum = self.file.checksum(before, self.committed)
            segment = ExpectedSegment(before.offset, checkpoint.offset)
            for line in chunk.lines:
                self._line += 1
                segment.add(self._line, line.start, self._parse(line))
            yield segment
            self.progress(checkpoint.offset - before.offset)
        if checkpoint.offset < self.committed <= self.size:
            self.checksum = self.file.checksum(checkpoint, self.committed)
        yield self._at_end(checkpoint)

    def _parse(self, line: Line | TooLong) -> Iterable[Parsed]:
        if isinstance(line, TooLong):
            return [Rejected(line.start, TOO_LONG, f"{line.length} bytes")]
        if line.start in self.poison:
            return [Rejected(line.start, POISON, "killed the watcher")]
        return self._transcript.parse(line.data, line.start)

    def _at_end(self, checkpoint: Checkpoint) -> ExpectedSegment:
        segment = ExpectedSegment(checkpoint.offset, self.size)
        self.unfinished = self.size - checkpoint.offset
        last = self.file.read_unfinished(checkpoint, self.max_line_bytes)
        if last is not None and isinstance(line := last.lines[0], Line):
            segment.add(self._line + 1, line.start, self._unfinished_line(line))
        waiting = self._transcript.waiting_prompts(self.size)
        segment.turns += [ExpectedRecord(0, self.size, o) for o in waiting if isinstance(o, Turn)]
        return segment

    def _unfinished_line(self, line: Line) -> Iterable[Parsed]:
        """The last line if it is complete; else what was read of it before it grew."""
        tried = Transcript(self._transcript.state)
        found = tried.parse(line.data, line.start)
        if any(isinstance(each, Rejected) for each in found):
            return [o for o in found if isinstance(o, Turn) and o.offset < self.committed]
        self._transcript, self.unfinished = tried, 0
        return found
