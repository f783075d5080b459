"""Counts of turns, calls and tokens by day; those of past days are kept."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple, TypeAlias

from claude_headspace.read.buckets import Buckets, days_between
from claude_headspace.read.connection import Reader

Span: TypeAlias = tuple[datetime, datetime]
AT_ONCE = 14
OVER = timedelta(hours=1)
KEPT_SECONDS = 3600.0
MOST_SPANS = 2000
# An event that is committed late may have a lower id than events seen before.
_LATE_IDS = 1000
SAID = (
    "e.event_type = 'turn_detected' AND e.retracted_at IS NULL AND NOT e.annotations ? 'copy_of'"
    " AND e.timestamp >= %(start)s AND e.timestamp < %(end)s"
)
# Only the columns that count are sorted (OFFSET 0), and only the sessions that occur are looked up.
_PROJECT = """ JOIN LATERAL (SELECT a.project_id FROM agents a
  WHERE a.session_uuid = s.session_uuid OFFSET 0) a ON true"""
_COUNTED = f"""
SELECT part, agents, counts, p.path, model, turns, prompts, calls, failed, tokens, cached, replies
FROM (
 SELECT part, array_agg(agent) FILTER (WHERE agent IS NOT NULL) AS agents,
  array_agg(turns) FILTER (WHERE agent IS NOT NULL) AS counts, project, NULL AS model,
  sum(turns) AS turns, sum(prompts) AS prompts, 0 AS calls, 0 AS failed, 0 AS tokens, 0 AS cached,
  0 AS replies FROM (SELECT part, agent, project, count(*) AS turns,
   count(*) FILTER (WHERE prompt) AS prompts FROM (
    SELECT width_bucket(e.timestamp, %(edges)s::timestamptz[]) AS part, e.agent_id AS agent,
     e.project_id AS project, e.payload->>'actor' = 'user' AS prompt
    FROM events e WHERE {SAID} OFFSET 0) turn GROUP BY 1, 2, 3) said GROUP BY part, project
 UNION ALL SELECT part, NULL, NULL, a.project_id, NULL, 0, 0, sum(calls), sum(failed), 0, 0, 0
  FROM (SELECT width_bucket(c.started_at, %(edges)s::timestamptz[]) AS part, c.session_uuid,
   count(*) AS calls, count(*) FILTER (WHERE c.outcome = 'error') AS failed FROM tool_calls c
   WHERE c.copy_of IS NULL AND c.started_at >= %(start)s AND c.started_at < %(end)s
   GROUP BY 1, 2) s{_PROJECT} GROUP BY 1, 4
 UNION ALL SELECT part, NULL, NULL, a.project_id, model, 0, 0, 0, 0, sum(tokens), sum(cached),
  sum(replies)::bigint
  FROM (SELECT width_bucket(m.started_at, %(edges)s::timestamptz[]) AS part, m.session_uuid,
   m.model, coalesce(sum(m.output_tokens), 0) AS tokens,
   coalesce(sum(m.cache_read_tokens), 0) AS cached, count(*) AS replies FROM model_calls m
   WHERE m.started_at >= %(start)s AND m.started_at < %(end)s GROUP BY 1, 2, 3) s{_PROJECT}
  GROUP BY 1, 4, 5
) done LEFT JOIN projects p ON p.id = project
"""
_NEWS = "SELECT max(id), array_agg(DISTINCT date_trunc('day', timestamp)) FROM events WHERE id > %s"


class Sums(NamedTuple):
    """Counts of turns, calls and tokens; `replies` are a model's."""

    turns: int = 0
    prompts: int = 0
    calls: int = 0
    failed: int = 0
    tokens_out: int = 0
    cache_read: int = 0
    replies: int = 0


class Part(NamedTuple):
    """Counts of one part of the time: `rows` are (project, model, sums), and `turns` are (session,
    number of turns, project).
    """

    rows: list[tuple[str, str | None, Sums]]
    turns: list[tuple[int, int, str]]


def sum_of(all_sums: Sequence[Sums]) -> Sums:
    """The sums of all of them."""
    return Sums(*map(sum, zip(*all_sums, strict=True))) if all_sums else Sums()


