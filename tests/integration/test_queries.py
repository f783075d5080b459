"""What readers ask: right answers, by the indexes, and following without loss or repetition."""

from __future__ import annotations

import os
import select as sockets
import signal
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg2
import pytest
from sqlalchemy import Connection, Select, text

from claude_headspace.errors import SelectionError
from claude_headspace.store import migrations
from claude_headspace.store.engine import reading
from claude_headspace.store.follower import PAGE_EVENTS, Follower
from claude_headspace.store.queries import (
    EventFilter,
    ask_for,
    captured,
    count_events,
    count_turns,
    events_after,
    find_projects,
    find_session,
    hooks_seen,
    newest_events,
    newest_rejections,
    newest_sessions,
)
from claude_headspace.store.sessions import REGISTRATION_CHANNEL
from servers import PostgresServer, running_server

MANY = 200_000
OLD = 10_000
SESSIONS = 400
PAGE = 50
ENOUGH_SECONDS = 30.0
START = datetime(2026, 1, 1, tzinfo=timezone.utc)

# Sessions 1 … 400 in projects 1 … 20, interleaved; every tenth event is no turn. The first 10,000
# events are of a project and a type that nothing came of since.
GENERATE = f"""
INSERT INTO projects (host, path) SELECT 'h', '/home/me/work/project-' || n
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
        f"INSERT INTO projects (host, path) VALUES ('h', '{project}') ON CONFLICT DO NOTHING;"
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
    "after": (events_after(EventFilter(), MANY - 20, [MANY - 3], 500), 19),
    "after, session": (events_after(EventFilter(agent_id=7), MANY - 800, [0], 500), 2),
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
    monkeypatch.setattr("claude_headspace.store.queries.COUNTED_BYTES", 1_000_000)
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


def test_sessions_come_with_their_turns(large_log: str) -> None:
    with reading(large_log) as connection:
        page = connection.execute(newest_sessions((), open_only=True, limit=2)).mappings().all()
        turns, together = count_turns(connection, [row["id"] for row in page])
        none = count_turns(connection, [])
    assert [row["id"] for row in page] == [SESSIONS - 1, SESSIONS]
    assert together == sum(turns.values())
    assert turns.keys() == {SESSIONS - 1, SESSIONS}
    assert none == ({}, 0)


def test_a_turn_in_two_sessions_counts_once(database_url: str) -> None:
    first, second = uuid.uuid4(), uuid.uuid4()
    shared, own = uuid.uuid4(), uuid.uuid4()
    for session in (first, second):
        add_agent(database_url, session)
        execute(database_url, insert_event(session, shared))
    execute(database_url, insert_event(second, own))
    with reading(database_url) as connection:
        turns, together = count_turns(connection, [1, 2])
        held = captured(connection)
    assert (turns, together) == ({1: 1, 2: 2}, 2)
    assert (held.events.turns, held.events.by_type) == (2, {"turn_detected": 3})
    assert (held.sessions, held.open_sessions, held.projects) == (2, 2, 1)


def test_an_empty_log_holds_nothing(database_url: str) -> None:
    with reading(database_url) as connection:
        held = captured(connection)
    assert (held.events.turns, held.events.by_type, held.settled_bytes) == (0, {}, 0)
    assert held.lines == {"lines": 0, "turns": 0, "duplicates": 0, "salvaged": 0}


def test_sessions_are_found_by_their_beginning(database_url: str) -> None:
    one = UUID("aaaa0000-0000-4000-8000-000000000001")
    other = UUID("aaab0000-0000-4000-8000-000000000002")
    for session in (one, other):
        add_agent(database_url, session)
    unknown = uuid.uuid4()
    with reading(database_url) as connection:
        assert find_session(connection, "AAAA").uuid == one
        assert find_session(connection, str(other)).agent_id == 2
        assert find_session(connection, str(unknown)).filter() == EventFilter(session=unknown)
        for name, problem in (("aaa", "more than one"), ("b", "knows no"), ("x", "no session")):
            with pytest.raises(SelectionError, match=problem):
                find_session(connection, name)


def test_events_of_a_session_without_rows_are_found(database_url: str) -> None:
    session = uuid.uuid4()
    execute(database_url, insert_event(session, uuid.uuid4()))
    execute(database_url, insert_event(uuid.uuid4(), uuid.uuid4()))
    with reading(database_url) as connection:
        wanted = find_session(connection, str(session)).filter()
        assert len(connection.execute(newest_events(wanted, 9)).all()) == 1


def test_projects_are_found_by_path_or_tail(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here, nested = str(tmp_path), str(tmp_path / "deep" / "app")
    for path in (here, nested, "/srv/my_app", "/srv/myxapp", "/srv/other/app"):
        add_agent(database_url, uuid.uuid4(), path)
    execute(database_url, f"INSERT INTO projects (host, path) VALUES ('i', '{here}')")
    with reading(database_url) as connection:
        assert find_projects(connection, "deep/app") == (2,)
        assert find_projects(connection, "my_app") == (3,)
        assert find_projects(connection, "/srv/other/app") == (5,)
        assert len(find_projects(connection, ".")) == 2
        with pytest.raises(SelectionError, match=r"more than one .*deep/app"):
            find_projects(connection, "app")
        with pytest.raises(SelectionError, match="knows no"):
            find_projects(connection, "pp")


def test_asking_for_a_session_wakes_the_watcher_and_counts_changes(database_url: str) -> None:
    session = uuid.uuid4()
    listener = psycopg2.connect(database_url)
    listener.autocommit = True
    listener.cursor().execute(f"LISTEN {REGISTRATION_CHANNEL}")
    asked = [(True, "/p"), (True, None), (False, None), (False, None), (True, "/q")]
    try:
        with reading(database_url) as connection:
            changes = [
                ask_for(connection, session, wanted=wanted, project_path=path)
                for wanted, path in asked
            ]
            row = connection.execute(
                text("SELECT wanted, generation, applied, project_path FROM registrations")
            ).one()
        assert sockets.select([listener], [], [], ENOUGH_SECONDS)[0]
    finally:
        listener.close()
    assert changes == [True, False, True, False, True]
    assert tuple(row) == (True, 3, 0, "/q")


def test_rejections_are_shown_until_resolved(database_url: str) -> None:
    execute(
        database_url,
        "INSERT INTO source_positions (host, path) VALUES ('h', '/f');"
        " INSERT INTO rejections (source_id, source_offset, reason, detail, content, resolved_at)"
        " VALUES (1, 0, 'torn', 'why', '0123456789', NULL), (1, 9, 'torn', 'why', 'x', now())",
    )
    with reading(database_url) as connection:
        unresolved = newest_rejections(resolved_too=False, limit=9, content_bytes=4)
        row = connection.execute(unresolved).mappings().one()
        whole = newest_rejections(resolved_too=True, limit=None, content_bytes=None)
        contents = [bytes(each.content) for each in connection.execute(whole)]
        assert captured(connection).rejections == 1
    assert (bytes(row["content"]), row["content_bytes"], row["path"]) == (b"0123", 10, "/f")
    assert contents == [b"0123456789", b"x"]


def test_hooks_seen_gives_the_last_of_each_kind(large_log: str) -> None:
    with reading(large_log) as connection:
        assert hooks_seen(connection) == [("Stop", START + timedelta(seconds=MANY))]


def ids(events: Any) -> list[int]:
    return [event["id"] for event in events]


def test_following_shows_a_smaller_id_that_commits_later(database_url: str) -> None:
    session = uuid.uuid4()
    late = psycopg2.connect(database_url)
    late.cursor().execute(insert_event(session, uuid.uuid4()))
    follower = Follower(EventFilter())
    with reading(database_url) as connection:
        follower.listen(connection)
        assert ids(follower.start(connection, 10)) == []
        for expected in ([2], [3], []):
            if expected:
                execute(database_url, insert_event(session, uuid.uuid4()))
            assert ids(follower.poll(connection)) == expected
        assert follower.floor < 1
        late.commit()
        late.close()
        assert ids(follower.poll(connection)) == [1]
        assert ids(follower.poll(connection)) == []
    assert follower.floor == 3


def test_what_is_there_at_the_start_is_not_new(database_url: str) -> None:
    session = uuid.uuid4()
    open_one = psycopg2.connect(database_url)
    for _ in range(3):
        execute(database_url, insert_event(session, uuid.uuid4()))
    open_one.cursor().execute(insert_event(session, uuid.uuid4()))
    execute(database_url, insert_event(session, uuid.uuid4()))
    follower = Follower(EventFilter())
    with reading(database_url) as connection:
        follower.listen(connection)
        assert ids(follower.start(connection, 2)) == [3, 5]
        assert follower.floor == 3
        open_one.commit()
        open_one.close()
        assert ids(follower.poll(connection)) == [4]


def test_a_filtered_follower_moves_on_past_what_it_does_not_want(database_url: str) -> None:
    session = uuid.uuid4()
    follower = Follower(EventFilter(event_type="wanted"))
    with reading(database_url) as connection:
        follower.listen(connection)
        follower.start(connection, 0)
        for kind in ("other", "wanted", "other"):
            execute(database_url, insert_event(session, uuid.uuid4(), kind))
        assert ids(follower.poll(connection)) == [2]
        assert ids(follower.poll(connection)) == []
    assert follower.floor == 3


def test_more_than_a_page_is_followed_whole(database_url: str) -> None:
    follower = Follower(EventFilter())
    number = 2 * PAGE_EVENTS + 7
    with reading(database_url) as connection:
        follower.listen(connection)
        follower.start(connection, 0)
        execute(
            database_url,
            "INSERT INTO events (timestamp, event_type, payload, session_uuid, event_key)"
            " SELECT now(), 't', '{}', gen_random_uuid(), gen_random_uuid()"
            f" FROM generate_series(1, {number})",
        )
        assert ids(follower.poll(connection)) == list(range(1, number + 1))


def test_a_notification_ends_the_wait(database_url: str) -> None:
    follower = Follower(EventFilter())
    with reading(database_url) as connection:
        follower.listen(connection)
        follower.start(connection, 0)
        execute(database_url, "NOTIFY claude_headspace_events")
        began = time.monotonic()
        follower.wait(connection, ENOUGH_SECONDS)
        assert time.monotonic() - began < ENOUGH_SECONDS
        began = time.monotonic()
        follower.wait(connection, 0.05)
        assert time.monotonic() - began >= 0.05


def write_slowly(url: str, count: int, failures: list[BaseException]) -> None:
    """Events in transactions of different lengths, so that ids become visible out of order."""
    try:
        connection = psycopg2.connect(url)
        cursor = connection.cursor()
        for number in range(count):
            cursor.execute(insert_event(uuid.uuid4(), uuid.uuid4()))
            cursor.execute("SELECT pg_sleep(%s)", (number % 7 / 1000,))
            connection.commit()
        connection.close()
    except psycopg2.Error as error:
        failures.append(error)


def test_many_writers_are_followed_exactly(database_url: str) -> None:
    writers, each = 6, 60
    failures: list[BaseException] = []
    threads = [
        threading.Thread(target=write_slowly, args=(database_url, each, failures))
        for _ in range(writers)
    ]
    follower = Follower(EventFilter())
    seen: list[int] = []
    with reading(database_url) as connection:
        follower.listen(connection)
        for thread in threads:
            thread.start()
        seen += ids(follower.start(connection, 1000))
        deadline = time.monotonic() + ENOUGH_SECONDS
        while len(seen) < writers * each and time.monotonic() < deadline and not failures:
            seen += ids(follower.poll(connection))
        for thread in threads:
            thread.join()
        seen += ids(follower.poll(connection))
        stored = connection.execute(text("SELECT id FROM events ORDER BY id")).scalars().all()
    assert not failures
    assert sorted(seen) == list(stored)
    assert len(seen) == writers * each


def kill_server(server: PostgresServer) -> None:
    """End every process of Postgres at once, and what they had not written to its log is gone."""
    postmaster = int((server.record.data / "postmaster.pid").read_text().split()[0])
    with reading(server.url("postgres")) as connection:
        others = connection.execute(text("SELECT pid FROM pg_stat_activity")).scalars().all()
    for pid in (postmaster, *others):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def test_what_was_handed_out_survives_a_crash(state_directory: Path) -> None:
    handed: list[tuple[int, UUID]] = []
    follower = Follower(EventFilter())
    lost, after = uuid.uuid4(), uuid.uuid4()
    with running_server(state_directory) as server:
        url = server.url("postgres")
        migrations.upgrade(url)
        server.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")
        server.execute("SELECT pg_reload_conf()")
        writer = psycopg2.connect(url)
        writer.autocommit = True
        cursor = writer.cursor()
        cursor.execute("SET synchronous_commit = off")
        with reading(url) as connection:
            follower.listen(connection)
            follower.start(connection, 0)
            cursor.execute(insert_event(uuid.uuid4(), uuid.uuid4()))
            handed += [(e["id"], e["event_key"]) for e in follower.poll(connection)]
            follower_floor = [*follower.poll(connection)]
            cursor.execute(insert_event(uuid.uuid4(), lost))
            kill_server(server)
        assert follower_floor == []
    with running_server(state_directory) as server, reading(server.url("postgres")) as connection:
        kept = connection.execute(text("SELECT id, event_key FROM events ORDER BY id")).all()
        assert [tuple(row) for row in kept] == handed
        execute(server.url("postgres"), insert_event(uuid.uuid4(), after))
        follower.listen(connection)
        assert [e["event_key"] for e in follower.poll(connection)] == [after]
