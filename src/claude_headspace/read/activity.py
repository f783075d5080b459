"""Turns, calls and tokens over a stretch of time, and when each session was working."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeAlias

from claude_headspace.read.activity_queries import AT_WORK, COUNTED, MOMENTS
from claude_headspace.read.buckets import Buckets
from claude_headspace.read.connection import Reader

Span: TypeAlias = tuple[datetime, datetime]
LANES = 20
FINE = 240


class Sums(NamedTuple):
    """Counts of turns, calls and tokens."""

    turns: int = 0
    prompts: int = 0
    calls: int = 0
    failed: int = 0
    tokens_out: int = 0
    cache_read: int = 0


class CountedPart(NamedTuple):
    """Sums of one project, and model, in one part of the time; `replies` are the model's."""

    project: str
    model: str | None
    sums: Sums
    replies: int


class Part(NamedTuple):
    """Counts of one part of the time; `turns`: (session, number of turns, project)."""

    rows: list[CountedPart]
    turns: list[tuple[int, int, str]]


@dataclass(slots=True)
class Lane:
    """When one session was working: spans and prompts, and waits for the user's answer."""

    agent_id: int
    spans: list[Span] = field(default_factory=list)
    prompts: list[datetime] = field(default_factory=list)
    waits: list[Span] = field(default_factory=list)


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
    parts: list[list[Sums]] = [[] for _ in buckets.edges[1:]]
    by_project, by_model = defaultdict[str, list[Sums]](list), defaultdict[str, list[Sums]](list)
    turns: dict[int, int] = defaultdict(int)
    for number, part in _in_parts(reader, buckets):
        for project, model, sums, replies in part.rows:
            if not projects or project in projects:
                parts[number].append(sums)
                by_project[project].append(sums)
                if model is not None:
                    by_model[model].append(sums._replace(turns=replies))
        for agent, count, project in part.turns if fine else ():
            if not projects or project in projects:
                turns[agent] += count
    summed = tuple(map(_sum, parts))
    lanes = _lanes(reader, sorted(turns, key=lambda each: -turns[each])[:LANES], fine)
    return Activity(
        buckets, _sum(summed), summed, _most_first(by_project), _most_first(by_model), lanes
    )


def _sum(all_sums: Sequence[Sums]) -> Sums:
    return Sums(*map(sum, zip(*all_sums, strict=True))) if all_sums else Sums()


def _most_first(groups: dict[str, list[Sums]]) -> dict[str, Sums]:
    sums = {name: _sum(group) for name, group in groups.items()}
    return dict(sorted(sums.items(), key=lambda item: (-item[1].turns, item[0])))


AT_ONCE = 28
OVER = timedelta(days=2)
KEPT_SECONDS = 3600.0
MOST_DAYS = 800
# An event that is committed late may have a lower id than events seen before.
_LATE_IDS = 1000
_NEWS = "SELECT max(id), array_agg(DISTINCT date_trunc('day', timestamp)) FROM events WHERE id > %s"


class KnownDays:
    """Counts of past days. A day is counted again when an event of it arrives, and after an hour.

    What changes without an event shows at most an hour later.
    """

    def __init__(self) -> None:
        self._rows: dict[Span, Part] = {}
        self._begun = 0.0
        self._seen: int | None = None

    def of(self, reader: Reader, days: Buckets) -> Iterator[tuple[datetime, Part]]:
        """The start of each day, and its counts."""
        self._drop_old(reader)
        spans = list(zip(days.edges, days.edges[1:], strict=False))
        missing = [number for number, span in enumerate(spans) if span not in self._rows]
        found = dict(self._rows)
        for run in _runs(missing):
            edges = days.edges[run[0] : run[-1] + 2]
            found |= dict(zip(spans[run[0] : run[-1] + 1], _read(reader, edges), strict=True))
        over = datetime.now(UTC) - OVER
        self._rows |= {span: found[span] for span in spans if span[1] < over}
        return ((span[0], found[span]) for span in spans)

    def _drop_old(self, reader: Reader) -> None:
        if time.monotonic() - self._begun > KEPT_SECONDS or len(self._rows) > MOST_DAYS:
            self._rows, self._begun, self._seen = {}, time.monotonic(), None
        if self._seen is None:
            self._seen = int(reader.value("SELECT coalesce(max(id), 0) FROM events"))
            return
        last, days = reader.rows(_NEWS, [self._seen - _LATE_IDS])[0]
        self._seen = last or self._seen
        for span in list(self._rows):
            if any(span[0] < day + timedelta(days=1) and day < span[1] for day in days or ()):
                self._rows.pop(span, None)  # another thread may have dropped it


_known = KnownDays()


def _in_parts(reader: Reader, buckets: Buckets) -> Iterable[tuple[int, Part]]:
    if buckets.step < timedelta(hours=23):
        return enumerate(_read(reader, buckets.edges))
    days = _known.of(reader, buckets.by_day())
    return ((bisect_right(buckets.edges, start) - 1, part) for start, part in days)


def _runs(numbers: Iterable[int]) -> Iterator[list[int]]:
    """Runs of consecutive numbers, at most AT_ONCE long."""
    run: list[int] = []
    for number in numbers:
        if run and (number != run[-1] + 1 or len(run) == AT_ONCE):
            yield run
            run = []
        run.append(number)
    if run:
        yield run


def _read(reader: Reader, edges: Sequence[datetime]) -> list[Part]:
    """The counts of the parts between these edges."""
    parts = [Part([], []) for _ in edges[1:]]
    asked = {"edges": list(edges), "start": edges[0], "end": edges[-1]}
    for number, agents, turns, path, model, *sums, replies in reader.rows(COUNTED, asked):
        part, project = parts[number - 1], path or ""
        part.rows.append(CountedPart(project, model, Sums(*map(int, sums)), replies))
        part.turns.extend((*each, project) for each in zip(agents or (), turns or (), strict=True))
    return parts


def _lanes(reader: Reader, agents: Sequence[int], fine: Buckets | None) -> tuple[Lane, ...]:
    """The lanes of these sessions, most recently working first."""
    if fine is None or not agents:
        return ()
    asked = {
        "edges": list(fine.edges), "start": fine.start, "end": fine.end, "agents": list(agents),
        "asking": ["AskUserQuestion", "ExitPlanMode"],
    }  # fmt: skip
    lanes = {agent: Lane(agent) for agent in agents}
    for agent, number, prompted in reader.rows(MOMENTS, asked):
        start, end = fine.edges[number - 1 : number + 1]
        lanes[agent].spans.append((start, end))
        if prompted:
            lanes[agent].prompts.append(start)
    # Long calls are work; questions are waits.
    for agent, start, end, asks in reader.rows(AT_WORK, asked):
        span = max(start, fine.start), min(max(start, end), fine.end)
        (lanes[agent].waits if asks else lanes[agent].spans).append(span)
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
