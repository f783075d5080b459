"""Counts of what was done in sessions; counted again only when a session has a new line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple, TypeAlias

from msgspec import Struct

from claude_headspace.read.connection import IS_TURN, Reader
from claude_headspace.read.line_cache import LineCache
from claude_headspace.read.tools import usage_of

_TURNS = (
    "SELECT agent_id, count(*) FILTER (WHERE payload->>'actor' = 'user'), count(*) FROM events"
    f" WHERE agent_id = ANY (%s) AND {IS_TURN} AND retracted_at IS NULL"
    " GROUP BY agent_id"
)
_TOGETHER = (
    "SELECT agent_id, count(*), count(DISTINCT event_key) FROM events WHERE agent_id = ANY (%s)"
    f" AND {IS_TURN} AND retracted_at IS NULL"
    " GROUP BY GROUPING SETS ((agent_id), ())"
)
_LINES = (
    "SELECT session::text, sum((counts->>'lines')::bigint), sum(coalesce((SELECT sum(value::bigint)"
    " FROM jsonb_each_text(counts->'rejected')), 0)) FROM checkpoints,"
    " unnest(sessions) AS session WHERE sessions && %(these)s::uuid[]"
    " AND session = ANY (%(these)s::uuid[]) GROUP BY session"
)


class SessionTotals(Struct, frozen=True):
    """What was done in a session; None if it is unknown."""

    prompts: int = 0
    turns: int = 0
    calls: int | None = None
    failed: int | None = None
    tokens_out: int | None = None
    lines: int | None = None
    lines_lost: int = 0


class CountedSession(NamedTuple):
    """The state of a session when it was counted."""

    id: int
    uuid: str
    last_line_at: datetime | None


_Totals: TypeAlias = dict[CountedSession, SessionTotals]
_known = LineCache[CountedSession, SessionTotals]()


def count_totals(reader: Reader, sessions: Sequence[CountedSession]) -> _Totals:
    """What was done in each of these sessions."""
    return _known.of(sessions, lambda new: _count(reader, new))


def count_turns(reader: Reader, agent_ids: Sequence[int]) -> tuple[dict[int, int], int]:
    """Turns of each of these sessions, and of all; there a turn in several of them counts once."""
    rows = reader.rows(_TOGETHER, [list(agent_ids)])
    each = {row[0]: row[1] for row in rows if row[0] is not None}
    return each, next(row[2] for row in rows if row[0] is None)


def _count(reader: Reader, sessions: Sequence[CountedSession]) -> _Totals:
    ids = [each.id for each in sessions]
    turns = {row[0]: row[1:] for row in reader.rows(_TURNS, [ids])}
    lines = {
        row[0]: row[1:] for row in reader.rows(_LINES, {"these": [each.uuid for each in sessions]})
    }
    usage = usage_of(reader, ids)
    return {
        each: _totals(turns.get(each.id), usage.get(each.id), lines.get(each.uuid))
        for each in sessions
    }


def _totals(
    turns: Sequence[int] | None, usage: Sequence[int] | None, lines: Sequence[Any] | None
) -> SessionTotals:
    prompts, every = turns or (0, 0)
    calls, failed, tokens = usage or (None, None, None)
    written, lost = lines or (None, 0)
    return SessionTotals(
        prompts, every, calls, failed, tokens, None if written is None else int(written), int(lost)
    )
