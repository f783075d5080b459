"""What a machine's log holds is in the central one: all of it, once, whatever is interrupted."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path

import pytest

from claude_headspace.config import load_config
from claude_headspace.errors import DatabaseUnavailable
from claude_headspace.forwarding.__main__ import tell_health
from claude_headspace.forwarding.central_log import CentralLog
from claude_headspace.forwarding.forwarder import Forwarder
from claude_headspace.forwarding.local_log import LocalLog, NewRows
from claude_headspace.health.observation import FORWARDER_WAITS
from claude_headspace.store.connection import Database
from claude_headspace.supervision.health_check import check_health
from faults.machine import query
from forwarded import assert_same, order
from growing import run, statements
from harness import Log, Projects, Watcher, wait_until
from servers import PostgresServer

ORIGIN = str(uuid.uuid4())


@pytest.fixture
def central(postgres_server: PostgresServer, schema_template: str) -> Iterator[str]:
    with postgres_server.database(schema_template) as url:
        yield url


@pytest.fixture
def captured(database_url: str, projects: Projects, tmp_path: Path, log: Log) -> str:
    """The address of a machine's log that holds some sessions."""
    projects.fill(sessions=3, turns=30)
    with Watcher(tmp_path, database_url, projects.root).running() as watcher:
        wait_until(lambda: len(log.turns()) == len(projects.turns()), "the turns")
        wait_until(lambda: log.value("SELECT count(*) FROM archive_pieces") >= 3, "the archive")
        assert watcher
    return database_url


def database(url: str, *, by_itself: bool = True) -> Database:
    return Database(lambda: url, application_name="test", by_itself=by_itself)


def forwarder(local: str, central: str) -> Forwarder:
    return Forwarder(
        LocalLog(database(local), ORIGIN),
        CentralLog(database(central, by_itself=False), ORIGIN),
        None,
    )


def push_all(local: str, central: str) -> int:
    """How many pages it took."""
    it, pages = forwarder(local, central), 0
    with closing(it):
        while it.step():
            pages += 1
    return pages


def test_everything_arrives_in_order_and_refers_to_its_own(captured: str, central: str) -> None:
    query(central, "INSERT INTO projects (machine, path) VALUES (gen_random_uuid(), '/other')")
    # Both logs give ids of their own.
    for table in ("checkpoints", "agents"):
        query(central, "SELECT nextval(pg_get_serial_sequence(%s, 'id'))", (table,))
    push_all(captured, central)
    query(central, "DELETE FROM projects WHERE path = '/other'")
    assert_same(captured, central)
    assert order(central) == order(captured)
    joined = (
        "SELECT e.event_key::text, p.path, a.session_uuid::text, c.path FROM events e"
        " JOIN projects p ON p.id = e.project_id JOIN agents a ON a.id = e.agent_id"
        " JOIN checkpoints c ON c.id = e.source_id ORDER BY 1"
    )
    pieces = (
        "SELECT c.path, p.generation, p.start, p.digest FROM archive_pieces p"
        " JOIN checkpoints c ON c.id = p.source_id ORDER BY 1, 2, 3"
    )
    for question in (joined, pieces):
        assert query(central, question) == query(captured, question)
        assert query(central, question)
    assert push_all(captured, central) == 0


def test_what_changes_and_what_goes_follows(captured: str, central: str) -> None:
    push_all(captured, central)
    for change in (
        "UPDATE events SET annotations = '{\"seen\": 1}' WHERE id % 2 = 0",
        'UPDATE agents SET titles = \'{"custom": "x"}\', ended_at = now()',
        (
            "UPDATE checkpoints SET path = path || '.renamed'"
            " WHERE id = (SELECT min(id) FROM checkpoints)"
        ),
        "DELETE FROM events WHERE id = (SELECT max(id) FROM events)",
        "DELETE FROM archive_pieces WHERE source_id = (SELECT max(id) FROM checkpoints)",
        "INSERT INTO tombstones (session_uuid, keep_turns) VALUES (gen_random_uuid(), true)",
    ):
        query(captured, change)
    before = query(central, "SELECT min(id) FROM checkpoints WHERE path NOT LIKE '%.renamed'")
    push_all(captured, central)
    assert_same(captured, central)
    # The renamed file is the source that it was.
    assert query(central, "SELECT id FROM checkpoints WHERE path LIKE '%.renamed'") == before


class Interrupted(CentralLog):
    """Ends before, or after, two of three pages are written."""

    calls = count()

    def write(self, page: NewRows) -> None:
        number = next(self.calls)
        if number % 3 == 1:
            raise DatabaseUnavailable("before")
        super().write(page)
        if number % 3 == 0:
            raise DatabaseUnavailable("after")


