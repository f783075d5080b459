"""Shortens a long line by the parts that make it long, such as images and tool outputs.

The texts of a person or the agent, and the fields that identify the line, stay complete. The line
is read in blocks, and is never in memory as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Strings other than a turn's own text are emptied if they are longer than this, in bytes.
SHORT_BYTES = 1024
_MARK = re.compile(rb'["{}\[\],:]')
_OPENING, _CLOSING = b"{[", b"}]"
# Containers to search: those of the record, and of its message or attachment.
_OF_RECORD = frozenset({b"message", b"attachment", b"origin", b"forkedFrom"})
_LISTS = {b"message": b"content", b"attachment": b"prompt"}
_TEXTS_OF_RECORD = frozenset({b"content", b"userFeedback"})
_BLOCK_DEPTH = 4


class TooMuchText(Exception):
    """The line is over the limit even without the parts that make it long."""


def thinned(blocks: Iterable[bytes], limit: int) -> bytes:
    """The line in these blocks, thinned; TooMuchText if more than `limit` bytes are left."""
    thinner = _Thinner(limit)
    for block in blocks:
        thinner.feed(block)
    return bytes(thinner.kept)


class _Thinner:
    """Follows the structure of JSON, and keeps the parts that matter."""

    def __init__(self, limit: int) -> None:
        self.kept = bytearray()
        self._limit = limit
        self._open = bytearray()
        self._left_out_at: int | None = None
        self._top = self._key = b""
        self._last_string = b""
        self._in_string = self._escaped = False
        self._is_text = False
        # The kept part of the current string; None once it is dropped.
        self._string: bytearray | None = None

    def feed(self, block: bytes) -> None:
        """Process the next bytes of the line."""
        at = 0
        while at < len(block):
            at = self._inside(block, at) if self._in_string else self._outside(block, at)
        if len(self.kept) > self._limit:
            raise TooMuchText

    def _outside(self, block: bytes, at: int) -> int:
        found = _MARK.search(block, at)
        end = found.end() if found else len(block)
        mark = found[0] if found else b""
        if mark in (b"{", b"["):
            self._copy(block[at : end - 1])
            self._enter(mark)
        elif mark in (b"}", b"]"):
            self._copy(block[at : end - 1])
            self._leave(mark)
        else:
            self._copy(block[at : end - 1] if mark == b'"' else block[at:end])
            self._note(mark)
        return end

    def _note(self, mark: bytes) -> None:
        if mark == b'"':
            self._in_string = True
            self._is_text = self._is_own_text()
            self._string = None if self._left_out_at is not None else bytearray()
        elif mark == b":" and self._left_out_at is None:
            self._key = self._last_string
            if len(self._open) == 1:
                self._top = self._key
        elif mark == b",":
            self._key = b""

    def _enter(self, mark: bytes) -> None:
        if self._left_out_at is None and not self._matters():
            self._copy(b"null")
            self._left_out_at = len(self._open)
        self._open += mark
        self._copy(mark)

    def _leave(self, mark: bytes) -> None:
        self._copy(mark)
        if self._open:
            self._open.pop()
        if self._left_out_at == len(self._open):
            self._left_out_at = None

    def _matters(self) -> bool:
        depth = len(self._open)
        if depth == 1:
            return self._key in _OF_RECORD
        if depth == 2:
            return self._key in (_LISTS.get(self._top), b"origin")
        return depth < _BLOCK_DEPTH

    def _is_own_text(self) -> bool:
        depth, in_list = len(self._open), self._open.endswith(b"[")
        if depth == 1:
            return self._key in _TEXTS_OF_RECORD
        if self._top not in _LISTS:
            return False
        if depth == 2:
            return self._key == _LISTS[self._top]
        return in_list if depth < _BLOCK_DEPTH else self._key == b"text"

    def _inside(self, block: bytes, at: int) -> int:
        """Read a string to its end or the end of the block; returns the position there."""
        end = self._end_of_string(block, at)
        self._take(block[at : end if end >= 0 else len(block)])
        if end < 0:
            return len(block)
        self._finish_string()
        return end + 1

    def _end_of_string(self, block: bytes, at: int) -> int:
        """The position of its closing quote in the block; -1 if it is not in the block."""
        at += self._escaped
        self._escaped = False
        quote = block.find(b'"', at)
        while (slash := block.find(b"\\", at, quote if quote >= 0 else len(block))) >= 0:
            at = slash + 2
            if at > len(block):
                self._escaped = True
                return -1
            if 0 <= quote < at:
                quote = block.find(b'"', at)
        return quote

    def _take(self, part: bytes) -> None:
        if self._string is None:
            return
        if len(self._string) + len(part) <= (self._limit if self._is_text else SHORT_BYTES):
            self._string += part
        elif self._is_text:
            raise TooMuchText
        else:
            self._string = None

    def _finish_string(self) -> None:
        self._in_string = False
        string = bytes(self._string or b"")
        self._last_string = string
        self._copy(b'"' + string + b'"')

    def _copy(self, piece: bytes) -> None:
        if self._left_out_at is None:
            self.kept += piece
