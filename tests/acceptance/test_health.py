"""What `/health` says, and how fast, while the things it looks at are really broken."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from supervised import Supervised, free_port, kill, supervised, wait_for

from claude_headspace.supervision.control import watcher_is_running
from claude_headspace.web.access_token import token_of
from servers import PostgresServer

BROKEN_LISTENER = f"{sys.executable} -I -c 'import missing_module_of_the_guard'"
WEB = f"""
[program:web]
command = {sys.executable} -I -m claude_headspace.web
autorestart = true
startsecs = 2
startretries = 10
stdout_logfile = NONE
stderr_logfile = NONE
"""
QUICK = [(0.05, "1")] * 30


@dataclass
class Site:
    """The web application of one supervisord under test."""

    it: Supervised
    port: int

    def ask(self, path: str = "/health") -> tuple[int, Any, float]:
        """HTTP status, body, and the seconds that it took."""
        began = time.monotonic()
        try:
            request = urllib.request.Request(
                f"http://127.0.0.1:{self.port}{path}",
                headers={"Authorization": f"Bearer {token_of(self.it.state)}"},
            )
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                status, body = answer.status, answer.read()
        except urllib.error.HTTPError as error:
            with error:
                status, body = error.code, error.read()
        return status, json.loads(body), time.monotonic() - began

    def expect(self, status: str, code: int, *words: str, seconds: float = 15.0) -> Any:
        """Wait for this verdict with these words in its reasons; each answer must be in time."""
        seen: list[Any] = []

        def matches() -> Any:
            found, body, taken = self.ask()
            assert taken < 1.0
            seen[:] = [found, body["status"], body["reasons"]]
            text = " | ".join(body["reasons"])
            hit = (found, body["status"]) == (code, status) and all(word in text for word in words)
            return body if hit else None

        try:
            return wait_for(matches, "another verdict", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: last seen {seen}") from error

    def text(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return str(answer.read().decode())


@contextmanager
def site(state: Path, server: PostgresServer, **options: Any) -> Iterator[Site]:
    port = free_port()
    settings = {
        "web": {"port": port},
        "database": {"url": server.url("postgres")},
        **options.pop("settings", {}),
    }
    with supervised(state, settings=settings, **options) as it:
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "claude_headspace.web"],
            env=it.environment,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_for(lambda: listens(port), "the web application does not answer")
            yield Site(it, port)
        finally:
            process.terminate()
            process.wait(10)


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture
def postmaster(postgres_server: PostgresServer) -> Iterator[int]:
    """The server's main process, running again after the test whatever happened in it."""
    pid = int((postgres_server.record.data / "postmaster.pid").read_text().split()[0])
    yield pid
    kill(pid, signal.SIGCONT)


def test_all_is_well(state_directory: Path, postgres_server: PostgresServer) -> None:
    with site(state_directory, postgres_server) as it:
        body = it.expect("healthy", 200)
        watcher = body["checks"]["watcher"]
        assert watcher["running"]
        assert watcher["pid"] == it.it.pid_of() == watcher["status_pid"]
        assert body["checks"]["guard"]["alive"]
        assert body["checks"]["database"]["reachable"]
        assert it.ask("/health/live")[0] == 200
        assert it.ask("/health/ready")[0] == 200
        metrics = it.text("/metrics")
        assert 'headspace_health{status="healthy"} 1.0' in metrics
        assert "headspace_up 1.0" in metrics


def test_a_stopped_watcher(state_directory: Path, postgres_server: PostgresServer) -> None:
    with site(state_directory, postgres_server) as it:
        it.expect("healthy", 200)
        assert watcher_is_running(it.it.config)
        it.it.ctl("stop", "watcher")
        assert not watcher_is_running(it.it.config)
        it.expect(
            "degraded",
            200,
            "the watcher is stopped; to start it: claude-headspace supervisorctl start",
        )


