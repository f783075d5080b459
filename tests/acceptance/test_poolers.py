"""Behind a pooler: a session of one's own will do, and anything less is refused in words."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from claude_headspace.errors import SharedConnection
from claude_headspace.store.connection import Database
from claude_headspace.store.follower import Follower
from claude_headspace.store.opener import open_on
from faults.machine import query
from harness import Log, Projects, Watcher, assert_exactly_captured, wait_until
from pooler import Pooler, pooler, program
from servers import PostgresServer

REFUSED = "set pool_mode = session"
SET_BY_US = "SELECT current_setting('synchronous_commit'), current_setting('lock_timeout')"

pytestmark = pytest.mark.skipif(program() is None, reason="PgBouncer is not installed")


@pytest.fixture
def session(postgres_server: PostgresServer) -> Iterator[Pooler]:
    with pooler(postgres_server, "session") as it:
        yield it


@pytest.fixture
def transaction(postgres_server: PostgresServer) -> Iterator[Pooler]:
    with pooler(postgres_server, "transaction") as it:
        yield it


def connect(url: str) -> None:
    database = Database(lambda: url, application_name="test")
    try:
        database.connect()
    finally:
        database.close()


def listen(url: str) -> None:
    follower = Follower.at(url)
    try:
        follower.listen()
    finally:
        follower.close()


def ask(url: str) -> None:
    open_on(url).close()


def test_with_a_session_of_its_own_the_watcher_works(
    session: Pooler, database_url: str, tmp_path: Path, projects: Projects, log: Log
) -> None:
    projects.fill(sessions=2, turns=20)
    url = session.url(database_url)
    follower = Follower.at(url)
    follower.listen()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with Watcher(tmp_path / "one", url, projects.root).running() as watcher:
        wait_until(lambda: len(log.turns()) == len(projects.turns()), "the turns")
        assert follower.wait(10), "nobody was notified"
        assert follower.read().events
        other = Watcher(tmp_path / "two", url, projects.root)
        other.state.mkdir()
        shutil.copy(watcher.state / "machine", other.state)
        with other.running() as rival:
            wait_until(lambda: "another watcher" in rival.told(), "the rival's refusal")
            assert "another watcher" not in watcher.told()
    follower.close()
    assert_exactly_captured(projects, log)
    # What was set went with the session.
    assert query(url, SET_BY_US) == query(database_url, SET_BY_US)


@pytest.mark.parametrize("way", [connect, listen, ask])
def test_a_connection_that_is_shared_is_refused_and_nothing_is_set_on_it(
    transaction: Pooler, database_url: str, way: Callable[[str], None]
) -> None:
    url = transaction.url(database_url)
    with pytest.raises(SharedConnection, match=REFUSED):
        way(url)
    assert query(url, SET_BY_US) == query(database_url, SET_BY_US)


def test_the_watcher_and_commands_say_so(
    transaction: Pooler, database_url: str, tmp_path: Path, projects: Projects
) -> None:
    watcher = Watcher(tmp_path, transaction.url(database_url), projects.root)
    with watcher.running():
        wait_until(lambda: REFUSED in str(watcher.status().get("reason")), "the refusal", 10)
        done = subprocess.run(
            [sys.executable, "-I", "-m", "claude_headspace.cli", "sessions"],
            env=watcher.environment(), capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 69
    assert REFUSED in done.stderr


def test_one_that_is_shared_later_is_noticed(session: Pooler, database_url: str) -> None:
    """As when the pooler's mode is changed while it runs."""
    database = Database(lambda: session.url(database_url), application_name="test")
    database.connect()
    assert database._opened is not None
    other = database._opened.server._replace(backend=1)
    database._opened = database._opened._replace(server=other)
    with pytest.raises(SharedConnection):
        wait_until(lambda: database.execute("SELECT false")[0][0], "a look", 10)
    assert not database.connected


def test_a_pool_that_is_too_small_is_told(
    postgres_server: PostgresServer, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with pooler(postgres_server, "session", size=1) as it, caplog.at_level(logging.WARNING):
        connect(it.url(database_url))
    assert "its pool is too small" in caplog.text


def test_without_a_pooler_nobody_asks_again(database_url: str) -> None:
    database = Database(lambda: database_url, application_name="test")
    database.connect()
    assert database._opened is not None
    assert not database._opened.pooled
    database.close()
