"""Adds session, time and key to a classified record."""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from uuid import UUID

from marshmallow import ValidationError

from claude_headspace.events.dead_letter_reasons import IDENTITY, TIMESTAMP
from claude_headspace.events.event import derived_key
from claude_headspace.events.payloads import parse_instant
from claude_headspace.events.work import Work
from claude_headspace.transcripts.classify import TITLES, Classified
from claude_headspace.transcripts.parsed import Other, Parsed, Rejected, Title, Turn, line_key
from claude_headspace.transcripts.prompts import QueuedPrompt
from claude_headspace.transcripts.records import Body, Details, MessageBody, Record


def identify(
    record: Record,
    body: Body,
    classified: Classified,
    offset: int,
    rescued: bool,
    work: Work | None,
) -> Parsed:
    """The parsed record: a turn with its session, time and key, or another record."""
    if classified.actor:
        return _turn(record, body, classified, offset, rescued, work)
    session = _session_or_none(record.sessionId)
    return Other(
        classified.kind, session, record.uuid, _instant_or_none(record.timestamp), record.cwd,
        _title(record, body) if type(body) is Details else None,
        _copy_of(record, session) if record.forkedFrom or record.requestSessionId else None,
        rescued, work,
    )  # fmt: skip


def _title(record: Record, details: Details) -> Title | None:
    kind = record.type or ""
    title = (getattr(details, TITLES[kind]) or "").strip() if kind in TITLES else ""
    return Title(kind, title, details.leafUuid) if title else None


def _copy_of(record: Record, session: UUID | None) -> UUID | None:
    """The session from which this line says it was copied."""
    told = record.forkedFrom.sessionId if record.forkedFrom else record.requestSessionId
    origin = _session_or_none(told)
    return None if origin == session else origin


def _session_or_none(text: str | None) -> UUID | None:
    try:
        return session_uuid(text) if text else None
    except ValueError:
        return None


def _instant_or_none(text: str | None) -> datetime | None:
    try:
        return parse_instant(text) if text else None
    except ValidationError:
        return None


@lru_cache(maxsize=1024)
def session_uuid(text: str) -> UUID:
    """The session with this id. Raises ValueError if it is not a UUID."""
    return UUID(text)


def _turn(
    record: Record,
    body: Body,
    classified: Classified,
    offset: int,
    rescued: bool,
    work: Work | None,
) -> Turn | Rejected:
    if not (record.sessionId and record.uuid and record.timestamp):
        missing = [n for n in ("sessionId", "uuid", "timestamp") if not getattr(record, n)]
        return Rejected(offset, IDENTITY, f"a turn without {' and '.join(missing)}")
    placed = _placed(record.sessionId, record.timestamp, offset)
    if isinstance(placed, Rejected):
        return placed
    session, timestamp = placed
    queued = record.type == "attachment"
    return Turn(
        offset, session, line_key(record.uuid), record.uuid, timestamp, record.timestamp,
        record.cwd, classified.actor, classified.text,
        message_id=body.id if isinstance(body, MessageBody) else None,
        subagent_id=record.agentId,
        parent_uuid=record.parentUuid,
        prompt_source="queued" if queued else record.promptSource,
        entrypoint=record.entrypoint,
        copy_of=_copy_of(record, session),
        rescued=rescued,
        work=work,
    )  # fmt: skip


def prompt_turn(session_text: str, prompt: QueuedPrompt, offset: int) -> Parsed:
    """The turn of a prompt without a line of its own."""
    placed = _placed(session_text, prompt.when, offset)
    if isinstance(placed, Rejected):
        return placed
    session, timestamp = placed
    return Turn(
        offset, session, prompt_key(prompt), None, timestamp, prompt.when,
        None, "user", prompt.said, prompt_source="queued",
    )  # fmt: skip


def prompt_key(prompt: QueuedPrompt) -> UUID:
    """The key of a prompt without a line of its own."""
    return derived_key("prompt", prompt.when, str(prompt.ordinal), prompt.digest)


def _placed(session_text: str, when: str, offset: int) -> tuple[UUID, datetime] | Rejected:
    """A turn's session and time, or the reason why it has none."""
    try:
        session = session_uuid(session_text)
    except ValueError:
        return Rejected(offset, IDENTITY, f"sessionId {session_text[:60]!r} is not a UUID")
    try:
        return session, parse_instant(when)
    except ValidationError as error:
        return Rejected(offset, TIMESTAMP, f"timestamp {error.messages[0]}")
