"""What readers ask: right answers, by the indexes, and following without loss or repetition."""

from __future__ import annotations

import select as sockets
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from sqlalchemy import Connection, Select, text

from claude_headspace.cli.naming import project_ids, project_paths
from claude_headspace.errors import SelectionError
from claude_headspace.read.connection import Reader
from claude_headspace.read.selection import SessionNamed, find_session
from claude_headspace.read.session_facts import count_turns
from claude_headspace.store.connection import Database
from claude_headspace.store.engine import reading
from claude_headspace.store.queries import (
    EventFilter,
    events_between,
    hooks_seen,
    newest_dead_letters,
    newest_events,
)
from claude_headspace.store.requests import ask_for
from claude_headspace.store.sessions import REGISTRATION_CHANNEL
from claude_headspace.store.totals import captured, count_events
from servers import PostgresServer

MANY = 200_000
OLD = 10_000
SESSIONS = 400
PAGE = 50
MACHINE = "11111111-0000-4000-8000-000000000001"
ENOUGH_SECONDS = 30.0
START = datetime(2026, 1, 1, tzinfo=UTC)

# Sessions 1 … 400 in projects 1 … 20, interleaved; every tenth event is no turn. The first 10,000
# events are of a project and a type that nothing came of since.
GENERATE = f"""
INSERT INTO projects (machine, path) SELECT md5('h')::uuid, '/home/me/work/project-' || n
  FROM generate_series(1, 21) n;
INSERT INTO agents (session_uuid, project_id, working_directory, last_seen_at)
  SELECT md5(n::text)::uuid, n % 20 + 1, '/x', '2026-01-01'::timestamptz + n * interval '1 s'
  FROM generate_series(1, {SESSIONS}) n;
INSERT INTO events (timestamp, event_type, payload, project_id, agent_id, session_uuid, event_key)
  SELECT '2026-01-01'::timestamptz + n * interval '1 s',
    CASE WHEN n = 11 THEN 'rare' WHEN n % 10 > 0 THEN 'turn_detected'
      WHEN n > {OLD} THEN 'hook_received' ELSE 'old_type' END,
    jsonb_build_object('hook_type', 'Stop', 'text', repeat('x', 100)),
    CASE WHEN n > {OLD} THEN n % {SESSIONS} % 20 + 1 ELSE 21 END, n % {SESSIONS} + 1,
    md5((n % {SESSIONS} + 1)::text)::uuid,
    md5('key' || n)::uuid
  FROM generate_series(1, {MANY}) n;
ANALYZE;
"""


@pytest.fixture(scope="module")
def large_log(postgres_server: PostgresServer, schema_template: str) -> Iterator[str]:
    with postgres_server.database(schema_template) as url:
        execute(url, GENERATE)
        yield url


def execute(url: str, statements: str) -> None:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statements)
    finally:
        connection.close()


def add_agent(url: str, session: UUID, project: str = "/home/me/work/one") -> None:
    execute(
        url,
        f"INSERT INTO projects (machine, path) VALUES (md5('h')::uuid, '{project}')"
        " ON CONFLICT DO NOTHING;"
        " INSERT INTO agents (session_uuid, project_id, working_directory, last_seen_at)"
        f" SELECT '{session}', id, path, now() FROM projects WHERE path = '{project}'",
    )


def insert_event(session: UUID, key: UUID, kind: str = "turn_detected") -> str:
    return (
        "INSERT INTO events (timestamp, event_type, payload, agent_id, session_uuid, event_key)"
        f" SELECT now(), '{kind}', '{{}}', a.id, '{session}', '{key}' FROM (SELECT 1) one"
        f" LEFT JOIN agents a ON a.session_uuid = '{session}'"
    )


def plan(connection: Connection, statement: Select[Any]) -> list[dict[str, Any]]:
    compiled = statement.compile(connection, compile_kwargs={"literal_binds": True})
    explained = connection.execute(
        text(
            "EXPLAIN (ANALYZE, FORMAT JSON) " + str(compiled).replace("%%", "%").replace(":", r"\:")
        )
    ).scalar_one()
    nodes: list[dict[str, Any]] = []
    pending = [explained[0]["Plan"]]
    while pending:
        node = pending.pop()
        nodes.append(node)
        pending += node.get("Plans", [])
    return nodes


