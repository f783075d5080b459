"""Sessions counted: by state, project and host, and their turns over time."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from claude_headspace.read.buckets import Buckets
from claude_headspace.read.connection import Reader
from claude_headspace.read.facts import facts_of
from claude_headspace.read.sessions import FROM, SessionQuestion, conditions_of
from claude_headspace.read.state import derive_state


def count_sessions(
    reader: Reader, asked: SessionQuestion, now: datetime
) -> tuple[int, Mapping[str, Mapping[str, int]]]:
    """How many there are, and by facet; a facet counts without its own filter."""
    conditions, values = conditions_of(reader, asked, now)
    count = reader.value(f"SELECT count(*){FROM} WHERE {' AND '.join(conditions)}", values)
    facets = {
        "project": _by(reader, "p.path", replace(asked, project=()), now),
        "host": _by(reader, "p.host", replace(asked, host=()), now),
        "state": _by_state(reader, replace(asked, state=()), now),
    }
    return count, facets


def _by(reader: Reader, column: str, asked: SessionQuestion, now: datetime) -> dict[str, int]:
    conditions, values = conditions_of(reader, asked, now)
    rows = reader.rows(
        f"SELECT {column}, count(*){FROM} WHERE {' AND '.join(conditions)}"
        " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 12",
        values,
    )
    return {row[0]: row[1] for row in rows}


def _by_state(reader: Reader, asked: SessionQuestion, now: datetime) -> dict[str, int]:
    conditions, values = conditions_of(reader, asked, now)
    rows = reader.rows(
        f"SELECT a.id, a.ended_at IS NOT NULL{FROM} WHERE {' AND '.join(conditions)}", values
    )
    known = facts_of(reader, [row[0] for row in rows if not row[1]])
    counts = dict.fromkeys(("needs", "turn", "work", "stalled"), 0)
    for facts in known.values():
        counts[derive_state(facts, now).kind] += 1
    return {**counts, "ended": sum(row[1] for row in rows)}


def turns_in(reader: Reader, buckets: Buckets) -> list[int]:
    """Turns in each part of a stretch of time; counted again after some seconds."""
    counted = _turns.get(buckets.edges)
    if counted is None or time.monotonic() - counted[0] > COUNTED_SECONDS:
        rows = reader.rows(
            "SELECT width_bucket(timestamp, %s::timestamptz[]), count(*) FROM events"
            " WHERE event_type = 'turn_detected' AND retracted_at IS NULL"
            " AND timestamp >= %s AND timestamp < %s GROUP BY 1",
            [list(buckets.edges), buckets.start, buckets.end],
        )
        if len(_turns) > MOST_CHARTS:
            _turns.clear()
        counted = _turns[buckets.edges] = time.monotonic(), buckets.spread(rows)
    return counted[1]


COUNTED_SECONDS = 20.0
MOST_CHARTS = 50
_turns: dict[tuple[datetime, ...], tuple[float, list[int]]] = {}
