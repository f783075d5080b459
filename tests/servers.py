"""Real servers for tests, and what they leave behind removed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg2

from claude_headspace.embedded import cluster, location

START_SECONDS = 60.0
STOP_SECONDS = 30.0


@dataclass(frozen=True)
class PostgresServer:
    """The server of this test run; `state` is its state directory."""

    state: Path
    record: location.ServerRecord

    def url(self, database: str) -> str:
        """The address of one of its databases."""
        return location.socket_url(self.record.socket, database)

    def execute(self, statement: str) -> None:
        """Run a statement that no transaction may hold, such as CREATE DATABASE."""
        connection = psycopg2.connect(self.url("postgres"))
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    @contextmanager
    def database(self, template: str) -> Iterator[str]:
        """A database of its own for one test; yields its address."""
        name = f"test_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.execute(f"DROP DATABASE {name} WITH (FORCE)")


def remove_state(state: Path) -> None:
    """Remove a state directory, and what root's server keeps outside of it."""
    shutil.rmtree(cluster.SYSTEM_BASE / location.state_key(state), ignore_errors=True)
    shutil.rmtree(location.short_directory(state), ignore_errors=True)
    shutil.rmtree(state)


def embedded_environment(state: Path) -> dict[str, str]:
    """The environment of a program of ours with default settings and this state directory."""
    return {
        **os.environ,
        "CLAUDE_HEADSPACE_CONFIG": "/dev/null",
        "CLAUDE_HEADSPACE__STATE__DIRECTORY": str(state),
    }


def wait_for_server(process: subprocess.Popen[bytes], url: str) -> None:
    """Return when the server answers; fail when it ends or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while not answers(url):
        assert process.poll() is None, f"the server ended with {process.returncode}"
        assert time.monotonic() < deadline, "the server did not start"
        time.sleep(0.02)


def stop(process: subprocess.Popen[bytes]) -> None:
    """End a server by the fast shutdown, or by force when that takes too long."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(url: str) -> bool:
    """Whether a connection to this address can be made now."""
    try:
        psycopg2.connect(url).close()
    except psycopg2.OperationalError:
        return False
    return True


@contextmanager
def running_server(state: Path) -> Iterator[PostgresServer]:
    """The embedded server in this state directory, without the cost of durability."""
    cluster.make_passable(state)
    cluster.make_passable(state / "postgres")
    prepared, record = cluster.prepare(state)
    local = prepared.data / cluster.LOCAL_SETTINGS
    local.write_text("fsync = off\nmax_connections = 100\n")
    local.chmod(0o644)
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "claude_headspace.embedded"],
        env=embedded_environment(state),
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_for_server(process, record.url)
        yield PostgresServer(state, record)
    finally:
        stop(process)


@contextmanager
def temporary_state() -> Iterator[Path]:
    """A short state directory that the server's user can reach, gone afterwards."""
    parent = Path(tempfile.mkdtemp(prefix="headspace-"))
    parent.chmod(0o711)
    try:
        yield parent / "var"
    finally:
        if (parent / "var").exists():
            remove_state(parent / "var")
        shutil.rmtree(parent)
