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

# What is decoded in vain while whole records are searched for behind a broken one, as a multiple
# of the line's length: so the search is linear, whatever the line holds.
RESCUE_FACTOR = 32
# Of a line with more broken parts than this the first are told, the rest is passed over.
MAX_BROKEN = 100
# A line that repeats `{}` a million times would else become a million objects.
MAX_RECORDS = 10_000
# What is nested deeper is of no interest to the log, and too deep for the decoder.
MAX_DEPTH = 64
_RECORD_START = re.compile(r'\{\s*"')
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
ABSENT = msgspec.Raw(b"")
# One of these is in every record that can be recognised behind a broken one.
_IDENTIFYING = ("uuid", "operation")


class Origin(msgspec.Struct):
    """Who made a message, as newer clients say: `human`, or the kind of a machine."""

    kind: str | None = None


class ForkedFrom(msgspec.Struct):
    """The session whose line this one repeats."""

    sessionId: str | None = None  # noqa: N815


class Block(msgspec.Struct):
    """One block of a message's content; what a tool is given or gives back is left as it is."""

    type: str = ""
    text: str | None = None
    id: str | None = None
    name: str | None = None
    input: msgspec.Raw = ABSENT
    tool_use_id: str | None = None
    is_error: bool | None = None
    content: msgspec.Raw = ABSENT


Content = str | list[Block | str] | None


class Message(msgspec.Struct):
    """The part of a message that says whether it is a turn, and what it cost."""

    content: Content = None
    id: str | None = None
    model: str | None = None
    usage: msgspec.Raw = ABSENT
    stop_reason: Any = None


class Attachment(msgspec.Struct):
    """What a client put beside a message; `prompt` is what a person typed while it worked."""

    type: str | None = None
    prompt: Content = None
    commandMode: str | None = "prompt"  # noqa: N815
    isMeta: bool | None = None  # noqa: N815
    origin: Origin | str | None = None


class _AttachmentType(msgspec.Struct):
    type: str | None = None


class Record(msgspec.Struct):
    """One record, as far as the log cares; what is raw is decoded only where it matters."""

    type: str | None = None
    message: msgspec.Raw = ABSENT
    attachment: msgspec.Raw = ABSENT
    uuid: str | None = None
    parentUuid: str | None = None  # noqa: N815
    sessionId: str | None = None  # noqa: N815
    requestSessionId: str | None = None  # noqa: N815
    timestamp: str | None = None
    cwd: str | None = None
    agentId: str | None = None  # noqa: N815
    promptSource: str | None = None  # noqa: N815
    entrypoint: str | None = None
    userFeedback: str | None = None  # noqa: N815
    origin: Origin | str | None = None
    forkedFrom: ForkedFrom | None = None  # noqa: N815
    isSidechain: bool | None = None  # noqa: N815
    isMeta: bool | None = None  # noqa: N815
    isCompactSummary: bool | None = None  # noqa: N815
    isVisibleInTranscriptOnly: bool | None = None  # noqa: N815
    isVirtual: bool | None = None  # noqa: N815
    isApiErrorMessage: bool | None = None  # noqa: N815
    holdsPersonsWords: bool | None = None  # noqa: N815


class Details(msgspec.Struct):
    """Fields of the few records that have neither a message nor an attachment to be read.

    Apart from `Record`, whose every field costs time with every line.
    """

    content: msgspec.Raw = ABSENT
    reason: msgspec.Raw = ABSENT
    subtype: str | None = None
    operation: str | None = None
    leafUuid: str | None = None  # noqa: N815
    customTitle: str | None = None  # noqa: N815
    aiTitle: str | None = None  # noqa: N815
    agentName: str | None = None  # noqa: N815
    summary: str | None = None

    @property
    def text(self) -> str | None:
        """The content, where it is a text."""
        return None if self.content == ABSENT else _text(_decode_any(self.content))


# What a record of a type says beside its own fields.
Body = Message | Attachment | Details | None

