"""Prepares the embedded Postgres and becomes it: the program that supervisord runs.

It exits with NOT_NEEDED when another database is configured. Postgres never uses that status: after
an operator's `kill`, Postgres exits with 0 and must be restarted.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

from claude_headspace.config import load_config
from claude_headspace.embedded.cluster import (
    make_passable,
    prepare,
    say,
    server_environment,
    write_settings,
)
from claude_headspace.errors import EmbeddedServerError, HeadspaceError

NOT_NEEDED = 100
_PR_SET_PDEATHSIG = 1
# Each signal is stronger than the one before: fast shutdown, immediate shutdown, kill.
_STEPS = ((signal.SIGINT, 15.0), (signal.SIGQUIT, 5.0), (signal.SIGKILL, 5.0))


def main() -> int:
    """Run the embedded server in the foreground until it is stopped."""
    # A script's background process inherits an ignored SIGINT, but SIGINT must stop this one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        config = load_config()
        if config.database.url:
            say("database.url is set: the embedded server is not needed")
            return NOT_NEEDED
        serve(config.state.directory)
    except HeadspaceError as error:
        say(str(error))
        return error.exit_status
    except OSError as error:
        say(f"the embedded server cannot be prepared: {error}")
        return EmbeddedServerError.exit_status
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def serve(state_directory: Path) -> NoReturn:
    """Prepare the server of this state directory and replace this process with it."""
    parent = os.getppid()
    os.umask(0o077)
    state_directory.parent.mkdir(parents=True, exist_ok=True)
    make_passable(state_directory)
    make_passable(state_directory / "postgres")
    with _alone(state_directory):
        cluster, record = prepare(state_directory)
        cluster.owner.become()
        os.chdir(cluster.data)
        clear_predecessor(cluster.data)
        write_settings(cluster, record.socket)
        _end_with_parent(parent)
        program = str(cluster.binaries.directory / "postgres")
        # This releases the lock.
        os.execve(program, [program, "-D", str(cluster.data)], server_environment())  # noqa: S606


@contextmanager
def _alone(state_directory: Path) -> Iterator[None]:
    """Delay a second start of the same server until this one is ready to be executed."""
    lock = os.open(state_directory / "postgres" / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _end_with_parent(parent: int) -> None:
    """Make the kernel stop the server when supervisord is killed; only on Linux."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT)
    if os.getppid() != parent:
        raise KeyboardInterrupt


def clear_predecessor(data: Path) -> None:
    """Stop a server that still runs on this data, and release the lock file of a dead one."""
    lock = data / "postmaster.pid"
    pid = _locked_by(lock)
    if pid is None:
        return
    if _serves(pid, data):
        _stop(pid, data)
    elif pid != os.getpid():
        _disown(lock)


def _serves(pid: int, data: Path) -> bool:
    """Whether that process is a Postgres on this data directory, not another with its id."""
    arguments = _arguments(pid)
    return "postgres" in arguments.partition(" ")[0] and f"-D {data} " in f"{arguments} "


def _locked_by(lock: Path) -> int | None:
    try:
        # A single-user server writes its id with a minus sign.
        return abs(int(lock.read_text("utf-8", errors="replace").split("\n", 1)[0]))
    except (FileNotFoundError, ValueError):
        return None


def _arguments(pid: int) -> str:
    listed = Path(f"/proc/{pid}/cmdline")
    if Path("/proc/self/cmdline").exists():
        try:
            return listed.read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            return ""
    done = subprocess.run(
        ["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _stop(pid: int, data: Path) -> None:
    say(f"stopping an earlier server on {data}, process {pid}")
    for number, seconds in _STEPS:
        try:
            os.kill(pid, number)
            os.kill(pid, signal.SIGCONT)
        except ProcessLookupError:
            return
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if not _serves(pid, data):
                return
            time.sleep(0.02)
    raise EmbeddedServerError(f"process {pid} serves {data} and could not be stopped: kill it")


def _disown(lock: Path) -> None:
    """Put our own process id into the lock file, which makes it stale for Postgres.

    The file must not be removed: it names the shared memory that shows Postgres whether children
    of the dead server are still writing.
    """
    _, _, rest = lock.read_text("utf-8").partition("\n")
    lock.write_text(f"{os.getpid()}\n{rest}", "utf-8")


if __name__ == "__main__":
    sys.exit(main())
