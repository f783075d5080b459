"""Rescues all complete records from a damaged line.

A line may hold several records, a record after a truncated one, runs of NUL bytes, bytes that are
not UTF-8, or NaN.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from claude_headspace.transcripts.lenient import Broken, FoundRecord, found

# The limit of failed decoding during the search for complete records after a broken one, as a
# multiple of the line's length: it makes the search linear for any line.
RESCUE_FACTOR = 32
# Only this many broken parts of a line are reported.
MAX_BROKEN = 100
# Otherwise a line that repeats `{}` a million times would become a million objects.
MAX_RECORDS = 10_000
# Deeper nesting is irrelevant to the log, and too deep for the decoder.
MAX_DEPTH = 64
_RECORD_START = re.compile(r'\{\s*"')
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
# Every record that can be recognised after a broken one has one of these.
_IDENTIFYING = ("uuid", "operation")
_decoder = json.JSONDecoder(strict=False, parse_int=float)


class _OneLine(str):
    """A text without line breaks, so that the decoder's errors need not count them."""

    __slots__ = ()

    def count(self, *_: Any) -> int:
        return 0

    def rfind(self, *_: Any) -> int:
        return -1


def take_apart(line: bytes) -> Iterator[FoundRecord | Broken]:
    """Every complete record of any line of bytes, and the broken parts."""
    broken = records = 0
    for part in _parts(line):
        if isinstance(part, Broken):
            broken += 1
            if broken <= MAX_BROKEN:
                yield part
            continue
        records += 1
        if records > MAX_RECORDS:
            yield Broken(part.offset, f"more than {MAX_RECORDS} records on one line")
            return
        yield part


def _parts(line: bytes) -> Iterator[FoundRecord | Broken]:
    # surrogateescape keeps one character for each undecodable byte, so offsets stay exact.
    text = _OneLine(line.decode("utf-8", "surrogateescape"))
    # NULs between tokens count as space; those inside a string belong to it.
    readings = (text, _OneLine(text.replace("\0", " "))) if "\0" in text else (text,)
    offsets = _Offsets(text)
    budget = RESCUE_FACTOR * len(text)
    at, alone = _skip_space(text, 0), True
    while at < len(text):
        value, end, problem = _decode_at(readings, at)
        if problem is None:
            alone = alone and _skip_space(text, end) == len(text)
            yield found(offsets.bytes_before(at), value, rescued=not alone)
            at = _skip_space(text, end)
            continue
        alone = False
        yield Broken(offsets.bytes_before(at), problem)
        following = _next_record(readings, at + 1, budget)
        if following is None:
            return
        at, budget = following


class _Offsets:
    """Converts positions of characters to bytes; call it from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = self._bytes = 0

    def bytes_before(self, at: int) -> int:
        self._bytes += len(self._text[self._at : at].encode("utf-8", "surrogateescape"))
        self._at = at
        return self._bytes


def _decode_at(readings: tuple[str, ...], at: int) -> tuple[Any, int, str | None]:
    """The value at a position, in the first variant of the line in which it decodes."""
    for text in readings:
        value, end, problem = _decode_plainly(text, at)
        if problem is None:
            break
    return value, end, problem


def _decode_plainly(text: str, at: int) -> tuple[Any, int, str | None]:
    try:
        value, end = _decoder.raw_decode(text, at)
    except json.JSONDecodeError as error:
        return None, error.pos, f"{error.msg} at character {error.pos}"
    except RecursionError:
        return _decode_deep(text, at)
    return value, end, None


def _decode_deep(text: str, at: int) -> tuple[Any, int, str | None]:
    """The value at a position; parts that are nested too deeply become null."""
    kept: list[str] = []
    depth, copied = 0, at
    for token in _TOKEN.finditer(text, at):
        mark = token[0]
        if mark in "{[":
            depth += 1
            if depth == MAX_DEPTH:
                kept.append(text[copied : token.start()])
        elif mark in "}]":
            if depth == MAX_DEPTH:
                kept.append("null")
                copied = token.end()
            depth -= 1
            if depth == 0:
                kept.append(text[copied : token.end()])
                return _decode_shallow("".join(kept), token.end())
    return None, len(text), "nested too deeply and truncated"


def _decode_shallow(text: str, end: int) -> tuple[Any, int, str | None]:
    try:
        return _decoder.decode(text), end, None
    except json.JSONDecodeError as error:
        return None, end, f"{error.msg} in a deeply nested record"


def _next_record(readings: tuple[str, ...], start: int, budget: int) -> tuple[int, int] | None:
    """The start of the next decodable, recognisable record, and the remaining budget."""
    text = readings[0]
    last = max(str.rfind(text, f'"{name}"') for name in _IDENTIFYING)
    for match in _RECORD_START.finditer(text, start):
        at = match.start()
        if at > last or budget <= 0:
            return None
        value, end, problem = _decode_at(readings, at)
        budget -= end - at
        names_itself = isinstance(value, dict) and value.keys() >= {"type", "sessionId"}
        if problem is None and names_itself and any(name in value for name in _IDENTIFYING):
            return at, budget
    return None


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and (text[at].isspace() or text[at] in "\0\ufeff"):
        at += 1
    return at
