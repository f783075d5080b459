"""The parts of a conversation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from claude_headspace.read.lines import Thought
from claude_headspace.read.outline import Prompt
from claude_headspace.read.tools import Call


@dataclass(frozen=True, slots=True)
class TurnRow:
    """A turn: what the user or the agent said."""

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
class Words:
    """A text of Claude, or of the user while a call waited (`declining`)."""

    turn: TurnRow
    kind: Literal["answer", "declining"] = "answer"


@dataclass(frozen=True, slots=True)
class Step:
    """A call, with its subagent's work; `words` is what the user said when declining it."""

    call: Call
    inner: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Stray:
    """The work of a subagent whose call is unknown."""

    subagent: str
    items: tuple[Item, ...]


Item: TypeAlias = Words | Thought | Stray | tuple[Step, ...]


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
