"""Lines of bytes, as read from a file."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from claude_headspace.transcripts.checkpoint import Checkpoint
from claude_headspace.transcripts.long_lines import TooMuchText, thinned


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line without its newline; `start` is the offset of its first byte in the file.

    `thinned`: the line has `length` bytes; the parts that make it long are omitted from `data`.
    """

    start: int
    data: bytes
    thinned: bool = False
    length: int = 0

    @property
    def size(self) -> int:
        """The bytes of the line in the file."""
        return self.length or len(self.data)


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line over the limit, `length` bytes long; it was skipped without holding it in memory."""

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Complete lines after a checkpoint, and the checkpoint after them.

    `more`: there may be more complete lines. `unfinished`: bytes that wait for a newline.
    """

    lines: Sequence[Line | TooLong]
    checkpoint: Checkpoint
    more: bool
    unfinished: int


def split(
    committed: bytes, start: int, unterminated: bool, max_line_bytes: int
) -> Iterator[Line | TooLong]:
    """The lines of a block that ends with a newline; a late newline alone is not a line."""
    pieces = committed.split(b"\n")
    pieces.pop()
    for number, piece in enumerate(pieces):
        if len(piece) > max_line_bytes:
            yield thin(start, len(piece), (piece,), max_line_bytes)
        elif number or piece or not unterminated:
            yield Line(start, piece)
        start += len(piece) + 1


def thin(start: int, length: int, blocks: Iterable[bytes], limit: int) -> Line | TooLong:
    """A long line without the parts that make it long, if it is then within the limit."""
    try:
        return Line(start, thinned(blocks, limit), thinned=True, length=length)
    except TooMuchText:
        return TooLong(start, length)
