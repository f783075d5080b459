"""The size of the log: counts and estimates."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Select,
    cast,
    func,
    select,
    text,
)

from claude_headspace.events.taxonomy import TURN_DETECTED
from claude_headspace.store.queries import _ALL_TYPES, _MACHINES, NOT_RETRACTED
from claude_headspace.store.tables import (
    agents,
    checkpoints,
    dead_letters,
    events,
    projects,
)
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


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Events by type, and distinct turns; not `exact`: from the server's statistics."""

    by_type: Mapping[str, int]
    turns: int | None
    exact: bool


@dataclass(frozen=True, slots=True)
class Captured:
    """The contents of the log, of all machines; bytes and lines are of committed sources.

    `unknown_machines`: messages of programs of unknown kinds, by kind. `older_rules`: sources that
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
    unknown_machines: Mapping[str, int] = field(default_factory=dict)
    older_rules: int = 0


def captured(
    connection: Connection, *, exactly: bool = False, known_machines: Collection[str] = ()
) -> Captured:
    """The contents of the log. A large table is only counted with `exactly`: see EventCounts."""
    sessions, unended = connection.execute(
        select(func.count(), func.count().filter(agents.c.ended_at.is_(None))).select_from(agents)
    ).one()
    names = ("lines", "turns", "duplicates", "rescued")
    sums = [func.sum(cast(checkpoints.c.counts[name].astext, BigInteger)) for name in names]
    older = func.count().filter(checkpoints.c.rules < RULES)
    sources, older_rules, committed, *lines = connection.execute(
        select(func.count(), older, func.sum(checkpoints.c.committed_offset), *sums)
    ).one()
    machines = connection.execute(_MACHINES, {"known": list(known_machines)})
    return Captured(
        events=count_events(connection, exactly=exactly),
        sessions=sessions,
        open_sessions=unended,
        projects=connection.execute(select(func.count()).select_from(projects)).scalar_one(),
        sources=sources,
        committed_bytes=int(committed or 0),
        lines={name: int(value or 0) for name, value in zip(names, lines, strict=True)},
        dead_letters=connection.execute(_count_open_dead_letters()).scalar_one(),
        unknown_machines={row[0]: row[1] for row in machines},
        older_rules=older_rules,
    )


def count_events(connection: Connection, *, exactly: bool) -> EventCounts:
    """Events by type: counted while the table is small, else estimated if possible."""
    if not exactly and (connection.scalar(_SIZE) or 0) > COUNTED_BYTES:
        estimated = _estimate_events(connection)
        if estimated:
            return EventCounts(estimated, None, exact=False)
    rows = connection.execute(
        select(events.c.event_type, func.count()).where(NOT_RETRACTED).group_by(events.c.event_type)
    ).all()
    turns = connection.execute(
        select(func.count(events.c.event_key.distinct())).where(
            events.c.event_type == TURN_DETECTED, NOT_RETRACTED
        )
    ).scalar_one()
    return EventCounts({row[0]: row[1] for row in sorted(rows)}, turns, exact=True)


def _estimate_events(connection: Connection) -> dict[str, int]:
    """Estimates from the server's statistics; types too rare for them are counted quickly."""
    common = {row[0]: row[1] for row in connection.execute(_COMMON_TYPES)}
    if not common:
        return {}
    rare = set(connection.execute(_ALL_TYPES).scalars()) - common.keys()
    counted = select(events.c.event_type, func.count()).group_by(events.c.event_type)
    rows = connection.execute(counted.where(events.c.event_type.in_(rare))).all() if rare else ()
    return dict(sorted({**common, **{row[0]: row[1] for row in rows}}.items()))


def _count_open_dead_letters() -> Select[Any]:
    return (
        select(func.count()).select_from(dead_letters).where(dead_letters.c.resolved_at.is_(None))
    )
