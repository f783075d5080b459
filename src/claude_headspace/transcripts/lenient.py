"""Records from any JSON value: fields of an unexpected type count as absent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.structs import fields

from claude_headspace.transcripts.records import (
    ABSENT,
    WITH_DETAILS,
    WITH_MESSAGE,
    Attachment,
    Block,
    Body,
    Content,
    Details,
    ForkedFrom,
    MessageBody,
    MessageOrigin,
    Record,
    text_or_none,
)


def _names(struct: type[msgspec.Struct], kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(struct) if field.type == kind)


_TEXT_FIELDS, _FLAGS = _names(Record, str | None), _names(Record, bool | None)
_DETAILS = _names(Details, str | None)


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A complete record of a line that was not simply one record.

    `offset` is in bytes from the line's start. `body` is already decoded.
    """

    offset: int
    record: Record
    body: Body
    rescued: bool


@dataclass(frozen=True, slots=True)
class Broken:
    """A part of a line that is not a record, and why."""

    offset: int
    problem: str


def found(offset: int, value: Any, *, rescued: bool) -> FoundRecord | Broken:
    """The record in a JSON value; unfit parts are omitted."""
    if not isinstance(value, dict):
        return Broken(offset, f"a {type(value).__name__} where a JSON object was expected")
    record = Record(origin=_origin(value.get("origin")), forkedFrom=_fork(value.get("forkedFrom")))
    for name in _TEXT_FIELDS:
        setattr(record, name, text_or_none(value.get(name)))
    for name in _FLAGS:
        setattr(record, name, bool(value.get(name)))
    return FoundRecord(offset, record, _body(record.type, value), rescued)


def _origin(value: Any) -> MessageOrigin | str | None:
    return (
        MessageOrigin(text_or_none(value.get("kind")))
        if isinstance(value, dict)
        else text_or_none(value)
    )


def _fork(value: Any) -> ForkedFrom | None:
    return ForkedFrom(text_or_none(value.get("sessionId"))) if isinstance(value, dict) else None


def _body(record_type: str | None, value: dict[str, Any]) -> Body:
    if record_type in WITH_MESSAGE:
        return _message(value.get("message"))
    if record_type == "attachment":
        return _attachment(value.get("attachment"))
    return _details(value) if record_type in WITH_DETAILS else None


def _details(value: dict[str, Any]) -> Details:
    details = Details()
    for name in _DETAILS:
        setattr(details, name, text_or_none(value.get(name)))
    if isinstance(text := value.get("content"), str):
        details.content = msgspec.Raw(json.dumps(text).encode())
    if "reason" in value:
        details.reason = msgspec.Raw(b"null")
    return details


def _message(value: Any) -> MessageBody:
    if not isinstance(value, dict):
        return MessageBody()
    return MessageBody(
        _content(value.get("content")),
        text_or_none(value.get("id")), text_or_none(value.get("model")),
        _raw(value.get("usage")),
    )  # fmt: skip


def _attachment(value: Any) -> Attachment:
    if not isinstance(value, dict):
        return Attachment()
    return Attachment(
        text_or_none(value.get("type")),
        _content(value.get("prompt")),
        text_or_none(value.get("commandMode", "prompt")),
        bool(value.get("isMeta")),
        _origin(value.get("origin")),
    )


def _content(value: Any) -> Content:
    if isinstance(value, list):
        return [_block(item) for item in value if isinstance(item, (dict, str))]
    return text_or_none(value)


def _block(item: dict[str, Any] | str) -> Block | str:
    if isinstance(item, str):
        return item
    return Block(
        text_or_none(item.get("type")) or "", text_or_none(item.get("text")),
        text_or_none(item.get("id")), text_or_none(item.get("name")), _raw(item.get("input")),
        text_or_none(item.get("tool_use_id")), bool(item.get("is_error")),
        _raw(item.get("content")),
    )  # fmt: skip


def _raw(value: Any) -> msgspec.Raw:
    return ABSENT if value is None else msgspec.Raw(json.dumps(value).encode())
