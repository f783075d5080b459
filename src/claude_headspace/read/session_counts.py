"""Counts of sessions by state, project and host, and of their turns over time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from claude_headspace.read.buckets import Buckets
from claude_headspace.read.connection import Reader
from claude_headspace.read.session_facts import facts_of
from claude_headspace.read.sessions import CONDITIONS, SessionQuestion, values_of
from claude_headspace.read.state import derive_state

FACETS = ("state", "project", "host")
SHOWN_VALUES = 12
_STATES = ("needs", "turn", "work", "stalled", "ended")
# All by project, by its index alone, and then each of those that have not ended.
_COUNTED = (
    "SELECT alive, p.path, p.host, number FROM (SELECT NULL::int AS alive, a.project_id, count(*)"
    f" AS number FROM agents a WHERE {CONDITIONS} GROUP BY 2 UNION ALL SELECT a.id, a.project_id, 1"
    f" FROM agents a WHERE {CONDITIONS} AND a.ended_at IS NULL) a"
    " JOIN places p ON p.id = a.project_id"
)


@dataclass(frozen=True, slots=True)
class Counts:
    """The number of sessions: with all filters, without those of facets, and by facet."""

    fitting: int
    of: int
    facets: Mapping[str, Mapping[str, int]]


class _Kind(NamedTuple):
    """A number of sessions with the same facets."""

    state: str
    project: str
    host: str
    number: int


def count_sessions(reader: Reader, asked: SessionQuestion, now: datetime) -> Counts:
    """The numbers of sessions; a facet ignores its own filter."""
    rows = reader.rows(_COUNTED, values_of(reader, replace(asked, state=()), now))
    known = facts_of(reader, [row[0] for row in rows if row[0] is not None])
    states = {agent: derive_state(facts, now).kind for agent, facts in known.items()}
    kinds = [_Kind(states.get(agent, "ended"), *rest) for agent, *rest in rows]
    kinds += [_Kind("ended", path, host, -one) for agent, path, host, one in rows if agent]
    facets = {name: _by(name, kinds, asked) for name in FACETS}
    fitting = sum(kind.number for kind in kinds if _fits(kind, asked))
    return Counts(fitting, sum(kind.number for kind in kinds), facets)


def _fits(kind: _Kind, asked: SessionQuestion, without: str = "") -> bool:
    return all(
        name == without or not getattr(asked, name) or getattr(kind, name) in getattr(asked, name)
        for name in FACETS
    )


def _by(name: str, kinds: Sequence[_Kind], asked: SessionQuestion) -> dict[str, int]:
    counts = Counter(dict.fromkeys(_STATES, 0) if name == "state" else {})
    for kind in kinds:
        if _fits(kind, asked, without=name):
            counts[getattr(kind, name)] += kind.number
    if name == "state":
        return dict(counts)
    shown = sorted(+counts, key=lambda value: (-counts[value], value))[:SHOWN_VALUES]
    return {value: counts[value] for value in shown}


@dataclass(slots=True)
class _Chart:
    """Turns in each part, counted up to an event; later ones are added."""

    counts: list[int]
    upto: int = 0
    begun: float = field(default_factory=time.monotonic)


COUNTED_SECONDS = 600.0
MOST_CHARTS = 50
_charts: dict[tuple[datetime, ...], _Chart] = {}


def turns_in(reader: Reader, buckets: Buckets) -> list[int]:
    """Turns in each part of a stretch of time; all are recounted from time to time."""
    chart = _charts.get(buckets.edges)
    if chart is None or time.monotonic() - chart.begun > COUNTED_SECONDS:
        chart = _Chart([0] * (len(buckets.edges) - 1))
    last = reader.value("SELECT coalesce(max(id), 0) FROM events")
    rows = reader.rows(
        "SELECT width_bucket(timestamp, %s::timestamptz[]), count(*) FROM events"
        " WHERE event_type = 'turn_detected' AND retracted_at IS NULL"
        " AND timestamp >= %s AND timestamp < %s AND id > %s AND id <= %s GROUP BY 1",
        [list(buckets.edges), buckets.start, buckets.end, chart.upto, last],
    )
    counts = [a + b for a, b in zip(chart.counts, buckets.spread(rows), strict=True)]
    if len(_charts) > MOST_CHARTS:
        _charts.clear()
    # An event that is committed after one with a higher id is counted by the next recount.
    _charts[buckets.edges] = _Chart(counts, last, chart.begun)
    return counts
