"""Turns, calls and tokens over a stretch of time, and when each session was working."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from claude_headspace.read.buckets import Buckets
from claude_headspace.read.connection import Reader

LANES = 20
FINE = 240
_PLACE = " LEFT JOIN projects p ON p.id = {id} "
_TURNS = f"""
SELECT width_bucket(e.timestamp, %(edges)s::timestamptz[]), p.path, NULL,
 count(*), count(*) FILTER (WHERE e.payload->>'actor' = 'user'), 0, 0, 0, 0
FROM events e{_PLACE.format(id="e.project_id")} WHERE e.event_type = 'turn_detected'
 AND e.retracted_at IS NULL AND NOT e.annotations ? 'copy_of'
 AND e.timestamp >= %(start)s AND e.timestamp < %(end)s AND {{only}} GROUP BY 1, 2, 3
"""
_CALLS = f"""
SELECT width_bucket(c.started_at, %(edges)s::timestamptz[]), p.path, NULL, 0, 0, count(*),
 count(*) FILTER (WHERE c.outcome = 'error'), 0, 0
FROM tool_calls c JOIN agents a ON a.session_uuid = c.session_uuid
{_PLACE.format(id="a.project_id")} WHERE c.copy_of IS NULL
 AND c.started_at >= %(start)s AND c.started_at < %(end)s AND {{only}} GROUP BY 1, 2, 3
"""
_SPENT = f"""
SELECT width_bucket(m.started_at, %(edges)s::timestamptz[]), p.path, m.model, 0, 0, 0, 0,
 sum(m.output_tokens)::bigint, sum(m.cache_read_tokens)::bigint, count(*)
FROM model_calls m JOIN agents a ON a.session_uuid = m.session_uuid
{_PLACE.format(id="a.project_id")} WHERE m.started_at >= %(start)s AND m.started_at < %(end)s
 AND {{only}} GROUP BY 1, 2, 3
"""
_ONLY = "(%(projects)s::text[] IS NULL OR p.path = ANY (%(projects)s))"
_MOMENTS = f"""
SELECT e.agent_id, width_bucket(e.timestamp, %(edges)s::timestamptz[]), count(*),
 bool_or(e.payload->>'actor' = 'user') FROM events e{_PLACE.format(id="e.project_id")}
 WHERE e.event_type = 'turn_detected' AND e.retracted_at IS NULL AND e.agent_id IS NOT NULL
 AND e.timestamp >= %(start)s AND e.timestamp < %(end)s AND {_ONLY} GROUP BY 1, 2
"""
_AT_WORK = """
SELECT a.id, c.started_at, coalesce(c.ended_at, CASE WHEN a.ended_at IS NULL
 AND c.tool = ANY (%(asking)s) THEN clock_timestamp() ELSE a.last_seen_at END),
 c.tool = ANY (%(asking)s)
FROM tool_calls c JOIN agents a ON a.session_uuid = c.session_uuid
 WHERE a.id = ANY (%(agents)s) AND c.started_at < %(end)s
 AND coalesce(c.ended_at, a.last_seen_at) >= %(start)s AND c.subagent IS NULL
