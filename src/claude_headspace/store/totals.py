"""The size of the log: counts and estimates."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection, text

from claude_headspace.store.queries import types_in
from claude_headspace.transcripts.checkpoint import RULES

COUNTED_BYTES = 64 * 1024 * 1024
# The table itself, or the parts of a partitioned one.
_PARTS = (
    "(SELECT relid FROM pg_partition_tree('events') WHERE isleaf"
    " UNION SELECT 'events'::regclass) parts"
)
_SIZE = text(f"SELECT sum(pg_relation_size(relid))::bigint FROM {_PARTS}")  # noqa: S608
_COMMON_TYPES = text(
    f"SELECT v.type, sum(c.reltuples * v.share)::bigint FROM {_PARTS}"  # noqa: S608
    " JOIN pg_class c ON c.oid = relid JOIN pg_namespace n ON n.oid = c.relnamespace"
    " JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname,"
    " unnest(s.most_common_vals::text::text[], s.most_common_freqs) AS v(type, share)"
    " WHERE c.relkind = 'r' AND s.attname = 'event_type' AND c.reltuples > 0 GROUP BY 1"
)
_COUNT = text("SELECT event_type, count(*) FROM events WHERE retracted_at IS NULL GROUP BY 1")
_COUNT_RARE = text(
    "SELECT event_type, count(*) FROM events WHERE event_type = ANY (:types) GROUP BY 1"
)
_COUNT_TURNS = text(
    "SELECT count(DISTINCT event_key) FROM events"
    " WHERE event_type = 'turn_detected' AND retracted_at IS NULL"
)
_TOTALS = text("""
SELECT count(*) AS sources, coalesce(sum(committed_offset), 0)::bigint AS committed_bytes,
    count(*) FILTER (WHERE rules < :rules) AS older_rules,
    json_build_object('lines', coalesce(sum((counts ->> 'lines')::bigint), 0),
        'turns', coalesce(sum((counts ->> 'turns')::bigint), 0),
        'duplicates', coalesce(sum((counts ->> 'duplicates')::bigint), 0),
        'rescued', coalesce(sum((counts ->> 'rescued')::bigint), 0)) AS lines,
    (SELECT count(*) FROM agents) AS sessions,
    (SELECT count(*) FROM agents WHERE ended_at IS NULL) AS open_sessions,
    (SELECT count(*) FROM projects) AS projects,
    (SELECT count(*) FROM dead_letters WHERE resolved_at IS NULL) AS dead_letters
FROM checkpoints
""")
_PROGRAMS = text("""
SELECT substring(kind FROM 'machine:(.*)'), sum(number::bigint)::bigint
FROM checkpoints, jsonb_each_text(counts -> 'other') AS other (kind, number)
WHERE kind LIKE '%/machine:%' AND NOT split_part(kind, '/', 2) = ANY (:known)
GROUP BY 1 ORDER BY 1
""")


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Events by type, and distinct turns; not `exact`: from the server's statistics."""

    by_type: Mapping[str, int]
    turns: int | None
    exact: bool


@dataclass(frozen=True, slots=True)
class Captured:
    """The contents of the log, of all machines; bytes and lines are of committed sources.

    `unknown_programs`: messages of programs of unknown kinds, by kind. `older_rules`: sources that
    were read by the rules of an earlier version.
    """

    events: EventCounts
    sessions: int
    open_sessions: int
    projects: int
    sources: int
    committed_bytes: int
    lines: Mapping[str, int] = field(default_factory=dict)
    dead_letters: int = 0
    unknown_programs: Mapping[str, int] = field(default_factory=dict)
    older_rules: int = 0


def captured(
    connection: Connection, *, exactly: bool = False, known_programs: Collection[str] = ()
) -> Captured:
    """The contents of the log. A large table is only counted with `exactly`: see EventCounts."""
    programs = connection.execute(_PROGRAMS, {"known": list(known_programs)})
    return Captured(
        events=count_events(connection, exactly=exactly),
        unknown_programs={row[0]: row[1] for row in programs},
        **connection.execute(_TOTALS, {"rules": RULES}).mappings().one(),
    )


def count_events(connection: Connection, *, exactly: bool) -> EventCounts:
    """Events by type: counted while the table is small, else estimated if possible."""
    if not exactly and (connection.scalar(_SIZE) or 0) > COUNTED_BYTES:
        estimated = _estimate_events(connection)
        if estimated:
            return EventCounts(estimated, None, exact=False)
    rows = connection.execute(_COUNT).all()
    turns = connection.scalar(_COUNT_TURNS)
    return EventCounts({row[0]: row[1] for row in sorted(rows)}, turns, exact=True)


def _estimate_events(connection: Connection) -> dict[str, int]:
    """Estimates from the server's statistics; types too rare for them are counted quickly."""
    common = {row[0]: row[1] for row in connection.execute(_COMMON_TYPES)}
    if not common:
        return {}
    rare = set(types_in(connection)) - common.keys()
    rows = connection.execute(_COUNT_RARE, {"types": list(rare)}).all() if rare else ()
    return dict(sorted({**common, **{row[0]: row[1] for row in rows}}.items()))
