"""Turns, calls and tokens over a stretch of time, and when each session was working."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from claude_headspace.read.buckets import Buckets
from claude_headspace.read.connection import Reader
from claude_headspace.read.counted_days import SAID, Span, Sums, parts_in, sum_of

# For past days that were not counted before.
COUNT_SECONDS = 0.4
LANES = 20
FINE = 240
_MOMENTS = f"""
SELECT e.agent_id, width_bucket(e.timestamp, %(edges)s::timestamptz[]),
 bool_or(e.payload->>'actor' = 'user') FROM events e
 WHERE e.agent_id = ANY (%(agents)s) AND {SAID} GROUP BY 1, 2 ORDER BY 1, 2
"""
# Calls that begin in the same part of the time are one span; each question is one.
_AT_WORK = """
SELECT a.id, min(c.started_at), max(coalesce(c.ended_at, CASE WHEN a.ended_at IS NULL
 AND c.tool = ANY (%(asking)s) THEN clock_timestamp() ELSE a.last_seen_at END)),
 c.tool = ANY (%(asking)s)
FROM tool_calls c JOIN agents a ON a.session_uuid = c.session_uuid
 WHERE a.id = ANY (%(agents)s) AND c.started_at < %(end)s
 AND coalesce(c.ended_at, a.last_seen_at) >= %(start)s AND c.subagent IS NULL
 GROUP BY 1, 4, width_bucket(c.started_at, %(edges)s::timestamptz[]),
 CASE WHEN c.tool = ANY (%(asking)s) THEN c.tool_use_id END
"""


@dataclass(slots=True)
class Lane:
    """When one session was working: spans and prompts, and waits for the user's answer."""

    agent_id: int
    spans: list[Span] = field(default_factory=list)
    prompts: list[datetime] = field(default_factory=list)
    waits: list[Span] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Activity:
    """A stretch of time: sums in total, and by part, project and model.

    `back_to`: what was before is not counted yet, but a later look continues.
    """

    whole: Sums
    parts: tuple[Sums, ...]
    projects: dict[str, Sums]
    models: dict[str, Sums]
    lanes: tuple[Lane, ...]
    back_to: datetime | None = None

    @property
    def waited(self) -> timedelta:
        """How long questions and plans waited for an answer."""
        return sum((end - start for lane in self.lanes for start, end in lane.waits), timedelta())


def activity_in(
    reader: Reader,
    buckets: Buckets,
    fine: Buckets | None,
    projects: Sequence[str] = (),
    seconds: float = COUNT_SECONDS,
) -> Activity:
    """What happened between the edges; lanes use finer edges, if given.

    Past days that were not counted before are counted for about so many seconds.
    """
    parts: list[list[Sums]] = [[] for _ in buckets.edges[1:]]
    by_project, by_model = defaultdict[str, list[Sums]](list), defaultdict[str, list[Sums]](list)
    turns: dict[int, int] = defaultdict(int)
    counted, back_to = parts_in(reader, buckets, seconds)
    for number, part in enumerate(counted):
        for project, model, sums in part.rows:
            if not projects or project in projects:
                parts[number].append(sums)
                by_project[project].append(sums)
                if model is not None:
                    by_model[model].append(sums._replace(turns=sums.replies))
        for agent_id, count, project in part.turns if fine else ():
            if not projects or project in projects:
                turns[agent_id] += count
    summed = tuple(map(sum_of, parts))
    lanes = _lanes(reader, sorted(turns, key=lambda each: -turns[each])[:LANES], fine)
    groups = _most_first(by_project), _most_first(by_model)
    return Activity(sum_of(summed), summed, *groups, lanes, back_to)


def _most_first(groups: dict[str, list[Sums]]) -> dict[str, Sums]:
    sums = {name: sum_of(group) for name, group in groups.items()}
    return dict(sorted(sums.items(), key=lambda item: (-item[1].turns, item[0])))


def _lanes(reader: Reader, agent_ids: Sequence[int], fine: Buckets | None) -> tuple[Lane, ...]:
    """The lanes of these sessions, most recently working first."""
    if fine is None or not agent_ids:
        return ()
    asked = {
        "edges": list(fine.edges), "start": fine.start, "end": fine.end, "agents": list(agent_ids),
        "asking": ["AskUserQuestion", "ExitPlanMode"],
    }  # fmt: skip
    lanes = {agent_id: Lane(agent_id) for agent_id in agent_ids}
    for agent_id, number, prompted in reader.rows(_MOMENTS, asked):
        start, end = fine.edges[number - 1 : number + 1]
        lanes[agent_id].spans.append((start, end))
        if prompted:
            lanes[agent_id].prompts.append(start)
    # Long calls are work; questions are waits.
    for agent_id, start, end, asks in reader.rows(_AT_WORK, asked):
        span = max(start, fine.start), min(max(start, end), fine.end)
        (lanes[agent_id].waits if asks else lanes[agent_id].spans).append(span)
    for lane in lanes.values():
        lane.spans = _joined(sorted(lane.spans))
    drawn = [lane for lane in lanes.values() if lane.spans]
    return tuple(sorted(drawn, key=lambda lane: lane.spans[-1][1], reverse=True))


def _joined(spans: Iterable[Span]) -> list[Span]:
    """Merge spans that touch."""
    joined: list[Span] = []
    for start, end in spans:
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
