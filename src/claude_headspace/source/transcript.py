"""What a line of a transcript is: a turn, a line of another kind, or one to be rejected."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from marshmallow import ValidationError

from claude_headspace.events.event import Event, Origin, derived_key, storable
from claude_headspace.events.schemas import parse_instant
from claude_headspace.events.taxonomy import TURN_DETECTED
from claude_headspace.source.records import (
    NO_MESSAGE,
    Block,
    Broken,
    Found,
    Message,
    Record,
    quick_message,
    quick_record,
    take_apart,
)
from claude_headspace.source.tailer import SourceFile

# Wrapped by the editor or the program around what a person typed.
_WRAPPER = re.compile("<(ide_opened_file|ide_selection|ide_diagnostics|system-reminder)>")
_INJECTED = (
    "<local-command-stdout>",
    "<local-command-stderr>",
    "<local-command-caveat>",
    "Caveat: The messages below were generated",
    "<bash-stdout>",
    "<bash-stderr>",
    "<task-notification>",
    "[Request interrupted by user",
)
_COMMAND = ("<command-name>", "<command-message>")
# Types are counted by name; names of our own making or from damaged lines must not pile up.
_MAX_TYPE_LENGTH = 60
FIRST_DIRECTORY_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Turn:
    """A turn: what the log stores as turn_detected."""

    offset: int
    session: UUID
    uuid: str
    timestamp: datetime
    timestamp_text: str
    cwd: str | None
    actor: str
    text: str
    message_id: str | None
    subagent_id: str | None
    salvaged: bool = False
    redacted: int = 0

    def event(self, source_id: int, project_id: int, agent_id: int) -> Event:
        """The event for the log; its offset is the record's."""
        payload: dict[str, Any] = {
            "session_uuid": str(self.session),
            "actor": self.actor,
            "text": self.text,
            "source": "polling",
            "turn_timestamp": self.timestamp_text,
            "line_uuid": self.uuid,
        }
        if self.message_id is not None:
            payload["message_id"] = self.message_id
        if self.subagent_id is not None:
            payload["subagent_id"] = self.subagent_id
        return Event(
            type=TURN_DETECTED,
            timestamp=self.timestamp,
            payload=payload,
            key=line_key(self.uuid),
            session_uuid=self.session,
            project_id=project_id,
            agent_id=agent_id,
            origin=Origin(source_id, self.offset),
            annotations=self._annotations(),
        )

    def _annotations(self) -> dict[str, Any]:
        notes: dict[str, Any] = {}
        if self.salvaged:
            notes["salvaged"] = True
        if self.redacted:
            notes["redacted"] = self.redacted
        return notes


@dataclass(frozen=True, slots=True)
class Other:
    """A record that is no turn: counted by its kind, and a sign of life of its session."""

    kind: str
    session: UUID | None
    uuid: str | None
    timestamp: datetime | None
    cwd: str | None
    salvaged: bool = False


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line, or a part of one, that could not be taken: counted by reason, kept, logged."""

    offset: int
    reason: str
    detail: str


Outcome = Turn | Other | Rejected


def line_key(uuid: str) -> UUID:
    """The key of a line's event: its own uuid where it is one."""
    try:
        return UUID(uuid)
    except ValueError:
        return derived_key("line", uuid)


def outcomes(line: bytes, start: int) -> Iterator[Outcome]:
    """What the records of one line are; `start` is the line's offset in its source, in bytes."""
    record = quick_record(line)
    if record is not None:
        outcome = _of_quick(record, start)
        if outcome is not None:
            yield outcome
            return
    if not line.strip(b" \t\r\n\0"):
        yield Other("blank", None, None, None, None)
        return
    for part in take_apart(line):
        if isinstance(part, Broken):
            yield Rejected(start + part.offset, "damaged", part.problem)
        else:
            yield _of_found(part, start)


def first_working_directory(path: str, session: UUID) -> str | None:
    """The first cwd that the file names for the session; None when it is not soon found."""
    try:
        file = SourceFile(path)
    except OSError:
        return None
    try:
        start = file.begin(0, FIRST_DIRECTORY_BYTES)
    except OSError:
        return None
    finally:
        file.close()
    for line in start.split(b"\n"):
        record = quick_record(line)
        if record and record.cwd and record.sessionId == str(session):
            return record.cwd
    return None


def _of_quick(record: Record, start: int) -> Outcome | None:
    """The outcome of an undamaged record; None where its message needs the patient way."""
    if record.type not in _CLASSIFIERS or record.message == NO_MESSAGE:
        return _outcome(record, None, start, salvaged=False)
    message = quick_message(record.message)
    return None if message is None else _outcome(record, message, start, salvaged=False)


