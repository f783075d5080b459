"""Reads a transcript for checking: all of its lines, independently of any stored position."""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from claude_headspace.source.long_lines import TooMuchText, thinned
from claude_headspace.source.tailer import CHUNK_BYTES, LONGEST_LINE_BYTES

BLOCK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class FileLine:
    """One line as it stands in the file; `number` counts from 1, `start` is its byte offset.

    `data` is None where the line is over the limit. `ended`: it has its newline.
    """

    number: int
    start: int
    length: int
    data: bytes | None
    ended: bool


def longest_line(max_line_bytes: int) -> int:
    """The length in bytes up to which a line can have been taken: a short one always is."""
    return max(max_line_bytes, CHUNK_BYTES - 1)


class LineReader:
    """The lines of a file as long as it is now; what is appended meanwhile is left out.

    After `lines` is exhausted, `checksum` is the CRC-32 of the first `settled_bytes` bytes.
    Memory is bounded by `max_line_bytes`.
    """

    def __init__(
        self,
        path: str,
        max_line_bytes: int,
        settled_bytes: int = 0,
        *,
        progress: Callable[[int], None] | None = None,
        block_bytes: int = BLOCK_BYTES,
    ) -> None:
        """Raises OSError as open does."""
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        self.size = os.fstat(self._fd).st_size
        self.checksum = 0
        self._limit = max_line_bytes
        self._settled = settled_bytes
        self._progress = progress
        self._block_bytes = block_bytes

    def close(self) -> None:
        """Release the file."""
        os.close(self._fd)

    def lines(self) -> Iterator[FileLine]:
        """Every line, in order."""
        held: list[bytes] = []
        number = start = length = 0
        for block in self._blocks():
            *ended, rest = block.split(b"\n")
            for piece in ended:
                number += 1
                length += len(piece)
                yield FileLine(number, start, length, self._data(held, piece, start, length), True)
                start += length + 1
                held, length = [], 0
            length += len(rest)
            if length <= self._limit:
                held.append(rest)
            else:
                held.clear()
        if length:
            yield FileLine(number + 1, start, length, self._data(held, b"", start, length), False)

    def _data(self, held: list[bytes], piece: bytes, start: int, length: int) -> bytes | None:
        if length <= self._limit:
            return b"".join((*held, piece))
        if length > LONGEST_LINE_BYTES:
            return None
        try:
            return thinned(self._blocks_of(start, start + length), self._limit)
        except TooMuchText:
            return None

    def _blocks_of(self, at: int, end: int) -> Iterator[bytes]:
        while at < end:
            block = os.pread(self._fd, min(self._block_bytes, end - at), at)
            if not block:
                return
            at += len(block)
            yield block

    def _blocks(self) -> Iterator[bytes]:
        at = 0
        while at < self.size:
            block = os.pread(self._fd, min(self._block_bytes, self.size - at), at)
            if not block:
                return
            if at < self._settled:
                self.checksum = zlib.crc32(block[: self._settled - at], self.checksum)
            at += len(block)
            if self._progress:
                self._progress(len(block))
            yield block


def line_around(path: str, offset: int, max_line_bytes: int) -> tuple[int, bytes] | None:
    """The line that holds the byte at `offset`, with its start.

    None where there is no such line, or it is longer than the limit. Raises OSError as open does.
    """
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        low = max(0, offset - max_line_bytes)
        before = os.pread(fd, offset - low, low)
        if len(before) < offset - low:
            return None
        start = low + before.rfind(b"\n") + 1
        data = os.pread(fd, max_line_bytes + 1, start)
    finally:
        os.close(fd)
    if start == low > 0 and not before.startswith(b"\n"):
        return None
    line, newline, _ = data.partition(b"\n")
    whole = len(line) <= max_line_bytes and (newline or len(data) <= max_line_bytes)
    return (start, line) if whole and start + len(line) >= offset and line else None