_TEXT_FIELDS = (
    "type", "uuid", "parentUuid", "sessionId", "requestSessionId", "timestamp", "cwd", "agentId",
    "promptSource", "entrypoint", "userFeedback",
)  # fmt: skip
_DETAILS = (
    "subtype", "operation", "leafUuid", "customTitle", "aiTitle", "agentName", "summary",
)  # fmt: skip
_FLAGS = (
    "isSidechain", "isMeta", "isCompactSummary", "isVisibleInTranscriptOnly", "isVirtual",
    "isApiErrorMessage", "holdsPersonsWords",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A whole record of a line that was not simply one record.

    `offset` is in bytes from the line's start. `body` is decoded already.
    """

    offset: int
    record: Record
    body: Body
    rescued: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """A part of a line that is no record, and why."""

    offset: int
    problem: str


class Undecodable(Exception):
    """The quick way does not do; `take_apart` has to look."""


class _OneLine(str):
    """A text without line breaks: the decoder's errors need not count them from the start."""

    __slots__ = ()

    def count(self, *_: Any) -> int:
        return 0

    def rfind(self, *_: Any) -> int:
        return -1


_decode_record = msgspec.json.Decoder(Record).decode
_decode_message = msgspec.json.Decoder(Message).decode
_decode_attachment_type = msgspec.json.Decoder(_AttachmentType).decode
_decode_attachment = msgspec.json.Decoder(Attachment).decode
_decode_details = msgspec.json.Decoder(Details).decode
_decode_any = msgspec.json.Decoder(Any).decode
_decoder = json.JSONDecoder(strict=False, parse_int=float)
_FAILURES = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# The type of attachment that holds what a person typed.
QUEUED_PROMPT = "queued_command"
_WITH_MESSAGE = frozenset({"user", "assistant"})
_WITH_DETAILS = frozenset(
    {"system", "queue-operation", "custom-title", "ai-title", "summary", "agent-name"}
)


def quick_record(line: bytes) -> Record | None:
    """The record of an undamaged line; None where `take_apart` has to look."""
    try:
        return _decode_record(line)
    except _FAILURES:
        return None


def quick_body(record: Record, line: bytes) -> Body:
    """What an undamaged line's record says. Raises Undecodable where `take_apart` must look."""
    kind = record.type
    try:
        if kind in _WITH_MESSAGE:
            return Message() if record.message == ABSENT else _decode_message(record.message)
        if kind == "attachment":
            return _quick_attachment(record)
        return _decode_details(line) if kind in _WITH_DETAILS else None
    except _FAILURES as error:
        raise Undecodable from error


def _quick_attachment(record: Record) -> Attachment:
    if record.attachment == ABSENT:
        return Attachment()
    if _decode_attachment_type(record.attachment).type != QUEUED_PROMPT:
        return Attachment()
    return _decode_attachment(record.attachment)


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
            yield _found(offsets.bytes_before(at), value, rescued=not alone)
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
    return None, len(text), "nested too deep and cut off"


def _decode_shallow(text: str, end: int) -> tuple[Any, int, str | None]:
    try:
        return _decoder.decode(text), end, None
    except json.JSONDecodeError as error:
        return None, end, f"{error.msg} in a record that is nested deep"


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


def _found(offset: int, value: Any, *, rescued: bool) -> Found | Broken:
    if not isinstance(value, dict):
        return Broken(offset, f"a {type(value).__name__} where a JSON object was expected")
    record = Record(origin=_origin(value.get("origin")), forkedFrom=_fork(value.get("forkedFrom")))
    for name in _TEXT_FIELDS:
        setattr(record, name, _text(value.get(name)))
    for name in _FLAGS:
        setattr(record, name, bool(value.get(name)))
    return Found(offset, record, _body(record.type, value), rescued)


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _origin(value: Any) -> Origin | str | None:
    return Origin(_text(value.get("kind"))) if isinstance(value, dict) else _text(value)


def _fork(value: Any) -> ForkedFrom | None:
    return ForkedFrom(_text(value.get("sessionId"))) if isinstance(value, dict) else None


def _body(record_type: str | None, value: dict[str, Any]) -> Body:
    if record_type in _WITH_MESSAGE:
        return _message(value.get("message"))
    if record_type == "attachment":
        return _attachment(value.get("attachment"))
    return _details(value) if record_type in _WITH_DETAILS else None


def _details(value: dict[str, Any]) -> Details:
    details = Details()
    for name in _DETAILS:
        setattr(details, name, _text(value.get(name)))
    if isinstance(text := value.get("content"), str):
        details.content = msgspec.Raw(json.dumps(text).encode())
    if "reason" in value:
        details.reason = msgspec.Raw(b"null")
    return details


def _message(value: Any) -> Message:
    if not isinstance(value, dict):
        return Message()
    return Message(
        _content(value.get("content")), _text(value.get("id")), _text(value.get("model")),
        _raw(value.get("usage")),
    )  # fmt: skip


def _attachment(value: Any) -> Attachment:
    if not isinstance(value, dict):
        return Attachment()
    return Attachment(
        _text(value.get("type")),
        _content(value.get("prompt")),
        _text(value.get("commandMode", "prompt")),
        bool(value.get("isMeta")),
        _origin(value.get("origin")),
    )


def _content(value: Any) -> Content:
    if isinstance(value, list):
        return [_block(item) for item in value if isinstance(item, (dict, str))]
    return _text(value)


def _block(item: dict[str, Any] | str) -> Block | str:
    if isinstance(item, str):
        return item
    return Block(
        _text(item.get("type")) or "", _text(item.get("text")),
        _text(item.get("id")), _text(item.get("name")), _raw(item.get("input")),
        _text(item.get("tool_use_id")), bool(item.get("is_error")), _raw(item.get("content")),
    )  # fmt: skip


def _raw(value: Any) -> msgspec.Raw:
    return ABSENT if value is None else msgspec.Raw(json.dumps(value).encode())


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and (text[at].isspace() or text[at] in "\0\ufeff"):
        at += 1
    return at
