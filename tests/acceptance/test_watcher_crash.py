"""Postgres crashes: what it had not yet written to disk is lost, and must be read again."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psycopg2
import pytest

from claude_headspace.store import migrations
from harness import WAIT_SECONDS, Log, Projects, Watcher, assert_exactly_captured, wait_until
from servers import answers, running_server, temporary_state


@pytest.fixture
def crashing_url() -> Iterator[str]:
    """A database on a server of its own, which may crash."""
    with temporary_state() as state, running_server(state) as server:
        server.execute("CREATE DATABASE crashing TEMPLATE template0")
        url = server.url("crashing")
        migrations.upgrade(url)
        yield url


def crash(log: Log) -> None:
    """Kill a backend: the server throws away its memory and recovers from its disk."""
    backends = log.other_backends()
    if backends:
        os.kill(backends[0], signal.SIGKILL)
    wait_until(lambda: answers(log.url), "the server recovers")


def captured(log: Log) -> int:
    """Turns in the log; -1 while the server recovers."""
    try:
        return log.count("turn_detected")
    except psycopg2.OperationalError:
        return -1


def _has_moved(log: Log, before: int) -> bool:
    return captured(log) != before


def test_crashes_in_the_middle_of_a_backlog(crashing_url: str, tmp_path: Path) -> None:
    projects, log = Projects(tmp_path / "projects"), Log(crashing_url)
    projects.fill(sessions=8, turns=400)
    expected = len(projects.turns())
    dice = random.Random(3)
    crashes = 0
    deadline = time.monotonic() + WAIT_SECONDS
    with Watcher(tmp_path, log.url, projects.root).running() as watcher:
        while crashes < 8 and captured(log) < expected:
            before = captured(log)
            wait_until(partial(_has_moved, log, before), "progress")
            time.sleep(dice.random() * 0.05)
            crash(log)
            crashes += 1
            assert time.monotonic() < deadline
        assert_exactly_captured(projects, log)
        assert log.count("session_registered") == 8
    assert crashes >= 2
    assert "Traceback" not in watcher.told()
    counts = log.rows(
        "SELECT (counts->>'turns')::int, (counts->>'duplicates')::int FROM checkpoints"
    )
    assert (sum(t for t, _ in counts), sum(d for _, d in counts)) == (expected, 0)
