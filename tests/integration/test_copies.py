"""The guess whose turns a session repeats, in a log that was made by hand."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from uuid import UUID

import pytest

from claude_headspace.store.connection import Database, Row
from claude_headspace.store.copies import Copies
from harness import Log

# Session n repeats the first `shared` turns of session 0 and then has `own` turns; session 0 goes
# on last.
FAMILY = """
    INSERT INTO projects (machine, path) VALUES (md5('h')::uuid, '/p');
    INSERT INTO agents (session_uuid, project_id, working_directory, copies)
      SELECT md5('session' || n)::uuid, 1, '/p', 'due' FROM generate_series(0, {forks}) n;
    INSERT INTO events (timestamp, event_type, payload, project_id, agent_id, session_uuid,
        event_key)
      SELECT '2026-01-01'::timestamptz + t * interval '1 s'
          + CASE WHEN t > {shared} AND n = 0 THEN interval '1 day' ELSE '0' END,
        'turn_detected', '{{}}', 1, a.id, a.session_uuid,
        md5(CASE WHEN t > {shared} THEN n || 'own' || t ELSE 'shared' || t END)::uuid
      FROM generate_series(0, {forks}) n, generate_series(1, {shared} + {own}) t, agents a
      WHERE a.session_uuid = md5('session' || n)::uuid;
    ANALYZE
"""


class Counting(Database):
    """Counts the statements."""

    statements = 0

    def execute(
        self,
        statement: str,
        values: Sequence[Any] | Mapping[str, Any] = (),
        meanwhile: Callable[[], bool] | None = None,
    ) -> list[Row]:
        self.statements += 1
        return super().execute(statement, values, meanwhile)


def learn_nothing(session: UUID, original: UUID | None, copies: str | None) -> None:
    pass


@pytest.fixture
def database(database_url: str) -> Iterator[Counting]:
    made = Counting(lambda: database_url, application_name="test")
    made.connect()
    yield made
    made.close()


def commit(database: Counting, forks: int, shared: int = 4, own: int = 2) -> int:
    """Make a family, find out who copied from whom; how many statements that took."""
    database.execute("TRUNCATE events, agents, projects RESTART IDENTITY CASCADE")
    database.execute(FAMILY.format(forks=forks, shared=shared, own=own))
    copies = Copies(database, learn_nothing)
    before = database.statements
    while copies.step():
        pass
    return database.statements - before


def test_the_one_that_goes_on_last_is_the_original(database: Counting, database_url: str) -> None:
    commit(database, forks=3)
    log = Log(database_url)
    marked = "count(*) FILTER (WHERE annotations ? 'copy_of')"
    rows = log.rows(
        f"SELECT a.id, {marked}, a.forked_from = md5('session0')::uuid FROM events e"
        " JOIN agents a ON a.id = e.agent_id GROUP BY a.id ORDER BY a.id"
    )
    assert rows == [(1, 0, None), (2, 4, True), (3, 4, True), (4, 4, True)]


def test_one_without_turns_of_its_own_is_looked_into_again(
    database: Counting, database_url: str
) -> None:
    commit(database, forks=1, own=0)
    log = Log(database_url)
    assert log.rows("SELECT DISTINCT copies FROM agents") == [("open",)]


def test_statements_grow_with_the_sessions(database: Counting) -> None:
    once = commit(database, forks=20)
    assert commit(database, forks=40) <= 2 * once


@pytest.mark.long
def test_time_grows_with_the_turns(database: Counting) -> None:
    def took(forks: int) -> float:
        best = 1e9
        for _ in range(3):
            database.execute("TRUNCATE events, agents, projects RESTART IDENTITY CASCADE")
            database.execute(FAMILY.format(forks=forks, shared=200, own=20))
            copies = Copies(database, learn_nothing)
            began = time.monotonic()
            while copies.step():
                pass
            best = min(best, time.monotonic() - began)
        return best

    assert took(80) < 3 * took(40)
