"""What a line of a transcript is: a turn, a line of another kind, or one to be rejected."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple
from uuid import UUID

import msgspec
from marshmallow import ValidationError

from claude_headspace.events.event import Event, Origin, derived_key
from claude_headspace.events.schemas import parse_instant
from claude_headspace.events.taxonomy import TURN_DETECTED
from claude_headspace.events.work import Work
from claude_headspace.transcripts.classify import Verdict, classify, title_of
from claude_headspace.transcripts.prompts import Prompt, PromptQueue
from claude_headspace.transcripts.records import (
    ABSENT,
    Block,
    Body,
    Broken,
    Details,
    Message,
    Record,
    Undecodable,
    quick_body,
    quick_record,
    take_apart,
)
from claude_headspace.transcripts.work import work_of

Queues = Mapping[str, PromptQueue]
NO_QUEUES: Queues = MappingProxyType({})


class Turn(msgspec.Struct, frozen=True, gc=False):
    """A turn: what the log stores as turn_detected.

    `uuid` is None for a prompt that stands in no line of its own. `copy_of`: the session of which
    the line itself says that it was copied from there.
    """

    offset: int
    session: UUID
    key: UUID
    uuid: str | None
    timestamp: datetime
    timestamp_text: str
    cwd: str | None
    actor: str
    text: str
    message_id: str | None = None
    subagent_id: str | None = None
    parent_uuid: str | None = None
    prompt_source: str | None = None
    entrypoint: str | None = None
    copy_of: UUID | None = None
    rescued: bool = False
    redacted: int = 0
    work: Work | None = None
    # What a turn never has.
    title: ClassVar[None] = None

    def event(self, source_id: int, project_id: int, agent_id: int) -> Event:
        """The event for the log; its offset is the record's."""
        return Event(
            type=TURN_DETECTED,
            timestamp=self.timestamp,
            payload=self.payload(),
            key=self.key,
            session_uuid=self.session,
            project_id=project_id,
            agent_id=agent_id,
            origin=Origin(source_id, self.offset),
            annotations=self._annotations(),
        )

    def payload(self) -> dict[str, Any]:
        """The payload of the event; what the line does not say is left out."""
        payload: dict[str, Any] = {
            "session_uuid": str(self.session),
            "actor": self.actor,
            "text": self.text,
            "source": "polling",
            "turn_timestamp": self.timestamp_text,
        }
        payload.update((name, value) for name, value in self._optional() if value is not None)
        return payload

    def _optional(self) -> tuple[tuple[str, str | None], ...]:
        return (
            ("line_uuid", self.uuid),
            ("message_id", self.message_id),
            ("subagent_id", self.subagent_id),
            ("parent_uuid", self.parent_uuid),
            ("prompt_source", self.prompt_source),
            ("entrypoint", self.entrypoint),
        )

    def _annotations(self) -> dict[str, Any]:
        notes: dict[str, Any] = {}
        if self.rescued:
            notes["rescued"] = True
        if self.redacted:
            notes["redacted"] = self.redacted
        return notes


class Title(NamedTuple):
    """A name for a session, by the type of its record; `leaf`: a line of the session meant."""

    kind: str
    text: str
    leaf: str | None


class Other(msgspec.Struct, frozen=True, gc=False):
    """A record that is no turn: counted by its kind, and a sign of life of its session."""

    kind: str
    session: UUID | None = None
    uuid: str | None = None
    timestamp: datetime | None = None
    cwd: str | None = None
    title: Title | None = None
    copy_of: UUID | None = None
    rescued: bool = False
    work: Work | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A line, or a part of one, that could not be taken: counted by reason, kept, logged."""

    offset: int
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A turn that was told because no line of its own had come; one has come now."""

    session: UUID
    key: UUID


Outcome = Turn | Other | Rejected | Withdrawn


def line_key(uuid: str) -> UUID:
    """The key of a line's event: its own uuid where it is one."""
    try:
        return UUID(uuid)
    except ValueError:
        return derived_key("line", uuid)


