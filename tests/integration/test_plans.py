"""Which indexes Postgres uses for what is asked of the log, and that each index is used."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from psycopg2.extensions import connection
from psycopg2.extras import Json
from sqlalchemy import Select
from sqlalchemy.dialects.postgresql.psycopg2 import PGDialect_psycopg2

from benchmarks.large_log import fill
from claude_headspace.store.queries import (
    EventFilter,
    events_between,
    newest_events,
)
from servers import PostgresServer

ROWS = 200_000
ROWS_A_SESSION = 40
SOURCES = 5_000
OPEN_SESSIONS = 20
COMMANDS = 200

KEY = "00000000-0000-0000-0000-000000000001"
MACHINE = "md5('benchmark')::uuid"
LAST_DAY = datetime(2025, 12, 31, tzinfo=UTC)

# The partial indexes are for the few rows that have what they are about.
_REST = f"""
INSERT INTO checkpoints (machine, path, inode, device, rules)
SELECT {MACHINE}, '/home/u/' || n || '.jsonl', n, 1, 2 FROM generate_series(1, {SOURCES}) n;
UPDATE agents SET ended_at = NULL WHERE id <= {OPEN_SESSIONS};
INSERT INTO commands (agent_id) SELECT n FROM generate_series(1, {COMMANDS}) n;
INSERT INTO turns (command_id, actor, intent, text, timestamp)
SELECT n, 'user', 'command', '', now() FROM generate_series(1, {COMMANDS}) n;
UPDATE events SET command_id = 1 + id % {COMMANDS}, turn_id = 1 + id % {COMMANDS}
WHERE id <= 10 * {COMMANDS};
"""

# What the readers ask, and the index that serves it.
READERS: dict[str, tuple[Select[Any], str]] = {
    "one session": (newest_events(EventFilter(agent_id=700), 50), "ix_events_agent_id_id"),
    "one session, all of it": (
        newest_events(EventFilter(agent_id=700), None),
        "ix_events_agent_id_id",
    ),
    "the newest": (newest_events(EventFilter(), 50), "ix_events_timestamp"),
    "the newest turns": (
        newest_events(EventFilter(event_type="turn_detected"), 50),
        "ix_events_event_type_timestamp",
    ),
    "a rare type": (
        newest_events(EventFilter(event_type="state_transition", since=LAST_DAY), None),
        "ix_events_event_type_timestamp",
    ),
    "one project": (
        newest_events(EventFilter(project_ids=(7,)), 50),
        "ix_events_project_id_timestamp",
    ),
    "one project's last day": (
        newest_events(EventFilter(project_ids=(7,), since=LAST_DAY), None),
        "ix_events_project_id_timestamp",
    ),
    "what came after an id": (
        events_between(EventFilter(), ROWS - 500, ROWS),
        "pk_events",
    ),
}

# What the page and the writing side ask.
WRITERS: dict[str, tuple[str, str]] = {
    "sessions, the newest line first": (
        "SELECT * FROM agents ORDER BY last_seen_at DESC, id DESC LIMIT 51",
        "ix_agents_last_seen_at_id",
    ),
    "a project's sessions": (
        "SELECT * FROM agents a WHERE a.project_id = ANY ('{7}')",
        "ix_agents_project_id",
    ),
    "a session's sources": (
        f"SELECT * FROM checkpoints WHERE sessions @> ARRAY['{KEY}'::uuid]",
        "ix_checkpoints_sessions",
    ),
    "an event's identity": (
        f"SELECT id FROM events WHERE event_key = '{KEY}' AND session_uuid = '{KEY}'",
        "uq_events_event_key_session_uuid",
    ),
    "copies of a turn": (
        f"SELECT FROM events WHERE event_key = '{KEY}' AND session_uuid <> '{KEY}'",
        "uq_events_event_key_session_uuid",
    ),
    "a session": (
        f"SELECT * FROM agents WHERE session_uuid = '{KEY}'",
        "uq_agents_session_uuid",
    ),
    "sessions that fell silent": (
        """SELECT * FROM agents WHERE ended_at IS NULL AND last_seen_at < '2025-12-31'
        ORDER BY last_seen_at LIMIT 10""",
        "ix_agents_open",
    ),
    "a session whose copies are to be looked into": (
        "SELECT session_uuid FROM agents WHERE copies = 'due' ORDER BY id LIMIT 1",
        "ix_agents_copies_due",
    ),
    "a source to be read again": (
        f"SELECT * FROM checkpoints WHERE machine = {MACHINE} AND rules < 2",
        "ix_checkpoints_rules",
    ),
    "a checkpoint": (
        f"SELECT * FROM checkpoints WHERE machine = {MACHINE} AND path = '/home/u/7.jsonl'",
        "uq_checkpoints_machine_path",
    ),
    "a renamed file": (
        f"SELECT * FROM checkpoints WHERE machine = {MACHINE} AND inode = 7 AND device = 1",
        "ix_checkpoints_inode",
    ),
    "storing a checkpoint": (
        "UPDATE checkpoints SET committed_offset = 1 WHERE id = 7",
        "pk_checkpoints",
    ),
    "storing a session": ("UPDATE agents SET announced = true WHERE id = 7", "pk_agents"),
    "a command that goes": (
        "UPDATE events SET command_id = NULL WHERE command_id = 7",
        "ix_events_command_id",
    ),
    "a turn that goes": (
        "UPDATE events SET turn_id = NULL WHERE turn_id = 7",
        "ix_events_turn_id",
    ),
}

Plan = dict[str, Any]


@pytest.fixture(scope="module")
def large_log(postgres_server: PostgresServer, schema_template: str) -> Iterator[connection]:
    """A connection to a log with a few hundred thousand events; nothing in it is changed."""
    with postgres_server.database(schema_template) as url, closing(psycopg2.connect(url)) as conn:
        conn.autocommit = True
        with conn.cursor() as cursor:

            def run(statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
                cursor.execute(statement, parameters)
                return [] if cursor.description is None else cursor.fetchall()

            fill(run, ROWS, ROWS_A_SESSION)
            run(_REST)
            run("VACUUM (ANALYZE)")
        yield conn


@pytest.mark.parametrize("name", READERS)
def test_readers_questions_are_served_by_an_index(large_log: connection, name: str) -> None:
    query, index = READERS[name]
    nodes = list(_nodes(_plan(large_log, *_rendered(query))))
    assert index in _indexes(nodes), nodes
    assert not _scanned_whole(nodes), nodes


@pytest.mark.parametrize("name", [name for name in READERS if name.startswith("the newest")])
def test_a_page_reads_no_more_than_a_page(large_log: connection, name: str) -> None:
    query, _ = READERS[name]
    nodes = _nodes(_plan(large_log, *_rendered(query), options="ANALYZE, "))
    read = [node["Actual Rows"] for node in nodes if node.get("Relation Name") == "events"]
    assert read
    assert max(read) <= 100


@pytest.mark.parametrize("name", WRITERS)
def test_the_writers_questions_are_served_by_an_index(large_log: connection, name: str) -> None:
    statement, index = WRITERS[name]
    nodes = list(_nodes(_plan(large_log, statement)))
    assert index in _indexes(nodes), nodes
    assert not _scanned_whole(nodes), nodes


@pytest.mark.parametrize("table", ["events", "agents", "checkpoints"])
def test_each_index_earns_its_cost(large_log: connection, table: str) -> None:
    with large_log.cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE tablename = %s", (table,))
        there = {row[0] for row in cursor.fetchall()}
    assert there
    served = {index for _, index in READERS.values()} | {index for _, index in WRITERS.values()}
    assert there <= served


def test_a_day_of_one_project_reads_only_that(large_log: connection) -> None:
    query, _ = READERS["one project's last day"]
    nodes = list(_nodes(_plan(large_log, *_rendered(query), options="ANALYZE, ")))
    (scan,) = [node for node in nodes if node.get("Relation Name") == "events"]
    assert scan.get("Rows Removed by Filter", 0) == 0
    assert 0 < scan["Actual Rows"] <= timedelta(days=1).total_seconds() / 6


def _rendered(query: Select[Any]) -> tuple[str, Any]:
    compiled = query.compile(
        dialect=PGDialect_psycopg2(),  # type: ignore[no-untyped-call]
        compile_kwargs={"render_postcompile": True},
    )
    parameters = {name: _adapted(value) for name, value in compiled.params.items()}
    return str(compiled), parameters


def _adapted(value: Any) -> Any:
    if isinstance(value, UUID):
        return str(value)
    return Json(value) if isinstance(value, dict) else value


def _plan(log: connection, statement: str, parameters: Any = None, options: str = "") -> Plan:
    with log.cursor() as cursor:
        cursor.execute(f"EXPLAIN ({options}FORMAT JSON) {statement}", parameters)
        ((found,),) = cursor.fetchall()
    plan: Plan = found[0]["Plan"]
    return plan


def _nodes(plan: Plan) -> Iterator[Plan]:
    children = plan.get("Plans", [])
    yield {name: value for name, value in plan.items() if name != "Plans"}
    for child in children:
        yield from _nodes(child)


def _indexes(nodes: list[Plan]) -> set[str]:
    return {node["Index Name"] for node in nodes if "Index Name" in node}


def _scanned_whole(nodes: list[Plan]) -> list[str]:
    """Tables that are read from end to end; projects and machines are few."""
    scans = [node["Relation Name"] for node in nodes if node["Node Type"] == "Seq Scan"]
    return [table for table in scans if table not in ("projects", "machines")]
