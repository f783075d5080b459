"""Work by day and session: time, turns, calls and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from claude_headspace.read.buckets import DAY_OF, days_between
from claude_headspace.read.connection import Reader
from claude_headspace.read.outline import PAUSE_SECONDS

_TURNS = """
SELECT agent_id AS agent, timestamp AS at, 1 AS turn, (payload->>'actor' = 'user')::int AS prompt,
 0 AS called, 0 AS failed, 0 AS tokens FROM events WHERE event_type = 'turn_detected'
 AND retracted_at IS NULL AND NOT annotations ? 'copy_of' AND agent_id IS NOT NULL
 AND timestamp >= %(start)s AND timestamp < %(end)s
"""
_WORK = """
UNION ALL SELECT a.id, c.started_at, 0, 0, 1, (c.outcome IS NOT DISTINCT FROM 'error')::int, 0
 FROM tool_calls c JOIN agents a ON a.session_uuid = c.session_uuid
 WHERE c.copy_of IS NULL AND c.started_at >= %(start)s AND c.started_at < %(end)s
UNION ALL SELECT a.id, c.ended_at, 0, 0, 0, 0, 0
 FROM tool_calls c JOIN agents a ON a.session_uuid = c.session_uuid
 WHERE c.copy_of IS NULL AND c.started_at >= %(start)s AND c.ended_at < %(end)s
UNION ALL SELECT a.id, m.started_at, 0, 0, 0, 0, m.output_tokens
 FROM model_calls m JOIN agents a ON a.session_uuid = m.session_uuid
 WHERE m.started_at >= %(start)s AND m.started_at < %(end)s
"""
# The time between two happenings was work, unless it was a pause.
_WORKED = """
SELECT {day} AS day, agent, sum(turn), sum(prompt),
 sum(called), sum(failed), sum(tokens)::bigint,
 coalesce(sum(gap) FILTER (WHERE gap <= %(pause)s), 0)::float8
FROM (SELECT *, extract(epoch FROM at - lag(at) OVER (PARTITION BY agent ORDER BY at)) AS gap
 FROM ({moments}) moment) step GROUP BY 1, 2 ORDER BY 1, 2
"""


@dataclass(frozen=True, slots=True)
class DailyWork:
    """One session on one local day; `seconds` excludes longer pauses."""

    day: date
    agent_id: int
    turns: int = 0
    prompts: int = 0
    calls: int = 0
    failed: int = 0
    tokens_out: int = 0
    seconds: float = 0.0

    def __add__(self, other: DailyWork) -> DailyWork:
        """The sum of both."""
        names = ("turns", "prompts", "calls", "failed", "tokens_out", "seconds")
        sums = (getattr(self, name) + getattr(other, name) for name in names)
        return DailyWork(self.day, self.agent_id, *sums)


def work_between(reader: Reader, since: datetime, until: datetime) -> list[DailyWork]:
    """The work between two moments."""
    edges = days_between(since, until)
    asked = {
        "edges": edges, "days": [edge.date() for edge in edges], "start": since, "end": until,
        "pause": PAUSE_SECONDS,
    }  # fmt: skip
    statement = _WORKED.format(day=DAY_OF.format(at="at"), moments=_TURNS + _WORK)
    return reader.fetch(DailyWork, statement, asked)