class Transcript:
    """Reads the lines of one transcript in order.

    `state` is what the lines before left open, as text: it belongs to the offset that was read
    to. None: it is not known, so prompts that stand in no line of their own are passed over.
    """

    def __init__(self, state: str | None = "", redact: Callable[[str], str] = str) -> None:
        self._state = state
        self._redact = redact
        self._known = state is not None
        self.queues = _queues(state) if state else NO_QUEUES
        self._stored = self.queues

    @property
    def state(self) -> str:
        """What the lines up to here left open; words in it are redacted."""
        if self.queues is not self._stored:
            self._stored = self.queues
            stored = {name: queue.as_json(self._redact) for name, queue in self.queues.items()}
            self._state = json.dumps(stored) if stored else ""
        return self._state or ""

    def outcomes(self, line: bytes, start: int) -> Sequence[Outcome]:
        """What the records of one line are; `start` is the line's offset in its source, in bytes.

        To be asked for one line after the other.
        """
        record = quick_record(line)
        if record is None:
            return self._taken_apart(line, start)
        try:
            body = quick_body(record, line)
        except Undecodable:
            return self._taken_apart(line, start)
        return self._read(record, body, line, start)

    def _taken_apart(self, line: bytes, start: int) -> list[Outcome]:
        if not line.strip(b" \t\r\n\0"):
            return [Other("blank")]
        found: list[Outcome] = []
        for part in take_apart(line):
            offset = start + part.offset
            if isinstance(part, Broken):
                found.append(Rejected(offset, "damaged", part.problem))
            else:
                found += self._read(part.record, part.body, line, offset, rescued=part.rescued)
        return found

    def untold(self, offset: int) -> Iterator[Outcome]:
        """Prompts that went to the agent and have stood unanswered, told at this offset."""
        for session, queue in self.queues.items():
            after, prompts = queue.told_early()
            self._keep(session, after)
            yield from (_prompt(session, prompt, offset) for prompt in prompts)

    @property
    def holds_prompts(self) -> bool:
        """Whether prompts wait for the line that tells of them."""
        return any(queue.held for queue in self.queues.values())

    def _read(
        self, record: Record, body: Body, line: bytes, offset: int, *, rescued: bool = False
    ) -> Sequence[Outcome]:
        verdict = classify(record, body)
        work = work_of(record, body, line) if type(body) is Message else None
        outcome = _outcome(record, body, verdict, offset, rescued, work)
        if record.type == "queue-operation":
            if self._known and isinstance(body, Details):
                self._operate(record, body)
        elif self.queues and record.sessionId in self.queues:
            before = self._prompts_before(record, body, verdict, offset)
            return [*before, *self._withdrawn(record, verdict), outcome]
        return (outcome,)

    def _operate(self, record: Record, details: Details) -> None:
        session = record.sessionId or ""
        queue = self.queues.get(session, PromptQueue())
        has_reason = details.reason != ABSENT
        after = queue.operate(details.operation, record.timestamp, details.text, reason=has_reason)
        self._keep(session, after)

    def _prompts_before(
        self, record: Record, body: Body, verdict: Verdict, offset: int
    ) -> Iterator[Outcome]:
        """Prompts that this record answers, or that stand before it."""
        session, queue = record.sessionId or "", self.queues[record.sessionId or ""]
        if not queue.pending:
            return
        if record.type == "assistant" and not record.isSidechain:
            after, prompts = queue.replied()
        elif verdict.is_turn and _is_prompt(record, body) and not queue.holds(verdict.text):
            after, prompts = queue.prompted()
        else:
            return
        self._keep(session, after)
        yield from (_prompt(session, prompt, offset) for prompt in prompts)

    def _withdrawn(self, record: Record, verdict: Verdict) -> Iterator[Withdrawn]:
        """A turn of a person is crossed off the queue; what was told too early is withdrawn."""
        session = record.sessionId or ""
        queue = self.queues.get(session)
        if queue is None or verdict.actor != "user":
            return
        say = queue.attachment if record.type == "attachment" else queue.typed
        after, early = say(verdict.text)
        self._keep(session, after)
        if early is not None:
            yield Withdrawn(_session(session), _prompt_key(early))

    def _keep(self, session: str, queue: PromptQueue) -> None:
        if queue is self.queues.get(session):
            return
        others = {name: each for name, each in self.queues.items() if name != session}
        self.queues = others if queue.empty else {**others, session: queue}


