"""Counts of sessions by state, project and host, and of their turns over time."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

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


def count_sessions(reader: Reader, asked: SessionQuestion) -> Counts:
    """The numbers of sessions; a facet ignores its own filter."""
    rows = reader.rows(_COUNTED, values_of(reader, replace(asked, state=())))
    known = facts_of(reader, [row[0] for row in rows if row[0] is not None])
    now = datetime.now(UTC)
    states = {agent_id: derive_state(facts, now).kind for agent_id, facts in known.items()}
    every = [((states.get(agent_id, "ended"), *place), number) for agent_id, *place, number in rows]
    every += [(("ended", *place), -one) for agent_id, *place, one in rows if agent_id]
    chosen = asked.state, asked.project, asked.host

    def fitting(without: int = -1) -> list[tuple[tuple[str, ...], int]]:
        return [
            (values, number)
            for values, number in every
            if all(
                index == without or not wanted or values[index] in wanted
                for index, wanted in enumerate(chosen)
            )
        ]

    facets: dict[str, dict[str, int]] = {}
    for index, name in enumerate(FACETS):
        counts = Counter[str](dict.fromkeys(_STATES, 0) if name == "state" else {})
        for values, number in fitting(without=index):
            counts[values[index]] += number
        shown = sorted(+counts, key=lambda value: (-counts[value], value))[:SHOWN_VALUES]
        facets[name] = {value: counts[value] for value in (_STATES if name == "state" else shown)}
    return Counts(sum(number for _, number in fitting()), sum(n for _, n in every), facets)


COUNTED_SECONDS = 600.0
MOST_CHARTS = 50
# Turns in each part, the last event that is counted, and when counting began.
_charts: dict[tuple[datetime, ...], tuple[list[int], int, float]] = {}


def turns_in(reader: Reader, buckets: Buckets) -> list[int]:
    """Turns in each part of a stretch of time; all are recounted from time to time."""
    nothing = [0] * (len(buckets.edges) - 1), 0, time.monotonic()
    counts, upto, begun = _charts.get(buckets.edges, nothing)
    if time.monotonic() - begun > COUNTED_SECONDS:
        counts, upto, begun = nothing
    last = reader.value("SELECT coalesce(max(id), 0) FROM events")
    rows = reader.rows(
        "SELECT width_bucket(timestamp, %s::timestamptz[]), count(*) FROM events"
        " WHERE event_type = 'turn_detected' AND retracted_at IS NULL"
        " AND timestamp >= %s AND timestamp < %s AND id > %s AND id <= %s GROUP BY 1",
        [list(buckets.edges), buckets.start, buckets.end, upto, last],
    )
    counts = [a + b for a, b in zip(counts, buckets.spread(rows), strict=True)]
    if len(_charts) > MOST_CHARTS:
        _charts.clear()
    # An event that is committed after one with a higher id is counted by the next recount.
    _charts[buckets.edges] = counts, last, begun
    return counts
