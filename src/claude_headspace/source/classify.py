"""Whether a record is a turn. What the client says of it decides before what it looks like."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from claude_headspace.events.event import storable
from claude_headspace.source.records import (
    QUEUED_PROMPT,
    Attachment,
    Body,
    Message,
    Origin,
    Record,
)
from claude_headspace.source.typed import (
    EDITOR_WRAPPERS,
    WRAPPERS,
    command,
    is_injected,
    is_pasted,
    only_command,
    text_of,
    unwrapped,
)

# Who sent a prompt, of a person: with one of these nothing in the text is interpreted.
TYPED_SOURCES = frozenset({"typed", "queued", "sdk", "suggestion_accepted"})
HUMAN = "human"
# Agents that the client runs for itself: compaction, suggested prompts, side questions.
_INTERNAL_AGENTS = ("acompact", "aprompt_suggestion", "aside_question")
_HIDDEN = ("isMeta", "isCompactSummary", "isVisibleInTranscriptOnly", "isVirtual")
# Kinds of messages by machines are counted under this, so that new ones are seen.
MACHINE = "machine:"
KNOWN_MACHINES = frozenset(
    MACHINE + kind
    for kind in (
        "auto-continuation", "coordinator", "peer", "scheduled", "scheduled-trigger", "system",
        "task-notification", "meta", "bash",
    )
)  # fmt: skip
# Types are counted by name; names of our own making or from damaged lines must not pile up.
_MAX_KIND_LENGTH = 60


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a record is: `text` and `actor` of a turn, or else the `kind` it is counted under."""

    kind: str
    actor: str = ""
    text: str = ""

    @property
    def is_turn(self) -> bool:
        """Whether somebody said something."""
        return bool(self.actor)


def classify(record: Record, body: Body) -> Verdict:
    """What this record is."""
    if record.type == "assistant" and isinstance(body, Message):
        return _assistant(record, body)
    if record.type == "user" and isinstance(body, Message):
        return _user(record, body)
    if isinstance(body, Attachment):
        return _attachment(record, body)
    if record.type == "system" and isinstance(body, str):
        return _system(record, body)
    return Verdict(_kind(record.type) if record.type else "untyped")


def _assistant(record: Record, message: Message) -> Verdict:
    if record.isApiErrorMessage or message.model == "<synthetic>":
        return Verdict("assistant/notice")
    if (record.agentId or "").startswith(_INTERNAL_AGENTS):
        return Verdict("assistant/internal_agent")
    text = text_of(message.content)
    return Verdict("turn", "agent", text) if text.strip() else Verdict("assistant/no_text")


def _user(record: Record, message: Message) -> Verdict:
    if any(getattr(record, flag) for flag in _HIDDEN):
        return Verdict("user/compact_summary" if record.isCompactSummary else "user/meta")
    if record.isSidechain:
        return Verdict("user/subagent_prompt")
    origin = _origin_kind(record.origin)
    if origin not in (None, HUMAN) or record.promptSource == "system":
        return Verdict("user/" + MACHINE + _kind(origin or "system"))
    text = _with_feedback(record, text_of(message.content))
    if record.promptSource in TYPED_SOURCES:
        return _said(unwrapped(text, EDITOR_WRAPPERS), "user")
    if origin == HUMAN:
        text = unwrapped(text, EDITOR_WRAPPERS)
        return _said(only_command(text) or text, "user")
    bare = unwrapped(text, WRAPPERS)
    if is_injected(bare) and not is_pasted(text):
        return Verdict("user/injected")
    return _as_typed(bare, "user")


def _with_feedback(record: Record, text: str) -> str:
    """With the words that a person typed when they declined a call."""
    feedback = record.userFeedback if record.holdsPersonsWords else None
    return "\n".join(part for part in (feedback, text) if part and part.strip())


def _attachment(record: Record, attachment: Attachment) -> Verdict:
    if attachment.type != QUEUED_PROMPT:
        return Verdict("attachment")
    machine = _queued_by_machine(record, attachment)
    if machine:
        return Verdict("attachment/" + MACHINE + _kind(machine))
    return _as_typed(unwrapped(text_of(attachment.prompt), EDITOR_WRAPPERS), "attachment")


def _queued_by_machine(record: Record, attachment: Attachment) -> str | None:
    """The kind of machine that queued this prompt; None where a person did."""
    origin = _origin_kind(attachment.origin)
    if origin not in (None, HUMAN):
        return origin
    if attachment.commandMode != "prompt":
        return attachment.commandMode or "unknown"
    return "meta" if record.isSidechain or record.isMeta or attachment.isMeta else None


def _system(record: Record, content: str) -> Verdict:
    typed = None
    if record.subtype == "local_command" and not record.isMeta:
        typed = command(content.strip())
    return Verdict("turn", "user", typed) if typed else Verdict("system")


def _as_typed(text: str, kind: str) -> Verdict:
    return _said(command(text) or text, kind)


def _said(text: str, kind: str) -> Verdict:
    return Verdict("turn", "user", text) if text else Verdict(f"{kind}/no_text")


def _origin_kind(origin: Origin | str | None) -> str | None:
    return origin.kind if isinstance(origin, Origin) else origin


def _kind(name: str) -> str:
    return storable(name)[0][:_MAX_KIND_LENGTH]


Titles = Mapping[str, Callable[[Record], str | None]]
# Records that name a session, the first in this order being the one that is shown.
TITLES: Titles = {
    "custom-title": lambda record: record.customTitle,
    "ai-title": lambda record: record.aiTitle,
    "summary": lambda record: record.summary,
    "agent-name": lambda record: record.agentName,
}


def title_of(record: Record) -> str | None:
    """The title that a record gives its session, without the space around it."""
    title = TITLES.get(record.type or "")
    text = title(record) if title else None
    return text.strip() or None if text else None
