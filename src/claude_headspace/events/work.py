"""What the agent did and spent by one line: calls of tools, their results, replies of a model."""

from __future__ import annotations

import msgspec

# How a call of a tool ended; of one that is still out nothing is said.
OUTCOMES = ("ok", "error", "denied", "interrupted")


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A call of a tool; `input` is the JSON that it was given."""

    id: str
    tool: str
    input: msgspec.Raw | bytes


class ToolResult(msgspec.Struct, frozen=True, gc=False):
    """What came of a call; `size` counts the bytes of its content, as JSON."""

    id: str
    outcome: str
    size: int


class TokenUsage(msgspec.Struct, frozen=True, gc=False):
    """What one reply of a model has cost so far; `cache_write_1h` is part of `cache_write`."""

    message_id: str
    model: str
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    tier: str | None = None
    stop_reason: str | None = None


class Work(msgspec.Struct, frozen=True, gc=False):
    """All of this that one record says, and the subagent that did it."""

    subagent: str | None = None
    usage: TokenUsage | None = None
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
