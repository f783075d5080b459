"""`drain`: everything on the disk arrives, however far that is, and the exit status says so."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

import lines
from claude_headspace.config import load_config
from claude_headspace.deployment.drain import LeftBehind
from claude_headspace.inbox import put
from harness import Log, Projects, Watcher, assert_exactly_captured
from servers import PostgresServer, embedded_environment, temporary_state

pytestmark = pytest.mark.timeout(300)
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def central(postgres_server: PostgresServer, schema_template: str) -> Iterator[Log]:
    with postgres_server.database(schema_template) as url:
        yield Log(url)


def drained(
    watcher: Watcher, *arguments: str, **variables: str
) -> subprocess.CompletedProcess[str]:
    return drain_in({**watcher.environment(), **variables}, *arguments)


def drain_in(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-I", "-m", "claude_headspace.cli", "drain", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def forwarding(central: Log | str) -> dict[str, str]:
    url = central if isinstance(central, str) else central.url
    return {"CLAUDE_HEADSPACE__FORWARD__URL": url}


def assert_whole(log: Log, projects: Projects, note: str) -> None:
    """Every turn, every event of the inbox, every byte, and no program that goes on."""
    assert {(turn.session, turn.uuid): turn for turn in log.turns()} == projects.turns()
    assert log.value("SELECT count(*) FROM events WHERE event_key = %s", (note,)) == 1
    archived = "SELECT sum(archived) FROM archive_generations"
    assert log.value(archived) == sum(path.stat().st_size for path in projects.root.rglob("*.*"))
    assert log.other_backends() == []


def test_everything_arrives_and_nothing_runs_on(
    projects: Projects, log: Log, watcher: Watcher, central: Log
) -> None:
    projects.fill(sessions=2, turns=5)
    torn = projects.say(lines.new_session(), "whole")
    projects.append(torn, b'{"type": "us')
    os.utime(torn, (time.time() - 60,) * 2)
    for files in (5, 6):
        note = put(watcher.state / "inbox", "note_added", {"text": "deployed"})
        done = drained(watcher, **forwarding(central))
        assert (done.returncode, done.stderr) == (0, "")
        assert f"{torn} ends with 12 bytes that are not a complete line" in done.stdout
        assert f"Everything has arrived: {files} transcripts." in done.stdout
        for each in (log, central):
            assert_whole(each, projects, note)
        projects.say(lines.new_session(), "later")


def test_what_has_not_arrived_is_told(projects: Projects, log: Log, watcher: Watcher) -> None:
    path = projects.say(lines.new_session(), "hello")
    put(watcher.state / "inbox", "note_added", {"text": "deployed"})
    with closing(LeftBehind(load_config(watcher.environment()), float("inf"))) as left:
        assert left.missing() == ["1 event of the inbox", f"{path} is not read to its end"]
    assert drained(watcher).returncode == 0
    done = drained(watcher, "--timeout", "0", **forwarding(NOWHERE))
    assert done.returncode == 1
    assert done.stderr.startswith("After 0 s not everything has arrived:\n")
    assert "the central log does not answer" in done.stderr
    assert log.other_backends() == []


def test_a_watcher_that_runs_is_waited_for(projects: Projects, log: Log, watcher: Watcher) -> None:
    with watcher.running():
        projects.fill(sessions=1, turns=5)
        assert drained(watcher).returncode == 0
        assert_exactly_captured(projects, log)


def test_what_nobody_asked_for_is_not_missing(
    projects: Projects, log: Log, watcher: Watcher
) -> None:
    projects.say(lines.new_session(), "hello")
    done = drained(watcher, CLAUDE_HEADSPACE__FILE_WATCHER__SESSIONS="registered")
    assert (done.returncode, done.stderr) == (0, "")
    assert log.turns() == []


@pytest.mark.long
def test_alone_with_a_log_of_its_own(projects: Projects, central: Log) -> None:
    """As at the end of a job of CI: the embedded server too is started and stopped again."""
    path = projects.say(lines.new_session(), "hello")
    beside = path.with_suffix("") / "tool-results" / "one.txt"
    beside.parent.mkdir(parents=True)
    beside.write_text("what a tool said")
    with temporary_state() as state:
        environment = {
            **embedded_environment(state),
            "CLAUDE_HEADSPACE__CLAUDE__PROJECTS_PATH": str(projects.root),
            **forwarding(central),
        }
        done = drain_in(environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert not list(state.rglob("postmaster.pid"))
    assert central.texts(path.stem) == ["hello"]
    assert central.value("SELECT path FROM sidecars") == str(beside)
    assert central.value("SELECT count(*) FROM archive_pieces") == 2
