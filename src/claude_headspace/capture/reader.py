"""Reads lines of a source and says what they are, a little ahead of what is written.

While Postgres works on one batch, the lines of the next are read and taken apart. What was read
ahead is bounded like a batch, and dropped when it is not what follows.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import msgspec

from claude_headspace.capture.in_flight import InFlight
from claude_headspace.capture.sources import ActiveSource
from claude_headspace.capture.trial import Trial
from claude_headspace.events.redaction import Redactor, redact_bytes
from claude_headspace.transcripts.checkpoint import RULES, Checkpoint
from claude_headspace.transcripts.lines import Chunk, Line, TooLong
from claude_headspace.transcripts.tailer import SourceFile
from claude_headspace.transcripts.transcript import Outcome, Rejected, Transcript, Turn

logger = logging.getLogger(__name__)

# A batch ends at whichever comes first; it bounds memory, and how long others wait.
BATCH_EVENTS = 128
BATCH_BYTES = 1024 * 1024
# Of a line that is rejected for its length only the beginning is kept.
KEPT_BYTES = 64 * 1024
POISON = "poison"
TOO_LONG = "too_long"


@dataclass(frozen=True, slots=True)
class ReadLine:
    """A line with what its records are; `data` is its content, as far as that is kept.

    `counts`: it is a line of the file, and not what stood open at its end.
    """

    start: int
    data: bytes
    outcomes: Sequence[Outcome]
    counts: bool = True


@dataclass(frozen=True, slots=True)
class Segment:
    """Lines that follow `start`, up to `end`. `more` and `unfinished` are the chunk's.

    `holds_prompts`: prompts wait for the line that tells of them.
    """

    start: Checkpoint
    end: Checkpoint
    lines: Sequence[ReadLine]
    turns: int
    more: bool
    unfinished: int
    holds_prompts: bool = False

    @property
    def size(self) -> int:
        """Bytes of the source that the lines take."""
        return self.end.offset - self.start.offset


class Reader:
    """Knows the lines of sources; knows nothing of Postgres."""

    def __init__(
        self,
        *,
        max_line_bytes: int,
        in_flight: InFlight,
        redactor: Redactor | None,
        beat: Callable[[], None],
    ) -> None:
        self._max_line_bytes = max_line_bytes
        self._in_flight = in_flight
        self._redactor = redactor
        self._beat = beat
        self._trial = Trial(in_flight, beat)
        self._ahead: deque[Segment] = deque()
        self._ahead_file: SourceFile | None = None

    def forget(self) -> None:
        """Drop what was read ahead."""
        self._ahead.clear()
        self._ahead_file = None

    def read(self, source: ActiveSource, checkpoint: Checkpoint) -> Segment:
        """The next lines after `checkpoint`: those read ahead if they are, else fresh ones."""
        if self._ahead_file is source.file and self._ahead and self._ahead[0].start == checkpoint:
            return self._ahead_of_now(source)
        self.forget()
        return self._read(source, checkpoint)

    def _ahead_of_now(self, source: ActiveSource) -> Segment:
        """The first segment read ahead; what it left may have grown since."""
        segment = self._ahead.popleft()
        grown = source.file.stat.st_size > segment.end.offset + segment.unfinished
        return replace(segment, more=True) if grown else segment

    def read_ahead(self, source: ActiveSource, checkpoint: Checkpoint) -> bool:
        """Read some lines more than were asked for; False when there is nothing to gain."""
        if self._ahead_file is not source.file:
            self.forget()
            self._ahead_file = source.file
        last = self._ahead[-1] if self._ahead else None
        if last is not None and not last.more:
            return False
        if sum(segment.turns for segment in self._ahead) >= BATCH_EVENTS:
            return False
        if sum(segment.size for segment in self._ahead) >= BATCH_BYTES:
            return False
        segment = self._read(source, checkpoint if last is None else last.end)
        self._ahead.append(segment)
        return segment.more

    def read_unfinished(self, source: ActiveSource, checkpoint: Checkpoint) -> Segment | None:
        """The last line without its newline, if every part of it is a whole record."""
        chunk = source.file.read_unfinished(checkpoint, self._max_line_bytes)
        if chunk is None:
            return None
        segment = self._segment(source, checkpoint, chunk)
        found = [outcome for line in segment.lines for outcome in line.outcomes]
        if not found or any(isinstance(outcome, Rejected) for outcome in found):
            return None
        return segment

    def read_untold(self, source: ActiveSource, checkpoint: Checkpoint) -> Segment | None:
        """Prompts for which no line has come, told here; None where there are none."""
        transcript = self._transcript(source, checkpoint)
        outcomes = [self.redacted(found) for found in transcript.untold(checkpoint.offset)]
        if not outcomes:
            return None
        end = replace(checkpoint, state=transcript.state)
        line = ReadLine(checkpoint.offset, b"", outcomes, counts=False)
        return Segment(checkpoint, end, [line], len(outcomes), False, 0)

    def _transcript(self, source: ActiveSource, checkpoint: Checkpoint) -> Transcript:
        state = checkpoint.state if source.stored.rules == RULES else None
        return Transcript(state, self.redacted_text)

    def _read(self, source: ActiveSource, checkpoint: Checkpoint) -> Segment:
        chunk = source.file.read(checkpoint, self._max_line_bytes, self._beat)
        return self._segment(source, checkpoint, chunk)

    def _segment(self, source: ActiveSource, start: Checkpoint, chunk: Chunk) -> Segment:
        if self._in_flight.is_careful:
            self._try_first(source, start, chunk)
        transcript = self._transcript(source, start)
        lines = [self._line(source, line, transcript) for line in chunk.lines]
        turns = sum(isinstance(found, Turn) for line in lines for found in line.outcomes)
        end = replace(chunk.checkpoint, state=transcript.state)
        return Segment(
            start, end, lines, turns, chunk.more, chunk.unfinished, transcript.holds_prompts
        )

    def _line(self, source: ActiveSource, line: Line | TooLong, transcript: Transcript) -> ReadLine:
        if isinstance(line, TooLong):
            detail = f"{line.length} bytes, more than the {self._max_line_bytes} allowed"
            return self._rejected(line.start, TOO_LONG, detail, source.file)
        if self._in_flight.is_poison(source.stored.id, line.start):
            detail = "the watcher died of this line repeatedly: it is set aside"
            return ReadLine(line.start, line.data, [Rejected(line.start, POISON, detail)])
        # If this is the end of the process, it will be known of which line.
        self._in_flight.take(source.stored.id, line.start)
        found = self._outcomes(line, transcript)
        self._in_flight.put_down()
        return ReadLine(line.start, line.data, found)

    def _try_first(self, source: ActiveSource, start: Checkpoint, chunk: Chunk) -> None:
        """Have a child find the lines that kill, so that they are set aside here."""
        lines = [line for line in chunk.lines if isinstance(line, Line)]
        transcript = self._transcript(source, start)

        def take_apart(line: Line) -> None:
            self._line(source, line, transcript)

        self._trial.run(source.stored.id, lines, take_apart)

    def _outcomes(self, line: Line, transcript: Transcript) -> Sequence[Outcome]:
        """What the line is; one that meets a bug would meet it again, and is passed over."""
        try:
            outcomes = transcript.outcomes(line.data, line.start)
            if self._redactor is None:
                return outcomes
            return [self.redacted(found) for found in outcomes]
        except MemoryError:
            raise
        except Exception as error:
            logger.exception("the line at byte %d meets a bug", line.start)
            detail = f"it meets a bug and is set aside: {type(error).__name__}: {error}"
            return [Rejected(line.start, POISON, detail)]

    def _rejected(self, start: int, reason: str, detail: str, file: SourceFile) -> ReadLine:
        beginning = file.begin(start, KEPT_BYTES)
        return ReadLine(start, beginning, [Rejected(start, reason, detail)])

    def redacted(self, outcome: Outcome) -> Outcome:
        """The outcome as it may be stored."""
        if self._redactor is None or not isinstance(outcome, Turn):
            return outcome
        text, redacted = self._redactor.redact(outcome.text)
        if not redacted:
            return outcome
        return msgspec.structs.replace(outcome, text=text, redacted=redacted)

    def redacted_text(self, text: str) -> str:
        """The text as it may be stored."""
        return text if self._redactor is None else self._redactor.redact(text)[0]

    def kept(self, content: bytes) -> bytes:
        """Content of a rejected line as it may be stored."""
        return redact_bytes(self._redactor, content)
