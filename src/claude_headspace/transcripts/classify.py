"""Classifies records. What the client says about a record takes precedence over its text."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

from claude_headspace.events.event import storable
from claude_headspace.transcripts.records import (
    QUEUED_PROMPT,
    Attachment,
    Body,
    Details,
    MessageBody,
    MessageOrigin,
    Record,
)
from claude_headspace.transcripts.typed import (
    EDITOR_WRAPPERS,
    WRAPPERS,
    is_injected,
    is_pasted,
    only_command,
    text_of,
    typed_command,
    unwrapped,
)

# Sources of prompts of a person: with one of these, the text is not interpreted.
TYPED_SOURCES = frozenset({"typed", "queued", "sdk", "suggestion_accepted"})
HUMAN = "human"
# Agents that the client runs for its own purposes: compaction, suggested prompts, side questions.
_INTERNAL_AGENTS = ("acompact", "aprompt_suggestion", "aside_question")
# Messages of programs are counted with this prefix, so that new kinds are noticed. What is stored
# calls a program a machine.
PROGRAM = "machine:"
KNOWN_PROGRAMS = frozenset(
    PROGRAM + kind
    for kind in (
        "auto-continuation", "coordinator", "peer", "scheduled", "scheduled-trigger", "system",
        "task-notification", "meta", "bash",
    )
)  # fmt: skip
# Types are counted by name; this limits names from damaged lines.
_MAX_KIND_LENGTH = 60


class Classified(msgspec.Struct, frozen=True, gc=False):
    """The class of a record: `text` and `actor` of a turn, or the `kind` under which it counts."""

    kind: str
    actor: str = ""
    text: str = ""

    @property
    def is_turn(self) -> bool:
        """Whether the record is a turn."""
        return bool(self.actor)


def classify(record: Record, body: Body) -> Classified:
    """Classify a record."""
    rule = _RULES.get(record.type or "")
    return _of_type(record.type) if rule is None or body is None else rule(record, body)


def _assistant(record: Record, message: MessageBody) -> Classified:
    if record.isApiErrorMessage or message.model == "<synthetic>":
        return _of_type("assistant/notice")
    if (record.agentId or "").startswith(_INTERNAL_AGENTS):
        return _of_type("assistant/internal_agent")
    text = text_of(message.content)
    if not text or text.isspace():
        return _of_type("assistant/no_text")
    return Classified("turn", "agent", text)


def _user(record: Record, message: MessageBody) -> Classified:
    if record.isCompactSummary:
        return _of_type("user/compact_summary")
    if record.isMeta or record.isVisibleInTranscriptOnly or record.isVirtual:
        return _of_type("user/meta")
    if record.isSidechain:
        return _of_type("user/subagent_prompt")
    origin = _origin_kind(record.origin)
    if origin not in (None, HUMAN) or record.promptSource == "system":
        return Classified("user/" + PROGRAM + _kind(origin or "system"))
    # What a person typed when declining a call.
    feedback = record.userFeedback if record.holdsPersonsWords else None
    parts = (feedback, text_of(message.content))
    text = "\n".join(part for part in parts if part and part.strip())
    if record.promptSource in TYPED_SOURCES:
        return _said(unwrapped(text, EDITOR_WRAPPERS), "user")
    if origin == HUMAN:
        return _as_typed(unwrapped(text, EDITOR_WRAPPERS), "user")
    bare = unwrapped(text, WRAPPERS)
    if is_injected(bare) and not is_pasted(text):
        return _of_type("user/injected")
    return _said(typed_command(bare) or bare, "user")


def _attachment(record: Record, attachment: Attachment) -> Classified:
    if attachment.type != QUEUED_PROMPT:
        return _of_type("attachment")
    program = _queued_by_program(record, attachment)
    if program:
        return Classified("attachment/" + PROGRAM + _kind(program))
    return _as_typed(unwrapped(text_of(attachment.prompt), EDITOR_WRAPPERS), "attachment")


def _queued_by_program(record: Record, attachment: Attachment) -> str | None:
    """The kind of program that queued this prompt; None if a person did."""
    origin = _origin_kind(attachment.origin)
    if origin not in (None, HUMAN):
        return origin
    if attachment.commandMode != "prompt":
        return attachment.commandMode or "unknown"
    return "meta" if record.isSidechain or record.isMeta or attachment.isMeta else None


def _system(record: Record, details: Details) -> Classified:
    typed = None
    if details.subtype == "local_command" and not record.isMeta:
        typed = typed_command((details.text or "").strip())
    return Classified("turn", "user", typed) if typed else _of_type("system")


def _as_typed(text: str, kind: str) -> Classified:
    return _said(only_command(text) or text, kind)


def _said(text: str, kind: str) -> Classified:
    return Classified("turn", "user", text) if text else _of_type(f"{kind}/no_text")


@lru_cache(maxsize=256)
def _of_type(name: str | None) -> Classified:
    return Classified(_kind(name) if name else "untyped")


def _origin_kind(origin: MessageOrigin | str | None) -> str | None:
    return origin.kind if isinstance(origin, MessageOrigin) else origin


def _kind(name: str) -> str:
    return storable(name)[0][:_MAX_KIND_LENGTH]


# Types of records that name a session, and the field with the name.
TITLES = {
    "custom-title": "customTitle",
    "ai-title": "aiTitle",
    "summary": "summary",
    "agent-name": "agentName",
}
# The kind of a body depends on its record's type (see transcripts.records).
_RULES: Mapping[str, Callable[[Record, Any], Classified]] = {
    "assistant": _assistant,
    "user": _user,
    "attachment": _attachment,
    "system": _system,
}
