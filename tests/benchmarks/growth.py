"""Rows about a log that has become large: what an event costs, and what questions cost."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, text

from benchmarks.bench import Bench
from benchmarks.capturing import run_backlog
from benchmarks.figures import Result, percentile
from benchmarks.large_log import fill
from benchmarks.server import Log
from claude_headspace.store.engine import reading
from claude_headspace.store.queries import EventFilter, newest_events
from claude_headspace.store.totals import captured, count_events
from servers import embedded_environment

PAGE = 50


def growth(bench: Bench, result: Result) -> None:
    """The same backlog into an empty log and into a large one, in turns."""
    rows = bench.scale.grown_rows
    empty, large = "into an empty log", f"into a log of {rows:,} events"
    result.compare_with("us/event", empty)
    with _large_log(bench, result) as grown:
        for _ in range(bench.rounds):
            with bench.server.log() as log:
                _add_cost(bench, result, empty, log)
            _add_cost(bench, result, large, grown)
        _ask(bench, result, grown)


def _add_cost(bench: Bench, result: Result, name: str, log: Log) -> None:
    log.rows("DELETE FROM checkpoints")
    bench.server.commit()
    lines = bench.scale.backlog_lines
    with bench.place() as place:
        seconds, _ = run_backlog(bench, place, log, lines)
    result.add(name, 1e6 * seconds / lines, "us/event")


@contextmanager
def _large_log(bench: Bench, result: Result) -> Iterator[Log]:
    with bench.server.log() as log:
        began = time.monotonic()
        fill(log.rows, bench.scale.grown_rows)
        result.details["filled in, s"] = time.monotonic() - began
        result.details["sizes, bytes"] = dict(
            log.rows(
                "SELECT c.relname, pg_relation_size(c.oid) FROM pg_class c LEFT JOIN pg_index i"
                " ON i.indexrelid = c.oid WHERE 'events'::regclass IN (c.oid, i.indrelid)"
            )
        )
        yield log


Question = Callable[[Connection], int]


def _ask(bench: Bench, result: Result, log: Log) -> None:
    """Each question many times on one connection, and what Postgres does for it."""
    with reading(log.url) as connection:
        questions = _questions(connection)
        for name, question in questions.items():
            taken = [_timed(connection, question) for _ in range(bench.scale.query_repeats)]
            result.add(f"{name}, first time", taken[0], "ms")
            result.add(f"{name}, p50", percentile(taken, 50), "ms")
            result.add(f"{name}, p95", percentile(taken, 95), "ms")
        exactly = _timed(connection, lambda c: len(count_events(c, exactly=True).by_type))
        result.add("counts per type, counted exactly", exactly, "ms")
        result.details["plans"] = _plans(connection)
        session = _some_session(connection)
    for _ in range(bench.rounds):
        result.add("`events --session`, the whole command", _command(bench, log, session), "ms")


def _timed(connection: Connection, question: Question) -> float:
    started = time.perf_counter()
    found = question(connection)
    taken = time.perf_counter() - started
    assert found
    connection.rollback()
    return 1e3 * taken


def _some_session(connection: Connection) -> str:
    middle = "SELECT session_uuid::text FROM agents ORDER BY id OFFSET :n LIMIT 1"
    count = connection.execute(text("SELECT count(*) FROM agents")).scalar_one()
    return str(connection.execute(text(middle), {"n": count // 2}).scalar_one())


def _filters(connection: Connection) -> dict[str, tuple[EventFilter, int | None]]:
    agent = text("SELECT id FROM agents WHERE session_uuid::text = :session")
    some = {"session": _some_session(connection)}
    session = EventFilter(agent_id=connection.execute(agent, some).scalar_one())
    named = text("SELECT id FROM projects WHERE path = '/home/u/project-7'")
    projects = tuple(connection.scalars(named))
    newest = connection.execute(
        text("SELECT max(timestamp) FROM events WHERE project_id = :id"), {"id": projects[0]}
    ).scalar_one()
    day = EventFilter(project_ids=projects, since=newest - timedelta(days=1))
    return {
        "events of one session, newest 50": (session, PAGE),
        "events of one session, all": (session, None),
        "newest 50 events": (EventFilter(), PAGE),
        "newest 50 turns": (EventFilter(event_type="turn_detected"), PAGE),
        "one project's last day, newest 50": (day, PAGE),
        "one project's last day, all": (day, None),
    }


def _questions(connection: Connection) -> dict[str, Question]:
    questions: dict[str, Question] = {
        name: _page_of(wanted, limit) for name, (wanted, limit) in _filters(connection).items()
    }
    questions["counts per type"] = lambda c: len(count_events(c, exactly=False).by_type)
    questions["everything that `status` counts"] = lambda c: captured(c).sessions
    return questions


def _page_of(wanted: EventFilter, limit: int | None) -> Question:
    return lambda connection: len(connection.execute(newest_events(wanted, limit)).all())


def _plans(connection: Connection) -> dict[str, Any]:
    plans = {}
    for name, (wanted, limit) in _filters(connection).items():
        compiled = newest_events(wanted, limit).compile(connection)
        rows = connection.exec_driver_sql(
            f"EXPLAIN (ANALYZE, BUFFERS) {compiled}", compiled.params
        ).all()
        plans[name] = [row[0] for row in rows]
    return plans


def _command(bench: Bench, log: Log, session: str) -> float:
    environment = embedded_environment(bench.directory) | {"DATABASE_URL": log.url}
    command = [sys.executable, "-I", "-m", "claude_headspace.cli", "events", "--session", session]
    started = time.perf_counter()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout
    return 1e3 * (time.perf_counter() - started)