def test_a_crash_loop(state_directory: Path, postgres_server: PostgresServer) -> None:
    with site(state_directory, postgres_server, plan=QUICK) as it:
        body = it.expect("degraded", 200, "given up (crash loop: 5 restarts in 60 s)", seconds=40)
        assert body["checks"]["watcher"]["tripped"]
        assert body["checks"]["guard"]["restarts_in_window"] == 5
        assert "headspace_watcher_crash_loop 1.0" in it.text("/metrics")


def test_a_stuck_watcher_and_a_stuck_guard(
    state_directory: Path, postgres_server: PostgresServer
) -> None:
    with site(state_directory, postgres_server) as it:
        it.expect("healthy", 200)
        # The guard judges by silence once it has heard the watcher, twice a second.
        wait_for(lambda: it.it.seconds_up() > 2, "the watcher has not been up for two seconds")
        listener = it.it.pid_of("guard")
        kill(listener, signal.SIGSTOP)
        kill(it.it.pid_of(), signal.SIGSTOP)
        it.expect("degraded", 200, "the watcher is stuck", "heartbeat")
        kill(listener, signal.SIGCONT)
        it.expect("healthy", 200)
        kill(it.it.pid_of("guard"), signal.SIGSTOP)
        it.expect("degraded", 200, "the guard does not respond", seconds=30)


def test_a_guard_without_its_listener(
    state_directory: Path, postgres_server: PostgresServer
) -> None:
    with site(state_directory, postgres_server, listener=BROKEN_LISTENER) as it:
        body = it.expect("degraded", 200, "the guard is BACKOFF")
        assert not body["checks"]["guard"]["alive"]


def test_a_guard_without_its_inner_half(
    state_directory: Path, postgres_server: PostgresServer
) -> None:
    with site(state_directory, postgres_server, enforcer=False) as it:
        it.expect("degraded", 200, "the guard's plugin in supervisord is missing")


def test_a_frozen_postgres(
    state_directory: Path, postgres_server: PostgresServer, postmaster: int
) -> None:
    with site(state_directory, postgres_server) as it:
        it.expect("healthy", 200)
        kill(postmaster, signal.SIGSTOP)
        it.expect("degraded", 200, "Postgres does not answer: no answer")
        assert it.ask("/health/ready")[0] == 503
        assert it.ask("/health/live")[0] == 200
        kill(postmaster, signal.SIGCONT)
        it.expect("healthy", 200)


def test_an_absent_postgres(state_directory: Path, postgres_server: PostgresServer) -> None:
    nowhere = {"database": {"url": f"postgresql:///postgres?host={state_directory}"}}
    with site(state_directory, postgres_server, settings=nowhere) as it:
        it.expect("degraded", 200, "Postgres does not answer: ")
        assert it.ask("/health/ready")[0] == 503


def test_supervisord_frozen_and_dead(
    state_directory: Path, postgres_server: PostgresServer, postmaster: int
) -> None:
    with site(state_directory, postgres_server) as it:
        it.expect("healthy", 200)
        process, watcher = it.it.process, it.it.pid_of()
        assert process is not None
        kill(process.pid, signal.SIGSTOP)
        kill(postmaster, signal.SIGSTOP)
        it.expect("degraded", 200, "supervisord does not answer", "Postgres does not answer")
        kill(watcher, signal.SIGSTOP)
        it.expect("down", 503, "supervisord does not answer", "heartbeat")
        kill(watcher, signal.SIGCONT)
        it.expect("degraded", 200, "supervisord does not answer")
        kill(process.pid, signal.SIGKILL)
        process.wait()
        it.expect("down", 503, "supervisord is not running", "has ended")


