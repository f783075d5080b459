"""Parses a transcript's lines into turns, other records, and rejected parts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from uuid import UUID

from claude_headspace.events.dead_letter_reasons import DAMAGED
from claude_headspace.transcripts.classify import Classified, classify
from claude_headspace.transcripts.identify import identify, prompt_key, prompt_turn, session_uuid
from claude_headspace.transcripts.lenient import Broken
from claude_headspace.transcripts.parsed import (
    Other,
    Parsed,
    Rejected,
    Withdrawn,
)
from claude_headspace.transcripts.prompts import PromptQueue, QueuedPrompt
from claude_headspace.transcripts.records import (
    ABSENT,
    Block,
    Body,
    Details,
    MessageBody,
    Record,
    Undecodable,
    quick_body,
    quick_record,
)
from claude_headspace.transcripts.rescue import take_apart
from claude_headspace.transcripts.work import work_of

Queues = Mapping[str, PromptQueue]
NO_QUEUES: Queues = MappingProxyType({})


class Transcript:
    """Reads the lines of one transcript in order.

    `state` is the open state after the lines before, as text; it belongs to their end offset. None:
    it is unknown, so prompts without a line of their own are skipped. Nothing is remembered of
    sessions that are not `captured`.
    """

    def __init__(
        self,
        state: str | None = "",
        redact: Callable[[str], str] = str,
        captured: Callable[[UUID], bool] = lambda _: True,
    ) -> None:
        self._state = state
        self._redact = redact
        self._captured = captured
        self._known = state is not None
        self._stored = _queues(state) if state else NO_QUEUES
        left = {name: each for name, each in self._stored.items() if self._may_remember(name)}
        self.queues = left if len(left) < len(self._stored) else self._stored

    @property
    def state(self) -> str:
        """The open state after the lines so far, without secrets."""
        if self.queues is not self._stored:
            self._stored = self.queues
            self._state = _as_text(self.queues, self._redact)
        return self._state or ""

    def parse(self, line: bytes, start: int) -> Sequence[Parsed]:
        """The records of one line, parsed; `start` is the line's offset in its source, in bytes.

        Call this for each line in order.
        """
        record = quick_record(line)
        if record is None:
            return self._taken_apart(line, start)
        try:
            body = quick_body(record, line)
        except Undecodable:
            return self._taken_apart(line, start)
        return self._read(record, body, line, start)

    def _taken_apart(self, line: bytes, start: int) -> list[Parsed]:
        if not line.strip(b" \t\r\n\0"):
            return [Other("blank")]
        found: list[Parsed] = []
        for part in take_apart(line):
            offset = start + part.offset
            if isinstance(part, Broken):
                found.append(Rejected(offset, DAMAGED, part.problem))
            else:
                found += self._read(part.record, part.body, line, offset, rescued=part.rescued)
        return found

    def waiting_prompts(self, offset: int) -> Iterator[Parsed]:
        """Prompts that went to the agent and have no answer, as turns at this offset."""
        for session, queue in self.queues.items():
            after, prompts = queue.released()
            self._keep(session, after)
            yield from (prompt_turn(session, prompt, offset) for prompt in prompts)

    @property
    def holds_prompts(self) -> bool:
        """Whether prompts wait for a line that reports them."""
        return any(queue.held for queue in self.queues.values())

    def _read(
        self, record: Record, body: Body, line: bytes, offset: int, *, rescued: bool = False
    ) -> Sequence[Parsed]:
        classified = classify(record, body)
        work = work_of(record, body, line) if type(body) is MessageBody else None
        parsed = identify(record, body, classified, offset, rescued, work)
        if record.type == "queue-operation":
            session = record.sessionId or ""
            if self._known and isinstance(body, Details) and self._may_remember(session):
                self._operate(session, record, body)
        elif self.queues and record.sessionId in self.queues:
            return [*self._of_queue(record, body, classified, offset), parsed]
        return (parsed,)

    def _may_remember(self, session: str) -> bool:
        try:
            return self._captured(session_uuid(session))
        except ValueError:
            return True

    def _operate(self, session: str, record: Record, details: Details) -> None:
        queue = self.queues.get(session, PromptQueue())
        has_reason = details.reason != ABSENT
        after = queue.operate(details.operation, record.timestamp, details.text, reason=has_reason)
        self._keep(session, after)

    def _of_queue(
        self, record: Record, body: Body, classified: Classified, offset: int
    ) -> Sequence[Parsed]:
        """Prompts that this record answers or that precede it; its turn, if made too early."""
        session = record.sessionId or ""
        queue = self.queues[session]
        prompts: Sequence[QueuedPrompt] = ()
        if not queue.pending:
            pass
        elif record.type == "assistant" and not record.isSidechain:
            queue, prompts = queue.replied()
        elif classified.is_turn and _is_prompt(record, body) and not queue.holds(classified.text):
            queue, prompts = queue.prompted()
        found = [prompt_turn(session, prompt, offset) for prompt in prompts]
        if classified.actor == "user":
            say = queue.attachment if record.type == "attachment" else queue.typed
            queue, early = say(classified.text)
            if early is not None:
                found.append(Withdrawn(session_uuid(session), prompt_key(early)))
        self._keep(session, queue)
        return found

    def _keep(self, session: str, queue: PromptQueue) -> None:
        if queue is self.queues.get(session):
            return
        others = {name: each for name, each in self.queues.items() if name != session}
        self.queues = others if queue.empty else {**others, session: queue}


def redacted_state(state: str, redact: Callable[[str], str]) -> str:
    """The open state without secrets."""
    return _as_text(_queues(state), redact) if state else ""


def _as_text(queues: Queues, redact: Callable[[str], str]) -> str:
    stored = {name: queue.as_json(redact) for name, queue in queues.items()}
    return json.dumps(stored) if stored else ""


def _queues(state: str) -> Queues:
    return {name: PromptQueue.from_json(stored) for name, stored in json.loads(state).items()}


def _is_prompt(record: Record, body: Body) -> bool:
    """Whether a person's record is a prompt, not an answer beside a tool's result."""
    if not isinstance(body, MessageBody):
        return record.type == "system"
    blocks = body.content if isinstance(body.content, list) else []
    return not any(isinstance(block, Block) and block.type == "tool_result" for block in blocks)
