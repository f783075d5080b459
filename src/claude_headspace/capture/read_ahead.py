"""Segments of a source that are read in advance while Postgres works on a batch.

Their size is limited like that of a batch; they are dropped if they do not follow the checkpoint.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace

from claude_headspace.capture.reader import BATCH_BYTES, BATCH_EVENTS, LineReader, Segment
from claude_headspace.capture.sources import ActiveSource
from claude_headspace.errors import StopRequested
from claude_headspace.transcripts.checkpoint import Checkpoint


class ReadAhead:
    """Returns segments of a source in order, from memory if they were read ahead."""

    def __init__(self, reader: LineReader, beat: Callable[[], None]) -> None:
        self._reader = reader
        self._beat = beat
        self._ahead: deque[Segment] = deque()
        self._source: object = None

    def clear(self) -> None:
        """Drop what was read ahead."""
        self._ahead.clear()
        self._source = None

    def segment(self, source: ActiveSource) -> Segment:
        """The lines after the source's checkpoint that fill a batch."""
        segment = self.read(source, source.checkpoint)
        while not segment.fills_batch:
            self._beat()
            segment = segment.joined(self.read(source, segment.end))
        return segment

    def read(self, source: ActiveSource, checkpoint: Checkpoint) -> Segment:
        """The lines after `checkpoint` from one read."""
        self._begin(source)
        if not self._ahead or self._ahead[0].start != checkpoint:
            self._ahead.clear()
            return self._reader.read(source, checkpoint)
        segment = self._ahead.popleft()
        # The rest of the file may have grown since.
        grown = source.file.stat.st_size > segment.end.offset + segment.unfinished
        return replace(segment, more=True) if grown else segment

    def fill(self, source: ActiveSource, last: Segment) -> bool:
        """Read more lines after `last`; False if that is pointless.

        Errors of the file are reported later, when it is its turn.
        """
        self._begin(source)
        last = self._ahead[-1] if self._ahead else last
        if not last.more or self._is_full():
            return False
        try:
            segment = self._reader.read(source, last.end)
        except (OSError, StopRequested):
            return False
        self._ahead.append(segment)
        return segment.more

    def _is_full(self) -> bool:
        turns = sum(segment.turns for segment in self._ahead)
        return turns >= BATCH_EVENTS or sum(each.size for each in self._ahead) >= BATCH_BYTES

    def _begin(self, source: ActiveSource) -> None:
        """Drop segments of another file or of other rules."""
        read_by = (source.file, source.stored.rules)
        if self._source != read_by:
            self.clear()
            self._source = read_by
