"""An address of several servers: the one that will do is found, wherever it is in the list."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from claude_headspace import migrate
from claude_headspace.address import LogUrl
from claude_headspace.errors import DatabaseUnavailable, OtherTimeline, ReplacedServer
from claude_headspace.health.database import ping
from claude_headspace.store.connection import Database
from claude_headspace.store.engine import reading
from claude_headspace.store.follower import Follower
from claude_headspace.store.opener import current_address, open_on
from faults.machine import query, signal_if_there
from faults.pair import SUPERUSER, Pair, Server, pair

LIMIT_SECONDS = 5.0
EVENT = (
    "INSERT INTO events (timestamp, event_type, payload, session_uuid, event_key) VALUES"
    " (now(), 'hook_received', '{}', gen_random_uuid(), gen_random_uuid()) RETURNING id"
)


@pytest.fixture(scope="module")
def replaced() -> Iterator[Pair]:
    """The standby was promoted, and the old primary is back as if nothing had happened."""
    with pair() as both, both.database():
        query(both.url, EVENT)
        both.fail_over(0.1)
        query(both.url, EVENT)
        both.standby.start()
        yield both


def of(*servers: Server) -> str:
    homes = ",".join(str(server.home) for server in servers)
    return f"postgresql://{SUPERUSER}@/pair?host={homes}&connect_timeout=2"


def remembering(url: str, directory: Path) -> LogUrl:
    """The address as a program has it that saw the newest server before."""
    known = LogUrl(url)
    known.seen = directory
    return known


def connect(url: str) -> str:
    database = Database(lambda: url, application_name="test")
    try:
        return str(database.execute("SHOW unix_socket_directories")[0][0])
    finally:
        database.close()


def ask(url: str) -> str:
    with reading(url) as connection:
        return str(connection.exec_driver_sql("SHOW unix_socket_directories").scalar())


def open_plainly(url: str) -> str:
    connection = open_on(url)
    with connection, connection.cursor() as cursor:
        cursor.execute("SHOW unix_socket_directories")
        home = cursor.fetchone()[0]
    connection.close()
    return str(home)


def pinned(url: str) -> str:
    return open_plainly(current_address(url))


WAYS = [connect, ask, open_plainly, pinned]


@pytest.mark.parametrize("way", WAYS)
def test_an_old_primary_is_passed_over_wherever_it_stands(
    replaced: Pair, tmp_path: Path, way: Callable[[str], str]
) -> None:
    new, old = replaced.primary, replaced.standby
    assert way(remembering(of(new), tmp_path)) == str(new.home)
    for servers in ((old, new), (new, old)):
        assert way(remembering(of(*servers), tmp_path)) == str(new.home)


@pytest.mark.parametrize("way", [
    connect, ask, open_plainly, migrate.upgrade, lambda url: ping(url, LIMIT_SECONDS),
])  # fmt: skip
def test_an_old_primary_alone_is_refused_in_words(
    replaced: Pair, tmp_path: Path, way: Callable[[str], object]
) -> None:
    connect(remembering(of(replaced.primary), tmp_path))
    with pytest.raises(ReplacedServer, match="an old primary that was replaced"):
        way(remembering(of(replaced.standby), tmp_path))


def test_the_probe_takes_the_first_that_will_do(replaced: Pair, tmp_path: Path) -> None:
    new, old = replaced.primary, replaced.standby
    url = remembering(of(old, new), tmp_path)
    connect(remembering(of(new), tmp_path))
    assert ping(url, LIMIT_SECONDS) < LIMIT_SECONDS
    nowhere = Server(new.home.parent / "nowhere", new.binaries, {})
    assert ping(of(nowhere, new), LIMIT_SECONDS) < LIMIT_SECONDS
    with pytest.raises(DatabaseUnavailable, match=r"nowhere.*; .*replaced"):
        ping(remembering(of(nowhere, old), tmp_path), LIMIT_SECONDS)


@pytest.fixture
def frozen(replaced: Pair) -> Iterator[Pair]:
    """The old primary takes connections and answers nobody."""
    process = replaced.standby.process
    assert process is not None
    signal_if_there(process.pid, signal.SIGSTOP)
    yield replaced
    signal_if_there(process.pid, signal.SIGCONT)


@pytest.mark.parametrize("way", [connect, open_plainly])
def test_a_frozen_first_server_is_left(frozen: Pair, way: Callable[[str], str]) -> None:
    began = time.monotonic()
    assert way(of(frozen.standby, frozen.primary)) == str(frozen.primary.home)
    assert 1 < time.monotonic() - began < 20
    assert ping(of(frozen.standby, frozen.primary), LIMIT_SECONDS) < LIMIT_SECONDS


def test_a_command_says_it_and_ends(replaced: Pair, tmp_path: Path) -> None:
    state = tmp_path / "var"
    connect(remembering(of(replaced.primary), state / "timelines"))
    done = subprocess.run(
        [sys.executable, "-I", "-m", "claude_headspace.cli", "events"],
        env={
            **os.environ,
            "CLAUDE_HEADSPACE_CONFIG": "/dev/null",
            "CLAUDE_HEADSPACE__STATE__DIRECTORY": str(state),
            "DATABASE_URL": of(replaced.standby),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 69, done.stderr
    assert "an old primary that was replaced" in done.stderr


def test_a_server_is_left_when_a_newer_primary_is_seen(
    replaced: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("claude_headspace.store.connection._ASK_AGAIN_SECONDS", 0.0)
    old = remembering(of(replaced.standby), tmp_path)
    database = Database(lambda: old, application_name="claude-headspace test")
    database.execute("SELECT 1")
    connect(remembering(of(replaced.primary), tmp_path))
    with pytest.raises(ReplacedServer):
        database.execute("SELECT 1")
    assert not database.connected


def test_a_cursor_of_the_old_primary_is_told_so(replaced: Pair) -> None:
    old, new = of(replaced.standby), of(replaced.primary)
    follower = Follower.at(old)
    saved = follower.read().cursor
    follower.close()
    assert saved.timeline == 1
    follower = Follower.at(new, saved.text)
    with pytest.raises(OtherTimeline, match="timeline 1, and the log is on timeline 2"):
        follower.read()
    follower.close()
    # An id alone says nothing of where it is from.
    follower = Follower.at(new, int(saved))
    page = follower.read()
    assert page.events
    assert page.cursor.timeline == 2
    follower.close()


def test_a_follower_does_not_go_on_over_a_failover_unawares(replaced: Pair) -> None:
    places = [of(replaced.standby)]
    database = Database(lambda: places[0], application_name="test")
    follower = Follower(database)
    follower.read()
    places[0] = of(replaced.primary)
    database.close()
    with pytest.raises(OtherTimeline):
        follower.read()
    follower.close()
