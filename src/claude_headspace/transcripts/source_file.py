"""Reads the new complete lines of a file, and notices when its content was replaced.

Works on bytes, because a read may end inside a character. Only `\\n` ends a line. Between reads,
only the checkpoint is in memory.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

from claude_headspace.transcripts.checkpoint import Checkpoint, as_stored
from claude_headspace.transcripts.lines import Chunk, Line, TooLong, split, thin

CHUNK_BYTES = 128 * 1024
SCAN_BYTES = 1024 * 1024
# A rewritten file differs in its first or last committed bytes; if they are equal but the time
# changed without growth, all bytes are compared.
EDGE_BYTES = 1024
# A line over the limit is read if it is within the limit without parts such as images.
LONGEST_LINE_BYTES = 64 * 1024 * 1024

# How long one system call may take before it counts as a hang.
SLOW_SECONDS = 60.0

# The committed bytes of a file: all as they were, some of them missing, or different.
Contents = Literal["same", "shorter", "other"]
# Called with a description of work, and the seconds that it may take.
Doing = Callable[[str, float], AbstractContextManager[None]]


def unreported(_what: str, _seconds: float) -> AbstractContextManager[None]:
    """For callers that nobody watches."""
    return nullcontext()


def no_beat() -> None:
    """The same."""


class SourceFile:
    """An open source file. Open files follow their content, whatever happens to the name.

    Each read is reported as work, because a disk may be slow; `beat` is called during long work.
    """

    def __init__(
        self, path: str, doing: Doing = unreported, beat: Callable[[], None] = no_beat
    ) -> None:
        """Raises OSError like open."""
        self.path = path
        self._doing = doing
        self.beat = beat
        self.stat = self._open()
        # The line that begins at an offset has no end up to here; with the last searched bytes,
        # because the line may have been cut and rewritten.
        self._searched: tuple[int, int, bytes] = (0, 0, b"")
        # The last committed bytes before an offset. Compared bytes are reused, not read again,
        # because the file may have been rewritten in between.
        self._before: tuple[int, bytes] = (0, b"")

    def _open(self) -> os.stat_result:
        self._fd = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        return os.fstat(self._fd)

    def _read_at(self, length: int, at: int) -> bytes:
        with self._doing(f"reading {self.path}", SLOW_SECONDS):
            return os.pread(self._fd, length, at)

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)

    def refresh(self) -> os.stat_result:
        """Read size and times again."""
        self.stat = os.fstat(self._fd)
        return self.stat

    @property
    def identity(self) -> tuple[int, int]:
        """Device and inode."""
        return as_stored(self.stat.st_dev), as_stored(self.stat.st_ino)

    @property
    def mtime_ns(self) -> int:
        """The time of its last write, as of the last `refresh`."""
        return as_stored(self.stat.st_mtime_ns)

    @property
    def modified(self) -> datetime:
        """The same as a datetime, limited to the supported years."""
        seconds = self.stat.st_mtime
        try:
            return datetime.fromtimestamp(seconds, tz=UTC)
        except (ValueError, OverflowError, OSError):
            return (datetime.max if seconds > 0 else datetime.min).replace(tzinfo=UTC)

    def compare(self, checkpoint: Checkpoint) -> Contents:
        """Whether the committed bytes are unchanged."""
        if self.stat.st_size < checkpoint.offset:
            return "shorter"
        if checkpoint.offset == 0:
            return "same"
        if self._edges(checkpoint.offset) != (checkpoint.head, checkpoint.tail):
            return "other"
        moved = (checkpoint.device, checkpoint.inode) != self.identity
        still = self.stat.st_size == checkpoint.offset
        if not moved and not (still and checkpoint.mtime_ns != self.mtime_ns):
            return "same"
        # It may be another file of the same name, or was written to without growing.
        whole = self._checksum(0, 0, checkpoint.offset)
        return "same" if whole == checkpoint.checksum else "other"

    def _edges(self, offset: int) -> tuple[int, int]:
        length = min(offset, EDGE_BYTES)
        head = self._read_at(length, 0)
        tail = head if offset <= EDGE_BYTES else self._read_at(length, offset - length)
        self._before = (offset, tail)
        return zlib.crc32(head), zlib.crc32(tail)

    def read(
        self, checkpoint: Checkpoint, max_line_bytes: int, chunk_bytes: int = CHUNK_BYTES
    ) -> Chunk:
        """The complete lines after `checkpoint`: about `chunk_bytes`, or one longer line."""
        start, size = checkpoint.offset, self.stat.st_size
        data = self._read_at(min(chunk_bytes, size - start), start) if size > start else b""
        cut = data.rfind(b"\n") + 1
        if not cut and start + len(data) < size:
            return self._read_long(checkpoint, data, max_line_bytes)
        committed = data[:cut]
        # The byte before may be committed although it is not a newline.
        unterminated = start > 0 and not self._bytes_before(start).endswith(b"\n")
        lines = list(split(committed, start, unterminated, max_line_bytes))
        after = self.after(checkpoint, committed)
        unfinished = len(data) - cut
        return Chunk(lines, after, start + len(data) < size, unfinished)

    def _read_long(self, checkpoint: Checkpoint, data: bytes, limit: int) -> Chunk:
        """A line longer than a chunk: complete up to the limit, else thinned or skipped."""
        start, size = checkpoint.offset, self.stat.st_size
        end = self._find_newline(start, start + len(data))
        if end is None:
            return Chunk([], self.after(checkpoint, b""), False, size - start)
        more = end + 1 < size
        if (length := end - start) > limit:
            line: Line | TooLong = TooLong(start, length)
            if length <= LONGEST_LINE_BYTES:
                line = thin(start, length, self._blocks(start, end), limit)
            return Chunk([line], self._skipped(checkpoint, end), more, 0)
        whole = self._read_at(end + 1 - start, start)
        return Chunk([Line(start, whole[:-1])], self.after(checkpoint, whole), more, 0)

    def _blocks(self, at: int, end: int) -> Iterator[bytes]:
        while at < end:
            data = self._read_at(min(SCAN_BYTES, end - at), at)
            if not data:
                return
            at += len(data)
            yield data
            self.beat()

    def _skipped(self, checkpoint: Checkpoint, end: int) -> Checkpoint:
        """The checkpoint after a line that is not held in memory."""
        begun = self.after(checkpoint, self._read_at(EDGE_BYTES, checkpoint.offset))
        tail_start = max(begun.offset, end + 1 - EDGE_BYTES)
        checksum = self._checksum(begun.checksum, begun.offset, tail_start)
        passed = replace(begun, offset=tail_start, checksum=checksum)
        return self.after(passed, self._read_at(end + 1 - tail_start, tail_start))

    def _find_newline(self, start: int, at: int) -> int | None:
        """The offset of the first newline at or after `at`; remembers how far it searched."""
        searched, searched_to, last = self._searched
        if searched == start and self._read_at(len(last), searched_to - len(last)) == last:
            at = max(at, searched_to)
        for data in self._blocks(at, self.stat.st_size):
            found = data.find(b"\n")
            if found >= 0:
                return at + found
            at += len(data)
            self._searched = (start, at, data[-EDGE_BYTES:])
        return None

    def read_bytes(self, checkpoint: Checkpoint, limit: int) -> tuple[bytes, Checkpoint]:
        """The bytes after a checkpoint, complete lines or not, and the checkpoint after them.

        Call `compare` first.
        """
        start = checkpoint.offset
        data = self._read_at(max(0, min(limit, self.stat.st_size - start)), start)
        return data, self.after(checkpoint, data)

    def checksum(self, checkpoint: Checkpoint, end: int) -> int:
        """The CRC-32 of all bytes before `end`, which is after a checkpoint read before."""
        return self._checksum(checkpoint.checksum, checkpoint.offset, end)

    def _checksum(self, checksum: int, at: int, end: int) -> int:
        """The CRC-32 continued over the bytes from `at` to `end`."""
        for data in self._blocks(at, end):
            checksum = zlib.crc32(data, checksum)
        return checksum

    def begin(self, start: int, length: int) -> bytes:
        """The first bytes from an offset on, to show them."""
        return self._read_at(length, start)

    def read_unfinished(self, checkpoint: Checkpoint, max_line_bytes: int) -> Chunk | None:
        """The last line without its newline; None if it is longer than the limit."""
        start, size = checkpoint.offset, self.stat.st_size
        if not 0 < size - start <= max_line_bytes:
            return None
        data = self._read_at(size - start, start)
        if b"\n" in data or len(data) < size - start:
            return None
        return Chunk([Line(start, data)], self.after(checkpoint, data), False, 0)

    def _bytes_before(self, offset: int) -> bytes:
        if self._before[0] != offset:
            self._edges(offset)
        return self._before[1]

    def after(self, checkpoint: Checkpoint, committed: bytes) -> Checkpoint:
        """The checkpoint after `committed`, the bytes that follow `checkpoint`."""
        offset = checkpoint.offset + len(committed)
        edge = self._bytes_before(checkpoint.offset) + committed
        head = zlib.crc32(edge[:EDGE_BYTES]) if checkpoint.offset < EDGE_BYTES else checkpoint.head
        tail = edge[-EDGE_BYTES:]
        self._before = (offset, tail)
        checksum = zlib.crc32(committed, checkpoint.checksum)
        return Checkpoint(offset, *self.identity, self.mtime_ns, checksum, head, zlib.crc32(tail))
