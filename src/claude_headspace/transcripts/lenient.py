"""Records from any JSON value: fields of an unexpected type count as absent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from msgspec.structs import fields

from claude_headspace.transcripts.records import (
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

_Struct = TypeVar("_Struct", bound=msgspec.Struct)


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
    bodies = ("message", "attachment")
    record = _fitted(Record, {n: part for n, part in value.items() if n not in bodies})
    return FoundRecord(offset, record, _body(record.type, value), rescued)


def _body(record_type: str | None, value: dict[str, Any]) -> Body:
    if record_type in WITH_MESSAGE:
        return _fitted(MessageBody, value.get("message"))
    if record_type == "attachment":
        return _fitted(Attachment, value.get("attachment"))
    return _fitted(Details, value) if record_type in WITH_DETAILS else None


def _fitted(struct: type[_Struct], value: Any) -> _Struct:
    made = struct()
    for name, fit in _FIELDS[struct] if isinstance(value, dict) else ():
        if name in value:
            setattr(made, name, fit(value[name]))
    return made


def _origin(value: Any) -> MessageOrigin | str | None:
    return _fitted(MessageOrigin, value) if isinstance(value, dict) else text_or_none(value)


def _content(value: Any) -> Content:
    if not isinstance(value, list):
        return text_or_none(value)
    fit = (item for item in value if isinstance(item, (dict, str)))
    return [item if isinstance(item, str) else _fitted(Block, item) for item in fit]


# How a value of any type becomes one of a field's type.
_FITS: Mapping[Any, Callable[[Any], Any]] = {
    str | None: text_or_none,
    str: lambda value: text_or_none(value) or "",
    bool | None: bool,
    msgspec.Raw: lambda value: msgspec.Raw(json.dumps(value).encode()),
    MessageOrigin | str | None: _origin,
    ForkedFrom | None: lambda value: (
        _fitted(ForkedFrom, value) if isinstance(value, dict) else None
    ),
    Content: _content,
    Any: lambda value: value,
}
_FIELDS: Mapping[type[msgspec.Struct], list[tuple[str, Callable[[Any], Any]]]] = {
    struct: [(field.name, _FITS[field.type]) for field in fields(struct)]
    for struct in (Record, MessageBody, Attachment, Details, Block, MessageOrigin, ForkedFrom)
}
