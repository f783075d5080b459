"""The parts of a conversation, and the same as a flat sequence of turns, thinking and calls."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Literal, TypeAlias

from claude_headspace.read.call_line import line_of
from claude_headspace.read.lines import Thought, Transcripts
from claude_headspace.read.outline import Prompt
from claude_headspace.read.tools import Call


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A turn: what the user or the agent said; between calls, the user declined one of them."""

    id: int
    at: datetime
    actor: str
    text: str
    subagent: str | None
    prompt_source: str | None
    copy_of: str | None
    retracted: bool
    source_id: int | None
    offset: int | None


@dataclass(frozen=True, slots=True)
class Step:
    """A call, with its subagent's work."""

    call: Call
    inner: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Stray:
    """The work of a subagent whose call is unknown."""

    subagent: str
    items: tuple[Item, ...]


Item: TypeAlias = TurnRow | Thought | Stray | tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A prompt and the reply to it; without a prompt, everything before the first one."""

    prompt: Prompt | None
    said: TurnRow | None
    items: tuple[Item, ...]
    last_at: datetime | None
    calls: int = 0
    failed: int = 0
    out: int = 0

    @property
    def seconds(self) -> float | None:
        """From the prompt to the last known moment of the reply."""
        if self.said is None or self.last_at is None:
            return None
        return max(0.0, (self.last_at - self.said.at).total_seconds())


@dataclass(frozen=True, slots=True)
class ConversationItem:
    """One item: a text, a thinking block, or a tool call in one line.

    `given` and `answer` of a call are set on request; `depth` is 1 within a subagent.
    """

    kind: Literal["prompt", "answer", "declining", "thought", "tool"]
    at: datetime
    text: str = ""
    depth: int = 0
    tool: str = ""
    line: str = ""
    outcome: str | None = None
    seconds: float | None = None
    given: str = ""
    answer: str = ""
    session: str = ""

    def fields(self) -> dict[str, Any]:
        """The fields that are set, for programs."""
        return {name: value for name, value in asdict(self).items() if value not in ("", None)}


@dataclass(frozen=True, slots=True)
class Wanted:
    """How much to include: with `files`, the input and output of tools."""

    files: Transcripts | None
    folder: str
    thinking: bool = False
    subagents: bool = False


def items_of(exchange: Exchange, asked: Wanted) -> Iterator[ConversationItem]:
    """The items of one exchange."""
    if exchange.said is not None:
        yield ConversationItem("prompt", exchange.said.at, exchange.said.text)
    yield from _of(exchange.items, asked, 0)


def _of(items: Sequence[Item], asked: Wanted, depth: int) -> Iterator[ConversationItem]:
    for item in items:
        if isinstance(item, TurnRow):
            declines = item.actor == "user"
            kind: Literal["declining", "answer"] = "declining" if declines else "answer"
            yield ConversationItem(kind, item.at, item.text, depth)
        elif isinstance(item, Thought):
            if asked.thinking:
                yield ConversationItem("thought", item.at, item.text, depth)
        elif isinstance(item, Stray):
            if asked.subagents:
                yield from _of(item.items, asked, depth + 1)
        else:
            for step in item:
                yield _call(step.call, asked, depth)
                if asked.subagents:
                    yield from _of(step.inner, asked, depth + 1)


def _call(call: Call, asked: Wanted, depth: int) -> ConversationItem:
    told = line_of(call.tool, call.asked, asked.folder)
    how = {None: "no answer yet", "ok": ""}.get(call.outcome, call.outcome or "")
    line = "  ".join(filter(None, (told.text, told.aside, how)))
    given, answer = _details(call, asked.files) if asked.files else ("", "")
    return ConversationItem(
        "tool", call.at, "", depth, told.name, line, call.outcome, call.seconds, given, answer
    )


def _details(call: Call, files: Transcripts) -> tuple[str, str]:
    """Input and output of the call from the transcript; else the input from the log."""
    given = files.given(call)
    shown = call.asked if given is None else json.dumps(given, indent=1, ensure_ascii=False)
    return shown, files.answer(call) or ""
