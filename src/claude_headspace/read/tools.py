"""Tool calls and model calls, from the projections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from claude_headspace.read.call_line import line_of, read_cut
from claude_headspace.read.connection import Reader
from claude_headspace.read.state import ASKING_TOOLS, OpenCall

_CALLS = (
    "SELECT c.tool_use_id, a.id, c.tool, c.input, c.input_bytes, c.subagent,"
    " c.started_at, c.ended_at, c.outcome, c.result_bytes, c.source_id, c.call_offset,"
    " c.call_length, c.result_source_id, c.result_offset, c.result_length"
    " FROM tool_calls c JOIN agents a ON a.session_uuid = c.session_uuid WHERE "
)


class Call(Struct, frozen=True):
    """One tool call; `outcome` is ok, error, denied or interrupted, and None until it ends.

    `asked` is its input as JSON, cut if it is long.
    """

    id: str
    agent_id: int
    tool: str
    asked: str
    asked_bytes: int
    subagent: str | None
    at: datetime
    ended_at: datetime | None
    outcome: str | None
    result_bytes: int | None
    source_id: int | None
    offset: int | None
    length: int | None
    result_source_id: int | None
    result_offset: int | None
    result_length: int | None

    @property
    def seconds(self) -> float | None:
        """Its duration."""
        return None if self.ended_at is None else (self.ended_at - self.at).total_seconds()

    @property
    def failed(self) -> bool:
        """Whether it failed; a call that the user declined did not fail."""
        return self.outcome == "error"

    @property
    def given(self) -> Mapping[str, Any]:
        """Its input, as far as it is stored."""
        return read_cut(self.asked)


def calls_between(
    reader: Reader, agent_id: int, start: datetime | None, end: datetime | None
) -> list[Call]:
    """The calls of a session in a stretch of time (either end may be open), oldest first."""
    return reader.fetch(
        Call,
        f"{_CALLS}a.id = %(agent)s"
        " AND (%(start)s::timestamptz IS NULL OR c.started_at >= %(start)s)"
        " AND (%(end)s::timestamptz IS NULL OR c.started_at < %(end)s)"
        " ORDER BY c.started_at, c.call_offset",
        {"agent": agent_id, "start": start, "end": end},
    )


def one_call(reader: Reader, session: str, call_id: str) -> Call | None:
    """The call of this id in a session."""
    which = f"{_CALLS}c.session_uuid = %s AND c.tool_use_id = %s"
    found = reader.fetch(Call, which, [session, call_id])
    return found[0] if found else None


def open_calls(reader: Reader, agent_ids: Sequence[int]) -> dict[int, list[OpenCall]]:
    """Calls without a result, oldest first, by session."""
    found: dict[int, list[OpenCall]] = {}
    which = f"{_CALLS}a.id = ANY (%s) AND c.outcome IS NULL ORDER BY c.started_at"
    for call in reader.fetch(Call, which, [list(agent_ids)]):
        given, limit = call.given, call.given.get("timeout")
        shown = OpenCall(
            call.tool, call.at, line_of(call.tool, call.asked).text,
            limit / 1000 if isinstance(limit, int | float) else None, call.subagent,
            given if call.tool in ASKING_TOOLS else None,
        )  # fmt: skip
        found.setdefault(call.agent_id, []).append(shown)
    return found


def cache_reads(reader: Reader, session: str) -> dict[str, int]:
    """Tokens read from the cache, by model; the model with the most output first."""
    rows = reader.rows(
        "SELECT model, sum(cache_read_tokens)::bigint FROM model_calls WHERE session_uuid = %s"
        " GROUP BY model ORDER BY sum(output_tokens) DESC",
        [session],
    )
    return dict(rows)
