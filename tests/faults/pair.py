"""Two servers, one of them an asynchronous standby of the other, and a failover between them."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg2

from claude_headspace.embedded import cluster
from claude_headspace.store import migrations
from faults.machine import children, query, signal_if_there, wait_for
from servers import temporary_state

SUPERUSER = "tester"
DATABASE = "pair"
_SETTINGS = """
listen_addresses = ''
max_connections = 60
wal_keep_size = 256MB
shared_buffers = 32MB
unix_socket_permissions = 0777
"""
_SOCKET_NAME = ".s.PGSQL.5432"


@dataclass
class Server:
    """One of the two: its folder holds its data and its socket."""

    home: Path
    binaries: Path
    owner: dict[str, object]
    process: subprocess.Popen[bytes] | None = None
    frozen: list[int] = field(default_factory=list)
    port: int = 5432

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def url(self) -> str:
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={self.home}&port={self.port}"

    def run(self, program: str, *arguments: str) -> None:
        """Run one of PostgreSQL's programs to its end."""
        done = subprocess.run(  # type: ignore[call-overload]
            [str(self.binaries / program), *arguments],
            env=cluster.server_environment(), cwd="/", capture_output=True, **self.owner,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr.decode()[-2000:]

    def make(self) -> None:
        """An empty cluster."""
        arguments = ["-A", "trust", "-U", SUPERUSER, "-E", "UTF8", "--no-locale", "--no-sync"]
        self.run("initdb", "-D", str(self.data), *arguments)
        self._configure()

    def copy(self, primary: Server) -> None:
        """A standby of the primary, in place of what was here."""
        shutil.rmtree(self.data, ignore_errors=True)
        source = ["-h", str(primary.home), "-U", SUPERUSER]
        how = ["-R", "-X", "stream", "-c", "fast", "--no-sync"]
        self.run("pg_basebackup", "-D", str(self.data), *source, *how)
        self._configure()

    def _configure(self) -> None:
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(f"{_SETTINGS}unix_socket_directories = '{self.home}'\n")

    def start(self) -> None:
        """Return when it answers."""
        with (self.home / "log").open("ab") as log:
            self.process = subprocess.Popen(  # type: ignore[call-overload]
                [str(self.binaries / "postgres"), "-D", str(self.data)],
                cwd="/", stderr=log, stdout=log, env=cluster.server_environment(), **self.owner,
            )  # fmt: skip
        wait_for(self.answers, "the server does not answer")

    def answers(self) -> bool:
        url = f"postgresql://{SUPERUSER}@/postgres?host={self.home}&port={self.port}"
        try:
            psycopg2.connect(url).close()
        except psycopg2.OperationalError:
            assert self.process is not None
            assert self.process.poll() is None, (self.home / "log").read_text()[-2000:]
            return False
        return True

    def freeze(self) -> None:
        """Stop every process of it where it is."""
        assert self.process is not None
        self.frozen = [self.process.pid, *children(self.process.pid)]
        for pid in self.frozen:
            signal_if_there(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self.frozen:
            signal_if_there(pid, signal.SIGCONT)
        self.frozen = []

    def stop(self) -> None:
        """At once, as in a crash."""
        self.thaw()
        if self.process is not None and self.process.poll() is None:
            senders = self.senders()
            self.process.send_signal(signal.SIGQUIT)
            for pid in senders:
                signal_if_there(pid, signal.SIGKILL)
            self.process.wait(60)

    def senders(self) -> list[int]:
        """The processes that send its history to the standby."""
        assert self.process is not None
        return [pid for pid in children(self.process.pid) if "walsender" in _title(pid)]


def _title(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


@dataclass
class Pair:
    """`primary` takes writes and `standby` follows it, until `fail_over` swaps them."""

    primary: Server
    standby: Server
    followers: list[Forwarder] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Of whichever is the primary now."""
        return self.primary.url

    @property
    def list_url(self) -> str:
        """Of both, for a client that finds the primary itself."""
        homes = sorted(str(server.home) for server in (self.primary, self.standby))
        hosts = f"host={','.join(homes)}&target_session_attrs=read-write"
        return f"postgresql://{SUPERUSER}@/{DATABASE}?{hosts}"

    def fail_over(self, lag_seconds: float) -> int:
        """The primary dies while the standby is so far behind; how many events are lost by it."""
        for pid in self.primary.senders():
            signal_if_there(pid, signal.SIGSTOP)
        time.sleep(lag_seconds)
        before = self._events()
        self.primary.stop()
        self.promote()
        return before - self._events()

    def promote(self) -> None:
        """The standby takes over, whatever the primary does."""
        self.primary, self.standby = self.standby, self.primary
        query(self.url, "SELECT pg_promote(true, 60)")
        for follower in self.followers:
            follower.target = self.primary.home

    def _events(self) -> int:
        return int(query(self.url, "SELECT count(*) FROM events")[0][0])

    @contextmanager
    def database(self) -> Iterator[str]:
        """The database anew, with the schema, on both; yields the address of both."""
        if self.standby.process is None or self.standby.process.poll() is not None:
            self.restore()
        maintenance = f"postgresql://{SUPERUSER}@/postgres?host={self.primary.home}"
        query(maintenance, f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        query(maintenance, f"CREATE DATABASE {DATABASE}")
        migrations.upgrade(self.url)
        wait_for(self._has_schema, "the standby does not follow")
        yield self.list_url

    def _has_schema(self) -> bool:
        try:
            return query(self.standby.url, "SELECT to_regclass('events')") != [(None,)]
        except psycopg2.OperationalError:
            return False

    def restore(self) -> None:
        """Make the dead one a standby of the other."""
        self.standby.copy(self.primary)
        self.standby.start()


class Forwarder(threading.Thread):
    """Listens like a server and passes everything on to the one that is the primary.

    With `hold`, a client that comes while there is none is kept waiting, as proxies do.
    """

    def __init__(self, home: Path, pair: Pair, *, hold: bool) -> None:
        super().__init__(daemon=True)
        self.url = f"postgresql://{SUPERUSER}@/{DATABASE}?host={home}"
        self.target = pair.primary.home
        self._hold = hold
        self._closed = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(home / _SOCKET_NAME))
        self._listener.listen()
        pair.followers.append(self)

    def run(self) -> None:
        with suppress(OSError):
            while not self._closed:
                client, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def close(self) -> None:
        """Accept nobody any more."""
        self._closed = True
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self, client: socket.socket) -> None:
        with client:
            server = self._connected()
            if server is None:
                return
            with server:
                back = threading.Thread(target=_pass_on, args=[client, server], daemon=True)
                back.start()
                _pass_on(server, client)
                back.join()

    def _connected(self) -> socket.socket | None:
        while not self._closed:
            server = socket.socket(socket.AF_UNIX)
            if server.connect_ex(str(self.target / _SOCKET_NAME)) == 0:
                return server
            server.close()
            if not self._hold:
                return None
            time.sleep(0.05)
        return None


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    for end in (source, target):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)


@contextmanager
def pair() -> Iterator[Pair]:
    """Two servers with an empty database; the standby follows."""
    with temporary_state() as state:
        cluster.make_passable(state)
        cluster.make_passable(state / "postgres")
        prepared, _ = cluster.prepare(state)
        servers = [_server(prepared, name) for name in ("a", "b")]
        try:
            servers[0].make()
            servers[0].start()
            query(
                f"postgresql://{SUPERUSER}@/postgres?host={servers[0].home}",
                f"CREATE DATABASE {DATABASE}",
            )
            it = Pair(servers[0], servers[1])
            it.restore()
            yield it
        finally:
            for server in servers:
                server.stop()


def _server(prepared: cluster.Cluster, name: str) -> Server:
    home = prepared.base / name
    cluster.make_directory(home, 0o711, prepared.owner)
    options = prepared.owner.subprocess_options()
    return Server(home, prepared.binaries.directory, options)


@contextmanager
def forwarder(it: Pair, *, hold: bool) -> Iterator[str]:
    """A running forwarder to the pair's primary; yields its address."""
    home = it.primary.home.parent / f"forward-{os.urandom(4).hex()}"
    home.mkdir(mode=0o711)
    made = Forwarder(home, it, hold=hold)
    made.start()
    try:
        yield made.url
    finally:
        made.close()
