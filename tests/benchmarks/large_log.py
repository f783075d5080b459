"""A log as years of work leave it, made in the database in minutes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

PROJECTS = 100
ROWS_A_SESSION = 1_000
SIDE_BY_SIDE = 4
SECONDS_A_ROW = 6
FILL_SLICE = 1_000_000

Run = Callable[..., list[tuple[Any, ...]]]

# A few sessions run side by side and make room for the next ones, through the years. The keys are
# random, as those of lines are.
_FILL = """
INSERT INTO events (timestamp, event_type, payload, project_id, agent_id, session_uuid, event_key,
                    source_id, source_offset, recorded_at)
SELECT moment, kind,
       jsonb_build_object('session_uuid', session, 'actor', 'agent', 'source', 'polling',
           'text', repeat('lorem ipsum ', (n * 7919 %% 61)::int), 'turn_timestamp', moment,
           'line_uuid', key, 'message_id', 'msg_' || n),
       1 + agent %% %(projects)s, agent, session, key, agent, n / %(side)s * 4000, moment
FROM (SELECT n, 1 + n / (%(side)s * %(length)s) * %(side)s + n %% %(side)s AS agent FROM
      generate_series(%(first)s::bigint, %(last)s::bigint) n) numbered,
LATERAL (SELECT md5('session ' || agent)::uuid AS session, gen_random_uuid() AS key,
                timestamptz '2026-01-01' - (%(rows)s - n) * %(pace)s * interval '1 second'
                    AS moment,
                CASE WHEN n %% 100 < 93 THEN 'turn_detected' WHEN n %% 100 < 98 THEN 'hook_received'
                     WHEN n %% 100 < 99 THEN 'state_transition' ELSE 'session_registered' END
                    AS kind) made
"""
_PROJECTS = """
INSERT INTO projects (machine, path)
SELECT md5('benchmark')::uuid, '/home/u/project-' || n FROM generate_series(1, %(projects)s) n
"""
_SESSIONS = """
INSERT INTO agents (session_uuid, project_id, working_directory, announced, started_at,
                    last_seen_at, ended_at, end_reason)
SELECT md5('session ' || n)::uuid, 1 + n %% %(projects)s, '/home/u', true, now(),
       timestamptz '2026-01-01' - (%(sessions)s - n) * interval '1 hour', now(), 'timeout'
FROM generate_series(1, %(sessions)s) n
"""


def fill(run: Run, rows: int, rows_a_session: int = ROWS_A_SESSION) -> None:
    """So many events in an empty log, with the sessions and projects that they belong to.

    `run(statement, parameters)` runs one statement by itself. References are not checked and the
    indexes are made at the end: that is many times quicker.
    """
    sessions = (rows // rows_a_session // SIDE_BY_SIDE + 1) * SIDE_BY_SIDE
    run(_PROJECTS, {"projects": PROJECTS})
    run(_SESSIONS, {"projects": PROJECTS, "sessions": sessions})
    indexes = _take_indexes_off(run)
    run("ALTER TABLE events DISABLE TRIGGER ALL")
    for first in range(0, rows, FILL_SLICE):
        run(_FILL, {
            "first": first, "last": min(first + FILL_SLICE, rows) - 1, "rows": rows,
            "projects": PROJECTS, "side": SIDE_BY_SIDE, "length": rows_a_session,
            "pace": SECONDS_A_ROW,
        })  # fmt: skip
    for statement in indexes:
        run(f"SET maintenance_work_mem = '512MB'; {statement}")
    run("ALTER TABLE events ENABLE TRIGGER ALL")
    for table in ("events", "agents", "projects"):
        run(f"VACUUM (ANALYZE) {table}")


def _take_indexes_off(run: Run) -> list[str]:
    """Drop all indexes of the events; returns the statements that make them again."""
    constraints = run(
        "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        " WHERE conrelid = 'events'::regclass AND contype IN ('p', 'u')"
    )
    for name, _ in constraints:
        run(f"ALTER TABLE events DROP CONSTRAINT {name}")
    indexes = run("SELECT indexname, indexdef FROM pg_indexes WHERE tablename = 'events'")
    for name, _ in indexes:
        run(f"DROP INDEX {name}")
    again = [f"ALTER TABLE events ADD CONSTRAINT {name} {what}" for name, what in constraints]
    return again + [definition for _, definition in indexes]
