from __future__ import annotations

import fcntl
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psycopg2
import pytest

from claude_headspace.embedded import cluster, location
from servers import (
    START_SECONDS,
    STOP_SECONDS,
    answers,
    embedded_environment,
    stop,
    wait_for_server,
)

PROGRAM = [sys.executable, "-I", "-m", "claude_headspace.embedded"]
NOT_NEEDED = 100
T = TypeVar("T")


@contextmanager
def program(state: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """The program as supervisord runs it; its messages go to a file beside the state."""
    with (state.parent / "messages").open("ab") as messages:
        process = subprocess.Popen(
            PROGRAM, env={**embedded_environment(state), **environ}, stderr=messages
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            stop(process)


@contextmanager
def serving(state: Path) -> Iterator[subprocess.Popen[bytes]]:
    with program(state) as process:
        wait_for_server(process, wait_for_record(state).url)
        yield process


def wait_for_record(state: Path) -> location.ServerRecord:
    return wait_for(lambda: location.server_record(state))


def wait_for(look: Callable[[], T | None]) -> T:
    deadline = time.monotonic() + START_SECONDS
    while not (found := look()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.02)
    return found


def catches(process: subprocess.Popen[bytes], number: signal.Signals) -> int:
    """Whether it has a handler of its own for a signal."""
    (line,) = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{process.pid}/status").read_text())
    return int(line, 16) & 1 << number - 1


def messages(state: Path) -> str:
    return (state.parent / "messages").read_text()


def query(state: Path, statement: str) -> Any:
    connection = psycopg2.connect(wait_for_record(state).url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchone() if cursor.description else None
    finally:
        connection.close()


def data_of(state: Path) -> Path:
    return wait_for_record(state).data


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def ended(state: Path) -> int:
    """The status with which a start ends by itself."""
    with program(state) as process:
        return process.wait(START_SECONDS)


def test_it_serves_a_private_utf8_database_without_tcp(state_directory: Path) -> None:
    before = mode(state_directory.parent)
    with serving(state_directory):
        assert query(
            state_directory,
            "SELECT current_database(), current_user, current_setting('listen_addresses'),"
            " current_setting('server_encoding'), datcollate, current_setting('fsync'),"
            " current_setting('jit'), current_setting('track_commit_timestamp')"
            " FROM pg_database WHERE datname = current_database()",
        ) == ("headspace", "headspace", "", "UTF8", "C", "on", "off", "on")
        record = wait_for_record(state_directory)
        assert mode(record.data) == 0o700
        assert mode(record.socket) == 0o700
        assert mode(location.record_path(state_directory)) == 0o600
        assert record.data == state_directory / "postgres" / "data"
        assert pwd.getpwnam(record.user).pw_uid == record.data.stat().st_uid != 0
    assert mode(state_directory.parent) == before


def test_nobody_else_gets_in(state_directory: Path) -> None:
    with serving(state_directory) as process:
        record = wait_for_record(state_directory)
        record.socket.chmod(0o711)
        (record.socket / location.SERVER_SOCKET).chmod(0o777)
        other: dict[str, Any] = {"user": "nobody"} if os.getuid() == 0 else {}
        role = "headspace" if other else "postgres"
        psql = [str(record.bin / "psql"), "-h", str(record.socket), "-U", role, "headspace"]
        done = subprocess.run(
            [*psql, "-c", "SELECT 1"],
            stderr=subprocess.PIPE,
            encoding="utf-8",
            cwd="/",
            check=False,
            **other,
        )
        assert done.returncode == 2
        assert "authentication failed" in done.stderr or "no pg_hba.conf entry" in done.stderr
        assert process.poll() is None


def test_a_second_start_keeps_the_data(state_directory: Path) -> None:
    with serving(state_directory) as process:
        query(state_directory, "CREATE TABLE kept AS SELECT 7 AS value")
        stop(process)
        assert process.returncode == 0
    with serving(state_directory):
        assert query(state_directory, "SELECT value FROM kept") == (7,)
    assert messages(state_directory).count("preparing a database") == 1


def test_it_comes_back_after_kill(state_directory: Path) -> None:
    with serving(state_directory) as process:
        query(state_directory, "CREATE TABLE kept AS SELECT 7 AS value")
        process.kill()
        process.wait(STOP_SECONDS)
        assert (data_of(state_directory) / "postmaster.pid").exists()
    # Children of the dead server may hold its memory for a moment; supervisord starts it again.
    with wait_for_start(state_directory):
        assert query(state_directory, "SELECT value FROM kept") == (7,)


@contextmanager
def wait_for_start(state: Path) -> Iterator[None]:
    deadline = time.monotonic() + START_SECONDS
    while True:
        with program(state) as process:
            url = wait_for_record(state).url
            while process.poll() is None and not answers(url):
                time.sleep(0.02)
            if process.poll() is None:
                yield
                return
        assert time.monotonic() < deadline, messages(state)


@pytest.mark.parametrize("frozen", [False, True], ids=["running", "frozen"])
def test_a_new_start_takes_over_from_an_orphan(state_directory: Path, frozen: bool) -> None:
    with serving(state_directory) as orphan:
        if frozen:
            orphan.send_signal(signal.SIGSTOP)
        with program(state_directory) as process:
            assert orphan.wait(START_SECONDS) == 0
            wait_for_server(process, wait_for_record(state_directory).url)
    assert f"process {orphan.pid}" in messages(state_directory)


def test_a_lock_file_naming_a_foreign_process_does_not_prevent_the_start(
    state_directory: Path,
) -> None:
    with serving(state_directory) as process:
        stop(process)
    data = data_of(state_directory)
    owner = data.stat()
    lock = data / "postmaster.pid"
    # Of the same user, and not our own: Postgres takes any other for a stale lock by itself.
    foreign = subprocess.Popen(["sleep", "600"], user=owner.st_uid)
    try:
        lock.write_text(f"{foreign.pid}\n{data}\n1700000000\n5432\n{data.parent / 'run'}\n\n")
        lock.chmod(0o600)
        os.chown(lock, owner.st_uid, owner.st_gid)
        with serving(state_directory):
            assert query(state_directory, "SELECT 1") == (1,)
        assert foreign.poll() is None
    finally:
        foreign.kill()
        foreign.wait()


def test_an_interrupted_preparation_is_begun_anew(state_directory: Path) -> None:
    half = state_directory / "postgres" / "data.new"
    half.mkdir(parents=True)
    half.parent.chmod(0o711)
    state_directory.chmod(0o711)
    (half / "PG_VERSION").write_text("18\n")
    with serving(state_directory):
        assert not half.exists()


def test_data_of_another_version_is_left_alone(state_directory: Path) -> None:
    with serving(state_directory) as process:
        stop(process)
    version = data_of(state_directory) / "PG_VERSION"
    version.write_text("17\n")
    listing = sorted(path.name for path in version.parent.iterdir())
    assert ended(state_directory) == 1
    assert "was made by PostgreSQL 17" in messages(state_directory)
    assert sorted(path.name for path in version.parent.iterdir()) == listing


def test_a_foreign_folder_is_left_alone(state_directory: Path) -> None:
    data = state_directory / "postgres" / "data"
    data.mkdir(parents=True)
    (data / "letter").write_text("dear")
    os.chown(data, pwd.getpwnam("nobody").pw_uid if os.getuid() == 0 else os.getuid(), -1)
    assert ended(state_directory) == 1
    assert "is not empty" in messages(state_directory)
    assert [path.name for path in data.iterdir()] == ["letter"]


def test_another_database_needs_no_server(state_directory: Path) -> None:
    with program(state_directory, DATABASE_URL="postgresql://h/d") as process:
        assert process.wait(START_SECONDS) == NOT_NEEDED
    assert not state_directory.exists()


def test_bad_configuration_has_its_own_status(state_directory: Path) -> None:
    with program(state_directory, CLAUDE_HEADSPACE__WEB__PORT="high") as process:
        assert process.wait(START_SECONDS) == 78
    assert "web.port: must be a whole number" in messages(state_directory)


def test_a_long_path_moves_only_the_socket(state_directory: Path) -> None:
    state = state_directory.parent / ("long" * 30)
    try:
        with serving(state):
            record = wait_for_record(state)
            assert record.data == state / "postgres" / "data"
            assert not record.socket.is_relative_to(state)
            assert mode(record.socket) == 0o700
    finally:
        shutil.rmtree(cluster.SYSTEM_BASE / location.state_key(state), ignore_errors=True)
        shutil.rmtree(location.short_directory(state), ignore_errors=True)


def test_where_the_servers_user_cannot_enter_nothing_is_opened(state_directory: Path) -> None:
    state_directory.parent.chmod(0o700)
    with serving(state_directory):
        data = data_of(state_directory)
        expected = state_directory / "postgres"
        if os.getuid() == 0:
            expected = cluster.SYSTEM_BASE / location.state_key(state_directory)
            assert f"the data is in {expected}" in messages(state_directory)
        assert data == expected / "data"
        assert mode(data) == 0o700
    assert mode(state_directory.parent) == 0o700


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_it_stops_by_sigint_also_when_a_script_started_it_in_the_background(
    state_directory: Path,
) -> None:
    lock = state_directory / "postgres" / "lock"
    lock.parent.mkdir(parents=True)
    # A shell without job control has its background ignore SIGINT.
    ignoring = ["sh", "-c", 'trap "" INT; exec "$@"', "sh", *PROGRAM]
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # so that it stays where it prepares the server
        process = subprocess.Popen(ignoring, env=embedded_environment(state_directory))
        try:
            wait_for(lambda: catches(process, signal.SIGINT))
            process.send_signal(signal.SIGINT)
            assert process.wait(5) == 130
        finally:
            process.kill()
            process.wait()


def test_the_shared_memory_that_initdb_found_to_work_is_kept(state_directory: Path) -> None:
    kind = "SELECT current_setting('dynamic_shared_memory_type')"
    with serving(state_directory) as process:
        assert query(state_directory, kind) == ("posix",)
        stop(process)
    settings = data_of(state_directory) / "postgresql.conf"
    text = settings.read_text()
    assert "dynamic_shared_memory_type = posix\n" in text
    settings.write_text(text.replace("memory_type = posix", "memory_type = sysv"))
    for _ in range(2):
        with serving(state_directory) as process:
            assert query(state_directory, kind) == ("sysv",)
            stop(process)


@pytest.mark.skipif(os.getuid() != 0 or shutil.which("unshare") is None, reason="needs mounts")
def test_it_starts_where_there_is_no_shared_memory_to_write_to(state_directory: Path) -> None:
    script = 'mount -t tmpfs -o ro none /dev/shm || exit 99; exec "$@"'
    hidden = ["unshare", "-m", "sh", "-c", script, "sh", *PROGRAM]
    process = subprocess.Popen(
        hidden, env=embedded_environment(state_directory), stderr=subprocess.DEVNULL
    )
    try:
        wait_for(lambda: process.poll() is not None or location.server_record(state_directory))
        if process.poll() in (1, 99):
            pytest.skip("nothing can be mounted here")
        wait_for_server(process, wait_for_record(state_directory).url)
        found = query(state_directory, "SELECT current_setting('dynamic_shared_memory_type')")
        assert found != ("posix",)
    finally:
        stop(process)


def test_it_does_not_outlive_its_supervisor(state_directory: Path) -> None:
    script = f"import subprocess, sys; subprocess.Popen({PROGRAM!r}); sys.stdin.read()"
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=embedded_environment(state_directory),
    )
    with parent:
        lock = wait_for(lambda: location.server_record(state_directory)).data / "postmaster.pid"
        wait_for(lambda: answers(wait_for_record(state_directory).url))
        parent.kill()
        wait_for(lambda: sys.platform != "linux" or not lock.exists())
