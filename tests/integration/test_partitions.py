"""Events partitioned by hand, or distributed, as docs/growing.md says: everything goes on."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest

import lines
from claude_headspace.archive.forget import Forget
from claude_headspace.events.event import Event
from claude_headspace.read.connection import ReadPool
from claude_headspace.read.query import SearchQuestion
from claude_headspace.read.search import search
from claude_headspace.store import totals
from claude_headspace.store.connection import Database
from claude_headspace.store.engine import reading
from claude_headspace.store.follower import Follower
from claude_headspace.store.search_index import SearchIndex
from claude_headspace.store.writer import EventWriter
from commanded import Commands
from growing import run, statements
from harness import Log, Projects, Watcher, assert_exactly_captured, wait_until
from servers import PostgresServer

YEAR = 365 * 86400.0
# What Citus asks of a table that is distributed, in the words of its own errors.
CITUS = """
CREATE TABLE reference_tables (name regclass);
CREATE TABLE distributed (name regclass, by_column name);
CREATE FUNCTION create_reference_table(name text) RETURNS void LANGUAGE sql AS
    'INSERT INTO reference_tables VALUES (name::regclass)';
CREATE FUNCTION create_distributed_table(name regclass, by_column name) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM pg_index i WHERE indrelid = name AND indisunique AND NOT EXISTS (
            SELECT FROM pg_attribute a WHERE a.attrelid = name AND a.attname = by_column
            AND a.attnum = ANY (i.indkey))) THEN
        RAISE 'cannot create constraint on %', name;
    END IF;
    IF EXISTS (SELECT FROM pg_constraint c WHERE contype = 'f' AND name IN (conrelid, confrelid)
            AND NOT (conrelid = name AND EXISTS (SELECT FROM reference_tables r
                WHERE r.name = confrelid))) THEN
        RAISE 'foreign keys of % must refer to a reference table', name;
    END IF;
    INSERT INTO distributed VALUES (name, by_column);
