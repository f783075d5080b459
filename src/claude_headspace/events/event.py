"""An event, and its conversion for Postgres."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

import msgspec

from claude_headspace.errors import EventInvalid

NO_SESSION = UUID(int=0)
KEY_NAMESPACE = uuid5(NAMESPACE_URL, "https://claude-headspace.invalid/event-key")
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Characters that Python's str can hold but Postgres' jsonb cannot.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def derived_key(*parts: str) -> UUID:
    """The key of an event without an id of its own: the same parts give the same key."""
    name = "\x1f".join(parts).encode("utf-8", "backslashreplace").decode()
    return uuid5(KEY_NAMESPACE, name)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an event was read: the row of its source, and the offset of its record."""

    source_id: int
    offset: int


@dataclass(frozen=True, slots=True)
class Event:
    """An event of the log.

    `timestamp` is the event's own time, with a zone. (`session_uuid`, `key`) is its identity, under
    which it is written only once. `annotations` says how it was changed.
    """

    type: str
    timestamp: datetime
    payload: Mapping[str, Any]
    key: UUID
    session_uuid: UUID = NO_SESSION
    project_id: int | None = None
    agent_id: int | None = None
    command_id: int | None = None
    turn_id: int | None = None
    origin: Origin | None = None
    annotations: Mapping[str, Any] = field(default_factory=dict)

    def annotated(self, **notes: Any) -> Event:
        """The same event with more annotations."""
        return replace(self, annotations={**self.annotations, **notes})


def storable(text: str) -> tuple[str, int]:
    """The text with each character that Postgres refuses replaced by U+FFFD, and their number."""
    if text.isascii() and "\x00" not in text:
        return text, 0
    return _UNSTORABLE.subn(REPLACEMENT, text)


def encode(event: Event) -> tuple[bytes, Event]:
    """The payload as JSON, and the event with unstorable characters replaced and marked."""
    try:
        encoded = msgspec.json.encode(event.payload)
    except UnicodeEncodeError:
        return _encode_cleaned(event)
    except (TypeError, ValueError, RecursionError) as error:
        raise EventInvalid("payload", f"is not JSON: {error}") from error
    if b"\\u0000" in encoded:
        return _encode_cleaned(event)
    return encoded, event


def _encode_cleaned(event: Event) -> tuple[bytes, Event]:
    payload, replaced = _cleaned(event.payload)
    if replaced:
        before = event.annotations.get("replaced_characters", 0)
        event = replace(event, payload=payload).annotated(replaced_characters=before + replaced)
    return msgspec.json.encode(event.payload), event


def _cleaned(value: Any) -> tuple[Any, int]:
    """A JSON value with its strings made storable, and the number of characters replaced."""
    if isinstance(value, str):
        return storable(value)
    if isinstance(value, Mapping):
        pairs = [(storable(str(k)), _cleaned(v)) for k, v in value.items()]
        return {k[0]: v[0] for k, v in pairs}, sum(k[1] + v[1] for k, v in pairs)
    if isinstance(value, (list, tuple)):
        items = [_cleaned(item) for item in value]
        return [item for item, _ in items], sum(count for _, count in items)
    return value, 0