def _of_found(found: Found, start: int) -> Outcome:
    return _outcome(found.record, found.message, start + found.offset, salvaged=found.salvaged)


def _outcome(record: Record, message: Message | None, offset: int, *, salvaged: bool) -> Outcome:
    classify = _CLASSIFIERS.get(record.type or "")
    if classify is None:
        kind, text = _kind(record.type), None
    else:
        kind, text = classify(record, message or Message())
    if text is not None:
        return _turn(record, message or Message(), text, offset, salvaged)
    session, when = _session_or_none(record.sessionId), _instant_or_none(record.timestamp)
    return Other(kind, session, record.uuid, when, record.cwd, salvaged)


def _session_or_none(text: str | None) -> UUID | None:
    try:
        return _session(text) if text else None
    except ValueError:
        return None


def _instant_or_none(text: str | None) -> datetime | None:
    try:
        return parse_instant(text) if text else None
    except ValidationError:
        return None


@lru_cache(maxsize=1024)
def _session(text: str) -> UUID:
    return UUID(text)


def _turn(
    record: Record, message: Message, text: str, offset: int, salvaged: bool
) -> Turn | Rejected:
    if not (record.sessionId and record.uuid and record.timestamp):
        missing = [n for n in ("sessionId", "uuid", "timestamp") if not getattr(record, n)]
        return Rejected(offset, "identity", f"a turn without {' and '.join(missing)}")
    try:
        session = _session(record.sessionId)
    except ValueError:
        return Rejected(offset, "identity", f"sessionId {record.sessionId[:60]!r} is no UUID")
    try:
        timestamp = parse_instant(record.timestamp)
    except ValidationError as error:
        return Rejected(offset, "timestamp", f"timestamp {error.messages[0]}")
    actor = "user" if record.type == "user" else "agent"
    return Turn(
        offset, session, record.uuid, timestamp, record.timestamp, record.cwd, actor, text,
        message.id, record.agentId, salvaged,
    )  # fmt: skip


def _kind(record_type: str | None) -> str:
    return storable(record_type)[0][:_MAX_TYPE_LENGTH] if record_type else "untyped"


def _assistant(record: Record, message: Message) -> tuple[str, str | None]:
    if record.isApiErrorMessage or message.model == "<synthetic>":
        return "assistant/notice", None
    text = _text_of(message)
    return ("turn", text) if text.strip() else ("assistant/no_text", None)


def _user(record: Record, message: Message) -> tuple[str, str | None]:
    if record.isMeta:
        return "user/meta", None
    if record.isCompactSummary:
        return "user/compact_summary", None
    text = _text_of(message)
    text = _unwrapped(text).strip()
    if not text:
        return "user/no_text", None
    if record.isSidechain:
        return "user/subagent_prompt", None
    if text.startswith(_INJECTED):
        return "user/injected", None
    return "turn", _as_typed(text)


def _unwrapped(text: str) -> str:
    """The text without what was wrapped around it, in time that grows with its length only."""
    kept: list[str] = []
    at = 0
    unclosed: set[str] = set()
    for opening in _WRAPPER.finditer(text):
        name = opening[1]
        if opening.start() < at or name in unclosed:
            continue
        end = text.find(f"</{name}>", opening.end())
        if end < 0:
            unclosed.add(name)
            continue
        kept.append(text[at : opening.start()])
        at = end + len(f"</{name}>")
    return "".join(kept) + text[at:]


def _as_typed(text: str) -> str:
    """A slash command or a shell command as the person typed it; other text unchanged."""
    if text.startswith("<bash-input>"):
        command = _between(text, "bash-input")
        return text if command is None else f"! {command}"
    if not text.startswith(_COMMAND):
        return text
    name = _between(text, "command-name")
    if name is None:
        return text
    return f"{name} {_between(text, 'command-args') or ''}".strip()


def _between(text: str, tag: str) -> str | None:
    """What stands in the first element of this tag; None where there is none."""
    start = text.find(f"<{tag}>")
    end = text.find(f"</{tag}>", start) if start >= 0 else -1
    return text[start + len(tag) + 2 : end].strip() if end >= 0 else None


def _text_of(message: Message) -> str:
    content = message.content
    if isinstance(content, list):
        return "\n".join(text for block in content if (text := _block_text(block)))
    return content or ""


def _block_text(block: Block) -> str | None:
    text = block.text if block.type == "text" else None
    return text if text and text.strip() else None


_CLASSIFIERS = {"user": _user, "assistant": _assistant}