class KnownDays:
    """Counts of past days. A day is counted again when an event of it arrives, and after an hour.

    What changes without an event shows at most an hour later.
    """

    def __init__(self) -> None:
        self._parts: dict[Span, Part] = {}
        self._begun = 0.0
        self._seen: int | None = None

    def of(
        self, reader: Reader, buckets: Buckets, seconds: float
    ) -> tuple[list[Part], datetime | None]:
        """The counts of each part of the time, and how far back they are complete."""
        self._drop_old(reader)
        spans = list(pairwise(buckets.edges))
        parts = {span: self._parts[span] for span in spans if span in self._parts}
        days = {span: list(pairwise(days_between(*span))) for span in spans if span not in parts}
        counted = self._count(reader, [day for each in days.values() for day in each], seconds)
        fresh = {
            span: _together([counted[day] for day in each])
            for span, each in days.items()
            if counted.keys() >= set(each)
        }
        self._keep(fresh)
        parts |= fresh
        missing = max((span[1] for span in spans if span not in parts), default=None)
        return [parts.get(span, Part([], [])) for span in spans], missing

    def _count(self, reader: Reader, days: Sequence[Span], seconds: float) -> dict[Span, Part]:
        """The counts of these days, the newest first, as far as the time allows."""
        until = time.monotonic() + seconds
        found = {day: self._parts[day] for day in days if day in self._parts}
        for run in reversed(list(_runs(day for day in days if day not in found))):
            edges = [run[0][0], *(end for _, end in run)]
            counted = dict(zip(run, _read(reader, edges), strict=True))
            found |= counted
            if self._keep(counted) and time.monotonic() > until:
                break
        return found

    def _keep(self, parts: Mapping[Span, Part]) -> bool:
        """Keep what is over; returns whether anything is."""
        over = datetime.now(UTC) - OVER
        kept = {span: part for span, part in parts.items() if span[1] < over}
        self._parts |= kept
        return bool(kept)

    def _drop_old(self, reader: Reader) -> None:
        if time.monotonic() - self._begun > KEPT_SECONDS or len(self._parts) > MOST_SPANS:
            self._parts, self._begun, self._seen = {}, time.monotonic(), None
        if self._seen is None:
            self._seen = int(reader.value("SELECT coalesce(max(id), 0) FROM events"))
            return
        last, days = reader.rows(_NEWS, [self._seen - _LATE_IDS])[0]
        self._seen = last or self._seen
        for span in list(self._parts):
            if any(span[0] < day + timedelta(days=1) and day < span[1] for day in days or ()):
                self._parts.pop(span, None)  # another thread may have dropped it


def _together(days: Sequence[Part]) -> Part:
    """The sums of several days; only single days have sessions."""
    if len(days) == 1:
        return days[0]
    rows = defaultdict[tuple[str, str | None], list[Sums]](list)
    for project, model, sums in (row for day in days for row in day.rows):
        rows[project, model].append(sums)
    return Part([(*about, sum_of(same)) for about, same in rows.items()], [])


def _runs(days: Iterable[Span]) -> Iterator[list[Span]]:
    """Runs of consecutive days, at most AT_ONCE long."""
    run: list[Span] = []
    for day in days:
        if run and (day[0] != run[-1][1] or len(run) == AT_ONCE):
            yield run
            run = []
        run.append(day)
    if run:
        yield run


def _read(reader: Reader, edges: Sequence[datetime]) -> list[Part]:
    """The counts of the parts between these edges."""
    parts = [Part([], []) for _ in edges[1:]]
    asked = {"edges": list(edges), "start": edges[0], "end": edges[-1]}
    for number, agents, turns, path, model, *sums in reader.rows(_COUNTED, asked):
        part, project = parts[number - 1], path or ""
        part.rows.append((project, model, Sums(*map(int, sums))))
        part.turns.extend((*each, project) for each in zip(agents or (), turns or (), strict=True))
    return parts


_known = KnownDays()


def parts_in(
    reader: Reader, buckets: Buckets, seconds: float
) -> tuple[list[Part], datetime | None]:
    """The counts of each part of the time, and how far back they are complete, if not wholly.

    Past days that were not counted before are counted for about so many seconds.
    """
    if buckets.step < timedelta(hours=23):
        return _read(reader, buckets.edges), None
    return _known.of(reader, buckets, seconds)