"""


@dataclass(slots=True)
class Sums:
    """Counts of turns, calls and tokens."""

    turns: int = 0
    prompts: int = 0
    calls: int = 0
    failed: int = 0
    tokens_out: int = 0
    cache_read: int = 0

    def add(self, numbers: Sequence[int | None]) -> None:
        """Add six numbers in the order of the fields."""
        for name, number in zip(self.__dataclass_fields__, numbers, strict=True):
            setattr(self, name, getattr(self, name) + (number or 0))


@dataclass(slots=True)
class Lane:
    """When one session was working: spans and prompts, and waits for the user's answer."""

    agent_id: int
    turns: int = 0
    spans: list[tuple[datetime, datetime]] = field(default_factory=list)
    prompts: list[datetime] = field(default_factory=list)
    waits: list[tuple[datetime, datetime]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Activity:
    """A stretch of time: sums in total, and by part, project and model."""

    buckets: Buckets
    whole: Sums
    parts: tuple[Sums, ...]
    projects: dict[str, Sums]
    models: dict[str, Sums]
    lanes: tuple[Lane, ...]

    @property
    def waited(self) -> timedelta:
        """How long questions and plans waited for an answer."""
        return sum((end - start for lane in self.lanes for start, end in lane.waits), timedelta())


def activity_in(
    reader: Reader, buckets: Buckets, fine: Buckets | None, projects: Sequence[str] = ()
) -> Activity:
    """What happened between the edges; lanes use finer edges, if given."""
    whole, by_project, models = Sums(), dict[str, Sums](), dict[str, Sums]()
    parts = tuple(Sums() for _ in buckets.edges[1:])
    for statement in (_TURNS, _CALLS, _SPENT):
        for number, path, model, *numbers in _counted(reader, statement, buckets, projects):
            done = numbers[:6]
            for sums in (whole, parts[number - 1], by_project.setdefault(path or "", Sums())):
                sums.add(done)
            if model is not None:
                models.setdefault(model, Sums()).add([numbers[6], *done[1:]])
    lanes: tuple[Lane, ...] = ()
    if fine is not None:
        lanes = _lanes(reader, _asked(fine, projects), fine)
    return Activity(buckets, whole, parts, _most_first(by_project), _most_first(models), lanes)


def _asked(buckets: Buckets, projects: Sequence[str]) -> dict[str, Any]:
    return {
        "edges": list(buckets.edges), "start": buckets.start, "end": buckets.end,
        "projects": list(projects) or None,
    }  # fmt: skip


def _counted(
    reader: Reader, statement: str, buckets: Buckets, projects: Sequence[str]
) -> Iterator[Sequence[Any]]:
    """The rows of all parts, some parts per query; parts long past are queried only once."""
    size = max(1, int(AT_ONCE / buckets.step))
    for first in range(0, len(buckets.edges) - 1, size):
        some = Buckets(buckets.edges[first : first + size + 1])
        key = statement, some.edges, tuple(projects)
        if (rows := _known.get(key)) is None:
            rows = reader.rows(statement.format(only=_ONLY), _asked(some, projects))
            if some.end < datetime.now(UTC) - OVER:
                if len(_known) >= MOST_KNOWN:
                    _known.clear()
                _known[key] = rows
        for number, *rest in rows:
            yield (first + number, *rest)


AT_ONCE = timedelta(days=28)
OVER = timedelta(days=2)
MOST_KNOWN = 200
_known: dict[tuple[Any, ...], Sequence[Any]] = {}


def _most_first(sums: dict[str, Sums]) -> dict[str, Sums]:
    return dict(sorted(sums.items(), key=lambda item: -item[1].turns))


def _lanes(reader: Reader, asked: dict[str, Any], fine: Buckets) -> tuple[Lane, ...]:
    lanes: dict[int, Lane] = {}
    for agent, number, count, prompted in sorted(reader.rows(_MOMENTS, asked)):
        lane = lanes.setdefault(agent, Lane(agent))
        lane.turns += count
        start, end = fine.edges[number - 1 : number + 1]
        _extend(lane.spans, start, end)
        if prompted:
            lane.prompts.append(start)
    chosen = sorted(lanes.values(), key=lambda lane: -lane.turns)[:LANES]
    if chosen:
        _add_calls(reader, {lane.agent_id: lane for lane in chosen}, asked, fine)
    return tuple(sorted(chosen, key=lambda lane: lane.spans[-1][1], reverse=True))


def _add_calls(
    reader: Reader, lanes: dict[int, Lane], asked: dict[str, Any], fine: Buckets
) -> None:
    """Add long calls as work, and questions as waits."""
    more = {**asked, "agents": list(lanes), "asking": ["AskUserQuestion", "ExitPlanMode"]}
    for agent, start, end, asks in reader.rows(_AT_WORK, more):
        lane = lanes[agent]
        start, end = max(start, fine.start), min(max(start, end), fine.end)
        (lane.waits if asks else lane.spans).append((start, end))
    for lane in lanes.values():
        spans, lane.spans = sorted(lane.spans), []
        for start, end in spans:
            _extend(lane.spans, start, end)


def _extend(spans: list[tuple[datetime, datetime]], start: datetime, end: datetime) -> None:
    """Add a span; one that touches the last becomes part of it."""
    if spans and start <= spans[-1][1]:
        spans[-1] = (spans[-1][0], max(spans[-1][1], end))
    else:
        spans.append((start, end))