RECENT = START + timedelta(seconds=MANY - 3600)
PAGES: dict[str, tuple[Select[Any], int]] = {
    "all": (newest_events(EventFilter(), PAGE), PAGE),
    "since": (newest_events(EventFilter(since=RECENT), PAGE), PAGE),
    "since nothing": (newest_events(EventFilter(since=START + timedelta(days=900)), PAGE), 0),
    "session": (newest_events(EventFilter(agent_id=7), PAGE), PAGE),
    "session since": (newest_events(EventFilter(agent_id=7, since=RECENT), PAGE), 9),
    "project": (newest_events(EventFilter(project_ids=(3,)), PAGE), PAGE),
    "project since": (newest_events(EventFilter(project_ids=(3,), since=RECENT), PAGE), PAGE),
    "old project": (newest_events(EventFilter(project_ids=(21,)), PAGE), PAGE),
    "old type": (newest_events(EventFilter(event_type="old_type"), PAGE), PAGE),
    "type": (newest_events(EventFilter(event_type="hook_received"), PAGE), PAGE),
    "no such type": (newest_events(EventFilter(event_type="nothing"), PAGE), 0),
    "up to": (newest_events(EventFilter(), PAGE, last_id=MANY - 20), PAGE),
    "after": (events_between(EventFilter(), MANY - 20, MANY - 1), 19),
    "after, session": (events_between(EventFilter(agent_id=7), MANY - 800, MANY), 2),
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_reads_little_of_a_large_table(large_log: str, name: str) -> None:
    statement, expected = PAGES[name]
    with reading(large_log) as connection:
        nodes = plan(connection, statement)
    assert nodes[0]["Actual Rows"] == expected
    of_events = [node for node in nodes if node.get("Relation Name") == "events"]
    assert of_events
    for node in of_events:
        touched = node["Actual Rows"] + node.get("Rows Removed by Filter", 0)
        assert "Index" in node["Node Type"] or "Bitmap" in node["Node Type"], node
        assert touched <= 200, node


def test_the_newest_come_last(large_log: str) -> None:
    with reading(large_log) as connection:
        rows = connection.execute(newest_events(EventFilter(), 3)).mappings().all()
        session = connection.execute(newest_events(EventFilter(agent_id=7), 2)).mappings().all()
        all_of_it = connection.execute(newest_events(EventFilter(agent_id=7), None)).all()
    assert [row["id"] for row in rows] == [MANY - 2, MANY - 1, MANY]
    assert rows[0]["project"] == "/home/me/work/project-19"
    assert [row["agent_id"] for row in session] == [7, 7]
    assert session[0]["id"] + SESSIONS == session[1]["id"]
    assert len(all_of_it) == MANY // SESSIONS


def test_a_large_log_is_estimated_and_a_small_one_counted(
    large_log: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_headspace.store.totals.COUNTED_BYTES", 1_000_000)
    with reading(large_log) as connection:
        estimated = count_events(connection, exactly=False)
        counted = count_events(connection, exactly=True)
    turns = MANY * 9 // 10 - 1
    assert counted.exact
    assert counted.by_type == {
        "hook_received": (MANY - OLD) // 10,
        "old_type": OLD // 10,
        "rare": 1,
        "turn_detected": turns,
    }
    assert counted.turns == turns
    assert not estimated.exact
    assert estimated.by_type.keys() == counted.by_type.keys()
    for kind, number in counted.by_type.items():
        assert estimated.by_type[kind] == pytest.approx(number, rel=0.3, abs=30)


def asking(url: str) -> Reader:
    """What the page and the commands ask with."""
    return Reader(Database(lambda: url, application_name="test"))


def test_a_turn_in_two_sessions_counts_once(database_url: str) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    shared, own = uuid.uuid4(), uuid.uuid4()
    for session in (first, second):
        add_agent(database_url, session)
        execute(database_url, insert_event(session, shared))
    execute(database_url, insert_event(second, own))
    with reading(database_url) as connection:
        held = captured(connection)
    assert count_turns(asking(database_url), [1, 2]) == ({1: 1, 2: 2}, 2)
    assert (held.events.turns, held.events.by_type) == (2, {"turn_detected": 3})
    assert (held.sessions, held.open_sessions, held.projects) == (2, 2, 1)


def test_an_empty_log_holds_nothing(database_url: str) -> None:
    with reading(database_url) as connection:
        held = captured(connection)
    assert (held.events.turns, held.events.by_type, held.committed_bytes) == (0, {}, 0)
    assert held.lines == {"lines": 0, "turns": 0, "duplicates": 0, "rescued": 0}


def test_sessions_are_found_by_their_beginning(database_url: str) -> None:
    one = UUID("aaaa0000-0000-4000-8000-000000000001")
    other = UUID("aaab0000-0000-4000-8000-000000000002")
    for session in (one, other):
        add_agent(database_url, session)
    unknown = uuid.uuid4()
    reader = asking(database_url)
    assert find_session(reader, "AAAA").uuid == str(one)
    assert find_session(reader, str(other)).agent_id == 2
    assert find_session(reader, str(unknown)) == SessionNamed(str(unknown), None)
    for name, problem in (("aaa", "more than one"), ("b", "has no"), ("x", "not a session")):
        with pytest.raises(SelectionError, match=problem):
            find_session(reader, name)


def test_events_of_a_session_without_rows_are_found(database_url: str) -> None:
    session = uuid.uuid4()
    execute(database_url, insert_event(session, uuid.uuid4()))
    execute(database_url, insert_event(uuid.uuid4(), uuid.uuid4()))
    with reading(database_url) as connection:
        wanted = EventFilter(session=session)
        assert len(connection.execute(newest_events(wanted, 9)).all()) == 1


def test_projects_are_found_by_path_or_tail(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here, nested = str(tmp_path), str(tmp_path / "deep" / "app")
    for path in (here, nested, "/srv/my_app", "/srv/myxapp", "/srv/other/app"):
        add_agent(database_url, uuid.uuid4(), path)
    execute(
        database_url, f"INSERT INTO projects (machine, path) VALUES (gen_random_uuid(), '{here}')"
    )
    reader = asking(database_url)
    assert project_ids(reader, "deep/app") == (2,)
    assert project_ids(reader, "my_app") == (3,)
    assert project_ids(reader, "/srv/other/app") == (5,)
    assert len(project_ids(reader, ".")) == 2
    assert project_ids(reader, None) == ()
    with pytest.raises(SelectionError, match=r"more than one .*deep/app"):
        project_ids(reader, "app")
    with pytest.raises(SelectionError, match="has no"):
        project_ids(reader, "pp")
    assert set(project_paths(reader, "app")) == {nested, "/srv/other/app"}
    assert project_paths(reader, "deep/app") == (nested,)
    with pytest.raises(SelectionError, match="has no"):
        project_paths(reader, "pp")


def test_asking_for_a_session_wakes_the_watcher_and_counts_changes(database_url: str) -> None:
    session = uuid.uuid4()
    listener = psycopg2.connect(database_url)
    listener.autocommit = True
    listener.cursor().execute(f"LISTEN {REGISTRATION_CHANNEL}")
    asked = [(True, "/p"), (True, None), (False, None), (False, None), (True, "/q")]
    try:
        with reading(database_url) as connection:
            changes = [
                ask_for(connection, session, wanted=wanted, project_path=path, machine=MACHINE)
                for wanted, path in asked
            ]
            row = connection.execute(
                text("SELECT wanted, generation, machine::text, project_path FROM registrations")
            ).one()
        assert sockets.select([listener], [], [], ENOUGH_SECONDS)[0]
    finally:
        listener.close()
    assert changes == [True, False, True, False, True]
    assert tuple(row) == (True, 3, MACHINE, "/q")


def test_dead_letters_are_shown_until_resolved(database_url: str) -> None:
    execute(
        database_url,
        "INSERT INTO checkpoints (machine, path) VALUES (md5('h')::uuid, '/f');"
        " INSERT INTO dead_letters (source_id, source_offset, reason, detail, content, resolved_at)"
        " VALUES (1, 0, 'torn', 'why', '0123456789', NULL), (1, 9, 'torn', 'why', 'x', now())",
    )
    with reading(database_url) as connection:
        unresolved = newest_dead_letters(resolved_too=False, limit=9, content_bytes=4)
        row = connection.execute(unresolved).mappings().one()
        whole = newest_dead_letters(resolved_too=True, limit=None, content_bytes=None)
        contents = [bytes(each.content) for each in connection.execute(whole)]
        assert captured(connection).dead_letters == 1
    assert (bytes(row["content"]), row["content_bytes"], row["path"]) == (b"0123", 10, "/f")
    assert contents == [b"0123456789", b"x"]


def test_hooks_seen_gives_the_last_of_each_kind(large_log: str) -> None:
    with reading(large_log) as connection:
        assert hooks_seen(connection) == [("Stop", START + timedelta(seconds=MANY))]
