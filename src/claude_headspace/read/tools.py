"""Tool calls and model calls, from the projections.

Only this module knows the columns of `tool_calls` and `model_calls`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from claude_headspace.read.connection import Reader
from claude_headspace.read.cut_json import read_cut
from claude_headspace.read.state import ASKING_TOOLS, OpenCall

COLUMNS = (
    "c.tool_use_id, a.id, c.session_uuid::text, c.tool, c.input, c.input_bytes, c.subagent,"
    " c.started_at, c.ended_at, c.outcome, c.result_bytes, c.source_id, c.call_offset,"
    " c.call_length, c.result_source_id, c.result_offset, c.result_length"
)
FROM = " FROM tool_calls c JOIN agents a ON a.session_uuid = c.session_uuid"


class Call(Struct, frozen=True):
    """One tool call; `outcome` is ok, error, denied or interrupted, and None until it ends.

    `asked` is its input as JSON, cut if it is long.
    """

    id: str
    agent_id: int
    session: str
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
        f"SELECT {COLUMNS}{FROM} WHERE a.id = %(agent)s"
        " AND (%(start)s::timestamptz IS NULL OR c.started_at >= %(start)s)"
        " AND (%(end)s::timestamptz IS NULL OR c.started_at < %(end)s)"
        " ORDER BY c.started_at, c.call_offset",
        {"agent": agent_id, "start": start, "end": end},
    )


def one_call(reader: Reader, session: str, call_id: str) -> Call | None:
    """The call of this id in a session."""
    found = reader.fetch(
        Call,
        f"SELECT {COLUMNS}{FROM} WHERE c.session_uuid = %s AND c.tool_use_id = %s",
        [session, call_id],
    )
    return found[0] if found else None


def call_times(reader: Reader, agent_id: int) -> list[tuple[datetime, datetime | None, bool]]:
    """(start, end, failed) of every call of the session, oldest first."""
    rows = reader.rows(
        "SELECT c.started_at, c.ended_at, c.outcome IS NOT DISTINCT FROM 'error'"
        f"{FROM} WHERE a.id = %s ORDER BY c.started_at",
        [agent_id],
    )
    return [(row[0], row[1], row[2]) for row in rows]


def open_calls(reader: Reader, agent_ids: Sequence[int]) -> dict[int, list[OpenCall]]:
    """Calls without a result, oldest first, by session."""
    found: dict[int, list[OpenCall]] = {}
    rows = reader.fetch(
        Call,
        f"SELECT {COLUMNS}{FROM} WHERE a.id = ANY (%s) AND c.outcome IS NULL ORDER BY c.started_at",
        [list(agent_ids)],
    )
    for call in rows:
        found.setdefault(call.agent_id, []).append(_open(call))
    return found


def _open(call: Call) -> OpenCall:
    from claude_headspace.read.call_line import line_of  # few sessions have an open call

    limit = call.given.get("timeout")
    return OpenCall(
        call.tool,
        call.at,
        line_of(call.tool, call.asked).text,
        limit / 1000 if isinstance(limit, int | float) else None,
        call.subagent,
        call.given if call.tool in ASKING_TOOLS else None,
    )


def last_replies(reader: Reader, agent_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """How the model and its calls last stopped in each session, as fields of LastFacts."""
    rows = reader.rows(
        "SELECT a.id, m.ended_at, m.stop_reason, (SELECT max(c.ended_at)"
        " FROM tool_calls c WHERE c.session_uuid = a.session_uuid AND c.subagent IS NULL"
        " AND c.outcome = 'interrupted') FROM agents a LEFT JOIN LATERAL (SELECT * FROM model_calls"
        " WHERE session_uuid = a.session_uuid AND subagent IS NULL ORDER BY ended_at DESC LIMIT 1)"
        " m ON true WHERE a.id = ANY (%s)",
        [list(agent_ids)],
    )
    return {
        row[0]: {"stopped_at": row[1], "stop_reason": row[2], "interrupted_at": row[3]}
        for row in rows
    }


def usage_of(reader: Reader, agent_ids: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    """Calls, failed calls and output tokens of each session."""
    if not agent_ids:
        return {}
    rows = reader.rows(
        "SELECT a.id, called.number, called.failed, spent.tokens FROM agents a,"
        " LATERAL (SELECT count(*) AS number, count(*) FILTER (WHERE outcome = 'error') AS failed"
        "  FROM tool_calls WHERE session_uuid = a.session_uuid) called,"
        " LATERAL (SELECT coalesce(sum(output_tokens), 0)::bigint AS tokens FROM model_calls"
        "  WHERE session_uuid = a.session_uuid) spent WHERE a.id = ANY (%s)",
        [list(agent_ids)],
    )
    return {row[0]: (row[1], row[2], row[3]) for row in rows}


class Spent(Struct, frozen=True):
    """Tokens of a model in a session."""

    model: str
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int


def models_of(reader: Reader, session: str) -> list[Spent]:
    """Tokens by model; the model with the most output first."""
    return reader.fetch(
        Spent,
        "SELECT model, sum(input_tokens)::bigint, sum(output_tokens)::bigint,"
        " sum(cache_read_tokens)::bigint FROM model_calls WHERE session_uuid = %s"
        " GROUP BY model ORDER BY 3 DESC",
        [session],
    )


def call_minutes(
    reader: Reader, agent_ids: Sequence[int], start: datetime, end: datetime
) -> list[tuple[Any, ...]]:
    """(session, minute since start, calls, False) of the minutes in which calls started."""
    return list(
        reader.rows(
            "SELECT a.id, floor(extract(epoch FROM c.started_at - %(start)s) / 60)::int,"
            f" count(*), false{FROM} WHERE a.id = ANY (%(agents)s)"
            " AND c.started_at >= %(start)s AND c.started_at < %(end)s GROUP BY 1, 2",
            {"agents": list(agent_ids), "start": start, "end": end},
        )
    )
