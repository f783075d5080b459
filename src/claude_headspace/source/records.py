"""One line of a transcript taken apart into records, however damaged it is.

Nearly every line is one JSON object. A line may also hold several, one behind a cut-off other,
runs of NUL bytes, bytes that are no UTF-8, or NaN: every whole record comes out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

# A cut-off record is searched for whole ones behind it; this bounds the characters decoded in
# vain, so that a hostile line of megabytes costs a second and not an hour.
SALVAGE_BUDGET = 64 * 1024 * 1024
# Of a line with more broken parts than this the first are told, the rest is passed over.
MAX_BROKEN = 100
# A line that repeats `{}` a million times would else become a million objects.
MAX_RECORDS = 10_000
_RECORD_START = re.compile(r'\{\s*"')
NO_MESSAGE = msgspec.Raw(b"")
_IDENTIFYING = frozenset({"type", "sessionId", "uuid"})


class Message(msgspec.Struct):
    """The part of a message that says whether it is a turn."""

    content: str | list[Block] | None = None
    id: str | None = None
    model: str | None = None


class Block(msgspec.Struct):
    """One block of a message's content; anything but text is skipped over unread."""

    type: str = ""
    text: str | None = None


class Record(msgspec.Struct):
    """One record, as far as the log cares; `message` is decoded only where it matters."""

    type: str | None = None
    message: msgspec.Raw = NO_MESSAGE
    uuid: str | None = None
    sessionId: str | None = None  # noqa: N815
    timestamp: str | None = None
    cwd: str | None = None
    agentId: str | None = None  # noqa: N815
    isSidechain: bool | None = None  # noqa: N815
    isMeta: bool | None = None  # noqa: N815
    isCompactSummary: bool | None = None  # noqa: N815
    isApiErrorMessage: bool | None = None  # noqa: N815


_TEXT_FIELDS = ("type", "uuid", "sessionId", "timestamp", "cwd", "agentId")
_FLAGS = ("isSidechain", "isMeta", "isCompactSummary", "isApiErrorMessage")


@dataclass(frozen=True, slots=True)
class Found:
    """A whole record of a line that was not simply one record.

    `offset` is in bytes from the line's start. `message` is decoded already.
    """

    offset: int
    record: Record
    message: Message | None
    salvaged: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """A part of a line that is no record, and why."""

    offset: int
    problem: str


_decode_record = msgspec.json.Decoder(Record).decode
_decode_message = msgspec.json.Decoder(Message).decode
_decoder = json.JSONDecoder(strict=False, parse_int=float)


def quick_record(line: bytes) -> Record | None:
    """The record of an undamaged line; None where `take_apart` has to look."""
    try:
        return _decode_record(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def quick_message(raw: msgspec.Raw) -> Message | None:
    """A record's message; None where `take_apart` has to look."""
    try:
        return _decode_message(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def take_apart(line: bytes) -> Iterator[Found | Broken]:
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


def _parts(line: bytes) -> Iterator[Found | Broken]:
    # surrogateescape keeps one character for each undecodable byte, so offsets stay exact.
    text = line.decode("utf-8", "surrogateescape")
    # NULs between tokens count as space; those inside a string are its own.
    readings = (text, text.replace("\0", " ")) if "\0" in text else (text,)
    offsets = _Offsets(text)
    budget = SALVAGE_BUDGET
    at, alone = _skip_space(text, 0), True
    while at < len(text):
        value, end, problem = _decode_at(readings, at)
        if problem is None:
            alone = alone and _skip_space(text, end) == len(text)
            yield _found(offsets.bytes_before(at), value, salvaged=not alone)
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
        return None, len(text), "nested too deep"
    return value, end, None


def _next_record(readings: tuple[str, ...], start: int, budget: int) -> tuple[int, int] | None:
    """Where the next record that decodes and names itself starts, and what budget is left."""
    text = readings[0]
    last = text.rfind('"uuid"')
    for match in _RECORD_START.finditer(text, start):
        at = match.start()
        if at > last or budget <= 0:
            return None
        value, end, problem = _decode_at(readings, at)
        budget -= end - at
        if problem is None and isinstance(value, dict) and value.keys() >= _IDENTIFYING:
            return at, budget
    return None


def _found(offset: int, value: Any, *, salvaged: bool) -> Found | Broken:
    if not isinstance(value, dict):
        return Broken(offset, f"a {type(value).__name__} where a JSON object was expected")
    record = Record()
    for name in _TEXT_FIELDS:
        setattr(record, name, _text(value.get(name)))
    for name in _FLAGS:
        setattr(record, name, bool(value.get(name)))
    return Found(offset, record, _message(value.get("message")), salvaged)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _message(value: Any) -> Message | None:
    if not isinstance(value, dict):
        return None
    content = value.get("content")
    if isinstance(content, list):
        content = [_block(block) for block in content if isinstance(block, dict)]
    elif not isinstance(content, str):
        content = None
    return Message(content, _text(value.get("id")), _text(value.get("model")))


def _block(block: dict[str, Any]) -> Block:
    return Block(_text(block.get("type")) or "", _text(block.get("text")))


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and (text[at].isspace() or text[at] == "\0"):
        at += 1
    return at