def test_what_is_interrupted_goes_on_and_doubles_nothing(captured: str, central: str) -> None:
    tries = 0
    while tries < 50:
        log = Interrupted(database(central, by_itself=False), ORIGIN)
        it = Forwarder(LocalLog(database(captured), ORIGIN), log)
        try:
            with closing(it):
                while it.step():
                    pass
            break
        except DatabaseUnavailable:
            tries += 1
    assert tries >= 1
    assert_same(captured, central)
    assert order(central) == order(captured)


def test_a_central_log_that_was_set_back_is_made_whole(captured: str, central: str) -> None:
    push_all(captured, central)
    query(captured, 'UPDATE agents SET titles = \'{"custom": "x"}\'')
    push_all(captured, central)
    # As after a failover that lost the last pages.
    query(central, "UPDATE agents SET titles = '{}'")
    query(central, "DELETE FROM events WHERE id > (SELECT max(id) - 10 FROM events)")
    query(central, "UPDATE forwarders SET pages = 1, event_id = event_id - 10")
    push_all(captured, central)
    assert_same(captured, central)


def test_two_machines_of_one_session_tell_it_once(captured: str, central: str) -> None:
    push_all(captured, central)
    other = LocalLog(database(captured), str(uuid.uuid4()))
    it = Forwarder(other, CentralLog(database(central, by_itself=False), str(uuid.uuid4())))
    with closing(it):
        while it.step():
            pass
    assert_same(captured, central)


def test_the_events_of_the_central_log_may_be_partitioned(captured: str, central: str) -> None:
    before, change, _ = statements("Partitions by time")
    run(central, before)
    run(central, change)
    push_all(captured, central)
    query(captured, "UPDATE events SET timestamp = timestamp + interval '2 years' WHERE id % 9 = 0")
    query(captured, 'UPDATE events SET payload = payload || \'{"text": "new"}\' WHERE id % 5 = 0')
    query(captured, "DELETE FROM events WHERE id % 7 = 0")
    push_all(captured, central)
    assert_same(captured, central)
    assert query(central, "SELECT count(DISTINCT tableoid)::int FROM events") == [(2,)]
    query(central, "UPDATE forwarders SET pages = 0, event_id = 0")
    push_all(captured, central)
    assert_same(captured, central)


def test_the_rate_is_kept(captured: str, central: str) -> None:
    rested: list[float] = []
    local = LocalLog(database(captured), ORIGIN)
    log = CentralLog(database(central, by_itself=False), ORIGIN)
    it = Forwarder(local, log, 10_000, rested.append)
    with closing(it):
        while it.step():
            pass
    size = query(captured, "SELECT sum(octet_length(to_jsonb(e)::text)) FROM events e")[0][0]
    assert sum(rested) >= float(size) / 10_000


def test_the_program_pushes_and_holds_the_lease_of_its_machine(
    captured: str, central: str, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "CLAUDE_HEADSPACE_CONFIG": "/dev/null",
        "CLAUDE_HEADSPACE__STATE__DIRECTORY": str(tmp_path / "state"),
        "CLAUDE_HEADSPACE__FORWARD__URL": central,
        "DATABASE_URL": captured,
    }
    leases = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND database ="
    leases += " (SELECT oid FROM pg_database WHERE datname = current_database())"
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "claude_headspace.forwarding"], env=environment
        )
        try:
            wait_until(lambda: order(central) == order(captured), "the events")
            wait_until(lambda: query(central, leases) == [(1,)], "the lease")
            wait_until(lambda: query(captured, "SELECT count(*) FROM forward_due") == [(0,)], "all")
            assert query(central, "SELECT label IS NOT NULL FROM machines") == [(True,)]
        finally:
            process.kill()
            process.wait()
        wait_until(lambda: query(central, leases) == [(0,)], "the end of the lease")
        query(captured, 'UPDATE agents SET titles = \'{"custom": "again"}\'')


def test_health_says_for_what_it_waits_until_it_goes_on(
    database_url: str, central: str, tmp_path: Path
) -> None:
    """As after a change of the central log's password."""
    environment = {"CLAUDE_HEADSPACE_CONFIG": "/dev/null", "DATABASE_URL": database_url}
    environment["CLAUDE_HEADSPACE__STATE__DIRECTORY"] = str(tmp_path)
    environment["CLAUDE_HEADSPACE__FORWARD__URL"] = central
    config = load_config(environment)

    def notes() -> str:
        return "; ".join(check_health(config).notes)

    def end(seconds: float) -> None:
        raise KeyboardInterrupt

    addresses = ["postgresql://u@127.0.0.1:1/gone", central]
    away = Database(lambda: addresses.pop(0), application_name="test", by_itself=False)
    it = Forwarder(LocalLog(database(database_url), ORIGIN), CentralLog(away, ORIGIN))
    it.tell = partial(tell_health, tmp_path / FORWARDER_WAITS)
    seen: list[str] = []
    it.pause = lambda _: seen.append(notes())
    it.local.wait = end  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt), closing(it):
        it.run()
    assert len(seen) == 1
    assert "the forwarder has waited since" in seen[0]
    assert "Connection refused" in seen[0]
    assert "forwarder" not in notes()
