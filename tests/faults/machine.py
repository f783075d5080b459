"""A Postgres of its own that can be stopped, crashed, frozen and filled."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import psycopg2

from claude_headspace.embedded import cluster, location
from claude_headspace.store import migrations
from claude_headspace.watcher.lease import APPLICATION_NAME
from servers import temporary_state

T = TypeVar("T")
TEMPLATE = "fault_template"
SMALL_MEGABYTES = 200
# Root in a user namespace of its own may not enter what is another user's.
_SETTINGS = "max_connections = 60\nunix_socket_permissions = 0777\n"
# Mounts a small file system that only this server sees, and becomes the server.
_ON_SMALL_DISK = 'mount -t tmpfs -o "$1" none "$2"; shift 2; exec "$@"'


def wait_for(condition: Callable[[], T], problem: str, seconds: float = 60.0) -> T:
    """Wait until the condition holds and return what it gave."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"{problem} within {seconds:g} s"
        time.sleep(0.03)
    return value


def namespaces_work() -> bool:
    """Whether this user may mount a file system in a namespace of their own."""
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run(
        [*_apart(), "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


def _apart() -> list[str]:
    """What runs a program where it may mount; root needs no user namespace for that."""
    return ["unshare", "-Ucm", "--keep-caps"] if os.getuid() else ["unshare", "-m"]


@dataclass
class Machine:
    """One server; `small` is a directory on a small file system of its own, if there is one."""

    state: Path
    cluster: cluster.Cluster
    socket: Path
    small: Path | None = None
    process: subprocess.Popen[bytes] | None = None
    frozen: list[int] = field(default_factory=list)

    def url(self, database: str) -> str:
        return location.socket_url(self.socket, database)

    def start(self) -> None:
        """Start it; return when it answers."""
        owner = {} if self.small else self.cluster.owner.subprocess_options()
        with (self.state / "server.log").open("ab") as log:
            self.process = subprocess.Popen(  # type: ignore[call-overload]
                self._command(), cwd="/", stderr=log, env=cluster.server_environment(), **owner
            )
        wait_for(self.answers, "the server does not answer")

    def _command(self) -> list[str]:
        program = str(self.cluster.binaries.directory / "postgres")
        command = [program, "-D", str(self.cluster.data)]
        if self.small is None:
            return command
        owner = self.cluster.owner
        if owner.borrowed:
            identity = [f"--reuid={owner.uid}", f"--regid={owner.gid}", "--clear-groups"]
            command = ["setpriv", *identity, *command]
        options = f"size={SMALL_MEGABYTES}m,mode=0700,uid={owner.uid},gid={owner.gid}"
        return [*_apart(), "sh", "-ec", _ON_SMALL_DISK, "sh", options, str(self.small), *command]

    def answers(self) -> bool:
        try:
            psycopg2.connect(self.url("postgres")).close()
        except psycopg2.OperationalError:
            assert self.process is not None
            assert self.process.poll() is None, (self.state / "server.log").read_text()[-2000:]
            return False
        return True

    def stop(self, number: int = signal.SIGINT) -> None:
        """SIGINT stops it fast, SIGQUIT as in a crash."""
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(60)

    def crash(self) -> None:
        """Stop it at once (`-m immediate`): what was not on the disk is gone."""
        self.stop(signal.SIGQUIT)

    def freeze(self) -> None:
        """Stop every process of the server where it is."""
        assert self.process is not None
        self.frozen = [self.process.pid, *children(self.process.pid)]
        for pid in self.frozen:
            signal_if_there(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self.frozen:
            signal_if_there(pid, signal.SIGCONT)
        self.frozen = []

    def fill(self) -> None:
        """Leave the small file system without a free byte."""
        with self._ballast().open("wb") as ballast:
            try:
                while True:
                    ballast.write(b"\1" * 65536)
                    ballast.flush()
            except OSError:
                return

    def make_room(self) -> None:
        self._ballast().unlink()

    def _ballast(self) -> Path:
        assert self.process is not None
        assert self.small is not None
        return Path(f"/proc/{self.process.pid}/root{self.small}/ballast")

    def execute(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """One statement in no transaction, in the database postgres."""
        return query(self.url("postgres"), statement, values)

    def terminate(self) -> int:
        """End every connection of a watcher; how many there were."""
        return len(
            self.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = %s",
                (APPLICATION_NAME,),
            )
        )

    @contextmanager
    def database(self) -> Iterator[str]:
        """A fresh database with the schema; yields its address."""
        name = f"fault_{uuid.uuid4().hex}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        try:
            yield self.url(name)
        finally:
            if self.process is not None and self.process.poll() is not None:
                self.start()
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


def query(url: str, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """Rows of one statement outside of any transaction."""
    connection = psycopg2.connect(url)
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement, values or None)
            return list(cursor.fetchall()) if cursor.description else []
    finally:
        connection.close()


def children(pid: int) -> list[int]:
    """Pids of the children of a process."""
    found = subprocess.run(["pgrep", "-P", str(pid)], capture_output=True, text=True, check=False)
    return [int(child) for child in found.stdout.split()]


def signal_if_there(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


@contextmanager
def machine(*, small_disk: bool = False, settings: str = "") -> Iterator[Machine]:
    """A running server with durable commits; on a small disk if that is wanted."""
    with temporary_state() as state:
        cluster.make_passable(state)
        cluster.make_passable(state / "postgres")
        prepared, record = cluster.prepare(state)
        local = prepared.data / cluster.LOCAL_SETTINGS
        local.write_text(_SETTINGS + settings)
        local.chmod(0o644)
        cluster.write_settings(prepared, record.socket)
        record.socket.chmod(0o711)
        it = Machine(state, prepared, record.socket)
        if small_disk:
            it.small = prepared.base / "small"
            cluster.make_directory(it.small, 0o700, prepared.owner)
        try:
            it.start()
            _make_template(it)
            yield it
        finally:
            it.thaw()
            if it.process is not None and it.process.poll() is None:
                it.stop()


def _make_template(it: Machine) -> None:
    where = ""
    if it.small is not None:
        it.execute(f"CREATE TABLESPACE small LOCATION '{it.small}'")
        where = " TABLESPACE small"
    it.execute(f"CREATE DATABASE {TEMPLATE} TEMPLATE template0{where}")
    migrations.upgrade(it.url(TEMPLATE))
