"""The Postgres that is measured: the embedded one with its own settings, fsync included."""

from __future__ import annotations

import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg2

from claude_headspace.embedded import cluster
from claude_headspace.store import migrations
from servers import PostgresServer, embedded_environment, stop, wait_for_server

TEMPLATE = "benchmark_template"
LOOK_SECONDS = 0.05


class NotReachedError(RuntimeError):
    """Something that was waited for did not come."""


@dataclass(frozen=True, slots=True)
class Log:
    """One database with the schema in it."""

    url: str

    def rows(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run one statement by itself; what it returns."""
        with closing(psycopg2.connect(self.url)) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, parameters)
                return [] if cursor.description is None else cursor.fetchall()

    def value(self, statement: str, parameters: Any = None) -> Any:
        """The first column of the first row."""
        return self.rows(statement, parameters)[0][0]

    def wait_for(self, statement: str, least: float, what: str, seconds: float) -> None:
        """Return once the statement's value is at least so much."""
        deadline = time.monotonic() + seconds
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            connection.autocommit = True
            while True:
                cursor.execute(statement)
                found = cursor.fetchone()
                reached = (found and found[0]) or 0
                if reached >= least:
                    return
                if time.monotonic() > deadline:
                    raise NotReachedError(f"{what}: {reached} of {least} after {seconds:.0f} s")
                time.sleep(LOOK_SECONDS)

    def wait_for_events(self, count: int, seconds: float) -> None:
        """Return once so many turns are committed; asks the sequence until it can be true."""
        asked = "SELECT last_value FROM events_id_seq"
        self.wait_for(asked, count, "turns given an id", seconds)
        counted = "SELECT count(*) FROM events WHERE event_type = 'turn_detected'"
        self.wait_for(counted, count, "turns committed", seconds)

    def wait_for_bytes(self, count: int, seconds: float) -> None:
        """Return once so many bytes of transcripts are committed."""
        asked = "SELECT sum(committed_offset) FROM checkpoints"
        self.wait_for(asked, count, "bytes committed", seconds)

    def commit_times(self, key: str = "event_key::text") -> dict[str, float]:
        """When each turn was committed, in epoch seconds, by its line's uuid."""
        rows = self.rows(
            f"SELECT {key}, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8"
            " FROM events WHERE event_type = 'turn_detected'"
        )
        return {row[0]: row[1] for row in rows}

    def last_commit(self) -> float:
        """When the last event was committed, in epoch seconds."""
        return float(
            self.value(
                "SELECT extract(epoch FROM max(pg_xact_commit_timestamp(xmin)))::float8 FROM events"
            )
        )

    def events_per_transaction(self) -> float:
        """1 when each event has a transaction of its own."""
        return float(self.value("SELECT count(*)::float8 / count(DISTINCT xmin::text) FROM events"))


@dataclass(frozen=True, slots=True)
class Server:
    """The running server."""

    postgres: PostgresServer

    @property
    def pid(self) -> int:
        """The process that all others of the server come from."""
        file = str(Log(self.postgres.url("postgres")).value("SHOW data_directory"))
        return int((Path(file) / "postmaster.pid").read_text().splitlines()[0])

    @property
    def version(self) -> str:
        return str(Log(self.postgres.url("postgres")).value("SHOW server_version"))

    @contextmanager
    def log(self, template: str = TEMPLATE) -> Iterator[Log]:
        """An empty log of its own, on a server that has nothing left to write."""
        name = f"benchmark_{uuid.uuid4().hex}"
        self.postgres.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        self.commit()
        try:
            yield Log(self.postgres.url(name))
        finally:
            self.postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def commit(self) -> None:
        """A checkpoint, so that no measurement pays for what went before it."""
        self.postgres.execute("CHECKPOINT")


@contextmanager
def durable_server(state: Path, settings: str = "") -> Iterator[Server]:
    """The embedded server as `deploy/run` would start it, with settings of one's own."""
    cluster.make_passable(state)
    cluster.make_passable(state / "postgres")
    prepared, record = cluster.prepare(state)
    local = prepared.data / cluster.LOCAL_SETTINGS
    local.write_text(settings)
    local.chmod(0o644)
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "claude_headspace.embedded"],
        env=embedded_environment(state),
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_server(process, record.url)
        postgres = PostgresServer(state, record)
        postgres.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0")
        migrations.upgrade(postgres.url(TEMPLATE))
        yield Server(postgres)
    finally:
        stop(process)
