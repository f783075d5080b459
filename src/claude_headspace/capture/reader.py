"""Reads and classifies lines of a source."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

import msgspec

from claude_headspace.capture.in_flight import InFlight
from claude_headspace.capture.sources import ActiveSource
from claude_headspace.capture.trial_process import Trial
from claude_headspace.events.dead_letter_reasons import POISON, TOO_LONG
from claude_headspace.transcripts.checkpoint import RULES, Checkpoint
from claude_headspace.transcripts.lines import Chunk, Line, TooLong
from claude_headspace.transcripts.parsed import Parsed, Rejected, Turn
from claude_headspace.transcripts.secrets import Redaction
from claude_headspace.transcripts.transcript import Transcript

logger = logging.getLogger(__name__)

# A batch ends at whichever comes first; this limits memory, and how long others wait.
BATCH_EVENTS = 128
BATCH_BYTES = 1024 * 1024
# Of a line that is rejected for its length, only the beginning is stored.
STORED_BYTES = 64 * 1024


class ReadLine(msgspec.Struct, frozen=True):
    """A line with its parsed records; `data` is its content, possibly cut.

    `size`: its bytes in the file. `counts`: it is a real line, not prompts waiting at the end.
    """

    start: int
    data: bytes
    parsed: Sequence[Parsed]
    size: int = 0
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Segment:
    """Lines that follow `start`, up to `end`. `more` and `unfinished` are the chunk's.

    `holds_prompts`: prompts wait for a line that reports them.
    """

    start: Checkpoint
    end: Checkpoint
    lines: Sequence[ReadLine]
    turns: int
    more: bool = False
    unfinished: int = 0
    holds_prompts: bool = False

    @classmethod
    def nothing(cls, start: Checkpoint) -> Segment:
        """A segment without lines."""
        return cls(start, start, (), 0)

    @property
    def size(self) -> int:
        """The bytes of the lines in the source."""
        return self.end.offset - self.start.offset

    @property
    def fills_batch(self) -> bool:
        """Whether it fills a batch, or nothing more can be read now."""
        return self.turns >= BATCH_EVENTS or self.size >= BATCH_BYTES or not self.more

    def joined(self, following: Segment) -> Segment:
        """This segment joined with the following one."""
        lines = [*self.lines, *following.lines]
        return replace(following, start=self.start, lines=lines, turns=self.turns + following.turns)


class LineReader:
    """Reads lines of sources; knows nothing of Postgres."""

    def __init__(
        self,
        *,
        max_line_bytes: int,
        in_flight: InFlight,
        redaction: Redaction,
        captured: Callable[[UUID], bool],
        beat: Callable[[], None],
    ) -> None:
        self._max_line_bytes = max_line_bytes
        self._in_flight = in_flight
        self.redaction = redaction
        self._captured = captured
        self._trial = Trial(in_flight, beat)

    def read(self, source: ActiveSource, checkpoint: Checkpoint) -> Segment:
        """The next lines after `checkpoint`, which may be ahead of the source's own."""
        chunk = source.file.read(checkpoint, self._max_line_bytes)
        return self._classified(source, checkpoint, chunk)

    def read_unfinished(self, source: ActiveSource) -> Segment:
        """The last line without its newline, if every part of it is a complete record."""
        start = source.checkpoint
        chunk = source.file.read_unfinished(start, self._max_line_bytes)
        if chunk is None:
            return Segment.nothing(start)
        segment = self._classified(source, start, chunk)
        found = [parsed for line in segment.lines for parsed in line.parsed]
        if not found or any(isinstance(parsed, Rejected) for parsed in found):
            return Segment.nothing(start)
        return segment

    def read_waiting_prompts(self, source: ActiveSource) -> Segment:
        """Waiting prompts for which no line has come, as turns."""
        start = source.checkpoint
        transcript = self._transcript(source, start)
        parsed = [
            self.redaction.parsed(found) for found in transcript.waiting_prompts(start.offset)
        ]
        if not parsed:
            return Segment.nothing(start)
        line = ReadLine(start.offset, b"", parsed, counts=False)
        end = replace(start, state=transcript.state)
        return Segment(start, end, [line], len(parsed))

    def read_again(self, source: ActiveSource, start: Checkpoint, most_bytes: int) -> Segment:
        """The next committed lines after `start`, also the last one without its newline."""
        committed = source.checkpoint.offset
        chunk = source.file.read(start, self._max_line_bytes, most_bytes)
        end, lines = min(chunk.checkpoint.offset, committed), chunk.lines
        if end == start.offset:
            lines, end = [Line(end, source.file.begin(end, committed - end))], committed
        lines = [line for line in lines if line.start < committed]
        return self._classified(source, start, Chunk(lines, Checkpoint(end), False, 0))

    def _transcript(self, source: ActiveSource, checkpoint: Checkpoint) -> Transcript:
        state = checkpoint.state if source.stored.rules == RULES else None
        return Transcript(state, self.redaction.text, self._captured)

    def _classified(self, source: ActiveSource, start: Checkpoint, chunk: Chunk) -> Segment:
        if self._in_flight.is_careful:
            self._try_first(source, start, chunk)
        transcript = self._transcript(source, start)
        lines = [self._line(source, line, transcript) for line in chunk.lines]
        turns = sum(isinstance(found, Turn) for line in lines for found in line.parsed)
        end = replace(chunk.checkpoint, state=transcript.state)
        return Segment(
            start, end, lines, turns, chunk.more, chunk.unfinished, transcript.holds_prompts
        )

    def _line(self, source: ActiveSource, line: Line | TooLong, transcript: Transcript) -> ReadLine:
        if isinstance(line, TooLong):
            detail = f"{line.length} bytes, more than the {self._max_line_bytes} allowed"
            beginning = source.file.begin(line.start, STORED_BYTES)
            return ReadLine(line.start, beginning, [Rejected(line.start, TOO_LONG, detail)])
        if self._in_flight.is_poison(source.stored.id, line.start):
            detail = "the line has killed the watcher repeatedly and is rejected"
            return ReadLine(line.start, line.data, [Rejected(line.start, POISON, detail)])
        # If this kills the process, the marker names the line.
        self._in_flight.mark(source.stored.id, line.start)
        found = self._parse(line, transcript)
        self._in_flight.clear()
        return ReadLine(line.start, line.data, found, line.size)

    def _try_first(self, source: ActiveSource, start: Checkpoint, chunk: Chunk) -> None:
        """Let a child process find the lines that kill, so that they are rejected here."""
        lines = [line for line in chunk.lines if isinstance(line, Line)]
        transcript = self._transcript(source, start)

        def read(line: Line) -> None:
            self._line(source, line, transcript)

        self._trial.run(source.stored.id, lines, read)

    def _parse(self, line: Line, transcript: Transcript) -> Sequence[Parsed]:
        """The line's parsed records; a line that triggers a bug is rejected."""
        try:
            parsed = transcript.parse(line.data, line.start)
            return [self.redaction.parsed(found) for found in parsed]
        except MemoryError:
            raise
        except Exception as error:
            logger.exception("a bug prevents reading the line at byte %d", line.start)
            detail = f"a bug prevents reading the line: {type(error).__name__}: {error}"
            return [Rejected(line.start, POISON, detail)]