END $$;
"""


@pytest.fixture(scope="module")
def partitioned(
    postgres_server: PostgresServer, schema_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Watcher, Projects, Log, list[str]]]:  # fmt: skip
    """A log that was partitioned while its watcher ran: two sessions over the bound of years."""
    directory = tmp_path_factory.mktemp("partitioned")
    projects = Projects(directory / "projects")
    sessions = [lines.new_session() for _ in range(2)]
    with postgres_server.database(schema_template) as url:
        log = Log(url)
        watcher = Watcher(directory, url, projects.root)
        before, change, _ = statements("Partitions by time")
        with watcher.running():
            projects.say(sessions[0], *(f"early {n}" for n in range(40)))
            assert_exactly_captured(projects, log)
            run(url, before)
            run(url, change)
            projects.say(sessions[0], "late", at=2 * YEAR)
            projects.say(sessions[1], *(f"later {n}" for n in range(40)), at=2 * YEAR)
            projects.say(sessions[1], "far", at=9 * YEAR)
            assert_exactly_captured(projects, log)
        yield watcher, projects, log, sessions


Partitioned = tuple[Watcher, Projects, Log, list[str]]


def test_each_event_is_in_its_partition_and_once(partitioned: Partitioned) -> None:
    watcher, projects, log, sessions = partitioned
    assert log.rows(
        "SELECT tableoid::regclass::text, count(*) FROM events"
        " WHERE event_type = 'turn_detected' GROUP BY 1 ORDER BY 1"
    ) == [("events_2027", 41), ("events_before", 40), ("events_later", 1)]
    held = log.fingerprint()
    with watcher.running():
        for session in sessions:
            log.register(session)
        wait_until(
            lambda: log.value("SELECT count(*) FROM registration_hosts") == 2, "the registrations"
        )
        assert_exactly_captured(projects, log)
        wait_until(lambda: watcher.status()["duplicates"] == 0, "the status")
    assert set(log.fingerprint()) >= set(held)
    [known] = log.rows(
        "SELECT event_key::text, session_uuid::text, timestamp, payload, id FROM events"
        " WHERE payload ->> 'text' = 'early 0'"
    )
    writer = EventWriter.at(log.url)
    for moved in (0.0, 2 * YEAR):
        moment = known[2] + timedelta(seconds=moved)
        event = Event("turn_detected", moment, known[3], UUID(known[0]), UUID(known[1]))
        result = writer.write(event)
        assert (result.outcome, result.event_id) == ("duplicate", known[4])
    writer.close()


def test_following_and_searching(partitioned: Partitioned) -> None:
    _, _, log, _ = partitioned
    follower = Follower.at(log.url, page_events=30)
    found: list[int] = []
    while events := follower.read().events:
        found += [event.id for event in events]
    follower.close()
    assert found == [row[0] for row in log.rows("SELECT id FROM events ORDER BY id")]
    index = SearchIndex(lambda: log.url, lambda: False)
    index.catch_up(index._follower())
    chosen = "SELECT id, payload::text FROM events WHERE payload ->> 'text' IN ('far', 'early 1')"
    before = log.rows(chosen)
    changed = 'UPDATE events SET payload = payload || \'{"text": "other"}\' WHERE id = ANY (%s)'
    log.rows(changed, ([row[0] for row in before],))
    index.catch_up(index._follower())
    index._database.close()
    pool = ReadPool(lambda: log.url)
    with pool.reading() as reader:
        for word, count in (("early", 39), ("later", 40), ("late", 1), ("other", 2)):
            assert len(search(reader, SearchQuestion(word)).rows) == count, word
    pool.close_idle(0)
    for event_id, payload in before:
        log.rows("UPDATE events SET payload = %s WHERE id = %s", (payload, event_id))


def test_counting(partitioned: Partitioned, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, log, _ = partitioned
    log.rows("ANALYZE events_before")
    log.rows("ANALYZE events_2027")
    with reading(log.url) as connection:
        exact = totals.count_events(connection, exactly=False)
        monkeypatch.setattr(totals, "COUNTED_BYTES", 0)
        about = totals.count_events(connection, exactly=False)
    assert (exact.exact, exact.by_type["turn_detected"], exact.turns) == (True, 82, 82)
    assert not about.exact
    assert about.by_type["turn_detected"] == pytest.approx(82, abs=3)


def test_a_forgotten_session_takes_no_row_of_another_partition(
    partitioned: Partitioned, tmp_path: Path
) -> None:
    watcher, _, log, sessions = partitioned
    verify = Commands(log.url, tmp_path, {
        name: text for name, text in watcher.environment().items() if "HEADSPACE" in name
    })  # fmt: skip
    assert (ended := verify.run("verify")).status == 0, ended
    database = Database(lambda: log.url, application_name="test")
    places = "SELECT ctid FROM events WHERE session_uuid = %s::uuid"
    assert {*log.rows(places, [sessions[0]])} & {*log.rows(places, [sessions[1]])}
    gone = Forget(database, [UUID(sessions[0])]).run()
    database.close()
    assert gone["events"] >= 41
    assert log.count("turn_detected", sessions[0]) == 0
    assert log.count("turn_detected", sessions[1]) == 41
    run(log.url, statements("Partitions by time")[2])
    assert log.count("turn_detected") == 41


def test_the_schema_is_one_that_citus_would_take(
    log: Log, watcher: Watcher, projects: Projects
) -> None:
    log.rows(CITUS)
    [block] = statements("A distributed Postgres")
    with pytest.raises(psycopg2.errors.RaiseException, match="constraint on events"):
        log.rows("SELECT create_distributed_table('events', 'session_uuid')")
    run(log.url, block)
    made = log.value("SELECT pg_get_functiondef('write_events'::regproc)")
    one = "IF (SELECT count(DISTINCT s) FROM unnest(sessions) s) > 1 THEN RAISE 'shards'; END IF;"
    log.rows(made.replace("BEGIN\n", f"BEGIN\n{one}\n", 1))
    projects.fill(sessions=3, turns=10)
    with watcher.running():
        assert_exactly_captured(projects, log)
        assert "shards" not in watcher.told()
    assert {row[0] for row in log.rows("SELECT name::text FROM distributed")} == {
        "events", "tool_calls", "archive_generations", "archive_pieces",
    }  # fmt: skip
