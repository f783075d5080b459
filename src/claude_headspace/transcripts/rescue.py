"""Takes a damaged line apart and returns every complete record.

A line may hold several records, a record after a truncated one, runs of NUL bytes, bytes that are
not UTF-8, or NaN.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from claude_headspace.transcripts.lenient import Broken, FoundRecord, found

# What is decoded in vain while whole records are searched for behind a broken one, as a multiple
# of the line's length: so the search is linear, whatever the line holds.
RESCUE_FACTOR = 32
# Of a line with more broken parts than this, only the first are reported.
MAX_BROKEN = 100
# A line that repeats `{}` a million times would else become a million objects.
MAX_RECORDS = 10_000
# What is nested deeper is of no interest to the log, and too deep for the decoder.
MAX_DEPTH = 64
_RECORD_START = re.compile(r'\{\s*"')
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
# One of these is in every record that can be recognised behind a broken one.
_IDENTIFYING = ("uuid", "operation")
_decoder = json.JSONDecoder(strict=False, parse_int=float)


class _OneLine(str):
    """A text without line breaks: the decoder's errors need not count them from the start."""

    __slots__ = ()

    def count(self, *_: Any) -> int:
        return 0

    def rfind(self, *_: Any) -> int:
        return -1


def take_apart(line: bytes) -> Iterator[FoundRecord | Broken]:
    """Every whole record of any line of bytes, and the parts that are none."""
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
    # NULs between tokens count as space; those inside a string are its own.
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
    """Where characters stand in bytes; asked from left to right."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = self._bytes = 0

    def bytes_before(self, at: int) -> int:
        self._bytes += len(self._text[self._at : at].encode("utf-8", "surrogateescape"))
        self._at = at
        return self._bytes


def _decode_at(readings: tuple[str, ...], at: int) -> tuple[Any, int, str | None]:
    """What is at a place, in the first reading of the line in which it decodes."""
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
    """The value at a place without what is nested too deep in it, which becomes null."""
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
    """Where the next record that decodes and names itself starts, and what budget is left."""
    text = readings[0]
    last = max(str.rfind(text, f'"{name}"') for name in _IDENTIFYING)
    for match in _RECORD_START.finditer(text, start):
        at = match.start()
        if at > last or budget <= 0:
            return None
        value, end, problem = _decode_at(readings, at)
        budget -= end - at
        if problem is None and _names_itself(value):
            return at, budget
    return None


def _names_itself(value: Any) -> bool:
    if not isinstance(value, dict) or not value.keys() >= {"type", "sessionId"}:
        return False
    return any(name in value for name in _IDENTIFYING)


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and (text[at].isspace() or text[at] in "\0\ufeff"):
        at += 1
    return at
