"""A real Postgres for the tests: one server a worker, one fresh database a test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from harness import Log, Projects, Watcher
from servers import PostgresServer as PostgresServer
from servers import running_server, temporary_state

TEMPLATE = "headspace_template"
FIGURES = "figures"
STEERING = ("CLAUDE_", "PG", "DATABASE_URL", "PYTHON")


def pytest_configure(config: pytest.Config) -> None:
    """Keep the developer's own settings out of the tests, and a script's background as well.

    What runs there inherits that SIGINT is ignored, and would hand it on to all it starts.
    Generated examples are the same in each run, but new ones in a long run.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("repeated", derandomize=True)
    if config.getoption("markexpr") == "not long":
        settings.load_profile("repeated")
    for name in [name for name in os.environ if name.startswith(STEERING)]:
        del os.environ[name]


@pytest.fixture
def state_directory() -> Iterator[Path]:
    """A short state directory that the server's user can reach, gone after the test."""
    with temporary_state() as state:
        yield state


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """This worker's server."""
    with temporary_state() as state, running_server(state) as server:
        yield server


@pytest.fixture(scope="session")
def schema_template(postgres_server: PostgresServer) -> str:
    """The name of a database that holds the schema and nothing else."""
    from claude_headspace.store import migrations

    postgres_server.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
    migrations.upgrade(postgres_server.url(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database_url(postgres_server: PostgresServer, schema_template: str) -> Iterator[str]:
    """A fresh database with the schema in it."""
    with postgres_server.database(schema_template) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A fresh database without anything in it."""
    with postgres_server.database("template0") as url:
        yield url


@pytest.fixture
def projects(tmp_path: Path) -> Projects:
    """A directory for transcripts."""
    return Projects(tmp_path / "projects")


@pytest.fixture
def log(database_url: str) -> Log:
    """What is in the fresh database."""
    return Log(database_url)


@pytest.fixture
def watcher(tmp_path: Path, projects: Projects, log: Log) -> Iterator[Watcher]:
    """A watcher over that directory, which is not started yet."""
    made = Watcher(tmp_path, log.url, projects.root)
    yield made
    made.kill()


@pytest.hookimpl
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests recorded under the name "figures", one row each."""
    rows = [
        str(value)
        for reports in terminalreporter.stats.values()
        for report in reports
        if isinstance(report, pytest.TestReport)
        for name, value in report.user_properties
        if name == FIGURES
    ]
    if rows:
        terminalreporter.section("figures")
        for row in sorted(set(rows)):
            terminalreporter.write_line(row)
