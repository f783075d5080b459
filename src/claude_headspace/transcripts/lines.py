"""What is read of a file: lines of bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec

from claude_headspace.transcripts.checkpoint import Checkpoint
from claude_headspace.transcripts.long_lines import TooMuchText, thinned


class Line(msgspec.Struct, frozen=True, gc=False):
    """One line without its newline; `start` is the offset of its first byte in the file.

    `thinned`: what makes the line long, `length` bytes, is left out of `data`.
    """

    start: int
    data: bytes
    thinned: bool = False
    length: int = 0

    @property
    def size(self) -> int:
        """Bytes of the line in the file."""
        return self.length or len(self.data)


@dataclass(frozen=True, slots=True)
class TooLong:
    """A line over the limit, `length` bytes long; it was skipped without being held."""

    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Chunk:
    """Whole lines that follow a checkpoint, and the checkpoint after them.

    `more`: more whole lines may be there already. `unfinished`: bytes that wait for a newline.
    """

    lines: Sequence[Line | TooLong]
    checkpoint: Checkpoint
    more: bool
    unfinished: int


def split(
    committed: bytes, start: int, unterminated: bool, max_line_bytes: int
) -> Iterator[Line | TooLong]:
    """The lines of a block that ends with a newline; a late newline alone is no line."""
    pieces = committed.split(b"\n")
    pieces.pop()
    for number, piece in enumerate(pieces):
        if len(piece) > max_line_bytes:
            yield thin(start, len(piece), (piece,), max_line_bytes)
        elif number or piece or not unterminated:
            yield Line(start, piece)
        start += len(piece) + 1


def thin(start: int, length: int, blocks: Iterable[bytes], limit: int) -> Line | TooLong:
    """One long line without what makes it long, if that is within the limit then."""
    try:
        return Line(start, thinned(blocks, limit), thinned=True, length=length)
    except TooMuchText:
        return TooLong(start, length)
