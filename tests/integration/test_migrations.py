from __future__ import annotations

from collections.abc import Iterator

import psycopg2
import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from claude_headspace.store import migrations
from claude_headspace.store.engine import make_engine
from claude_headspace.store.tables import metadata
from claude_headspace.store.version import SCHEMA_VERSION
from harness import Log

SESSION = "11111111-2222-4333-8444-555555555555"


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    engine = make_engine(database_url)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


@pytest.fixture
def log(database_url: str) -> Log:
    log = Log(database_url)
    log.rows(
        "INSERT INTO projects (machine, path) VALUES (md5('h')::uuid, '/p');"
        f"INSERT INTO agents (session_uuid, project_id, working_directory)"
        f" VALUES ('{SESSION}', 1, '/p');"
        "INSERT INTO commands (agent_id) VALUES (1);"
        "INSERT INTO turns (command_id, actor, intent, text, timestamp)"
        " VALUES (1, 'user', 'command', 'x', now());"
        "INSERT INTO events (timestamp, event_type, payload, project_id, agent_id, command_id,"
        f" turn_id, session_uuid, event_key) VALUES (now(), 't', '{{}}', 1, 1, 1, 1, '{SESSION}',"
        " gen_random_uuid())"
    )
    return log


def test_the_tables_are_what_the_migrations_make(connection: Connection) -> None:
    def is_described(name: str | None, kind: str, _: object) -> bool:
        return kind != "table" or name in metadata.tables

    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "compare_server_default": True,
            "include_name": is_described,
        },
    )
    assert compare_metadata(context, metadata) == []


def test_checks_are_what_the_tables_declare(connection: Connection) -> None:
    live = {row[0] for row in connection.execute(text(
        "SELECT conname FROM pg_constraint WHERE contype = 'c'"
        " AND conrelid = ANY (CAST(:tables AS regclass[]))"),
        {"tables": list(metadata.tables)})}  # fmt: skip
    declared = {
        str(constraint.name)
        for table in metadata.tables.values()
        for constraint in table.constraints
        if type(constraint).__name__ == "CheckConstraint"
    }
    assert live == declared


def test_the_program_knows_the_newest_version(connection: Connection) -> None:
    assert connection.scalar(text("SELECT version_num FROM alembic_version")) == SCHEMA_VERSION
    assert connection.scalar(text("SELECT prokind FROM pg_proc WHERE proname = 'write_events'"))


def test_up_again_changes_nothing_and_down_takes_all_back(empty_database_url: str) -> None:
    log = Log(empty_database_url)
    everything = "SELECT count(*) FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    migrations.upgrade(empty_database_url)
    made = log.value(everything)
    migrations.upgrade(empty_database_url)
    assert log.value(everything) == made > 20
    engine = make_engine(empty_database_url)
    with engine.begin() as opened:
        command.downgrade(migrations.alembic_config(opened), "base")
    engine.dispose()
    left = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
    assert log.rows(left) == [("alembic_version",), ("alembic_version_pkc",)]
    assert log.value("SELECT count(*) FROM pg_proc WHERE proname = 'write_events'") == 0
    migrations.upgrade(empty_database_url)
    assert log.value(everything) == made


@pytest.mark.parametrize(("deleted", "left"), [
    ("turns", (1, 1, 1, None)), ("commands", (1, 1, None, None)),
    ("agents", (1, None, None, None)), ("projects", (None, None, None, None)),
])  # fmt: skip
def test_deleting_cascades_and_the_event_stays(
    log: Log, deleted: str, left: tuple[int | None, ...]
) -> None:
    log.rows(f"DELETE FROM {deleted}")
    assert log.rows("SELECT project_id, agent_id, command_id, turn_id FROM events") == [left]
    order = ["projects", "agents", "commands", "turns"]
    for table in order[order.index(deleted) :]:
        assert log.value(f"SELECT count(*) FROM {table}") == 0
    for table in order[: order.index(deleted)]:
        assert log.value(f"SELECT count(*) FROM {table}") == 1


@pytest.mark.parametrize(("table", "column", "good"), [
    ("commands", "state", ["idle", "commanded", "processing", "awaiting_input", "complete"]),
    ("turns", "actor", ["user", "agent"]),
    ("turns", "intent", ["command", "answer", "question", "completion", "progress"]),
])  # fmt: skip
def test_the_database_checks_choices(log: Log, table: str, column: str, good: list[str]) -> None:
    for value in good:
        log.rows(f"UPDATE {table} SET {column} = %s", (value,))
    for value in ("", "nonsense", good[0].upper()):
        with pytest.raises(psycopg2.errors.CheckViolation):
            log.rows(f"UPDATE {table} SET {column} = %s", (value,))
    with pytest.raises(psycopg2.errors.NotNullViolation):
        log.rows(f"UPDATE {table} SET {column} = NULL")


@pytest.mark.parametrize("statement", [
    "INSERT INTO projects (machine, path) SELECT machine, path FROM projects",
    "INSERT INTO agents (session_uuid, project_id, working_directory)\
     SELECT session_uuid, project_id, '' FROM agents",
    "INSERT INTO events (timestamp, event_type, payload, session_uuid, event_key)\
     SELECT now(), 't', '{}', session_uuid, event_key FROM events",
    "INSERT INTO checkpoints (machine, path) VALUES (md5('h')::uuid, 'p'), (md5('h')::uuid, 'p')",
])  # fmt: skip
def test_identities_are_unique(log: Log, statement: str) -> None:
    with pytest.raises(psycopg2.errors.UniqueViolation):
        log.rows(statement)