def _queues(state: str) -> Queues:
    return {name: PromptQueue.from_json(stored) for name, stored in json.loads(state).items()}


def _is_prompt(record: Record, body: Body) -> bool:
    """Whether a person's record is a prompt of its own and not beside the result of a tool."""
    if not isinstance(body, Message):
        return record.type == "system"
    blocks = body.content if isinstance(body.content, list) else []
    return not any(isinstance(block, Block) and block.type == "tool_result" for block in blocks)


def _outcome(
    record: Record,
    body: Body,
    verdict: Verdict,
    offset: int,
    rescued: bool,
    work: Work | None,
) -> Outcome:
    if verdict.actor:
        return _turn(record, body, verdict, offset, rescued, work)
    session = _session_or_none(record.sessionId)
    return Other(
        verdict.kind, session, record.uuid, _instant_or_none(record.timestamp), record.cwd,
        _title(record, body) if type(body) is Details else None,
        _copy_of(record, session) if record.forkedFrom or record.requestSessionId else None,
        rescued, work,
    )  # fmt: skip


def _title(record: Record, details: Details) -> Title | None:
    title = title_of(record, details)
    return Title(record.type or "", title, details.leafUuid) if title else None


def _copy_of(record: Record, session: UUID | None) -> UUID | None:
    """The session that this line was copied from, by its own word."""
    told = record.forkedFrom.sessionId if record.forkedFrom else record.requestSessionId
    origin = _session_or_none(told)
    return None if origin == session else origin


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
    record: Record, body: Body, verdict: Verdict, offset: int, rescued: bool, work: Work | None
) -> Turn | Rejected:
    if not (record.sessionId and record.uuid and record.timestamp):
        missing = [n for n in ("sessionId", "uuid", "timestamp") if not getattr(record, n)]
        return Rejected(offset, "identity", f"a turn without {' and '.join(missing)}")
    placed = _placed(record.sessionId, record.timestamp, offset)
    if isinstance(placed, Rejected):
        return placed
    session, timestamp = placed
    queued = record.type == "attachment"
    return Turn(
        offset, session, line_key(record.uuid), record.uuid, timestamp, record.timestamp,
        record.cwd, verdict.actor, verdict.text,
        message_id=body.id if isinstance(body, Message) else None,
        subagent_id=record.agentId,
        parent_uuid=record.parentUuid,
        prompt_source="queued" if queued else record.promptSource,
        entrypoint=record.entrypoint,
        copy_of=_copy_of(record, session),
        rescued=rescued,
        work=work,
    )  # fmt: skip


def _prompt(session_text: str, prompt: Prompt, offset: int) -> Outcome:
    """The turn of a prompt that stands in no line of its own."""
    placed = _placed(session_text, prompt.when, offset)
    if isinstance(placed, Rejected):
        return placed
    session, timestamp = placed
    return Turn(
        offset, session, _prompt_key(prompt), None, timestamp, prompt.when,
        None, "user", prompt.said, prompt_source="queued",
    )  # fmt: skip


def _prompt_key(prompt: Prompt) -> UUID:
    return derived_key("prompt", prompt.when, str(prompt.ordinal), prompt.digest)


def _placed(session_text: str, when: str, offset: int) -> tuple[UUID, datetime] | Rejected:
    """A turn's session and time, or why it has none."""
    try:
        session = _session(session_text)
    except ValueError:
        return Rejected(offset, "identity", f"sessionId {session_text[:60]!r} is no UUID")
    try:
        return session, parse_instant(when)
    except ValidationError as error:
        return Rejected(offset, "timestamp", f"timestamp {error.messages[0]}")
