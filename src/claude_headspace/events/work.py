"""What the agent did and used in one line: tool calls, their results, replies of a model."""

from __future__ import annotations

import msgspec


class ToolCall(msgspec.Struct, frozen=True, gc=False):
    """A tool call; `input` is its input as JSON."""

    id: str
    tool: str
    input: msgspec.Raw | bytes


class ToolResult(msgspec.Struct, frozen=True, gc=False):
    """The result of a call; `size` is the length of its content as JSON.

    `outcome` is ok, error, denied or interrupted; an open call has none.
    """

    id: str
    outcome: str
    size: int


class TokenUsage(msgspec.Struct, frozen=True, gc=False):
    """The tokens of one reply so far; `cache_write_1h` is part of `cache_write`."""

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
    """The work in one record, and the subagent that did it."""

    subagent: str | None = None
    usage: TokenUsage | None = None
    calls: tuple[ToolCall, ...] = ()
    results: tuple[ToolResult, ...] = ()
