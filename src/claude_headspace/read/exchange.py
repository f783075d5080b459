"""Parts of a conversation, as they are shown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from claude_headspace.read.lines import Thought
from claude_headspace.read.outline import Prompt
from claude_headspace.read.tools import Call


@dataclass(frozen=True, slots=True)
class Turn:
    """What somebody said."""

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
    """Words of Claude, or of the person while a call waited (`declining`)."""

    turn: Turn
    kind: Literal["answer", "declining"] = "answer"


@dataclass(frozen=True, slots=True)
class Step:
    """A call, with what its subagent did; `words` are said when it was declined."""

    call: Call
    inner: tuple[Item, ...] = ()


@dataclass(frozen=True, slots=True)
class Stray:
    """What a subagent did of which it is not known what call started it."""

    subagent: str
    items: tuple[Item, ...]


Item: TypeAlias = Words | Thought | Stray | tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A prompt and all that came of it; without a prompt what stood before the first."""

    prompt: Prompt | None
    said: Turn | None
    items: tuple[Item, ...]
    last_at: datetime | None
    calls: int = 0
    failed: int = 0
    out: int = 0

    @property
    def seconds(self) -> float | None:
        """From the prompt to the last that is known of the reply."""
        if self.said is None or self.last_at is None:
            return None
        return max(0.0, (self.last_at - self.said.at).total_seconds())