def test_the_web_application_outlives_supervisord_and_makes_way(
    state_directory: Path, postgres_server: PostgresServer
) -> None:
    port = free_port()
    settings = {"web": {"port": port}, "database": {"url": postgres_server.url("postgres")}}
    with supervised(state_directory, settings=settings, further_configuration=WEB) as it:
        answers = Site(it, port)
        wait_for(lambda: listens(port), "the web application does not answer")
        answers.expect("healthy", 200)
        first = it.pid_of("web")
        assert it.process is not None
        it.process.kill()
        it.process.wait()
        try:
            answers.expect("down", 503, "supervisord is not running")
            it.start()
            it.wait_state("RUNNING", "web")
            assert it.pid_of("web") != first
            wait_for(lambda: listens(port), "the other web application does not answer")
            answers.expect("healthy", 200)
        finally:
            kill(first, signal.SIGKILL)


def write_torn(path: Path) -> None:
    path.write_text('{"version": 1, "pi')


def write_foreign(path: Path) -> None:
    path.write_text(json.dumps({"version": 99}))


def write_future(path: Path) -> None:
    values = json.loads(path.read_text())
    path.write_text(json.dumps({**values, "beat_at": time.time() + 3600}))


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (Path.unlink, "has written no status"),
        (write_torn, "incomplete or damaged"),
        (write_foreign, "unknown format (version 99"),
        (write_future, "s in the future: check the clock"),
    ],
    ids=["missing", "torn", "foreign", "future"],
)
def test_a_bad_status_file(
    state_directory: Path,
    postgres_server: PostgresServer,
    damage: Callable[[Path], None],
    words: str,
) -> None:
    with site(state_directory, postgres_server) as it:
        it.expect("healthy", 200)
        (state_directory / "no-status").touch()
        time.sleep(0.5)
        damage(state_directory / "watcher-status.json")
        it.expect("degraded", 200, words, f"pid {it.it.pid_of()}")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"state": "waiting", "reason": "Postgres is away"}, "is waiting: Postgres is away"),
        ({"failing_since": 1.0, "last_error": "disk full"}, "writes have been failing since"),
        ({"backlog_bytes": 5_000_000, "oldest_unread_at": 1.0}, "the watcher lags: 5.0 MB"),
        (
            {"backlog_bytes": 5_000_000, "oldest_unread_at": 1.0, "advanced_at": 1.0},
            "makes no progress: 5.0 MB",
        ),
    ],
)
def test_a_watcher_that_does_not_work(
    state_directory: Path,
    postgres_server: PostgresServer,
    values: dict[str, object],
    words: str,
) -> None:
    with site(state_directory, postgres_server) as it:
        it.expect("healthy", 200)
        (state_directory / "extra.json.new").write_text(json.dumps(values))
        (state_directory / "extra.json.new").replace(state_directory / "extra.json")
        it.expect("degraded", 200, words)


def test_foreign_names_and_paths_are_refused(
    state_directory: Path, postgres_server: PostgresServer
) -> None:
    with site(state_directory, postgres_server) as it:
        for host in ("evil.example", f"evil.example:{it.port}", "127.0.0.1.evil.example", ""):
            assert status_for(it.port, host) == 403
        for host in ("localhost", f"localhost:{it.port}", f"127.0.0.1:{it.port}", "[::1]:1"):
            assert status_for(it.port, host) == 200
        assert it.ask("/health")[1]["status"]
        assert "Access-Control-Allow-Origin" not in headers_for(it.port)


def status_for(port: int, host: str) -> int:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.putrequest("GET", "/health/live", skip_host=True)
        connection.putheader("Host", host)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


def headers_for(port: int) -> dict[str, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/health/live", headers={"Origin": "http://evil.example"})
        return dict(connection.getresponse().headers)
    finally:
        connection.close()


def test_bad_configuration_ends_the_web_application_with_its_own_status(
    state_directory: Path,
) -> None:
    done = subprocess.run(
        [sys.executable, "-I", "-m", "claude_headspace.web"],
        env=os.environ | {"CLAUDE_HEADSPACE__WEB__PORT": "many"},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 78
    assert "web.port" in done.stderr
